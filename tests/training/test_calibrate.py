import math

import numpy as np
import pytest

from training.calibrate import (
    NONE,
    Judged,
    calibrate,
    error_reject,
    fit_none_bias,
    fit_temperature,
    mean_loss,
    threshold_for,
)


def test_the_mean_loss_of_even_logits_is_that_of_a_guess():
    assert mean_loss(np.zeros((4, 11), np.float32), np.arange(4)) == pytest.approx(np.log(11))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_labels_were_drawn_with_is_found(temperature):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (40_000, 11)).astype(np.float32)
    noisy = logits / temperature + rng.gumbel(size=logits.shape)
    assert fit_temperature(logits, noisy.argmax(axis=1)) == pytest.approx(temperature, rel=0.03)


def leads(*leads):
    """Logits (N, 11) of digits, "not a digit" so far ahead of the likeliest digit."""
    logits = np.full((len(leads), 11), -5, np.float32)
    logits[:, 3] = 1
    logits[:, NONE] = np.float32(1) + np.array(leads, dtype=np.float32)
    return logits


def lost(logits, bias):
    """The share called none once the logit of none is lowered."""
    leaning = logits.copy()
    leaning[:, NONE] -= bias
    return np.mean(leaning.argmax(axis=1) == NONE)


def test_where_hardly_a_digit_is_lost_nothing_leans():
    assert fit_none_bias(leads(*[-2.0] * 999, 4.0), np.full(1000, 3), lost=0.001) == 0


@pytest.mark.parametrize("count", [1, 10, 333, 999, 1000, 1001])
@pytest.mark.parametrize("allowed", [0.0, 0.003, 0.1])
def test_no_more_digits_are_lost_than_allowed_and_one_step_less_would_lose_more(count, allowed):
    logits = leads(*np.random.default_rng(count).normal(0.5, 1, count))
    bias = fit_none_bias(logits, np.full(count, 3), lost=allowed)
    assert lost(logits, bias) <= allowed
    assert bias == 0 or lost(logits, bias - 0.011) > allowed


def test_what_is_no_digit_has_no_say_in_the_bias():
    logits = np.concatenate([leads(0.5, 0.5), leads(*[9.0] * 50)])
    assert fit_none_bias(logits, np.repeat([3, NONE], [2, 50])) == 0.5
    assert fit_none_bias(logits, np.full(52, NONE)) == 0


def test_the_temperature_is_that_of_the_leaning_logits():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (20_000, 11)).astype(np.float32)
    labels = (logits / 2 + rng.gumbel(size=logits.shape)).argmax(axis=1)
    logits[:, NONE] += 1.5
    settled = calibrate(logits, labels)
    leaning = logits.copy()
    leaning[:, NONE] -= settled.none_bias
    assert settled.none_bias > 1.5
    assert settled.temperature == fit_temperature(leaning, labels)


def readings(*pairs):
    confidences, right = zip(*pairs, strict=True) if pairs else ((), ())
    return Judged(np.array(confidences, dtype=np.float32), np.array(right, dtype=bool))


def test_columns_of_unequal_length_are_refused():
    with pytest.raises(ValueError, match=r"columns differ: \(2,\) confidences, \(3,\) right"):
        Judged(np.zeros(2), np.zeros(3, bool))


def test_counts_are_no_booleans():
    with pytest.raises(ValueError, match="expected bool, got int64"):
        Judged(np.zeros(2), np.zeros(2, np.int64))


def test_the_error_reject_curve_counts_what_each_threshold_accepts():
    curve = error_reject(readings((0.5, False), (0.9, True), (0.9, False), (1.0, True)))
    assert curve.thresholds == pytest.approx([1.0, 0.9, 0.5])
    assert curve.accepted.tolist() == [1, 3, 4]
    assert curve.wrong.tolist() == [0, 1, 2]


def test_no_readings_have_no_error_reject_curve():
    assert len(error_reject(readings()).thresholds) == 0


@pytest.mark.parametrize(
    ("max_error", "threshold"),
    [(0.0, 0.98), (0.2, 0.98), (0.25, 0.92), (0.5, 0.5), (1.0, 0.5)],
)
def test_the_threshold_is_the_lowest_that_keeps_the_error(max_error, threshold):
    found = readings((0.99, True), (0.98, True), (0.95, False), (0.92, True), (0.6, False), (0.5, True))
    assert threshold_for(found.confidences, found.right, max_error) == pytest.approx(threshold)


def test_the_threshold_accepts_all_of_a_run_of_equals_or_none():
    found = readings((0.9, True), (0.9, True), (0.9, False), (0.8, True))
    assert threshold_for(found.confidences, found.right, 0.0) == math.inf
    assert threshold_for(found.confidences, found.right, 0.34) == pytest.approx(0.8)


def test_what_the_threshold_accepts_keeps_the_error_to_the_last_bit():
    rng = np.random.default_rng(2)
    confidences = (1 - rng.random(20_000) ** 3 / 2).astype(np.float32)
    right = rng.random(20_000) < confidences
    threshold = threshold_for(confidences, right, 0.01)
    accepted = confidences >= threshold
    assert 0 < accepted.sum() < 20_000
    assert np.mean(~right[accepted]) <= 0.01
    lower = confidences >= confidences[~accepted].max()
    assert np.mean(~right[lower]) > 0.01


@pytest.mark.parametrize("certainty", [None, 0.95])
def test_nothing_measured_accepts_nothing(certainty):
    assert threshold_for(np.empty(0), np.empty(0, bool), 0.5, certainty=certainty) == math.inf


@pytest.mark.parametrize(("count", "threshold"), [(2994, math.inf), (2995, 0.9)])
def test_with_certainty_it_takes_2995_readings_without_a_mistake_to_promise_one_in_a_thousand(count, threshold):
    # (1 - 0.001) ** 2995 < 0.05 < (1 - 0.001) ** 2994: the exact form of the rule of three
    found = np.full(count, 0.9), np.ones(count, bool)
    assert threshold_for(*found, 0.001, certainty=0.95) == threshold


@pytest.mark.parametrize(("max_error", "threshold"), [(0.07425, math.inf), (0.07427, 0.9)])
def test_the_certain_bound_is_that_of_the_tables(max_error, threshold):
    # 3 of 102 wrong: the root of P(X <= 3) = 0.05, found the 95th percentile of Beta(4, 99), is 0.074261
    right = np.arange(102) >= 3
    assert threshold_for(np.full(102, 0.9), right, max_error, certainty=0.95) == threshold


@pytest.mark.parametrize(("max_error", "certainty"), [(-0.1, None), (1.1, None), (0.1, 0.0), (0.1, 1.0)])
def test_shares_outside_0_to_1_are_refused(max_error, certainty):
    with pytest.raises(ValueError, match="expected 0 to 1"):
        threshold_for(np.ones(1), np.ones(1, bool), max_error, certainty=certainty)
