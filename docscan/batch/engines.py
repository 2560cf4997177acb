"""Where workers live: processes on this machine. Sources go in, an outcome comes back for every one of them."""

import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any

from pebble import ProcessExpired, ProcessPool

from docscan.batch.threads import limit_threads
from docscan.batch.worker import Job, read_source
from docscan.records import PageFailure, PageOutcome, PageSource

PageReader = Callable[[PageSource, Job], PageOutcome]
"""A module's function: workers import it by name."""

_IN_FLIGHT_PER_WORKER = 4  # enough that no worker waits for the parent to write, few enough to stop at once
_TICK_S = 1.0  # how long a Ctrl-C may go unnoticed on Windows


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """What the worker processes may do."""

    workers: int
    page_timeout_s: float
    """A page that takes longer is given up."""
    recycle_pages: int = 500
    """A worker is replaced after this many pages, whatever its libraries have leaked by then."""


@dataclass(frozen=True, slots=True)
class _Lost:
    """A page that came back without an outcome: its worker died or was stopped."""

    reason: str


def read_locally(
    sources: Iterable[PageSource], job: Job, limits: PoolLimits, read: PageReader = read_source
) -> Iterator[PageOutcome]:
    """Read every source in worker processes; outcomes come as they finish, one for every source.

    A page that kills or hangs its worker is read once more, alone, after all the others; if that fails too, a
    PageFailure says so. Closing the iterator stops the workers.
    """
    queue = deque(sources)
    suspects: list[PageSource] = []
    while queue:  # once, unless the pool itself breaks
        for source, answer in _answers(queue, job, limits, read):
            if isinstance(answer, PageOutcome):
                yield answer
            else:
                suspects.append(source)
    alone = PoolLimits(1, limits.page_timeout_s, recycle_pages=1)
    for suspect in suspects:
        for source, answer in _answers(deque([suspect]), job, alone, read):
            yield answer if isinstance(answer, PageOutcome) else PageOutcome(source, PageFailure(answer.reason))


def _answers(
    queue: deque[PageSource], job: Job, limits: PoolLimits, read: PageReader
) -> Iterator[tuple[PageSource, PageOutcome | _Lost]]:
    """Take sources off the queue and answer for each; sources are left on it only where the pool broke."""
    in_flight: dict[Future[PageOutcome], PageSource] = {}
    with _pool(limits) as pool:
        while (queue or in_flight) and pool.active:
            while queue and len(in_flight) < _IN_FLIGHT_PER_WORKER * limits.workers:
                future = _schedule(pool, read, queue[0], job, limits.page_timeout_s)
                if future is None:
                    break
                in_flight[future] = queue.popleft()
            done, _ = wait(in_flight, timeout=_TICK_S, return_when=FIRST_COMPLETED)
            for future in done:
                yield in_flight.pop(future), _answer(future, limits)
        for source in in_flight.values():
            yield source, _Lost("the page's worker process ended with the others; the machine may be out of memory")


@contextmanager
def _pool(limits: PoolLimits) -> Iterator[ProcessPool]:
    pool = ProcessPool(
        max_workers=limits.workers, max_tasks=limits.recycle_pages, initializer=limit_threads, context=_Context()
    )
    try:
        yield pool
    finally:
        pool.stop()  # type: ignore[no-untyped-call]  # nothing is left in it, or nobody waits for the answer any more
        with suppress(RuntimeError):  # never started
            pool.join()


def _schedule(
    pool: ProcessPool, read: PageReader, source: PageSource, job: Job, timeout_s: float
) -> Future[PageOutcome] | None:
    try:
        future: Future[PageOutcome] = pool.schedule(read, args=(source, job), timeout=timeout_s)
    except RuntimeError:  # the pool broke since it was last asked
        return None
    return future


def _answer(future: Future[PageOutcome], limits: PoolLimits) -> PageOutcome | _Lost:
    try:
        return future.result()
    except TimeoutError:
        return _Lost(f"the page took longer than {limits.page_timeout_s:g} s; raise --page-timeout to give it more")
    except ProcessExpired as error:
        return _Lost(f"the page made its worker process crash (exit code {error.exitcode}); the file may be damaged")
    except BrokenProcessPool:
        return _Lost("the page's worker process ended with the others; the machine may be out of memory")


class _WorkerProcess(SpawnProcess):
    """A spawned process that neither imports the caller's script nor hears Ctrl-C.

    The script's import would run scan_batch again in every worker where it stands outside
    `if __name__ == "__main__"`. Ctrl-C reaches every process of a terminal; the parent alone decides what it means.
    """

    @staticmethod
    def _Popen(process_obj: BaseProcess) -> Any:  # noqa: N802  its name in multiprocessing
        script = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            with _deaf_to_interrupts():
                return SpawnProcess._Popen(process_obj)
        finally:
            sys.modules["__main__"] = script


class _Context(SpawnContext):
    """Spawn, never fork: OpenCV and ONNX Runtime hang after a fork."""

    Process = _WorkerProcess


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    if not hasattr(signal, "pthread_sigmask"):  # Windows: the worker ignores it once it runs
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # a new process inherits it
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
