"""Disks that are full, read-only or gone, and folders that are taken."""

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from drills import docscan, results_of, run_docscan, unlike
from mangle import originals

from docscan.cli.exit_codes import ExitCode

on_posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows neither mounts so nor removes open files")


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    folder.mkdir()
    for index in range(20):
        (folder / f"page{index}.png").write_bytes(originals()["gray.png"])
    return folder


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, in memory; `mount` can change its size and make it read-only."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", folder], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("this user may not mount")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def remount(disk: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", disk], check=True)


@on_posix
def test_a_full_disk_stops_the_run_in_words_and_the_next_goes_on(disk: Path, scans: Path, tmp_path: Path) -> None:
    for room in range(16, 160, 24):  # too little for the lock, the tables, a page, all pages, the workbook
        remount(disk, f"size={room}k")
        done = run_docscan("run", scans, "-o", disk / "out", "-j", "1")
        if done.returncode == ExitCode.OK:
            break
        assert (done.returncode, "Traceback" in done.stderr) == (ExitCode.NOTHING_TO_DO, False), (room, done.stderr)
        assert "full" in done.stderr or "No space left" in done.stderr, (room, done.stderr)
    assert room > 80
    remount(disk, "size=20m")
    assert run_docscan("run", scans, "-o", disk / "out").returncode == ExitCode.OK
    assert run_docscan("run", scans, "-o", tmp_path / "undisturbed").returncode == ExitCode.OK
    assert unlike(results_of(disk / "out"), results_of(tmp_path / "undisturbed")) == []


@on_posix
def test_a_read_only_disk_is_an_error_in_words(disk: Path, scans: Path) -> None:
    remount(disk, "size=20m")
    assert run_docscan("run", scans, "-o", disk / "out").returncode == ExitCode.OK
    remount(disk, "ro")
    for arguments in (["-o", disk / "out"], ["-o", disk / "out", "--mode", "force"], ["-o", disk / "new"]):
        done = run_docscan("run", scans, *arguments)
        assert (done.returncode, "Traceback" in done.stderr) == (ExitCode.NOTHING_TO_DO, False), done.stderr
        assert "docscan cannot write there (Read-only file system)" in done.stderr
    assert run_docscan("status", disk / "out").returncode == ExitCode.OK


@on_posix
def test_an_output_folder_that_vanishes_is_an_error_in_words(scans: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run = running(scans, out)
    shutil.rmtree(out, ignore_errors=True)
    _, said = run.communicate(timeout=120)
    assert (run.returncode, "Traceback" in said) == (ExitCode.NOTHING_TO_DO, False), said
    assert "docscan.db is gone; was the folder removed" in said or "cannot be written" in said
    assert run_docscan("run", scans, "-o", out).returncode == ExitCode.OK


@on_posix
def test_the_second_of_two_runs_is_refused_and_told_who_has_the_folder(scans: Path, tmp_path: Path) -> None:
    run = running(scans, tmp_path / "out")
    run.send_signal(signal.SIGSTOP)  # or it is done before the second has begun
    try:
        second = run_docscan("run", scans, "-o", tmp_path / "out")
    finally:
        run.send_signal(signal.SIGCONT)
    assert second.returncode == ExitCode.OUT_IN_USE, second.stderr
    assert f"in use by another run (process {run.pid} on " in second.stderr
    _, said = run.communicate(timeout=120)
    assert run.returncode == ExitCode.OK, said


@on_posix
def test_a_disk_that_takes_no_more_is_an_error_in_words(scans: Path, tmp_path: Path) -> None:
    """For machines where nobody may mount: no file may grow beyond 40 kB."""
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000)); "
    command = docscan("run", scans, "-o", tmp_path / "out", "-j", "1")
    command[2] = limit + command[2]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (ExitCode.NOTHING_TO_DO, False), done.stderr
    assert run_docscan("run", scans, "-o", tmp_path / "out").returncode == ExitCode.OK


def running(scans: Path, out: Path) -> "subprocess.Popen[str]":
    """A run that has read a page or more, and has most of them before it."""
    for index in range(60):
        shutil.copy(scans / "page0.png", scans / f"more{index}.png")
    run = subprocess.Popen(docscan("run", scans, "-o", out, "-j", "1"), stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list((out / "pages").glob("*.csv")):
        assert time.monotonic() < deadline
        assert run.poll() is None
        time.sleep(0.005)
    return run
