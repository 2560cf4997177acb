"""Digits + Rulings -> which digits stand in neighbouring cells of a comb: boxed digits that make one number.

A comb's dividers are as high as one cell and stand about as far apart as a digit is high; every cell holds one digit.
A table's dividers run on over several rows: what stands between those is a number of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from docscan.records import Digit, Rulings, Surroundings
from docscan.settings import LayoutSettings
from docscan.stages.grouping import group

_MOST_PAIRS = 4_000_000  # of a digit or a line and an upright: ten times those of a page full of combs
_AS_WIDE = 0.12  # cells whose widths differ by no more than this share are of one comb
_BESIDE = 0.15  # of a cell: the middle of a digit is no nearer to its sides,
_ON_IT = 0.1  # and what is left of a side no further from it
_END = 0.25  # a line across an upright this near its end, as a share of its length, is the side of its own box


@dataclass(frozen=True, slots=True, eq=False)
class _Cells:
    """The cells digits stand in; (N,) each."""

    level: NDArray[np.float64]
    """The middle of the digit, y."""
    left: NDArray[np.intp]
    """The upright on the left, a row of the rulings; -1 where there is none."""
    right: NDArray[np.intp]
    left_x: NDArray[np.float64]
    right_x: NDArray[np.float64]

    @property
    def width(self) -> NDArray[np.float64]:
        return self.right_x - self.left_x


def comb_neighbours(boxes: NDArray[np.int32], rulings: Rulings, settings: LayoutSettings) -> list[tuple[int, int]]:
    """Pairs of digits, rows of boxes (N, 4), in neighbouring cells of a comb: the left one, the right one.

    Boxes that stand a little apart, each for one digit of a postcode, are a comb too.
    """
    uprights = len(rulings.vertical)
    if not len(boxes) or uprights < 3 or uprights * max(len(boxes), len(rulings.horizontal)) > _MOST_PAIRS:
        return []
    heights = (boxes[:, 3] - boxes[:, 1]).astype(np.float64)
    cells = _cells_at((boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2, rulings)
    is_divider = span_one_row(rulings, settings.max_comb_height * float(np.median(heights)))
    alone = (cells.left >= 0) & (cells.right >= 0) & is_divider[cells.left] & is_divider[cells.right]
    alone[alone] = _holds_one(cells.left[alone])
    digits = np.flatnonzero(alone)
    links = _side_by_side(cells, digits, settings) + _apart(cells, digits, rulings, settings)
    return _as_wide_as_digits(links, cells.width, heights, settings)


def span_one_row(rulings: Rulings, highest: float) -> NDArray[np.bool_]:
    """Which uprights are no higher than `highest` pixels and have no line across them but at their ends: (N,).

    None on a page of lines beyond counting.
    """
    if len(rulings.vertical) * len(rulings.horizontal) > _MOST_PAIRS:
        return np.zeros(len(rulings.vertical), np.bool_)
    x, top, x_below, bottom = rulings.vertical.T[:, :, np.newaxis]
    left, _, right, _ = rulings.horizontal.T
    middle = (x + x_below) / 2
    crossing = rulings.level_at(middle)
    end = _END * (bottom - top)
    inside = (top + end < crossing) & (crossing < bottom - end) & (left <= middle) & (middle <= right)
    return np.asarray(~inside.any(axis=1) & ((bottom - top)[:, 0] <= highest))


def restore_dividers(
    digits: tuple[Digit, ...], about: Surroundings, settings: LayoutSettings
) -> tuple[tuple[Digit, ...], Surroundings]:
    """Put back the dividers of combs that are too pale to be ink: where one of an even row is missing, it has faded.

    Only in combs that show one or more of their own, and where what is written stands in the cells as they are then,
    one digit in each. A 1 that stands where a divider has faded was read from what is left of it, and is no digit.
    """
    rulings = about.rulings
    lines, uprights = len(rulings.horizontal), len(rulings.vertical)
    if not digits or not lines or uprights < 3 or lines * uprights > _MOST_PAIRS:
        return digits, about
    boxes = np.array([digit.box for digit in digits], dtype=np.float64)
    height = float(np.median(boxes[:, 3] - boxes[:, 1]))
    combs = list(_combs(rulings, settings.max_comb_height * height))
    widths = np.concatenate([np.zeros(0), *(np.diff(comb[:, 0]) for comb in combs)])
    widths = widths[(widths > height / 2) & (widths <= settings.max_comb_cell * height)]
    if not len(widths):
        return digits, about
    written = _Written((boxes[:, :2] + boxes[:, 2:]) / 2, np.array([digit.text == "1" for digit in digits]))
    faded = [gap for comb in combs for gap in _faded(comb, float(np.median(widths)), written)]
    if not faded:
        return digits, about
    restored = _new(np.concatenate([gap.dividers for gap in faded]), rulings.vertical, float(np.median(widths)))
    thickness = np.full(len(restored), np.median(rulings.vertical_px), np.float32)
    rulings = replace(
        rulings,
        vertical=np.concatenate([rulings.vertical, restored]),
        vertical_px=np.concatenate([rulings.vertical_px, thickness]),
    )
    no_digits = {row for gap in faded for row in gap.ones}
    left = tuple(digit for row, digit in enumerate(digits) if row not in no_digits)
    return left, replace(about, rulings=rulings)


def _new(dividers: NDArray[np.float64], known: NDArray[np.float32], cell: float) -> NDArray[np.float32]:
    """The dividers (K, 4) that are not `known`, each once: both lines of a comb tell of it."""
    uprights = known.astype(np.float64)
    for divider in dividers:
        beside = np.abs(uprights[:, [0, 2]] - divider[[0, 2]]).max(axis=1) < cell / 2
        level = np.minimum(uprights[:, 3], divider[3]) > np.maximum(uprights[:, 1], divider[1])
        if not (beside & level).any():
            uprights = np.concatenate([uprights, divider[np.newaxis]])
    return uprights[len(known) :].astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class _Written:
    """Digits; (N,) each."""

    middles: NDArray[np.float64]
    """(N, 2): x and y."""
    is_one: NDArray[np.bool_]


class _Gap(NamedTuple):
    """Where dividers of a comb have faded."""

    dividers: NDArray[np.float64]
    """(K, 4): as uprights of the rulings."""
    ones: list[int]
    """Digits that are no more than what is left of them."""


def _combs(rulings: Rulings, highest: float) -> Iterator[NDArray[np.float64]]:
    """The uprights (N, 4), left to right, that hang from a line, or stand on one on which others do: three at least."""
    dividers = rulings.vertical[span_one_row(rulings, highest)].astype(np.float64)
    dividers = dividers[np.argsort(dividers[:, 0], kind="stable")]
    left, _, right, _ = rulings.horizontal.T
    reach = _END * (dividers[:, 3] - dividers[:, 1])[:, np.newaxis]
    seen = set()
    for end in (0, 2):
        x, y = dividers[:, end : end + 1], dividers[:, end + 1 : end + 2]
        meets = (np.abs(rulings.level_at(x) - y) <= reach) & (left - reach <= x) & (x <= right + reach)
        for line in np.flatnonzero(meets.sum(axis=0) >= 3):
            members = tuple(np.flatnonzero(meets[:, line]).tolist())
            if members not in seen:
                seen.add(members)
                yield dividers[list(members)]


def _faded(comb: NDArray[np.float64], cell: float, written: _Written) -> Iterator[_Gap]:
    """The gaps between the uprights (N, 4) of a comb in which others stood, whose cells are about so wide."""
    widths = np.diff(comb[:, 0])
    if not (np.abs(widths - cell) <= _AS_WIDE * cell).any():
        return
    for before, after, width in zip(comb[:-1], comb[1:], widths, strict=True):
        cells = round(width / cell)
        if cells < 2 or abs(width - cells * cell) > _AS_WIDE * width:
            continue
        x, y = written.middles.T
        inside = (x > before[0]) & (x < after[0]) & (y > max(before[1], after[1])) & (y < min(before[3], after[3]))
        rows = np.flatnonzero(inside)
        place = (x[rows] - before[0]) / width * cells
        off = np.abs(place - np.rint(place))
        is_divider = written.is_one[rows] & (off < _ON_IT)
        in_cells = np.floor(place[~is_divider])
        if (off[~is_divider] >= _BESIDE).all() and len(np.unique(in_cells)) == len(in_cells):
            parts = np.arange(1, cells)[:, np.newaxis] / cells
            yield _Gap(before + (after - before) * parts, rows[is_divider].tolist())


def _cells_at(middle: NDArray[np.float64], level: NDArray[np.float64], rulings: Rulings) -> _Cells:
    """The cells around points (N,): between the nearest uprights on both sides, at that level."""
    x, top, x_below, bottom = rulings.vertical.T.astype(np.float64)
    here, at = middle[:, np.newaxis], level[:, np.newaxis]
    crossing = x + (x_below - x) * (at - top) / np.maximum(bottom - top, 1)
    passes = (top <= at) & (at <= bottom)
    lefts = np.where(passes & (crossing <= here), crossing, -np.inf)
    rights = np.where(passes & (crossing > here), crossing, np.inf)
    left, right = lefts.argmax(axis=1), rights.argmin(axis=1)
    left_x, right_x = lefts.max(axis=1), rights.min(axis=1)
    left[np.isinf(left_x)] = right[np.isinf(right_x)] = -1
    return _Cells(level, left, right, left_x, right_x)


def _holds_one(cells: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Which digits share their cell (N,) with no other."""
    return np.asarray(np.bincount(cells)[cells] == 1)


def _side_by_side(cells: _Cells, alone: NDArray[np.intp], settings: LayoutSettings) -> list[tuple[int, int]]:
    """Pairs of digits whose cells share a divider and are as wide as each other."""
    at_left = dict(zip(cells.left[alone].tolist(), alone.tolist(), strict=True))
    return _even(cells, alone, [at_left.get(upright) for upright in cells.right[alone].tolist()], settings)


def _apart(cells: _Cells, alone: NDArray[np.intp], rulings: Rulings, settings: LayoutSettings) -> list[tuple[int, int]]:
    """The same for digits in boxes of their own that stand a little apart."""
    level, width = cells.level[alone], cells.width[alone]
    before = _cells_at(cells.left_x[alone] - 1, level, rulings)
    after = _cells_at(cells.right_x[alone] + 1, level, rulings)
    own_box = np.ones(len(alone), dtype=np.bool_)
    for beside in (before, after):  # about as wide as the cell itself: the next cell of the same box
        own_box &= (beside.width <= settings.max_comb_gap * width) | (beside.width * settings.comb_evenness > width)
    near = own_box & (after.width <= settings.max_comb_gap * width)
    at_left = dict(zip(cells.left[alone[own_box]].tolist(), alone[own_box].tolist(), strict=True))
    return _even(cells, alone[near], [at_left.get(upright) for upright in after.right[near].tolist()], settings)


def _even(
    cells: _Cells, digits: NDArray[np.intp], others: list[int | None], settings: LayoutSettings
) -> list[tuple[int, int]]:
    """Each digit and its other, where there is one and their cells are as wide as each other."""
    width = cells.width
    return [
        (one, other)
        for one, other in zip(digits.tolist(), others, strict=True)
        if other is not None and min(width[one], width[other]) >= settings.comb_evenness * max(width[one], width[other])
    ]


def _as_wide_as_digits(
    links: list[tuple[int, int]], widths: NDArray[np.float64], heights: NDArray[np.float64], settings: LayoutSettings
) -> list[tuple[int, int]]:
    """The links of those combs whose cells are about as wide as their digits are high."""
    if not links:
        return []
    combs = group(len(widths), links)
    members = np.unique(np.array(links))
    usual = float(np.median(heights[members]))  # a comb of two flat digits says little
    fits = {}
    for comb in np.unique(combs[members]):
        ours = members[combs[members] == comb]
        fits[int(comb)] = np.median(widths[ours]) <= settings.max_comb_cell * max(usual, np.median(heights[ours]))
    return [link for link in links if fits[int(combs[link[0]])]]
