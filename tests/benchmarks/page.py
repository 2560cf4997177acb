"""How long an A4 page takes, all in: decode to CSV, stage by stage, one thread.

    python -m tests.benchmarks.page [--pages 20] [--repeats 5] [--check]

Every page is drawn, saved as PNG and as JPEG, and read several times. The quickest reading of each page counts, so that
the machine's other work does not; the table holds the medians over the pages.
"""

# ruff: noqa: T201  what is measured is printed

import argparse
import importlib.metadata
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from docscan.batch.stopwatch import Cost
from tests.benchmarks.measure import ALL_IN, measure_alone

BAR_MS = 120
DECODE = "decode"


def medians(costs: Sequence[Mapping[str, Cost]]) -> dict[str, Cost]:
    """Each step's median over the pages, wall and CPU time apart; in the order of the steps."""
    return {
        step: Cost(
            statistics.median(page[step].wall for page in costs), statistics.median(page[step].cpu for page in costs)
        )
        for step in costs[0]
    }


def table(costs: Mapping[str, Mapping[str, Cost]]) -> list[str]:
    """One row a step; for each kind of file its wall time, its CPU time, and both against decoding alone."""
    first, *_ = costs.values()
    lines = ["| ms a page | " + " | ".join(f"{kind} | CPU | x decode" for kind in costs) + " |"]
    lines.append("|---|" + "--:|--:|--:|" * len(costs))
    for step in first:
        cells = [
            f"{steps[step].wall * 1e3:.1f} | {steps[step].cpu * 1e3:.1f} | {steps[step].wall / steps[DECODE].wall:.2f}"
            for steps in costs.values()
        ]
        lines.append(f"| {step} | " + " | ".join(cells) + " |")
    return lines


def machine() -> str:
    """What it was measured on, and what else that had to do."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("onnxruntime", "opencv-python"))
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"{_processor()}, {os.cpu_count()} cores{load}; Python {platform.python_version()}, {versions}"


def _processor() -> str:
    try:
        described = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in described if line.startswith("model name"))
    return next(names, platform.machine())


def main() -> None:
    """Draw, measure, print."""
    from tests.benchmarks.drawn_pages import DIGITS, DPI, SUFFIXES, draw_files  # noqa: PLC0415  not in the measured process

    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.page", description=__doc__.partition("\n")[0])
    parser.add_argument("--pages", type=int, default=20, help="how many to draw (20)")
    parser.add_argument("--repeats", type=int, default=5, help="how often each is read (5)")
    parser.add_argument("--check", action="store_true", help=f"exit with 1 where a page takes {BAR_MS} ms or more")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        drawn = list(draw_files(Path(folder), options.pages))
        measured = {}
        for suffix in SUFFIXES:
            scans = [path.with_suffix(suffix) for path in drawn]
            measured[suffix.strip(".").upper()] = medians(measure_alone(scans, Path(folder) / "out", options.repeats))
    print(f"A4 at {DPI} dpi, {DIGITS} digits, {options.pages} pages, best of {options.repeats}, medians; one thread.")
    print(machine())
    print(*table(measured), sep="\n")
    slow = [kind for kind, steps in measured.items() if steps[ALL_IN].wall * 1e3 >= BAR_MS]
    print(f"{BAR_MS} ms a page: " + (f"missed by {' and '.join(slow)}" if slow else "held"))
    sys.exit(1 if slow and options.check else 0)


if __name__ == "__main__":
    main()
