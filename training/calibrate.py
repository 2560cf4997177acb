"""Held-out readings -> the temperature that makes probabilities mean what they say, and how sure is sure enough.

Guo, Pleiss, Sun & Weinberger, On calibration of modern neural networks, ICML 2017. arXiv:1706.04599
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

NONE = 10  # the column of "not a digit"
LOST_DIGITS = 0.002  # at most this share of held-out digits may be called none
COOLEST, HOTTEST = 0.05, 20.0


@dataclass(frozen=True, slots=True)
class Calibration:
    """What is settled on held-out crops once the weights stand."""

    temperature: float
    none_bias: float
    """By how much the logit of "not a digit" is lowered."""


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """How sure a classifier was of each reading, and whether it was right."""

    confidences: NDArray[np.floating[Any]]
    """(N,): 0..1."""
    right: NDArray[np.bool_]
    """(N,)."""

    def __post_init__(self) -> None:
        if self.confidences.ndim != 1 or self.confidences.shape != self.right.shape:
            raise ValueError(f"columns differ: {self.confidences.shape} confidences, {self.right.shape} right")
        if self.right.dtype != np.bool_:
            raise ValueError(f"right: expected bool, got {self.right.dtype}")


@dataclass(frozen=True, slots=True, eq=False)
class ErrorReject:
    """What each threshold accepts, one row a distinct confidence, highest threshold first."""

    thresholds: NDArray[np.float64]
    """(T,): accepted is what has at least this confidence."""
    accepted: NDArray[np.int64]
    """(T,): how many that are."""
    wrong: NDArray[np.int64]
    """(T,): how many of them are wrong."""


def calibrate(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> Calibration:
    """First how far to lean from "not a digit", then the temperature; logits (N, 11) of held-out labels (N,)."""
    bias = fit_none_bias(logits, labels)
    leaning = logits.copy()
    leaning[:, NONE] -= bias
    return Calibration(fit_temperature(leaning, labels), bias)


def fit_none_bias(logits: NDArray[np.float32], labels: NDArray[np.int64], lost: float = LOST_DIGITS) -> float:
    """The least bias under which no more than a share `lost` of the digits is called none; at least 0, two decimals."""
    digits = logits[labels != NONE]
    if not len(digits):
        return 0.0
    lead = digits[:, NONE] - digits[:, :NONE].max(axis=1)
    largest_first = np.sort(lead)[::-1]
    # Rounded up: a little lower, and one digit more than allowed would be lost.
    return max(0.0, math.ceil(100 * float(largest_first[int(lost * len(lead))])) / 100)


def fit_temperature(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """The divisor of the logits (N, K) under which the labels (N,) are likeliest; three decimals."""
    low, high = np.log(COOLEST), np.log(HOTTEST)
    golden = (np.sqrt(5) - 1) / 2
    # The mean loss has one minimum along the logarithm of the temperature: golden-section search finds it.
    while high - low > 1e-4:
        left, right = high - golden * (high - low), low + golden * (high - low)
        if mean_loss(logits / np.exp(left), labels) < mean_loss(logits / np.exp(right), labels):
            high = right
        else:
            low = left
    return round(float(np.exp((low + high) / 2)), 3)


def mean_loss(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Mean negative log-likelihood, in nats, of the labels (N,) under softmax(logits (N, K))."""
    highest = logits.max(axis=1, keepdims=True)
    log_total = np.log(np.exp(logits - highest).sum(axis=1)) + highest[:, 0]
    return float(np.mean(log_total - logits[np.arange(len(labels)), labels]))


def error_reject(found: Judged) -> ErrorReject:
    """The exact error-reject curve: what is accepted, and what of it is wrong, at every threshold there is.

    Chow, On optimum recognition error and reject tradeoff, IEEE Transactions on Information Theory 16(1), 1970.
    doi:10.1109/TIT.1970.1054406
    """
    order = np.argsort(-found.confidences, kind="stable")
    confidences = found.confidences[order].astype(np.float64)
    # The last row of each run of equal confidences: a threshold accepts all of them or none.
    last = np.flatnonzero(np.append(confidences[1:] != confidences[:-1], True)[: len(confidences)])
    wrong = np.cumsum(~found.right[order], dtype=np.int64)
    return ErrorReject(confidences[last], last.astype(np.int64) + 1, wrong[last])


def threshold_for(
    confidences: NDArray[np.floating[Any]],
    right: NDArray[np.bool_],
    max_error: float,
    *,
    certainty: float | None = None,
) -> float:
    """The lowest confidence from which on at most `max_error` (0..1) of what is accepted is wrong.

    Accepted is what has at least the threshold. By the exact error-reject curve of what was measured; `certainty`,
    such as 0.95, asks that the one-sided upper bound of Clopper & Pearson (Biometrika 26(4), 1934,
    doi:10.1093/biomet/26.4.404) stay within `max_error`: exact for any count, where Wilson's interval is too hopeful
    for rare errors (20,000 readings with 10 wrong prove 1 in 1,000; a handful without a mistake proves nothing).
    The bound is that of one threshold chosen beforehand; as this one is chosen on the same readings, measure what it
    does on others. Infinity where no threshold will do, and for no readings.
    """
    if not 0 <= max_error <= 1 or not (certainty is None or 0 < certainty < 1):
        raise ValueError(f"max_error {max_error} and certainty {certainty}: expected 0 to 1, such as 0.001 and 0.95")
    curve = error_reject(Judged(confidences, right))
    within = curve.wrong <= max_error * curve.accepted
    for row in np.flatnonzero(within)[::-1]:
        doubt = _at_most(int(curve.wrong[row]), int(curve.accepted[row]), max_error)
        if certainty is None or doubt <= 1 - certainty:
            return float(curve.thresholds[row])
    return math.inf


def _at_most(successes: int, trials: int, chance: float) -> float:
    """The chance of at most so many successes in binomial trials.

    Clopper and Pearson's upper bound is the chance at which this equals 1 - certainty, so comparing spares solving.
    """
    if chance <= 0 or chance >= 1:
        return float(chance <= 0 or successes >= trials)
    hits = np.arange(successes + 1)
    steps = np.log(trials - hits[:-1]) - np.log(hits[1:])  # of log binomial(trials, hits), from one to the next
    ways = np.concatenate([[0.0], np.cumsum(steps)])
    return float(np.exp(ways + hits * math.log(chance) + (trials - hits) * math.log1p(-chance)).sum())
