"""Page readers for tests: what a file says is what becomes of it. Worker processes import them by name."""

import os
import time
from collections.abc import Mapping
from pathlib import Path

from docscan.batch.worker import Job
from docscan.records import Alternative, Box, Digit, Number, PageFailure, PageOutcome, PageResult, PageSource

PNG = b"\x89PNG\r\n\x1a\n"  # enough to be taken for a scan while files are looked for


def write_scans(folder: Path, words: Mapping[str, str]) -> Path:
    """Scans by name below `folder`, made if need be, that say these words."""
    for name, text in words.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(PNG + text.encode())
    return folder


def read_words(source: PageSource, job: Job) -> PageOutcome:
    """`12 007` is a page with these numbers, `` a blank one; `fail`, `crash`, `crash once`, `hang` and `eat` do so.

    `who` has one number: the process that started the reader's.
    """
    path = Path(source.path)
    words = path.read_bytes().removeprefix(PNG).decode()
    if words == "fail":
        return PageOutcome(source, PageFailure("it was told to"))
    if words == "crash" or (words == "crash once" and not path.with_suffix(".tried").exists()):
        path.with_suffix(".tried").touch()
        os._exit(9)
    if words == "eat":
        eaten = b"x" * 900_000_000
        time.sleep(60)
        del eaten
    if words == "hang":
        time.sleep(60)
    if words.startswith("slow"):
        time.sleep(0.3)
    if words.endswith("who"):
        words = str(os.getppid())
    numbers = tuple(_number(text, place) for place, text in enumerate(words.split(), start=1))
    return PageOutcome(source, PageResult(numbers, 100, 50, blank=not numbers), 0.25, {"decode": 0.25})


def _number(text: str, position: int) -> Number:
    digits = tuple(Digit(digit, 0.9, Box(0, 0, 8, 10), (Alternative("7", 0.05),)) for digit in text)
    return Number(
        text, 0.875, Box(1, 2, 9, 12), digits, line=1, position=position, review=True, reason="low-confidence"
    )
