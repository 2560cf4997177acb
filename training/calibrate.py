"""Logits of held-out crops -> the temperature that makes probabilities mean what they say.

Guo, Pleiss, Sun & Weinberger, On calibration of modern neural networks, ICML 2017. arXiv:1706.04599
"""

import numpy as np
from numpy.typing import NDArray

COOLEST, HOTTEST = 0.05, 20.0


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
