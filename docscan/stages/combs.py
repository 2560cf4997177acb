"""Digits + Rulings -> which digits stand in neighbouring cells of a comb: boxed digits that make one number.

A comb's dividers are as high as one cell and stand about as far apart as a digit is high; every cell holds one digit.
A table's dividers run on over several rows: what stands between those is a number of its own.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from docscan.records import Rulings
from docscan.settings import LayoutSettings
from docscan.stages.grouping import group

_MOST_PAIRS = 4_000_000  # of a digit or a line and an upright: ten times those of a page full of combs
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
    is_divider = _spans_one_row(rulings, settings.max_comb_height * float(np.median(heights)))
    alone = (cells.left >= 0) & (cells.right >= 0) & is_divider[cells.left] & is_divider[cells.right]
    alone[alone] = _holds_one(cells.left[alone])
    digits = np.flatnonzero(alone)
    links = _side_by_side(cells, digits, settings) + _apart(cells, digits, rulings, settings)
    return _as_wide_as_digits(links, cells.width, heights, settings)


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


def _spans_one_row(rulings: Rulings, highest: float) -> NDArray[np.bool_]:
    """Which uprights are no higher than `highest` pixels and have no line across them but at their ends."""
    x, top, x_below, bottom = rulings.vertical.T[:, :, np.newaxis]
    left, _, right, _ = rulings.horizontal.T
    middle = (x + x_below) / 2
    crossing = rulings.level_at(middle)
    end = _END * (bottom - top)
    inside = (top + end < crossing) & (crossing < bottom - end) & (left <= middle) & (middle <= right)
    return np.asarray(~inside.any(axis=1) & ((bottom - top)[:, 0] <= highest))


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
