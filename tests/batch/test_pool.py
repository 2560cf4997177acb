import os
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
from tasks import EndsItsWorker, be_killed, busy_threads, double, end, process_of

from docscan.batch.pool import Lost, PoolLimits, answers
from docscan.errors import EngineError

SEVEN = np.array([(0, 0), (36, 0), (14, 60)], np.int32)
LIMITS = PoolLimits(workers=2, page_timeout_s=60)


def test_every_task_is_answered_once() -> None:
    assert sorted(answers(range(50), double, LIMITS)) == [(number, 2 * number) for number in range(50)]


def test_no_task_needs_no_worker() -> None:
    assert list(answers([], double, LIMITS)) == []


def test_no_more_workers_are_started_than_there_are_tasks() -> None:
    assert len({process for _, process in answers([1], process_of, PoolLimits(8, 60))}) == 1


def test_a_worker_is_replaced_after_its_share_of_tasks() -> None:
    limits = PoolLimits(workers=1, page_timeout_s=60, recycle_pages=2)
    processes = [process for _, process in answers(range(5), process_of, limits)]
    assert [processes.count(process) for process in dict.fromkeys(processes)] == [2, 2, 1]


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_worker_that_is_killed_costs_its_task_only() -> None:
    lost = Lost("its worker process was killed; the machine may be out of memory")
    assert dict(answers(range(6), be_killed, LIMITS)) == {0: lost, 1: 1, 2: lost, 3: 3, 4: lost, 5: 5}


def test_a_worker_reads_with_one_thread(tmp_path: Path) -> None:
    page = np.full((3500, 2500), 255, np.uint8)
    for top in range(50, 3400, 80):
        for left in range(50, 2400, 60):
            cv2.polylines(page, [SEVEN + np.array((left, top))], isClosed=False, color=0, thickness=5)
    (tmp_path / "page.png").write_bytes(cv2.imencode(".png", page)[1].tobytes())
    assert list(answers([str(tmp_path / "page.png")], busy_threads, LIMITS)) == [(str(tmp_path / "page.png"), 1)]


def test_a_crash_is_told_with_its_exit_code() -> None:
    lost = Lost("made its worker process crash (exit code 7); the file may be damaged")
    assert list(answers([7], end, LIMITS)) == [(7, lost)]


def test_workers_that_cannot_start_are_an_error_in_words() -> None:
    with pytest.raises(EngineError, match=r"no worker process can be started \(the last ended with exit code 5\)"):
        list(answers(range(9), EndsItsWorker(), LIMITS))


def test_closing_the_answers_ends_the_workers() -> None:
    asked = answers(range(100_000), process_of, LIMITS)
    processes = {next(asked)[1] for _ in range(9)}
    asked.close()
    assert [process for process in processes if psutil.pid_exists(process)] == []


def test_a_worker_ends_with_its_parent(tmp_path: Path) -> None:
    note = tmp_path / "worker"
    script = (
        f"import sys; sys.path[:0] = {[str(Path(__file__).parent)]!r}\n"
        "from docscan.batch.pool import PoolLimits, answers\n"
        "from tasks import write_process_and_hang\n"
        f"list(answers([{str(note)!r}], write_process_and_hang, PoolLimits(1, 600)))\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], env=os.environ)
    worker = int(_text_of(note))
    parent.kill()
    parent.wait()
    psutil.wait_procs([psutil.Process(worker)] if psutil.pid_exists(worker) else [], timeout=60)
    assert not psutil.pid_exists(worker) or psutil.Process(worker).status() == psutil.STATUS_ZOMBIE


def _text_of(note: Path) -> str:
    deadline = time.monotonic() + 60
    while not note.exists() or not note.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return note.read_text()
