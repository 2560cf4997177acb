"""How fast batches are: two workers beside one, long runs beside short ones, and a resume with all pages done.

python -m tests.benchmarks.batch scaling [--pages 200]
python -m tests.benchmarks.batch length [--pages 10000]
python -m tests.benchmarks.batch resume [--pages 100000]
"""

# ruff: noqa: T201  what is measured is printed

import argparse
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterable
from pathlib import Path

from PIL import Image

from docscan.batch.engines import PageReader
from docscan.batch.pool import PoolLimits
from docscan.batch.run import RunOptions, open_batch
from docscan.batch.worker import Job
from docscan.records import Box, Digit, Number, PageOutcome, PageResult, PageSource
from tests.benchmarks.drawn_pages import draw_files

SHORT = 100
_DRAWN = 8
_NUMBERS = 20


def scaling(folder: Path, pages: int) -> None:
    """Pages a second of one worker and of two."""
    _link_pages(folder, pages)
    one, two = (pages / _seconds(folder, pages, jobs) for jobs in (1, 2))
    print(f"{pages} A4 pages: one worker {one:.2f} pages/s, two {two:.2f}, {two / one:.2f} times as many")


def length(folder: Path, pages: int) -> None:
    """Time a page of a short run and of a long one."""
    _link_pages(folder, pages)
    short, long = (1000 * _seconds(folder, count, 2) / count for count in (SHORT, pages))
    more = 100 * (long / short - 1)
    print(f"two workers: {short:.1f} ms a page for {SHORT} pages, {long:.1f} for {pages}: {more:+.0f} %")


def resume(folder: Path, pages: int) -> None:
    """Fill a store with made-up results, write them out, and resume with nothing to read."""
    image = Image.new("L", (20, 20), 255)
    for index in range(pages):
        box = folder / "scans" / f"box{index // 1000:03}"
        if index % 1000 == 0:
            box.mkdir(parents=True)
        image.save(box / f"page{index}.png")
    options = RunOptions(engine=_read_here)
    with open_batch([folder / "scans"], folder / "out", options=options) as batch:
        for _ in batch.outcomes(_made_up):
            pass
        seconds = _timed(batch.finish)
    print(f"{pages} pages, {pages * _NUMBERS} numbers: results.csv and results.xlsx written in {seconds:.1f} s")
    started = time.process_time()
    seconds = _timed(lambda: _run(folder, options))
    print(
        f"found and skipped again in {seconds:.1f} s ({time.process_time() - started:.1f} s of them on the processor); "
        f"at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB in all"
    )


def _read_here(
    sources: Iterable[PageSource], job: Job, limits: PoolLimits, read: PageReader
) -> Generator[PageOutcome, None, None]:
    yield from (read(source, job) for source in sources)


def _made_up(source: PageSource, _job: Job) -> PageOutcome:
    digits = tuple(Digit(digit, 0.9, Box(0, 0, 8, 10)) for digit in "1234")
    numbers = tuple(Number("1234", 0.9, Box(0, 0, 32, 10), digits, 1, place) for place in range(1, _NUMBERS + 1))
    return PageOutcome(source, PageResult(numbers, 20, 20))


def _link_pages(folder: Path, pages: int) -> None:
    """A few drawn pages under many names."""
    (folder / "drawn").mkdir()
    drawn = list(draw_files(folder / "drawn", _DRAWN))
    for count in {min(SHORT, pages), pages}:
        scans = folder / f"scans{count}"
        scans.mkdir()
        for index in range(count):
            os.link(drawn[index % _DRAWN], scans / f"page{index}.png")


def _seconds(folder: Path, pages: int, jobs: int) -> float:
    options = RunOptions(jobs=jobs, mode="force")
    with open_batch([folder / f"scans{pages}"], folder / f"out{pages}", options=options) as batch:
        return _timed(lambda: [*batch.outcomes(), batch.finish()])


def _run(folder: Path, options: RunOptions) -> None:
    with open_batch([folder / "scans"], folder / "out", options=options) as batch:
        assert not batch.pending
        batch.finish()


def _timed(work: Callable[[], object]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


def main() -> None:
    """Measure, print."""
    pages = {"scaling": 200, "length": 10_000, "resume": 100_000}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=pages)
    parser.add_argument("--pages", type=int)
    options = parser.parse_args()
    measure = {"scaling": scaling, "length": length, "resume": resume}[options.what]
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), options.pages or pages[options.what])
    sys.stdout.flush()


if __name__ == "__main__":
    main()
