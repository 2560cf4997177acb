import numpy as np
import pytest

from training.calibrate import fit_temperature, mean_loss


def test_the_mean_loss_of_even_logits_is_that_of_a_guess():
    assert mean_loss(np.zeros((4, 11), np.float32), np.arange(4)) == pytest.approx(np.log(11))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_labels_were_drawn_with_is_found(temperature):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (40_000, 11)).astype(np.float32)
    noisy = logits / temperature + rng.gumbel(size=logits.shape)
    assert fit_temperature(logits, noisy.argmax(axis=1)) == pytest.approx(temperature, rel=0.03)
