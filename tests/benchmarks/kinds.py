"""How well drawn pages of every kind are read, and how fast: one table.

    python -m tests.benchmarks.kinds --data ../shared/data [--pages 4] [--dpi 150 300 600] [--kinds table boxes]

The digits are those of MNIST's test half, which nothing is trained on. A page is A5; its time is that of `read_page`,
decoding left out, in one thread. The same arguments draw the same pages.
"""

# ruff: noqa: T201  what is measured is printed

import argparse
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from docscan.pipeline import read_page
from docscan.records import Page
from docscan.scoring import Judged, Score
from docscan.settings import ReviewSettings, Settings
from docscan.stages.classify import DigitModel, load_model
from training.acceptance import gray_of, score_drawn
from training.data import load_mnist
from training.pages import KINDS, DigitSource, DrawnPage, crop_source, draw_page

SEED = 9
DPI = 300
MOST_LOST = 0.01  # of digit accuracy, at any other resolution than DPI


@dataclass(frozen=True, slots=True)
class Measured:
    """What was read on some pages, and how long it took; pages add up."""

    score: Score = field(default_factory=Score)
    judged: tuple[Judged, ...] = ()
    """Every number read, right or wrong."""
    seconds: float = 0.0
    pages: int = 0

    def __add__(self, other: "Measured") -> "Measured":
        return Measured(
            self.score + other.score,
            self.judged + other.judged,
            self.seconds + other.seconds,
            self.pages + other.pages,
        )

    @property
    def accepted(self) -> tuple[Judged, ...]:
        """The numbers that nobody would look at."""
        return tuple(one for one in self.judged if not one.review)


def draw_kind(kind: str, count: int, dpi: int, source: DigitSource) -> Iterable[DrawnPage]:
    """`count` pages of one kind; at another resolution the same numbers in the same places."""
    for index in range(count):
        rng = np.random.default_rng([SEED, list(KINDS).index(kind), index])
        yield draw_page(kind, rng, dpi=dpi, digits_source=source)


def measure(pages: Iterable[DrawnPage], model: DigitModel, settings: Settings) -> Measured:
    """Read drawn pages and hold them against what was drawn."""
    total = Measured()
    for drawn in pages:
        page = Page(gray_of(drawn), float(drawn.dpi))
        start = time.perf_counter()
        result = read_page(page, model, settings)
        seconds = time.perf_counter() - start
        total += Measured(*score_drawn(drawn, result), seconds, 1)
    return total


def table(measured: Mapping[str, Mapping[int, Measured]]) -> list[str]:
    """One row a kind; for each resolution digit accuracy, number F1 and milliseconds a page."""
    first = next(iter(measured.values()))
    heads = [f"digits at {dpi} dpi | numbers F1 | ms a page" for dpi in first]
    lines = ["| kind | " + " | ".join(heads) + " |", "|---|" + "--:|--:|--:|" * len(heads)]
    for kind, by_dpi in measured.items():
        cells = [
            f"{one.score.digit_accuracy:.4f} | {one.score.number_f1:.4f} | {1e3 * one.seconds / one.pages:.0f}"
            for one in by_dpi.values()
        ]
        lines.append(f"| {kind} | " + " | ".join(cells) + " |")
    return lines


def lost_at(measured: Mapping[str, Mapping[int, Measured]]) -> list[str]:
    """Where a kind is read worse by more than `MOST_LOST` than at `DPI`; empty where that was not measured."""
    return [
        f"{kind} at {dpi} dpi: {by_dpi[DPI].score.digit_accuracy - one.score.digit_accuracy:.4f} lower"
        for kind, by_dpi in measured.items()
        for dpi, one in by_dpi.items()
        if DPI in by_dpi and by_dpi[DPI].score.digit_accuracy - one.score.digit_accuracy > MOST_LOST
    ]


def accepted_unseen(total: Measured) -> str:
    """The share of the truth's numbers that are accepted and right, and how many of those accepted are wrong."""
    wrong = sum(not one.right for one in total.accepted)
    numbers, accepted = total.score.numbers, len(total.accepted)
    return f"accepted unseen {(accepted - wrong) / max(1, numbers):.4f} of {numbers}, of {accepted} wrong {wrong}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw, read, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.kinds", description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of MNIST's idx files")
    parser.add_argument("--pages", type=int, default=4, help="how many of each kind (4)")
    parser.add_argument("--dpi", type=int, nargs="+", default=[DPI], help=f"resolutions ({DPI})")
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS), help="kinds of page (all)")
    parser.add_argument("--max-error", type=float, default=0.001, help="wrong among those accepted unseen (0.001)")
    options = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    test = load_mnist(options.data).test
    source, model = crop_source(test.images, test.labels), load_model()
    settings = Settings(review=ReviewSettings(max_error=options.max_error))
    measured = {
        kind: {dpi: measure(draw_kind(kind, options.pages, dpi, source), model, settings) for dpi in options.dpi}
        for kind in options.kinds
    }
    print(*table(measured), sep="\n")
    print()
    for dpi in options.dpi:
        total = sum((by_dpi[dpi] for by_dpi in measured.values()), Measured())
        print(f"{dpi} dpi, --max-error {options.max_error:g}: {accepted_unseen(total)}")
    for loss in lost_at(measured):
        print(loss)


if __name__ == "__main__":
    main()
