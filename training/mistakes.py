"""docscan on real pages and real strings: what it gets wrong, counted by kind, each shown with its crop.

    python -m training.mistakes --data ../shared/data --pages ../shared/pages --out report

Whole images through the whole method: the held-out fifth of the cheques, the log-book cells, the pages. The pictures
go to the report folder and never into the project: the sets' licences are their own.
"""

import argparse
import csv
import io
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from docscan.files.scans import ScanOptions, open_page
from docscan.files.truth import LINES_SUFFIX, TrueLines, read_truth
from docscan.pipeline import read_page
from docscan.records import Box, Number, Page, PageSource
from docscan.scoring import digits_of, edit_distance, fits
from docscan.settings import ReviewSettings, Settings
from docscan.stages.classify import DigitModel, load_model
from training.evaluate import Rows
from training.stocks import HELD_OUT_ROW, cheque_strings

CELLS = Path("evaluation/meza_cells_2000.zip")
RIGHT, NOTHING, LEFT_OUT, TOO_MANY, MISREAD, MIXED, CUT, EXTRA = (
    "right",
    "nothing read",
    "digits left out",
    "digits too many",
    "digits misread",
    "several of these",
    "cut in pieces",
    "read where none stands",
)
SHEET_COLUMNS, TILE_PX, CAPTION_PX, MOST_TILES = 8, (160, 64), 16, 96
AROUND = 0.4  # of a number's height: shown about it


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One number of the truth, or one read where none stands."""

    kind: str
    wanted: str
    read: str
    confidence: float
    is_accepted: bool
    crop: NDArray[np.uint8]
    """(h, w): the gray picture of it; (0, 0) where nobody knows the place."""


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """A real page and what stands on it."""

    kind: str
    page: Page
    numbers: tuple[str, ...]


def judge(wanted: str, read: str) -> str:
    """What kind of mistake makes `read` of `wanted`, both digits alone."""
    if read == wanted:
        return RIGHT
    if not read:
        return NOTHING
    if _is_within(read, wanted):
        return LEFT_OUT
    if _is_within(wanted, read):
        return TOO_MANY
    return MISREAD if len(read) == len(wanted) else MIXED


def judge_string(wanted: str, numbers: Sequence[Number], gray: NDArray[np.uint8]) -> Case:
    """An image that is one string: all that was read there, left to right, is held against it."""
    in_a_row = sorted(numbers, key=lambda number: number.box.left)
    read = "".join(digits_of(number.text) for number in in_a_row)
    confidence = float(np.prod([number.confidence for number in in_a_row])) if in_a_row else 0.0
    is_accepted = bool(in_a_row) and not any(number.review for number in in_a_row)
    return Case(judge(wanted, read), wanted, read, confidence, is_accepted, gray)


def judge_page(wanted: Sequence[str], numbers: Sequence[Number], gray: NDArray[np.uint8]) -> Iterator[Case]:
    """A page whose numbers stand nobody says where: what was read exactly first, then what is nearest."""
    unread, left = list(wanted), sorted(numbers, key=lambda number: (number.box.top, number.box.left))
    for text in wanted:
        match = next((number for number in left if fits(text, digits_of(number.text))), None)
        if match is not None:
            unread.remove(text)
            left.remove(match)
            yield _case(RIGHT, text, [match], gray)
    for text in list(unread):
        pieces = _pieces(text, left)
        if pieces:
            unread.remove(text)
            left = [number for number in left if number not in pieces]
            yield _case(CUT, text, pieces, gray)
    for text in unread:
        nearest = min(left, key=lambda number: edit_distance(text, digits_of(number.text)), default=None)
        if nearest is None or edit_distance(text, digits_of(nearest.text)) > len(text) / 2:
            yield _case(NOTHING, text, [], gray)
            continue
        left.remove(nearest)
        yield _case(judge(text, digits_of(nearest.text)), text, [nearest], gray)
    for number in left:
        yield _case(EXTRA, "", [number], gray)


def table(name: str, cases: Sequence[Case]) -> list[str]:
    """How many there are of each kind, and how many of those accepted unseen are wrong."""
    written = [case for case in cases if case.kind != EXTRA]
    accepted = [case for case in cases if case.is_accepted]
    wrong = sum(case.kind != RIGHT for case in accepted)
    right = sum(case.kind == RIGHT for case in written)
    kinds: dict[str, int] = defaultdict(int)
    for case in cases:
        kinds[case.kind] += case.kind != RIGHT
    counted = ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items(), key=lambda one: -one[1]) if count)
    return [
        f"{name}: {right} of {len(written)} right ({right / max(1, len(written)):.4f})",
        f"  {counted or 'no mistakes'}",
        f"  accepted unseen and right {sum(case.kind == RIGHT for case in accepted) / max(1, len(written)):.4f}; "
        f"{wrong} wrong among {len(accepted)} accepted",
    ]


def contact_sheet(cases: Sequence[Case]) -> NDArray[np.uint8]:
    """The crops of mistakes, surest first, each above `wanted > read` and its confidence: (H, W) uint8."""
    worst = sorted(cases, key=lambda case: -case.confidence)[:MOST_TILES]
    tiles = [_tile(case) for case in worst] or [np.full((TILE_PX[1], TILE_PX[0]), 255, np.uint8)]
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % SHEET_COLUMNS)
    rows = [np.hstack(tiles[first : first + SHEET_COLUMNS]) for first in range(0, len(tiles), SHEET_COLUMNS)]
    return np.vstack(rows)


def read_strings(strings: Iterable[tuple[NDArray[np.uint8], str]], model: DigitModel, settings: Settings) -> list[Case]:
    """Every (gray, digits) image of one string through the whole method."""
    return [judge_string(text, read_page(Page(gray), model, settings).numbers, gray) for gray, text in strings]


def read_pages(folder: Path, model: DigitModel, settings: Settings) -> dict[str, list[Case]]:
    """The images beside `*.truth.txt` files, by the folder they are in."""
    cases: dict[str, list[Case]] = defaultdict(list)
    for scan in scans_in(folder):
        cases[scan.kind] += judge_page(scan.numbers, read_page(scan.page, model, settings).numbers, scan.page.gray)
    return cases


def scans_in(folder: Path) -> Iterator[Scan]:
    """The pages of a folder whose numbers are known."""
    for true in read_truth(folder):
        if isinstance(true, TrueLines):
            path = folder / true.source
            page = open_page(PageSource(str(path.absolute()), true.source), ScanOptions())
            yield Scan(true.kind, page, tuple(text for line in true.lines for text in line))


def held_out_cheques(folder: Path) -> Iterator[tuple[NDArray[np.uint8], str]]:
    """The cheque amounts nobody trains on: gray image and digits."""
    for number, (gray, digits) in enumerate(cheque_strings(folder)):
        if number % HELD_OUT_ROW == 0:
            yield gray, "".join(str(label) for label, _ in digits)


def log_book_cells(folder: Path, rows: Rows) -> Iterator[tuple[NDArray[np.uint8], str]]:
    """The photographed cells of the evaluation: gray image and digits, marks left out."""
    first, step = {"all": (0, 1), "even": (0, 2), "odd": (1, 2)}[rows]
    with zipfile.ZipFile(folder / CELLS) as archive:
        table = list(csv.DictReader(io.StringIO(archive.read("values.csv").decode("utf-8"))))
        for row in table[first::step]:
            gray = cv2.imdecode(np.frombuffer(archive.read(row["file"]), np.uint8), cv2.IMREAD_GRAYSCALE)
            yield np.asarray(gray, np.uint8), digits_of(row["value"])


def _case(kind: str, wanted: str, numbers: Sequence[Number], gray: NDArray[np.uint8]) -> Case:
    confidence = float(np.prod([number.confidence for number in numbers])) if numbers else 0.0
    is_accepted = bool(numbers) and not any(number.review for number in numbers)
    read = " ".join(number.text for number in numbers)
    return Case(kind, wanted, read, confidence, is_accepted, _crop(gray, [number.box for number in numbers]))


def _crop(gray: NDArray[np.uint8], boxes: Sequence[Box]) -> NDArray[np.uint8]:
    if not boxes:
        return np.empty((0, 0), np.uint8)
    left, top, right, bottom = (edges for edges in zip(*boxes, strict=True))
    around = round(AROUND * (max(bottom) - min(top)))
    rows = slice(max(0, min(top) - around), max(bottom) + around)
    return gray[rows, max(0, min(left) - around) : max(right) + around]


def _tile(case: Case) -> NDArray[np.uint8]:
    width, height = TILE_PX
    tile = np.full((height + CAPTION_PX, width), 255, np.uint8)
    if case.crop.size:
        scale = min((width - 4) / case.crop.shape[1], (height - 4) / case.crop.shape[0])
        size = max(1, int(case.crop.shape[1] * scale)), max(1, int(case.crop.shape[0] * scale))
        tile[2 : 2 + size[1], 2 : 2 + size[0]] = cv2.resize(case.crop, size, interpolation=cv2.INTER_AREA)
    caption = f"{case.wanted or '-'} > {case.read or '-'} {case.confidence:.2f}{'!' * case.is_accepted}"
    cv2.putText(tile, caption, (2, height + CAPTION_PX - 4), cv2.FONT_HERSHEY_SIMPLEX, 0.38, 0, 1, cv2.LINE_AA)
    return tile


def _pieces(text: str, numbers: Sequence[Number]) -> list[Number]:
    """Two numbers side by side that make up `text` between them; none if there are none."""
    for one in numbers:
        for other in numbers:
            level = min(one.box.bottom, other.box.bottom) > max(one.box.top, other.box.top)
            if level and one.box.left < other.box.left and fits(text, digits_of(one.text + other.text)):
                return [one, other]
    return []


def _is_within(part: str, whole: str) -> bool:
    """Whether `whole` gives `part` when characters are left out."""
    left = iter(whole)
    return all(character in left for character in part)


def main() -> None:
    """Count and show from the command line."""
    parser = argparse.ArgumentParser(prog="python -m training.mistakes", description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder with train/ and evaluation/")
    parser.add_argument("--pages", type=Path, help=f"a folder of images beside <image>{LINES_SUFFIX}")
    parser.add_argument("--rows", choices=["all", "even", "odd"], default="all", help="of the log-book cells")
    parser.add_argument("--max-error", type=float, default=0.001, help="wrong numbers allowed (0.001)")
    parser.add_argument("--out", type=Path, help="a folder for the contact sheets; without it only the counts")
    options = parser.parse_args()
    model = load_model()
    settings = Settings(review=ReviewSettings(max_error=options.max_error))
    found = {
        "cheques": read_strings(held_out_cheques(options.data), model, settings),
        "log-book cells": read_strings(log_book_cells(options.data, options.rows), model, settings),
    }
    found |= read_pages(options.pages, model, settings) if options.pages else {}
    for name, cases in found.items():
        print(*table(name, cases), sep="\n")
        if options.out is not None:
            options.out.mkdir(parents=True, exist_ok=True)
            for kind in sorted({case.kind for case in cases} - {RIGHT}):
                sheet = contact_sheet([case for case in cases if case.kind == kind])
                cv2.imencode(".png", sheet)[1].tofile(options.out / f"{name} - {kind}.png")


if __name__ == "__main__":
    main()
