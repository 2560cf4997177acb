"""Readings in doubt -> strings read as a whole -> settled readings.

Most digits stand alone and are read alone. Where neighbours touch, or a stroke is broken, a chain of ink holds pieces
that are no digit, or are one by a narrow margin: such a chain is read again by the reader of strings, and the two
answers are weighed against each other.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from docscan.records import Alternative, Box, Digit, Looks, Surroundings
from docscan.settings import LayoutSettings, StringSettings
from docscan.stages.chains import next_digits
from docscan.stages.grouping import boxes_around, boxes_of, group
from docscan.stages.loose import loose_strokes, lost_to_rulings
from docscan.stages.strings import StringReading
from docscan.stages.words import is_of_numbers, is_small_print

_SURE = 1 - 1e-6  # no two readers that agree are surer


@dataclass(frozen=True, slots=True, eq=False)
class Doubtful:
    """Chains of ink to read again, a row a chain."""

    boxes: NDArray[np.int32]
    """(N, 4): left, top, right, bottom; around all of a chain."""
    members: tuple[NDArray[np.intp], ...]
    """The readings of each, left to right; ink that nobody tried to read is among none."""
    unread: NDArray[np.intp]
    """(N,): pieces of each that are no digit, that nobody tried to read, or that stand apart from its string ..."""
    letters: NDArray[np.intp]
    """(N,): ... and those of them that are higher than wide, as letters are."""
    is_loose: NDArray[np.bool_]
    """(N,): a stroke of theirs may lie beside them."""
    expected: tuple[str, ...]
    """The digits of those that are in doubt for no reason of their own, but because much of the page is; else ""."""
    is_lone: bool = False
    """True where they are the strings of a picture of one line."""


def find_doubtful(
    readings: tuple[Digit, ...],
    about: Surroundings,
    lone: NDArray[np.int32],
    layout: LayoutSettings,
    settings: StringSettings,
) -> Doubtful:
    """The chains that hold ink not read, or whose digits are less sure together than `reread_below`; no words.

    On a page of numbers alone, what looks like a word is read too: digits that touch may. And where many chains are in
    doubt, all are read that are not sure beyond doubt: digits that touch may look like one.

    Of a picture of one line all strings, boxes `lone` (N, 4): there is not enough on it to be sure of anything.
    """
    pieces = _pieces_of(readings, about, settings)
    if len(lone):
        pieces, chosen, outer = _in_one_line(pieces, lone)
        expected: tuple[str, ...] = ("",) * len(chosen)
    else:
        chosen, outer, expected = _on_a_page(pieces, readings, about, layout, settings)
    return Doubtful(
        outer,
        tuple(part[part < len(readings)] for part in chosen),
        np.array([np.count_nonzero(pieces.is_unread[part]) for part in chosen], dtype=np.intp),
        np.array([np.count_nonzero(pieces.is_letter[part]) for part in chosen], dtype=np.intp),
        np.array([pieces.is_loose[part].any() for part in chosen], dtype=np.bool_),
        expected,
        len(lone) > 0,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Pieces:
    """Readings, then runs: what stands on a page, by rows."""

    boxes: NDArray[np.int32]
    """(N, 4)."""
    is_unread: NDArray[np.bool_]
    is_letter: NDArray[np.bool_]
    is_loose: NDArray[np.bool_]

    @property
    def from_left(self) -> NDArray[np.intp]:
        return np.argsort(self.boxes[:, 0], kind="stable")


def _pieces_of(readings: tuple[Digit, ...], about: Surroundings, settings: StringSettings) -> _Pieces:
    boxes = np.concatenate([boxes_of(readings), about.runs])
    is_unread = np.array([reading.text == "" for reading in readings] + [True] * len(about.runs), dtype=np.bool_)
    is_loose = loose_strokes(boxes, about.low, settings) >= settings.min_loose
    is_loose[: len(readings)] |= lost_to_rulings(readings, about.rulings, settings)
    is_letter = is_unread & (boxes[:, 2] - boxes[:, 0] < boxes[:, 3] - boxes[:, 1])
    return _Pieces(boxes, is_unread, is_letter, is_loose)


def _in_one_line(pieces: _Pieces, lone: NDArray[np.int32]) -> tuple[_Pieces, list[NDArray[np.intp]], NDArray[np.int32]]:
    """All strings of a picture of one line: the rows of each, and its box.

    What no string holds is a crumb or the side of a cell: it counts as not read, and goes with the main string where
    that is believed.
    """
    inside = [_lie_in(pieces.boxes, *(int(edge) for edge in box)) for box in lone]
    outside = ~pieces.is_unread & ~np.any(inside, axis=0)
    inside[int((lone[:, 2] - lone[:, 0]).argmax())] |= outside
    order = pieces.from_left
    chosen = [order[own_string[order]] for own_string in inside]
    return replace(pieces, is_unread=pieces.is_unread | outside), chosen, lone


def _on_a_page(
    pieces: _Pieces, readings: tuple[Digit, ...], about: Surroundings, layout: LayoutSettings, settings: StringSettings
) -> tuple[list[NDArray[np.intp]], NDArray[np.int32], tuple[str, ...]]:
    """The chains that are in doubt, or to be confirmed: rows, box, and the text where one is expected."""
    sure = np.ones(len(pieces.boxes))
    sure[: len(readings)] = [reading.confidence for reading in readings]
    is_small = is_small_print(pieces.boxes, readings, layout)
    of_numbers = is_of_numbers(readings, about, layout)
    links = _but_for_labels(next_digits(pieces.boxes, about.rulings, layout), is_small, pieces.is_unread, layout)
    chains = group(len(pieces.boxes), links)
    order = pieces.from_left
    order = order[np.argsort(chains[order], kind="stable")]
    parts = np.split(order, np.flatnonzero(np.diff(chains[order])) + 1)
    has_unread, has_loose = (
        np.array([has[part].any() for part in parts], dtype=np.bool_) for has in (pieces.is_unread, pieces.is_loose)
    )
    together = np.array([sure[part].prod() for part in parts])
    in_doubt = np.array(
        [
            (unread or loose or chance < settings.reread_below)
            and (of_numbers or not _is_word(pieces.is_unread[part], pieces.is_letter[part], settings))
            and not (unread and is_small[part].all())
            for part, unread, loose, chance in zip(parts, has_unread, has_loose, together, strict=True)
        ],
        dtype=np.bool_,
    )
    again = in_doubt.copy()
    numbers = sum(not pieces.is_unread[part].all() for part in parts)
    if _is_crowded(in_doubt, in_doubt & (has_unread | has_loose), numbers, settings):
        again |= ~has_unread & (together < settings.confirm_below)
    chosen = list(itertools.compress(parts, again))
    expected = tuple(
        "" if is_doubted else "".join(readings[member].text for member in part)
        for part, is_doubted in zip(chosen, in_doubt[again], strict=True)
    )
    return chosen, boxes_around(pieces.boxes, chains)[np.flatnonzero(again)], expected


def _but_for_labels(
    links: list[tuple[int, int]], is_small: NDArray[np.bool_], is_unread: NDArray[np.bool_], layout: LayoutSettings
) -> list[tuple[int, int]]:
    """The links between pieces (N,) but for those from a printed word, small and not all digits, to what is written."""
    words = group(len(is_small), [(one, other) for one, other in links if is_small[one] and is_small[other]])
    letters, unread = np.bincount(words), np.bincount(words, weights=is_unread)
    is_label = is_small & ((letters >= layout.min_letters) & (unread > 0))[words]
    return [(one, other) for one, other in links if is_label[one] == is_label[other]]


def _is_crowded(
    in_doubt: NDArray[np.bool_], is_broken: NDArray[np.bool_], numbers: int, settings: StringSettings
) -> bool:
    """Whether many of a page's chains (N,) are in doubt, for their ink or at all, of the `numbers` that hold digits."""
    doubts, broken = int(np.count_nonzero(in_doubt)), int(np.count_nonzero(is_broken))
    is_many = broken > settings.crowded * numbers or doubts > settings.doubtful * numbers
    return doubts >= settings.least_crowded and is_many


def _is_word(is_unread: NDArray[np.bool_], is_letter: NDArray[np.bool_], settings: StringSettings) -> bool:
    """Whether a chain of pieces (N,) is a word: many letters, or one in the midst of ink not read."""
    letters, unread = np.count_nonzero(is_letter), np.count_nonzero(is_unread)
    many = letters > max(1, settings.max_letters * len(is_letter))
    return bool(many or (letters and unread > max(2, settings.max_unread * len(is_letter))))


class Settled(NamedTuple):
    """A page's readings once its strings are settled."""

    readings: tuple[Digit, ...]
    about: Surroundings
    """Without the ink that strings were read from."""


def settle(
    readings: tuple[Digit, ...],
    doubtful: Doubtful,
    strings: Sequence[StringReading],
    about: Surroundings,
    settings: StringSettings,
) -> Settled:
    """The readings with each doubtful chain as the surer of its two readers has it; both know the other's answer.

    Two that agree make a surer reading, a rival as sure makes an unsure one: the odds of both are multiplied.
    """
    settled: dict[int, Digit] = {}
    believed: list[_Believed] = []
    boxes = boxes_of(readings)
    columns = (
        doubtful.boxes,
        doubtful.members,
        doubtful.unread,
        doubtful.letters,
        doubtful.is_loose,
        doubtful.expected,
    )
    for box, members, unread, letters, is_loose, expected, string in zip(*columns, strings, strict=True):
        digits = [int(member) for member in members if readings[member].text]
        text = "".join(readings[member].text for member in digits)
        alone = math.prod(readings[member].confidence for member in digits) if digits else 0.0
        alone *= settings.beside_unread if unread else 1.0
        if is_loose and string.text != text:
            alone *= settings.beside_loose
        if doubtful.is_lone and not _is_within(string.text, text):  # digits that it does not see may be there
            alone *= settings.lone_trust
        if len(text) < len(string.text) and _is_within(text, string.text):
            alone *= settings.left_out  # a stroke that went with a ruling is seen by the reader of strings alone
        beside_letter = settings.min_beside_letter if text else settings.min_no_digit
        least = beside_letter if letters else settings.min_probability
        if not string.text or (string.text != text and string.probability < least):
            continue
        if string.text == text and not unread:
            if expected:
                looks = Looks("confirmed", alone, string.unaided)
                settled |= {member: replace(readings[member], looks=looks) for member in digits}
                continue
            sure = _together(alone, string.probability) ** (1 / len(digits))
            looks = Looks("both", alone, string.unaided)
            settled |= {member: replace(readings[member], confidence=sure, looks=looks) for member in digits}
        elif string.probability > alone:
            sure = _against(string.probability, alone)
            rows = (int(box[1]), int(box[3])) if doubtful.is_lone else _rows(box, boxes[members], settings)
            looks = Looks("string", alone, string.unaided, string.seen)
            believed.append(_Believed(string, box, rows, members, sure, looks))
        else:
            # A rival makes nobody surer than they were.
            sure = min(1.0, _against(alone, string.probability) / max(alone, 1e-9))
            less, looks = sure ** (1 / len(digits)), Looks("against", alone, string.unaided)
            settled |= {
                member: replace(readings[member], confidence=readings[member].confidence * less, looks=looks)
                for member in digits
            }
    believed = _read_once(believed)
    gone = {int(member) for one in believed for member in one.members}
    gone |= {int(row) for one in believed for row in np.flatnonzero(one.covers(boxes))}
    rest = [settled.get(row, reading) for row, reading in enumerate(readings) if row not in gone]
    rest += [digit for one in believed for digit in one.digits()]
    taken = np.array([one.box for one in believed], dtype=np.int32).reshape(-1, 4)
    about = replace(_without(about, taken, settings), unread=boxes_of(one for one in rest if not one.text))
    return Settled(tuple(rest), about)


@dataclass(frozen=True, slots=True, eq=False)
class _Believed:
    """A string that is believed against the digits read alone."""

    string: StringReading
    box: NDArray[np.int32]
    """Of its chain."""
    rows: tuple[int, int]
    """Top and bottom of its digits."""
    members: NDArray[np.intp]
    probability: float
    looks: Looks

    def covers(self, boxes: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Which boxes (N, 4) hold ink in their middle that the string was read from: it may reach beyond its chain."""
        left, right = self.string.columns[0][0], self.string.columns[-1][1]
        return _lie_in(boxes, left, self.box[1], right, self.box[3])

    def digits(self) -> list[Digit]:
        """Its digits."""
        return [replace(digit, looks=self.looks) for digit in _digits(self.string, self.rows, self.probability)]


def _read_once(believed: Sequence[_Believed]) -> list[_Believed]:
    """The strings without those whose ink a surer one was read from as well."""
    ranked = sorted(believed, key=lambda one: -one.probability)
    boxes = np.array([one.box for one in ranked], dtype=np.int32).reshape(-1, 4)
    kept: list[_Believed] = []
    is_read = np.zeros(len(ranked), np.bool_)
    for place, one in enumerate(ranked):
        if not is_read[place]:
            kept.append(one)
            is_read |= one.covers(boxes)
    return kept


def _is_within(part: str, whole: str) -> bool:
    """Whether `whole` gives `part` when digits are left out."""
    left = iter(whole)
    return all(digit in left for digit in part)


def _without(about: Surroundings, strings: NDArray[np.int32], settings: StringSettings) -> Surroundings:
    """The surroundings without what lies in the boxes (N, 4) of strings, but for their points and dashes."""
    runs, low = about.runs, about.low.boxes
    is_taken = np.zeros(len(low), np.bool_)
    for left, top, right, bottom in strings:
        runs = runs[~_lie_in(runs, left, top, right, bottom)]
        sides = low[:, 2:] - low[:, :2]
        is_taken |= _lie_in(low, left, top, right, bottom) & (sides.max(axis=1) > settings.max_mark * (bottom - top))
    return replace(about, runs=runs, low=replace(about.low, boxes=low[~is_taken]))


def _lie_in(boxes: NDArray[np.int32], left: float, top: float, right: float, bottom: float) -> NDArray[np.bool_]:
    """Which boxes (N, 4) have their middle in another."""
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    return np.asarray((left <= x) & (x <= right) & (top <= y) & (y <= bottom))


def _together(one: float, other: float) -> float:
    """The chance that two readers who agree are right."""
    one, other = min(one, _SURE), min(other, _SURE)
    return one * other / (one * other + (1 - one) * (1 - other))


def _against(one: float, other: float) -> float:
    """The chance that the first of two readers who disagree is right."""
    return _together(one, 1 - other)


def _rows(box: NDArray[np.int32], members: NDArray[np.int32], settings: StringSettings) -> tuple[int, int]:
    """Top and bottom of the digits of a chain: of its box, but where a stain or a line in it is far higher than they.

    Two numbers with a stain between would be as near each other as its height makes them.
    """
    top, bottom = int(box[1]), int(box[3])
    if not len(members):
        return top, bottom
    _, usual_top, _, usual_bottom = np.median(members, axis=0).astype(int).tolist()
    if bottom - top <= settings.max_rows * (usual_bottom - usual_top):
        return top, bottom
    return usual_top, usual_bottom


def _digits(string: StringReading, rows: tuple[int, int], probability: float) -> list[Digit]:
    """A string's digits, each as sure as their number makes it; their boxes as high as the string."""
    each = probability ** (1 / len(string.text))
    top, bottom = rows
    digits = []
    for place, (text, (left, right)) in enumerate(zip(string.text, string.columns, strict=True)):
        rivals: dict[str, float] = {}
        for other in string.alternatives:
            if len(other.text) == len(string.text) and other.text[place] != text:
                rivals[other.text[place]] = rivals.get(other.text[place], 0.0) + other.probability
        ranked = sorted(rivals.items(), key=lambda one: (-one[1], one[0]))
        place_box = Box(round(left), top, max(round(right), round(left) + 1), bottom)
        digits.append(Digit(text, each, place_box, tuple(Alternative(*rival) for rival in ranked)))
    return digits
