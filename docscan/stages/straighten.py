"""Page + InkMask -> Straight: lines level, digits upright, and the way back to the pixels of the scan.

Skew is the angle along which the page's ink falls into the sharpest lines: the energy of the projection profile's
steps (Postl, Detection of linear oblique structures and skew scan in digitized documents, ICPR 1986), taken over
upright strips of the reduced page, which are sheared instead of turned. Quarter turns show in what is read: among all
the readings of the page's digits in all four turns, the surest are those of the digits that stand upright; and in which
way what is written stands in line.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from docscan.records import NOT_A_DIGIT, Box, Glyphs, InkMask, Number, Page, PageResult, Straight
from docscan.settings import BinariseSettings, StraightenSettings
from docscan.stages.binarise import dark_ink, is_light_on_dark, light_ink, reduced
from docscan.stages.chains import shared_rows
from docscan.stages.classify import DigitModel
from docscan.stages.components import label
from docscan.stages.grouping import neighbour_pairs
from docscan.stages.normalise import normalise_all

_TURNS = 4
_AS_IT_IS = np.eye(2, 3)
_COARSE = 3  # rows of the reduced page to a row of its first profile: a peak one degree wide is seen whole
_STRIPS = 64  # upright ones, of the first profile ...
_FINE_STRIPS = 96  # ... and of the second, which only a skewed page pays for
_PARTS = 4  # of a row
_FEWEST = 3  # pieces that a row's slope shows in
_MOST_PIECES = 100  # of a picture of one row, blots among them,
_SPECK_PX = 3  # but not what is no longer than this: on the reduced page digits are three times as high


def straighten(page: Page, ink: InkMask, binarising: BinariseSettings, settings: StraightenSettings) -> Straight:
    """Level a page whose lines run askew by `least_deg` or more, and part its ink from its paper again.

    The gray page is turned, not the mask: the sides of boxes come out too jagged to be taken for lines. Its edge goes
    on beyond the scan, where no ink is. A page whose skew is small or in doubt stays as it is.
    """
    skew_deg = find_skew(ink.ink, settings)
    if skew_deg == 0:
        return Straight(page, ink, _AS_IT_IS)
    height, width = page.gray.shape
    turn = cv2.getRotationMatrix2D((width / 2 - 0.5, height / 2 - 0.5), skew_deg, 1.0)
    cosine, sine = np.abs(turn[0, :2])
    size = round(width * cosine + height * sine), round(width * sine + height * cosine)
    turn[:, 2] += (np.array(size) - [width, height]) / 2
    gray = cv2.warpAffine(page.gray, turn, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    level = Page(np.asarray(gray, dtype=np.uint8), page.dpi)
    corners = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]])
    on_scan = np.zeros(level.gray.shape, np.uint8)
    cv2.fillConvexPoly(on_scan, np.rint(corners @ turn[:, :2].T + turn[:, 2]).astype(np.int32), 255)
    # Polarity is that of the scan: a table around the sheet grows as its edge goes on.
    part = light_ink if is_light_on_dark(reduced(page.gray, binarising)) else dark_ink
    parted = part(level, reduced(level.gray, binarising), binarising)
    inks = (np.asarray(cv2.bitwise_and(ink, on_scan), dtype=np.uint8) for ink in (parted.ink, parted.with_pale))
    level_ink, level_pale = inks
    return Straight(level, InkMask(level_ink, page.dpi, level_pale), cv2.invertAffineTransform(turn))


def find_skew(ink: NDArray[np.uint8], settings: StraightenSettings) -> float:
    """By how many degrees (H, W) ink is to be turned anticlockwise for its lines to be level; 0 where it is to stay.

    It stays where the angle is small, where level lines are nearly as sharp, and where fewer than three of the page's
    four halves agree: a page of a few numbers, or a picture of one, unless that is a single row which slopes.
    """
    if min(ink.shape) < settings.min_side_px:
        return 0.0
    reduced = _without_edges(ink, settings)
    height, width = reduced.shape
    angles = np.arange(-settings.most_deg, settings.most_deg + 1, 1.0)
    halves = _sharpness(reduced, height // _COARSE, min(_STRIPS, width // 8), angles)
    whole = halves[:, :2].sum(axis=1)
    best = int(np.argmax(whole))
    agree = int((np.abs(angles[np.argmax(halves, axis=0)] - angles[best]) <= 1).sum())
    gain = whole[best] / max(whole[len(whole) // 2], 1e-9)
    if agree < settings.min_halves:
        return _slope_of_row(reduced, settings)
    if abs(angles[best]) < settings.least_deg - 1 or gain < settings.min_gain:
        return 0.0
    near = angles[best] + np.arange(-1, 1.01, 0.25)
    fine = _sharpness(reduced, height, min(_FINE_STRIPS, width // 6), near)
    skew_deg = float(near[np.argmax(fine[:, :2].sum(axis=1))])
    return skew_deg if abs(skew_deg) >= settings.least_deg else 0.0


def _slope_of_row(ink: NDArray[np.uint8], settings: StraightenSettings) -> float:
    """By how many degrees the only row in (H, W) ink falls to the right; 0 where there is more or it is level.

    Digits that follow each other no longer share enough of their rows to make one number then.
    """
    _, stats = label(ink)
    stats = stats[1:][stats[1:, cv2.CC_STAT_WIDTH : cv2.CC_STAT_AREA].max(axis=1) > _SPECK_PX]
    if not _FEWEST <= len(stats) < _MOST_PIECES:
        return 0.0
    left, top, width, height = stats[:, : cv2.CC_STAT_AREA].T
    longest = np.maximum(width, height)
    large = np.flatnonzero(longest >= settings.min_row_piece * longest.max())
    row = large[np.argsort(left[large], kind="stable")]
    unit = float(np.median(longest[row]))
    gaps = left[row[1:]] - (left + width)[row[:-1]]
    along, down = left[row] + width[row] / 2, top[row] + height[row] / 2
    along, down = along - along.mean(), down - down.mean()
    if len(row) < _FEWEST or gaps.max() > settings.max_row_gap * unit or np.ptp(along) < unit:
        return 0.0
    slope = float(along @ down / (along @ along))
    slope_deg = float(np.degrees(np.arctan(slope)))
    in_a_row = bool(np.abs(down - slope * along).max() <= settings.max_off_row * unit)
    return slope_deg if in_a_row and settings.least_row_deg <= abs(slope_deg) <= settings.most_deg else 0.0


def _without_edges(ink: NDArray[np.uint8], settings: StraightenSettings) -> NDArray[np.uint8]:
    """Every so many pixels of the ink, but for a margin: the edges of scanners and tables are always level."""
    height, width = ink.shape
    step = max(1, round(min(height, width) / settings.side_px))
    above, before = round(settings.margin * height), round(settings.margin * width)
    return np.ascontiguousarray(ink[above : height - above : step, before : width - before : step])


def _sharpness(ink: NDArray[np.uint8], rows: int, strips: int, angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """How sharp the lines at each of `angles`, degrees, are: (angles, 4), for the top, bottom, left and right half.

    Those of the page are the top's and the bottom's together.
    """
    strips = max(2, strips // 2 * 2)
    grid = cv2.resize(ink, (strips, rows), interpolation=cv2.INTER_AREA).astype(np.float32)
    drops = np.tan(np.radians(angles)) * (ink.shape[1] / strips) * (rows / ink.shape[0])  # rows from strip to strip
    beyond = int(np.ceil(np.abs(drops).max() * strips / 2)) + 1
    # Every strip as it is and a quarter, a half, three quarters of a row higher: then a shear moves whole rows.
    strip = np.pad(grid.T, ((0, 0), (2 * beyond, 2 * beyond)))[:, np.newaxis]
    higher = (np.arange(_PARTS, dtype=np.float32) / _PARTS)[:, np.newaxis]
    parts = (1 - higher) * strip[:, :, :-1] + higher * strip[:, :, 1:]
    moved = np.rint(_PARTS * np.outer(drops, np.arange(strips) - (strips - 1) / 2)).astype(np.intp)
    row, part = np.divmod(moved + _PARTS * beyond, _PARTS)
    windows = np.lib.stride_tricks.sliding_window_view(parts, rows + 2 * beyond, axis=2)
    profiles = np.empty((len(angles), 2, rows + 2 * beyond), np.float32)
    for profile, *place in zip(profiles, part, row, strict=True):  # one by one: all of a long roll take 200 MB
        windows[np.arange(strips), *place].reshape(2, strips // 2, -1).sum(axis=1, out=profile)
    sides = np.diff(profiles, axis=2)
    whole = sides.sum(axis=1) ** 2
    middle = whole.shape[1] // 2
    left, right = (sides**2).sum(axis=2).T
    return np.stack([whole[:, :middle].sum(axis=1), whole[:, middle:].sum(axis=1), left, right], axis=1)


@dataclass(frozen=True, slots=True)
class Turn:
    """How a page may have to be turned."""

    quarters: int
    """Anticlockwise, 1 to 3."""
    least_sure: float
    """It is borne out where this share of the digits that are then read stands in sure numbers."""


def find_turns(
    glyphs: Glyphs, numbers: Sequence[Number], model: DigitModel, settings: StraightenSettings
) -> tuple[Turn, ...]:
    """How the page may have to be turned, the likeliest first.

    None for a page that reads well as it is, without a second look: that is most pages. Else some of its glyphs are
    classified in all four turns; each of the surest readings is a vote for its turn, whose number must beat that of
    the page as it is by `min_lead`. What is written stands nearer along a line than across: a page whose lines run up
    and down lies on one of its sides, and needs fewer sure digits.
    """
    if not settings.quarter_turns or not len(glyphs):
        return ()
    reads_well = _reads_well(numbers, len(glyphs), settings)
    if reads_well and len(glyphs) >= settings.many_glyphs:
        return ()
    beside, below = _neighbours_along(glyphs.boxes, settings)
    on_its_side = below >= max(settings.least_in_line, settings.clear_lines * beside)
    if not on_its_side and (reads_well or len(glyphs) < settings.min_glyphs):
        return ()
    sample = np.unique(np.linspace(0, len(glyphs) - 1, settings.sample).astype(np.intp))
    doubts = [_doubts(_classify_turned(glyphs, sample, 0, model))]
    if np.mean(doubts[0] < 1 - settings.sure) >= settings.well_read_glyphs:
        return ()
    doubts += [_doubts(_classify_turned(glyphs, sample, turns, model)) for turns in range(1, _TURNS)]
    surest = np.argsort(np.concatenate(doubts), kind="stable")[: math.ceil(settings.voting * len(sample))]
    votes = np.bincount(surest // len(sample), minlength=_TURNS)
    best = int(np.argmax(votes))
    if on_its_side and best % 2:  # not where a grid of single digits stands upside down
        least_sure = max(settings.min_sure_on_side, settings.min_better * share_of_sure(numbers, settings))
        sides = [turns for turns in np.argsort(-votes, kind="stable").tolist() if turns % 2 and votes[turns] > votes[0]]
        return tuple(Turn(turns, min(least_sure, settings.min_upright)) for turns in sides)
    # Letters upside down look more like digits than upright: a page of print stays as it is.
    sure = np.mean(doubts[best] < 1 - settings.sure)
    is_turned = best > 0 and votes[best] >= settings.min_lead * votes[0] and sure >= settings.min_sure
    return (Turn(best, settings.min_upright),) if is_turned and len(glyphs) >= settings.min_glyphs else ()


def share_of_sure(numbers: Sequence[Number], settings: StraightenSettings) -> float:
    """The share of the digits that stand in sure numbers; print upside down makes numbers, but no sure ones."""
    sizes = np.array([len(number.digits) for number in numbers], dtype=np.intp)
    sure = np.array([number.confidence > settings.sure for number in numbers], dtype=np.bool_)
    return float(sizes[sure].sum() / max(1, sizes.sum()))


def _neighbours_along(boxes: NDArray[np.int32], settings: StraightenSettings) -> tuple[int, int]:
    """How many of the boxes (N, 4) have their nearest neighbour beside them, and how many below or above."""
    wide, high = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    longest = np.maximum(wide, high)
    one, other = neighbour_pairs(boxes, settings.in_line * longest)
    unit = np.minimum(longest[one], longest[other])
    alike = np.maximum(longest[one], longest[other]) <= settings.alike * unit
    rows, columns = (shared_rows(turned[one], turned[other]) for turned in (boxes, boxes[:, [1, 0, 3, 2]]))
    apart = []
    for across, along, sides in ((rows, columns, high), (columns, rows, wide)):
        in_line = alike & (2 * across > np.minimum(sides[one], sides[other]))
        in_line &= np.abs(along) <= settings.in_line * unit
        nearest = np.full(len(boxes), np.inf)
        for members in (one, other):
            np.minimum.at(nearest, members[in_line], (-along / unit)[in_line])
        apart.append(nearest)
    beside, below = apart
    return int(np.count_nonzero(beside < below)), int(np.count_nonzero(below < beside))


def _reads_well(numbers: Sequence[Number], candidates: int, settings: StraightenSettings) -> bool:
    """True where most digits are in sure numbers of two or more: turned digits stand below each other, one by one.

    Being sure is not enough: whole strings are read even on their side, surely and wrongly.
    """
    sizes = np.array([len(number.digits) for number in numbers], dtype=np.intp)
    sure = np.array([number.confidence > settings.sure for number in numbers], dtype=np.bool_)
    surely_read = int(sizes[(sizes > 1) & sure].sum())
    return surely_read >= max(settings.in_a_row * candidates, settings.well_read_digits * int(sizes.sum()))


def _classify_turned(glyphs: Glyphs, sample: NDArray[np.intp], turns: int, model: DigitModel) -> NDArray[np.float32]:
    inks = [np.ascontiguousarray(np.rot90(glyphs.inks[glyph], turns)) for glyph in sample]
    return model.glance(normalise_all(inks))


def _doubts(probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
    """The chance (N,) that each is not the digit it looks most like; exact near 0, where 1 - p in 32 bits is not."""
    ordered = np.sort(probabilities[:, :NOT_A_DIGIT].astype(np.float64), axis=1)
    return np.asarray(ordered[:, :-1].sum(axis=1) + probabilities[:, NOT_A_DIGIT])


def turned(page: Page, turns: int) -> Page:
    """The page after so many quarter turns anticlockwise."""
    return Page(np.ascontiguousarray(np.rot90(page.gray, turns)), page.dpi)


def turned_back(result: PageResult, turns: int) -> PageResult:
    """What was read on a page that had been `turned`, with its boxes where they are on the page as it came."""
    width, height = result.width, result.height
    back = (
        _AS_IT_IS,
        np.array([[0.0, -1.0, height - 1], [1.0, 0.0, 0.0]]),
        np.array([[-1.0, 0.0, width - 1], [0.0, -1.0, height - 1]]),
        np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, width - 1]]),
    )[turns]
    if turns % 2:
        width, height = height, width
    return replace(result, numbers=_moved(result.numbers, back, width, height), width=width, height=height)


def on_scan(numbers: tuple[Number, ...], straight: Straight, scan: Page) -> tuple[Number, ...]:
    """Numbers with their boxes in pixels of the scan: each around its levelled box, turned back."""
    if np.array_equal(straight.to_scan, _AS_IT_IS):
        return numbers
    height, width = scan.gray.shape
    return _moved(numbers, straight.to_scan, width, height)


def _moved(numbers: tuple[Number, ...], to: NDArray[np.float64], width: int, height: int) -> tuple[Number, ...]:
    def box_of(box: Box) -> Box:
        right, bottom = box.right - 1, box.bottom - 1  # the middles of the outermost pixels
        corners = np.array([[box.left, box.top], [right, box.top], [right, bottom], [box.left, bottom]])
        places = np.clip(np.rint(corners @ to[:, :2].T + to[:, 2]), 0, [width - 1, height - 1]).astype(int)
        return Box(*(int(edge) for edge in (*places.min(axis=0), *(places.max(axis=0) + 1))))

    return tuple(
        replace(
            number,
            box=box_of(number.box),
            digits=tuple(replace(digit, box=box_of(digit.box)) for digit in number.digits),
        )
        for number in numbers
    )
