"""Digits of every hand, and whole cheque amounts -> labelled strips, cut by docscan's own stages.

A composed string is drawn as a small picture (string_pictures.py), a cheque is spoiled a little in several ways. Both
are then pages like any other: what docscan cuts out of them is what the network learns from.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from docscan.records import InkMask, Page
from docscan.settings import Settings
from docscan.stages.binarise import binarise
from docscan.stages.components import find_components
from docscan.stages.rulings import remove_rulings
from docscan.stages.strings import STRIP_PX, Strip, cut_strip, find_strings
from training.crops import Spoiled, Stock, labelled_boxes, main_pieces, spoil_picture
from training.data import WRITERS_FILE, find_mnist, read_writers, split_by_writer
from training.stocks import DRAWN_PER_WRITER, HELD_OUT_ROW, cheque_strings, load_stocks
from training.string_pictures import Ink, draw_string

VALIDATION_ROW = 10  # one cheque in ten, none of them a fifth one, validates
LENGTHS = np.array([0.08, 0.18, 0.2, 0.18, 0.16, 0.1, 0.06, 0.04])  # how often a string has 1, 2, ... 8 digits
SOURCES = {"mnist": 0.36, "drawn": 0.34, "cheques": 0.18, "semeion": 0.03, "optdigits": 0.03, "printed": 0.06}
NO_DIGITS = 0.04  # of the strings: words, scribbles, lines
LONGEST_PX = 256  # of a strip to learn from

# Amounts, by row, whose label is not what is written, or "" where too little can be told of what is: read anew by eye,
# none of them in the fifth that measures. A reader taught the labels learns every one of them by heart.
CHEQUE_TEXTS = {
    33: "",
    57: "671",
    87: "39300",
    161: "1895",
    176: "97060",
    181: "13817",
    269: "19620",
    278: "15775",
    484: "10362",
    511: "",
    526: "198",
    534: "1119",
    563: "28304",
    592: "",
    699: "",
    774: "40000",
    779: "157946",
    783: "89800",
    823: "49575",
    901: "",
    1041: "5965",
    1063: "110820",
}


@dataclass(frozen=True, slots=True, eq=False)
class LabelledStrip:
    """A strip and what is written on it."""

    pixels: NDArray[np.uint8]
    """(32, width, 2), as docscan.stages.strings.cut_strip makes them."""
    text: str
    cuts: tuple[int, ...] = ()
    """Columns between two digits that do not overlap, with `cut_after`: there the strip may be cut."""
    cut_after: tuple[int, ...] = ()
    """How many digits stand left of each cut."""


@dataclass(frozen=True, slots=True, eq=False)
class Hands:
    """Digits by who wrote them."""

    name: str
    inks: Sequence[Ink]
    labels: NDArray[np.int64]
    members: list[list[NDArray[np.intp]]]
    """By hand, then by digit: rows. A set whose hands are unknown is one hand."""

    def draw(self, text: str, rng: np.random.Generator) -> list[Ink]:
        """Ink for each digit of `text`, by one hand as far as it wrote them."""
        hand = self.members[int(rng.integers(len(self.members)))]
        anyone = self.members[0] if len(self.members) == 1 else self.members[int(rng.integers(len(self.members)))]
        drawn = []
        for digit in map(int, text):
            rows = hand[digit] if len(hand[digit]) else anyone[digit]
            if not len(rows):
                rows = np.flatnonzero(self.labels == digit)
            drawn.append(self.inks[int(rng.choice(rows))])
        return drawn


def by_hand(stock: Stock, writers: NDArray[np.int64]) -> Hands:
    """A stock sorted by `writers` (N,), who wrote each piece."""
    order = np.argsort(writers, kind="stable")
    starts = np.flatnonzero(np.diff(writers[order], prepend=-1))
    members = [[rows[stock.labels[rows] == digit] for digit in range(10)] for rows in np.split(order, starts[1:])]
    return Hands(stock.name, stock.inks, stock.labels, members)


@dataclass(frozen=True, slots=True, eq=False)
class Cheque:
    """A bank cheque's amount."""

    row: int
    gray: NDArray[np.uint8]
    text: str
    boxes: tuple[tuple[int, int, int, int], ...]
    """left, top, right, bottom of each digit; some one in twenty-five is wrong."""


@dataclass(frozen=True, slots=True, eq=False)
class StringStocks:
    """What strings are made of; no source is in two of these."""

    hands: tuple[Hands, ...]
    cheques: tuple[Cheque, ...]
    validation_hands: tuple[Hands, ...]
    validation_cheques: tuple[Cheque, ...]


def load_string_stocks(data: Path) -> StringStocks:
    """Every set that may be trained on. Raises ValueError for an altered set."""
    split = load_stocks(data)
    train, validation = split_cheques(data)
    writers = read_writers(find_mnist(data) / WRITERS_FILE)
    sides = []
    for stocks, amounts, of_train in ((split.train, train, True), (split.validation, validation, False)):
        hands = []
        for stock in stocks:
            if stock.name not in SOURCES or stock.name == "cheques":
                continue
            who = np.zeros(len(stock.labels), np.int64)
            if stock.name == "mnist" and writers is not None:
                trains, validates = split_by_writer(len(writers), writers)
                who = writers[trains if of_train else validates]
            elif stock.name == "drawn":
                who = np.arange(len(who)) // DRAWN_PER_WRITER
            hands.append(by_hand(stock, who))
        if amounts:
            hands.append(_cheque_digits(amounts))
        sides.append(tuple(hand for hand in hands if len(set(hand.labels)) == 10))
    return StringStocks(sides[0], train, sides[1], validation)


def load_cheques(data: Path) -> list[Cheque]:
    """All of the cheques, those of the held-out rows among them."""
    return [
        Cheque(row, gray, "".join(str(digit) for digit, _ in digits), tuple(box for _, box in digits))
        for row, (gray, digits) in enumerate(cheque_strings(data))
    ]


def split_cheques(data: Path) -> tuple[tuple[Cheque, ...], tuple[Cheque, ...]]:
    """The cheques that train and those that validate, as they were read anew; the fifth that measures is in neither."""
    cheques = as_read_anew(load_cheques(data))
    train = tuple(cheque for cheque in cheques if cheque.row % HELD_OUT_ROW and cheque.row % VALIDATION_ROW != 1)
    return train, tuple(cheque for cheque in cheques if cheque.row % VALIDATION_ROW == 1)


def as_read_anew(cheques: Sequence[Cheque]) -> list[Cheque]:
    """The cheques with the texts of CHEQUE_TEXTS, without those that cannot be told."""
    texts = ((cheque, CHEQUE_TEXTS.get(cheque.row, cheque.text)) for cheque in cheques)
    return [dataclasses.replace(cheque, text=text) for cheque, text in texts if text]


def _cheque_digits(cheques: Sequence[Cheque]) -> Hands:
    inks: list[Ink] = []
    labels: list[int] = []
    who: list[int] = []
    for cheque in cheques:
        inks += [main_pieces(ink) for ink in labelled_boxes(cheque.gray, cheque.boxes)]
        labels += [int(digit) for digit in cheque.text]
        who += [cheque.row] * len(cheque.text)
    large = [place for place, ink in enumerate(inks) if ink.shape[0] >= 8 and ink.any()]
    stock = Stock("cheques", [inks[place] for place in large], np.array(labels, np.int64)[large], share=0)
    return by_hand(stock, np.array(who, np.int64)[large])


def unruled_page(gray: NDArray[np.uint8], settings: Settings) -> tuple[InkMask, NDArray[np.int32]]:
    """A picture's ink without rulings, through docscan's stages, and the boxes (N, 4) of the strings on it."""
    unruled = remove_rulings(binarise(Page(gray), settings.binarise), settings.components, settings.rulings)
    components = find_components(unruled.ink, settings.components)
    return unruled.ink, find_strings(components.pieces, components.digit_height_px, settings.strings)


def main_strip(gray: NDArray[np.uint8], settings: Settings) -> Strip:
    """The string that holds most of a picture's ink; a picture without strings is taken whole."""
    ink, boxes = unruled_page(gray, settings)
    return cut_strip(gray, ink, main_box(ink, boxes))


def main_box(ink: InkMask, boxes: NDArray[np.int32]) -> NDArray[np.int32]:
    """The one of the boxes (N, 4) that holds most ink; the whole picture where there is none."""
    if not len(boxes):
        return np.array([0, 0, *ink.ink.shape[::-1]], np.int32)
    return np.asarray(boxes[_most_ink(ink, boxes)], dtype=np.int32)


def _most_ink(ink: InkMask, boxes: NDArray[np.int32]) -> int:
    return int(np.argmax([np.count_nonzero(ink.ink[top:bottom, left:right]) for left, top, right, bottom in boxes]))


def composed_strip(hands: Sequence[Hands], rng: np.random.Generator, settings: Settings) -> LabelledStrip | None:
    """One composed string as docscan cuts it; None where nothing is left of it.

    Where docscan found only a part, the strip is cut as another stage might ask for it: about its own box.
    """
    text = "" if rng.random() < NO_DIGITS else _text(rng)
    shares = np.array([SOURCES[hand.name] for hand in hands])
    hand = hands[int(rng.choice(len(hands), p=shares / shares.sum()))]
    picture = draw_string(text, hand.draw(text, rng), hand.name, rng)
    ink, boxes = unruled_page(picture.gray, settings)
    box = main_box(ink, boxes)
    beside = 0.12 * picture.height_px
    if text and (box[0] > picture.box.left + beside or box[2] < picture.box.right - beside):
        about = rng.uniform(0, 0.1, 4) * picture.height_px * [-1, -1, 1, 1]
        box = np.clip(np.rint(picture.box + about), 0, picture.gray.shape[::-1] * 2).astype(np.int32)
    strip = cut_strip(picture.gray, ink, box)
    if strip.pixels.shape[1] > LONGEST_PX or (text and not strip.pixels[..., 0].any()):
        return None
    return LabelledStrip(strip.pixels, text)


def _text(rng: np.random.Generator) -> str:
    count = int(rng.choice(len(LENGTHS), p=LENGTHS / LENGTHS.sum())) + 1
    digits = rng.integers(0, 10, count)
    if rng.random() < 0.25:  # amounts end in noughts
        digits[max(1, count - int(rng.integers(1, 4))) :] = 0
    if rng.random() < 0.15:  # and neighbours are often alike
        place = int(rng.integers(0, count))
        digits[place : place + 2] = digits[place]
    return "".join(str(digit) for digit in digits)


def cheque_strip(cheque: Cheque, rng: np.random.Generator | None, settings: Settings) -> LabelledStrip:
    """A cheque's amount as docscan cuts it; with `rng`, of the picture a little spoiled."""
    picture = Spoiled(cheque.gray) if rng is None else spoil_picture(cheque.gray, rng)
    strip = main_strip(picture.gray, settings)
    cuts, after = [], []
    for place, (one, other) in enumerate(zip(cheque.boxes[:-1], cheque.boxes[1:], strict=True), start=1):
        column = round((((one[2] + other[0]) / 2 + picture.left) * picture.scale - strip.left) * strip.scale)
        if one[2] <= other[0] + 1 and one[0] < other[0] and 8 < column < strip.pixels.shape[1] - 8:
            cuts.append(column)
            after.append(place)
    return LabelledStrip(strip.pixels, cheque.text, tuple(cuts), tuple(after))


def spliced(one: LabelledStrip, other: LabelledStrip, rng: np.random.Generator) -> LabelledStrip:
    """The beginning of one cheque's amount and the end of another's; `one` where neither can be cut."""
    if not one.cuts or not other.cuts:
        return one
    first, last = int(rng.integers(len(one.cuts))), int(rng.integers(len(other.cuts)))
    head, tail = one.pixels[:, : one.cuts[first]], other.pixels[:, other.cuts[last] :]
    text = one.text[: one.cut_after[first]] + other.text[other.cut_after[last] :]
    kind = rng.random()
    if kind < 0.12:
        return LabelledStrip(head, one.text[: one.cut_after[first]])
    if kind < 0.24:
        return LabelledStrip(tail, other.text[other.cut_after[last] :])
    return LabelledStrip(np.concatenate([head, tail], axis=1), text)


def strips_of(
    draw: Callable[[np.random.Generator], LabelledStrip | None], count: int, seed: tuple[int, ...]
) -> Iterator[LabelledStrip]:
    """`count` strips, each from a generator of its own, so that one more or less changes no other."""
    found = attempt = 0
    while found < count:
        strip = draw(np.random.default_rng((*seed, attempt)))
        attempt += 1
        if strip is not None and strip.pixels.shape[0] == STRIP_PX:
            found += 1
            yield strip
