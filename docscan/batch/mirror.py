"""An output folder in object storage: a run works on a copy on this computer, which is published there.

What is published is what a run on a disk would have left at some moment: the pages' CSVs first, then the database
as it stood before them, then a note that says which publication this is. A run that finds the note of its own last
publication goes on with its copy; one that finds another's, or has no copy, begins with the database published.

A lease lies there while a run goes on, and is renewed: two runs do not share one output. Where the store can refuse
to write a file that is there already (S3, Google and Azure can), only one of two that come at once gets it.
"""

import json
import logging
import os
import shutil
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from docscan.batch.lock import Holder, has_ended, holder, holder_from, this_process
from docscan.errors import DocscanError, OutputError, OutputInUseError, SettingsError
from docscan.files.results import DRAFT_SUFFIX
from docscan.files.storage import StorageError, StoredFolder, is_url
from docscan.files.store import NAME as STORE_NAME
from docscan.files.store import snapshot

CACHE_VARIABLE = "DOCSCAN_CACHE"
_LEASE = ".docscan.lease.json"
_NOTE = ".docscan.published.json"
_STATE = "published.json"  # beside the copy: what of it has been published
_AT_ONCE = 500  # files sent together; the library sends some of them at the same time

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How often what is done, in seconds."""

    publish_s: float = 60
    """... and never for more than a tenth of the time."""
    renew_s: float = 15
    stale_s: float = 60
    """A lease not renewed for so long may be taken over, after a look whether it really is not."""


@contextmanager
def working_folder(out: str | Path, rhythm: Rhythm = Rhythm()) -> Iterator[Path]:
    """Where a run writes: `out` itself, or for a URL its copy on this computer, published at times and at the end.

    Raises OutputInUseError where another run holds the URL, OutputError where it cannot be read or written: also at
    the end, and what is done is kept here then.
    """
    if not is_url(out):
        yield Path(out)
        return
    copy = _copy_of(str(out))
    with _leased(copy, rhythm) as lease:
        with _in_words(copy):
            copy.bring_up_to_date()
        publisher = _Publisher(copy, lease)
        try:
            with _every(rhythm.publish_s / 6, lambda: publisher.publish_at_times(rhythm.publish_s), "docscan-publish"):
                yield copy.out
        except BaseException:  # stopped, or an error that is told in a moment: what there is goes there all the same
            publisher.publish_if_possible()
            raise
        with _in_words(copy):
            publisher.publish_in_the_end()


def file_in(out: str | Path, name: str) -> str:
    """How a file of an output folder is called to people."""
    return f"{str(out).rstrip('/')}/{name}" if is_url(out) else str(Path(out, name))


@contextmanager
def readable_folder(out: str | Path) -> Iterator[Path]:
    """An output folder to look into: of a URL its copy on this computer, brought up to date where no run holds it."""
    if not is_url(out):
        yield Path(out)
        return
    copy = _copy_of(str(out))
    with _in_words(copy):
        other = holder_from(_read_note(copy.stored, _LEASE))
        if other is None or other.host != socket.gethostname() or has_ended(other):
            copy.bring_up_to_date()
    yield copy.out


def holder_of(out: str | Path) -> Holder | None:
    """Who holds an output folder or URL now, as far as can be told without touching it; None: nobody."""
    if not is_url(out):
        return holder(Path(out))
    copy = _copy_of(str(out))
    with _in_words(copy):
        note = _read_note(copy.stored, _LEASE)
    found = holder_from(note)
    return None if found is None or has_ended(found) or _looks_stale(note, Rhythm()) else found


@contextmanager
def _in_words(copy: "_Copy") -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{copy.stored.url}: {error}. What was read so far is kept in {copy.folder} on this computer; the same "
            "command goes on from here."
        ) from error


def cache_folder(url: str) -> Path:
    """Where this computer keeps its copy of an output folder in object storage."""
    try:
        import platformdirs  # noqa: PLC0415  an extra
    except ImportError as error:
        raise SettingsError(
            f"{url}: object storage needs platformdirs; install it: python -m pip install 'docscan-digits[cloud]'"
        ) from error
    root = os.environ.get(CACHE_VARIABLE) or platformdirs.user_cache_dir("docscan")
    return Path(root, sha256(url.encode()).hexdigest()[:16])


def _copy_of(url: str) -> "_Copy":
    stored = StoredFolder(url.rstrip("/"))
    return _Copy(stored, cache_folder(stored.url))


@dataclass(slots=True)
class _Copy:
    """The working copy of one output folder."""

    stored: StoredFolder
    folder: Path
    generation: str = ""
    """Of the publication it was last known to be, or to go on from."""
    sent: dict[str, list[int]] = field(default_factory=dict)
    """Name -> size and time of what was sent; of what is there from elsewhere, nothing."""

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def bring_up_to_date(self) -> None:
        """Go on with the copy that is here, or begin with what is published where that is another's."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            state = json.loads((self.folder / _STATE).read_text(encoding="utf-8"))
            self.generation, self.sent = str(state["generation"]), dict(state["sent"])
        published = str(_read_note(self.stored, _NOTE).get("generation", ""))
        if published == self.generation:
            self.out.mkdir(parents=True, exist_ok=True)
            return
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir(parents=True, exist_ok=True)
        names = [name for name in self.stored.names() if not _is_private(name)] if published else []
        for name in names:
            if "/" not in name and name.endswith((".db", ".json")):
                self.stored.fetch(name, self.out / name)
        self._note(published, {name: [] for name in names})

    def publish(self) -> None:
        """Send what has changed, and take away what is gone."""
        database, found = self.folder / "snapshot.db", {STORE_NAME: _facts(self.out / STORE_NAME)}
        database.unlink(missing_ok=True)
        if found[STORE_NAME]:
            snapshot(self.out, database)
        found = {name: _facts(self.out / name) for name in _names_below(self.out)} | found
        changed = [name for name, facts in found.items() if facts and facts != self.sent.get(name)]
        if not changed and found.keys() == self.sent.keys():
            return
        for start in range(0, len(changed), _AT_ONCE):
            names = [name for name in changed[start : start + _AT_ONCE] if name != STORE_NAME]
            self.stored.send({name: self.out / name for name in names if (self.out / name).is_file()})
        if database.is_file():
            self.stored.send({STORE_NAME: database})
        self.stored.remove([name for name in self.sent if name not in found])
        generation = uuid.uuid4().hex
        self.stored.write(_NOTE, json.dumps({"generation": generation}).encode())
        self._note(generation, found)

    def _note(self, generation: str, sent: dict[str, list[int]]) -> None:
        self.generation, self.sent = generation, sent
        draft = self.folder / f".{_STATE}.part"
        draft.write_text(json.dumps({"url": self.stored.url, "generation": generation, "sent": sent}), encoding="utf-8")
        draft.replace(self.folder / _STATE)


@dataclass(slots=True)
class _Publisher:
    """Publishes a copy while its lease holds."""

    copy: _Copy
    lease: "_Lease"
    ended: float = field(default_factory=time.monotonic)
    took: float = 0.0

    def publish_at_times(self, every_s: float) -> None:
        """Runs in a thread of its own."""
        if time.monotonic() - self.ended >= max(every_s, 10 * self.took):
            self.publish_if_possible()

    def publish_if_possible(self) -> None:
        started = time.monotonic()
        try:
            self.publish_in_the_end()
        except (DocscanError, OSError) as error:
            _LOG.warning("%s is not published just now: %s", self.copy.stored.url, error)
        self.ended = time.monotonic()
        self.took = self.ended - started

    def publish_in_the_end(self) -> None:
        if self.lease.is_lost:
            raise OutputInUseError(
                f"{self.copy.stored.url} was taken over by another run while it could not be reached from here; what "
                f"was read here since is kept in {self.copy.folder}"
            )
        self.copy.publish()


@dataclass(slots=True)
class _Lease:
    stored: StoredFolder
    id: str
    holder: Holder
    is_lost: bool = False

    def take(self) -> bool:
        """Whether nobody had it."""
        try:
            self.stored.write(_LEASE, self._as_bytes(), only_new=True)
        except FileExistsError:
            return False
        return bool(_read_note(self.stored, _LEASE).get("id") == self.id)

    def renew(self) -> None:
        """Runs in a thread of its own."""
        try:
            found = _read_note(self.stored, _LEASE)
            self.is_lost = self.is_lost or found.get("id", self.id) != self.id
            if not self.is_lost:
                self.stored.write(_LEASE, self._as_bytes())
        except StorageError as error:
            _LOG.warning("the lease cannot be renewed just now: %s", error)

    def give_back(self) -> None:
        with suppress(StorageError):  # it grows stale
            if not self.is_lost:
                self.stored.remove([_LEASE])

    def _as_bytes(self) -> bytes:
        return json.dumps(asdict(self.holder) | {"id": self.id, "renewed": time.time()}).encode()


@contextmanager
def _leased(copy: _Copy, rhythm: Rhythm) -> Iterator[_Lease]:
    lease = _Lease(copy.stored, uuid.uuid4().hex, this_process())
    with _in_words(copy):
        while not lease.take():
            other = _read_note(copy.stored, _LEASE)
            if other and not _is_abandoned(other, copy.stored, rhythm):
                raise OutputInUseError(
                    f"{copy.stored.url} is in use by another run ({holder_from(other)}); wait for it to end, or give "
                    "another output"
                )
            copy.stored.remove([_LEASE])
    try:
        with _every(rhythm.renew_s, lease.renew, "docscan-lease"):
            yield lease
    finally:
        lease.give_back()


def _is_abandoned(note: dict[str, Any], stored: StoredFolder, rhythm: Rhythm) -> bool:
    """Whether the run that took it is surely gone. Clocks differ: one that looks stale is watched for a while."""
    other = holder_from(note)
    if other is None or has_ended(other):
        return True
    if other.host == socket.gethostname() or not _looks_stale(note, rhythm):
        return False
    time.sleep(2 * rhythm.renew_s)
    return _read_note(stored, _LEASE) == note


def _looks_stale(note: dict[str, Any], rhythm: Rhythm) -> bool:
    return bool(time.time() - float(note.get("renewed", 0)) > rhythm.stale_s)


def _read_note(stored: StoredFolder, name: str) -> dict[str, Any]:
    """A note as it was written; an empty one where there is none."""
    with suppress(ValueError):
        note = json.loads(stored.read(name) or b"{}")
        if isinstance(note, dict):
            return note
    return {}


def _names_below(out: Path) -> Iterator[str]:
    for path in out.rglob("*"):
        if path.is_file() and not _is_private(path.name):
            yield path.relative_to(out).as_posix()


def _is_private(name: str) -> bool:
    """Whether a file is of no use to others: drafts, locks, the database's journal."""
    last = name.rpartition("/")[2]
    return last.startswith(".docscan") or last.endswith(DRAFT_SUFFIX) or last == f"{STORE_NAME}-journal"


def _facts(path: Path) -> list[int]:
    """What tells that a file has changed; nothing where it is gone."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return []
    return [status.st_size, status.st_mtime_ns]


@contextmanager
def _every(seconds: float, do: Callable[[], None], name: str) -> Iterator[None]:
    """Call `do` every so often in a thread of its own while the block runs."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(seconds):
            do()

    thread = threading.Thread(target=repeat, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
