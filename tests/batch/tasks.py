"""What workers do in the tests of the pool. They import it by name."""

import os
import signal
import time
from pathlib import Path

import psutil

from docscan.reading import read_page


def double(number: int) -> int:
    return 2 * number


def process_of(_task: int) -> int:
    return os.getpid()


def busy_threads(page: str) -> int:
    """How many threads had something to do while a page was read."""
    before = {thread.id: thread.user_time for thread in psutil.Process().threads()}
    for _ in range(6):
        read_page(page)
    after = psutil.Process().threads()
    return sum(thread.user_time - before.get(thread.id, 0.0) > 0.02 for thread in after)


def end(number: int) -> int:
    os._exit(number)


def be_killed(number: int) -> int:
    """Even numbers kill their worker, as the system does where memory runs out."""
    if number % 2 == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def write_process_and_hang(note: str) -> None:
    Path(note).write_text(str(os.getpid()))
    time.sleep(600)


class EndsItsWorker:
    """Ends every worker that is told what to do, before it does anything."""

    def __reduce__(self) -> tuple[object, ...]:
        return os._exit, (5,)

    def __call__(self, number: int) -> int:
        return number
