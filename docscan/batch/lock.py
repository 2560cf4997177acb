"""One run at a time in an output folder."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout

from docscan.errors import OutputError, OutputInUseError

_LOCK = ".docscan.lock"
_HOLDER = ".docscan.lock.json"  # beside the lock: Windows lets nobody read a locked file
_SAME_START_S = 60  # a clock that was set meanwhile moves the starts of all processes


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that holds an output folder."""

    pid: int
    host: str
    since: str
    """Date, time and offset."""
    process_started: float
    """Seconds since 1970: a process that has got the same number later is another one."""

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"


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
        other = holder(out)
        by = f" ({other})" if other else ""
        raise OutputInUseError(
            f"{out} is in use by another run{by}; wait for it to end, or give another output folder"
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


def holder(out: Path) -> Holder | None:
    """Who holds `out` now, as far as can be told without touching the lock; None: nobody.

    A note left by a process of this computer that is no more is none. What runs on another computer cannot be seen
    from here: its note is believed.
    """
    try:
        found = holder_from(json.loads((out / _HOLDER).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None  # also while a run is just signing, or signing off
    return None if found is None or has_ended(found) else found


def this_process() -> Holder:
    """Holding something from now on."""
    since = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    return Holder(os.getpid(), socket.gethostname(), since, psutil.Process().create_time())


def holder_from(note: Any) -> Holder | None:
    """Whom a note names that was made by `asdict`; None where it names nobody."""
    try:
        return Holder(int(note["pid"]), str(note["host"]), str(note["since"]), float(note["process_started"]))
    except (ValueError, KeyError, TypeError):
        return None


def has_ended(found: Holder) -> bool:
    """Whether it was a process of this computer and is no more."""
    if found.host != socket.gethostname():
        return False
    try:
        return bool(abs(psutil.Process(found.pid).create_time() - found.process_started) >= _SAME_START_S)
    except psutil.Error:
        return True


def _sign(out: Path) -> None:
    try:
        (out / _HOLDER).write_text(json.dumps(asdict(this_process())), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{out}: docscan cannot write there ({error.strerror})") from error
