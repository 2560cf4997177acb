import numpy as np
import pytest
from PIL import Image

from training import report
from training.calibrate import Judged
from training.data import Digits
from training.report import (
    Curve,
    confusion_counts,
    equal_mass_bins,
    expected_calibration_error,
    judged,
    worst_first,
)


def test_none_is_no_reading_of_a_digit():
    chances = np.zeros((2, 11))
    chances[0, [3, 10]] = 0.4, 0.6
    chances[1, [7, 2]] = 0.9, 0.1
    found = judged(chances, np.array([3, 2]))
    assert found.confidences.tolist() == [0.4, 0.9]
    assert found.right.tolist() == [True, False]


def test_the_calibration_error_is_the_one_worked_by_hand():
    # two bins of two: |0.5 - 0.5| and |1 - 0.9|, each half of the whole
    confidences = np.array([0.9, 0.4, 0.9, 0.6])
    right = np.array([True, False, True, True])
    assert expected_calibration_error(confidences, right, bins=2) == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("confidences", "right", "error"),
    [
        ([], [], 0.0),
        ([1.0], [True], 0.0),
        ([1.0], [False], 1.0),
        ([0.25, 0.25, 0.25, 0.25], [True, False, False, False], 0.0),
    ],
)
def test_the_calibration_error_of_few(confidences, right, error):
    found = expected_calibration_error(np.array(confidences), np.array(right, dtype=bool))
    assert found == pytest.approx(error)


def test_calibrated_readings_have_next_to_no_calibration_error_and_boasting_ones_do():
    rng = np.random.default_rng(0)
    confidences = rng.beta(8, 1, 100_000)
    right = rng.random(100_000) < confidences
    assert expected_calibration_error(confidences, right) < 0.005
    boast = 1 - (1 - confidences) / 10
    assert expected_calibration_error(boast, right) == pytest.approx(np.mean(boast - confidences), abs=0.005)


def test_the_order_of_the_crops_does_not_change_the_bins():
    # Nine in ten of real confidences are 1.0: where a run of equals were cut, the order would decide.
    rng = np.random.default_rng(1)
    confidences = np.concatenate([np.ones(900), rng.random(100)])
    right = np.concatenate([np.arange(900) >= 300, rng.random(100) < 0.5])
    order = rng.permutation(1000)
    there, here = equal_mass_bins(Judged(confidences, right)), equal_mass_bins(Judged(confidences[order], right[order]))
    assert here.count.tolist() == there.count.tolist()
    assert here.accuracy == pytest.approx(there.accuracy)
    assert there.count.sum() == 1000


def test_bins_hold_equally_many():
    found = equal_mass_bins(Judged(np.linspace(0, 1, 30), np.ones(30, bool)), bins=15)
    assert found.count.tolist() == [2] * 15
    assert (np.diff(found.confidence) > 0).all()


def test_the_confusion_has_the_truth_down_and_the_reading_across():
    counts = confusion_counts(np.array([7, 7, 1]), np.array([1, 10, 1]))
    assert counts.shape == (11, 11)
    assert np.argwhere(counts == 1).tolist() == [[1, 1], [7, 1], [7, 10]]
    assert counts.sum() == 3


def test_the_surest_mistake_comes_first():
    chances = np.full((4, 11), 0.01)
    chances[[0, 1, 2, 3], [5, 5, 5, 5]] = 0.6, 0.99, 0.8, 0.7
    assert worst_first(chances, np.array([4, 5, 4, 10])).tolist() == [2, 3, 0]


def drawn(plot, *arguments, folder):
    """The pixels (H, W) of a plotted picture, 0 = black."""
    pytest.importorskip("matplotlib")
    path = folder / "report" / "picture.png"
    plot(*arguments, path)
    with Image.open(path) as picture:
        return np.asarray(picture.convert("L"))


def some(count):
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 10, count)
    chances = rng.dirichlet(np.full(11, 0.1), count)
    return Digits(
        np.full((count, 28, 28), 200, np.uint8) * rng.integers(0, 2, (count, 28, 28), dtype=np.uint8), labels
    ), chances


@pytest.mark.parametrize("count", [0, 1, 300])
def test_every_picture_is_drawn_from_nothing_one_and_many(count, tmp_path):
    crops, chances = some(count)
    found = judged(chances, crops.labels)
    plots = [
        (report.plot_confusion, crops.labels, chances.argmax(axis=1)),
        (report.plot_worst_mistakes, crops, chances),
        (report.plot_reliability, found),
        (report.plot_error_reject, {"one": found, "other": found}),
        (report.plot_drawn_beside_real, crops, crops),
        (report.plot_learning_curves, [Curve("one", (0.5, 0.1)[:count], (0.2, 0.0)[:count])] * min(count, 2)),
    ]
    for plot, *arguments in plots:
        picture = drawn(plot, *arguments, folder=tmp_path)
        assert picture.min() < 100, plot.__name__
        assert (picture == 255).mean() > 0.1, plot.__name__


def test_the_sheet_of_mistakes_shows_the_mistakes_and_nothing_else(tmp_path):
    crops = Digits(np.full((3, 28, 28), 255, np.uint8), np.array([1, 1, 1]))
    right = np.eye(11)[[1, 1, 1]]
    wrong = np.eye(11)[[1, 7, 7]]
    shares = [
        (drawn(report.plot_worst_mistakes, crops, chances, folder=tmp_path) < 10).mean() for chances in (right, wrong)
    ]
    assert shares[1] > shares[0] + 0.02  # two black crops


def test_drawn_digits_stand_left_and_real_ones_right(tmp_path):
    black = Digits(np.full((1, 28, 28), 255, np.uint8), np.array([0]))
    none = Digits(np.empty((0, 28, 28), np.uint8), np.empty(0, np.int64))
    for pair, side in (((black, none), 0), ((none, black), 1)):
        picture = drawn(report.plot_drawn_beside_real, *pair, folder=tmp_path)
        darkest = (picture[60:] < 10).sum(axis=0)
        bar = int(np.median(np.flatnonzero(darkest > 100)))  # between the two halves
        top = (picture[30:80] < 10).sum(axis=0)
        halves = top[: bar - 10].sum(), top[bar + 10 :].sum()
        assert halves[side] > 0
        assert halves[1 - side] == 0
