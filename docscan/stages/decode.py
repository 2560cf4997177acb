"""Glyphs + probabilities -> readings: what each candidate is, how sure that is, and what else it might be."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from docscan.records import NOT_A_DIGIT, Alternative, Box, Digit, Glyphs
from docscan.stages.classify import LABELS

_ALTERNATIVES = 3  # beyond the third, the ten thousandth part of a chance


def decode_glyphs(glyphs: Glyphs, probabilities: NDArray[np.float32]) -> tuple[Digit, ...]:
    """The likeliest reading of each glyph, in their order: (N, 11) probabilities -> N readings.

    What is likeliest no digit has the text "".
    """
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, : _ALTERNATIVES + 1]
    chances = np.take_along_axis(probabilities, order, axis=1)
    rows = zip(glyphs.boxes.tolist(), order.tolist(), chances.tolist(), strict=True)
    return tuple(_digit(Box(*box), labels, likely) for box, labels, likely in rows)


def _digit(box: Box, labels: Sequence[int], chances: Sequence[float]) -> Digit:
    best, *rest = (Alternative(_text(label), chance) for label, chance in zip(labels, chances, strict=True))
    return Digit(best.text, best.probability, box, tuple(rest))


def _text(label: int) -> str:
    return "" if label == NOT_A_DIGIT else LABELS[label]
