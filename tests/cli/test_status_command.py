import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from command_line import Docscan, clean_environment, command, png

from docscan.batch.lock import held
from docscan.cli.exit_codes import ExitCode


def figures(printed: str) -> dict[str, str]:
    return {line[:12].strip(): line[12:].strip() for line in printed.splitlines()}


@pytest.fixture
def finished(docscan: Docscan, scans: Path, tmp_path: Path) -> Path:
    (scans / "text.png").write_text("dear sir")
    docscan("run", scans, "-o", "out", "--jobs", "1")
    return tmp_path / "out"


def report_with(out: Path, **changes: Any) -> None:
    report = json.loads((out / "run.json").read_text("utf-8"))
    (out / "run.json").write_text(json.dumps(report | changes), encoding="utf-8")


def test_status_counts_the_pages_of_a_finished_run(docscan: Docscan, finished: Path) -> None:
    done = docscan("status", "out")
    counts = figures(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert [counts[name] for name in ("pages found", "read", "blank", "failed", "left", "numbers")] == list("421103")
    assert re.fullmatch(r"\d+\.\d pages/s", counts["speed"])
    assert re.fullmatch(r"finished \(20\d\d-.+\)", counts["run"])
    assert "time left" not in counts


def test_status_in_json_has_the_same_figures(docscan: Docscan, finished: Path) -> None:
    facts = json.loads(docscan("status", "out", "--json").stdout)
    names = ("found", "read", "blank", "failed", "left", "numbers")
    assert [facts[name] for name in names] == [4, 2, 1, 1, 0, 3]
    assert (facts["running"], facts["holder"], facts["ending"], facts["seconds_left"]) == (
        False,
        None,
        "finished",
        None,
    )
    assert facts["pages_per_s"] > 0


def test_status_names_the_run_that_is_on(docscan: Docscan, finished: Path) -> None:
    with held(finished):
        text = figures(docscan("status", "out").stdout)
        facts = json.loads(docscan("status", "out", "--json").stdout)
    assert text["run"].startswith(f"on now: process {os.getpid()} on {socket.gethostname()}, since 20")
    assert (facts["running"], facts["ending"], facts["holder"]["pid"]) == (True, "running", os.getpid())
    assert json.loads(docscan("status", "out", "--json").stdout)["running"] is False


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        ("running", "broke off: it was killed, or the computer went down; the same command goes on from there"),
        ("stopped", "stopped; the same command goes on from there"),
        ("deadline", "stopped at its deadline; the same command goes on from there"),
        ("failed", "ended on an error; the same command goes on from there"),
    ],
)
def test_status_says_how_the_last_run_ended(docscan: Docscan, finished: Path, ending: str, words: str) -> None:
    report_with(finished, ending=ending, ended=None)
    assert figures(docscan("status", "out").stdout)["run"] == words


def test_a_note_of_a_process_that_is_no_more_is_no_run(docscan: Docscan, finished: Path) -> None:
    me = psutil.Process()
    note = {"pid": me.pid, "host": socket.gethostname(), "since": "2020-01-01", "process_started": me.create_time()}
    path = finished / ".docscan.lock.json"
    for changes, running in (
        ({}, True),
        ({"process_started": me.create_time() - 86400}, False),  # another process had the number before
        ({"pid": 2**22 + 1}, False),  # above what systems give
        ({"pid": 2**22 + 1, "host": "elsewhere"}, True),  # nobody here can tell
    ):
        path.write_text(json.dumps(note | changes))
        assert json.loads(docscan("status", "out", "--json").stdout)["running"] is running, changes


def test_status_of_another_folder_is_4(docscan: Docscan, scans: Path) -> None:
    done = docscan("status", scans)
    assert (done.returncode, "is no output folder of docscan" in done.stderr) == (ExitCode.NOTHING_TO_DO, True)
    (scans / "docscan.db").touch()
    done = docscan("status", scans)
    assert (done.returncode, "a run has only just begun" in done.stderr) == (ExitCode.NOTHING_TO_DO, True)
    assert (scans / "docscan.db").stat().st_size == 0


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT of other systems")
def test_status_may_be_asked_at_any_time_while_a_run_writes(docscan: Docscan, tmp_path: Path) -> None:
    page = png(["17" * 4, "71" * 4, "1" * 8], height=1500)
    for index in range(300):
        (tmp_path / f"p{index}.png").write_bytes(page)
    run = subprocess.Popen(
        command("run", tmp_path, "-o", tmp_path / "out", "--jobs", "1", "-q"),
        env=clean_environment(), stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    seen = []
    while len(seen) < 5:
        assert run.poll() is None, run.stderr
        done = docscan("status", "out", "--json")
        if done.returncode == ExitCode.OK:
            seen.append(json.loads(done.stdout))
        else:  # the run has not got so far
            assert (done.returncode, "Traceback" in done.stderr) == (ExitCode.NOTHING_TO_DO, False), done.stderr
    run.send_signal(signal.SIGINT)
    _, said = run.communicate(timeout=60)
    assert (run.returncode, said) == (ExitCode.INTERRUPTED, "docscan: stopped; the same command goes on from here\n")
    read = [facts["read"] for facts in seen]
    assert read == sorted(read)
    assert {facts["found"] for facts in seen} <= {0, 300}
    assert all(facts["running"] and facts["holder"]["pid"] == run.pid for facts in seen)
