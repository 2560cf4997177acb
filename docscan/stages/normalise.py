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
    field = np.zeros((FIELD_PX, FIELD_PX), np.uint8)
    if not ink.any():
        return field
    height, width = ink.shape
    scale = BOX_PX / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    # INTER_AREA averages: a 1 px stroke of a 600 dpi scan becomes faint gray instead of vanishing.
    shrunk = cv2.resize(ink, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    # Not cv2.moments: it reads an (n, 2) array as a contour, so a thin 1 would weigh nothing.
    columns, rows = shrunk.sum(axis=0, dtype=np.float64), shrunk.sum(axis=1, dtype=np.float64)
    left = _offset(columns)
    top = _offset(rows)
    field[top : top + shrunk.shape[0], left : left + shrunk.shape[1]] = shrunk
    return field


def normalise_all(inks: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """N glyphs -> crops (N, 28, 28) uint8; no glyphs give an (0, 28, 28) array."""
    crops = np.zeros((len(inks), FIELD_PX, FIELD_PX), np.uint8)
    for crop, ink in zip(crops, inks, strict=True):
        crop[:] = normalise(ink)
    return crops


def _offset(mass: NDArray[np.float64]) -> int:
    """Where a profile (n,) of ink starts in the field, so that its centre of mass lands on CENTRE_PX."""
    centre = float(np.dot(mass, np.arange(len(mass)))) / float(mass.sum() or 1.0)
    return int(min(max(round(CENTRE_PX - centre), 0), FIELD_PX - len(mass)))
