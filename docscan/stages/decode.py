"""Glyphs + probabilities -> readings: what each candidate is, how sure that is, and what else it might be."""

import numpy as np
from numpy.typing import NDArray

from docscan.records import NOT_A_DIGIT, Alternative, Box, Digit, Glyphs
from docscan.stages.classify import LABELS

_ALTERNATIVES = 3  # beyond the third, the ten thousandth part of a chance


def decode_glyphs(glyphs: Glyphs, probabilities: NDArray[np.float32]) -> tuple[Digit, ...]:
    """The likeliest reading of each glyph, in their order: (N, 11) probabilities -> N readings.

    What is likeliest no digit has the text "".
    """
    order = np.argsort(-probabilities, axis=1, kind="stable")
    return tuple(
        _digit(Box(*(int(edge) for edge in box)), ranks, row)
        for box, ranks, row in zip(glyphs.boxes, order, probabilities, strict=True)
    )


def _digit(box: Box, ranks: NDArray[np.intp], row: NDArray[np.float32]) -> Digit:
    best, *rest = (Alternative(_text(label), float(row[label])) for label in ranks[: _ALTERNATIVES + 1])
    return Digit(best.text, best.probability, box, tuple(rest))


def _text(label: int) -> str:
    return "" if label == NOT_A_DIGIT else LABELS[label]
