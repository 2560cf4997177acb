"""The texts a strip may hold -> the same, as its digits speak for them when they are looked at one by one.

The reader of strings sees a digit amid its neighbours; the classifier sees it alone, and learnt from other pictures.
Where the first hesitates between texts, the strip is cut as each of them would have it, and what the second sees in the
pieces counts as well. Ostendorf, Kannan, Austin et al., Integration of diverse recognition methodologies through
reevaluation of N-best sentence hypotheses, Speech and Natural Language Workshop, 1991.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from docscan.settings import StringSettings
from docscan.stages.components import label
from docscan.stages.normalise import normalise_all
from docscan.stages.strings import Rivals, Strip

Classify = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Crops (N, 28, 28) uint8, 255 = ink -> (N, 11): 0..9, then "not a digit"; rows sum to 1."""
_LEAST = 1e-3  # no piece speaks more strongly against a text: it may have been cut badly
_UNLIKELY = 1e-4  # a text less likely is not looked at ...
_MOST_TEXTS = 5  # ... nor are more of them
_STROKE = 0.4  # of the string's darkness: fainter ink is paper or print, where docscan saw none
_OWN = 0.8  # of its ink: a piece that has so much of it between two cuts is not cut


def rescored(strings: Sequence[Rivals], classify: Classify, settings: StringSettings) -> tuple[Rivals, ...]:
    """The strings with what `classify` sees in the digits of the likeliest text, and of its rivals if that is in doubt.

    Those are weighed by it; how likely all of a string's texts are together stays as it was.
    """
    counts = [_looked_at(own, settings) for own in strings]
    looked_at = [own.texts[:count] for own, count in zip(strings, counts, strict=True)]
    pieces = [piece for own, texts in zip(strings, looked_at, strict=True) for piece in _digits_of(own, texts)]
    texts = [text for of_string in looked_at for text in of_string]
    written = [int(digit) for text in texts for digit in text]
    seen = classify(normalise_all(pieces))[np.arange(len(written)), written]
    logs = np.log(np.maximum(seen, _LEAST, dtype=np.float64))
    of_digits = np.split(logs, np.cumsum([len(text) for text in texts], dtype=np.intp)[:-1])
    of_texts = np.array([float(own.sum()) for own in of_digits])
    of_strings = np.split(of_texts, np.cumsum(counts, dtype=np.intp)[:-1])
    return tuple(_weighed(own, votes, settings) for own, votes in zip(strings, of_strings, strict=False))


def _looked_at(string: Rivals, settings: StringSettings) -> int:
    """How many of its texts are looked at: the likeliest, and where that is in doubt those that may be."""
    if string.chances[0] >= settings.hesitant:
        return 1
    return max(1, int(np.count_nonzero(string.chances[:_MOST_TEXTS] >= _UNLIKELY)))


def _weighed(string: Rivals, votes: NDArray[np.float64], settings: StringSettings) -> Rivals:
    """A string whose first texts are weighed by the logarithms (V,) of the chances that their digits have together."""
    chances, seen = string.chances.copy(), string.seen.copy()
    seen[: len(votes)] = np.exp(votes)
    if len(votes) > 1:
        weighed = chances[: len(votes)] * np.exp(settings.worth_alone * (votes - votes.max()))
        chances[: len(votes)] = weighed * (chances[: len(votes)].sum() / max(weighed.sum(), 1e-300))
    order = np.argsort(-chances, kind="stable")
    texts = tuple(string.texts[rank] for rank in order)
    return replace(string, texts=texts, chances=chances[order], unaided=string.unaided[order], seen=seen[order])


def _digits_of(string: Rivals, texts: Sequence[str]) -> list[NDArray[np.uint8]]:
    """The gray ink, each (h, w), of all digits of some of its texts."""
    ink = ink_of(string.strip)
    return [digit for text in texts for digit in cut_digits(ink, string.middles(text))]


class StripInk(NamedTuple):
    """The ink of a strip, in pieces."""

    gray: NDArray[np.uint8]
    """(32, width): how dark it is; 0 = paper."""
    down: NDArray[np.intp]
    """(P,): the row of each pixel of ink,"""
    along: NDArray[np.intp]
    """(P,): its column,"""
    piece: NDArray[np.uint16] | NDArray[np.int32]
    """(P,): and which piece it is part of, from 1."""


def ink_of(strip: Strip) -> StripInk:
    """What is dark on a strip, and what docscan took for ink."""
    darkness, mask = strip.pixels[:, :, 0], strip.pixels[:, :, 1]
    ink = np.where((mask > 0) | (darkness >= 255 * _STROKE), darkness, np.uint8(0))
    labels, _ = label(np.where(ink > 0, np.uint8(255), np.uint8(0)))
    down, along = np.nonzero(ink)
    return StripInk(ink, down, along, labels[down, along])


def cut_digits(ink: StripInk, middles: Sequence[float]) -> list[NDArray[np.uint8]]:
    """The gray ink, each (h, w), of the digits of a strip whose middles are at these columns, left to right.

    It is cut halfway between two of them, but for pieces of ink that nearly all belong to one.
    """
    if not middles:
        return []
    halfway = [(one + other) / 2 for one, other in pairwise(middles)]
    of_pixel = np.searchsorted(halfway, ink.along + 0.5)
    shares = np.zeros((int(ink.piece.max(initial=0)) + 1, len(middles)))
    np.add.at(shares, (ink.piece, of_pixel), 1)
    is_whole = shares.max(axis=1) >= _OWN * shares.sum(axis=1)
    owner = np.where(is_whole[ink.piece], shares.argmax(axis=1)[ink.piece], of_pixel)
    return [_gathered(ink.gray, ink.down[owner == digit], ink.along[owner == digit]) for digit in range(len(middles))]


def _gathered(gray: NDArray[np.uint8], down: NDArray[np.intp], along: NDArray[np.intp]) -> NDArray[np.uint8]:
    """The ink at these rows and columns, cut out: (h, w); (0, 0) where there is none."""
    if not len(down):
        return np.zeros((0, 0), np.uint8)
    cut = np.zeros((int(down.max() - down.min()) + 1, int(along.max() - along.min()) + 1), np.uint8)
    cut[down - down.min(), along - along.min()] = gray[down, along]
    return cut
