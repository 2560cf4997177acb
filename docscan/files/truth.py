"""Known numbers on disk -> the truth a run is scored against."""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docscan.errors import SettingsError
from docscan.scoring import TrueNumber

EXPECTED = "expected.csv"
LINES_SUFFIX = ".truth.txt"


@dataclass(frozen=True, slots=True)
class TruePage:
    """What stands on one page."""

    source: str
    """Path of the scan below the folder of the truth, or its name."""
    kind: str
    """What scores are grouped by."""
    numbers: tuple[TrueNumber, ...]
    page: int | None = None
    """1-based; None: the truth does not tell the pages of a file apart."""


@dataclass(frozen=True, slots=True)
class TrueLines:
    """What stands on one image, as lines of numbers without places."""

    source: str
    kind: str
    lines: tuple[tuple[str, ...], ...]


def read_truth(path: Path) -> list[TruePage] | list[TrueLines]:
    """Known numbers from a .jsonl, a folder of `*/expected.csv`, or a folder of `<image>.truth.txt`.

    Raises SettingsError where `path` is none of them, or does not read as what it is.
    """
    try:
        if path.is_file():
            return [_from_json(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        expected = sorted([*path.glob(EXPECTED), *path.glob(f"*/{EXPECTED}")])
        if expected:
            return [page for file in expected for page in _from_csv(file, path)]
        lines = sorted(path.rglob(f"*{LINES_SUFFIX}"))
    except OSError as error:
        raise SettingsError(f"{path} cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise SettingsError(f"{path} does not hold known numbers ({type(error).__name__}: {error})") from error
    if not lines:
        raise SettingsError(f"{path}: no known numbers; expected a .jsonl, {EXPECTED} files or {LINES_SUFFIX} files")
    return [_from_lines(file, path) for file in lines]


def _from_json(line: str) -> TruePage:
    page: dict[str, Any] = json.loads(line)
    numbers = (TrueNumber(one["text"], one["x"], one["y"], one["w"], one["h"]) for one in page["numbers"])
    return TruePage(page["file"], page.get("kind", "all"), tuple(numbers))


def _from_csv(file: Path, root: Path) -> Iterator[TruePage]:
    folder = file.parent.relative_to(root).as_posix()
    prefix = "" if folder == "." else f"{folder}/"
    pages: dict[tuple[str, int], list[TrueNumber]] = {}
    with file.open(encoding="utf-8-sig", newline="") as rows:
        for row in csv.DictReader(rows):
            x, y, width, height = (float(row[name]) for name in ("x", "y", "width", "height"))
            pages.setdefault((row["source"], int(row["page"])), []).append(TrueNumber(row["text"], x, y, width, height))
    if not pages:  # a blank sample: its folder stands for whatever pages it has
        yield TruePage(prefix, file.parent.resolve().name, (), 0)
    for (source, page), numbers in pages.items():
        yield TruePage(prefix + source, file.parent.resolve().name, tuple(numbers), page)


def _from_lines(file: Path, root: Path) -> TrueLines:
    source = file.relative_to(root).as_posix().removesuffix(LINES_SUFFIX)
    text = file.read_text(encoding="utf-8")
    lines = [tuple(line.split()) for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return TrueLines(source, source.split("/")[0], tuple(lines))
