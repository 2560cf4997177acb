"""Tasks -> answers, in processes of their own: one that hangs, crashes or eats the memory costs itself only.

Each worker has a pipe of its own and shares nothing else, no lock, no queue, no memory: whenever one is killed, the
others do not notice. (Pools whose workers share a pipe wait for the lock a killed one took with it; pebble's did.)
"""

import logging
import os
import pickle
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.process import BaseProcess, current_process, parent_process
from types import ModuleType
from typing import Any, Generic, TypeVar

import psutil

from docscan.batch.threads import limit_threads
from docscan.errors import EngineError

Task = TypeVar("Task")
Answer = TypeVar("Answer")

MIB = 1 << 20
_IN_HAND = 2  # tasks a worker holds: the one it works on, and one, so that it need not wait for the parent to write
_MOST_WORKERS = 60 if sys.platform == "win32" else 10_000  # Windows waits for no more than 63 things at once
_START_S = 300  # a cold start from a network share, on a machine that does something else
_STARTS_IN_VAIN = 3  # a worker may be killed as it starts; three in a row say that none will
_TICK_S = 1.0  # how long a Ctrl-C may go unnoticed on Windows
_ENOUGH_MIB = 4096  # a page of 250 megapixels takes 1200, an A4 page at 300 dpi 250
_WORKERS_SHARE = 0.8  # of the machine's memory; the rest is for the system and for the parent
_WATCH_S = 0.1  # how often memory is looked at: a worker can fill some 300 MB meanwhile


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """What the worker processes may do."""

    workers: int
    page_timeout_s: float
    """A page that takes longer is given up."""
    max_memory_mib: int | None = None
    """A worker that takes more is stopped, and its page read once more, alone. None: enough, see `memory_mib`."""
    recycle_pages: int = 500
    """A worker is replaced after this many pages, whatever its libraries have leaked by then."""
    stop_at: float = float("inf")
    """When to stop whatever is left, in seconds since 1970."""

    @property
    def is_over(self) -> bool:
        """Whether the time is up."""
        return time.time() >= self.stop_at

    @property
    def memory_mib(self) -> int:
        """What a worker may take, in MiB."""
        if self.max_memory_mib is not None:
            return self.max_memory_mib
        return min(_ENOUGH_MIB, int(_WORKERS_SHARE * psutil.virtual_memory().total / self.workers) // MIB)


@dataclass(frozen=True, slots=True)
class Lost:
    """A task that came back without an answer: its worker died or was stopped."""

    reason: str
    again: bool = True
    """Whether it may be the fault of what went on beside it, so that another try makes sense."""


def answers(
    tasks: Iterable[Task], do: Callable[[Task], Answer], limits: PoolLimits
) -> Generator[tuple[Task, Answer | Lost], None, None]:
    """Every task with what `do` makes of it, as they finish. `do` is pickled: workers import it by name.

    A task that takes too long is given up. One that crashed its worker, or took more memory than it may, is tried
    once more, alone, after all the others; Lost is what comes of it then.

    Closing the iterator kills the workers; where the time is up the tasks left have no answer. Raises EngineError where
    no worker can be started.
    """
    suspects: list[Task] = []
    for task, answer in _tries(tasks, do, limits):
        if isinstance(answer, Lost) and answer.again:
            suspects.append(task)
        else:
            yield task, answer
    for suspect in suspects:  # each in a process of its own
        yield from _tries([suspect], do, replace(limits, workers=1))


def _tries(
    tasks: Iterable[Task], do: Callable[[Task], Answer], limits: PoolLimits
) -> Generator[tuple[Task, Answer | Lost], None, None]:
    with crew_for(do, limits) as crew:
        yield from work_off(tasks, crew)


def work_off(tasks: Iterable[Task], crew: "Crew[Task, Answer]") -> Generator[tuple[Task, Answer | Lost], None, None]:
    """The same with workers that stay for the next tasks; each is tried once."""
    waiting = deque(tasks)
    while (waiting or crew.is_busy) and not crew.limits.is_over:
        crew.hand_out(waiting)
        for worker in crew.woken():
            yield from crew.attend(worker, waiting)
        crew.stop_the_overdue()


@dataclass(eq=False, slots=True)
class _Worker(Generic[Task]):
    process: BaseProcess
    pipe: "Connection[Any, Any]"
    in_hand: list[Task] = field(default_factory=list)
    """What it was given and has not answered; it works on the first."""
    given: int = 0
    is_ready: bool = False
    since: float = field(default_factory=time.monotonic)
    """When it began with the first in hand, or was started."""
    verdict: tuple[list[Task], Lost] | None = None
    """Over which task it was killed, if it had one, and why."""

    def kill(self, lost: Lost) -> None:
        self.verdict = self.in_hand[:1], lost
        self.process.kill()  # it writes nothing: there is nothing to tidy up

    def answered(self) -> Task:
        self.since = time.monotonic()
        return self.in_hand.pop(0)

    def lost(self) -> Lost:
        """Why the first in hand has no answer. The process has ended."""
        if self.verdict is not None and self.verdict[0] == self.in_hand[:1]:
            return self.verdict[1]
        code = self.process.exitcode
        if code == -getattr(signal, "SIGKILL", 9):
            return Lost("its worker process was killed; the machine may be out of memory")
        return Lost(f"made its worker process crash (exit code {code}); the file may be damaged")


class Crew(Generic[Task, Answer]):
    """The workers there are."""

    def __init__(self, do: Callable[[Task], Answer], limits: PoolLimits) -> None:
        self._do = do
        self.limits = limits
        self._workers: list[_Worker[Task]] = []
        self._starts_in_vain = 0
        self._memory_mib = limits.memory_mib

    @property
    def is_busy(self) -> bool:
        """Whether a task has no answer yet."""
        return any(worker.in_hand for worker in self._workers)

    def hand_out(self, waiting: deque[Task]) -> None:
        """Give the workers something to do; replace those that have done enough, start those that are missing."""
        for worker in [worker for worker in self._workers if self._is_spent(worker) and not worker.in_hand]:
            worker.process.kill()
            self._dismiss(worker)
        wanted = min(self.limits.workers, _MOST_WORKERS, len(waiting) + sum(bool(w.in_hand) for w in self._workers))
        while len(self._workers) < wanted and self._start():
            pass
        for _ in range(_IN_HAND):  # one each, before anybody has two
            for worker in self._workers:
                may_take = worker.is_ready and not self._is_spent(worker) and len(worker.in_hand) < _IN_HAND
                if waiting and may_take:
                    self._give(worker, waiting.popleft())

    def woken(self) -> list[_Worker[Task]]:
        """The workers that have said something or ended; waits for one, but never for long."""
        now = time.monotonic()
        next_due = min((self._due(worker) - now for worker in self._workers), default=_TICK_S)
        pipes = wait([worker.pipe for worker in self._workers], timeout=max(0.0, min(_TICK_S, next_due)))
        return [worker for worker in self._workers if worker.pipe in pipes]

    def attend(self, worker: _Worker[Task], waiting: deque[Task]) -> Iterator[tuple[Task, Answer | Lost]]:
        """Take what a woken worker says; where it has ended, its first task is lost and the others wait again."""
        try:
            said = worker.pipe.recv()
        except (EOFError, OSError, pickle.UnpicklingError):
            self._dismiss(worker)
            self._starts_in_vain += not worker.is_ready
            if self._starts_in_vain >= _STARTS_IN_VAIN:
                raise EngineError(
                    f"no worker process can be started (the last ended with exit code {worker.process.exitcode}); "
                    "is the machine out of memory or processes? `docscan doctor` says whether anything is missing"
                ) from None
            if worker.in_hand:
                lost = worker.lost()
                task = worker.in_hand.pop(0)
                waiting.extendleft(reversed(worker.in_hand))
                yield task, lost
            return
        if worker.is_ready:
            yield worker.answered(), said
        else:
            worker.is_ready, worker.since, self._starts_in_vain = True, time.monotonic(), 0

    def stop_the_overdue(self) -> None:
        """Kill the workers that took too long."""
        limit = self.limits.page_timeout_s
        words = f"took longer than {limit:g} s; raise --page-timeout to give it more"
        for worker in self._workers:
            if time.monotonic() > self._due(worker) and not worker.pipe.poll():
                worker.kill(Lost(words, again=False))

    def stop_the_greedy(self) -> None:
        """Kill the workers that take more memory than they may. Runs in a thread of its own."""
        limit = self._memory_mib
        for worker in tuple(self._workers):
            with suppress(psutil.Error):  # it has just ended
                if psutil.Process(worker.process.pid).memory_info().rss > limit * MIB:
                    worker.kill(Lost(f"needs more memory than {limit:,} MiB; raise --max-memory, or lower --dpi"))

    def stop(self) -> None:
        """Kill all of them."""
        for worker in self._workers:
            worker.process.kill()
        while self._workers:
            self._dismiss(self._workers[-1])

    def _start(self) -> bool:
        """Whether another worker could be started. Raises EngineError where that leaves none."""
        here, there = _Context().Pipe()
        process = _WorkerProcess(target=_serve, args=(there,), daemon=True)
        try:
            process.start()
        except OSError as error:
            here.close()
            if self._workers:
                return False
            raise EngineError(f"no worker process can be started ({error.strerror or error})") from error
        finally:
            there.close()
        worker: _Worker[Task] = _Worker(process, here)
        self._workers.append(worker)
        with suppress(OSError):  # it has ended; its pipe will say so
            here.send(self._do)
        return True

    def _give(self, worker: _Worker[Task], task: Task) -> None:
        if not worker.in_hand:
            worker.since = time.monotonic()
        worker.in_hand.append(task)
        worker.given += 1
        with suppress(OSError):
            worker.pipe.send(task)

    def _is_spent(self, worker: _Worker[Task]) -> bool:
        return worker.given >= self.limits.recycle_pages

    def _due(self, worker: _Worker[Task]) -> float:
        """When it should have said something."""
        if worker.verdict is not None or (worker.is_ready and not worker.in_hand):
            return float("inf")
        return worker.since + (self.limits.page_timeout_s if worker.is_ready else _START_S)

    def _dismiss(self, worker: _Worker[Task]) -> None:
        self._workers.remove(worker)
        worker.pipe.close()  # one that still lives ends on that
        worker.process.join(_TICK_S)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()


@contextmanager
def crew_for(do: Callable[[Task], Answer], limits: PoolLimits) -> Iterator[Crew[Task, Answer]]:
    """Workers that do `do`; they are killed at the end of the block."""
    crew = Crew(do, limits)
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_WATCH_S):
            crew.stop_the_greedy()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield crew
    finally:
        ended.set()
        watcher.join()
        crew.stop()


def allow_workers() -> None:
    """Let a process keep a crew that is a daemon itself, as a worker of Dask is; the crew ends with it all the same."""
    current_process().daemon = False


def _serve(pipe: "Connection[Any, Any]") -> None:
    """A worker's life: learn what to do, do it with whatever comes, until nobody is there to ask."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    _hush_libraries()
    limit_threads()
    with suppress(EOFError, OSError):  # the parent is gone, or wants no more
        do = pipe.recv()  # not an argument of the process: it brings numpy, which must come after limit_threads
        pipe.send(None)
        while True:
            pipe.send(do(pipe.recv()))


def _hush_libraries() -> None:
    """Keep what libtiff, Pillow and others say about damaged files off the terminal; Python's own stderr stays."""
    logging.lastResort = None
    with suppress(OSError):  # there is no stderr: nobody is told anything
        sys.stderr = os.fdopen(os.dup(2), "w", buffering=1, encoding="utf-8", errors="backslashreplace")
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _end_with_the_parent() -> None:
    """A page that hangs would outlive a parent that was killed."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        psutil.Process().kill()


_ONE_START = threading.Lock()  # at a time: a thread of its own may keep each crew


class _WorkerProcess(SpawnProcess):
    """A spawned process that neither imports the caller's script nor hears Ctrl-C.

    The script's import would run scan_batch again in every worker where it stands outside
    `if __name__ == "__main__"`. Ctrl-C reaches every process of a terminal; the parent alone decides what it means.
    """

    @staticmethod
    def _Popen(process_obj: BaseProcess) -> Any:  # noqa: N802  its name in multiprocessing
        with _ONE_START:
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
