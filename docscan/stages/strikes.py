"""Numbers + Rulings -> which numbers were crossed out: a line of their own runs through them."""

import numpy as np
from numpy.typing import NDArray

from docscan.records import Rulings
from docscan.settings import LayoutSettings


def is_struck(boxes: NDArray[np.int32], rulings: Rulings, settings: LayoutSettings) -> NDArray[np.bool_]:
    """Which numbers, boxes (N, 4), have a line through the middle that is hardly longer than they are."""
    left, _, right, _ = rulings.horizontal.T
    own_left, top, own_right, bottom = boxes.T[:, :, np.newaxis].astype(np.float64)
    height, width = bottom - top, own_right - own_left
    level = rulings.level_at((own_left + own_right) / 2)
    through = np.abs(level - (top + bottom) / 2) <= settings.strike_level * height
    covered = np.minimum(right, own_right) - np.maximum(left, own_left)
    own = right - left <= width + settings.max_strike * height
    return np.asarray((through & own & (covered >= settings.min_strike * width)).any(axis=1))
