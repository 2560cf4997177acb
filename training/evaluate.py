"""The shipped model against every set it never saw: `python -m training.evaluate --data ../shared/data`.

Each set is normalised by docscan's own normalise.py. Which half of an evaluation-only set may be looked at while
developing (even rows) is kept apart from the half that counts (`--rows odd`).
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from docscan.records import NOT_A_DIGIT
from docscan.stages.classify import SHIPPED, load_model
from docscan.stages.normalise import normalise_all
from training.crops import cut_to_ink, labelled_boxes
from training.data import Digits, load_mnist
from training.fonts import LOOKALIKES
from training.stocks import HELD_OUT_ROW, cheque_strings

Rows = Literal["all", "even", "odd"]
Probabilities = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
SURE = 0.9


@dataclass(frozen=True, slots=True, eq=False)
class Bar:
    """A set, and what must be reached on it."""

    name: str
    crops: Digits
    at_least: float | None = None
    """Accuracy over digits; None for what is no digit."""


def load_bars(folder: Path, rows: Rows = "all") -> list[Bar]:
    """Every set that is never trained on, and the accuracy to reach on it; `rows` of those for evaluation only."""
    evaluation = folder / "evaluation"
    usps = np.load(evaluation / "usps.npz")
    is_test = usps["is_test"].astype(bool)
    letters = np.load(evaluation / "chars74k_hnd_letters_64.npz")
    letter_rows = np.array([letter not in LOOKALIKES for letter in letters["labels"].astype(str)])
    tipe, hand, printed = (
        np.load(evaluation / f"{name}.npz")
        for name in ("tipe_digits", "chars74k_hnd_digits_64", "printed_font_digits_64")
    )
    none = np.full(int(letter_rows.sum()), NOT_A_DIGIT)
    return [
        Bar("mnist test", load_mnist(folder).test, 0.997),
        Bar("usps test", _picked(usps["images"][is_test], usps["labels"][is_test], rows), 0.98),
        Bar("chars74k digits", _picked(_ink(hand["images"]), hand["labels"], rows), 0.996),
        Bar("tipe digits", _picked(255 - tipe["images"], tipe["labels"], rows), 0.99),
        Bar("printed fonts", _picked(255 - printed["images"], printed["labels"], rows), 0.985),
        Bar("cheques", cheque_digits(folder), 0.97),
        Bar("chars74k letters", _picked(_ink(letters["images"])[letter_rows], none, rows)),
    ]


def _ink(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Images (N, H, W) with 255 = ink, whichever way they were stored: the border is paper."""
    border = np.concatenate([images[:, 0].ravel(), images[:, -1].ravel()])
    return 255 - images if np.median(border) > 127 else images


def _picked(images: NDArray[np.uint8], labels: NDArray[np.int64], rows: Rows) -> Digits:
    chosen = {"all": slice(None), "even": slice(0, None, 2), "odd": slice(1, None, 2)}[rows]
    crops = normalise_all([cut_to_ink(image) for image in images[chosen]])
    return Digits(crops, labels[chosen].astype(np.int64))


def cheque_digits(folder: Path) -> Digits:
    """The digits of the held-out fifth of the cheques, in their labelled boxes, through docscan's own stages."""
    crops, labels = [], []
    for number, (gray, digits) in enumerate(cheque_strings(folder)):
        if number % HELD_OUT_ROW == 0:
            crops += labelled_boxes(gray, [box for _, box in digits])
            labels += [label for label, _ in digits]
    return Digits(normalise_all(crops), np.array(labels, dtype=np.int64))


def report_line(bar: Bar, probabilities: Probabilities) -> str:
    """What was reached on one set, in a line."""
    chances = probabilities(bar.crops.images)
    read = chances.argmax(axis=1)
    sure = chances[:, :NOT_A_DIGIT].max(axis=1) > SURE
    if bar.at_least is None:
        return f"{bar.name:18s} {len(read):6d}  called a digit over {SURE}: {np.mean(sure):.2%} (at most 1 %)"
    accuracy = float(np.mean(read == bar.crops.labels))
    reached = "reached" if accuracy >= bar.at_least else "MISSED "
    none = float(np.mean(read == NOT_A_DIGIT))
    return f"{bar.name:18s} {len(read):6d}  {accuracy:.2%} of {bar.at_least:.2%} {reached}  called none {none:.2%}"


def main() -> None:
    """Evaluate from the command line."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder with mnist/, train/ and evaluation/")
    parser.add_argument("--model", type=Path, default=SHIPPED, help="a .onnx file (the shipped one)")
    parser.add_argument("--rows", choices=["all", "even", "odd"], default="all", help="of the evaluation-only sets")
    options = parser.parse_args()
    model = load_model(options.model)
    for bar in load_bars(options.data, options.rows):
        print(report_line(bar, model.probabilities))


if __name__ == "__main__":
    main()
