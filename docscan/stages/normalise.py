"""One candidate's ink -> (28, 28): the layout of MNIST. Training and reading share this file and never fork it.

LeCun, Cortes & Burges, The MNIST database: a digit keeps its aspect ratio, fits a 20 x 20 box, and sits in a
28 x 28 field with its centre of mass in the middle.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

CROP_CONTRACT = "mnist: 28x28 uint8, ink 255, 20 px box, centre of mass at index 14"
FIELD_PX = 28
BOX_PX = 20
CENTRE_PX = 14.0  # measured over MNIST's test digits: 13.99 / 14.01


def normalise(ink: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Fit one glyph into MNIST's field: (h, w) uint8, 255 = ink -> (28, 28) uint8.

    `ink` may be a mask (0 or 255) or hold gray strokes. An empty or inkless glyph gives an empty field.
    The shift to the centre of mass is whole pixels, as in MNIST, and never pushes ink out of the field.
    """
    return np.asarray(normalise_all([ink])[0])


def normalise_all(inks: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """N glyphs -> crops (N, 28, 28) uint8; no glyphs give an (0, 28, 28) array."""
    shrunk = [_shrunk(ink) for ink in inks]
    corners, crops = np.zeros((2, len(inks), FIELD_PX, FIELD_PX), np.uint8)
    for corner, ink in zip(corners, shrunk, strict=True):
        corner[: ink.shape[0], : ink.shape[1]] = ink
    # Not cv2.moments: it reads an (n, 2) array as a contour, so a thin 1 would weigh nothing.
    tops = _offsets(corners.sum(axis=2, dtype=np.int32), [ink.shape[0] for ink in shrunk])
    lefts = _offsets(corners.sum(axis=1, dtype=np.int32), [ink.shape[1] for ink in shrunk])
    for crop, ink, top, left in zip(crops, shrunk, tops, lefts, strict=True):
        crop[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    return crops


def _shrunk(ink: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A glyph's ink at its size in the field."""
    if not ink.size:
        return np.zeros((0, 0), np.uint8)
    height, width = ink.shape
    scale = BOX_PX / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    # INTER_AREA averages: a 1 px stroke of a 600 dpi scan becomes faint gray instead of vanishing.
    shrunk = cv2.resize(ink, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return np.asarray(shrunk, dtype=np.uint8)


def _offsets(profiles: NDArray[np.int32], sides: Sequence[int]) -> list[int]:
    """Where each profile of ink (N, 28), `sides` long, starts in the field: its centre of mass lands on CENTRE_PX."""
    centres = (profiles @ np.arange(FIELD_PX)) / np.maximum(profiles.sum(axis=1), 1)
    latest = FIELD_PX - np.array(sides, dtype=np.intp)
    return [int(offset) for offset in np.clip(np.rint(CENTRE_PX - centres), 0, latest)]
