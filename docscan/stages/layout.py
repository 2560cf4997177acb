"""Digits -> Numbers: neighbours make numbers, numbers make lines, lines make the reading order."""

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from docscan.records import Box, Digit, LowInk, Number, Surroundings
from docscan.settings import LayoutSettings
from docscan.stages.chains import link_chances, next_digits, ruled_between, shared_rows
from docscan.stages.combs import comb_neighbours
from docscan.stages.grouping import boxes_of, group, neighbour_pairs
from docscan.stages.marks import Marks, find_marks, low_digits, marked_neighbours, write_number
from docscan.stages.squares import squared_neighbours
from docscan.stages.strikes import is_struck

Pairs = list[tuple[int, int]]


@dataclass(frozen=True, slots=True, eq=False)
class _Chains:
    """Digits in chains, one a number, and the chains in lines."""

    boxes: NDArray[np.int32]
    """(N, 4): of the digits."""
    marks: Marks
    near: Pairs
    """Digits linked because they stand near each other."""
    numbers: Sequence[NDArray[np.intp]]
    """The digits of each number, left to right."""
    outer: NDArray[np.int32]
    """(numbers, 4): their boxes."""
    lines: Sequence[NDArray[np.intp]]
    """The numbers of each line, in reading order."""


def arrange_numbers(digits: tuple[Digit, ...], about: Surroundings, settings: LayoutSettings) -> tuple[Number, ...]:
    """Chain digits into numbers and numbers into lines, in reading order; no digits make no numbers.

    A number ends at an upright ruling that is no divider of a comb; a mark between two digits joins them. A person
    looks at what is struck through; the rest is weighed yet (trust.py).
    """
    is_mark = low_digits(boxes_of(digits), settings)
    low = LowInk(np.concatenate([about.low.boxes, boxes_of(digits)[is_mark]]), about.low.pen_px)
    digits, about = tuple(itertools.compress(digits, ~is_mark)), replace(about, low=low)
    chains = _chain(digits, about, settings)
    chances = _chances_whole(chains, about, settings)
    struck = is_struck(chains.outer, about.rulings, settings)
    numbers = []
    for line, members in enumerate(chains.lines, start=1):
        for position, number in enumerate(members, start=1):
            written = write_number(chains.numbers[number], digits, chains.marks, settings)
            confidence = math.prod(digit.confidence for digit in written.digits) * chances[number]
            if written.unclear:
                confidence *= settings.doubtful_mark
            if any(digit.beside_unread for digit in written.digits):
                confidence *= settings.beside_unread
            numbers.append(
                Number(
                    text=written.text,
                    confidence=confidence,
                    box=_outer([digit.box for digit in written.digits]),
                    digits=written.digits,
                    line=line,
                    position=position,
                    review=bool(struck[number]) or written.may_be_date,
                    reason="struck-through" if struck[number] else "may-be-date" if written.may_be_date else "",
                    unclear_mark=written.unclear,
                )
            )
    return tuple(numbers)


def _chain(digits: tuple[Digit, ...], about: Surroundings, settings: LayoutSettings) -> _Chains:
    boxes, marks = boxes_of(digits), find_marks(digits, about, settings)
    near = next_digits(boxes, about.rulings, settings)
    in_cells = comb_neighbours(boxes, about.rulings, settings) + squared_neighbours(boxes, about.squares, settings)
    links = near + in_cells + marked_neighbours(marks, boxes, settings)
    numbers = _groups(group(len(boxes), links), boxes[:, 0])
    edges = boxes.tolist()
    outer = np.array([_outer([edges[row] for row in number]) for number in numbers], dtype=np.int32).reshape(-1, 4)
    lines = _groups(group(len(numbers), _next_numbers(outer, settings)), outer[:, 0])
    lines.sort(key=lambda line: (_middle(outer[line]), int(outer[line[0], 0])))
    return _Chains(boxes, marks, near, numbers, outer, lines)


def _chances_whole(chains: _Chains, about: Surroundings, settings: LayoutSettings) -> list[float]:
    """The chance of each number that it was cut from its neighbours, and joined, where it ought to be."""
    boxes, numbers = chains.boxes, chains.numbers
    whole = np.ones(len(boxes))
    inside = [pair for pair in chains.near if pair not in chains.marks.between]
    whole[[one for one, _ in inside]] *= link_chances(inside, boxes, settings)
    ends = [
        (int(numbers[one][-1]), int(numbers[other][0]))
        for line in chains.lines
        for one, other in itertools.pairwise(line)
    ]
    one, other = boxes[np.array(ends, dtype=np.intp).reshape(-1, 2).T]
    ends = list(itertools.compress(ends, ~ruled_between(one, other, about.rulings)))
    apart = 1 - link_chances(ends, boxes, settings)
    for side in (0, 1):
        np.multiply.at(whole, np.array([pair[side] for pair in ends], dtype=np.intp), apart)
    return [float(whole[number].prod()) for number in numbers]


def _next_numbers(boxes: NDArray[np.int32], settings: LayoutSettings) -> Pairs:
    """Each number and the nearest one right of it on the same line, however far."""
    heights = boxes[:, 3] - boxes[:, 1]
    one, other = neighbour_pairs(boxes, np.full(len(boxes), np.inf))
    level = shared_rows(boxes[one], boxes[other]) >= settings.min_overlap * np.minimum(heights[one], heights[other])
    right_of = boxes[other, 0] >= (boxes[one, 0] + boxes[one, 2]) // 2
    links: dict[int, int] = {}
    taken = set()
    for number, following in zip(one[level & right_of].tolist(), other[level & right_of].tolist(), strict=True):
        if number not in links and following not in taken:
            links[number] = following
            taken.add(following)
    return list(links.items())


def _groups(numbers: NDArray[np.intp], lefts: NDArray[np.int32]) -> list[NDArray[np.intp]]:
    """The members of each group, left to right."""
    order = np.lexsort((lefts, numbers))
    return np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1) if len(order) else []


def _outer(boxes: Sequence[Sequence[int]]) -> Box:
    """Around all of the boxes: of a few, as the digits of a number are, quicker than by arrays."""
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return Box(min(lefts), min(tops), max(rights), max(bottoms))


def _middle(boxes: NDArray[np.int32]) -> float:
    return float(statistics.median(((boxes[:, 1] + boxes[:, 3]) / 2).tolist()))  # of a few, sooner than NumPy
