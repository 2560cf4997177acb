"""Digits + what stands about them -> which may have lost a stroke.

The bar of a 5 far above it and the left half of a broken 4 lie beside; the bar of a 7 went with the box it was close
to, the foot of a 2 with the line it was written on.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from docscan.records import Digit, LowInk, Rulings
from docscan.settings import StringSettings
from docscan.stages.components import lie_in

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
    middle = (own_top + own_bottom) / 2
    # Of a 6 that lost its stroke the loop alone is the digit: what lies above is as near as the page's digits are high.
    above = settings.loose_level * np.maximum(height, np.median(height))
    joined = lie_in(low.boxes, boxes[:, np.newaxis], beyond=1)
    level = (bottom - middle >= settings.loose_level * height) & (top - middle <= above)
    beside = level & (apart <= settings.loose_reach)
    length = np.maximum(own_right - own_left, own_bottom - own_top) / height
    return np.asarray(np.where(beside & ~joined.any(axis=0), length, 0).max(axis=1))


def lost_to_rulings(readings: Sequence[Digit], rulings: Rulings, settings: StringSettings) -> NDArray[np.bool_]:
    """Which readings (N,) are a 1 that hangs from a horizontal ruling, or a 7 that stands on one."""
    lost = np.zeros(len(readings), dtype=np.bool_)
    rows = [row for row, reading in enumerate(readings) if reading.text in ("1", "7")]
    if not len(rulings.horizontal) or not rows:
        return lost
    boxes = np.array([readings[row].box for row in rows], dtype=np.float64)
    left, top, right, bottom = boxes.T[:, :, np.newaxis]
    end = np.where([[readings[row].text == "1"] for row in rows], top, bottom)
    from_x, _, to_x, _ = rulings.horizontal.T
    middle = (left + right) / 2
    off = np.abs(end - rulings.level_at(middle)) - rulings.horizontal_px / 2
    lost[rows] = ((off <= settings.at_ruling * (bottom - top)) & (from_x <= middle) & (middle <= to_x)).any(axis=1)
    return lost
