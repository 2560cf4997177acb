import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from docscan.errors import ModelError, SettingsError
from docscan.settings import ReviewSettings
from docscan.stages.classify import SHIPPED, DigitModel, load_model

MEASURED = {0.1: 0.5, 0.01: 0.9, 0.001: 0.999}


@pytest.fixture(scope="module")
def model() -> DigitModel:
    return load_model()


def model_with(metadata: dict[str, str], folder: Path) -> Path:
    """The shipped model, some of its metadata replaced; without its thresholds where none are given."""
    onnx = pytest.importorskip("onnx")
    proto = onnx.load(SHIPPED)
    kept = {entry.key: entry.value for entry in proto.metadata_props if entry.key != "docscan.thresholds"}
    onnx.helper.set_model_props(proto, kept | metadata)
    onnx.save(proto, folder / "digits.onnx")
    return folder / "digits.onnx"


def test_without_an_error_the_confidence_asked_for_counts(model: DigitModel) -> None:
    measured = replace(model, thresholds=MEASURED)
    assert measured.least_confidence(ReviewSettings(min_confidence=0.7)) == 0.7


@pytest.mark.parametrize(
    ("max_error", "least"),
    [(0.5, 0.5), (0.1, 0.5), (0.05, 0.9), (0.01, 0.9), (0.002, 0.999), (0.001, 0.999)],
)
def test_the_nearest_error_measured_that_is_no_larger_counts(model: DigitModel, max_error: float, least: float) -> None:
    measured = replace(model, thresholds=MEASURED)
    assert measured.least_confidence(ReviewSettings(min_confidence=0.7, max_error=max_error)) == least


@pytest.mark.parametrize(("thresholds", "max_error"), [(MEASURED, 0.0005), ({}, 0.5)])
def test_an_error_that_was_not_measured_accepts_nothing(
    model: DigitModel, thresholds: dict[float, float], max_error: float
) -> None:
    assert replace(model, thresholds=thresholds).least_confidence(ReviewSettings(max_error=max_error)) > 1


def test_the_thresholds_are_those_of_the_metadata(tmp_path: Path) -> None:
    path = model_with({"docscan.thresholds": '{"0.01": 0.93, "0.001": 0.9987}'}, tmp_path)
    assert load_model(path).thresholds == {0.01: 0.93, 0.001: 0.9987}


def test_a_model_that_was_not_measured_has_no_thresholds(tmp_path: Path) -> None:
    assert load_model(model_with({}, tmp_path)).thresholds == {}


@pytest.mark.parametrize("max_error", [-0.001, 1, 5])
def test_an_error_is_a_share(max_error: float) -> None:
    with pytest.raises(SettingsError, match=f"max_error is {max_error}; expected a share such as 0.001"):
        ReviewSettings(max_error=max_error)


@pytest.mark.parametrize("count", [1, 16, 17, 300])
def test_a_crop_is_read_the_same_in_any_company(model: DigitModel, count: int) -> None:
    crops = np.random.default_rng(0).integers(0, 256, (300, 28, 28), dtype=np.uint8)
    alone = model.probabilities(crops[:1])
    together = model.probabilities(crops[:count])
    assert together.shape == (count, 11)
    assert together.sum(axis=1) == pytest.approx(np.ones(count), abs=1e-5)
    assert together[0] == pytest.approx(alone[0], abs=1e-5)


@pytest.mark.parametrize("look", [DigitModel.probabilities, DigitModel.glance])
def test_no_crops_have_no_probabilities(
    model: DigitModel, look: Callable[[DigitModel, NDArray[np.uint8]], NDArray[np.float32]]
) -> None:
    assert look(model, np.empty((0, 28, 28), np.uint8)).shape == (0, 11)


def test_what_is_doubtful_is_the_mean_of_nine_places_and_what_is_sure_is_looked_at_once(model: DigitModel) -> None:
    sure, blot = np.zeros((2, 28, 28), np.uint8)
    sure[4:24, 13:15] = 255  # a 1
    blot[8:20, 8:20] = np.random.default_rng(7).integers(0, 256, (12, 12), dtype=np.uint8)
    places = np.array([np.roll(blot, place, axis=(0, 1)) for place in itertools.product((-1, 0, 1), repeat=2)])
    assert model.glance(blot[np.newaxis]).max() < 0.9 < model.glance(sure[np.newaxis]).max()
    found = model.probabilities(np.array([sure, blot]))
    assert found[0] == pytest.approx(model.glance(sure[np.newaxis])[0], abs=1e-6)
    assert found[1] == pytest.approx(model.glance(places).mean(axis=0), abs=1e-6)


def test_a_model_for_other_crops_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"digits\.onnx: docscan\.labels is '0123456789'"):
        load_model(model_with({"docscan.labels": "0123456789"}, tmp_path))
