"""A folder that scans keep arriving in -> an output folder that keeps up with it.

The folder is listed again and again: nothing else works on network shares. A file is read once its size and time have
not changed for a while. What is read is known by its key, as in a run, so a watch that was stopped goes on.

A scan that goes away after it was read keeps its numbers: people empty such folders, and shares drop. For the same
reason a page whose file cannot be got at is tried again when it is back.
"""

import os
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from docscan.batch.engines import PageReader, look_locally
from docscan.batch.lock import held
from docscan.batch.mirror import working_folder
from docscan.batch.report import Tally, facts_of, reported, words
from docscan.batch.run import (
    Batch,
    Plan,
    RunOptions,
    begin,
    by_name,
    form_of,
    job_for,
    models_of,
    path_as_text,
    plan_pages,
    remove,
)
from docscan.batch.worker import Job, read_source
from docscan.errors import NothingToReadError, OutputError, SettingsError
from docscan.files.pixels import disk_reason
from docscan.files.scans import Contents, FoundPage, LookInside, ScanOptions, find_pages, natural_order
from docscan.files.storage import is_url
from docscan.files.store import PageEntry, open_store
from docscan.records import PageFailure, PageOutcome, PageSource
from docscan.settings import Settings

_SHARE = 10  # listing and publishing take at most this part of the time
_BUSY_PUBLISH_S = 600  # how often results are published while there is always more to read


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """How a folder is watched; how its pages are read is in RunOptions."""

    interval_s: float = 10
    """The folder is listed this often."""
    stable_for_s: float = 5
    """A file is read when it has not changed for so long."""
    once: bool = False
    """Stop when everything there has been read."""

    def __post_init__(self) -> None:
        if self.interval_s <= 0:
            raise SettingsError(f"interval is {self.interval_s}; expected more than 0 seconds")
        if self.stable_for_s < 0:
            raise SettingsError(f"stable_for is {self.stable_for_s}; expected 0 seconds or more")


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to tell whoever looks after the watch."""

    text: str
    is_unread: bool = False
    """Whether something in the folder can never be read."""


Event = PageOutcome | Notice


def watch(
    folder: str | Path,
    out: str | Path,
    watching: WatchOptions | None = None,
    *,
    settings: Settings | None = None,
    options: RunOptions | None = None,
    read: PageReader = read_source,
) -> Generator[Event, None, None]:
    """Read the scans in `folder` as they arrive into `out`; what happens is told as it does. Ends with `once` alone.

    The results of all pages are written whenever nothing is left to read. A folder that cannot be reached for a while
    is waited for, `folder` and `out` alike. Raises DocscanError where nothing can be started.
    """
    watching, options = watching or WatchOptions(), options or RunOptions()
    _check(folder, out)
    job = job_for(settings or Settings(), options)
    has_begun, said = False, ""
    while True:
        try:
            with _opened(folder, out, job, options) as batch:
                has_begun, said = True, ""
                yield from _Watch(folder, batch, watching, read).events()
                return
        except (OutputError, OSError) as error:  # whatever of `out` the system could not get at
            if not has_begun:
                raise
            if str(error) != said:
                said = str(error)
                yield Notice(f"{said}; waiting for {out}")
        time.sleep(watching.interval_s)


def _check(folder: str | Path, out: str | Path) -> None:
    if not is_url(folder) and not Path(folder).is_dir():
        raise NothingToReadError(f"{folder} is no folder that can be reached; expected the one the scans arrive in")
    if not is_url(folder) and not is_url(out) and os.path.realpath(folder) == os.path.realpath(out):
        raise SettingsError(f"{out} is the folder to watch; give another one for the results, such as {out}/results")


def _out_of_reach(folder: str | Path) -> str:
    """Why the folder cannot be listed; empty where it can."""
    if is_url(folder):
        return ""
    try:
        with os.scandir(folder):
            return ""
    except OSError as error:
        return disk_reason(error, Path(folder))


@contextmanager
def _opened(folder: str | Path, out: str | Path, job: Job, options: RunOptions) -> Iterator[Batch]:
    """Hold `out`; the pages it knows stay."""
    with working_folder(out) as here, held(here), open_store(here, create=True) as store:
        entries = tuple(store.entries())
        begin(here, store, Plan(entries, (), ()), form_of(options.csv))
        tally = Tally({(entry.source, entry.page): entry.state for entry in entries})
        with reported(here, tally, facts_of([folder], models_of(job), job.settings, options)):
            yield Batch(here, store, job, options, Plan(entries, (), ()), tally)


Stamp = tuple[int, int]
"""A file's size and time."""


def _stamp(source: PageSource) -> Stamp:
    return source.size, source.mtime_ns


@dataclass(slots=True)
class Files:
    """Which files have been dealt with, and since when the others are as they are."""

    stable_for_s: float
    done: dict[str, Stamp] = field(default_factory=dict)
    since: dict[str, tuple[Stamp, float]] = field(default_factory=dict)
    """Of those not done, and not yet ready."""

    def ready(self, listed: Sequence[PageSource]) -> list[PageSource]:
        """Those of the files listed that are new or changed, and have been as they are for long enough."""
        now = time.monotonic()
        waiting = [source for source in listed if self.done.get(path_as_text(source)) != _stamp(source)]
        before, self.since = self.since, {}
        ready = []
        for source in waiting:
            stamp, first = before.get(source.path, (_stamp(source), now))
            if stamp != _stamp(source):
                stamp, first = _stamp(source), now
            if now - first >= self.stable_for_s:
                ready.append(source)
            else:
                self.since[source.path] = stamp, first
        return ready

    def forget(self, paths: Iterable[str]) -> None:
        """Take these for new when they come again."""
        for path in paths:
            self.done.pop(path, None)

    @property
    def wait_s(self) -> float:
        """Until the next one may be ready."""
        now = time.monotonic()
        return min((first + self.stable_for_s - now for _, first in self.since.values()), default=float("inf"))


@dataclass(slots=True)
class _Look:
    """What the folder holds at a moment."""

    paths: set[str] = field(default_factory=set)
    """Of all files there."""
    ready: dict[str, Stamp] = field(default_factory=dict)
    """Those to be read now, by path."""
    pages: list[FoundPage] = field(default_factory=list)
    """Theirs."""
    troubles: list[str] = field(default_factory=list)
    """What cannot be looked at, and why."""
    is_away: bool = False
    """Whether that is the folder itself."""


class _Watch:
    """A watch for as long as its output folder can be written."""

    def __init__(self, folder: str | Path, batch: Batch, watching: WatchOptions, read: PageReader) -> None:
        self._folder = folder
        self._batch = batch
        self._watching = watching
        self._read = read
        self._files = Files(watching.stable_for_s)
        self._is_stale = True
        self._published = time.monotonic()
        self._publish_s = 0.0
        self._last = _Look()

    def events(self) -> Generator[Event, None, None]:
        """What happens; ends where everything is read and that is what was asked for."""
        while True:
            started = time.monotonic()
            look = self._look()
            took = time.monotonic() - started
            yield from self._news(look)
            if not look.is_away:
                self._forget_unread(look)
            if look.ready:
                yield from self._read_pages(look)
                continue  # more may have come meanwhile
            is_quiet = not self._files.since
            if is_quiet and self._is_due(0 if self._watching.once else _SHARE * self._publish_s):
                yield from self._publish()
            if is_quiet and self._watching.once and not look.is_away:
                self._batch.tally.ending = "finished"
                return
            time.sleep(max((_SHARE - 1) * took, min(self._watching.interval_s, self._files.wait_s)))

    def _look(self) -> _Look:
        look = _Look()
        trouble = _out_of_reach(self._folder)
        if trouble:
            return _Look(troubles=[f"{self._folder} cannot be reached ({trouble}); waiting for it"], is_away=True)
        for found in _pages(self._folder, self._batch.options.scans, partial(self._contents, look=look)):
            source = found if isinstance(found, PageSource) else found[0]
            if path_as_text(source) in look.ready:
                look.pages.append(found)
            elif not isinstance(found, PageSource):
                look.troubles.append(f"{source.name}: {found[1].reason}")
        return look

    def _contents(self, listed: Sequence[PageSource], look: _Look) -> list[Contents]:
        """What the files hold that are ready; the others have no page yet."""
        ready = self._files.ready(listed)
        look.paths = {path_as_text(source) for source in listed}
        look.ready = {path_as_text(source): _stamp(source) for source in ready}
        inside = dict(zip(ready, look_locally(ready, self._batch.options.pool_limits), strict=True))
        return [inside.get(source, Contents(0)) for source in listed]

    def _news(self, look: _Look) -> Iterator[Notice]:
        before, self._last = self._last, look
        yield from (Notice(text, not look.is_away) for text in look.troubles if text not in before.troubles)
        if before.is_away and not look.is_away:
            yield Notice(f"{self._folder} can be reached again")

    def _forget_unread(self, look: _Look) -> None:
        """A file that went away before it could be read is no page; should it come back, it is new."""
        unread = self._batch.store.entries_unread()
        gone = [entry for entry in unread if entry.path not in look.paths and _is_below(self._folder, entry.path)]
        if gone:
            self._set_aside(gone)
            self._files.forget(entry.path for entry in gone)
            self._is_stale = True

    def _read_pages(self, look: _Look) -> Generator[Event, None, None]:
        batch = self._with_inputs(look)
        lost = set()
        with closing(batch.outcomes(self._read)) as outcomes:
            for outcome in outcomes:
                if isinstance(outcome.result, PageFailure) and not _is_as_listed(outcome.source):
                    lost.add(path_as_text(outcome.source))
                yield outcome
                if self._is_due(max(_BUSY_PUBLISH_S, _SHARE * self._publish_s)):
                    yield from self._publish()
        self._files.done.update({path: stamp for path, stamp in look.ready.items() if path not in lost})

    def _with_inputs(self, look: _Look) -> Batch:
        """The batch that reads what is new, the pages of the files that are ready among its inputs."""
        store, batch = self._batch.store, self._batch
        found = by_name(look.pages)
        names = dict.fromkeys(name for name, _ in found)
        known = {(entry.source, entry.page): entry for name in names for entry in store.entries_of(name)}
        plan = plan_pages(found, known, batch.job, batch.options)
        store.set_meta(started=repr(time.time()))
        store.add_inputs(plan.entries)
        self._set_aside([entry for key, entry in known.items() if key not in found])  # of files that have fewer now
        batch.tally.states.update({(entry.source, entry.page): entry.state for entry in plan.entries})
        self._is_stale = True
        return replace(batch, plan=plan)

    def _publish(self) -> Iterator[Notice]:
        """Write the results of all pages, in the order a run would find them."""
        started = time.monotonic()
        store = self._batch.store
        entries = sorted(store.entries(), key=lambda entry: (natural_order(entry.source), entry.page))
        if entries != list(store.entries()):
            store.replace_inputs(entries)
        counts = replace(self._batch, plan=Plan(tuple(entries), (), ())).finish()
        self._batch.tally.ending = "running"
        self._is_stale, self._published = False, time.monotonic()
        self._publish_s = self._published - started
        yield Notice(words(counts))

    def _is_due(self, pause_s: float) -> bool:
        return self._is_stale and time.monotonic() - self._published >= pause_s

    def _set_aside(self, entries: Sequence[PageEntry]) -> None:
        self._batch.store.set_aside(entries)
        for entry in entries:
            self._batch.tally.states.pop((entry.source, entry.page), None)
            remove(self._batch.out / entry.csv)


def _pages(folder: str | Path, options: ScanOptions, look: LookInside) -> Iterator[FoundPage]:
    try:
        yield from find_pages([folder], options, look)
    except NothingToReadError:  # nothing has arrived yet, or all of it was cleared away
        return


def _is_below(folder: str | Path, path: str) -> bool:
    """Whether a scan lies in the folder watched; others are known of runs on other folders."""
    if is_url(folder):
        return path.startswith(f"{str(folder).rstrip('/')}/")
    return Path(path).is_relative_to(os.path.abspath(folder))  # noqa: PTH100  as scans are named


def _is_as_listed(source: PageSource) -> bool:
    """Whether the file can be got at, and is the one that was listed."""
    if is_url(source.path):
        return True
    try:
        status = Path(source.path).stat()
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) == _stamp(source)
