"""Readings -> readings: what is left of the lines of a cell whose picture was cut out along them."""

from dataclasses import replace

import numpy as np

from docscan.records import Digit
from docscan.settings import LayoutSettings
from docscan.stages.grouping import boxes_of


def leave_out_frame(readings: tuple[Digit, ...], shape: tuple[int, ...], settings: LayoutSettings) -> tuple[Digit, ...]:
    """The readings but for thin uprights hard by the left or right edge of a page of `shape` (H, W), or cut by another.

    They look like a 1, but no pen is as thin beside its height, and nobody writes off the paper. What is alone stays.
    A 1 there that may be a pen's is in doubt: its neighbours and it are read again as a string.
    """
    if len(readings) < 2:
        return readings
    boxes = boxes_of(readings)
    widths, heights = (boxes[:, 2:] - boxes[:, :2]).T
    from_edge = np.minimum(boxes[:, 0], shape[1] - boxes[:, 2])
    is_one = np.array([reading.text in {"", "1"} for reading in readings])
    by_edge = is_one & (from_edge <= settings.frame_zone * np.median(heights))
    # Written in a row with the rest, it begins and ends where they do.
    ends = np.abs(boxes[:, [1, 3]] - np.median(boxes[:, [1, 3]], axis=0)).max(axis=1)
    off_row = ends / np.median(heights)
    by_edge &= off_row > settings.frame_level
    may_be = by_edge & (heights >= settings.may_be_frame * widths)
    is_frame = may_be & (off_row > settings.frame_off)
    cut_off = is_one & ((boxes[:, 1] == 0) | (boxes[:, 3] == shape[0])) & (off_row > settings.frame_level)
    is_frame |= (by_edge | cut_off) & (heights >= settings.frame_slenderness * widths)
    return tuple(
        replace(reading, confidence=reading.confidence * settings.frame_doubt) if doubt and reading.text else reading
        for reading, gone, doubt in zip(readings, is_frame, may_be, strict=True)
        if not gone
    )
