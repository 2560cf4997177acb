"""Readings -> readings: what is left of the lines of a cell whose picture was cut out along them."""

import itertools

import numpy as np

from docscan.records import Digit
from docscan.settings import LayoutSettings


def leave_out_frame(readings: tuple[Digit, ...], shape: tuple[int, ...], settings: LayoutSettings) -> tuple[Digit, ...]:
    """The readings but for thin uprights hard by the left or right edge of a page of `shape` (H, W).

    They look like a 1, but no pen is as thin beside its height, and nobody writes off the paper. What is alone stays.
    """
    if len(readings) < 2:
        return readings
    boxes = np.array([reading.box for reading in readings], dtype=np.int32)
    widths, heights = (boxes[:, 2:] - boxes[:, :2]).T
    from_edge = np.minimum(boxes[:, 0], shape[1] - boxes[:, 2])
    is_thin = heights >= settings.frame_slenderness * widths
    is_one = np.array([reading.text in {"", "1"} for reading in readings])
    # Written in a row with the rest, it begins and ends where they do.
    ends = np.abs(boxes[:, [1, 3]] - np.median(boxes[:, [1, 3]], axis=0)).max(axis=1)
    in_row = ends <= settings.frame_level * np.median(heights)
    is_frame = is_one & is_thin & ~in_row & (from_edge <= settings.frame_zone * np.median(heights))
    return tuple(itertools.compress(readings, ~is_frame))
