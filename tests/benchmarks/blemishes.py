"""What scanners and paper add to a page, one thing at a time, and what that costs.

    python -m tests.benchmarks.blemishes [--pages 10] [--kinds holes "shows through 0.3"]

The same drawn pages of five kinds, at 200 and 300 dpi, by drawn hands, bear each blemish in turn; five kinds without
lines of their own are written on each paper, or circled. A false number is a row where nothing was written; what nobody
is asked to look at is counted apart. The same arguments draw the same pages.
"""

# ruff: noqa: T201  what is measured is printed

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from docscan.files.scans import page_from_array
from docscan.pipeline import read_page
from docscan.records import Box, Number, Page, PageResult
from docscan.scoring import Score
from docscan.settings import Colour, Settings
from docscan.stages.classify import DigitModel, load_model
from training.acceptance import gray_of, score_drawn
from training.pages import DrawnNumber, DrawnPage, draw_page

SEED, OTHER_SEED = 51, 52
PAGE_KINDS = ("clean", "table", "ruled", "boxes", "words")
BARE_KINDS = ("clean", "dense", "columns", "faint", "touching")  # with squares, in place of those with lines or print
BACK_KINDS = ("table", "words", "ruled", "clean")
DPIS = (200, 300)
MM_PER_INCH = 25.4

Gray = NDArray[np.uint8]
Blemish = Callable[..., Gray]
"""A page (H, W), chance, pixels a millimetre, the page's number and what is written on it -> the page, blemished."""


def holes(gray: Gray, rng: np.random.Generator, mm: float, number: int, *_: object) -> Gray:
    """Two of them, 6 mm wide and 80 mm apart, 12 mm from the left edge or a little more or less."""
    page = gray.copy()
    x, middle = round((12 + rng.uniform(-4, 3)) * mm), gray.shape[0] / 2
    for y in (middle - 40 * mm, middle + 40 * mm):
        cv2.circle(page, (x, round(y)), round(3 * mm), (20, 60, 150)[number % 3], cv2.FILLED, cv2.LINE_AA)
    return page


def staple(gray: Gray, rng: np.random.Generator, mm: float, number: int, *_: object) -> Gray:
    """In a corner, with its shadow, at any angle."""
    page = gray.copy()
    middle = np.array([rng.uniform(10, 25), rng.uniform(8, 20)]) * mm
    turn = (0.0, 0.1, 0.8, 1.6, -0.8)[number % 5]
    half = 6 * mm * np.array([np.cos(turn), np.sin(turn)])
    for off, shade in ((0.4 * mm, 170), (0.0, int(rng.integers(40, 120)))):
        one, other = (np.rint(end + off).astype(int).tolist() for end in (middle - half, middle + half))
        cv2.line(page, one, other, shade, max(2, round(0.5 * mm)), cv2.LINE_AA)
    return page


def scanner_edge(gray: Gray, rng: np.random.Generator, mm: float, number: int, *_: object) -> Gray:
    """The dark bed beside the paper, at one edge or in a corner."""
    page, width = gray.copy(), round(rng.uniform(1, 5) * mm)
    if number % 4 == 3:
        right = page.shape[1]
        cv2.fillPoly(page, [np.array([[0, 0], [right, 0], [right, width], [0, width // 4]])], 25)
    else:
        np.rot90(page, number % 4)[:width] = 30
    return page


def fold(gray: Gray, rng: np.random.Generator, mm: float, *_: object) -> Gray:
    """Across the page, with the grain of the broken surface."""
    rows = np.arange(gray.shape[0]) - gray.shape[0] * rng.uniform(0.3, 0.7)
    shade = rng.uniform(30, 70) * np.exp(-((rows / (0.4 * mm)) ** 2))[:, np.newaxis]
    return _darker(gray, shade * (0.6 + 0.4 * rng.random(gray.shape)))


def stain(gray: Gray, rng: np.random.Generator, mm: float, *_: object) -> Gray:
    """A cup stood there."""
    height, width = gray.shape
    y, x = np.ogrid[:height, :width]
    from_middle = np.hypot(x - rng.uniform(0.3, 0.7) * width, y - rng.uniform(0.3, 0.7) * height)
    rim = rng.uniform(25, 60) * np.exp(-(((from_middle - 25 * mm) / mm) ** 2))
    return _darker(gray, rim + (from_middle < 25 * mm) * rng.uniform(5, 15))


def shows_through(gray: Gray, rng: np.random.Generator, mm: float, number: int, *_: object, share: float) -> Gray:
    """Another page on the back, mirrored and blurred, so much as dark."""
    kind, seed = BACK_KINDS[number % len(BACK_KINDS)], (OTHER_SEED, number)
    back = gray_of(draw_page(kind, np.random.default_rng(seed), dpi=round(mm * MM_PER_INCH)))
    blurred = cv2.GaussianBlur(cv2.resize(back[:, ::-1], gray.shape[::-1]), (0, 0), rng.uniform(0.1, 0.2) * mm)
    return _darker(gray, share * np.clip(np.median(blurred) - blurred.astype(np.float64), 0, None))


def circled(gray: Gray, rng: np.random.Generator, mm: float, _: int, numbers: Sequence[DrawnNumber] = ()) -> Gray:
    """A third of the numbers of up to three digits, by a pen that does not quite close its circles."""
    page = gray.copy()
    for number in numbers:
        box, start = number.box, float(rng.uniform(0, 360))
        if len(number.text) <= 3 and rng.random() < 1 / 3:
            middle = box.left + box.width // 2, box.top + box.height // 2
            axes = round(0.5 * box.width + 0.5 * box.height), round(0.9 * box.height)
            end = start + rng.uniform(330, 370)
            cv2.ellipse(page, middle, axes, 0, start, end, 60, max(2, round(0.35 * mm)), cv2.LINE_AA)
    return page


def squared(
    gray: Gray, rng: np.random.Generator, mm: float, *_: object, step: float, shade: int, askew: float = 0.0
) -> Gray:
    """Lines both ways, 0.2 mm thick and so many apart, where the paper is plain.

    The paper's corners are off by as much as a share of `askew` of its sides, as if under a camera.
    """
    height, width = gray.shape
    on_line = [
        (np.arange(side) - rng.uniform(0, step) * mm) % (step * mm) < max(1.0, 0.2 * mm) for side in (height, width)
    ]
    paper = np.where(on_line[0][:, np.newaxis] | on_line[1], np.uint8(shade), np.uint8(255))
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    off = rng.uniform(-askew, askew, (4, 2)).astype(np.float32) * [width, height]
    seen = cv2.getPerspectiveTransform(corners, (corners + off).astype(np.float32))
    lines = paper if not askew else cv2.warpPerspective(paper, seen, (width, height), borderMode=cv2.BORDER_REFLECT_101)
    return np.minimum(gray, lines).astype(np.uint8)


def red_form(
    gray: Gray, rng: np.random.Generator, mm: float, number: int, *_: object, drop_out: Colour | None = None
) -> Gray:
    """Boxes and their labels, printed in red wherever they come to stand: over the writing as well."""
    height, width = gray.shape
    lines = np.full((height, width), 255, np.uint8)
    box_wide, box_high = (round(side * mm) for side in rng.uniform([18, 8], [40, 14]))
    for top in range(round(8 * mm), height, box_high):
        for left in range(round(8 * mm), width, box_wide):
            corners = (left, top), (left + box_wide, top + box_high)
            cv2.rectangle(lines, *corners, 0, max(1, round(0.3 * mm)), cv2.LINE_AA)
            label = _LABELS[int(rng.integers(len(_LABELS)))], (left + round(mm), top + round(2.6 * mm))
            cv2.putText(lines, *label, cv2.FONT_HERSHEY_SIMPLEX, 0.085 * mm, 0, max(1, round(0.2 * mm)), cv2.LINE_AA)
    pale = cv2.GaussianBlur(lines, (0, 0), 0.05 * mm)[:, :, np.newaxis] / 255
    ink = np.array(((214, 36, 44), (232, 92, 60), (224, 60, 110))[number % 3]) / 255  # red, orange, pink
    seen = gray[:, :, np.newaxis] * (ink + (1 - ink) * pale)
    return page_from_array(np.rint(seen).astype(np.uint8), drop_out).gray


_LABELS = ("Name", "Date", "No.", "Total", "Amount", "Code", "Signature", "Unit price")


def _darker(gray: Gray, by: NDArray[np.float64]) -> Gray:
    return np.clip(gray - by, 0, 255).astype(np.uint8)


BLEMISHES: dict[str, Blemish] = {
    "none": lambda gray, *_: gray,
    "bare paper": lambda gray, *_: gray,
    "holes": holes,
    "staple": staple,
    "scanner edge": scanner_edge,
    "fold": fold,
    "stain": stain,
    "circled": circled,
    "squared paper": partial(squared, step=5, shade=200),
    "squared paper, dark": partial(squared, step=5, shade=150),
    "squared paper, dark, askew": partial(squared, step=5, shade=150, askew=0.02),
    "red form": red_form,
    "red form, dropped out": partial(red_form, drop_out="red"),
    "millimetre paper": partial(squared, step=1, shade=205),
    "shows through 0.15": partial(shows_through, share=0.15),
    "shows through 0.3": partial(shows_through, share=0.3),
    "shows through 0.5": partial(shows_through, share=0.5),
}
"""Each by name; what shows through, by its darkness as a share of the ink's."""
ON_BARE = (
    "bare paper",
    "circled",
    "squared paper",
    "squared paper, dark",
    "squared paper, dark, askew",
    "millimetre paper",
    "red form",
    "red form, dropped out",
)  # of BARE_KINDS


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of some pages."""

    score: Score
    false_numbers: float
    """A page."""
    unseen: float
    """Those of them that nobody is asked to look at."""


def draw(pages: int, kinds: Sequence[str] = PAGE_KINDS) -> list[DrawnPage]:
    """So many, of the kinds in turn."""
    return [
        draw_page(kinds[number % len(kinds)], np.random.default_rng((SEED, number)), dpi=DPIS[number % 2])
        for number in range(pages)
    ]


def measure(pages: Sequence[DrawnPage], blemish: Blemish, model: DigitModel) -> Measured:
    """Read the pages with a blemish each."""
    score, false, unseen = Score(), 0, 0
    for number, page in enumerate(pages):
        gray = blemish(
            gray_of(page), np.random.default_rng((SEED, number)), page.dpi / MM_PER_INCH, number, page.numbers
        )
        result = read_page(Page(np.ascontiguousarray(gray), float(page.dpi)), model, Settings())
        score += score_drawn(page, result)[0]
        where_nothing_is = [number.review for number in _false(result, page)]
        false, unseen = false + len(where_nothing_is), unseen + where_nothing_is.count(False)
    return Measured(score, false / len(pages), unseen / len(pages))


def _false(result: PageResult, page: DrawnPage) -> Iterator[Number]:
    for number in result.numbers:
        if not any(_meet(number.box, true.box) for true in page.numbers):
            yield number


def _meet(one: Box, other: Box) -> bool:
    across = min(one.right, other.right) > max(one.left, other.left)
    return across and min(one.bottom, other.bottom) > max(one.top, other.top)


def row(name: str, one: Measured) -> str:
    """What was measured with one blemish."""
    score = one.score
    return (
        f"| {name} | {score.digit_accuracy:.3f} | {score.number_f1:.3f} | {one.false_numbers:.1f} | {one.unseen:.1f} |"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw, read, print."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.blemishes", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--pages", type=int, default=10, help="how many (10)")
    parser.add_argument("--kinds", nargs="+", choices=list(BLEMISHES), default=list(BLEMISHES), help="some of them")
    options = parser.parse_args(arguments)
    model = load_model()
    printed, bare = (draw(options.pages, kinds) for kinds in (PAGE_KINDS, BARE_KINDS))
    print("| blemish | digit accuracy | numbers F1 | false numbers a page | of them unseen |")
    print("|---|--:|--:|--:|--:|")
    for kind in options.kinds:
        pages = bare if kind in ON_BARE else printed
        print(row(kind, measure(pages, BLEMISHES[kind], model)), flush=True)


if __name__ == "__main__":
    main()
