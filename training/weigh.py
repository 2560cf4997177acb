"""Drawn pages and held-out strings -> how much what speaks for and against a number counts, into digits.onnx.

    python -m training.weigh docscan/models --data ../shared/data --jobs 2

Five to eight minutes on two cores. Run it whenever a model or a stage changes: it rewrites the file's metadata and
leaves the network as it is. training/export.py does the same by itself.

Every number docscan reads on the pages is right or wrong, and has its evidence (docscan/stages/trust.py). A logistic
regression of the one on the other says what counts: Platt, Probabilities for SV machines, 1999, here with many scores.
How sure a number must be for `--max-error` is measured on those of the pages that hold what people wrote, each weighed
by what the others taught.
"""

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray

from docscan.pipeline import find_numbers
from docscan.records import Number, Page
from docscan.scoring import Judged, ReadNumber, Score, TrueNumber, score_page
from docscan.settings import Settings
from docscan.stages.classify import DigitModel, load_model
from docscan.stages.straighten import on_scan
from docscan.stages.trust import CONSTANT, Evidence, find_evidence, trust
from training.acceptance import PAGES_A_KIND, PAGES_SEED, draw_of_kind, gray_of, takes_digits, thresholds, truth_of
from training.data import Digits, load_mnist
from training.mixture import workers_for
from training.pages import KINDS
from training.strings import split_cheques

NAMES = tuple(column.name for column in fields(Evidence))
UNWEIGHED = {"register"}  # marks are lost there without a trace, for which all else would have to answer
RIDGE = 3.0  # on standardised columns: what is rarely seen counts little
FOLDS = 8
STEPS = 50  # of Newton's; ten are enough
CERTAINTY = 0.95  # that the share of wrong numbers is within what is allowed, and this many times within it:
MARGIN = 1.6  # what others write is harder (README.md, "How far a number can be trusted")
DECIMALS = 4


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """The numbers read on one page, and which of them are right."""

    evidence: Evidence
    right: NDArray[np.bool_]
    """(N,)."""
    score: Score
    is_written: bool = True
    """False where the project drew the digits itself: those are read better than what people write."""


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """A page and the numbers that stand on it."""

    page: Page
    numbers: tuple[TrueNumber, ...]
    is_written: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """What is read: pages of every kind, half written with `digits`, where there are any, half by drawn hands."""

    digits: Digits | None
    pages_a_kind: int = PAGES_A_KIND
    data: Path | None = None
    """Where the cheques are whose validation rows are read as well."""
    jobs: int = 1


def take(course: Course, path: Path) -> list[Lesson]:
    """Read every page of a course with the model at `path`."""
    tasks = [(kind, number) for number in range(course.pages_a_kind) for kind in sorted(KINDS) if kind not in UNWEIGHED]
    strings = list(_held_out_cheques(course.data)) if course.data is not None else []
    if course.jobs == 1:
        _open(path, course.digits)
        return [*map(_read_drawn, tasks), *map(_read, strings)]
    with workers_for(course.jobs, _open, path, course.digits) as workers:
        return [*workers.map(_read_drawn, tasks, chunksize=4), *workers.map(_read, strings, chunksize=4)]


def read(truth: Truth, model: DigitModel) -> Lesson:
    """Read a page and hold each number against what stands there."""
    settings = Settings()
    found = find_numbers(truth.page, model, settings)
    evidence = find_evidence(found.numbers, found.about, settings)
    score, right = judge(on_scan(found.numbers, found.straight, truth.page), truth.numbers)
    return Lesson(evidence, right, score, truth.is_written)


def judge(numbers: tuple[Number, ...], truth: tuple[TrueNumber, ...]) -> tuple[Score, NDArray[np.bool_]]:
    """The score of a page, and which of its numbers (N,) are right."""
    # A number's row goes along as its confidence: the judged come in another order.
    rows = [(n.text, n.box.left, n.box.top, n.box.width, n.box.height, row) for row, n in enumerate(numbers)]
    score, judged = score_page(truth, [ReadNumber(*row) for row in rows])
    right = np.zeros(len(numbers), np.bool_)
    right[[int(one.confidence) for one in judged if one.right]] = True
    return score, right


def fit_weights(evidence: NDArray[np.float64], right: NDArray[np.bool_], ridge: float = RIDGE) -> dict[str, float]:
    """The weights of the columns (N, len(NAMES)) under which right and wrong are likeliest, by Newton's method."""
    mean, spread = evidence.mean(axis=0), np.maximum(evidence.std(axis=0), 1e-9)
    columns = np.column_stack([(evidence - mean) / spread, np.ones(len(evidence))])
    shrink = np.append(np.full(len(NAMES), ridge), 1e-6)  # the constant is free
    weights = np.zeros(len(shrink))
    for _ in range(STEPS):
        chances = 1 / (1 + np.exp(-np.clip(columns @ weights, -50, 50)))
        slope = columns.T @ (chances - right) + shrink * weights
        bend = (columns.T * (chances * (1 - chances))) @ columns + np.diag(shrink)
        step = np.linalg.solve(bend, slope)
        weights -= step
        if np.abs(step).max() < 1e-8:
            break
    scaled = weights[:-1] / spread
    found = dict(zip(NAMES, scaled.tolist(), strict=True)) | {CONSTANT: float(weights[-1] - scaled @ mean)}
    return {name: round(weight, DECIMALS) for name, weight in found.items()}


def held_out_chances(lessons: list[Lesson], folds: int = FOLDS) -> NDArray[np.float64]:
    """How sure every number is by what the pages of the other folds taught, page after page."""
    chances: list[NDArray[np.float64]] = [np.zeros(0)] * len(lessons)
    for fold in range(folds):
        weights = weights_of(lesson for place, lesson in enumerate(lessons) if place % folds != fold)
        for place in range(fold, len(lessons), folds):
            chances[place] = trust(lessons[place].evidence, weights)
    return np.concatenate(chances)


def weights_of(lessons: Iterable[Lesson]) -> dict[str, float]:
    """What the lessons teach."""
    evidence, right = zip(*((_matrix(lesson.evidence), lesson.right) for lesson in lessons), strict=True)
    return fit_weights(np.concatenate(evidence), np.concatenate(right))


def settle_trust(path: Path, lessons: list[Lesson]) -> None:
    """Write what the lessons teach, and how sure is sure enough, into the metadata of the model at `path`."""
    right = np.concatenate([lesson.right for lesson in lessons])
    chances = held_out_chances(lessons, min(FOLDS, len(lessons)))
    written = np.concatenate([np.full(len(lesson.right), lesson.is_written) for lesson in lessons])
    if not written.any():
        written[:] = True
    judged = [
        Judged(chance, review=False, right=is_right)
        for chance, is_right in zip(chances[written].tolist(), right[written].tolist(), strict=True)
    ]
    weights, enough = weights_of(lessons), thresholds(judged, certainty=CERTAINTY, margin=MARGIN)
    add_metadata(path, {"docscan.trust": json.dumps(weights), "docscan.thresholds": json.dumps(enough)})
    score = sum((lesson.score for lesson in lessons), Score())
    print(f"{len(lessons)} pages, {len(right)} numbers, digit accuracy {score.digit_accuracy:.2%}")
    print(f"what counts: {weights}")
    print(f"of {len(judged)} that people wrote:")
    print("wrong allowed | how sure a number must be | accepted")
    for error, least in enough.items():
        print(f"{error} | {least:.5f} | {np.mean(chances[written] >= least):.3f}")


def add_metadata(path: Path, metadata: Mapping[str, str]) -> None:
    """Set some of a model's metadata and keep the rest; whole or not at all."""
    proto = onnx.load(path)
    known = {entry.key: entry.value for entry in proto.metadata_props}
    onnx.helper.set_model_props(proto, known | dict(metadata))
    draft = path.with_name(f".{path.name}.part")
    draft.write_bytes(proto.SerializeToString())
    draft.replace(path)


_models: list[DigitModel] = []
_digits: list[Digits | None] = []


def _open(path: Path, digits: Digits | None) -> None:
    cv2.setNumThreads(1)
    _models[:] = [load_model(path)]
    _digits[:] = [digits]


def _read_drawn(task: tuple[str, int]) -> Lesson:
    [digits], number = _digits, task[1]
    page = draw_of_kind(*task, digits, PAGES_SEED)
    is_written = digits is not None and takes_digits(number)
    return _read(Truth(Page(gray_of(page), float(page.dpi)), truth_of(page), is_written))


def _read(truth: Truth) -> Lesson:
    return read(truth, _models[0])


def _held_out_cheques(data: Path) -> Iterator[Truth]:
    """The cheque amounts that validate: nothing was trained on them, and they are not those that only measure."""
    _, validating = split_cheques(data)
    for cheque in validating:
        height, width = cheque.gray.shape
        yield Truth(Page(cheque.gray), (TrueNumber(cheque.text, 0, 0, width, height),))


def _matrix(evidence: Evidence) -> NDArray[np.float64]:
    return np.column_stack([getattr(evidence, name) for name in NAMES])


def main() -> None:
    """Read, fit and write from the command line."""
    parser = argparse.ArgumentParser(prog="python -m training.weigh", description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path, help="the folder of digits.onnx, whose metadata is rewritten")
    parser.add_argument("--data", type=Path, required=True, help="the folder with mnist/ and train/")
    parser.add_argument("--pages", type=int, default=PAGES_A_KIND, help=f"of each kind ({PAGES_A_KIND})")
    parser.add_argument("--jobs", type=int, default=1, help="processes (1)")
    options = parser.parse_args()
    path = options.out / "digits.onnx"
    course = Course(load_mnist(options.data).validation, options.pages, options.data, options.jobs)
    settle_trust(path, take(course, path))


if __name__ == "__main__":
    main()
