"""Readings -> Digits: what stands among letters is no number."""

import itertools
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from docscan.records import Digit, LowInk, Rulings, Surroundings
from docscan.settings import LayoutSettings
from docscan.stages.chains import Reach, next_boxes, next_digits, shared_rows
from docscan.stages.combs import comb_neighbours
from docscan.stages.components import lie_in
from docscan.stages.grouping import boxes_around, boxes_of, group, neighbour_pairs
from docscan.stages.squares import squared_neighbours

_PLAIN = {"2", "3", "4", "7", "8"}  # 0 and o, 1 and l, 5 and s, 6 and b, 9 and g are drawn alike
_MOST_LINES = 4  # of letters that nearly all look like digits, one below the other


class _Read(NamedTuple):
    """How pieces of ink were read, (N,) each."""

    is_digit: NDArray[np.bool_]
    is_sure: NDArray[np.bool_]
    """A digit beyond doubt ..."""
    is_plain: NDArray[np.bool_]
    """... that no letter looks like."""

    def of(self, rows: NDArray[np.bool_]) -> "_Read":
        """Those of some rows."""
        return _Read(*(column[rows] for column in self))


class Untexted(NamedTuple):
    """A page's readings without its texts."""

    readings: tuple[Digit, ...]
    about: Surroundings
    """Without their low letters and what was not read of them; with what they are made of."""


def leave_out_texts(readings: tuple[Digit, ...], about: Surroundings, settings: LayoutSettings) -> Untexted:
    """The readings of a page's glyphs, and what stands about them, but for its texts: words in a row, a space apart.

    Most of what stands in a text was not read as a digit. A number written beside a label is none of its words. A page
    of numbers has no texts: digits that touch are as many letters there.
    """
    if is_of_numbers(readings, about, settings):
        return Untexted(readings, about)
    own = boxes_of(readings)
    low_letters = np.flatnonzero(_is_low_letter(about.low, readings, settings))
    boxes = np.concatenate([own, about.runs, about.low.boxes[low_letters]])
    is_digit = np.zeros(len(boxes), dtype=np.bool_)
    is_digit[: len(own)] = [reading.text != "" for reading in readings]
    if is_digit.all():
        return Untexted(readings, about)
    is_sure, is_plain = np.zeros((2, len(boxes)), dtype=np.bool_)
    is_sure[: len(own)] = [reading.text != "" and reading.confidence >= settings.sure_digit for reading in readings]
    is_plain[: len(own)] = [reading.text in _PLAIN for reading in readings]
    in_text = _in_text(boxes, _Read(is_digit, is_sure, is_plain & is_sure), about.rulings, settings)
    of_readings, of_runs, of_low = np.split(in_text, [len(own), len(own) + len(about.runs)])
    low = replace(about.low, boxes=np.delete(about.low.boxes, low_letters[of_low], axis=0))
    text = np.concatenate([own[of_readings], about.runs[of_runs]])
    about = replace(about, runs=about.runs[~of_runs], low=low, text=text)
    return Untexted(tuple(itertools.compress(readings, ~of_readings)), about)


def leave_out_words(readings: tuple[Digit, ...], about: Surroundings, settings: LayoutSettings) -> tuple[Digit, ...]:
    """The digits among the readings of a page's glyphs, but for those of words.

    Letters are what was not read as a digit, low ones included. A digit beside ink that was not read is marked.
    """
    boxes = boxes_of(readings)
    is_digit = np.array([reading.text != "" for reading in readings], dtype=np.bool_)
    low = about.low.boxes[_is_low_letter(about.low, readings, settings)]
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
    is_sure = np.array(
        [one.confidence >= settings.sure_small for one in readings] + [False] * (len(boxes) - len(readings))
    )
    could_be = ~is_small_print(boxes, readings, settings) | (is_digit & is_sure)
    is_number &= (np.bincount(words, weights=could_be) > 0) | (digits == members)
    keep = is_digit & is_number[words]
    is_low = np.arange(len(boxes)) >= len(boxes) - len(low)
    links += _in_cells(boxes, is_digit, about, settings)
    beside_unread = {
        one for pair in links for one, other in (pair, pair[::-1]) if not is_digit[other] and not is_low[other]
    }
    return tuple(
        replace(reading, beside_unread=row in beside_unread) for row, reading in enumerate(readings) if keep[row]
    )


def is_of_numbers(readings: tuple[Digit, ...], about: Surroundings, settings: LayoutSettings) -> bool:
    """True where next to nothing but numbers stands on a page, of what was read on it and what was not."""
    plain = [one for one in readings if one.text in _PLAIN and one.confidence >= settings.sure_digit]
    low = int(np.count_nonzero(_is_low_letter(about.low, readings, settings)))
    unread = sum(not one.text for one in readings) + len(about.runs) + len(about.text) + low
    return len(plain) >= max(settings.least_of_numbers, settings.of_numbers * unread)


def is_small_print(
    boxes: NDArray[np.int32], readings: tuple[Digit, ...], settings: LayoutSettings
) -> NDArray[np.bool_]:
    """Which pieces, boxes (N, 4), are much lower than the sure digits of the page: beside them, a form's own words."""
    sure = [reading.box.height for reading in readings if reading.text and reading.confidence >= settings.sure_digit]
    usual = float(np.median(sure)) if sure else 0.0
    return np.asarray(boxes[:, 3] - boxes[:, 1] < settings.max_small_print * usual)


def _in_cells(
    boxes: NDArray[np.int32], is_digit: NDArray[np.bool_], about: Surroundings, settings: LayoutSettings
) -> list[tuple[int, int]]:
    """Pairs of digits, or of one and of ink as high that was not read, in neighbouring cells of a comb, or squares."""
    if not is_digit.any():
        return []
    heights = boxes[:, 3] - boxes[:, 1]
    high = np.flatnonzero(is_digit | (heights > settings.max_low_digit * np.median(heights[is_digit])))
    pairs = comb_neighbours(boxes[high], about.rulings, settings)
    pairs += squared_neighbours(boxes[high], about.squares, settings)
    return [(int(high[one]), int(high[other])) for one, other in pairs]


def _in_text(boxes: NDArray[np.int32], read: _Read, rulings: Rulings, settings: LayoutSettings) -> NDArray[np.bool_]:
    """Which boxes (N, 4) stand in a text."""
    is_digit = read.is_digit
    widths, heights = (boxes[:, 2:] - boxes[:, :2]).T
    near = Reach(settings.max_space, settings.max_text_ratio, settings.min_text_overlap)
    level = near._replace(gap=settings.max_level_space, level=settings.same_line)
    past_marks = near._replace(overlap=settings.min_overlap)
    links = [link for reach in (near, past_marks, level) for link in next_boxes(boxes, rulings, reach)]
    texts = group(len(boxes), links)
    is_letter = ~is_digit & (
        (widths <= settings.max_letter_width * heights) | (heights <= settings.max_low_digit * np.median(heights))
    )
    digits, letters = np.bincount(texts, weights=is_digit), np.bincount(texts, weights=is_letter)
    is_text = (letters >= settings.min_letters) & (digits < settings.max_text_digits * (digits + letters))
    may_be = ~is_text & (letters >= settings.min_letters) & (digits < settings.max_line_digits * (digits + letters))
    is_text |= _goes_on(boxes, texts, is_text, may_be, settings)
    in_text = is_text[texts]
    if not in_text.any():
        return in_text
    in_text[in_text] = ~_set_off(boxes[in_text], read.of(in_text), texts[in_text], rulings, settings)
    # Its points, commas and the dots of its i are too low to be among its letters.
    one, other = neighbour_pairs(boxes, np.full(len(boxes), settings.max_level_space * np.median(heights)))
    large = np.where(heights[one] > heights[other], one, other)
    small = one + other - large
    beside = shared_rows(boxes[small], boxes[large]) >= -heights[large] / 2
    tallest = np.zeros(len(texts))
    np.maximum.at(tallest, texts, heights)
    marks = in_text[large] & beside & (heights[small] <= settings.max_low_digit * tallest[texts[large]])
    in_text[small[marks]] = True
    in_text[_of_numbers(boxes, is_digit, in_text, rulings, settings)] = False
    return in_text


def _of_numbers(
    boxes: NDArray[np.int32],
    is_digit: NDArray[np.bool_],
    in_text: NDArray[np.bool_],
    rulings: Rulings,
    settings: LayoutSettings,
) -> list[int]:
    """The digits in texts that belong to a number outside: as low as letters, but much nearer to its next digit."""
    found = []
    for pair in next_digits(boxes, rulings, settings):
        if not (is_digit[pair[0]] and is_digit[pair[1]]) or in_text[pair[0]] == in_text[pair[1]]:
            continue
        row = pair[0] if in_text[pair[0]] else pair[1]
        left, top, right, bottom = boxes[row]
        letters = boxes[in_text & (np.arange(len(boxes)) != row)]
        level = letters[np.minimum(letters[:, 3], bottom) > np.maximum(letters[:, 1], top)]
        nearest = np.maximum(level[:, 0] - right, left - level[:, 2]).min(initial=np.iinfo(np.int32).max)
        gap = max(boxes[pair[1], 0] - boxes[pair[0], 2], 0)
        if gap < settings.max_own_gap * nearest:
            found.append(row)
    return found


def _goes_on(
    boxes: NDArray[np.int32],
    texts: NDArray[np.intp],
    is_text: NDArray[np.bool_],
    may_be: NDArray[np.bool_],
    settings: LayoutSettings,
) -> NDArray[np.bool_]:
    """Which rows of signs (T,), of those that may be one, are a line of a text: under or over another, as high."""
    goes_on = np.zeros(len(may_be), dtype=np.bool_)
    if not may_be.any() or not is_text.any():
        return goes_on
    spans, heights = boxes_around(boxes, texts), boxes[:, 3] - boxes[:, 1]
    usual = np.zeros(len(may_be))
    for row in np.flatnonzero(is_text | may_be):
        usual[row] = np.median(heights[texts == row])
    for _ in range(_MOST_LINES):
        rows, known = np.flatnonzero(may_be & ~goes_on), np.flatnonzero(is_text | goes_on)
        left, top, right, bottom = spans[rows].T[:, :, np.newaxis]
        own_left, own_top, own_right, own_bottom = spans[known].T
        apart = np.maximum(own_top - bottom, top - own_bottom)
        beside = np.minimum(own_right, right) - np.maximum(own_left, left) >= (right - left) / 2
        one, other = usual[rows][:, np.newaxis], usual[known]
        like = np.maximum(one, other) <= settings.max_line_ratio * np.minimum(one, other)
        found = (beside & like & (apart <= settings.max_leading * one)).any(axis=1)
        if not found.any():
            break
        goes_on[rows[found]] = True
    return goes_on


def _set_off(
    boxes: NDArray[np.int32],
    read: _Read,
    texts: NDArray[np.intp],
    rulings: Rulings,
    settings: LayoutSettings,
) -> NDArray[np.bool_]:
    """Which boxes (N, 4) of texts (N,) are of numbers written beside a label: digits with wide spaces about them.

    Those as high as the text's letters and on their line are printed with them, unless no space of a text is as wide.
    Plain digits in a row that are not printed are a number wherever they stand, and so are three sure ones that may be:
    no word is made of such letters.
    """
    is_digit = read.is_digit
    letters = Reach(settings.max_gap, settings.max_letter_ratio, settings.min_overlap)
    links = [pair for pair in next_digits(boxes, rulings, settings) if is_digit[pair[0]] and is_digit[pair[1]]]
    words = group(len(boxes), next_boxes(boxes, rulings, letters) + links)
    digits, members = np.bincount(words, weights=is_digit), np.bincount(words)
    is_number = members - digits <= settings.max_unread_number * members
    spans = boxes_around(boxes, words)
    of_text = texts[np.unique(words, return_index=True)[1]]
    order = np.lexsort((spans[:, 0], of_text))
    left, top, right, bottom = spans[order].T
    spaces = (left[1:] - right[:-1]) / np.minimum(bottom - top, np.roll(bottom - top, 1))[1:]
    spaces[np.diff(of_text[order]) != 0] = np.inf
    between_words = np.isfinite(spaces) & ~is_number[order[1:]] & ~is_number[order[:-1]]
    usual = np.median(spaces[between_words]) if between_words.any() else 0.0
    nearest = np.zeros(len(spans))
    nearest[order] = np.minimum(np.append(np.inf, spaces), np.append(spaces, np.inf))
    may_be = is_number & (nearest >= settings.min_set_off)
    sure, plain = np.bincount(words, weights=read.is_sure), np.bincount(words, weights=read.is_plain)
    is_plain = is_number & (sure >= np.maximum(settings.min_plain, settings.min_sure * members)) & (plain > 0)
    printed = _is_printed(boxes, is_digit & (may_be | is_plain)[words], texts, settings)
    is_written = 2 * np.bincount(words, weights=printed) < digits
    is_far_off = may_be & (nearest >= settings.min_far_off * usual)
    is_certain = (sure == members) & (members >= settings.min_certain) & (plain > 0)
    return np.asarray((((may_be | is_plain) & is_written) | is_far_off | is_certain)[words])


def _is_printed(
    boxes: NDArray[np.int32], rows: NDArray[np.bool_], texts: NDArray[np.intp], settings: LayoutSettings
) -> NDArray[np.bool_]:
    """Which of some rows of boxes (N, 4) are as high and stand as low as another box of their text."""
    heights = boxes[:, 3] - boxes[:, 1]
    printed = np.zeros(len(boxes), dtype=np.bool_)
    for row in np.flatnonzero(rows).tolist():
        letters = (texts == texts[row]) & ~rows
        unlike = np.maximum(np.abs(heights[letters] - heights[row]), np.abs(boxes[letters, 3] - boxes[row, 3]))
        printed[row] = bool((unlike <= settings.same_line * heights[row]).any())
    return printed


def _is_low_letter(low: LowInk, readings: tuple[Digit, ...], settings: LayoutSettings) -> NDArray[np.bool_]:
    """Which low ink (K,) could be letters: thicker than points and dashes, and no digit that is flat, or in pieces."""
    widths, heights = (low.boxes[:, 2:] - low.boxes[:, :2]).T
    is_letter = np.asarray(np.minimum(widths, heights) >= settings.min_letter * low.pen_px)
    if not is_letter.any():
        return is_letter
    thick, digits = np.flatnonzero(is_letter), boxes_of(reading for reading in readings if reading.text)
    boxes = np.concatenate([digits, low.boxes[thick]])
    one, other = neighbour_pairs(boxes, np.zeros(len(boxes)))
    inside = (one < len(digits)) & (other >= len(digits))
    inside &= lie_in(boxes[other], boxes[one])
    is_letter[thick[other[inside] - len(digits)]] = False
    return is_letter
