"""A sheet of paper -> a plan of what goes on it: which numbers stand where, what is printed. All in millimetres."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

WORDS = (
    *("Account", "Amount", "Betrag", "Datum", "Lager", "Menge", "Name", "Objet", "Paid"),
    *("Remarks", "Room", "Seite", "Signature", "Somme", "Stock", "Total"),
)
DIGIT_PITCH = 0.95  # room a digit needs, in digit heights: the widest hands, gap included


@dataclass(frozen=True, slots=True)
class Sheet:
    """The paper and the usual size of the writing on it."""

    width: float = 148.0
    height: float = 210.0
    margin: float = 9.0
    digit: float = 4.2
    """Height of a digit."""
    lines: float = 2.1
    """From baseline to baseline, in digit heights."""
    digits: tuple[int, int] = (1, 6)
    """Fewest and most of a number."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A number to write."""

    text: str
    left: float
    baseline: float
    room: float
    """Width it may take; digits beyond it stay unwritten."""
    pitch: float = 0.0
    """From digit to digit, where each has its own box; 0 where the pen runs freely."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What goes on a page."""

    spots: tuple[Spot, ...]
    """In reading order."""
    rules: tuple[tuple[float, float, float, float], ...] = ()
    """Printed lines: x, y to x, y."""
    words: tuple[tuple[str, float, float, float], ...] = ()
    """Printed words: text, left, baseline, height of a capital."""


def number(sheet: Sheet, rng: np.random.Generator) -> str:
    """Digits at random, the length within the sheet's."""
    fewest, most = sheet.digits
    return "".join(str(digit) for digit in rng.integers(0, 10, int(rng.integers(fewest, most + 1))))


def free(sheet: Sheet, rng: np.random.Generator, *, between: tuple[float, float] = (1.4, 3.5)) -> Plan:
    """Line after line of numbers, `between` digit heights apart, on plain paper."""
    spots = []
    for baseline in _baselines(sheet):
        left = sheet.margin + rng.uniform(0, 2) * sheet.digit
        while True:
            text = number(sheet, rng)
            if left + _room(text, sheet) > sheet.width - sheet.margin:
                break
            spots.append(Spot(text, left, baseline + rng.normal(0, 0.04) * sheet.digit, _room(text, sheet)))
            left += _room(text, sheet) + rng.uniform(*between) * sheet.digit
    return Plan(tuple(spots))


def ruled(sheet: Sheet, rng: np.random.Generator, *, clearance: float = 0.25) -> Plan:
    """Writing on lined paper, `clearance` digit heights above the lines."""
    plan = free(sheet, rng)
    below = clearance * sheet.digit
    rules = tuple(
        (sheet.margin / 2, line + below, sheet.width - sheet.margin / 2, line + below) for line in _baselines(sheet)
    )
    return Plan(plan.spots, rules)


def columns(sheet: Sheet, rng: np.random.Generator) -> Plan:
    """Columns of numbers without lines, aligned left or right."""
    edges = _column_edges(sheet, rng)
    aligned_right = rng.random() < 0.6
    spots = []
    for baseline in _baselines(sheet):
        for left, right in itertools.pairwise(edges):
            text = number(sheet, rng)
            room = right - left - 1.5 * sheet.digit
            text = text[: max(1, int(room / (DIGIT_PITCH * sheet.digit)))]
            start = right - 1.2 * sheet.digit - _room(text, sheet) if aligned_right else left
            if rng.random() < 0.9:
                spots.append(Spot(text, start + rng.uniform(0, 0.3) * sheet.digit, baseline, _room(text, sheet)))
    return Plan(tuple(spots))


def table(sheet: Sheet, rng: np.random.Generator, *, has_words: bool = True) -> Plan:
    """A ruled table; `has_words`: with a printed head."""
    edges = _column_edges(sheet, rng)
    pitch = sheet.lines * sheet.digit
    top = sheet.margin + pitch
    rows = int((sheet.height - sheet.margin - top) / pitch)
    capital = min(2.6, 0.5 * sheet.digit)
    words = [(str(rng.choice(WORDS)), left + 1, top - 0.25 * pitch, capital) for left in edges[:-1] if has_words]
    cells = _Cells(edges, tuple(top + row * pitch for row in range(rows + 1)), slack=0.9)
    return Plan(tuple(_filled(cells, sheet, rng)), tuple(cells.rules()), tuple(words))


def worksheet(sheet: Sheet, rng: np.random.Generator) -> Plan:
    """A printed word before every row, then narrow cells for a number of one or two digits each."""
    most = int(rng.integers(1, 3))
    sheet = replace(sheet, digits=(1, most))
    slack, pitch = rng.uniform(0.3, 1.0), rng.uniform(1.35, 2.1) * sheet.digit
    width = (most * DIGIT_PITCH + slack) * sheet.digit
    capital = min(2.6, 0.5 * sheet.digit)
    first = sheet.margin + 7 * capital
    edges = [float(edge) for edge in np.arange(first, sheet.width - sheet.margin, width)]
    tops = tuple(float(top) for top in np.arange(sheet.margin + pitch, sheet.height - sheet.margin, pitch))
    words = [(str(rng.choice(WORDS)), sheet.margin, top + 0.5 * pitch + 0.5 * capital, capital) for top in tops[:-1]]
    cells = _Cells(edges, tops, slack)
    heads = [(sheet.margin, top, first, top) for top in tops] + [(sheet.margin, tops[0], sheet.margin, tops[-1])]
    return Plan(tuple(_filled(cells, sheet, rng)), (*cells.rules(), *heads), tuple(words))


@dataclass(frozen=True, slots=True)
class _Cells:
    """The lines of a table."""

    edges: list[float]
    tops: tuple[float, ...]
    slack: float
    """How much wider than its number a cell is at least, in digit heights."""

    def rules(self) -> Iterator[tuple[float, float, float, float]]:
        """All of its lines."""
        yield from ((self.edges[0], top, self.edges[-1], top) for top in self.tops)
        yield from ((edge, self.tops[0], edge, self.tops[-1]) for edge in self.edges)


def _filled(cells: _Cells, sheet: Sheet, rng: np.random.Generator) -> Iterator[Spot]:
    """A number in most cells."""
    taken = cells.slack * sheet.digit
    for top, bottom in itertools.pairwise(cells.tops):
        baseline = (top + bottom) / 2 + 0.5 * sheet.digit
        for left, right in itertools.pairwise(cells.edges):
            text = number(sheet, rng)[: max(1, int((right - left - taken) / (DIGIT_PITCH * sheet.digit)))]
            loose = right - left - taken - _room(text, sheet)
            if rng.random() < 0.85:
                start = left + taken / 2 + rng.uniform(0, max(loose, 0))
                yield Spot(text, start, baseline + rng.normal(0, 0.05) * sheet.digit, _room(text, sheet))


def boxes(sheet: Sheet, rng: np.random.Generator, *, has_words: bool = True) -> Plan:
    """A form: boxes for a number each; `has_words`: with a printed word before each."""
    pitch = 2.3 * sheet.digit
    spots: list[Spot] = []
    rules: list[tuple[float, float, float, float]] = []
    words: list[tuple[str, float, float, float]] = []
    for top in np.arange(sheet.margin, sheet.height - sheet.margin - 1.6 * sheet.digit, pitch):
        left = sheet.margin
        while True:
            text, word = number(sheet, rng), str(rng.choice(WORDS)) if has_words else ""
            start = left + (0.44 * sheet.digit * len(word) + 2) * has_words
            right = start + _room(text, sheet) + 0.9 * sheet.digit
            if right > sheet.width - sheet.margin:
                break
            baseline = float(top) + 1.32 * sheet.digit
            words += [(word, left, baseline, min(2.8, 0.5 * sheet.digit))] * has_words
            rules += _rectangle(start, float(top), right, float(top) + 1.64 * sheet.digit)
            spots.append(Spot(text, start + 0.45 * sheet.digit, baseline, _room(text, sheet)))
            left = right + 1.5 * sheet.digit
    return Plan(tuple(spots), tuple(rules), tuple(words))


def comb(sheet: Sheet, rng: np.random.Generator) -> Plan:
    """A form with a small box for every digit."""
    cell = 1.35 * sheet.digit
    spots: list[Spot] = []
    rules: list[tuple[float, float, float, float]] = []
    for top in np.arange(sheet.margin, sheet.height - sheet.margin - 1.6 * sheet.digit, 2.3 * sheet.digit):
        left = sheet.margin
        while True:
            text = number(sheet, rng)
            right = left + len(text) * cell
            if right > sheet.width - sheet.margin:
                break
            bottom = float(top) + 1.5 * sheet.digit
            rules += _rectangle(left, float(top), right, bottom)
            rules += [(left + index * cell, float(top), left + index * cell, bottom) for index in range(1, len(text))]
            spots.append(Spot(text, left, bottom - 0.25 * sheet.digit, right - left, cell))
            left = right + 2 * sheet.digit
    return Plan(tuple(spots), tuple(rules))


def register(sheet: Sheet, rng: np.random.Generator) -> Plan:
    """Readings of a day in each line, a column each: decimals, values below zero, times, dates; ruled, or not."""
    kinds = rng.permutation(["#.#", "##.#", "#,##", "##,#", "-#", "-##.#", "##:##", "##/##/####", "##.##.##", "###"])
    left, edges, columns = sheet.margin, [sheet.margin], []
    for kind in kinds.tolist():
        width = (len(kind) * DIGIT_PITCH + 1.2) * sheet.digit
        if left + width > sheet.width - sheet.margin:
            break
        left += width
        edges.append(left)
        columns.append(kind)
    pitch = rng.uniform(1.6, 2.2) * sheet.digit
    tops = tuple(float(top) for top in np.arange(sheet.margin, sheet.height - sheet.margin, pitch))
    spots = []
    for top, bottom in itertools.pairwise(tops):
        for kind, start in zip(columns, edges, strict=False):
            text = "".join(str(rng.integers(0, 10)) if sign == "#" else sign for sign in kind)
            if rng.random() < 0.9:
                at = start + rng.uniform(0.4, 0.7) * sheet.digit
                spots.append(Spot(text, at, (top + bottom) / 2 + 0.5 * sheet.digit, sheet.width))
    rules = tuple(_Cells(edges, tops, 0.0).rules()) if rng.random() < 0.7 else ()
    return Plan(tuple(spots), rules)


def squares(sheet: Sheet, rng: np.random.Generator) -> Plan:
    """Squared paper from edge to edge, and a digit in each square; between numbers one square or more stays empty."""
    side = max(5.0, 1.2 * sheet.digit)
    first_x, first_y = rng.uniform(0, side, 2)
    rules = [(x, 0.0, x, sheet.height) for x in np.arange(first_x, sheet.width, side).tolist()]
    rules += [(0.0, y, sheet.width, y) for y in np.arange(first_y, sheet.height, side).tolist()]
    spots = []
    for row in range(1, int(sheet.height / side) - 2, int(rng.integers(1, 3))):
        baseline = first_y + (row + 0.5) * side + 0.5 * sheet.digit
        column = 1 + int(rng.integers(0, 3))
        while True:
            text = number(sheet, rng)
            if (column + len(text) + 1) * side > sheet.width:
                break
            spots.append(Spot(text, first_x + column * side, baseline, len(text) * side, side))
            column += len(text) + int(rng.integers(1, 4))
    return Plan(tuple(spots), tuple(rules))


def notes(sheet: Sheet, rng: np.random.Generator) -> Plan:
    """Printed words with numbers written after them."""
    spots, words = [], []
    for baseline in _baselines(sheet):
        left = sheet.margin
        while True:
            word, text = str(rng.choice(WORDS)), number(sheet, rng)
            start = left + 0.4 * sheet.digit * len(word) + 1.5 * sheet.digit
            if start + _room(text, sheet) > sheet.width - sheet.margin:
                break
            words.append((word, left, baseline, 0.55 * sheet.digit))
            spots.append(Spot(text, start, baseline, _room(text, sheet)))
            left = start + _room(text, sheet) + 2 * sheet.digit
    return Plan(tuple(spots), words=tuple(words))


def _room(text: str, sheet: Sheet) -> float:
    return len(text) * DIGIT_PITCH * sheet.digit


def _baselines(sheet: Sheet) -> list[float]:
    first = sheet.margin + 1.2 * sheet.digit
    return [float(line) for line in np.arange(first, sheet.height - sheet.margin, sheet.lines * sheet.digit)]


def _column_edges(sheet: Sheet, rng: np.random.Generator) -> list[float]:
    """Where columns begin and the last one ends; each holds a number of the usual length."""
    widest = (sheet.digits[1] * DIGIT_PITCH + 2) * sheet.digit
    usable = sheet.width - 2 * sheet.margin
    count = max(1, int(usable / (widest * rng.uniform(0.7, 1.0))))
    widths = rng.uniform(0.8, 1.2, count)
    return [float(edge) for edge in sheet.margin + np.concatenate([[0], np.cumsum(widths / widths.sum())]) * usable]


def _rectangle(left: float, top: float, right: float, bottom: float) -> Iterator[tuple[float, float, float, float]]:
    yield left, top, right, top
    yield right, top, right, bottom
    yield right, bottom, left, bottom
    yield left, bottom, left, top
