"""Digits + low ink -> which digits may have lost a stroke: the bar of a 5 far above it, the left half of a broken 4."""

import numpy as np
from numpy.typing import NDArray

from docscan.records import LowInk
from docscan.settings import StringSettings

_MOST_PAIRS = 4_000_000  # of a digit and a piece of low ink


def loose_strokes(boxes: NDArray[np.int32], low: LowInk, settings: StringSettings) -> NDArray[np.float64]:
    """How long the longest piece of low ink beside each digit, boxes (N, 4), is that belongs to none.

    In heights of the digit; 0 where there is none.
    """
    longest = np.zeros(len(boxes))
    if not len(boxes) or not len(low) or len(boxes) * len(low) > _MOST_PAIRS:
        return longest
    left, top, right, bottom = boxes.T[:, :, np.newaxis].astype(np.float64)
    own_left, own_top, own_right, own_bottom = low.boxes.T.astype(np.float64)
    height = bottom - top
    apart = np.maximum(own_left - right, left - own_right) / height
    level = (bottom - (own_top + own_bottom) / 2) / height  # of its middle, above the line
    joined = (own_left >= left - 1) & (own_right <= right + 1) & (own_top >= top - 1) & (own_bottom <= bottom + 1)
    beside = (apart <= settings.loose_reach) & (level >= settings.loose_level) & (level <= 1 + settings.loose_level)
    length = np.maximum(own_right - own_left, own_bottom - own_top) / height
    return np.asarray(np.where(beside & ~joined.any(axis=0), length, 0).max(axis=1))
