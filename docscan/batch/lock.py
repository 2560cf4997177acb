"""One run at a time in an output folder."""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from docscan.errors import OutputError, OutputInUseError

_LOCK = ".docscan.lock"
_HOLDER = ".docscan.lock.json"  # beside the lock: Windows lets nobody read a locked file


@contextmanager
def held(out: Path) -> Iterator[None]:
    """Make `out` if need be and hold it; the system lets go of it when the process dies, however it does.

    Raises OutputInUseError, naming the run that holds it, and OutputError where it cannot be made or written.
    """
    lock = FileLock(out / _LOCK)
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise OutputInUseError(
            f"{out} is in use by another run{_holder(out)}; wait for it to end, or give another output folder"
        ) from error
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"{out}: docscan cannot write there ({reason}); give another output folder") from error
    try:
        _sign(out)
        yield
    finally:
        with suppress(OSError):
            (out / _HOLDER).unlink(missing_ok=True)
        lock.release()


def _sign(out: Path) -> None:
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    note = {"pid": os.getpid(), "host": socket.gethostname(), "since": since}
    try:
        (out / _HOLDER).write_text(json.dumps(note), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{out}: docscan cannot write there ({error.strerror})") from error


def _holder(out: Path) -> str:
    try:
        note = json.loads((out / _HOLDER).read_text(encoding="utf-8"))
        return f" (process {note['pid']} on {note['host']}, since {note['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""  # the other run is just signing, or signing off
