"""Object storage: whatever fsspec opens by a URL (s3://, gs://, abfs://, memory://, ...). The only importer of fsspec.

Storage libraries raise what they like. Here it becomes StorageError, whose message says what went wrong in words.
"""

import contextlib
import datetime
import functools
import hashlib
import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import psutil

from docscan.errors import PageError, SettingsError
from docscan.records import PageSource

CHANGED = "the file changed after the run had listed it; run again to read it"

_CHUNK = 1 << 20
_TAGS = ("ETag", "etag", "md5Hash", "content_md5")  # change with the content alone; names differ between libraries
_TIMES = ("LastModified", "last_modified", "updated", "mtime", "created")
_WILD = re.compile(r"[*?\[]")
_LEFT_BEHIND_S = 3600  # a copy this old whose process is gone was left by one that was killed


class StorageError(OSError):
    """A store did not do what it was asked for; the message says why."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file in object storage, as a listing gives it."""

    url: str
    name: str
    """Below the folder that was named, `/` between parts."""
    size: int
    stamp: int
    """Another number where the file is another: from its ETag, or from its time where the store gives no ETag."""
    is_named: bool
    """Whether it was named itself, or by a wildcard; else it was found in a folder."""


def is_url(location: str | os.PathLike[str]) -> bool:
    """Whether this names something in object storage rather than on a disk or share."""
    return "://" in os.fspath(location)


def find_stored(url: str, *, recursive: bool = True) -> list[StoredFile]:
    """The files at `url`, which may be a file, a folder, or have wildcards in it; in any order.

    Raises StorageError where nothing is there or the store cannot be asked, SettingsError where nothing is installed
    that could ask.
    """
    with _edge(url):
        store, path = _store(url)
        if _WILD.search(path) and not store.exists(path):
            matches, root = store.glob(path, detail=True), _fixed_prefix(path)
        else:
            info = store.info(path)
            matches, root = {path: info}, path if info["type"] == "directory" else path.rpartition("/")[0]
        found: dict[str, StoredFile] = {}
        for match, info in matches.items():
            is_named = info["type"] != "directory"
            inside = {match: info} if is_named else store.find(match, maxdepth=None if recursive else 1, detail=True)
            for name, facts in inside.items():
                below = name[len(root) :].lstrip("/")
                found[name] = StoredFile(
                    store.unstrip_protocol(name), below, int(facts["size"] or 0), _stamp(facts), is_named
                )
    return list(found.values())


def reason_unreadable(location: str) -> str:
    """Why this computer cannot see the file there, in words; empty where it can."""
    try:
        if is_url(location):
            with _edge(location):
                store, path = _store(location)
                store.info(path)
        else:
            Path(location).stat()
    except (OSError, SettingsError) as error:
        return getattr(error, "strerror", None) or str(error)
    return ""


@contextmanager
def opened(location: str) -> Iterator[BinaryIO]:
    """A file on a disk or in object storage, to read from its start. Raises OSError."""
    if not is_url(location):
        with Path(location).open("rb") as file:
            yield file
        return
    with _edge(location):
        store, path = _store(location)
        with store.open(path, "rb", block_size=4 * _CHUNK) as file:
            yield file


@contextmanager
def local_copy(source: PageSource) -> Iterator[Path]:
    """The file of a page, on a disk of this computer while the block runs.

    One in object storage is fetched: never more than the bytes it was listed with. A file of several pages is kept
    until another is asked for. Raises PageError where it cannot be fetched, or is no longer what was listed.
    """
    if not is_url(source.path):
        yield Path(source.path)
        return
    folder, own = _copies(), f"{os.getpid()}-"
    digest = hashlib.sha256(repr((source.path, source.size, source.mtime_ns)).encode()).hexdigest()[:16]
    copy = folder / (own + digest + Path(source.path).suffix[:8])
    if not copy.exists():
        for other in folder.glob(f"{own}*"):
            other.unlink()
        _fetch(source, copy)
    yield copy
    if not source.paged:
        copy.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class StoredFolder:
    """A folder in object storage that is written to. Raises StorageError."""

    url: str
    """Without a slash at its end."""

    def names(self) -> list[str]:
        """The files in it and below it, `/` between parts; none where there is no such folder."""
        with _edge(self.url):
            store, path = _store(self.url)
            return [name[len(path) :].lstrip("/") for name in store.find(path)]

    def read(self, name: str) -> bytes:
        """A small file's content; nothing where it is not there."""
        with _edge(self.url):
            store, path = _store(self.url)
            try:
                return bytes(store.cat_file(f"{path}/{name}"))
            except FileNotFoundError:
                return b""

    def write(self, name: str, content: bytes, *, only_new: bool = False) -> None:
        """Put a small file there, whole; `only_new` raises FileExistsError where there is one."""
        with _edge(self.url):
            store, path = _store(self.url)
            store.pipe_file(f"{path}/{name}", content, mode="create" if only_new else "overwrite")

    def send(self, files: Mapping[str, Path]) -> None:
        """Put files of this computer there, by name; each is replaced whole."""
        with _edge(self.url):
            store, path = _store(self.url)
            if files:
                store.put([str(file) for file in files.values()], [f"{path}/{name}" for name in files])

    def fetch(self, name: str, target: Path) -> None:
        """Write a file from there to this computer, whole or not at all."""
        draft = target.with_name(f".{target.name}.part")
        with _edge(self.url):
            store, path = _store(self.url)
            store.get_file(f"{path}/{name}", str(draft))
        draft.replace(target)

    def remove(self, names: Sequence[str]) -> None:
        """Take files away; those that are not there are gone already."""
        with _edge(self.url):
            store, path = _store(self.url)
            present = [f"{path}/{name}" for name in names if store.exists(f"{path}/{name}")]
            if present:
                store.rm(present)


def _fetch(source: PageSource, copy: Path) -> None:
    draft = copy.with_suffix(".part")
    try:
        with _edge(source.path):
            store, path = _store(source.path)
            info = store.info(path)
            if (info["size"], _stamp(info)) != (source.size, source.mtime_ns):
                raise PageError(CHANGED)
        with opened(source.path) as file, draft.open("wb") as target:
            left = source.size
            while chunk := file.read(min(_CHUNK, left + 1)):
                left -= len(chunk)
                if left < 0:
                    break
                target.write(chunk)
        if left:
            raise PageError(CHANGED)
    except StorageError as error:
        raise PageError(f"cannot be fetched: {error}") from error
    except OSError as error:
        raise PageError(f"cannot be fetched to {draft.parent} ({error.strerror or error})") from error
    draft.replace(copy)


@functools.lru_cache(maxsize=1)
def _copies() -> Path:
    """Where processes keep their copies; what those left that were killed is cleared away, once in a process's life."""
    folder = Path(tempfile.gettempdir(), f"docscan-{os.getuid() if hasattr(os, 'getuid') else 'scans'}")
    folder.mkdir(mode=0o700, exist_ok=True)
    for copy in folder.iterdir():
        with contextlib.suppress(OSError, ValueError):
            is_old = time.time() - copy.stat().st_mtime > _LEFT_BEHIND_S
            if is_old and not psutil.pid_exists(int(copy.name.partition("-")[0])):
                copy.unlink()
    return folder


def _store(url: str) -> tuple[Any, str]:
    """What talks to the store, and what it calls the place."""
    try:
        import fsspec  # noqa: PLC0415  an extra
    except ImportError as error:
        raise SettingsError(
            f"{url}: object storage needs fsspec; install it: python -m pip install 'docscan-digits[cloud]'"
        ) from error
    try:
        store, path = fsspec.url_to_fs(url, use_listings_cache=False)
    except (ImportError, ValueError) as error:  # fsspec names the package that is missing
        raise SettingsError(f"{url}: {error}; docscan-digits[cloud] brings what s3:// needs") from error
    return store, path


@contextmanager
def _edge(url: str) -> Iterator[None]:
    """Everything a storage library may raise becomes a StorageError."""
    try:
        yield
    except (StorageError, PageError, SettingsError, FileExistsError):
        raise
    except FileNotFoundError as error:
        if isinstance(error.__cause__, OSError):  # fsspec calls a web server that is out of reach a missing file
            raise StorageError(f"{url} cannot be reached ({error.__cause__})") from error
        raise StorageError(f"{url} is not there") from error
    except PermissionError as error:
        raise StorageError(f"{url} may not be opened ({error}); check the credentials of this computer") from error
    # A broad net: botocore's errors, aiohttp's and Google's share no base but Exception.
    except Exception as error:
        raise StorageError(f"{url} cannot be reached ({type(error).__name__}: {error})") from error


def _stamp(info: Mapping[str, Any]) -> int:
    for name in _TAGS:
        if info.get(name):
            return int.from_bytes(hashlib.sha256(str(info[name]).encode()).digest()[:7], "big")
    for name in _TIMES:
        value = info.get(name)
        if isinstance(value, datetime.datetime):
            return round(value.timestamp() * 1e9)
        if isinstance(value, int | float):
            return round(value * 1e9)
        if value:
            return int.from_bytes(hashlib.sha256(str(value).encode()).digest()[:7], "big")
    return 0


def _fixed_prefix(path: str) -> str:
    """The folder that holds whatever a glob can match: its part before the first wildcard."""
    parts = path.split("/")
    wild = next((index for index, part in enumerate(parts) if _WILD.search(part)), len(parts))
    return "/".join(parts[:wild])
