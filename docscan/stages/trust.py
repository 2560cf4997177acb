"""Numbers -> how sure each is as a whole, by what every stage knows of it.

The product of its digits' chances is a number's only where the digits are all there is to doubt. But numbers are cut
in two and run together, lose a 1 beside a 7, stand in a word; and two readers who agree are less independent than they
say. So what speaks for and against a number is weighed by a logistic regression: Platt, Probabilities for SV machines,
1999, with more than one score. Its weights are fitted on drawn pages that nobody trained on (training/weigh.py) and
come with the model.
"""

import itertools
import math
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from docscan.records import Looks, LowInk, Number, Rulings, Surroundings
from docscan.settings import Settings, StringSettings, TrustSettings
from docscan.stages.chains import ruled_between, shared_rows
from docscan.stages.combs import span_one_row
from docscan.stages.grouping import boxes_around, boxes_of, group, neighbour_pairs
from docscan.stages.loose import loose_strokes
from docscan.stages.squares import squared_neighbours

CONSTANT = "constant"
_SUREST = 12.0  # log-odds: 6 in a million; nobody is surer,
_SUREST_TWICE = 5.0  # and of digits doubtful enough to be read again, nobody than this: 7 in a thousand,
_SUREST_STRING = 8.0  # but of strings whose digits touch: 3 in ten thousand
_LEAST_LAYOUT = math.log(0.01)
_USUAL_GAP = 0.2  # between digits, of their height
_LEVEL = 0.3  # of the height: what is on one line shares as much
_MOST_PAIRS = 4_000_000  # of a number and a piece of ink
_MOST_CRUMBS = 4000  # of low ink; more is grain
_WHO = ("alone", "confirmed", "both", "string", "against")

Column = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What speaks for and against the numbers of a page: a column each, (N,); lengths in heights of their digits.

    "Sure" stands for log-odds. What is said of digits read alone, or twice, is 0 for all others.
    """

    alone: Column
    """How sure its digits, gaps and marks make it, where all digits were read alone."""
    least: Column
    """... and how sure its least sure digit is."""
    layout: Column
    """The logarithm of the chance that its gaps and marks are right, as the layout has it."""
    crowd: Column
    """For digits read alone, the share of the page's numbers that were read again: here strokes touch or break."""
    confirmed: Column
    """1 where they were read again for that reason only, and both readers agree ..."""
    confirmed_string: Column
    """how sure the reader of strings was,"""
    confirmed_crowd: Column
    """and the share of the page's numbers for which that reader was believed: here strokes touch."""
    both: Column
    """1 where some of its digits were read again, and both readers agree ..."""
    both_alone: Column
    """how sure the digits were, each by itself,"""
    both_string: Column
    """and how sure the reader of strings."""
    string: Column
    """1 where the reader of strings was believed ..."""
    string_alone: Column
    string_string: Column
    string_seen: Column
    """how sure its digits are, each looked at alone where that reader has it,"""
    string_crowd: Column
    """and the share of the page's numbers that are such: one string among digits that do not touch may be none."""
    against: Column
    """1 where it was not ..."""
    against_alone: Column
    digits: Column
    """How many there are."""
    doubts: Column
    """The share of the page's digits that are in doubt."""
    tight: Column
    """How far digits overlap, or nearly: they may have been parted wrongly."""
    apart: Column
    """How much further than `apart` two of its digits stand from each other, but for those in cells of their own: two
    numbers may have been joined."""
    free: Column
    """How much nearer than `near` the next number on its line stands: one of them may have been cut off."""
    ruled: Column
    """The same across an upright that spans one row, nearer than `near_ruled`: a comb whose cells came apart."""
    unread: Column
    """How much nearer than `unread_reach` on its line there is ink that is no digit."""
    beside: Column
    """1 where ink as high as a digit was not read that would be its next."""
    loose: Column
    """How long a piece of low ink beside it is that may be a stroke of it, at most 1."""
    stray: Column
    """How much nearer than `unread_reach` before or behind it on its line there is a piece too low for a digit, but no
    point: of a digit that broke?"""
    pieces: Column
    """The same of pieces that together are as high as a digit: of one that fell apart?"""
    marked: Column
    """1 where it has a mark between its digits as next to no other number of the page has, 0 from `usual_marks` on:
    is it dirt?"""
    small: Column
    """How many octaves over `small_octaves` its digits are lower than the page's usual: print beside writing."""

    def __len__(self) -> int:
        return len(self.alone)


def weigh_numbers(
    numbers: tuple[Number, ...],
    about: Surroundings,
    weights: Mapping[str, float],
    least_confidence: float,
    settings: Settings,
) -> tuple[Number, ...]:
    """The numbers, each as sure as the evidence makes it; a person looks at those less sure than `least_confidence`.

    Nothing else of a number changes, and who was to look at one for another reason still is. Of a model without weights
    they are as sure as the layout has them.
    """
    if not weights:
        chances = np.array([number.confidence for number in numbers])
    else:
        chances = trust(find_evidence(numbers, about, settings), weights)
    chances = np.where(_may_lack_mark(numbers, settings.trust), settings.layout.doubtful_mark * chances, chances)
    return tuple(
        _weighed(number, float(chance), least_confidence) for number, chance in zip(numbers, chances, strict=True)
    )


def _weighed(number: Number, confidence: float, least_confidence: float) -> Number:
    if number.review or confidence >= least_confidence:
        return replace(number, confidence=confidence)
    is_touching = any(digit.beside_unread for digit in number.digits)
    reason = "touching" if is_touching else "low-confidence"
    return replace(number, confidence=confidence, review=True, reason=reason)


def leave_out_print(numbers: tuple[Number, ...], about: Surroundings, settings: Settings) -> tuple[Number, ...]:
    """The weighed numbers of a page without the words that look like some.

    Where most are past belief, and more was read as letters than as digits, it is print, and those go: letters that
    look like digits stand among letters that do not, so each of them has no chance to be a number; a page of numbers
    that are hard to read has some that are likelier, and one whose numbers nobody can tell apart has few letters. And
    on a page of text, what is no higher than its letters and hardly believed is one of its words, as is on a form what
    is much lower than what is written there.
    """
    limits = settings.trust
    past_belief = [number.confidence < limits.past_belief for number in numbers]
    is_print = sum(past_belief) >= max(limits.least_print, limits.print_share * len(numbers))
    is_print &= len(about.unread) + len(about.text) >= sum(len(number.digits) for number in numbers)
    sure = [_usual_height(number) for number in numbers if number.confidence >= limits.doubt]
    small_print = limits.max_small * statistics.median(sure) if len(sure) >= limits.least_written else 0.0
    is_text = len(about.text) >= limits.least_text * (1 + len(sure))
    letters = float(np.median(about.text[:, 3] - about.text[:, 1])) if is_text else 0.0
    is_small = [number.confidence < limits.least_small and _usual_height(number) <= small_print for number in numbers]
    if any(is_small):  # a broken digit is as low
        is_whole = _longest_loose(numbers, about.low, settings.strings) < limits.min_bar
        is_small = list(np.logical_and(is_small, is_whole))
    left = [
        number
        for number, is_past, is_low in zip(numbers, past_belief, is_small, strict=True)
        if not (is_print and is_past)
        and not (number.confidence < limits.least_in_text and _usual_height(number) <= limits.max_word * letters)
        and not is_low
    ]
    return _renumbered(left) if len(left) < len(numbers) else numbers


def _usual_height(number: Number) -> float:
    return statistics.median(digit.box.height for digit in number.digits)


def _renumbered(numbers: Sequence[Number]) -> tuple[Number, ...]:
    """Numbers in reading order, their lines and places counted from 1 again."""
    lines = itertools.groupby(numbers, key=lambda number: number.line)
    return tuple(
        replace(number, line=line, position=position)
        for line, (_, members) in enumerate(lines, start=1)
        for position, number in enumerate(members, start=1)
    )


def trust(evidence: Evidence, weights: Mapping[str, float]) -> Column:
    """The chance (N,), 0..1, that each number is right: the logistic function of the weighed evidence.

    What has no weight does not count.
    """
    weighed = np.full(len(evidence), weights.get(CONSTANT, 0.0))
    for column in fields(Evidence):
        weighed += weights.get(column.name, 0.0) * getattr(evidence, column.name)
    return np.asarray(1 / (1 + np.exp(-np.clip(weighed, -50, 50))))


def find_evidence(numbers: tuple[Number, ...], about: Surroundings, settings: Settings) -> Evidence:
    """What is known of the numbers of one page; none give empty columns."""
    strings, limits = settings.strings, settings.trust
    looks = [_looks(number) for number in numbers]
    is_by = {who: np.array([look.believed == who for look in looks], dtype=np.float64) for who in _WHO}
    alone, seen = (
        np.clip(_sure(chances), -_SUREST_TWICE, _SUREST_TWICE)
        for chances in ([look.alone for look in looks], [look.seen for look in looks])
    )
    string = np.clip(_sure(look.string for look in looks), -_SUREST_TWICE, _SUREST_STRING)
    sole = is_by["alone"] + is_by["confirmed"]
    digits = [digit.confidence for number in numbers for digit in number.digits]
    heights = np.array([_usual_height(number) for number in numbers], dtype=np.float64)
    usual = statistics.median([digit.box.height for number in numbers for digit in number.digits] or [1.0])
    in_squares = squared_neighbours(_boxes_of_digits(numbers), about.squares, settings.layout)
    least_gaps, widest_gaps = _least_and_widest_gaps(numbers, about.rulings, in_squares)
    has_mark, marked_share = _marked(numbers)
    rulings, one_row = about.rulings, span_one_row(about.rulings, settings.layout.max_comb_height * usual)
    dividers = replace(rulings, vertical=rulings.vertical[one_row], vertical_px=rulings.vertical_px[one_row])
    free, ruled = _next_gaps(numbers, heights, rulings, dividers, max(limits.near, limits.near_ruled))
    if in_squares:  # an empty square parts two numbers
        free[:] = limits.near
    return Evidence(
        alone=_sure(number.confidence for number in numbers) * sole,
        least=_sure(min(digit.confidence for digit in number.digits) for number in numbers) * sole,
        layout=np.array([_layout_chance(number) for number in numbers], dtype=np.float64),
        crowd=is_by["alone"] * _mean(1 - sole),
        confirmed=is_by["confirmed"],
        confirmed_string=is_by["confirmed"] * string,
        confirmed_crowd=is_by["confirmed"] * _mean(is_by["string"]),
        both=is_by["both"],
        both_alone=is_by["both"] * alone,
        both_string=is_by["both"] * np.minimum(string, _SUREST_TWICE),
        string=is_by["string"],
        string_alone=is_by["string"] * alone,
        string_string=is_by["string"] * string,
        string_seen=is_by["string"] * seen,
        string_crowd=is_by["string"] * _mean(is_by["string"]),
        against=is_by["against"],
        against_alone=is_by["against"] * alone,
        digits=np.array([len(number.digits) for number in numbers], dtype=np.float64),
        doubts=np.full(len(numbers), _mean(np.array(digits, np.float64) < limits.doubt)),
        tight=np.maximum(limits.tight - least_gaps, 0),
        apart=np.maximum(widest_gaps - limits.apart, 0),
        free=np.maximum(limits.near - free, 0),
        ruled=np.maximum(limits.near_ruled - ruled, 0),
        unread=_near(numbers, heights, about.unread, limits.unread_reach),
        beside=np.array([any(digit.beside_unread for digit in number.digits) for number in numbers], np.float64),
        loose=np.minimum(_longest_loose(numbers, about.low, strings), 1),
        stray=_near(numbers, heights, _strokes(about.low, usual, strings), limits.unread_reach, beside=True),
        pieces=_near(numbers, heights, _fallen_apart(about.low, usual, limits), limits.unread_reach, beside=True),
        marked=np.where(has_mark, max(0.0, 1 - marked_share / limits.usual_marks), 0.0),
        small=np.maximum(np.log2(usual / heights) - limits.small_octaves, 0),
    )


def _sure(chances: Iterable[float]) -> Column:
    """The log-odds (N,) of chances."""
    odds = np.array([math.log(max(one, 1e-9)) - math.log(max(1 - one, 1e-9)) for one in chances], dtype=np.float64)
    return np.clip(odds, -_SUREST, _SUREST)


def _looks(number: Number) -> Looks:
    """How the number was looked at; where its digits were looked at in several ways, as the least sure of them."""
    return max((digit.looks for digit in number.digits), key=lambda looks: _WHO.index(looks.believed))


def _marked(numbers: tuple[Number, ...]) -> tuple[NDArray[np.bool_], float]:
    """Which numbers (N,) have a mark between their digits; and what share of those that are long enough for one."""
    has_mark = np.array([len(number.text.lstrip("-")) > len(number.digits) for number in numbers], np.bool_)
    return has_mark, _mean(has_mark[[len(number.digits) > 1 for number in numbers]])


def _may_lack_mark(numbers: tuple[Number, ...], settings: TrustSettings) -> NDArray[np.bool_]:
    """Which numbers (N,) of a page on which many have a mark may have lost theirs: they have none, or ink like one."""
    has_mark, share = _marked(numbers)
    is_long, is_unclear = (
        np.array([(len(number.digits) > 1, number.unclear_mark) for number in numbers], dtype=np.bool_).reshape(-1, 2).T
    )
    return np.asarray((is_unclear | (is_long & ~has_mark)) & (share >= settings.usual_marks))


def _mean(of_each: NDArray[np.float64] | NDArray[np.bool_]) -> float:
    return float(np.mean(of_each)) if len(of_each) else 0.0


def _boxes_of_digits(numbers: tuple[Number, ...]) -> NDArray[np.int32]:
    return boxes_of(digit for number in numbers for digit in number.digits)


def _digit_boxes(numbers: tuple[Number, ...], place: int) -> NDArray[np.int32]:
    """Of the digit at that place of each number."""
    return boxes_of(number.digits[place] for number in numbers)


def _least_and_widest_gaps(
    numbers: tuple[Number, ...], rulings: Rulings, in_squares: list[tuple[int, int]]
) -> tuple[Column, Column]:
    """Of those between neighbouring digits; as wide as usual across a mark, and where each has a cell or a square.

    `in_squares` are pairs of digits in neighbouring squares, counted over all numbers. A number of one digit has no
    gaps: the least is infinite, the widest 0.
    """
    sizes = np.array([len(number.digits) for number in numbers], dtype=np.intp)
    number = np.repeat(np.arange(len(numbers)), sizes)
    inside = np.flatnonzero(number[1:] == number[:-1])
    boxes = _boxes_of_digits(numbers)
    one, other, of = boxes[inside], boxes[inside + 1], number[inside]
    gaps = (other[:, 0] - one[:, 2]) / np.maximum(one[:, 3] - one[:, 1], other[:, 3] - other[:, 1])
    in_cells = ruled_between(one, other, rulings)
    in_cells |= np.isin(inside, [left for left, right in in_squares if right == left + 1])
    in_cells |= np.array([is_marked for number in numbers for is_marked in _marked_gaps(number)], np.bool_)
    gaps[(gaps > _USUAL_GAP) & in_cells] = _USUAL_GAP
    least, widest = np.full(len(numbers), math.inf), np.zeros(len(numbers))
    np.minimum.at(least, of, gaps)
    np.maximum.at(widest, of, gaps)
    return least, widest


def _marked_gaps(number: Number) -> list[bool]:
    """Of each gap between the digits of a number, whether a mark stands there."""
    marks = re.findall(r"(?<=\d)(\D*)\d", number.text)
    gaps = len(number.digits) - 1
    return [bool(mark) for mark in [*marks, *[""] * gaps][:gaps]]


def _layout_chance(number: Number) -> float:
    """The logarithm of how much less sure a number is than its digits make it."""
    digits = sum(math.log(max(digit.confidence, 1e-9)) for digit in number.digits)
    return min(0.0, max(math.log(max(number.confidence, 1e-9)) - digits, _LEAST_LAYOUT))


def _next_gaps(
    numbers: tuple[Number, ...], heights: Column, rulings: Rulings, dividers: Rulings, reach: float
) -> tuple[Column, Column]:
    """How far each number is from the nearest on its line: with no upright between, and with a divider; or `reach`."""
    boxes = boxes_of(numbers)
    free, ruled = np.full(len(boxes), reach), np.full(len(boxes), reach)
    one, other = neighbour_pairs(boxes, reach * heights.max(initial=0) * np.ones(len(boxes)))
    lower = np.minimum(boxes[one, 3] - boxes[one, 1], boxes[other, 3] - boxes[other, 1])
    level = shared_rows(boxes[one], boxes[other]) >= _LEVEL * lower
    one, other = one[level], other[level]
    lasts, firsts = (_digit_boxes(numbers, end) for end in (-1, 0))
    parted = ruled_between(lasts[one], firsts[other], rulings)
    divided = ruled_between(lasts[one], firsts[other], dividers)
    between = boxes[other, 0] - boxes[one, 2]
    for gaps, is_so in ((free, ~parted), (ruled, divided)):
        for own in (one[is_so], other[is_so]):
            np.minimum.at(gaps, own, between[is_so] / heights[own])
    return free, ruled


def _strokes(low: LowInk, usual: float, settings: StringSettings) -> NDArray[np.int32]:
    """The boxes (S, 4) of low ink that is as long as a stroke."""
    lengths = (low.boxes[:, 2:] - low.boxes[:, :2]).max(axis=1, initial=0)
    return np.asarray(low.boxes[lengths >= settings.min_loose * usual], dtype=np.int32)


def _fallen_apart(low: LowInk, usual: float, settings: TrustSettings) -> NDArray[np.int32]:
    """The boxes (S, 4) about pieces of low ink that lie as near each other as those of one broken digit."""
    boxes = low.boxes[(low.boxes[:, 2:] - low.boxes[:, :2]).max(axis=1, initial=0) >= settings.min_crumb * usual]
    if not 0 < len(boxes) <= _MOST_CRUMBS:
        return np.zeros((0, 4), np.int32)
    reach = settings.crumb_gap * usual
    one, other = neighbour_pairs(boxes, np.full(len(boxes), reach))
    is_near = shared_rows(boxes[one], boxes[other]) >= -reach
    members = group(len(boxes), list(zip(one[is_near].tolist(), other[is_near].tolist(), strict=True)))
    wholes = boxes_around(boxes, members)
    widths, heights = ((wholes[:, 2:] - wholes[:, :2]) / usual).T
    least, most = settings.whole_height
    is_whole = (np.bincount(members) > 1) & (heights >= least) & (heights <= most) & (widths <= settings.whole_width)
    return np.asarray(wholes[is_whole], dtype=np.int32)


def _near(
    numbers: tuple[Number, ...], heights: Column, ink: NDArray[np.int32], reach: float, *, beside: bool = False
) -> Column:
    """How much nearer than `reach` the nearest of the ink, boxes (K, 4), on each number's line is; 0 where none is.

    With `beside`, ink whose middle is within the number does not count.
    """
    boxes = boxes_of(numbers)
    if len(boxes) * len(ink) > _MOST_PAIRS:
        return np.full(len(boxes), reach)
    left, top, right, bottom = boxes.T[:, :, np.newaxis]
    unit, middle = heights[:, np.newaxis], (ink[:, 1] + ink[:, 3]) / 2
    level = (middle > top - _LEVEL * unit) & (middle < bottom + _LEVEL * unit)
    if beside:
        across = (ink[:, 0] + ink[:, 2]) / 2
        level &= (across < left) | (across > right)
    gaps = np.maximum(np.maximum(ink[:, 0] - right, left - ink[:, 2]), 0) / unit
    nearest = np.where(level, gaps, reach).min(axis=1, initial=reach)
    return np.asarray(np.maximum(reach - nearest, 0), dtype=np.float64)


def _longest_loose(numbers: tuple[Number, ...], low: LowInk, strings: StringSettings) -> Column:
    """How long the longest piece of low ink is that may be a stroke of each number."""
    boxes = _boxes_of_digits(numbers)
    lengths = loose_strokes(boxes, low, strings)
    starts = np.cumsum([0, *(len(number.digits) for number in numbers)])[:-1]
    return np.asarray(np.maximum.reduceat(lengths, starts), np.float64) if len(numbers) else lengths
