"""Times the reading of pages, decode to CSV, stage by stage, in a process like those of `docscan run`."""

import inspect
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from docscan.batch.threads import limit_threads

ALL_IN = "all in"
REST = "the rest"


@dataclass(frozen=True, slots=True)
class Cost:
    """What something took, in seconds."""

    wall: float = 0.0
    cpu: float = 0.0
    """Of all the process's threads."""

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.wall + other.wall, self.cpu + other.cpu)

    def __sub__(self, other: "Cost") -> "Cost":
        return Cost(self.wall - other.wall, self.cpu - other.cpu)


@dataclass(slots=True)
class Stopwatch:
    """Adds up what each named step takes, in the order they are first met."""

    costs: dict[str, Cost] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        took = Cost(time.perf_counter() - wall, time.process_time() - cpu)
        self.costs[name] = self.costs.get(name, Cost()) + took

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            with self.step(name):
                return function(*arguments, **options)

        return call


def measure_alone(scans: Sequence[Path], out: Path, repeats: int) -> list[dict[str, Cost]]:
    """`measure` in a process of its own, spawned and kept to one thread as the workers of a run are."""
    limit_threads()  # numpy reads its limits when it is loaded: the new process inherits them
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), limit_threads) as pool:
        return pool.submit(measure, scans, out, repeats).result()


def measure(scans: Sequence[Path], out: Path, repeats: int) -> list[dict[str, Cost]]:
    """What each scan's steps cost when it is read `repeats` times: those of the quickest reading, and `ALL_IN`.

    The steps are those of docscan.pipeline, whatever they are, between `decode` and `write CSV`. One reading goes
    before and is not counted.
    """
    _read(scans[0], out, Stopwatch())
    costs = []
    for scan in scans:
        readings = [_read(scan, out, Stopwatch()) for _ in range(repeats)]
        costs.append(min(readings, key=lambda reading: reading[ALL_IN].wall))
    return costs


def _read(scan: Path, out: Path, watch: Stopwatch) -> dict[str, Cost]:
    from docscan.batch import worker  # noqa: PLC0415  heavy: after limit_threads
    from docscan.files.results import CsvFormat, page_csv, write_numbers  # noqa: PLC0415
    from docscan.files.scans import ScanOptions  # noqa: PLC0415
    from docscan.records import PageFailure, PageSource  # noqa: PLC0415
    from docscan.settings import Settings  # noqa: PLC0415
    from docscan.stages.classify import SHIPPED  # noqa: PLC0415

    source = PageSource(str(scan.absolute()), scan.name)
    job = worker.Job(Settings(), ScanOptions(), str(SHIPPED), model_sha256="")
    with watch.step(ALL_IN), _stages_timed(watch):
        outcome = worker.read_source(source, job)
        if isinstance(outcome.result, PageFailure):
            raise ValueError(f"{scan}: {outcome.result.reason}")
        rows = [(source.name, source.page, number) for number in outcome.result.numbers]
        with watch.step("write CSV"):
            write_numbers(out / page_csv(source), rows, CsvFormat())
    total = watch.costs.pop(ALL_IN)
    return watch.costs | {REST: total - sum(watch.costs.values(), Cost()), ALL_IN: total}


@contextmanager
def _stages_timed(watch: Stopwatch) -> Iterator[None]:
    """Within the block, opening a page and every stage that the pipeline calls go through the watch."""
    from docscan import pipeline  # noqa: PLC0415
    from docscan.batch import worker  # noqa: PLC0415
    from docscan.files.scans import open_page  # noqa: PLC0415
    from docscan.stages.classify import DigitModel  # noqa: PLC0415

    with ExitStack() as patches:
        patches.enter_context(patch.object(worker, "open_page", watch.timed("decode", open_page)))
        classify = watch.timed("classify", DigitModel.probabilities)
        patches.enter_context(patch.object(DigitModel, "probabilities", classify))
        for name, stage in inspect.getmembers(pipeline, inspect.isfunction):
            if stage.__module__.startswith("docscan.stages."):
                patches.enter_context(patch.object(pipeline, name, watch.timed(name.replace("_", " "), stage)))
        yield
