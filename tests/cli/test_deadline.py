from datetime import datetime, timedelta

import pytest

from docscan.cli.deadline import next_moment
from docscan.errors import SettingsError

EVENING = datetime(2026, 11, 26, 18, 0).astimezone()


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("06:00", datetime(2026, 11, 27, 6, 0)),
        ("6:00", datetime(2026, 11, 27, 6, 0)),
        ("18:00", datetime(2026, 11, 27, 18, 0)),
        ("18:01", datetime(2026, 11, 26, 18, 1)),
        ("18:00:01", datetime(2026, 11, 26, 18, 0, 1)),
        ("2026-11-26T23:30", datetime(2026, 11, 26, 23, 30)),
        ("2026-11-28 06:00", datetime(2026, 11, 28, 6, 0)),
        ("2026-11-28", datetime(2026, 11, 28)),
    ],
)
def test_a_time_is_the_next_one_here(text: str, moment: datetime) -> None:
    assert next_moment(text, EVENING) == moment.astimezone()


def test_a_moment_may_name_its_offset() -> None:
    named = (EVENING + timedelta(hours=1)).isoformat()
    assert next_moment(named, EVENING) == EVENING + timedelta(hours=1)


@pytest.mark.parametrize("text", ["six", "25:00", "", "06:00 am", "tomorrow"])
def test_what_is_no_time_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(
        SettingsError, match=r"is no time; expected one such as 06:00, or with its date 2026-11-27T06:00"
    ):
        next_moment(text, EVENING)


def test_a_moment_that_is_past_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"deadline '2026-11-26T06:00' is past: it is 2026-11-26 18:00 now"):
        next_moment("2026-11-26T06:00", EVENING)
