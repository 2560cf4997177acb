"""Readings -> Digits: what stands among letters is no number."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from docscan.records import Digit, LowInk, Surroundings
from docscan.settings import LayoutSettings
from docscan.stages.chains import Reach, next_boxes, next_digits, shared_rows
from docscan.stages.grouping import group, neighbour_pairs


def leave_out_words(readings: tuple[Digit, ...], about: Surroundings, settings: LayoutSettings) -> tuple[Digit, ...]:
    """The digits among the readings of a page's glyphs, but for those that stand among letters.

    Letters are what was not read as a digit, low ones included; words that stand together are one text. A digit beside
    ink that was not read is marked.
    """
    boxes = np.array([reading.box for reading in readings], dtype=np.int32).reshape(-1, 4)
    is_digit = np.array([reading.text != "" for reading in readings], dtype=np.bool_)
    low = _low_letters(about.low, settings)
    boxes = np.concatenate([boxes, about.runs, low])
    is_digit = np.concatenate([is_digit, np.zeros(len(about.runs) + len(low), dtype=np.bool_)])
    if is_digit.all():
        return readings
    links = next_digits(boxes, about.rulings, settings)
    letters = Reach(settings.max_letter_gap, settings.max_height_ratio, settings.min_overlap)
    words = group(len(boxes), next_boxes(boxes, about.rulings, letters))
    digits, members = np.bincount(words, weights=is_digit), np.bincount(words)
    # Of two, one may be a sign: 5€.
    is_number = (members - digits <= np.maximum(settings.max_unread_share * members, 1)) | (members <= 2)
    keep = is_digit & is_number[words] & ~_in_text(boxes, is_digit, words, about, settings)
    is_low = np.arange(len(boxes)) >= len(boxes) - len(low)
    beside_unread = {
        one for pair in links for one, other in (pair, pair[::-1]) if not is_digit[other] and not is_low[other]
    }
    return tuple(
        replace(reading, beside_unread=row in beside_unread) for row, reading in enumerate(readings) if keep[row]
    )


def _in_text(
    boxes: NDArray[np.int32],
    is_digit: NDArray[np.bool_],
    words: NDArray[np.intp],
    about: Surroundings,
    settings: LayoutSettings,
) -> NDArray[np.bool_]:
    """Which boxes (N, 4) stand in a text: in a row of words a space apart, most of whose letters are no digits."""
    reach = Reach(settings.max_space, settings.max_text_ratio, settings.min_text_overlap)
    texts = group(len(boxes), next_boxes(boxes, about.rulings, reach))
    digits, members = np.bincount(texts, weights=is_digit), np.bincount(texts)
    is_text = (members - digits >= settings.min_letters) & (digits < settings.max_text_digits * members)
    in_text = is_text[texts] & ~_set_off(boxes, is_digit, words, texts, settings)
    # Its points, commas and the dots of its i are too low to be among its letters.
    heights = boxes[:, 3] - boxes[:, 1]
    one, other = neighbour_pairs(boxes, np.full(len(boxes), settings.max_space / 2 * np.median(heights)))
    large = np.where(heights[one] > heights[other], one, other)
    small = one + other - large
    level = shared_rows(boxes[small], boxes[large]) >= -heights[large] / 2
    marks = in_text[large] & level & (heights[small] <= settings.max_low_digit * heights[large])
    in_text[small[marks]] = True
    return in_text


def _set_off(
    boxes: NDArray[np.int32],
    is_digit: NDArray[np.bool_],
    words: NDArray[np.intp],
    texts: NDArray[np.intp],
    settings: LayoutSettings,
) -> NDArray[np.bool_]:
    """Which boxes (N, 4) are of the last word of a text, after a wide space: what was written after a label.

    It is a number, as far as it was read.
    """
    order = np.lexsort((boxes[:, 2], texts))
    last = order[np.diff(texts[order], append=-1) != 0]
    is_last = words == words[last][texts]
    ends = np.full(len(last), np.iinfo(np.int32).min)
    np.maximum.at(ends, texts[~is_last], boxes[~is_last, 2])
    starts = np.full(len(last), np.iinfo(np.int32).max)
    np.minimum.at(starts, texts[is_last], boxes[is_last, 0])
    heights = boxes[:, 3] - boxes[:, 1]
    apart = starts - ends >= settings.min_set_off * heights[last]
    digits, members = np.bincount(words, weights=is_digit), np.bincount(words)
    apart &= (members - digits <= settings.max_unread_number * members)[words[last]]
    return np.asarray(is_last & apart[texts])


def _low_letters(low: LowInk, settings: LayoutSettings) -> NDArray[np.int32]:
    """The boxes (K, 4) of low ink that could be letters: thicker than points and dashes."""
    widths, heights = (low.boxes[:, 2:] - low.boxes[:, :2]).T
    return np.asarray(low.boxes[np.minimum(widths, heights) >= settings.min_letter * low.pen_px])
