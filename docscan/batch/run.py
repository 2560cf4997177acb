"""Scans in, an output folder out: what is pending, who reads it, each outcome written, all of it reconciled.

Pages in = read + blank + failed (+ left, where only failed pages were asked for). What is done is known by its key, see
`Job.key_for`; a run that was stopped, killed or lost its machine goes on where it was.
"""

import itertools
import os
import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Literal

from docscan import __version__
from docscan.batch.engines import Engine, PageReader, look_locally, read_locally
from docscan.batch.lock import held
from docscan.batch.mirror import readable_folder, working_folder
from docscan.batch.pool import PoolLimits
from docscan.batch.report import NAME as REPORT_NAME
from docscan.batch.report import Tally, facts_of, reported, words
from docscan.batch.worker import Job, read_source
from docscan.errors import NothingToReadError, OutputError, SettingsError
from docscan.files.results import DRAFT_SUFFIX, CsvFormat, page_csv, write_failures, write_numbers
from docscan.files.scans import FoundPage, ScanOptions, find_pages
from docscan.files.spreadsheet import write_workbook
from docscan.files.store import NAME as STORE_NAME
from docscan.files.store import Counts, PageEntry, State, Store, open_store
from docscan.records import PageFailure, PageOutcome, PageResult, PageSource
from docscan.settings import Settings
from docscan.stages.classify import SHIPPED, SHIPPED_STRINGS, load_model

Mode = Literal["resume", "redo", "force"]
RESULTS = ("results.csv", "failures.csv", "results.xlsx")


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a batch is run; what it reads on a page is in Settings."""

    jobs: int | None = None
    """Worker processes; None: one for each core this process may use."""
    mode: Mode = "resume"
    """`resume`: read what is new, changed or failed. `redo`: every page again. `force`: empty the folder first."""
    retry_failed: bool = False
    """Read only the pages that failed last time."""
    checksum: bool = False
    """Tell a changed file by its content rather than by its size and time."""
    page_timeout_s: float = 120
    """A page that takes longer is given up."""
    max_memory_mib: int | None = None
    """A worker process that takes more is stopped. None: see PoolLimits."""
    engine: Engine = read_locally
    """What reads the pages."""
    deadline: datetime | None = None
    """When to stop reading; the pages left are for another run. None: when all are read."""
    scans: ScanOptions = field(default_factory=ScanOptions)
    csv: CsvFormat = field(default_factory=CsvFormat)
    model: Path = SHIPPED

    def __post_init__(self) -> None:
        if self.jobs is not None and self.jobs < 1:
            raise SettingsError(f"jobs is {self.jobs}; expected 1 or more")
        if self.page_timeout_s <= 0:
            raise SettingsError(f"page_timeout is {self.page_timeout_s}; expected more than 0 seconds")
        if self.max_memory_mib is not None and self.max_memory_mib < 1:
            raise SettingsError(f"max_memory is {self.max_memory_mib}; expected 1 MiB or more, such as 2000")
        if self.retry_failed and self.mode != "resume":
            raise SettingsError(f"retry_failed reads the failed pages alone, mode {self.mode!r} reads all: choose one")

    @property
    def workers(self) -> int:
        """Worker processes to start."""
        return self.jobs or usable_cores()

    @property
    def pool_limits(self) -> PoolLimits:
        """What the worker processes may do."""
        return PoolLimits(self.workers, self.page_timeout_s, self.max_memory_mib)


@dataclass(frozen=True, slots=True)
class Plan:
    """Which pages there are, and which of them are to be read."""

    entries: tuple[PageEntry, ...]
    """All of them, in the order they were found."""
    pending: tuple[PageSource, ...]
    broken: tuple[PageOutcome, ...]
    """Files that failed before any page of theirs could be told apart."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A run that holds its output folder."""

    out: Path
    store: Store
    job: Job
    options: RunOptions
    plan: Plan
    tally: Tally

    @property
    def pending(self) -> int:
        """How many outcomes there will be."""
        return len(self.plan.pending) + len(self.plan.broken)

    def outcomes(self, read: PageReader = read_source) -> Generator[PageOutcome, None, None]:
        """Read what is pending; an outcome is written before it is handed on. Closing the iterator stops the run."""
        with closing(self._read_pages(read)) as read_pages:
            for outcome in itertools.chain(self.plan.broken, read_pages):
                self._write(outcome)
                yield outcome

    def finish(self) -> Counts:
        """Reconcile the pages, and write results.csv, failures.csv and results.xlsx where they are not up to date."""
        counts = self.store.counts()
        if counts.found != len(self.plan.entries):
            raise OutputError(
                f"{self.out / STORE_NAME} holds {counts.found} of the {len(self.plan.entries)} pages of this run: "
                "another program has changed it. The same command reads what is missing."
            )
        form = form_of(self.options.csv)
        self._restore_page_csvs(rewrite=self.store.meta("csv_format") != form)
        stale = self.store.meta("results") != f"{form} {__version__}"
        if stale or not all((self.out / name).is_file() for name in RESULTS):
            write_numbers(self.out / "results.csv", self.store.numbers(), self.options.csv)
            write_failures(self.out / "failures.csv", self.store.failures(), self.options.csv)
            summary = _summary(counts, self.job)
            write_workbook(self.out / "results.xlsx", self.store.numbers(), self.store.failures(), summary)
        self.store.set_meta(results=f"{form} {__version__}", csv_format=form)
        is_late = self.options.deadline is not None and time.time() >= self.options.deadline.timestamp()
        self.tally.ending = "deadline" if is_late and counts.left else "finished"
        return counts

    def _read_pages(self, read: PageReader) -> Generator[PageOutcome, None, None]:
        """One outcome for every pending page, whatever the engine makes of its task; until the deadline."""
        open_items = {(source.name, source.page): source for source in self.plan.pending}
        limits = self.options.pool_limits
        if self.options.deadline is not None:
            limits = replace(limits, stop_at=self.options.deadline.timestamp())
        with closing(self.options.engine(self.plan.pending, self.job, limits, read)) as outcomes:
            for outcome in outcomes:
                if open_items.pop((outcome.source.name, outcome.source.page), None) is not None:
                    yield outcome
        for source in () if limits.is_over else open_items.values():
            yield PageOutcome(source, PageFailure("no worker has answered for it; run again to read it"))

    def _write(self, outcome: PageOutcome) -> None:
        """The CSV first, then the row that says it is done: a crash between the two repeats one page."""
        started = time.perf_counter()
        source, path = outcome.source, self.out / page_csv(outcome.source)
        if isinstance(outcome.result, PageResult):
            numbers = outcome.result.numbers
            write_numbers(path, ((source.name, source.page, number) for number in numbers), self.options.csv)
        else:
            remove(path)
        self.store.record(outcome, self.job.key_for(source), time.time())
        self.tally.add(outcome, time.perf_counter() - started)

    def _restore_page_csvs(self, *, rewrite: bool) -> None:
        """Write the CSVs somebody deleted, or all of them where their format has changed, from the database."""
        for entry in self.store.entries():
            path = os.path.join(self.out, entry.csv)  # noqa: PTH118  a Path takes longer than the file system
            if entry.state in {"read", "blank"} and (rewrite or not os.path.isfile(path)):  # noqa: PTH113
                write_numbers(Path(path), self.store.numbers_of(entry.source, entry.page), self.options.csv)


def scan_batch(
    scans: Sequence[str | Path],
    out: str | Path,
    *,
    settings: Settings | None = None,
    options: RunOptions | None = None,
    read: PageReader = read_source,
) -> Generator[PageOutcome, None, None]:
    """Read folders, files and globs of scans into the folder `out`; yield each page's outcome as it is written.

    Scans and `out` may be URLs in object storage.

    Pages an earlier run has read are skipped, see RunOptions. The results of all pages are written at the end:
    where the loop is left early `out` can be resumed. Raises DocscanError where nothing can be started.
    """
    with open_batch(scans, out, settings=settings, options=options) as batch:
        yield from batch.outcomes(read)
        batch.finish()


@contextmanager
def open_batch(
    scans: Sequence[str | Path], out: str | Path, *, settings: Settings | None = None, options: RunOptions | None = None
) -> Iterator[Batch]:
    """Find the pages, hold `out`, and settle what is to be read; nothing is read yet.

    Where `out` is a URL the batch writes to a folder of this computer, which is published there, see mirror.py.

    Raises ModelError, NothingToReadError, OutputInUseError or OutputError before anything in `out` has changed.
    """
    options = options or RunOptions()
    job = job_for(settings or Settings(), options)
    found = _find(scans, options)
    with working_folder(out) as folder, held(folder):
        if options.mode == "force":
            _empty(folder)
        with open_store(folder, create=True) as store:
            plan = plan_pages(found, _known(store), job, options)
            begin(folder, store, plan, form_of(options.csv))
            tally = Tally({(entry.source, entry.page): entry.state for entry in plan.entries})
            facts = facts_of(scans, models_of(job), job.settings, options)
            with reported(folder, tally, facts):
                yield Batch(folder, store, job, options, plan, tally)


def plan_batch(
    scans: Sequence[str | Path], out: str | Path, *, settings: Settings | None = None, options: RunOptions | None = None
) -> Plan:
    """What a run would read, without touching `out`."""
    options = options or RunOptions()
    job = job_for(settings or Settings(), options)
    found = _find(scans, options)
    with readable_folder(out) as folder:
        if options.mode == "force" or not (folder / STORE_NAME).is_file():
            return plan_pages(found, {}, job, options)
        with open_store(folder) as store:
            return plan_pages(found, _known(store), job, options)


def usable_cores() -> int:
    """How many cores this process may use: fewer than the machine has where it is confined."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def job_for(settings: Settings, options: RunOptions) -> Job:
    """What the pages have in common. Raises ModelError."""
    model = load_model(options.model)  # its contract is checked here, once, before the first page
    return Job(settings, options.scans, str(options.model), model.sha256, options.checksum)


def models_of(job: Job) -> list[Path]:
    """The files of the models a job reads with."""
    return [Path(job.model), SHIPPED_STRINGS]


def _find(scans: Sequence[str | Path], options: RunOptions) -> dict[tuple[str, int], PageSource | PageOutcome]:
    """The pages of the scans by name and page, in order."""
    found = by_name(find_pages(scans, options.scans, partial(look_locally, limits=options.pool_limits)))
    if not found:
        raise NothingToReadError("none of the scans has any of the pages wanted")
    return found


def by_name(pages: Iterable[FoundPage]) -> dict[tuple[str, int], PageSource | PageOutcome]:
    """Pages by the name and page of their source, in their order; those at fault as their outcome."""
    found: dict[tuple[str, int], PageSource | PageOutcome] = {}
    for item in pages:
        source = item if isinstance(item, PageSource) else item[0]
        found[source.name, source.page] = source if isinstance(item, PageSource) else PageOutcome(source, item[1])
    return found


def plan_pages(
    found: Mapping[tuple[str, int], PageSource | PageOutcome],
    known: Mapping[tuple[str, int], PageEntry],
    job: Job,
    options: RunOptions,
) -> Plan:
    """Which of the pages found are to be read, where `known` is what the database has of them."""
    entries, pending, broken = [], [], []
    for (name, page), item in found.items():
        source = item.source if isinstance(item, PageOutcome) else item
        before = known.get((name, page))
        wanted = _is_pending(before, job, source, options)
        if wanted and isinstance(item, PageOutcome):
            broken.append(item)
        elif wanted:
            pending.append(source)
        state: State = "found" if before is None or (wanted and before.state != "failed") else before.state
        csv = page_csv(source).as_posix()
        entries.append(PageEntry(name, page, path_as_text(source), csv, state, "" if before is None else before.key))
    return Plan(tuple(entries), tuple(pending), tuple(broken))


def path_as_text(source: PageSource) -> str:
    """A path may hold bytes that are no text."""
    return source.path.encode(errors="backslashreplace").decode()


def _known(store: Store) -> dict[tuple[str, int], PageEntry]:
    every = (*store.entries(), *store.entries_set_aside())
    return {(entry.source, entry.page): entry for entry in every}


def _is_pending(before: PageEntry | None, job: Job, source: PageSource, options: RunOptions) -> bool:
    if options.retry_failed:
        return before is not None and before.state == "failed"
    if options.mode != "resume" or before is None or before.state not in {"read", "blank"}:
        return True
    return before.key != job.key_for(source)


def begin(out: Path, store: Store, plan: Plan, form: str) -> None:
    """Make the plan's pages the database's inputs, and clear away what is no longer one of them."""
    if store.meta("csv_format") != form:
        store.set_meta(csv_format="several" if store.meta("csv_format") else form)
    store.set_meta(started=repr(time.time()))
    for folder, _, names in os.walk(out / "pages"):
        for name in names:
            if name.startswith(".") and name.endswith(DRAFT_SUFFIX):  # of a run that was killed
                remove(Path(folder, name))
    if list(store.entries()) == list(plan.entries):
        return
    kept = {entry.csv for entry in plan.entries}
    gone = [entry.csv for entry in store.entries() if entry.csv not in kept]
    store.replace_inputs(plan.entries)
    for csv in gone:
        remove(out / csv)


def _empty(out: Path) -> None:
    """Remove what docscan wrote, and nothing else: somebody may keep other files there."""
    if not (out / STORE_NAME).is_file():
        return
    folders = [path for path in (out / "pages").rglob("*") if path.is_dir()]
    for path in (
        *(out / "pages").rglob("*.csv"),
        *(out / name for name in (*RESULTS, REPORT_NAME, f"{STORE_NAME}-journal", STORE_NAME)),
    ):
        remove(path)
    for folder in sorted(folders, key=lambda path: len(path.parts), reverse=True):
        with suppress(OSError):  # not empty
            folder.rmdir()


def remove(path: Path) -> None:
    """Remove a file that may not be there. Raises OutputError in words."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path} cannot be replaced ({error.strerror}); is it open elsewhere?") from error


def form_of(csv: CsvFormat) -> str:
    """What the database remembers of how CSVs were written."""
    return f"{csv.encoding} {csv.delimiter!r}"


def _summary(counts: Counts, job: Job) -> Sequence[str]:
    return [
        words(counts),
        f"docscan {__version__}, model {job.model_sha256[:12]}, settings {job.settings.digest()}",
        "text: the digits as written. confidence: the chance that the whole of text is right, 0 to 1.",
        "review: TRUE, and the row tinted, where a person should look; reason says why.",
        "x, y, width, height: the number's place on the scan, in pixels.",
    ]
