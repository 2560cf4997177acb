import sys
from pathlib import Path

import pytest
from kills import kill_at_random


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_nothing_is_lost_to_kills_at_random_moments(tmp_path: Path) -> None:
    """`python -m tests.faults.kills --times 200` is the long form."""
    tally = kill_at_random(tmp_path, times=8, seed=7)
    assert tally.kills >= 8
    assert (tally.torn, tally.lost) == (0, 0)
