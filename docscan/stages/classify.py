"""Crops -> probabilities, strips -> posteriors. The only importer of onnxruntime."""

import functools
import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from docscan.errors import ModelError
from docscan.settings import ReviewSettings, StringSettings
from docscan.stages.normalise import CROP_CONTRACT, FIELD_PX
from docscan.stages.rescore import rescored
from docscan.stages.strings import (
    BLANK,
    CLEAR,
    LONGEST_PX,
    PLANES,
    STEP_PX,
    STRIP_CONTRACT,
    STRIP_PX,
    Rescore,
    Rivals,
    StringReading,
    Strip,
    chosen,
    confirmed,
    find_rivals,
    wider_view,
)

SHIPPED = Path(__file__).parent.parent / "models" / "digits.onnx"
SHIPPED_STRINGS = SHIPPED.with_name("strings.onnx")
LABELS = "0123456789-"  # "-": not a digit
FORMAT = "1"
_NEVER = 1.01  # no confidence reaches it
_SURE = 0.9  # a crop of which the network is less sure is looked at again ...
_PLACES = tuple(itertools.product(range(3), repeat=2))  # ... where it is and a pixel further on each way: (down, right)
_BATCH = 16  # one fixed shape: ONNX Runtime's memory grows with every new shape it meets; larger is no quicker
_WIDTHS = (64, 96, 128, 160, 192, 256, 384, LONGEST_PX)  # a strip is read with paper after it, up to the next of these


@dataclass(frozen=True, slots=True, eq=False)
class DigitModel:
    """The digit classifier, loaded once a process; sessions cannot be pickled."""

    session: onnxruntime.InferenceSession
    sha256: str
    """Of this model's file and the reader of strings' together: it goes into every page's key, so a new model reads
    pages again."""
    temperature: float
    """Logits are divided by it: fitted on held-out crops so that probabilities mean what they say."""
    thresholds: Mapping[float, float]
    """Share of wrong numbers allowed -> the least confidence to accept a number with, measured on drawn pages."""
    trust: Mapping[str, float]
    """How much each column of evidence counts for or against a number, fitted on drawn pages; empty where none was."""
    strings: "StringModel"
    """Reads whole strings where single digits are in doubt."""

    def probabilities(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Crops (N, 28, 28) uint8, 255 = ink, MNIST layout -> (N, 11) float32: 0..9, then "not a digit".

        Every row sums to 1. No crops give a (0, 11) array. A network that soon looks at every other pixel only says
        something else of a crop a pixel further on (Zhang, Making convolutional networks shift-invariant again,
        ICML 2019): of what it is not sure of, the mean over the nine places within a pixel is believed.
        """
        chances = self.glance(crops)
        doubtful = np.flatnonzero(chances.max(axis=1, initial=0) < _SURE)
        looks = self.glance(_moved(crops[doubtful]))
        chances[doubtful] = looks.reshape(len(_PLACES), len(doubtful), len(LABELS)).mean(axis=0)
        return chances

    def glance(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """As `probabilities`, but every crop is looked at once."""
        if crops.ndim != 3 or crops.shape[1:] != (FIELD_PX, FIELD_PX) or crops.dtype != np.uint8:
            raise ValueError(f"expected crops (N, 28, 28) uint8, got {crops.shape} {crops.dtype}")
        logits = np.empty((len(crops), len(LABELS)), np.float32)
        for start in range(0, len(crops), _BATCH):
            taken = crops[start : start + _BATCH]
            batch = np.zeros((_BATCH, FIELD_PX, FIELD_PX, 1), np.float32)
            np.multiply(taken, np.float32(1 / 255), out=batch[: len(taken), :, :, 0])
            logits[start : start + _BATCH] = self.session.run(None, {"crops": batch})[0][: len(taken)]
        return _softmax(logits / np.float32(self.temperature))

    def read_strings(
        self, strips: Sequence[Strip], expected: Sequence[str], settings: StringSettings
    ) -> tuple[StringReading, ...]:
        """What each strip says: as StringModel.read, its digits being looked at one by one as well."""
        return self.strings.read(strips, expected, functools.partial(rescored, classify=self.glance, settings=settings))

    def least_confidence(self, review: ReviewSettings) -> float:
        """The confidence below which a number goes to review; above 1, so everything does, where none was measured."""
        if not review.max_error:
            return review.min_confidence
        strict_enough = [error for error in self.thresholds if error <= review.max_error]
        return self.thresholds[max(strict_enough)] if strict_enough else _NEVER


@dataclass(frozen=True, slots=True, eq=False)
class StringModel:
    """The reader of whole strings, loaded once a process; sessions cannot be pickled."""

    session: onnxruntime.InferenceSession
    sha256: str
    """Of the model file."""
    temperature: float
    """What `chosen` needs so that probabilities mean what they say: fitted on held-out strings."""

    def read(
        self, strips: Sequence[Strip], expected: Sequence[str] = (), rescore: Rescore = tuple
    ) -> tuple[StringReading, ...]:
        """What each strip says, how sure that is, and what else it may be; no strips give none.

        Of a strip that clearly says the digits `expected` of it, "" for none, one view is enough. For all others
        `rescore` may think otherwise of what they may say.
        """
        firsts = self.posteriors([strip.pixels for strip in strips])
        readings: dict[int, StringReading] = {}
        for row, text in enumerate(expected):
            if text and (reading := confirmed(firsts[row], text, self.temperature)):
                readings[row] = reading
        rest = [row for row in range(len(strips)) if row not in readings]
        rivals = rescore(self.rivals([strips[row] for row in rest], [firsts[row] for row in rest]))
        readings |= {row: chosen(own, self.temperature) for row, own in zip(rest, rivals, strict=True)}
        return tuple(readings[row] for row in range(len(strips)))

    def rivals(self, strips: Sequence[Strip], firsts: Sequence[NDArray[np.float32]]) -> tuple[Rivals, ...]:
        """What each strip may say, by its posteriors `firsts`: in that one view where it is clear, else in two."""
        found = [find_rivals(strip, [steps]) for strip, steps in zip(strips, firsts, strict=True)]
        unclear = [row for row, own in enumerate(found) if own.chances[0] < CLEAR]
        wider = self.posteriors([wider_view(strips[row]) for row in unclear])
        for row, steps in zip(unclear, wider, strict=True):
            found[row] = find_rivals(strips[row], [firsts[row], steps])
        return tuple(found)

    def posteriors(self, strips: Sequence[NDArray[np.uint8]]) -> tuple[NDArray[np.float32], ...]:
        """Strips (32, width, 2) uint8 -> for each (steps, 11) float32: 0..9, then "no digit here", a step every 4 px.

        Every row sums to 1. No strips give none.
        """
        for strip in strips:
            if strip.shape[::2] != (STRIP_PX, PLANES) or strip.shape[1] > LONGEST_PX or strip.dtype != np.uint8:
                raise ValueError(f"expected strips (32, up to {LONGEST_PX}, 2) uint8, got {strip.shape} {strip.dtype}")
        return tuple(map(self._steps, strips))

    def _steps(self, strip: NDArray[np.uint8]) -> NDArray[np.float32]:
        """One by one: many at once are no quicker, and would all be as wide as the widest."""
        width = next(width for width in _WIDTHS if strip.shape[1] <= width)
        batch = np.zeros((1, STRIP_PX, width, PLANES), np.float32)
        np.multiply(strip, np.float32(1 / 255), out=batch[0, :, : strip.shape[1]])
        logits = self.session.run(None, {"strips": batch})[0]
        return _softmax(logits[0])[: -(-strip.shape[1] // STEP_PX)]


def load_model(path: Path | str = SHIPPED) -> DigitModel:
    """Open a model and check its contract once.

    Raises ModelError where the file is missing, is no ONNX model, or was made for other crops.
    """
    opened = _open(Path(path))
    _check_contract(Path(path), opened, {"docscan.crop": CROP_CONTRACT, "docscan.labels": LABELS})
    [crops], [logits] = opened.session.get_inputs(), opened.session.get_outputs()
    if crops.shape[1:] != [FIELD_PX, FIELD_PX, 1] or logits.shape[1:] != [len(LABELS)]:
        raise ModelError(f"{path}: maps {crops.shape} to {logits.shape}; expected (N, 28, 28, 1) to (N, 11)")
    measured = json.loads(opened.contract.get("docscan.thresholds", "{}"))
    strings = load_string_model()
    return DigitModel(
        opened.session,
        hashlib.sha256(f"{opened.sha256} {strings.sha256}".encode()).hexdigest(),
        float(opened.contract["docscan.temperature"]),
        {float(error): float(confidence) for error, confidence in measured.items()},
        json.loads(opened.contract.get("docscan.trust", "{}")),
        strings,
    )


def load_string_model(path: Path | str = SHIPPED_STRINGS) -> StringModel:
    """Open a reader of strings and check its contract once.

    Raises ModelError where the file is missing, is no ONNX model, or was made for other strips.
    """
    opened = _open(Path(path))
    _check_contract(Path(path), opened, {"docscan.strip": STRIP_CONTRACT, "docscan.labels": LABELS})
    [strips], [logits] = opened.session.get_inputs(), opened.session.get_outputs()
    if (strips.shape[1], strips.shape[3]) != (STRIP_PX, PLANES) or logits.shape[2] != BLANK + 1:
        raise ModelError(f"{path}: maps {strips.shape} to {logits.shape}; expected (N, 32, W, 2) to (N, W / 4, 11)")
    return StringModel(opened.session, opened.sha256, float(opened.contract["docscan.temperature"]))


@dataclass(frozen=True, slots=True, eq=False)
class _Opened:
    """A model file that ONNX Runtime can run."""

    session: onnxruntime.InferenceSession
    sha256: str
    contract: dict[str, str]


def _open(path: Path) -> _Opened:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"{path}: the model cannot be opened ({error.strerror}); give the path of a .onnx file"
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # the processes are the parallelism
    options.enable_cpu_mem_arena = False  # keeps memory flat over long runs
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no base but Exception
        raise ModelError(f"{path}: not an ONNX model docscan can run ({error})") from error
    return _Opened(session, hashlib.sha256(content).hexdigest(), session.get_modelmeta().custom_metadata_map)


def _check_contract(path: Path, opened: _Opened, expected: Mapping[str, str]) -> None:
    for key, value in ({"docscan.format": FORMAT} | dict(expected)).items():
        if opened.contract.get(key) != value:
            raise ModelError(
                f"{path}: {key} is {opened.contract.get(key)!r}; this docscan needs {value!r}. Train it again."
            )


def _moved(crops: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Crops (N, 28, 28) at all the places: (9 * N, 28, 28), place by place."""
    wider = np.pad(crops, ((0, 0), (1, 1), (1, 1)))
    return np.concatenate([wider[:, down : down + FIELD_PX, right : right + FIELD_PX] for down, right in _PLACES])


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True), dtype=np.float32)
