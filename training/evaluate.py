"""The shipped model against every set it never saw, and against what it must reach.

    python -m training.evaluate --data ../shared/data

Each set is normalised by docscan's own normalise.py. Which half of an evaluation-only set may be looked at while
developing (even rows) is kept apart from the half that counts (`--rows odd`).
"""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from docscan.records import NOT_A_DIGIT
from docscan.stages.classify import SHIPPED, load_model
from docscan.stages.normalise import FIELD_PX, normalise_all
from training.acceptance import drawn_pages, page_crops_of
from training.calibrate import error_reject
from training.crops import cut_to_ink, labelled_boxes
from training.data import Digits, load_mnist
from training.fonts import LOOKALIKES
from training.report import expected_calibration_error, judged
from training.stocks import HELD_OUT_ROW, cheque_strings

Rows = Literal["all", "even", "odd"]
Scores = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Crops (N, 28, 28) uint8, 255 = ink -> (N, 10) or (N, 11), the largest is what was read."""
SURE = 0.9
SURE_LETTERS = 0.01  # of what is no digit, at most this share may be called one with confidence over SURE
LOST = 0.003  # of digits, at most this share may be called none
PAGES_A_KIND, PAGES_SEED = 8, 11  # drawn for crops as pages give them; half by MNIST's test digits
CALIBRATION_ERROR = 0.01
ACCEPTED, WRONG_OF_ACCEPTED = 0.95, 1 / 2000
LARGEST_MB, DIGITS_A_SECOND = 1.5, 10_000
SERVED = 256  # crops at once when timing
TIMED_SECONDS = 2.0


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


def report_line(bar: Bar, probabilities: Scores) -> str:
    """What was reached on one set, in a line."""
    chances = probabilities(bar.crops.images)
    read = chances.argmax(axis=1)
    if bar.at_least is None:
        sure = float(np.mean(chances[:, :NOT_A_DIGIT].max(axis=1) > SURE))
        verdict = _verdict(sure <= SURE_LETTERS)
        return f"{bar.name:18s} {len(read):6d}  called a digit over {SURE}: {sure:.2%} (at most 1 %) {verdict}"
    accuracy = float(np.mean(read == bar.crops.labels))
    none = float(np.mean(read == NOT_A_DIGIT))
    verdict = f"{_verdict(accuracy >= bar.at_least):7s}"
    return f"{bar.name:18s} {len(read):6d}  {accuracy:.2%} of {bar.at_least:.2%} {verdict}  called none {none:.2%}"


def lost_line(bars: Sequence[Bar], probabilities: Scores) -> str:
    """How many digits of all sets together are called none, in a line."""
    crops = [bar.crops.images for bar in bars if bar.at_least is not None]
    none = np.concatenate([probabilities(images).argmax(axis=1) == NOT_A_DIGIT for images in crops])
    verdict = _verdict(bool(none.mean() <= LOST))
    return f"{'all of these':18s} {len(none):6d}  called none {none.mean():.2%} (at most {LOST:.1%}) {verdict}"


def page_lines(crops: Digits, probabilities: Scores) -> list[str]:
    """How well confidence fits on digits cut from pages, and how many of the surest are wrong."""
    chances = probabilities(crops.images)
    found = judged(chances, crops.labels)
    error = expected_calibration_error(found.confidences, found.right)
    curve = error_reject(found)
    enough = int(np.argmax(curve.accepted >= ACCEPTED * len(found.right)))
    accepted, wrong = int(curve.accepted[enough]), int(curve.wrong[enough])
    one_in = f"1 in {accepted // wrong:,}" if wrong else "none"
    right, none = (float(np.mean(hits)) for hits in (found.right, chances.argmax(axis=1) == NOT_A_DIGIT))
    return [
        f"{'cut from pages':18s} {len(found.right):6d}  {right:.2%}, called none {none:.2%}; "
        f"expected calibration error {error:.4f} (at most {CALIBRATION_ERROR}) {_verdict(error <= CALIBRATION_ERROR)}",
        f"{'the surest of them':18s} {accepted:6d}  {wrong} wrong: {one_in} "
        f"(at most 1 in {round(1 / WRONG_OF_ACCEPTED):,}) {_verdict(wrong <= WRONG_OF_ACCEPTED * accepted)}",
    ]


def cost_line(path: Path, probabilities: Scores, crops: NDArray[np.uint8]) -> str:
    """How large the file is and how fast it reads."""
    size, speed = path.stat().st_size / 1e6, digits_per_second(probabilities, crops, TIMED_SECONDS)
    return (
        f"{size:.2f} MB (at most {LARGEST_MB}) {_verdict(size <= LARGEST_MB)}, "
        f"{speed:,.0f} digits a second (at least {DIGITS_A_SECOND:,}) {_verdict(speed >= DIGITS_A_SECOND)}"
    )


def digits_per_second(scores: Scores, crops: NDArray[np.uint8], seconds: float) -> float:
    """Crops (N, 28, 28) read in a second of one core, in batches of 256.

    Processor time, so that what else the machine does is not counted; one thread, so that it is one core's.
    """
    batch = np.resize(crops, (SERVED, FIELD_PX, FIELD_PX))
    with threadpool_limits(1):
        scores(batch)
        done, started = 0, time.process_time()
        while (spent := time.process_time() - started) < seconds or not done:
            scores(batch)
            done += len(batch)
    return done / max(spent, 1e-9)


def _verdict(is_reached: object) -> str:
    return "reached" if is_reached else "MISSED"


def main() -> None:
    """Evaluate from the command line."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder with mnist/, train/ and evaluation/")
    parser.add_argument("--model", type=Path, default=SHIPPED, help="a .onnx file (the shipped one)")
    parser.add_argument("--rows", choices=["all", "even", "odd"], default="all", help="of the evaluation-only sets")
    parser.add_argument("--pages", type=int, default=PAGES_A_KIND, help=f"drawn of each kind ({PAGES_A_KIND})")
    options = parser.parse_args()
    model = load_model(options.model)
    bars = load_bars(options.data, options.rows)
    for bar in bars:
        print(report_line(bar, model.probabilities), flush=True)
    print(lost_line(bars, model.probabilities))
    crops = page_crops_of(drawn_pages(bars[0].crops, PAGES_SEED, options.pages))
    print("\n".join(page_lines(crops, model.probabilities)))
    print(cost_line(options.model, model.probabilities, bars[0].crops.images))


if __name__ == "__main__":
    main()
