from pathlib import Path

import pytest
from mangle import mangle_and_read, originals

from docscan.files.scans import ScanOptions, open_page
from docscan.records import PageSource


@pytest.mark.parametrize("name", originals())
def test_the_files_can_be_read_before_they_are_mangled(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(originals()[name])
    assert open_page(PageSource(str(tmp_path / name), name), ScanOptions()).gray.size > 20_000


def test_no_mangled_file_stops_a_run_or_gets_lost(tmp_path: Path) -> None:
    """`python -m tests.faults.mangle --files 20000` is the long form."""
    tally = mangle_and_read(tmp_path, files=300, seed=11)
    assert (tally.files, tally.unaccounted, tally.faults) == (300, 0, [])
    assert tally.states["read"] > 0
    assert tally.states["refused"] > 0
