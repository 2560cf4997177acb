"""Digits -> Numbers: neighbours make numbers, numbers make lines, lines make the reading order."""

import math
from dataclasses import replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from docscan.records import Box, Digit, Number, Rulings
from docscan.settings import LayoutSettings
from docscan.stages.grouping import group, neighbours


def leave_out_words(readings: tuple[Digit, ...], rulings: Rulings, settings: LayoutSettings) -> tuple[Digit, ...]:
    """The digits among the readings of a page's glyphs, but for those that stand among letters.

    A digit beside ink that was not read is marked.
    """
    boxes = np.array([reading.box for reading in readings], dtype=np.int32).reshape(-1, 4)
    is_digit = np.array([reading.text != "" for reading in readings], dtype=np.bool_)
    if is_digit.all():
        return readings
    links = _next_digits(boxes, rulings, settings)
    strings = group(len(readings), links)
    digits, members = np.bincount(strings, weights=is_digit), np.bincount(strings)
    # Of two, one may be a sign: 5€.
    is_number = (digits >= settings.min_digit_share * members) | (members <= 2)
    keep = is_digit & is_number[strings]
    beside_unread = {one for pair in links for one, other in (pair, pair[::-1]) if not is_digit[other]}
    return tuple(
        replace(reading, beside_unread=row in beside_unread) for row, reading in enumerate(readings) if keep[row]
    )


def arrange_numbers(
    digits: tuple[Digit, ...], rulings: Rulings, settings: LayoutSettings, least_confidence: float
) -> tuple[Number, ...]:
    """Chain digits into numbers and numbers into lines, in reading order; no digits make no numbers.

    A number ends at an upright ruling. Those surer than `least_confidence`, 0..1, are accepted unseen; a person looks
    at the rest.
    """
    boxes = np.array([digit.box for digit in digits], dtype=np.int32).reshape(-1, 4)
    strings = _groups(group(len(digits), _next_digits(boxes, rulings, settings)), boxes[:, 0])
    outer = np.array([_outer(boxes[string]) for string in strings], dtype=np.int32).reshape(-1, 4)
    lines = _groups(group(len(strings), _next_numbers(outer, settings)), outer[:, 0])
    lines.sort(key=lambda line: (_middle(outer[line]), int(outer[line[0], 0])))
    return tuple(
        _number([digits[digit] for digit in strings[string]], (line, position), settings, least_confidence)
        for line, members in enumerate(lines, start=1)
        for position, string in enumerate(members, start=1)
    )


def _next_digits(boxes: NDArray[np.int32], rulings: Rulings, settings: LayoutSettings) -> list[tuple[int, int]]:
    """Each digit and the next of the same number: near, level, of a like height, and with no ruling between."""
    heights = boxes[:, 3] - boxes[:, 1]
    links = []
    for digit, others in neighbours(boxes, settings.max_gap * settings.max_height_ratio * heights):
        own = boxes[digit]
        higher = np.maximum(heights[digit], heights[others])
        lower = np.minimum(heights[digit], heights[others])
        near = boxes[others, 0] - own[2] <= settings.max_gap * higher
        like = higher <= settings.max_height_ratio * lower
        follows = others[near & like & (_shared_rows(own, boxes[others]) >= settings.min_overlap * lower)]
        if len(follows) and not _is_ruled_between(own, boxes[follows[0]], rulings):
            links.append((digit, int(follows[0])))
    return links


def _is_ruled_between(box: NDArray[np.int32], other: NDArray[np.int32], rulings: Rulings) -> bool:
    """True where an upright ruling passes between the middles of two neighbours, at the height of their own."""
    if not len(rulings.vertical):
        return False  # most pages: half of this stage's time
    level = (max(box[1], other[1]) + min(box[3], other[3])) / 2
    x, top, x_below, bottom = rulings.vertical.T
    at_level = x + (x_below - x) * (level - top) / np.maximum(bottom - top, 1)
    between = (at_level > (box[0] + box[2]) / 2) & (at_level < (other[0] + other[2]) / 2)
    return bool((between & (top <= level) & (level <= bottom)).any())


def _next_numbers(boxes: NDArray[np.int32], settings: LayoutSettings) -> list[tuple[int, int]]:
    """Each number and the nearest one right of it on the same line, however far."""
    heights = boxes[:, 3] - boxes[:, 1]
    links = []
    taken = np.zeros(len(boxes), dtype=np.bool_)
    for number, others in neighbours(boxes, np.full(len(boxes), np.inf)):
        lower = np.minimum(heights[number], heights[others])
        level = _shared_rows(boxes[number], boxes[others]) >= settings.min_overlap * lower
        right_of = boxes[others, 0] >= (boxes[number, 0] + boxes[number, 2]) // 2
        follows = others[level & right_of & ~taken[others]]
        if len(follows):
            links.append((number, int(follows[0])))
            taken[follows[0]] = True
    return links


def _shared_rows(box: NDArray[np.int32], others: NDArray[np.int32]) -> NDArray[np.int32]:
    return np.asarray(np.minimum(box[3], others[:, 3]) - np.maximum(box[1], others[:, 1]))


def _groups(numbers: NDArray[np.intp], lefts: NDArray[np.int32]) -> list[NDArray[np.intp]]:
    """The members of each group, left to right."""
    order = np.lexsort((lefts, numbers))
    return [np.array(list(members), dtype=np.intp) for _, members in groupby(order, key=lambda member: numbers[member])]


def _outer(boxes: NDArray[np.int32]) -> Box:
    return Box(*(int(edge) for edge in (*boxes[:, :2].min(axis=0), *boxes[:, 2:].max(axis=0))))


def _middle(boxes: NDArray[np.int32]) -> float:
    return float(np.median((boxes[:, 1] + boxes[:, 3]) / 2))


def _number(digits: list[Digit], place: tuple[int, int], settings: LayoutSettings, least_confidence: float) -> Number:
    confidence = math.prod(digit.confidence for digit in digits)
    is_whole = not any(digit.beside_unread for digit in digits)
    if not is_whole:
        confidence *= settings.beside_unread
    doubtful = confidence < least_confidence
    return Number(
        text="".join(digit.text for digit in digits),
        confidence=confidence,
        box=_outer(np.array([digit.box for digit in digits], dtype=np.int32)),
        digits=tuple(digits),
        line=place[0],
        position=place[1],
        review=doubtful,
        reason=("low-confidence" if is_whole else "touching") if doubtful else "",
    )
