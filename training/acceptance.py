"""Drawn pages -> how sure a number must be for at most one in so many of those accepted to be wrong.

Whole pages through docscan's own method, so what segmentation gets wrong counts as well: a 1 lost beside a 7, two
digits run together, a word read as a number. The pages are drawn with digits nobody trained on.
"""

from collections.abc import Iterable, Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from docscan.records import Glyphs, Page, PageResult
from docscan.scoring import Judged, ReadNumber, Score, TrueNumber, score_page
from docscan.settings import Settings
from docscan.stages.binarise import binarise
from docscan.stages.components import find_components
from docscan.stages.glyphs import cut_glyphs
from docscan.stages.normalise import normalise_all
from docscan.stages.rulings import remove_rulings
from training.calibrate import threshold_for
from training.crops import MATCH
from training.data import Digits
from training.pages import KINDS, DrawnPage, crop_source, draw_page

ERRORS = (0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005)
PAGES_A_KIND = 80
PAGES_SEED = 3


def drawn_pages(digits: Digits | None, seed: int, pages_a_kind: int = PAGES_A_KIND) -> Iterator[DrawnPage]:
    """Pages of every kind: half written with `digits`, where there are any, half by drawn hands."""
    for kind in sorted(KINDS):
        for number in range(pages_a_kind):
            yield draw_of_kind(kind, number, digits, seed)


def draw_of_kind(kind: str, number: int, digits: Digits | None, seed: int) -> DrawnPage:
    """The `number`th page of a kind; every second one is written with `digits`, where there are any."""
    source = crop_source(digits.images, digits.labels) if digits is not None and takes_digits(number) else None
    return draw_page(kind, np.random.default_rng((seed, sorted(KINDS).index(kind), number)), digits_source=source)


def takes_digits(number: int) -> bool:
    """Whether the `number`th page of a kind is written with the digits at hand, and not by a drawn hand."""
    return number % 2 == 1


def gray_of(page: DrawnPage) -> NDArray[np.uint8]:
    """A drawn page as the decoder would give it: (H, W) uint8."""
    image = cv2.cvtColor(page.image, cv2.COLOR_RGB2GRAY) if page.image.ndim == 3 else page.image
    return np.asarray(image, dtype=np.uint8)


def score_drawn(page: DrawnPage, result: PageResult) -> tuple[Score, tuple[Judged, ...]]:
    """Hold what was read on a drawn page against what was drawn there."""
    read = [
        ReadNumber(n.text, n.box.left, n.box.top, n.box.width, n.box.height, n.confidence, n.review)
        for n in result.numbers
    ]
    return score_page(truth_of(page), read)


def truth_of(page: DrawnPage) -> tuple[TrueNumber, ...]:
    """What was drawn on a page."""
    return tuple(
        TrueNumber(number.written, number.box.left, number.box.top, number.box.width, number.box.height, exact=True)
        for number in page.numbers
    )


def thresholds(
    judged: Sequence[Judged], errors: Sequence[float] = ERRORS, *, certainty: float | None = None, margin: float = 1.0
) -> dict[str, float]:
    """Share of wrong numbers allowed -> the least confidence to accept a number with.

    Of those that are judged, `margin` times fewer may be wrong. An error that no confidence keeps within, with that
    certainty, or that too few numbers were measured for, is left out.
    """
    confidences = np.array([one.confidence for one in judged], dtype=np.float64)
    right = np.array([one.right for one in judged], dtype=np.bool_)
    found = {}
    for error in errors:
        least = threshold_for(confidences, right, error / margin, certainty=certainty)
        # Fewer than 1 / error numbers say nothing of one in 1 / error.
        if np.count_nonzero(confidences >= least) >= margin / error:
            found[f"{error:g}"] = least
    return found


def crops_of(pages: Iterable[DrawnPage], most: int = 8192) -> NDArray[np.uint8]:
    """What docscan would ask the classifier about on drawn pages: crops (N, 28, 28), at most `most`, of all pages."""
    crops = normalise_all([ink for page in pages for ink in glyphs_of(Page(gray_of(page), float(page.dpi))).inks])
    return crops[:: max(1, -(-len(crops) // most))]


def page_crops_of(pages: Iterable[DrawnPage]) -> Digits:
    """The crops docscan's stages cut from drawn pages, with the digit each is; what matches none is left out."""
    inks: list[NDArray[np.uint8]] = []
    labels: list[int] = []
    for page in pages:
        glyphs = glyphs_of(Page(gray_of(page), float(page.dpi)))
        digits = [digit for number in page.numbers for digit in number.digits]
        truth = np.array([digit.box for digit in digits], dtype=np.int64).reshape(-1, 4)
        for glyph, digit in matching(glyphs.boxes.astype(np.int64), truth):
            inks.append(glyphs.inks[glyph])
            labels.append(int(digits[digit].text))
    return Digits(normalise_all(inks), np.array(labels, dtype=np.int64))


def matching(found: NDArray[np.int64], truth: NDArray[np.int64], at_least: float = MATCH) -> NDArray[np.intp]:
    """Which boxes (N, 4) are which of (M, 4): pairs (P, 2) of rows that overlap by `at_least` of their union.

    Above one half no box can have two partners.
    """
    low = np.maximum(found[:, np.newaxis, :2], truth[np.newaxis, :, :2])
    high = np.minimum(found[:, np.newaxis, 2:], truth[np.newaxis, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    areas = _areas(found)[:, np.newaxis] + _areas(truth)
    return np.argwhere(shared >= at_least * np.maximum(areas - shared, 1))


def _areas(boxes: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).prod(axis=1))


def glyphs_of(page: Page) -> Glyphs:
    """The first half of docscan's method: what it would ask the classifier about."""
    settings = Settings()
    unruled = remove_rulings(binarise(page, settings.binarise), settings.components, settings.rulings)
    return cut_glyphs(find_components(unruled.ink, settings.components), settings.components, settings.glyphs)
