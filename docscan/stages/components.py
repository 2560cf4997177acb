"""InkMask -> Components: label connected ink, learn how high digits are here, keep what could be one."""

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from docscan.records import Components, InkMask, LowInk, Pieces
from docscan.settings import ComponentSettings

_MM_PER_INCH = 25.4
_BINS_PER_OCTAVE = 8
_SAMPLE = 64  # pieces looked at
_LONG = 2.5  # higher than wide by more is no 0, whose dot might be taken for a digit in a box
_ROUND = 1.4  # longer than wide by more is a stroke, not a dot
_MOST_PAIRS = 4_000_000  # of a piece that may go round another, and of one that may be in it
_NO_ROWS = np.zeros((0, 4), np.float32)
_CUT_PX = 1.0  # from the middle of a line: ink nearer than this is cut, which parts what it holds together
_LARGEST = 400  # digit heights squared: a piece of more is no digits that touch, but what holds a page together
_MOST_TALL = 3000  # pieces looked at
_MOST_PARTS = 64  # of a piece; more is no two rows of digits
_LAST_LABEL = 65_535  # of 16 bits
_STROKE_SHARE = 1.2  # of a digit's ink over half its box's outline, to the width of its strokes: 1.1 to 1.4 by hand


def find_components(ink: InkMask, settings: ComponentSettings, rows: NDArray[np.float32] = _NO_ROWS) -> Components:
    """Label connected ink and keep the pieces that could be a digit or a part of one.

    Pieces touch if they share an edge or a corner. How high a digit is comes from the pieces themselves, so nothing
    depends on the resolution; where it is known it only bounds the answer. A blank page has no components. `rows` are
    the lines (N, 4) that were taken out: where those are tight, digits above and below one touch.
    """
    pieces = find_pieces(ink.ink)
    digit_height_px = digit_height(pieces.boxes, pieces.areas, ink, settings)
    pieces = _part_rows(pieces, rows, digit_height_px, settings)
    boxes, areas = pieces.boxes, pieces.areas
    low = _low_ink(boxes, areas, digit_height_px, settings)
    found = Components(pieces, np.arange(1, len(pieces) + 1, dtype=np.int32), boxes, areas, digit_height_px, low)
    keep, is_ring = _could_be_digits(found, settings), _are_rings(found, settings)
    as_high = np.abs(np.log2(np.maximum(boxes[:, 3] - boxes[:, 1], 1) / max(digit_height_px, 1))) < 1
    return replace(found.where(keep & ~is_ring), runs=boxes[as_high & ~keep & ~is_ring])


def find_pieces(ink: NDArray[np.uint8]) -> Pieces:
    """Take (H, W) ink, 0 or 255, apart into the pieces that hang together, by an edge or a corner."""
    labels, stats = label(ink)
    boxes = stats[1:, [cv2.CC_STAT_LEFT, cv2.CC_STAT_TOP, cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]]  # row 0 is the paper
    boxes[:, 2:] += boxes[:, :2]
    return Pieces(labels, boxes, stats[1:, cv2.CC_STAT_AREA])


def _part_rows(pieces: Pieces, rows: NDArray[np.float32], unit: float, settings: ComponentSettings) -> Pieces:
    """The pieces, those cut in two along a line of `rows` (N, 4) that hold digits above and below it."""
    widths, heights = (pieces.boxes[:, 2:] - pieces.boxes[:, :2]).T
    tall = np.flatnonzero((heights >= settings.min_two_rows * unit) & (widths * heights <= _LARGEST * unit**2))
    if not unit or len(rows) < 2 or not 0 < len(tall) <= _MOST_TALL:
        return pieces
    boxes, areas = list(pieces.boxes), list(pieces.areas)
    labels = pieces.labels.astype(np.int32) if len(pieces) + len(tall) * _MOST_PARTS > _LAST_LABEL else pieces.labels
    for piece in tall.tolist():
        left, top, right, bottom = pieces.boxes[piece].tolist()
        levels = _tight_levels(rows, (left + right) / 2, (settings.least_rows * unit, settings.tight_rows * unit))
        levels = levels[
            (levels[:, 0] >= top + settings.min_of_row * unit) & (levels[:, 0] <= bottom - settings.min_of_row * unit)
        ]
        if not len(levels):
            continue
        place = labels[top:bottom, left:right]
        own = place == piece + 1
        down, along = np.ogrid[top:bottom, left:right]
        cut = own.copy()
        for level, slope in levels:
            cut &= np.abs(down - level - slope * (along - (left + right) / 2)) > _CUT_PX
        count, parts, stats, _ = cv2.connectedComponentsWithStats(cut.astype(np.uint8), connectivity=8)
        if not 2 <= count - 1 <= _MOST_PARTS:
            continue
        place[own & ~cut] = 0
        for part in range(1, count):
            x, y, width, height, area = stats[part].tolist()
            box = np.array([left + x, top + y, left + x + width, top + y + height], np.int32)
            if part == 1:
                boxes[piece], areas[piece] = box, np.int32(area)
            else:
                boxes.append(box)
                areas.append(np.int32(area))
                place[parts == part] = len(boxes)
    return Pieces(labels, np.array(boxes, np.int32), np.array(areas, np.int32))


def _tight_levels(rows: NDArray[np.float32], x: float, tight: tuple[float, float]) -> NDArray[np.float64]:
    """Where lines (N, 4) as far from the next as `tight`, from least to most, pass at x, and their slope: (K, 2)."""
    here = rows[(rows[:, 0] <= x) & (x <= rows[:, 2])].astype(np.float64)
    slopes = (here[:, 3] - here[:, 1]) / np.maximum(here[:, 2] - here[:, 0], 1)
    levels = here[:, 1] + slopes * (x - here[:, 0])
    order = np.argsort(levels)
    levels, slopes = levels[order], slopes[order]
    steps, (least, most) = np.diff(levels), tight
    is_tight = (steps >= least) & (steps <= most)
    near = np.concatenate([is_tight, [False]]) | np.concatenate([[False], is_tight])
    return np.stack([levels[near], slopes[near]], axis=1) if len(levels) else np.zeros((0, 2))


def label(ink: NDArray[np.uint8]) -> tuple[NDArray[np.uint16] | NDArray[np.int32], NDArray[np.int32]]:
    """Number the connected pieces of (H, W) ink, 0 or 255, from 1: their labels, and OpenCV's statistics (N + 1, 5).

    Row 0 of the statistics would be the paper's and is 0.
    """
    try:
        # 16-bit labels: 5 ms on an A4 page at 300 dpi.
        count, labels = cv2.connectedComponents(ink, connectivity=8, ltype=cv2.CV_16U)
    except cv2.error:  # more than 65,535 components: a very noisy page
        count, labels = cv2.connectedComponents(ink, connectivity=8, ltype=cv2.CV_32S)
    return labels, _statistics(ink, labels, count)


def _statistics(
    ink: NDArray[np.uint8], labels: NDArray[np.uint16] | NDArray[np.int32], count: int
) -> NDArray[np.int32]:
    """Box and area (count, 5) of each label, from its level runs of ink.

    OpenCV's own look at every pixel of the paper as well: 10 ms on an A4 page, where this takes 2.
    """
    height, width = ink.shape
    changes = np.empty((height, width + 1), np.bool_)  # between a pixel and the one before it, paper on either side
    np.not_equal(ink[:, 1:], ink[:, :-1], out=changes[:, 1:-1])
    changes[:, 0], changes[:, -1] = ink[:, 0], ink[:, -1]
    places = np.flatnonzero(changes)
    starts, ends = places[::2], places[1::2]
    rows = starts // (width + 1)
    lefts, lengths = starts - rows * (width + 1), ends - starts
    ids = labels.reshape(-1)[starts - rows]
    left, right, top, bottom = np.full(count, width), *np.zeros((3, count), np.intp)
    np.minimum.at(left, ids, lefts)
    np.maximum.at(right, ids, lefts + lengths)
    top[ids[::-1]] = rows[::-1]  # rows go down the page: the one written last stays
    bottom[ids] = rows + 1
    stats = np.zeros((count, 5), np.int32)
    stats[:, cv2.CC_STAT_LEFT], stats[:, cv2.CC_STAT_TOP] = left, top
    stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT] = right - left, bottom - top
    stats[:, cv2.CC_STAT_AREA] = np.bincount(ids, lengths, count)
    stats[0] = 0
    return stats


def digit_height(
    boxes: NDArray[np.int32], areas: NDArray[np.int32], ink: InkMask, settings: ComponentSettings
) -> float:
    """The commonest height among pieces of a digit's proportions; 0 where there are none.

    A piece weighs the square root of its ink: specks outnumber digits on a noisy page, one grid outweighs them all.
    """
    widths, heights = (boxes[:, 2:] - boxes[:, :2]).T
    low = max(settings.min_height_px, settings.min_page_share * max(ink.ink.shape))
    high = float(ink.ink.shape[0])
    if ink.dpi is not None:
        low = max(low, settings.min_digit_mm * ink.dpi / _MM_PER_INCH)
        high = min(high, settings.max_digit_mm * ink.dpi / _MM_PER_INCH)
    filled = areas >= settings.min_fill * widths * heights
    proportions = (widths <= 1.5 * heights) & (heights <= 12 * widths) & filled
    plausible = proportions & (heights >= low) & (heights <= high)
    if not plausible.any():  # one string whose digits all touch is as high as a digit
        plausible = filled & (heights >= low) & (heights <= high) & (widths <= settings.max_string * heights)
    if not plausible.any():
        return 0.0
    near = _usual(heights, areas, plausible)
    others = plausible & ~near
    # A form of small boxes: what stands in them is what is meant.
    if others.any() and _are_frames(boxes, near, plausible, settings):
        near = _usual(heights, areas, others)
    return float(np.median(heights[near]))


def _usual(heights: NDArray[np.int32], areas: NDArray[np.int32], plausible: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which of the plausible pieces are about as high as most of their ink."""
    octaves = np.log2(heights[plausible])
    # A smoothed histogram of log heights: a hand's digits differ by a third, print and hand by more.
    bins = np.round((octaves - octaves.min()) * _BINS_PER_OCTAVE).astype(np.intp)
    ink_of = np.bincount(bins, weights=np.sqrt(areas[plausible]), minlength=5)
    mass = np.convolve(ink_of, [1, 2, 3, 2, 1], "same")
    peak = int(np.argmax(mass[: bins.max() + 1]))
    near = np.abs(bins - peak) <= _BINS_PER_OCTAVE // 4
    usual = plausible.copy()
    usual[plausible] = near if near.any() else True
    return usual


def _are_frames(
    boxes: NDArray[np.int32], usual: NDArray[np.bool_], plausible: NDArray[np.bool_], settings: ComponentSettings
) -> bool:
    """True where many of the pieces of the usual height hold another piece within: no digit does.

    On a page that lies on its side a box of several digits is long, and what it holds need not be plausible.
    """
    sides = boxes[:, 2:] - boxes[:, :2]
    held = sides.max(axis=1) >= sides[plausible, 1].min()  # specks, of which there may be thousands, are none
    frames = boxes[usual][:: 1 + np.count_nonzero(usual) // _SAMPLE, np.newaxis]
    others, sides = boxes[held], sides[held]
    inside = holds(frames[:, 0], others)
    width, height = np.moveaxis(frames[..., 2:] - frames[..., :2], -1, 0)
    upright = plausible[held] & (sides[:, 1] >= settings.min_height * height)
    lying = (height > _LONG * width) & (sides.max(axis=1) >= settings.min_height * width)
    return bool((inside & (upright | lying)).any(axis=1).mean() >= settings.frame_share)


def holds(outer: NDArray[np.int32], inner: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Which boxes (N, 4) lie within each of others (M, 4), and touch none of its sides: (M, N)."""
    return lie_in(inner, outer[:, np.newaxis], beyond=-1)


def lie_in(inner: NDArray[np.int32], outer: NDArray[np.int32], *, beyond: int = 0) -> NDArray[np.bool_]:
    """Which boxes (..., 4) lie in others (..., 4) and reach no more than `beyond` px out of them; shapes broadcast."""
    starts = (inner[..., 0] >= outer[..., 0] - beyond) & (inner[..., 1] >= outer[..., 1] - beyond)
    return np.asarray(starts & (inner[..., 2] <= outer[..., 2] + beyond) & (inner[..., 3] <= outer[..., 3] + beyond))


def _low_ink(boxes: NDArray[np.int32], areas: NDArray[np.int32], unit: float, settings: ComponentSettings) -> LowInk:
    """The pieces lower than any digit and no longer than one, but for what is finer than the pen."""
    widths, heights = (boxes[:, 2:] - boxes[:, :2]).T
    like_digits = (np.abs(np.log2(np.maximum(heights, 1) / max(unit, 1))) < 1) & (widths <= 1.5 * unit)
    if not like_digits.any():
        return LowInk()
    pen_px = float(np.median(areas[like_digits] / (widths + heights)[like_digits])) / _STROKE_SHARE
    fine = np.maximum(widths, heights) < settings.min_mark * pen_px
    low = (heights < settings.min_height * unit) | (heights * settings.min_flatness < np.minimum(widths, unit))
    low &= (widths <= settings.max_mark * unit) & ~fine
    return LowInk(boxes[low & (areas >= (settings.min_mark * pen_px) ** 2 / 2)], pen_px)


def _could_be_digits(found: Components, settings: ComponentSettings) -> NDArray[np.bool_]:
    widths, heights = (found.boxes[:, 2:] - found.boxes[:, :2]).T
    # A bar of a 5 is lower than a digit: a piece counts by its longer side.
    large_enough = np.maximum(widths, heights) >= max(
        settings.min_height_px, settings.min_height * found.digit_height_px
    )
    no_ruling = (heights <= settings.max_height * found.digit_height_px) & (
        widths <= settings.max_aspect * np.maximum(heights, found.digit_height_px)
    )
    # The pips of a die, the dot of a large i: a disc fills pi / 4 of its box.
    solid = found.areas >= settings.dot_fill * widths * heights
    is_dot = solid & (np.maximum(widths, heights) <= settings.max_dot * found.digit_height_px)
    is_dot &= np.maximum(widths, heights) <= _ROUND * np.minimum(widths, heights)
    return np.asarray(large_enough & no_ruling & ~is_dot & (found.digit_height_px > 0))


def _are_rings(found: Components, settings: ComponentSettings) -> NDArray[np.bool_]:
    """Which pieces, (N,), go round another that may be a digit: what is circled is a number, the circle is no 0."""
    unit, heights = found.digit_height_px, found.boxes[:, 3] - found.boxes[:, 1]
    is_ring = np.zeros(len(found), np.bool_)
    outer = np.flatnonzero((heights >= settings.min_ring * unit) & (heights <= settings.max_height * unit))
    inner = np.flatnonzero(heights >= settings.min_in_ring * unit)
    if unit == 0 or len(outer) * len(inner) > _MOST_PAIRS:
        return is_ring
    for row, column in np.argwhere(holds(found.boxes[outer], found.boxes[inner])).tolist():
        piece = outer[row]
        is_ring[piece] = is_ring[piece] or _goes_round(found, piece, found.boxes[inner[column]], settings)
    return is_ring


def _goes_round(found: Components, piece: int, box: NDArray[np.int32], settings: ComponentSettings) -> bool:
    """Whether a piece's ink is on all four sides of a box within its own, along most of each, and none in its middle.

    A digit that touches the circle goes with it: what else is in there is no number without it.
    """
    left, top, right, bottom = found.boxes[piece].tolist()
    own = found.pieces.labels[top:bottom, left:right] == found.ids[piece]
    y, x = np.ogrid[-1 : 1 : own.shape[0] * 1j, -1 : 1 : own.shape[1] * 1j]
    if own[x * x + y * y < settings.ring_hollow**2].any():
        return False
    left, top, right, bottom = (box - [left, top, left, top]).tolist()
    beside = own[top:bottom, :left].any(axis=1), own[top:bottom, right:].any(axis=1)
    sides = *beside, own[:top, left:right].any(axis=0), own[bottom:, left:right].any(axis=0)
    return all(side.mean() >= settings.ring_share for side in sides)
