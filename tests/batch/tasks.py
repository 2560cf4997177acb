"""What workers do in the tests of the pool. They import it by name."""

import os
import signal
import time
from pathlib import Path


def double(number: int) -> int:
    return 2 * number


def process_of(_task: int) -> int:
    return os.getpid()


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
