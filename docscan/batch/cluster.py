"""Where pages are read on a Dask cluster: the contract of `engines.Engine`, the same results as on one machine.

A worker of Dask reads nothing itself. Each of its threads keeps a process of its own for the pages it is given (see
pool.py), so a page that hangs, crashes or eats the memory ends that process: never the worker, and PDFium never runs
in a thread. The scheduler holds a few pages for each thread of its workers, however many there are to read.

Before a worker gets a page it shows that it would read it as it is read here (`welcome`). It is then given a resource
of Dask's that every page asks for; so workers that join later are used as well, and those at fault never are.
"""

import asyncio
import functools
import hashlib
import importlib
import importlib.metadata
import logging
import threading
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace

from distributed import Client, KilledWorker, Reschedule, Worker, get_worker

from docscan import __version__
from docscan.batch.engines import PageReader, Reading
from docscan.batch.pool import MIB, Crew, Lost, PoolLimits, allow_workers, crew_for, work_off
from docscan.batch.worker import RESULT_FORMAT, Job, read_source
from docscan.errors import DocscanError, EngineError
from docscan.files.storage import is_url, reason_unreadable
from docscan.records import PageFailure, PageOutcome, PageSource
from docscan.stages.classify import SHIPPED, load_model

IN_FLIGHT_PER_THREAD = 3  # one is read, two wait beside it: fetching the next takes less time than reading one
_CLIENT_STARTS = 3  # tries to begin with the scheduler, on a machine too busy to start a thread
_TICK_S = 1.0
_LOOK_S = 3.0  # how often workers that have joined are looked for,
_LOOK_FIRST_S = 0.5  # ... where there is none yet
_LIBRARIES = {"cv2": "OpenCV", "numpy": "numpy", "onnxruntime": "ONNX Runtime", "PIL": "pillow"}

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DaskEngine:
    """An engine: the workers of a Dask scheduler."""

    scheduler: str
    """Its address, such as `tcp://192.168.1.10:8786`."""
    patience_s: float = 120
    """How long a run waits where there is no worker, at its start or later."""
    connect_s: float = 30
    """How long the scheduler may be out of reach."""

    def __call__(
        self, sources: Iterable[PageSource], job: Job, limits: PoolLimits, read: PageReader = read_source
    ) -> Generator[PageOutcome, None, None]:
        """Read every source; outcomes come as they finish.

        A page lost with its worker is read on another. One that ended its process, or lost every worker it was on,
        is read once more, alone, after all the others; if that fails too, a PageFailure says so.
        """
        waiting, suspects = deque(sources), deque[PageSource]()
        if not waiting:
            return
        with _connected(self) as client, _Staff(client, self, _demands(job, waiting[0])) as staff:
            order = _Order(
                read, _anywhere(job), replace(limits, workers=1, stop_at=float("inf")), staff.demands.resource
            )
            for source, answer in _answers(waiting, order, staff, limits):
                if isinstance(answer, Lost) and answer.again:
                    suspects.append(source)
                else:
                    yield _outcome(source, answer)
            while suspects:
                for source, answer in _answers(deque([suspects.popleft()]), order, staff, limits):
                    yield _outcome(source, answer)


@dataclass(frozen=True, slots=True)
class Demands:
    """What a worker must have to read a page as it is read here."""

    versions: Mapping[str, str]
    """Of docscan and of the libraries that can change a result, by name."""
    model: str
    """Path of the model; empty: the one shipped with docscan, wherever it is installed."""
    model_sha256: str
    scan: str
    """A file it must be able to open."""

    @property
    def resource(self) -> str:
        """The name under which Dask knows the workers that meet them."""
        parts = sorted(self.versions.items()), self.model_sha256
        return f"docscan-{hashlib.sha256(repr(parts).encode()).hexdigest()[:12]}"


@dataclass(frozen=True, slots=True)
class _Order:
    """What is sent with every page."""

    read: PageReader
    job: Job
    limits: PoolLimits
    resource: str


class _Staff:
    """The workers of the cluster: who may read, who may not, who is new. They are asked in a thread of its own."""

    def __init__(self, client: Client, engine: DaskEngine, demands: Demands) -> None:
        self.client = client
        self.demands = demands
        self.threads = 0
        """Of the workers that may read."""
        self._engine = engine
        self._refused: dict[str, str] = {}  # the id a worker gives itself at its start -> why
        self._has_begun = False
        self._had_some = time.monotonic()
        self._looked = 0.0
        self._looking: Future[dict[str, str]] | None = None
        self._thread = ThreadPoolExecutor(1, "docscan-staff")

    def __enter__(self) -> "_Staff":
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def look_round(self) -> None:
        """Welcome the workers that have joined, and count the threads.

        Raises EngineError where a worker there from the start is at fault, or there was none for too long.
        """
        now = time.monotonic()
        if self._looking is None and now - self._looked >= (_LOOK_S if self.threads else _LOOK_FIRST_S):
            self._looking = self._thread.submit(self._look)
        if self._looking is not None and not self._has_begun:
            wait([self._looking], timeout=_TICK_S)
        if self._looking is not None and self._looking.done():
            self._judge(self._looking.result())
            self._looking, self._looked = None, now
        if self.threads:
            self._had_some = now
        elif self._looking is None and now - self._had_some > self._engine.patience_s:
            raise EngineError(self._nobody())

    def _look(self) -> dict[str, str]:
        """Count the threads and welcome strangers; who was found at fault, by address, and why."""
        try:
            workers = self.client.scheduler_info()["workers"]
            shares = {address: facts["resources"].get(self.demands.resource) for address, facts in workers.items()}
            strangers = [
                address
                for address, facts in workers.items()
                if shares[address] is None and facts["id"] not in self._refused
            ]
            replies = self.client.run(welcome, self.demands, workers=strangers, on_error="return") if strangers else {}
        except (OSError, KeyError, RuntimeError) as error:  # the scheduler, or one of them, has just gone
            _LOG.info("the workers of %s cannot be asked just now: %r", self._engine.scheduler, error)
            return {}
        replies = {address: reply for address, reply in replies.items() if not isinstance(reply, OSError)}  # gone
        faults = {address: fault for address, reply in replies.items() if (fault := _fault(reply))}
        self._refused |= {str(workers[address]["id"]): fault for address, fault in faults.items()}
        ready = {address for address, share in shares.items() if share} | (replies.keys() - faults.keys())
        self.threads = sum(workers[address]["nthreads"] for address in ready)
        return faults

    def _judge(self, faults: Mapping[str, str]) -> None:
        """At the start somebody is there to put it right; later the others go on."""
        if faults and not self._has_begun:
            raise EngineError(
                "\n  ".join(
                    ["these workers would not read as this computer does; stop them, or put them right:"]
                    + [f"{address}: {fault}" for address, fault in sorted(faults.items())]
                )
            )
        for address, fault in faults.items():
            _LOG.warning("worker %s has joined and gets no page: %s", address, fault)
        self._has_begun = self._has_begun or self.threads > 0

    def _nobody(self) -> str:
        scheduler = self._engine.scheduler
        return (
            f"{scheduler}: there was no worker for {self._engine.patience_s:g} s. Start some, on machines that see the "
            f"scans: dask worker {scheduler} --nthreads 1 --nworkers auto. The same command goes on from here."
        )


async def welcome(demands: Demands, dask_worker: Worker) -> str:
    """Runs on a worker: what it lacks, in words; where nothing, it takes the resource that pages ask for."""
    fault = await asyncio.to_thread(_shortcoming, demands)
    if not fault:
        await dask_worker.set_resources(**{demands.resource: dask_worker.state.nthreads})
    return fault


def read_on_worker(source: PageSource, order: _Order) -> PageOutcome | Lost:
    """Runs in a thread of a worker: has a process of its own read the page."""
    try:
        [(_, answer)] = work_off([source], _crew_of_this_thread(order))
    except EngineError as error:  # no process can be started here: the worker leaves, its pages go elsewhere
        worker = get_worker()
        _LOG.warning("%s reads no more: %s", worker.address, error)
        asyncio.run_coroutine_threadsafe(worker.close_gracefully(), worker.loop.asyncio_loop)
        raise Reschedule from error
    return answer


_own = threading.local()


def _crew_of_this_thread(order: _Order) -> Crew[PageSource, PageOutcome]:
    """A process that stays, with its model, from page to page; another run replaces it."""
    if getattr(_own, "order", None) != order:
        if hasattr(_own, "stack"):
            _own.stack.close()
        allow_workers()
        job = replace(order.job, model=order.job.model or str(SHIPPED))
        _own.stack = ExitStack()
        _own.crew = _own.stack.enter_context(crew_for(Reading(order.read, job), _limits_here(order.limits)))
        _own.order = order
    crew: Crew[PageSource, PageOutcome] = _own.crew
    return crew


def _limits_here(limits: PoolLimits) -> PoolLimits:
    """Where --max-memory is not given, a page may take its thread's share of what the worker was given."""
    worker = get_worker()
    memory = worker.memory_manager.memory_limit
    if limits.max_memory_mib is not None or not memory:
        return limits
    return replace(limits, max_memory_mib=memory // worker.state.nthreads // MIB)


def _answers(
    waiting: deque[PageSource], order: _Order, staff: _Staff, limits: PoolLimits
) -> Iterator[tuple[PageSource, PageOutcome | Lost]]:
    client = staff.client
    executor = client.get_executor(pure=False, resources={order.resource: 1})
    in_flight: dict[Future[PageOutcome | Lost], PageSource] = {}
    while (waiting or in_flight) and not limits.is_over:
        if client.status in {"closing", "closed"}:
            raise EngineError(
                "the scheduler is gone; what was read so far is kept. Start it again, with its workers: the same "
                "command goes on from here."
            )
        staff.look_round()
        while waiting and client.status == "running" and len(in_flight) < IN_FLIGHT_PER_THREAD * staff.threads:
            source = waiting.popleft()
            in_flight[executor.submit(read_on_worker, source, order)] = source
        if not in_flight:
            time.sleep(_LOOK_FIRST_S)
        for future in wait(in_flight, timeout=_TICK_S, return_when=FIRST_COMPLETED).done:
            source = in_flight.pop(future)
            try:
                yield source, future.result()
            except CancelledError:  # the scheduler was out of reach for a moment
                waiting.append(source)
            except KilledWorker:
                yield source, Lost("lost every worker of the cluster that it was given to")


@contextmanager
def _connected(engine: DaskEngine) -> Iterator[Client]:
    try:
        client = _client(engine)
    except (OSError, ValueError) as error:
        raise EngineError(
            f"{engine.scheduler}: no Dask scheduler answers there ({error}). Start one with: dask scheduler; it prints "
            "its address, such as tcp://192.168.1.10:8786."
        ) from error
    with client:
        yield client


def _client(engine: DaskEngine) -> Client:
    for _ in range(_CLIENT_STARTS - 1):
        # distributed gives its own thread ten seconds to start, and on a machine that stands still for longer asserts.
        with suppress(AssertionError):
            return Client(engine.scheduler, timeout=engine.connect_s, set_as_default=False, name="docscan")
    return Client(engine.scheduler, timeout=engine.connect_s, set_as_default=False, name="docscan")


def _anywhere(job: Job) -> Job:
    """The model that is shipped may lie elsewhere on another machine."""
    return replace(job, model="") if job.model == str(SHIPPED) else job


def _demands(job: Job, first: PageSource) -> Demands:
    model = "" if job.model == str(SHIPPED) else job.model
    scan = "" if reason_unreadable(first.path) else first.path  # it may have gone since it was listed
    return Demands(_versions(), model, job.model_sha256, scan)


@functools.lru_cache(maxsize=1)
def _versions() -> dict[str, str]:
    found = {name: str(importlib.import_module(module).__version__) for module, name in _LIBRARIES.items()}
    pdfium = importlib.metadata.version("pypdfium2")
    return {"docscan": f"{__version__}, results {RESULT_FORMAT}", "pypdfium2": pdfium} | found


def _shortcoming(demands: Demands) -> str:
    here = _versions()
    others = [
        f"{name} is {here.get(name)} there and {wanted} here"
        for name, wanted in demands.versions.items()
        if here.get(name) != wanted
    ]
    if others:
        return "; ".join(others)
    try:
        sha256 = load_model(demands.model or SHIPPED).sha256
    except DocscanError as error:
        return str(error)
    if sha256 != demands.model_sha256:
        return f"its model is another one (sha256 {sha256[:12]} there, {demands.model_sha256[:12]} here)"
    unseen = reason_unreadable(demands.scan) if demands.scan else ""
    if unseen and is_url(demands.scan):
        return unseen
    return unseen and f"{demands.scan}: {unseen}; mount the folder of the scans there, under the same path"


def _fault(reply: object) -> str:
    if isinstance(reply, str):
        return reply
    return f"docscan cannot be run there; is it installed, and of the same version? ({reply})"


def _outcome(source: PageSource, answer: PageOutcome | Lost) -> PageOutcome:
    return answer if isinstance(answer, PageOutcome) else PageOutcome(source, PageFailure(answer.reason))
