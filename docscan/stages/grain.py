"""Digits -> Digits: the grain of a table, the weave of a cloth, a halftone, read as crowds of 1s of all heights."""

import itertools

import numpy as np

from docscan.records import Digit
from docscan.settings import LayoutSettings

_MOST_DIGITS = 3000  # above, most of what was read is grain, and a square of it would not fit


def leave_out_grain(digits: tuple[Digit, ...], settings: LayoutSettings) -> tuple[Digit, ...]:
    """The digits but for those in a crowd of mostly 1s of very unequal heights."""
    if not settings.min_crowd <= len(digits) <= _MOST_DIGITS:
        return digits
    boxes = np.array([digit.box for digit in digits], dtype=np.float32)
    heights = boxes[:, 3] - boxes[:, 1]
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    reach = settings.crowd_reach * np.maximum(heights, np.median(heights))[:, np.newaxis]
    near = np.abs(middles[:, np.newaxis, 0] - middles[:, 0]) <= reach
    near &= np.abs(middles[:, np.newaxis, 1] - middles[:, 1]) <= reach
    octaves = np.log2(heights)
    is_one = np.array([digit.text == "1" for digit in digits])
    columns = np.stack([np.ones(len(digits)), is_one, octaves, octaves**2], axis=1).astype(np.float32)
    crowd, ones, sums, squares = (near.astype(np.float32) @ columns).T
    spread = np.sqrt(np.maximum(squares / crowd - (sums / crowd) ** 2, 0))
    is_grain = (crowd >= settings.min_crowd) & (ones >= settings.min_ones * crowd)
    is_grain &= spread >= settings.min_height_spread
    return tuple(itertools.compress(digits, ~is_grain))
