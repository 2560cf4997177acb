import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Docscan, clean_environment, command, png

from docscan.cli.exit_codes import ExitCode

STOPPED = "docscan: stopped; the same command goes on from here\n"


def texts(out: Path) -> list[str]:
    rows = (out / "results.csv").read_text("utf-8-sig").splitlines()[1:]
    return [row.split(",")[4] for row in rows]


def wait_for(condition: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)


def test_watching_once_reads_what_is_there_and_ends(docscan: Docscan, scans: Path, tmp_path: Path) -> None:
    done = docscan("watch", scans, "-o", "out", "--once", "--stable-for", "0.2", "--jobs", "1")
    assert (done.returncode, done.stdout) == (ExitCode.OK, "")
    assert re.fullmatch(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d 3 pages in: 2 read, 1 blank, 0 failed\. .+\n", done.stderr)
    assert texts(tmp_path / "out") == ["17", "771", "7"]
    assert json.loads((tmp_path / "out" / "run.json").read_text("utf-8"))["ending"] == "finished"


def test_watching_once_with_a_page_that_fails_is_3(docscan: Docscan, scans: Path) -> None:
    (scans / "text.png").write_text("dear sir")
    done = docscan("watch", scans, "-o", "out", "--once", "--stable-for", "0", "--log-file", "w.log", "--jobs", "1")
    assert done.returncode == ExitCode.SOME_PAGES_FAILED
    assert "WARNING text.png page 1: failed: not an image" in (scans.parent / "w.log").read_text("utf-8")


def test_a_folder_that_is_not_there_is_4_and_the_folder_itself_as_output_2(docscan: Docscan, scans: Path) -> None:
    gone = docscan("watch", "nowhere", "-o", "out", "-q")
    assert (gone.returncode, "nowhere is no folder" in gone.stderr) == (ExitCode.NOTHING_TO_DO, True)
    same = docscan("watch", scans, "-o", scans, "-q")
    assert (same.returncode, "is the folder to watch" in same.stderr) == (ExitCode.WRONG_USAGE, True)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of other systems")
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, ExitCode.INTERRUPTED), (signal.SIGTERM, ExitCode.TERMINATED)]
)
def test_a_watch_reads_what_arrives_until_it_is_stopped_and_then_goes_on(
    docscan: Docscan, scans: Path, tmp_path: Path, number: signal.Signals, code: ExitCode
) -> None:
    out = tmp_path / "out"
    process = subprocess.Popen(
        command("watch", scans, "-o", out, "--interval", "0.2", "--stable-for", "0.2", "--jobs", "1"),
        env=clean_environment(), stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_for(lambda: (out / "results.csv").is_file() and len(texts(out)) == 3, process)
    (scans / "c.png").write_bytes(png(["71"]))
    wait_for(lambda: len(texts(out)) == 4, process)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said[-len(STOPPED) :]) == (code, STOPPED)
    assert json.loads((out / "run.json").read_text("utf-8"))["ending"] == "stopped"
    (scans / "d.png").write_bytes(png(["1"]))
    again = docscan(
        "watch", scans, "-o", "out", "--once", "--stable-for", "0", "--log-file", "again.log", "--jobs", "1"
    )
    assert again.returncode == ExitCode.OK, again.stderr
    read = re.findall(r"INFO (\S+) page 1: ", (tmp_path / "again.log").read_text("utf-8"))
    assert (read, texts(out)) == (["d.png"], ["17", "771", "7", "71", "1"])
