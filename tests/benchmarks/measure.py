"""Times the reading of pages, decode to CSV, stage by stage, in a process like those of `docscan run`."""

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from docscan.batch.stopwatch import Cost, Stopwatch
from docscan.batch.threads import limit_threads
from docscan.batch.worker import Job, read_timed
from docscan.files.results import CsvFormat, page_csv, write_numbers
from docscan.files.scans import ScanOptions
from docscan.records import PageFailure, PageSource
from docscan.settings import Settings
from docscan.stages.classify import SHIPPED

ALL_IN = "all in"
REST = "the rest"
_IN_REST = ("rest", "load_model", "read_strings")  # once a process; and only where digits are in doubt


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
    _read(scans[0], out)
    costs = []
    for scan in scans:
        readings = [_read(scan, out) for _ in range(repeats)]
        costs.append(min(readings, key=lambda reading: reading[ALL_IN].wall))
    return costs


def _read(scan: Path, out: Path) -> dict[str, Cost]:
    source = PageSource(str(scan.absolute()), scan.name)
    watch = Stopwatch()
    with watch.step("rest"):
        result = read_timed(source, Job(Settings(), ScanOptions(), str(SHIPPED), model_sha256=""), watch)
        if isinstance(result, PageFailure):
            raise ValueError(f"{scan}: {result.reason}")
        with watch.step("write CSV"):
            rows = [(source.name, source.page, number) for number in result.numbers]
            write_numbers(out / page_csv(source), rows, CsvFormat())
    steps = {name.replace("_", " "): cost for name, cost in watch.costs.items() if name not in _IN_REST}
    total = sum(watch.costs.values(), Cost())
    return steps | {REST: total - sum(steps.values(), Cost()), ALL_IN: total}
