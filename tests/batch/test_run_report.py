import hashlib
import json
import os
import socket
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from page_readers import PNG, read_words

import docscan
from docscan.batch.report import Tally, closing_words, duration, read_report
from docscan.batch.run import RunOptions, open_batch, scan_batch
from docscan.errors import OutputError
from docscan.files.store import Counts
from docscan.settings import Settings
from docscan.stages.classify import SHIPPED

ONE_JOB = RunOptions(jobs=1)
WORDS = {"a.png": "12 007", "blank.png": "", "bad.png": "fail", "c.png": "345"}


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    folder.mkdir()
    for name, text in WORDS.items():
        (folder / name).write_bytes(PNG + text.encode())
    return folder


def report_of(out: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((out / "run.json").read_text("utf-8"))
    return loaded


def test_a_finished_run_says_what_made_its_results(scans: Path, tmp_path: Path) -> None:
    list(scan_batch([scans], tmp_path / "out", options=ONE_JOB, read=read_words))
    report = report_of(tmp_path / "out")
    assert (report["format"], report["docscan"], report["ending"]) == (1, docscan.__version__, "finished")
    assert report["pages"] == {"found": 4, "read": 2, "blank": 1, "failed": 1, "left": 0}
    assert report["this_run"] == {"pages": 4, "numbers": 3, "review": 3}
    assert (report["host"], report["pid"]) == (socket.gethostname(), os.getpid())
    assert report["models"]["digits.onnx"] == hashlib.sha256(SHIPPED.read_bytes()).hexdigest()
    assert report["settings_digest"] == Settings().digest()
    assert report["settings"]["review"] == {"min_confidence": 0.9, "max_error": 0.0}
    assert (report["scans"], report["options"]["jobs"]) == ([str(scans)], 1)
    assert report["libraries"].keys() >= {"numpy", "onnxruntime", "opencv-python"}
    assert report["started"] <= report["ended"]
    assert report["earlier"] == []


def test_stage_times_are_summed_over_the_pages(scans: Path, tmp_path: Path) -> None:
    list(scan_batch([scans], tmp_path / "out", options=ONE_JOB, read=read_words))
    stages = report_of(tmp_path / "out")["stage_seconds"]
    assert stages.pop("write") > 0
    assert stages == {"decode": 0.75}  # three pages of a quarter of a second; the one that failed says nothing


def test_while_it_runs_a_run_says_so(scans: Path, tmp_path: Path) -> None:
    with open_batch([scans], tmp_path / "out", options=ONE_JOB) as batch:
        report = report_of(tmp_path / "out")
        assert (report["ending"], report["ended"]) == ("running", None)
        assert report["pages"] == {"found": 4, "read": 0, "blank": 0, "failed": 0, "left": 4}
        list(batch.outcomes(read_words))
        batch.finish()
    assert report_of(tmp_path / "out")["ending"] == "finished"


def test_a_run_left_early_was_stopped_and_the_next_one_remembers_it(scans: Path, tmp_path: Path) -> None:
    outcomes = scan_batch([scans], tmp_path / "out", options=ONE_JOB, read=read_words)
    next(outcomes)
    outcomes.close()
    stopped = report_of(tmp_path / "out")
    assert (stopped["ending"], stopped["pages"]["left"], stopped["this_run"]["pages"]) == ("stopped", 3, 1)
    list(scan_batch([scans], tmp_path / "out", options=ONE_JOB, read=read_words))
    report = report_of(tmp_path / "out")
    assert (report["ending"], report["pages"]["left"], report["this_run"]["pages"]) == ("finished", 0, 3)
    assert [(run["ending"], run["this_run"]["pages"]) for run in report["earlier"]] == [("stopped", 1)]


def test_a_run_that_ends_on_an_error_says_which(scans: Path, tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match="the share is gone"),
        open_batch([scans], tmp_path / "out", options=ONE_JOB),
    ):
        raise OutputError("the share is gone")
    report = report_of(tmp_path / "out")
    assert (report["ending"], report["reason"]) == ("failed", "OutputError: the share is gone")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 99}'])
def test_a_report_that_makes_no_sense_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content)
    assert read_report(tmp_path) == {}
    assert read_report(tmp_path / "nowhere") == {}


def tally(read: int, seconds: float) -> Tally:
    return Tally(read=read, started=1000.0, last=1000.0 + seconds, stage_seconds=Counter())


def test_the_closing_words_balance_the_books_and_list_the_first_failures() -> None:
    counts = Counts(read=3405, blank=2, failed=7, left=0, numbers=81234, review=1203)
    failures = [(f"m/{page}.png", page, "the file is empty") for page in range(1, 8)]
    assert closing_words(counts, tally(3414, 571), failures, Path("out.csv")) == [
        "3,414 pages in: 3,405 read, 2 blank, 7 failed. 81,234 numbers, 1,203 to review.",
        "Failed:",
        *(f"  m/{page}.png page {page}: the file is empty" for page in range(1, 6)),
        "  and 2 more. All are listed in out.csv",
        "3,414 pages in 0:09:31, 6.0 pages/s.",
    ]


def test_the_closing_words_of_a_run_that_left_pages_say_how_to_go_on() -> None:
    counts = Counts(read=5, blank=0, failed=1, left=3, numbers=1, review=0)
    assert closing_words(counts, tally(4, 2), [("a.png", 1, "torn")], Path("f.csv")) == [
        "9 pages in: 5 read, 0 blank, 1 failed, 3 still to be read. 1 number, 0 to review.",
        "Failed:",
        "  a.png page 1: torn",
        "  Listed in f.csv",
        "3 pages still to be read; the same command goes on from here.",
        "4 pages in 0:00:02, 2.0 pages/s. 2 were read by an earlier run.",
    ]


def test_the_closing_words_of_a_run_with_nothing_to_do_are_short() -> None:
    counts = Counts(read=1, blank=0, failed=0, left=0, numbers=0, review=0)
    assert closing_words(counts, tally(0, 0), [], Path("f.csv")) == [
        "1 page in: 1 read, 0 blank, 0 failed. 0 numbers, 0 to review.",
        "Nothing new to read.",
    ]


@pytest.mark.parametrize(("seconds", "words"), [(0, "0:00:00"), (59.6, "0:01:00"), (90061, "25:01:01")])
def test_a_duration_has_hours_minutes_and_seconds(seconds: float, words: str) -> None:
    assert duration(seconds) == words
