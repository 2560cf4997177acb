"""Every set of ink that may be trained on -> stocks of pieces: each by name, with its checksum, licence and source.

The folder is the one that holds mnist/ and train/ (../shared/data of the project's own workplace; the table says where
else a person gets each set). Split by source before anything is looked at: MNIST by writer, the cheques by row, the
fonts by family, the drawn hands by seed. What is for evaluation only is not even loaded here (evaluate.py does).
"""

import csv
import hashlib
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from docscan.records import NOT_A_DIGIT
from training.crops import Stock, cut_to_ink, labelled_boxes, spoil_picture
from training.data import Mnist, load_mnist
from training.fonts import CACHE, draw_glyphs
from training.hand import Writer, draw_digit
from training.letters import LETTER_NAMES, draw_letter

FRAMED = ("printed photo",)  # the lines of a cell stand around a digit
HELD_OUT_ROW = 5  # every fifth row of the cheques only measures
VALIDATION_ROW = 20  # one row in twenty, none of them a fifth one's, validates
SPOILED_CHEQUES = 8  # ways each cheque is spoiled, its digits being cut out anew each time
BOX_MARGIN = (-0.04, 0.08)  # by what share of its height each edge of a digit's box is moved out there
DRAWN_WRITERS = 1500
DRAWN_PER_WRITER = 20
DRAWN_HEIGHT_PX = 56
LETTER_WRITERS = 360


@dataclass(frozen=True, slots=True)
class SetOfInk:
    """Where a set comes from and what may be done with it."""

    path: str
    """Below the data folder."""
    sha256: str
    licence: str
    source: str


SETS = {
    "semeion": SetOfInk(
        "train/semeion.npz",
        "a5875d15db2fe0abbe5ecff47f99e3324036d8b3e091bd4b3f1da4783c63cc14",
        "CC BY 4.0",
        "UCI Machine Learning Repository, Semeion Handwritten Digit",
    ),
    "optdigits": SetOfInk(
        "train/optdigits.npz",
        "2c4a555a86a7aa47cdfcb0bd4d58e38f6dc98ced1da7bcf3c13f7a6f2bf953d0",
        "CC BY 4.0",
        "UCI Machine Learning Repository, Optical Recognition of Handwritten Digits",
    ),
    "printed photo": SetOfInk(
        "train/printed_digits_photo.npz",
        "5714ea0d8a83bcff830398b8c766afb51a87c8665bfe075d7569cda4a2edbdee",
        "MIT",
        "github.com/kaydee0502/printed-digits-dataset",
    ),
    "omniglot 1": SetOfInk(
        "train/images_background_small1.zip",
        "f38eb80f801274ac2b4dff5b24289016bfaba4a7d5bb50deebf27104ad6cb8a4",
        "MIT",
        "github.com/brendenlake/omniglot, images_background_small1",
    ),
    "omniglot 2": SetOfInk(
        "train/images_background_small2.zip",
        "3ccaa407515a8778e5d0861875af38b17e418f301ad5bb3b5a6b65d901a41c7f",
        "MIT",
        "github.com/brendenlake/omniglot, images_background_small2",
    ),
    "cheques": SetOfInk(
        "train/orand_car_a_train.zip",
        "f3f45bcf68aaa343cfb740155dbf482961e178d840f1761f952936d2e1447f39",
        "MIT",
        "github.com/Fzkuji/Labeled_ORAND-CAR-A (images: ICFHR 2014 ORAND-CAR-A)",
    ),
}

# Characters of other scripts that a hand writes as it writes a digit: looked through by eye, all 292 of them.
OMNIGLOT_LOOKALIKES = {
    "Balinese": {5, 14},
    "Early_Aramaic": {1, 2, 3, 4, 6, 7, 12, 14, 16, 17, 19, 20},
    "Greek": {2, 4, 6, 8, 9, 14, 15, 18},
    "Japanese_(katakana)": {1, 2, 24, 27, 30, 42, 43},
    "Korean": {5, 21, 22, 24, 27, 33},
    "Latin": {1, 2, 7, 12, 15, 17, 19, 26},
    "Sanskrit": {13, 37},
    "Tagalog": {3, 4, 10, 16},
}

# Digits of the cheques, by row and place in it, whose label is not what is written, or whose box holds two digits, half
# of one, or more security print than pen: looked through by eye, none of them in the fifth that measures.
CHEQUE_MISTAKES = {
    33: {0},
    57: {1},
    62: {1},
    87: {0},
    111: {2},
    161: {0},
    176: {4},
    181: {2},
    269: {1},
    278: {1},
    309: {0},
    376: {2},
    484: {4},
    522: {2},
    524: {1},
    526: {1},
    534: {3},
    563: {1},
    592: {2},
    603: {4},
    604: {4},
    612: {1},
    646: {3},
    681: {1},
    691: {0},
    699: {4, 5},
    717: {2},
    719: {2},
    774: {1},
    779: {2},
    783: {1},
    786: {0},
    823: {3},
    826: {2},
    869: {1},
    887: {0},
    901: {0},
    1003: {0},
    1017: {2},
    1041: {3},
    1063: {4},
    1077: {3},
}


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """The stocks that train and those that validate; no source is in both."""

    train: tuple[Stock, ...]
    validation: tuple[Stock, ...]
    mnist: Mnist


def load_stocks(folder: Path | None, fonts: Path | None = CACHE, *, seed: int = 0) -> Split:
    """Every set that may be trained on, split; a set that is not in `folder` is done without.

    Without `folder`, MNIST comes through Keras; without `fonts`, nothing printed. Raises ValueError for an altered set.
    """
    mnist = load_mnist(folder)
    sources = [_mnist_stocks(mnist), _drawn(seed), _letters(seed)]
    if fonts is not None:
        sources.append(_fonts(fonts))
    if folder is not None:
        sources += [_cheques(folder), _spoiled_cheques(folder), _small_sets(folder), _omniglot(folder)]
    return Split(
        train=tuple(stock for train, _ in sources for stock in train),
        validation=tuple(stock for _, validation in sources for stock in validation),
        mnist=mnist,
    )


_Pair = tuple[list[Stock], list[Stock]]


def _mnist_stocks(mnist: Mnist) -> _Pair:
    train, validation = (
        Stock("mnist", [cut_to_ink(image) for image in part.images], part.labels, share=0.3)
        for part in (mnist.train, mnist.validation)
    )
    return [train], [validation]


def drawn_stocks(seed: int, writers: int = 60) -> list[Stock]:
    """Digits and letters of the project's own drawing alone: they need no data and no network."""
    return [_hands(seed, writers), _spellers(seed, max(1, writers // 4))]


def _drawn(seed: int) -> _Pair:
    return [_hands(seed + 1, DRAWN_WRITERS)], [_hands(seed + 2, DRAWN_WRITERS // 12)]


def _letters(seed: int) -> _Pair:
    return [_spellers(seed + 3, LETTER_WRITERS)], [_spellers(seed + 4, LETTER_WRITERS // 12)]


def _spellers(seed: int, writers: int) -> Stock:
    rng = np.random.default_rng(seed)
    inks = [
        cut_to_ink(draw_letter(name, writer, rng, DRAWN_HEIGHT_PX))
        for writer in (Writer.random(rng) for _ in range(writers))
        for name in LETTER_NAMES
    ]
    return Stock("drawn letters", inks, np.full(len(inks), NOT_A_DIGIT, np.int64), share=0.14)


def _hands(seed: int, writers: int) -> Stock:
    rng = np.random.default_rng(seed)
    inks, labels = [], []
    for _ in range(writers):
        writer = Writer.random(rng)
        for place in range(DRAWN_PER_WRITER):
            inks.append(cut_to_ink(draw_digit(place % 10, writer, rng, DRAWN_HEIGHT_PX)))
            labels.append(place % 10)
    return Stock("drawn", inks, np.array(labels, dtype=np.int64), share=0.2)


def _fonts(cache: Path) -> _Pair:
    glyphs = draw_glyphs(cache)
    pair: _Pair = ([], [])
    for held_out, stocks in zip((False, True), pair, strict=True):
        digits = [glyph for glyph in glyphs if glyph.held_out == held_out and glyph.label != NOT_A_DIGIT]
        others = [glyph for glyph in glyphs if glyph.held_out == held_out and glyph.label == NOT_A_DIGIT]
        for name, part, share in (("printed", digits, 0.15), ("printed others", others, 0.09)):
            labels = np.array([glyph.label for glyph in part], dtype=np.int64)
            stocks.append(Stock(name, [glyph.ink for glyph in part], labels, share))
    return pair


def _cheques(folder: Path) -> _Pair:
    pair: _Pair = ([], [])
    if not _present(folder, "cheques"):
        return pair
    for is_validation, stocks in zip((False, True), pair, strict=True):
        amounts = [amount for amount in _right_digits(folder) if amount.is_validation == is_validation]
        inks = [ink for amount in amounts for ink in labelled_boxes(amount.gray, [box for _, box in amount.digits])]
        labels = [label for amount in amounts for label, _ in amount.digits]
        stocks.append(Stock("cheques", inks, np.array(labels, dtype=np.int64), share=0.1))
    return pair


def _spoiled_cheques(folder: Path) -> _Pair:
    """The digits that train, cut out of pictures spoiled anew, by boxes set about as a person sets them.

    A fine pen on security print breaks differently in every scan. No page holds them: share 0.
    """
    if not _present(folder, "cheques"):
        return [], []
    inks: list[NDArray[np.uint8]] = []
    labels: list[int] = []
    for amount in _right_digits(folder):
        for way in range(0 if amount.is_validation else SPOILED_CHEQUES):
            rng = np.random.default_rng((amount.row, way))
            picture = spoil_picture(amount.gray, rng)
            boxes = [picture.there(box) for _, box in amount.digits]
            margins = rng.uniform(*BOX_MARGIN, (len(boxes), 4)) * [-1, -1, 1, 1]
            moved = [np.rint(box + margin * (box[3] - box[1])) for box, margin in zip(boxes, margins, strict=True)]
            cut = labelled_boxes(picture.gray, [(int(a), int(b), int(c), int(d)) for a, b, c, d in moved])
            kept = [place for place, ink in enumerate(cut) if ink.any()]
            inks += [cut[place] for place in kept]
            labels += [amount.digits[place][0] for place in kept]
    return [Stock("spoiled cheques", inks, np.array(labels, dtype=np.int64), share=0.0)], []


@dataclass(frozen=True, slots=True, eq=False)
class _Amount:
    """A cheque's amount that may be trained on, without the digits that are labelled wrong."""

    row: int
    gray: NDArray[np.uint8]
    digits: "list[LabelledBox]"

    @property
    def is_validation(self) -> bool:
        return self.row % VALIDATION_ROW == 1


def _right_digits(folder: Path) -> Iterator[_Amount]:
    for row, (gray, digits) in enumerate(cheque_strings(folder)):
        if row % HELD_OUT_ROW:
            mistakes = CHEQUE_MISTAKES.get(row, set())
            yield _Amount(row, gray, [digit for place, digit in enumerate(digits) if place not in mistakes])


LabelledBox = tuple[int, tuple[int, int, int, int]]


def cheque_strings(folder: Path) -> Iterator[tuple[NDArray[np.uint8], list[LabelledBox]]]:
    """Each cheque amount: its gray image and, digit by digit, label and box (left, top, right, bottom)."""
    with zipfile.ZipFile(io.BytesIO(_content(folder, "cheques"))) as archive:
        table = io.StringIO(archive.read("strings.csv").decode("utf-8"))
        for row in csv.DictReader(table):
            gray = cv2.imdecode(np.frombuffer(archive.read(row["file"]), np.uint8), cv2.IMREAD_GRAYSCALE)
            yield np.asarray(gray, dtype=np.uint8), [_labelled(digit) for digit in row[_BOXES].split()]


_BOXES = "digit_boxes_label_x_y_w_h"


def _labelled(digit: str) -> LabelledBox:
    label, _, box = digit.partition(":")
    left, top, width, height = (int(edge) for edge in box.split(","))
    return int(label), (left, top, left + width, top + height)


def _small_sets(folder: Path) -> _Pair:
    train: list[Stock] = []
    validation: list[Stock] = []
    shares = {"semeion": 0.03, "optdigits": 0.03, "printed photo": 0.04}
    for name in _present(folder, *shares):
        arrays = np.load(io.BytesIO(_content(folder, name)))
        labels = arrays["labels"].astype(np.int64)
        inks = [
            cut_to_ink(_without_frame(image) if name in FRAMED and label != NOT_A_DIGIT else image)
            for image, label in zip(arrays["images"], labels, strict=True)
        ]
        # A piece of a cell's upright line looks like a 1, and rulings are not the classifier's business.
        upright = np.array([ink.shape[0] > 2 * ink.shape[1] for ink in inks])
        rulings = upright & (labels == NOT_A_DIGIT)
        has_ink = np.array([ink.any() for ink in inks])
        held_out = np.arange(len(labels)) // 20 % 10 == 9  # blocks, for neighbours are of one hand
        for stocks, rows in ((train, ~held_out), (validation, held_out)):
            kept = rows & ~rulings & has_ink
            stocks.append(Stock(name, [inks[row] for row in np.flatnonzero(kept)], labels[kept], shares[name]))
    return train, validation


def _without_frame(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The piece with most ink in the middle, of ink (h, w) that may have the lines of its cell around it.

    With it stay pieces over, under or inside it that lie in the middle too: a digit may be broken.
    """
    count, labels, stats, _ = cv2.connectedComponentsWithStats((image > 60).astype(np.uint8), connectivity=8)
    margins = [side // 6 for side in image.shape]
    middle = labels[margins[0] : image.shape[0] - margins[0], margins[1] : image.shape[1] - margins[1]]
    inside = np.bincount(middle.ravel(), minlength=count)
    inside[0] = 0
    digit = int(inside.argmax())
    lefts, rights = stats[:, cv2.CC_STAT_LEFT], stats[:, cv2.CC_STAT_LEFT] + stats[:, cv2.CC_STAT_WIDTH]
    own = (lefts < rights[digit]) & (rights > lefts[digit])
    own &= (inside >= 0.9 * stats[:, cv2.CC_STAT_AREA]) & (inside >= 0.1 * inside[digit])
    own[digit], own[0] = True, False
    return np.where(own[labels], image, np.uint8(0))


def _omniglot(folder: Path) -> _Pair:
    pair: _Pair = ([], [])
    drawings: tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]] = ([], [])
    names = _present(folder, "omniglot 1", "omniglot 2")
    if not names:
        return pair
    for name in names:
        with zipfile.ZipFile(io.BytesIO(_content(folder, name))) as archive:
            for member in sorted(archive.namelist()):
                if member.endswith(".png"):
                    _, script, character, drawing = member.split("/")
                    number = int(character.removeprefix("character"))
                    if number not in OMNIGLOT_LOOKALIKES.get(script, set()):
                        gray = cv2.imdecode(np.frombuffer(archive.read(member), np.uint8), cv2.IMREAD_GRAYSCALE)
                        person = int(drawing[-6:-4])
                        drawings[person > 18].append(cut_to_ink(np.asarray(cv2.bitwise_not(gray), dtype=np.uint8)))
    for stocks, inks in zip(pair, drawings, strict=True):
        stocks.append(Stock("omniglot", inks, np.full(len(inks), NOT_A_DIGIT, np.int64), share=0.05))
    return pair


def _present(folder: Path, *names: str) -> list[str]:
    return [name for name in names if (folder / SETS[name].path).is_file()]


def _content(folder: Path, name: str) -> bytes:
    known = SETS[name]
    content = (folder / known.path).read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != known.sha256:
        raise ValueError(f"{folder / known.path}: SHA-256 {found}, expected {known.sha256}; fetch {known.source} again")
    return content
