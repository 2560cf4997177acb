"""Digits + low ink -> the marks between digits, and signs before them: 12.5, 1'000, 10:30, -7.

A mark is about as thick as the pen, stands where such a mark stands, and has digits on both sides; a minus stands
alone before its number. Everything else is a speck, and says nothing.
"""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from docscan.records import Digit, LowInk, Rulings, Surroundings
from docscan.settings import LayoutSettings
from docscan.stages.chains import ruled_between, shared_rows
from docscan.stages.grouping import boxes_of

_MOST_PAIRS = 4_000_000  # of a digit and a piece of low ink
_MIDDLE, _TOP = 0.5, 0.95  # where a dash and an apostrophe stand above the line, in digit heights
_UPRIGHT = 1.2  # times as high as wide: a comma
_AS_THIN = 1.5  # times a line, and a pixel: what is left of one is no thicker
_UPPER_DOT = "upper dot"
_DATE = re.compile(r"\d{1,2}/(\d{1,2}(?P<year>/\d{2}|/\d{4})?|\d{4})")
_MAY_BE_DATE = re.compile(r"\d{1,2}1\d{1,2}1(\d{2}|\d{4})")
_HOLDS_DATE = re.compile(r"^\d{1,2}1\d")  # most numbers need no second look


@dataclass(frozen=True, slots=True, eq=False)
class Marks:
    """Marks and signs, by the digits they stand at: rows of the digits' boxes."""

    between: dict[tuple[int, int], str]
    """The digit before and the digit after -> the mark."""
    dash_before: frozenset[int]
    """Digits with a dash before them, and no digit before that."""
    dash_after: frozenset[int]
    doubtful: frozenset[int]
    """Digits followed by ink that may be a mark, or dirt."""


@dataclass(frozen=True, slots=True)
class Written:
    """One number with its marks."""

    text: str
    digits: tuple[Digit, ...]
    unclear: bool
    """True where there is ink that may be a mark, or dirt."""
    may_be_date: bool
    """True where 1s stand where a date of day, month and year has slashes, and may be some."""


@dataclass(frozen=True, slots=True, eq=False)
class _Low:
    """Pieces of low ink between digits or before one; (K,) each, lengths in heights of the digits beside."""

    before: NDArray[np.intp]
    """The digit left of it; -1 where none is near."""
    after: NDArray[np.intp]
    width: NDArray[np.float64]
    height: NDArray[np.float64]
    level: NDArray[np.float64]
    """Of its middle, above the line its digits stand on."""
    pen: NDArray[np.float64]
    on_line: NDArray[np.bool_]
    """Whether it lies on a ruled line."""
    gap: NDArray[np.float64]
    """From the digit on its left to that on its right; infinite where one is missing."""

    def where(self, keep: NDArray[np.bool_]) -> "_Low":
        return _Low(*(getattr(self, column.name)[keep] for column in fields(self)))


def find_marks(digits: Sequence[Digit], about: Surroundings, settings: LayoutSettings) -> Marks:
    """The marks that stand between digits, or before one; none where there are no digits."""
    boxes = boxes_of(digits)
    on_line, left_of_line = _on_lines(about.low.boxes, about.rulings)
    low, on_line = about.low.boxes[~left_of_line], on_line[~left_of_line]
    if not len(boxes) or not len(low) or len(boxes) * len(low) > _MOST_PAIRS:
        return Marks({}, frozenset(), frozenset(), frozenset())
    # Where one digit of a string ends and the next begins is not known so well.
    is_shared = np.array([digit.looks.believed == "string" for digit in digits], dtype=np.bool_)
    pieces, apart = _beside(boxes, is_shared, LowInk(low, about.low.pen_px), on_line, settings)
    flat = (pieces.width >= settings.min_flatness * pieces.height) & (pieces.height <= settings.max_dash)
    flat &= np.abs(pieces.level - _MIDDLE) <= settings.mark_level
    outer = flat & (pieces.width >= settings.min_dash)
    dash_before = frozenset(pieces.after[outer & (pieces.before < 0)].tolist())
    dash_after = frozenset(pieces.before[outer & (pieces.after < 0)].tolist())
    held = (pieces.before >= 0) & (pieces.after >= 0)
    least_point = _least_point(low[apart], about.low.pen_px, settings)
    # A dash between two digits as near as a number's is the bar of a 5.
    is_dash = held & flat & ~pieces.on_line & (pieces.gap >= pieces.width + settings.beside_dash)
    is_dash &= pieces.width >= settings.min_dash
    kinds = np.where(is_dash, "-", _upright_marks(pieces, least_point, settings))[held & (is_dash | ~flat)]
    pieces = pieces.where(held & (is_dash | ~flat))
    parted = ruled_between(boxes[pieces.before], boxes[pieces.after], about.rulings)
    between: dict[tuple[int, int], str] = {}
    doubtful: dict[tuple[int, int], float] = {}
    # From the line up: the upper dot of a colon comes after the lower one, which may stand above the line.
    for row in np.argsort(pieces.level, kind="stable").tolist():
        pair, kind, level = (int(pieces.before[row]), int(pieces.after[row])), str(kinds[row]), pieces.level[row]
        if parted[row]:
            continue
        if kind == _UPPER_DOT:
            is_second = level - doubtful.get(pair, np.inf) >= settings.colon_height
            kind = ":" if between.get(pair) == "." or is_second else ""
        if kind == ":":
            doubtful.pop(pair, None)
        if kind and (pair not in between or kind == ":"):
            between[pair] = kind
        else:
            doubtful[pair] = level
    return Marks(between, dash_before, dash_after, frozenset(one for one, _ in doubtful))


def _on_lines(low: NDArray[np.int32], rulings: Rulings) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which pieces, boxes (K, 4), lie on a line from left to right; and which are as thin, and so left of it."""
    lines = len(rulings.horizontal)
    if not lines or lines * len(low) > _MOST_PAIRS:
        return np.zeros(len(low), dtype=np.bool_), np.zeros(len(low), dtype=np.bool_)
    left, _, right, _ = rulings.horizontal.T
    middle, heights = (low[:, :1] + low[:, 2:3]) / 2, low[:, 3:4] - low[:, 1:2]
    half = rulings.horizontal_px / 2 + 1
    on_line = np.abs((low[:, 1:2] + low[:, 3:4]) / 2 - rulings.level_at(middle)) <= half + heights / 4
    on_line &= (left <= middle) & (middle <= right)
    as_thin = on_line & (heights <= _AS_THIN * rulings.horizontal_px + 1)
    return np.asarray(on_line.any(axis=1)), np.asarray(as_thin.any(axis=1))


def marked_neighbours(marks: Marks, boxes: NDArray[np.int32], settings: LayoutSettings) -> list[tuple[int, int]]:
    """Pairs of level digits, boxes (N, 4), that a mark stands between, however wide it is."""
    links = []
    for one, other in marks.between:
        lower, higher = sorted(boxes[[one, other], 3] - boxes[[one, other], 1])
        level = shared_rows(boxes[one : one + 1], boxes[other : other + 1])[0] >= settings.min_overlap * lower
        if level and higher <= settings.max_height_ratio * lower:
            links.append((one, other))
    return links


def find_commas(
    readings: tuple[Digit, ...], about: Surroundings, settings: LayoutSettings
) -> tuple[tuple[Digit, ...], Surroundings]:
    """The readings without commas nearly as high as digits, and what stands about them with those as low ink.

    Before strings are read: whoever reads a string reads its digits.
    """
    boxes = boxes_of(readings)
    heights = boxes[:, 3] - boxes[:, 1]
    is_comma = np.zeros(len(boxes), dtype=np.bool_)
    usual = float(np.median(heights)) if len(boxes) else 0.0
    for row in np.flatnonzero(heights < settings.max_hanging * usual):
        higher = heights[row] <= settings.max_hanging * heights
        near = boxes[_near(boxes[row], boxes, settings) & higher]
        is_comma[row] = _hangs(boxes[row], near, usual, settings)
    if not is_comma.any():
        return readings, about
    low = LowInk(np.concatenate([about.low.boxes, boxes[is_comma]]), about.low.pen_px)
    return tuple(itertools.compress(readings, ~is_comma)), replace(about, low=low)


def _near(own: NDArray[np.int32], boxes: NDArray[np.int32], settings: LayoutSettings) -> NDArray[np.bool_]:
    """Which boxes (N, 4) are near a mark's and on its level."""
    heights = boxes[:, 3] - boxes[:, 1]
    space = np.maximum(boxes[:, 0] - own[2], own[0] - boxes[:, 2])
    level = (own[3] > boxes[:, 1]) & (own[1] < boxes[:, 3] + settings.comma_drop * heights)
    return np.asarray(level & (space <= settings.mark_reach * heights))


def low_digits(boxes: NDArray[np.int32], settings: LayoutSettings) -> NDArray[np.bool_]:
    """Which digits, boxes (N, 4), are large commas, apostrophes or dashes beside digits."""
    low = np.zeros(len(boxes), dtype=np.bool_)
    heights, widths = boxes[:, 3] - boxes[:, 1], boxes[:, 2] - boxes[:, 0]
    usual = np.median(heights) if len(boxes) else 0
    for digit in np.flatnonzero(heights < max(settings.max_low_digit, settings.max_hanging) * usual):
        own, height, width = boxes[digit], heights[digit], widths[digit]
        is_near = _near(own, boxes, settings)
        near = boxes[is_near & (height <= settings.max_low_digit * heights)]
        unit = near[:, 3] - near[:, 1]
        off_line = (own[3] - near[:, 3] >= settings.comma_drop / 2 * unit) | (own[3] - near[:, 1] <= unit / 2)
        thin = (width <= settings.max_low_digit / 2 * unit) & off_line
        flat = (width >= settings.min_flatness * height) & (height <= settings.max_dash * unit)
        higher = boxes[is_near & (height <= settings.max_hanging * heights)]
        low[digit] = bool((thin | flat).any()) or _hangs(own, higher, float(usual), settings)
    return low


def _hangs(own: NDArray[np.int32], near: NDArray[np.int32], usual: float, settings: LayoutSettings) -> bool:
    """Whether a slender box hangs under the line between two of the higher boxes (N, 4) near it: a long comma.

    `usual` is the height of a digit: a flat 5 beside it is no measure of its width.
    """
    unit = near[:, 3] - near[:, 1]
    below = (own[1] >= near[:, 1] + settings.hanging_from * unit) & (own[3] >= near[:, 3] + settings.comma_drop * unit)
    below &= own[2] - own[0] <= settings.max_hanging / 2 * usual
    is_left = near[:, 0] + near[:, 2] < own[0] + own[2]
    return bool((below & is_left).any() and (below & ~is_left).any())


def write_number(
    string: NDArray[np.intp], digits: tuple[Digit, ...], marks: Marks, settings: LayoutSettings
) -> Written:
    """The digits of one number, rows of `digits` left to right, and the marks between them."""
    rows = string.tolist()
    own = tuple(digits[row] for row in rows)
    between = [marks.between.get(pair, "") for pair in itertools.pairwise(rows)]
    slashes, may_slash = (frozenset(), False) if any(between) else _slashes(own, settings)
    parts = ["/" if place in slashes else digit.text for place, digit in enumerate(own)]
    sign = "-" if rows[0] in marks.dash_before and rows[-1] not in marks.dash_after else ""
    text = sign + "".join(part + mark for part, mark in zip(parts, [*between, ""], strict=True))
    doubtful = may_slash or not marks.doubtful.isdisjoint(rows[:-1])
    left = tuple(digit for place, digit in enumerate(own) if place not in slashes)
    may_be_date = may_slash and not slashes and _MAY_BE_DATE.fullmatch(text) is not None
    return Written(text, left, doubtful, may_be_date)


def _slashes(digits: tuple[Digit, ...], settings: LayoutSettings) -> tuple[frozenset[int], bool]:
    """Which of a number's 1s are the slashes of a date, and whether any may be: they lean, are high, and stand so."""
    text = "".join(digit.text for digit in digits)
    if not _HOLDS_DATE.match(text):
        return frozenset(), False
    # How high each digit of a string is nobody knows.
    may_be = any(digit.looks.believed == "string" for digit in digits) and _MAY_BE_DATE.fullmatch(text) is not None
    heights = np.array([digit.box.height for digit in digits])
    widths = np.array([digit.box.width for digit in digits])
    leans = np.array([letter == "1" for letter in text]) & (widths >= settings.min_slash_lean * heights)
    usual = np.median(heights[~leans]) if not leans.all() else heights.max()
    tall = leans & (heights >= settings.may_slash * usual)
    date = _DATE.fullmatch("".join("/" if slash else letter for slash, letter in zip(tall, text, strict=True)))
    if date is None:
        return frozenset(), may_be
    # Few numbers have two leaning 1s just there; with one, it has to be higher than any 1.
    is_sure = date["year"] is not None or bool((heights[tall] >= settings.min_slash * heights[~tall].max()).all())
    return frozenset(np.flatnonzero(tall).tolist()) if is_sure else frozenset(), True


def _least_point(apart: NDArray[np.int32], pen_px: float, settings: LayoutSettings) -> float:
    """How many strokes a point measures at least: more than most of the dirt that lies apart from all digits."""
    sizes = np.sort(apart[:, 2:] - apart[:, :2], axis=1) / max(pen_px, 1)
    dirt = sizes[sizes[:, 1] <= settings.max_point, 0]
    if len(dirt) < settings.min_dirt:
        return settings.min_point
    return max(settings.min_point, float(np.quantile(dirt, settings.dirt_share)))


def _upright_marks(pieces: _Low, least_point: float, settings: LayoutSettings) -> NDArray[np.str_]:
    """What each piece between digits is: a point, a comma, an apostrophe, a colon's upper dot, or nothing."""
    shorter, longer = np.minimum(pieces.width, pieces.height), np.maximum(pieces.width, pieces.height)
    thick = shorter >= least_point * pieces.pen
    short = longer <= np.maximum(settings.max_point * pieces.pen, settings.max_point_height)
    raised = (pieces.level > settings.mark_level) & (pieces.level < _TOP - settings.comma_drop)
    tall = (pieces.height >= pieces.width) & (pieces.height >= settings.min_comma * pieces.pen)
    drop = pieces.height / 2 - pieces.level
    below = (drop >= 1.5 * settings.comma_drop) | (
        (drop >= settings.comma_drop) & (pieces.height >= _UPRIGHT * pieces.width)
    )
    on_line = np.abs(pieces.level) <= settings.mark_level
    above = np.abs(pieces.level - _TOP) <= settings.mark_level
    point = thick & short
    upper = thick & (short | (longer <= settings.max_colon_dot)) & raised
    # On a ruled line a point may be what is left of it.
    marks = [thick & tall & below & on_line, point & on_line & ~pieces.on_line, thick & tall & above, upper]
    return np.select(marks, [",", ".", "'", _UPPER_DOT], "")


def _beside(
    boxes: NDArray[np.int32],
    is_shared: NDArray[np.bool_],
    low: LowInk,
    on_line: NDArray[np.bool_],
    settings: LayoutSettings,
) -> tuple[_Low, NDArray[np.bool_]]:
    """The low ink that has a digit near on either side, at its level; and which pieces (K,) have none."""
    left, top, right, bottom = boxes.T.astype(np.float64)
    heights, middles = bottom - top, (left + right) / 2
    x, y = ((low.boxes[:, side] + low.boxes[:, side + 2])[:, np.newaxis] / 2 for side in (0, 1))
    level = (y > top - 0.3 * heights) & (y < bottom + 0.4 * heights)
    reach = settings.mark_reach * heights
    lefts = np.where(level & (middles <= x) & (low.boxes[:, :1] - right <= reach), middles, -np.inf)
    rights = np.where(level & (middles > x) & (left - low.boxes[:, 2:3] <= reach), middles, np.inf)
    before, after = lefts.argmax(axis=1), rights.argmin(axis=1)
    before[np.isinf(lefts.max(axis=1))] = after[np.isinf(rights.min(axis=1))] = -1
    one, other = np.where(before < 0, after, before), np.where(after < 0, before, after)
    unit = np.maximum(heights[one], heights[other])
    x_left, x_right = low.boxes[:, 0], low.boxes[:, 2]
    size = (low.boxes[:, 2:] - low.boxes[:, :2]) / unit[:, np.newaxis]
    line = (bottom[one] + bottom[other]) / 2
    above_line = (line - (low.boxes[:, 1] + low.boxes[:, 3]) / 2) / unit
    # Under the arm of a slanted 7 there is room for a point; anything else inside a digit's box is its own.
    into = np.where(np.abs(above_line) <= settings.mark_level, settings.mark_overlap, settings.mark_overlap / 4) * unit
    least, most = settings.mark_overlap / 4 * unit, settings.mark_overlap * unit
    clear = (before < 0) | (right[before] - x_left <= np.where(is_shared[before], most, into))
    clear &= (after < 0) | (x_right - left[after] <= np.where(is_shared[after], most, least))
    gap = np.where((before >= 0) & (after >= 0), (left[after] - right[before]) / unit, np.inf)
    pieces = _Low(before, after, size[:, 0], size[:, 1], above_line, low.pen_px / unit, on_line, gap)
    return pieces.where(clear & (one >= 0)), one < 0
