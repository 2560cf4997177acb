"""The benchmarks work; what they measure is for a quiet machine, not for the tests."""

import subprocess
import sys
from pathlib import Path

import pytest

from docscan.batch.stopwatch import Cost
from docscan.files.scans import ScanOptions, open_page
from docscan.reading import read_page
from docscan.records import PageSource
from tests.benchmarks.drawn_pages import draw_files
from tests.benchmarks.measure import ALL_IN, measure
from tests.benchmarks.page import DECODE, medians, table
from tests.benchmarks.startup import time_help
from training.layouts import Sheet

ROOT = Path(__file__).parents[2]
SMALL = Sheet(width=80, height=60, margin=5, digit=4.5)


def draw_small(folder, count):
    return list(draw_files(folder, count, sheet=SMALL, digits=12, dpi=150))


def test_a_page_is_drawn_as_png_and_as_jpeg_with_the_digits_asked_for(tmp_path):
    drawn = draw_small(tmp_path, 4)
    assert [path.name for path in drawn] == ["000-clean.png", "001-ruled.png", "002-table.png", "003-columns.png"]
    for path in drawn:
        digits = [sum(len(number.text) for number in read_page(path.with_suffix(end))) for end in (".png", ".jpg")]
        assert digits == pytest.approx([12, 12], abs=3), path.name  # as docscan sees them
        page = open_page(PageSource(str(path), path.name), ScanOptions())
        assert (page.gray.shape, page.dpi) == ((354, 472), pytest.approx(150, abs=0.1))


def test_a_sheet_too_small_for_the_digits_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no room for 900 digits"):
        list(draw_files(tmp_path, 1, sheet=SMALL, digits=900, dpi=100))


def test_the_steps_of_a_page_add_up_to_all_of_it(tmp_path):
    [costs, _] = measure(draw_small(tmp_path, 2), tmp_path / "out", repeats=2)
    steps = [cost for name, cost in costs.items() if name != ALL_IN]
    assert sum(step.wall for step in steps) == pytest.approx(costs[ALL_IN].wall)
    assert all(step.wall >= 0 for step in steps)
    assert {DECODE, "binarise", "find components", "classify", "write CSV"} <= set(costs)
    assert (tmp_path / "out" / "pages" / "000-clean.png.csv").is_file()


def test_a_page_that_cannot_be_read_is_not_measured(tmp_path):
    (tmp_path / "empty.png").touch()
    with pytest.raises(ValueError, match=r"empty\.png: the file is empty"):
        measure([tmp_path / "empty.png"], tmp_path / "out", repeats=1)


def test_the_table_holds_medians_and_their_ratio_to_decoding():
    pages = [{"decode": Cost(wall, wall), "all in": Cost(3 * wall, 2.5 * wall)} for wall in (0.01, 0.02, 0.09)]
    assert table({"PNG": medians(pages)})[2:] == [
        "| decode | 20.0 | 20.0 | 1.00 |",
        "| all in | 60.0 | 50.0 | 3.00 |",
    ]


def test_starting_up_is_timed():
    assert 0.01 < time_help() < 60


def test_one_command_measures_a_page():
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.page", "--pages", "1", "--repeats", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    rows = [line.split("|")[1].strip() for line in done.stdout.splitlines() if line.startswith("|")]
    assert rows[0] == "ms a page"
    assert (rows[2], rows[-1]) == (DECODE, ALL_IN)
    assert "120 ms a page: " in done.stdout
