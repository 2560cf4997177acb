"""Batches for the fault tests: small scans, a page reader without pixels, and what an output folder comes to."""

import hashlib
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
from PIL import Image

from docscan.batch.worker import Job
from docscan.records import Alternative, Box, Digit, Number, PageFailure, PageOutcome, PageResult, PageSource

ROOT = Path(__file__).parents[2]
_RUN = """
import sys
sys.path[:0] = sys.argv[1:3]
from docscan.batch.run import RunOptions, open_batch, words
from drills import read_by_name
from pathlib import Path
with open_batch([sys.argv[3]], Path(sys.argv[4]), options=RunOptions(jobs=2)) as batch:
    for _ in batch.outcomes(read_by_name):
        pass
    counts = batch.finish()
print(words(counts))
sys.exit(3 if counts.failed else 0)
"""


def read_by_name(source: PageSource, job: Job) -> PageOutcome:
    """A page's numbers follow from its name; `bad...` always fails, `blank...` is blank."""
    time.sleep(0.01)
    if source.name.startswith("bad"):
        return PageOutcome(source, PageFailure("it is called bad"))
    seed = hashlib.sha256(f"{source.name} {source.page}".encode()).digest()
    count = 0 if source.name.startswith("blank") else 1 + seed[0] % 30
    numbers = tuple(_number(str(seed[index % 32] * 7919), index + 1) for index in range(count))
    return PageOutcome(source, PageResult(numbers, 20, 20, blank=not numbers), seconds=0.01)


def _number(text: str, position: int) -> Number:
    digits = tuple(Digit(digit, 0.9, Box(0, 0, 8, 10), (Alternative("7", 0.05),)) for digit in text)
    return Number(text, 0.875, Box(1, 2, 9, 12), digits, line=1, position=position)


def make_scans(folder: Path, pages: int) -> None:
    """About so many pages: most of them PNGs, some in TIFFs of three, one in twenty blank."""
    folder.mkdir(parents=True)
    white = Image.fromarray(np.full((20, 20), 255, np.uint8))
    made = 0
    while made < pages:
        if made % 10 == 0:
            white.save(folder / f"book{made}.tif", save_all=True, append_images=[white, white])
            made += 3
        else:
            white.save(folder / f"{'blank' if made % 20 == 5 else 'page'}{made}.png")
            made += 1


def docscan(*arguments: str | Path) -> list[str]:
    """The command line of the command."""
    return [sys.executable, "-c", "from docscan.cli import main; main()", *map(str, arguments)]


def run_docscan(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """The command, in a process of its own, to its end."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DOCSCAN_")}
    return subprocess.run(
        docscan(*arguments), env=kept, capture_output=True, text=True, encoding="utf-8", timeout=300, check=False
    )


def start_run(scans: Path, out: Path) -> "subprocess.Popen[str]":
    """The batch in a process of its own, read by `read_by_name`."""
    here = Path(__file__).parent
    arguments = [sys.executable, "-c", _RUN, str(ROOT), str(here), str(scans), str(out)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)


def results_of(out: Path) -> dict[str, bytes]:
    """Every result by its name: files as they are, the database as its rows, times left out."""
    files = [path for path in out.rglob("*") if path.suffix in {".csv", ".xlsx"}]
    made = {path.relative_to(out).as_posix(): path.read_bytes() for path in files}
    return made | {"docscan.db": repr(rows_of(out)).encode()}


def rows_of(out: Path) -> list[tuple[object, ...]]:
    page = "source, page, csv, ordinal, state, key, pages.reason, width, height"
    with closing(sqlite3.connect(out / "docscan.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return [
            *database.execute(f"SELECT {page} FROM pages ORDER BY ordinal, source, page"),
            *database.execute(
                f"SELECT {page}, numbers.* FROM pages JOIN numbers ON id = page_id ORDER BY ordinal, sequence"
            ),
            *database.execute(
                f"SELECT {page}, digits.* FROM pages JOIN digits ON id = page_id ORDER BY ordinal, number, sequence"
            ),
        ]


def unlike(made: dict[str, bytes], expected: dict[str, bytes]) -> list[str]:
    """Names of results that differ or stand on one side alone."""
    return sorted(name for name in made.keys() | expected.keys() if made.get(name) != expected.get(name))
