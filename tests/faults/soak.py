"""A long run over good, mangled and many-paged files, its memory recorded: does it stay flat, is every page there?

python -m tests.faults.soak --pages 10000
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parent))
from mangle import mangled, originals

from docscan.batch.run import RunOptions, open_batch
from docscan.files.store import Counts

MIB = 1 << 20
_EVERY = 25  # pages, between two looks at the memory


@dataclass
class Course:
    """How a run went; memory in MiB, one value for every so many pages."""

    counts: Counts
    pages: int
    parent: list[float] = field(default_factory=list)
    workers: list[float] = field(default_factory=list)
    """Of the largest worker."""
    seconds: float = 0.0

    def growth(self, memory: list[float]) -> float:
        """MiB by which the last two fifths lie above the second: what is loaded once is there by then.

        The least of each: what a large page takes while it is in hand goes again, what leaks stays.
        """
        fifth = max(1, len(memory) // 5)
        return min(memory[-2 * fifth :]) - min(memory[fifth : 2 * fifth])

    def __str__(self) -> str:
        ways = (
            f"{name}: {min(memory):.0f} to {max(memory):.0f} MiB, grown by {self.growth(memory):+.1f}"
            for name, memory in (("parent", self.parent), ("largest worker", self.workers))
        )
        return (
            f"{self.pages} pages in {self.seconds:.0f} s: {self.counts.read} read, {self.counts.blank} blank, "
            f"{self.counts.failed} failed, {self.counts.left} left. Memory of the {'; of the '.join(ways)}"
        )


def make_scans(folder: Path, pages: int, seed: int = 1) -> None:
    """Files of every format, one in five mangled; at least so many pages."""
    dice, sound = random.Random(seed), originals()
    folder.mkdir()
    for index in range(pages):
        name = dice.choice(list(sound))
        content = mangled(sound[name], dice) if dice.random() < 0.2 else sound[name]
        box = folder / f"box{index // 1000}"
        box.mkdir(exist_ok=True)
        (box / f"{index}-{name}").write_bytes(content)


def soak(folder: Path, pages: int, tell: Callable[[str], None]) -> Course:
    """Read them all with two workers."""
    make_scans(folder / "scans", pages)
    started = time.monotonic()
    with open_batch([folder / "scans"], folder / "out", options=RunOptions(jobs=2, page_timeout_s=60)) as batch:
        course = Course(batch.store.counts(), batch.pending)
        for index, _ in enumerate(batch.outcomes(), start=1):
            if index % _EVERY == 0:
                _look(course)
            if index % 1000 == 0:
                tell(f"{index} pages: parent {course.parent[-1]:.0f} MiB, largest worker {course.workers[-1]:.0f} MiB")
        course.counts = batch.finish()
    course.seconds = time.monotonic() - started
    return course


def _look(course: Course) -> None:
    parent = psutil.Process()
    sizes = [0]
    for child in parent.children():
        try:
            sizes.append(child.memory_info().rss)
        except psutil.Error:  # it has just been replaced
            continue
    course.parent.append(parent.memory_info().rss / MIB)
    course.workers.append(max(sizes) / MIB)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=10_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        course = soak(Path(folder), options.pages, print)
    print(course)
    is_flat = course.growth(course.parent) < 20 and course.growth(course.workers) < 50
    sys.exit(0 if is_flat and course.counts.left == 0 else 1)


if __name__ == "__main__":
    main()
