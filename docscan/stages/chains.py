"""Digits -> which follows which: near, level, of a like height, and with no ruling between."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from docscan.records import Rulings
from docscan.settings import LayoutSettings
from docscan.stages.grouping import neighbour_pairs

_MOST_CROSSINGS = 1_000_000  # of pairs and rulings looked at at once: some 60 MB


class Reach(NamedTuple):
    """How far one sign of a row may be from the next, and how unlike it."""

    gap: float
    """Between their boxes, in heights of the higher one."""
    height_ratio: float
    overlap: float
    """They share at least this part of the lower one's height."""
    level: float = math.inf
    """Their lower ends are no further apart than this, in heights of the higher one."""


def next_digits(boxes: NDArray[np.int32], rulings: Rulings, settings: LayoutSettings) -> list[tuple[int, int]]:
    """Each digit and the next of the same number: near, level, of a like height, and with no ruling between."""
    return next_boxes(boxes, rulings, Reach(settings.max_gap, settings.max_height_ratio, settings.min_overlap))


def next_boxes(boxes: NDArray[np.int32], rulings: Rulings, reach: Reach) -> list[tuple[int, int]]:
    """Each box (N, 4) and the next within reach on its right, with no upright ruling between."""
    heights = boxes[:, 3] - boxes[:, 1]
    one, other = neighbour_pairs(boxes, reach.gap * reach.height_ratio * heights)
    higher, lower = np.maximum(heights[one], heights[other]), np.minimum(heights[one], heights[other])
    follows = (boxes[other, 0] - boxes[one, 2] <= reach.gap * higher) & (higher <= reach.height_ratio * lower)
    follows &= shared_rows(boxes[one], boxes[other]) >= reach.overlap * lower
    follows &= np.abs(boxes[one, 3] - boxes[other, 3]) <= reach.level * higher
    one, nearest = np.unique(one[follows], return_index=True)
    other = other[follows][nearest]
    free = ~ruled_between(boxes[one], boxes[other], rulings)
    return list(zip(one[free].tolist(), other[free].tolist(), strict=True))


def link_chances(
    pairs: list[tuple[int, int]], boxes: NDArray[np.int32], settings: LayoutSettings
) -> NDArray[np.float64]:
    """The chance that each pair of digits, rows of boxes (N, 4) left to right, is of one number, by the gap between."""
    if not pairs:
        return np.zeros(0)
    one, other = boxes[np.array(pairs)].transpose(1, 0, 2)
    heights = np.maximum(one[:, 3] - one[:, 1], other[:, 3] - other[:, 1])
    gaps = (other[:, 0] - one[:, 2]) / heights
    return np.asarray(1 / (1 + np.exp(np.clip((gaps - settings.max_gap) / settings.gap_spread, -50, 50))))


def ruled_between(boxes: NDArray[np.int32], others: NDArray[np.int32], rulings: Rulings) -> NDArray[np.bool_]:
    """Whether an upright ruling passes between the middles of each box and its other, (P, 4) both, at their height."""
    parted = np.zeros(len(boxes), np.bool_)
    x, top, x_below, bottom = rulings.vertical.T
    at_once = max(1, _MOST_CROSSINGS // max(1, len(x)))
    for first in range(0, len(boxes) if len(x) else 0, at_once):
        box, other = (np.hsplit(sides[first : first + at_once], 4) for sides in (boxes, others))
        level = (np.maximum(box[1], other[1]) + np.minimum(box[3], other[3])) / 2
        at_level = x + (x_below - x) * (level - top) / np.maximum(bottom - top, 1)
        between = (at_level > (box[0] + box[2]) / 2) & (at_level < (other[0] + other[2]) / 2)
        parted[first : first + at_once] = (between & (top <= level) & (level <= bottom)).any(axis=1)
    return parted


def shared_rows(boxes: NDArray[np.int32], others: NDArray[np.int32]) -> NDArray[np.int32]:
    """How many rows each box (N, 4) shares with its other; below 0 where none."""
    return np.asarray(np.minimum(boxes[:, 3], others[:, 3]) - np.maximum(boxes[:, 1], others[:, 1]))
