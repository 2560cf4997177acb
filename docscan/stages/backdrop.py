"""What a page has before and behind its writing, and how dark that is, so that the page is read again without it.

Squared paper is lines everywhere, which set nothing apart. What shows through from the other side is far paler than
what is written, and mirrored: its digits are read from behind. Pale letters are read neither way, and pencil beside a
pen as it stands.
"""

import numpy as np
from numpy.typing import NDArray

from docscan.records import NOT_A_DIGIT, Glyphs, Number, Page, Squares
from docscan.settings import BackdropSettings
from docscan.stages.classify import DigitModel
from docscan.stages.normalise import normalise_all
from docscan.stages.squares import darkness_of

_BESIDE_PX = 3  # from a glyph's box: there is paper, at most of the corners and sides
_PAPER = 75  # percentile of the gray there
_WRITTEN = 75  # percentile of the darkness of glyphs on squared paper: some are pieces of lines
_DARKEST = 95  # percentile of the darkness of glyphs: writing is as dark, or a page's print
_INK = 25  # percentile of the gray of a glyph's ink: its edges are paler


def find_backdrop(
    page: Page,
    glyphs: Glyphs,
    numbers: tuple[Number, ...],
    squares: Squares | None,
    model: DigitModel,
    limits: BackdropSettings,
) -> float:
    """By how many gray levels ink must be darker than its paper to be writing; 0 where there is nothing else.

    `page` is dark on light; another gives 0. So does one most of whose digits are of sure numbers, without a closer
    look: that is most pages, and nothing stands in their way.
    """
    digits = sum(len(number.digits) for number in numbers)
    if len(glyphs) < limits.min_glyphs or _sure_digits(numbers, limits) >= limits.well_read * max(1, digits):
        return 0.0
    return _of_squares(page, glyphs, squares, limits) if squares else _of_bleed(page, glyphs, model, limits)


def bears_out(clear: tuple[Number, ...], numbers: tuple[Number, ...], limits: BackdropSettings) -> bool:
    """Whether a page is read no less surely `clear` of its backdrop than with it: else that was writing."""
    return _sure_digits(clear, limits) >= _sure_digits(numbers, limits)


def _sure_digits(numbers: tuple[Number, ...], limits: BackdropSettings) -> int:
    """How many digits are of sure numbers."""
    return sum(len(number.digits) for number in numbers if number.confidence > limits.sure)


def _of_squares(page: Page, glyphs: Glyphs, squares: Squares, limits: BackdropSettings) -> float:
    """How dark squared paper is; 0 where it is no paler than writing."""
    sample = _evenly(np.arange(len(glyphs)), limits.most)
    written = float(
        np.percentile(_darkness(page.gray, glyphs.boxes[sample], [glyphs.inks[row] for row in sample]), _WRITTEN)
    )
    least = limits.above * darkness_of(squares, page.gray)
    return least if least <= limits.max_squares * written else 0.0


def _of_bleed(page: Page, glyphs: Glyphs, model: DigitModel, settings: BackdropSettings) -> float:
    """How dark what shows through from the other side is; 0 where nothing does."""
    sample = _evenly(np.arange(len(glyphs)), settings.sample)
    darkness = _darkness(page.gray, glyphs.boxes[sample], [glyphs.inks[row] for row in sample])
    dark = _evenly(np.flatnonzero(darkness > settings.max_darkness * np.percentile(darkness, _DARKEST)), settings.most)
    is_digit = _are_digits([glyphs.inks[row] for row in sample[dark]], model, settings)
    if not is_digit.any():
        return 0.0
    written = float(np.median(darkness[dark][is_digit]))
    pale = _evenly(np.flatnonzero(darkness <= settings.max_darkness * written), settings.most)
    if len(pale) < settings.min_mirrored:
        return 0.0
    upright = _are_digits([glyphs.inks[row] for row in sample[pale]], model, settings)
    mirrored = _are_digits([np.ascontiguousarray(glyphs.inks[row][:, ::-1]) for row in sample[pale]], model, settings)
    for share, lead in ((settings.max_darkness, settings.min_lead), (settings.palest, settings.min_lead_of_palest)):
        as_pale = darkness[pale] <= share * written
        behind, before = as_pale & mirrored & ~upright, as_pale & upright & ~mirrored
        if np.count_nonzero(behind) >= max(settings.min_mirrored, lead * np.count_nonzero(before)):
            least = settings.above * float(np.percentile(darkness[pale][behind], settings.darkest))
            if least <= settings.max_darkness * written:  # else pieces of it would be left, and of writing lost
                return least
    return 0.0


def _evenly(rows: NDArray[np.intp], most: int) -> NDArray[np.intp]:
    """At most so many of the rows (N,), evenly among them."""
    return rows[:: max(1, -(-len(rows) // most))]


def _darkness(gray: NDArray[np.uint8], boxes: NDArray[np.int32], inks: list[NDArray[np.uint8]]) -> NDArray[np.float64]:
    """How much darker than the paper about it the ink (h, w) in each of the boxes (N, 4) is: (N,), gray levels."""
    left, top, right, bottom = boxes.T + np.array([[-_BESIDE_PX], [-_BESIDE_PX], [_BESIDE_PX], [_BESIDE_PX]])
    x, y = (left + right) // 2, (top + bottom) // 2
    rows = np.clip([top, top, bottom, bottom, y, y, top, bottom], 0, gray.shape[0] - 1)
    columns = np.clip([left, right, left, right, left, right, x, x], 0, gray.shape[1] - 1)
    paper = np.percentile(gray[rows, columns], _PAPER, axis=0)
    own = [
        np.percentile(gray[top:bottom, left:right][ink > 0], _INK)
        for (left, top, right, bottom), ink in zip(boxes.tolist(), inks, strict=True)
    ]
    return np.asarray(np.maximum(paper - np.array(own), 0.0), dtype=np.float64)


def _are_digits(inks: list[NDArray[np.uint8]], model: DigitModel, settings: BackdropSettings) -> NDArray[np.bool_]:
    """Which pieces of ink are surely digits."""
    chances = model.glance(normalise_all(inks))[:, :NOT_A_DIGIT]
    return np.asarray(chances.max(axis=1) > settings.sure_digit)
