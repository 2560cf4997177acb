import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")
from training import export, learning, network
from training.network import build_network

pytestmark = pytest.mark.training
ROOT = Path(__file__).parents[2]


def crops_of(label, count):
    """A bar whose place says which label it is, in noise."""
    crops = np.random.default_rng(label).integers(0, 60, (count, 28, 28), np.uint8)
    crops[:, 4 + 6 * label : 8 + 6 * label, 4:24] = 255
    return crops


def lesson():
    labels = np.arange(512) % 3
    crops = np.empty((512, 28, 28), np.uint8)
    for label in range(3):
        crops[labels == label] = crops_of(label, int((labels == label).sum()))
    return crops, labels


def test_the_rate_rises_to_its_peak_and_falls_to_nothing():
    rate_at = learning.Schooling(3e-3, steps=100, warm_up=4, is_taught=False).rates()
    rates = np.array([float(rate_at(step)) for step in range(100)])
    assert rates[:5] == pytest.approx([0, 0.75e-3, 1.5e-3, 2.25e-3, 3e-3])
    assert rates.argmax() == 4
    assert (np.diff(rates[4:]) < 0).all()
    assert rates[52] == pytest.approx(1.5e-3)
    assert rates[-1] < 2e-6


@pytest.mark.parametrize("is_taught", [False, True])
def test_a_learner_says_what_is_wanted(is_taught):
    crops, labels = lesson()
    wanted = np.eye(11, dtype=np.float32)[labels] if is_taught else labels
    model = build_network(rounded=True)
    learner = learning.learner_of(model, learning.Schooling(3e-3, steps=24, warm_up=2, is_taught=is_taught))
    losses = [learner.learn(crops, wanted) for _ in range(12)]
    assert losses[-1] < losses[0] / 4
    assert learner.settle() is model


def test_the_mean_of_weights_knows_what_it_is_shown():
    networks = [build_network(rounded=True) for _ in range(2)]
    weights = [network.get_weights() for network in networks]
    halfway = learning.mean_weights(weights, build_network(rounded=True), [])
    assert all(np.allclose((one + other) / 2, mean) for one, other, mean in zip(*weights, halfway, strict=True))
    crops = np.random.default_rng(0).random((64, 28, 28, 1), dtype=np.float32)
    shown = learning.mean_weights(weights, build_network(rounded=True), [crops])
    changed = [not np.array_equal(one, other) for one, other in zip(halfway, shown, strict=True)]
    names = [weight.path for weight in networks[0].weights]
    assert changed == ["moving" in name for name in names]


def test_on_jax_a_chunk_is_one_program_and_learns_as_well():
    pytest.importorskip("jax")
    environment = os.environ | {"KERAS_BACKEND": "jax", "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-m", "tests.training.test_learning"]
    said = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    first, last, right, quick = (float(number) for number in said.stdout.split())
    assert last < first / 2
    assert right == 1
    assert quick < 1e-3


def learn_on_jax():
    """The first loss, the last, the share that is read right, and how far `quick` is from Keras's own."""
    network.STEM_CHANNELS, network.STAGES = 8, (8, 8, 16)
    crops, labels = lesson()
    model = build_network(rounded=True)
    learner = learning.learner_of(model, learning.Schooling(1e-2, steps=24, warm_up=2, is_taught=False))
    losses = [learner.learn(crops, labels) for _ in range(6)]
    export.logits_of(learner.settle(), crops)  # as a report does, half way
    losses += [learner.learn(crops, labels) for _ in range(6)]
    settled = learner.settle()
    logits = export.logits_of(settled, crops)
    difference = np.abs(export.quick(settled, crops)(crops) - logits).max()
    return losses[0], losses[-1], np.mean(logits.argmax(axis=1) == labels), difference


if __name__ == "__main__":
    sys.stdout.write(" ".join(str(float(number)) for number in learn_on_jax()))
