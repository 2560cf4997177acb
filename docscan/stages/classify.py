"""Crops -> probabilities. The only importer of onnxruntime."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from docscan.errors import ModelError
from docscan.settings import ReviewSettings
from docscan.stages.normalise import CROP_CONTRACT, FIELD_PX

SHIPPED = Path(__file__).parent.parent / "models" / "digits.onnx"
LABELS = "0123456789-"  # "-": not a digit
FORMAT = "1"
_NEVER = 1.01  # no confidence reaches it
_BATCHES = (16, 64, 256)  # fixed shapes: ONNX Runtime's memory grows with every new shape it meets


@dataclass(frozen=True, slots=True, eq=False)
class DigitModel:
    """The digit classifier, loaded once a process; sessions cannot be pickled."""

    session: onnxruntime.InferenceSession
    sha256: str
    """Of the model file: it goes into every page's key, so a new model reads pages again."""
    temperature: float
    """Logits are divided by it: fitted on held-out crops so that probabilities mean what they say."""
    thresholds: Mapping[float, float]
    """Share of wrong numbers allowed -> the least confidence to accept a number with, measured on drawn pages."""

    def probabilities(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Crops (N, 28, 28) uint8, 255 = ink, MNIST layout -> (N, 11) float32: 0..9, then "not a digit".

        Every row sums to 1. No crops give a (0, 11) array.
        """
        if crops.ndim != 3 or crops.shape[1:] != (FIELD_PX, FIELD_PX) or crops.dtype != np.uint8:
            raise ValueError(f"expected crops (N, 28, 28) uint8, got {crops.shape} {crops.dtype}")
        logits = np.empty((len(crops), len(LABELS)), np.float32)
        start = 0
        while start < len(crops):
            left = len(crops) - start
            size = next((size for size in _BATCHES if left <= size), _BATCHES[-1])
            batch = np.zeros((size, FIELD_PX, FIELD_PX, 1), np.float32)
            taken = min(size, left)
            np.multiply(crops[start : start + taken], np.float32(1 / 255), out=batch[:taken, :, :, 0])
            logits[start : start + taken] = self.session.run(None, {"crops": batch})[0][:taken]
            start += taken
        return _softmax(logits / np.float32(self.temperature))

    def least_confidence(self, review: ReviewSettings) -> float:
        """The confidence below which a number goes to review; above 1, so everything does, where none was measured."""
        if not review.max_error:
            return review.min_confidence
        strict_enough = [error for error in self.thresholds if error <= review.max_error]
        return self.thresholds[max(strict_enough)] if strict_enough else _NEVER


def load_model(path: Path | str = SHIPPED) -> DigitModel:
    """Open a model and check its contract once.

    Raises ModelError where the file is missing, is no ONNX model, or was made for other crops.
    """
    path = Path(path)
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
    contract = session.get_modelmeta().custom_metadata_map
    _check_contract(path, session, contract)
    measured = json.loads(contract.get("docscan.thresholds", "{}"))
    return DigitModel(
        session,
        hashlib.sha256(content).hexdigest(),
        float(contract["docscan.temperature"]),
        {float(error): float(confidence) for error, confidence in measured.items()},
    )


def _check_contract(path: Path, session: onnxruntime.InferenceSession, contract: dict[str, str]) -> None:
    expected = {"docscan.format": FORMAT, "docscan.crop": CROP_CONTRACT, "docscan.labels": LABELS}
    for key, value in expected.items():
        if contract.get(key) != value:
            raise ModelError(f"{path}: {key} is {contract.get(key)!r}; this docscan needs {value!r}. Train it again.")
    [crops], [logits] = session.get_inputs(), session.get_outputs()
    if crops.shape[1:] != [FIELD_PX, FIELD_PX, 1] or logits.shape[1:] != [len(LABELS)]:
        raise ModelError(f"{path}: maps {crops.shape} to {logits.shape}; expected (N, 28, 28, 1) to (N, 11)")


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True), dtype=np.float32)
