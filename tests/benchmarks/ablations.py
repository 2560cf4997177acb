"""What each trick of the method is worth: everything is measured again without it, one at a time.

    python -m tests.benchmarks.ablations --data ../shared/data [--pages 4] [--cells 200] [--print-pages 8]
    python -m tests.benchmarks.ablations --data ../shared/data --kinds comb photo --tricks faded thick --pages 24

Drawn pages of every kind at 200 dpi, half by MNIST's held-out writers and half by drawn hands, those askew by up to 15
degrees; even rows of the log-book cells; pages of print. The drawn pages are not those that README.md quotes figures
of. The same arguments draw the same pages.
"""

# ruff: noqa: T201  what is measured is printed

import argparse
import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
from numpy.typing import NDArray

from docscan import pipeline
from docscan.records import Digit, InkMask, Page, Rulings, Surroundings, Unruled
from docscan.scoring import Score
from docscan.settings import BinariseSettings, LayoutSettings, Settings
from docscan.stages.binarise import binarise
from docscan.stages.classify import DigitModel, load_model
from docscan.stages.reread import Doubtful
from docscan.stages.words import Untexted
from tests.benchmarks.print_pages import TEXT, held_out_faces, page_of_print, words_of
from training.acceptance import gray_of, score_drawn, takes_digits
from training.data import load_mnist
from training.fonts import CACHE
from training.mistakes import RIGHT, judge_string, log_book_cells
from training.pages import KINDS, DrawnPage, crop_source, draw_page

SEED, DPI = 12, 200
ASKEW_DEG = 15.0
MOVED = 0.002  # of a kind's digit accuracy: less is chance

Stages = Mapping[str, Callable[..., Any]]
"""Functions that docscan.pipeline calls, and what stands in for them."""


@dataclass(frozen=True, slots=True)
class Trick:
    """Something the method can do without, worse."""

    name: str
    without: Stages = field(default_factory=dict)
    settings: Callable[[Settings], Settings] = lambda settings: settings


@dataclass(frozen=True, slots=True)
class Pages:
    """What is read."""

    drawn: Sequence[DrawnPage]
    cells: Sequence[tuple[NDArray[np.uint8], str]]
    printed: Sequence[NDArray[np.uint8]]


@dataclass(frozen=True, slots=True)
class Measured:
    """How well it was read."""

    kinds: Mapping[str, Score]
    cells_right: float
    false_numbers: float
    """A page of print."""

    @property
    def total(self) -> Score:
        """Of all drawn pages."""
        return sum(self.kinds.values(), Score())


def tricks() -> Iterator[Trick]:
    """Those of the method, in the order of its stages."""
    yield Trick("pale ink where lines are looked for", {"binarise": _without_pale})
    for method in ("otsu", "adaptive", "sauvola", "wolf"):
        yield Trick(f"our local threshold ({method} instead)", settings=_set("binarise", method=method))
    yield Trick("paler ink in pictures of one string", settings=_set("binarise", min_windows=0.0))
    yield Trick("levelling", settings=_set("straighten", least_deg=90.0, least_row_deg=90.0))
    yield Trick("punch holes left out", {"leave_out_holes": lambda ink: ink})
    yield Trick("squared paper and what shows through left out", {"find_backdrop": lambda *_: 0.0})
    yield Trick("rulings taken out", {"remove_rulings": _ruled})
    yield Trick("... where one has faded", settings=_set("rulings", max_faded=0.0))
    yield Trick("... and thick boxes of one digit", settings=_set("rulings", max_box=0.0))
    yield Trick("... and strokes like lines kept in pictures of one string", settings=_set("rulings", string_px=0))
    yield Trick("broken digits joined", settings=_set("glyphs", join_gap=-np.inf))
    yield Trick("texts left out", {"leave_out_texts": _all_readings})
    yield Trick("... but on a page of numbers", settings=_set("layout", of_numbers=np.inf))
    yield Trick("words left out", {"leave_out_words": _all_digits})
    yield Trick("small print left out", settings=_set("layout", max_small_print=0.0))
    yield Trick("strings read whole", {"find_doubtful": _nothing_doubtful})
    yield Trick("... and all of a lone one", {"find_lone_strings": _no_strings})
    yield Trick("... and 1s and 7s at a ruling", settings=_set("strings", at_ruling=-np.inf))
    yield Trick("... and loose strokes", settings=_set("strings", min_loose=np.inf))
    yield Trick("... and all where many are in doubt", settings=_set("strings", crowded=np.inf, doubtful=np.inf))
    yield Trick("... whose digits are looked at one by one", settings=_set("strings", worth_alone=0.0))
    yield Trick("combs", settings=_set("layout", max_comb_cell=0.0))
    yield Trick("... whose dividers have faded", {"restore_dividers": lambda digits, about, _: (digits, about)})
    yield Trick("frames left out", {"leave_out_frame": lambda readings, *_: readings})
    yield Trick("grain left out", {"leave_out_grain": lambda digits, _: digits})
    yield Trick("print left out", {"leave_out_print": lambda numbers, *_: numbers})


def measure(pages: Pages, model: DigitModel, trick: Trick) -> Measured:
    """Read everything without one trick."""
    settings = trick.settings(Settings())
    kinds: dict[str, Score] = {}
    with contextlib.ExitStack() as stack:
        for name, stage in trick.without.items():
            stack.enter_context(patch.object(pipeline, name, stage))
        for drawn in pages.drawn:
            score, _ = score_drawn(drawn, _read(gray_of(drawn), float(drawn.dpi), model, settings))
            kinds[drawn.kind] = kinds.get(drawn.kind, Score()) + score
        cells = [judge_string(text, _read(gray, None, model, settings).numbers, gray) for gray, text in pages.cells]
        printed = [len(_read(gray, 300.0, model, settings).numbers) for gray in pages.printed]
    right = sum(cell.kind == RIGHT for cell in cells) / max(1, len(cells))
    return Measured(kinds, right, sum(printed) / max(1, len(printed)))


def row(name: str, one: Measured, whole: Measured) -> str:
    """What was measured without a trick, and the kinds that lose most."""
    lost = {
        kind: whole.kinds[kind].digit_accuracy - score.digit_accuracy
        for kind, score in one.kinds.items()
        if whole.kinds[kind].digit_accuracy - score.digit_accuracy >= MOVED
    }
    worst = sorted(lost, key=lost.__getitem__, reverse=True)[:3]
    kinds = ", ".join(f"{kind} {one.kinds[kind].digit_accuracy:.3f}" for kind in worst)
    return (
        f"| {name} | {one.total.digit_accuracy:.4f} | {one.total.number_f1:.4f} | {one.cells_right:.3f} "
        f"| {one.false_numbers:.2f} | {kinds} |"
    )


def table(measured: Iterator[tuple[str, Measured]]) -> Iterator[str]:
    """A row for the whole method, the first of those measured, then one for each trick."""
    yield "| without | digit accuracy | numbers F1 | cells right | false numbers on print | kinds that lose most |"
    yield "|---|--:|--:|--:|--:|---|"
    name, whole = next(measured)
    yield row(name, whole, whole)
    for trick, one in measured:
        yield row(trick, one, whole)


def draw(data: Path, fonts: Path, kinds: Sequence[str], *, each: int, cells: int, printed: int) -> Pages:
    """So many pages of each of some kinds, cells, and pages of print."""
    looks = KINDS | {"skewed": replace(KINDS["skewed"], skew_deg=(-ASKEW_DEG, ASKEW_DEG))}
    held_out = load_mnist(data).validation
    source = crop_source(held_out.images, held_out.labels)
    drawn = [
        draw_page(
            kind,
            np.random.default_rng((SEED, place, number)),
            dpi=DPI,
            look=looks[kind],
            digits_source=source if takes_digits(number) else None,
        )
        for place, kind in enumerate(KINDS)
        if kind in kinds
        for number in range(each)
    ]
    words, faces = words_of(TEXT.read_text(encoding="utf-8")), list(held_out_faces(fonts)) if printed else []
    pages_of_print = [
        page_of_print(words, faces[number % len(faces)], np.random.default_rng((SEED, number)))
        for number in range(printed)
    ]
    return Pages(drawn, list(itertools.islice(log_book_cells(data, "even"), cells)), pages_of_print)


def _read(gray: NDArray[np.uint8], dpi: float | None, model: DigitModel, settings: Settings) -> Any:
    return pipeline.read_page(Page(gray, dpi), model, settings)


def _set(group: str, **values: Any) -> Callable[[Settings], Settings]:
    return lambda settings: replace(settings, **{group: replace(getattr(settings, group), **values)})


def _without_pale(page: Page, settings: BinariseSettings) -> InkMask:
    return replace(binarise(page, settings), pale=np.zeros((0, 0), np.uint8))


def _ruled(ink: InkMask, *_: object) -> Unruled:
    no_lines, no_px = np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
    return Unruled(ink, Rulings(no_lines, no_px, no_lines, no_px))


def _all_readings(readings: tuple[Digit, ...], about: Surroundings, _: LayoutSettings) -> Untexted:
    return Untexted(readings, about)


def _all_digits(readings: tuple[Digit, ...], *_: object) -> tuple[Digit, ...]:
    return tuple(reading for reading in readings if reading.text)


def _no_strings(*_: object) -> NDArray[np.int32]:
    return np.zeros((0, 4), np.int32)


def _nothing_doubtful(*_: object) -> Doubtful:
    none = np.zeros(0, np.intp)
    return Doubtful(_no_strings(), (), none, none, np.zeros(0, np.bool_), ())


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw, read without each trick, print."""
    about = __doc__.partition("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.ablations", description=about)
    parser.add_argument("--data", type=Path, required=True, help="the folder with mnist/ and evaluation/")
    parser.add_argument("--pages", type=int, default=4, help="of each kind (4)")
    parser.add_argument("--cells", type=int, default=200, help="of the log-book (200)")
    parser.add_argument("--print-pages", type=int, default=8, help="of print (8)")
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS), help="of drawn page (all)")
    parser.add_argument("--tricks", nargs="+", default=[""], help="words of the tricks' names (all)")
    parser.add_argument("--fonts", type=Path, default=CACHE, help=f"where fetched fonts are kept ({CACHE})")
    options = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    amounts = {"each": options.pages, "cells": options.cells, "printed": options.print_pages}
    pages, model = draw(options.data, options.fonts, options.kinds, **amounts), load_model()
    chosen = (trick for trick in tricks() if any(word in trick.name for word in options.tricks))
    every = itertools.chain([Trick("nothing")], chosen)
    for line in table((trick.name, measure(pages, model, trick)) for trick in every):
        print(line, flush=True)


if __name__ == "__main__":
    main()
