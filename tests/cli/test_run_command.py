import json
import os
import re
import signal
import struct
import subprocess
import sys
import time
import zlib
from datetime import datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest
from command_line import Docscan, clean_environment, command, png

from docscan.batch.lock import held
from docscan.cli.exit_codes import ExitCode


def texts(out: Path) -> list[str]:
    rows = (out / "results.csv").read_text("utf-8-sig").splitlines()[1:]
    return [row.split(",")[4] for row in rows]


def csvs(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*.csv")}


def bomb(side: int) -> bytes:
    """A PNG whose header claims `side` x `side` pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + chunk + b"\0" * 1000


def test_a_run_ends_with_its_pages_in_words(docscan: Docscan, scans: Path, tmp_path: Path) -> None:
    done = docscan("run", scans, "-o", "out", "--jobs", "1")
    assert done.returncode == ExitCode.OK, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("3 pages in: 2 read, 1 blank, 0 failed. 3 numbers, ")
    assert "pages/s" in done.stderr
    assert texts(tmp_path / "out") == ["17", "771", "7"]


def test_a_form_is_dropped_out_by_its_colour_and_read_again_for_that(docscan: Docscan, tmp_path: Path) -> None:
    gray = cv2.imdecode(np.frombuffer(png(["17", "71"]), np.uint8), cv2.IMREAD_GRAYSCALE)
    form = cv2.merge([gray, gray, gray])
    for row in range(20, 600, 40):
        cv2.putText(form, "Name Date Total No.", (5, row), cv2.FONT_HERSHEY_SIMPLEX, 1.1, (50, 40, 235), 2, cv2.LINE_AA)
    cv2.imencode(".png", np.minimum(form, gray[:, :, np.newaxis]))[1].tofile(tmp_path / "form.png")
    docscan("run", "form.png", "-o", "out", "--jobs", "1")
    assert texts(tmp_path / "out") != ["17", "71"]
    done = docscan("run", "form.png", "-o", "out", "--jobs", "1", "--drop-out", "red")
    assert "1 read" in done.stderr
    assert texts(tmp_path / "out") == ["17", "71"]


def test_a_second_run_says_that_nothing_is_new(docscan: Docscan, scans: Path, tmp_path: Path) -> None:
    docscan("run", scans, "-o", "out", "--jobs", "1")
    before = csvs(tmp_path / "out")
    done = docscan("run", scans, "-o", "out")
    assert (done.returncode, "Nothing new to read." in done.stderr) == (0, True)
    assert csvs(tmp_path / "out") == before


def test_bad_files_never_stop_a_run(docscan: Docscan, scans: Path, tmp_path: Path) -> None:
    (scans / "empty.jpg").write_bytes(b"")
    (scans / "text.png").write_text("dear sir")
    (scans / "torn.png").write_bytes(png(["17"])[:300])
    (scans / "bomb.png").write_bytes(bomb(60_000))
    (scans / "folder.png").mkdir()
    (scans / "locked.pdf").write_bytes(b"%PDF-1.7\nnothing that follows is a PDF")
    if hasattr(os, "symlink") and os.name != "nt":
        (scans / "broken.png").symlink_to(scans / "nowhere.png")
    done = docscan("run", scans, "-o", "out", "--jobs", "1")
    assert done.returncode == ExitCode.SOME_PAGES_FAILED, done.stderr
    assert "Traceback" not in done.stderr
    rows = (tmp_path / "out" / "failures.csv").read_text("utf-8-sig").splitlines()[1:]
    bad = {"empty.jpg", "text.png", "torn.png", "bomb.png", "locked.pdf", "folder.png"} | (
        {"broken.png"} if os.name != "nt" else set()
    )
    assert {row.split(",")[0] for row in rows} == bad
    assert f"  and {len(bad) - 5} more. All are listed in {Path('out') / 'failures.csv'}\n" in done.stderr
    first = min(bad)
    assert f"Failed:\n  {first} page 1: " in done.stderr
    assert not [row for row in rows if "fault of its own" in row]
    assert texts(tmp_path / "out") == ["17", "771", "7"]


def test_quiet_says_nothing_and_verbose_says_every_page(docscan: Docscan, scans: Path) -> None:
    (scans / "text.png").write_text("dear sir")
    quiet = docscan("run", scans, "-o", "out", "-q", "--jobs", "1")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (3, "", "")
    verbose = docscan("run", scans, "-o", "out", "-v", "--mode", "redo", "--jobs", "1")
    assert "a.png page 1: 2 numbers, " in verbose.stderr
    assert "blank.png page 1: blank" in verbose.stderr
    assert "text.png page 1: failed: " in verbose.stderr


def test_a_log_file_has_a_line_a_page(docscan: Docscan, scans: Path, tmp_path: Path) -> None:
    (scans / "text.png").write_text("dear sir")
    docscan("run", scans, "-o", "out", "--log-file", "logs/run.log", "--jobs", "1")
    lines = [line.split(" ", 2)[2] for line in (tmp_path / "logs" / "run.log").read_text("utf-8").splitlines()]
    pages = sorted(re.sub(r"\d+ (to review|ms)", r"N \1", line) for line in lines if line.endswith(" ms"))
    assert pages == [
        "INFO a.png page 1: 2 numbers, N to review, N ms",
        "INFO b.png page 1: 1 numbers, N to review, N ms",
        "INFO blank.png page 1: blank, N ms",
        "WARNING text.png page 1: failed: not an image docscan can read (PNG, JPEG, TIFF, BMP, WebP, JPEG 2000 or PDF)"
        ", N ms",
    ]
    closing = lines.index(
        next(line for line in lines if line.startswith("INFO 4 pages in: 2 read, 1 blank, 1 failed."))
    )
    assert lines[closing + 1] == "INFO Failed:"
    assert lines[closing + 2].startswith("INFO   text.png page 1: not an image docscan can read")
    assert lines[closing + 3] == f"INFO   Listed in {Path('out') / 'failures.csv'}"


def test_a_log_in_json_has_an_object_a_page(docscan: Docscan, scans: Path, tmp_path: Path) -> None:
    (scans / "text.png").write_text("dear sir")
    done = docscan("run", scans, "-o", "out", "-v", "--log-file", "run.log", "--log-format", "json", "--jobs", "1")
    entries = [json.loads(line) for line in (tmp_path / "run.log").read_text("utf-8").splitlines()]
    assert [json.loads(line)["message"] for line in done.stderr.splitlines() if line.startswith("{")] == [
        entry["message"] for entry in entries
    ]
    pages = {entry["file"]: entry for entry in entries if "file" in entry}
    assert sorted(pages) == ["a.png", "b.png", "blank.png", "text.png"]
    a, text = pages["a.png"], pages["text.png"]
    assert (a["level"], a["page"], a["state"], a["numbers"]) == ("info", 1, "read", 2)
    assert a["review"] == (tmp_path / "out" / "pages" / "a.png.csv").read_text("utf-8-sig").count(",true,")
    assert 0 < a["ms"] < 120_000
    assert datetime.fromisoformat(a["time"]).tzinfo is not None
    assert (text["level"], text["state"]) == ("warning", "failed")
    assert text["reason"].startswith("not an image docscan can read")


@pytest.mark.skipif(sys.platform == "win32", reason="no such names")
def test_a_name_of_several_lines_is_one_line_of_the_log(docscan: Docscan, tmp_path: Path) -> None:
    (tmp_path / "two\nlines\x1b[2J.png").write_bytes(png(["7"]))
    docscan("run", "*.png", "-o", "out", "--log-file", "run.log", "--jobs", "1")
    log = (tmp_path / "run.log").read_text("utf-8")
    assert r" INFO two\nlines\x1b[2J.png page 1: 1 numbers, " in log
    assert all(re.match(r"\d{4}-\d\d-\d\d ", line) for line in log.splitlines())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_log_on_a_full_disk_does_not_stop_the_run(docscan: Docscan, scans: Path) -> None:
    done = docscan("run", scans, "-o", "out", "--log-file", "/dev/full", "--jobs", "1")
    assert done.returncode == ExitCode.OK
    assert done.stderr.count("docscan: /dev/full: the log cannot be written (No space left on device)\n") == 1
    assert "Traceback" not in done.stderr
    assert "3 pages in: 2 read, 1 blank, 0 failed." in done.stderr


def test_a_dry_run_lists_the_pages_and_makes_nothing(docscan: Docscan, scans: Path, tmp_path: Path) -> None:
    done = docscan("run", scans, "-o", "out", "--dry-run")
    assert (done.returncode, done.stdout) == (0, "a.png\nb.png\nblank.png\n")
    assert done.stderr == "3 of 3 pages would be read.\n"
    assert not (tmp_path / "out").exists()


def test_names_with_spaces_accents_and_other_letters_work(docscan: Docscan, tmp_path: Path) -> None:
    folder = tmp_path / "jänner 2026"
    folder.mkdir()
    for name in ("à la carte.png", "日本.png"):
        (folder / name).write_bytes(png(["71"]))
    done = docscan("run", folder, "-o", "résultats", "--jobs", "1")
    assert done.returncode == ExitCode.OK, done.stderr
    assert sorted(csvs(tmp_path / "résultats")) == [
        "failures.csv",
        "pages/à la carte.png.csv",
        "pages/日本.png.csv",
        "results.csv",
    ]


def test_nothing_to_read_is_4(docscan: Docscan, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = docscan("run", "empty", "-o", "out")
    assert done.returncode == ExitCode.NOTHING_TO_DO
    assert done.stderr.startswith("docscan: empty: no scan found")


def test_an_output_folder_that_cannot_be_written_is_4(docscan: Docscan, scans: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    done = docscan("run", scans, "-o", "out")
    assert (done.returncode, "cannot write there" in done.stderr) == (ExitCode.NOTHING_TO_DO, True)


def test_an_output_folder_in_use_is_6(docscan: Docscan, scans: Path, tmp_path: Path) -> None:
    with held(tmp_path / "out"):
        done = docscan("run", scans, "-o", "out")
    assert done.returncode == ExitCode.OUT_IN_USE
    assert f"in use by another run (process {os.getpid()} on " in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--jobs", "0"], "Invalid value for '--jobs'"),
        (["--mode", "again"], "Invalid value for '--mode'"),
        (["--pages", "3-1"], "pages '3-1'"),
        (["--encoding", "utf-9"], "encoding 'utf-9' is unknown"),
        (["--dpi", "1"], "dpi is 1.0"),
        (["--drop-out", "pink"], "Invalid value for '--drop-out'"),
        (["--engine", "dask"], "--engine dask needs --scheduler with the address of a Dask scheduler"),
        (["--scheduler", "tcp://127.0.0.1:8786"], "--scheduler is for --engine dask"),
        (["--deadline", "six"], "deadline 'six' is no time; expected one such as 06:00"),
        (["--deadline", "2020-01-01T06:00"], "deadline '2020-01-01T06:00' is past: it is 20"),
        (["--frobnicate"], "No such option: --frobnicate"),
        (["--max-error", "1.5"], "Invalid value for '--max-error'"),
        (["--max-error", "1"], "max_error is 1.0; expected a share such as 0.001, one wrong in a thousand"),
        (
            ["--max-error", "0.001", "--min-confidence", "0.9"],
            "--min-confidence and --max-error both say what goes to review: give one of them",
        ),
    ],
)
def test_wrong_usage_is_2(docscan: Docscan, scans: Path, arguments: list[str], words: str) -> None:
    done = docscan("run", scans, "-o", "out", *arguments)
    assert (done.returncode, words in done.stderr) == (ExitCode.WRONG_USAGE, True), done.stderr


@pytest.fixture
def many_scans(tmp_path: Path) -> Path:
    folder = tmp_path / "many"
    folder.mkdir()
    for index in range(30):
        (folder / f"p{index}.png").write_bytes(png(["17" * 4, "71" * 4, "1" * 8], height=1500 + index))
    return folder


def started(folder: Path, out: Path) -> "subprocess.Popen[str]":
    """A run that has read a few of its pages."""
    process = subprocess.Popen(
        command("run", folder, "-o", out, "--jobs", "1"),
        env=clean_environment(),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while len(list((out / "pages").glob("*.csv"))) < 3:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.005)
    return process


def test_a_deadline_leaves_pages_for_another_run_and_says_how_many(docscan: Docscan, tmp_path: Path) -> None:
    page = png(["17" * 4, "71" * 4, "1" * 8], height=1500)
    for index in range(600):  # 15 s and more
        (tmp_path / f"p{index}.png").write_bytes(page)
    deadline = (datetime.now() + timedelta(seconds=8)).isoformat()
    done = docscan("run", "*.png", "-o", "out", "--jobs", "1", "--deadline", deadline)
    assert done.returncode == ExitCode.SOME_PAGES_FAILED, done.stderr
    report = json.loads((tmp_path / "out" / "run.json").read_text("utf-8"))
    left = report["pages"]["left"]
    assert (report["ending"], report["pages"]["read"] + left) == ("deadline", 600)
    said = f"Stopped at the deadline.\n{left} pages still to be read; the same command goes on from here.\n"
    assert said in done.stderr
    assert len(texts(tmp_path / "out")) == 3 * report["pages"]["read"]


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_killed_run_goes_on_and_ends_with_the_same_csvs(docscan: Docscan, many_scans: Path, tmp_path: Path) -> None:
    process = started(many_scans, tmp_path / "out")
    process.kill()
    process.communicate()
    resumed = docscan("run", many_scans, "-o", "out", "--jobs", "1")
    assert (resumed.returncode, "were read by an earlier run" in resumed.stderr) == (0, True), resumed.stderr
    docscan("run", many_scans, "-o", "whole", "--jobs", "1")
    assert csvs(tmp_path / "out") == csvs(tmp_path / "whole")
    assert len(csvs(tmp_path / "out")) == 32


@pytest.mark.skipif(sys.platform == "win32", reason="signals of other systems")
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, ExitCode.INTERRUPTED), (signal.SIGTERM, ExitCode.TERMINATED)]
)
def test_an_interrupted_run_stops_at_once_and_can_go_on(
    docscan: Docscan, many_scans: Path, tmp_path: Path, number: signal.Signals, code: ExitCode
) -> None:
    process = started(many_scans, tmp_path / "out")
    before = time.monotonic()
    os.killpg(process.pid, number)  # as a terminal does
    _, said = process.communicate(timeout=60)
    assert time.monotonic() - before < 10
    assert process.returncode == code
    assert re.fullmatch(
        r"\d+ of 30 pages are still to be read\.\ndocscan: stopped; the same command goes on from here\n", said
    )
    assert json.loads((tmp_path / "out" / "run.json").read_text("utf-8"))["ending"] == "stopped"
    assert not list((tmp_path / "out").rglob("*.part"))
    assert docscan("run", many_scans, "-o", "out", "--jobs", "1").returncode == ExitCode.OK
