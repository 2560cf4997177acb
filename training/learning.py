"""Crops, and what is to be said of them -> a network that says it, a chunk of crops at a time. Keras 3, any backend.

On JAX a whole chunk is one program: a graphics card then waits for nothing between its 128 steps.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from training.export import as_input
from training.network import build_network, products_of

BATCH = 256
WEIGHT_DECAY = 0.03
SOFTNESS = 2.0  # the temperature at which a network is to say what its teachers say
RATE = 1  # the place of the rate among an optimiser's variables

Loss = Callable[[Any, Any], Any]
"""Of what is wanted and logits (N, 11): (N,)."""


class Learner(Protocol):
    """A network while it is trained."""

    model: Any

    def learn(self, crops: NDArray[np.uint8], wanted: NDArray[Any]) -> float:
        """The mean loss over crops (N, 28, 28), shown batch by batch; `wanted` are labels (N,) or chances (N, 11)."""

    def settle(self) -> Any:
        """The model, with the weights as they are now."""


def learner_of(model: Any, rates: NDArray[np.float32], *, bfloat16: bool, is_taught: bool) -> Learner:
    """One for a `rounded` network (network.py); `rates` (steps,) are its optimiser's, step by step."""
    import keras

    if keras.backend.backend() == "jax":
        return _Programmed(model, rates, bfloat16=bfloat16, is_taught=is_taught)
    return _Fitted(model, rates, is_taught=is_taught)


def rates_of(peak: float, steps: int, warm_up: int) -> NDArray[np.float32]:
    """(steps,): rising from nothing to `peak` in `warm_up` steps, then falling to nothing as a cosine does.

    Loshchilov & Hutter, SGDR: stochastic gradient descent with warm restarts, ICLR 2017, arXiv:1608.03983.
    """
    place = np.arange(steps)
    falling = 0.5 * (1 + np.cos(math.pi * (place - warm_up) / max(1, steps - warm_up)))
    return np.asarray(peak * np.where(place < warm_up, place / max(1, warm_up), falling), dtype=np.float32)


def _loss(*, is_taught: bool) -> Loss:
    import keras

    def of_lesson(said: Any, logits: Any) -> Any:
        # Gradients shrink with the square of the temperature (Hinton et al., section 2).
        return SOFTNESS**2 * keras.losses.categorical_crossentropy(said, logits / SOFTNESS, from_logits=True)

    def of_labels(labels: Any, logits: Any) -> Any:
        return keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)

    return of_lesson if is_taught else of_labels


def _optimiser(rate: Any) -> Any:
    import keras

    # Not use_ema: under JAX, Keras 3.15 gives the optimiser and the model one buffer and XLA refuses it.
    optimiser = keras.optimizers.AdamW(rate, weight_decay=WEIGHT_DECAY)
    optimiser.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimiser


class _Fitted:
    """By Keras's own loop."""

    def __init__(self, model: Any, rates: NDArray[np.float32], *, is_taught: bool) -> None:
        import keras

        class Listed(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
            def __call__(self, step: Any) -> Any:
                return keras.ops.take(rates, keras.ops.minimum(step, len(rates) - 1))

        self.model = model
        # On processors, TensorFlow's own kernels take three quarters of the time that XLA's take.
        compiled = keras.backend.backend() != "tensorflow"
        loss = _loss(is_taught=is_taught)
        model.compile(_optimiser(Listed()), loss, steps_per_execution=16, jit_compile=compiled)

    def learn(self, crops: NDArray[np.uint8], wanted: NDArray[Any]) -> float:
        history = self.model.fit(as_input(crops), wanted, batch_size=BATCH, shuffle=False, verbose=0)
        return float(history.history["loss"][0])

    def settle(self) -> Any:
        return self.model


class _Programmed:
    """By one program a chunk, the same for all networks."""

    def __init__(self, model: Any, rates: NDArray[np.float32], *, bfloat16: bool, is_taught: bool) -> None:
        self.model, self.rates, self.steps = model, rates, 0
        optimiser = _optimiser(0.0)
        optimiser.build(model.trainable_variables)
        variables = (model.trainable_variables, model.non_trainable_variables, optimiser.variables)
        self.state = tuple([variable.value for variable in some] for some in variables)
        self.program = _program(bfloat16=bfloat16, is_taught=is_taught)

    def learn(self, crops: NDArray[np.uint8], wanted: NDArray[Any]) -> float:
        steps = len(crops) // BATCH  # what is over is not shown: a program wants batches of one size
        rates = self.rates[self.steps : self.steps + steps]
        batches = [array[: steps * BATCH].reshape(steps, BATCH, *array.shape[1:]) for array in (crops, wanted)]
        self.state, losses = self.program(self.state, *batches, rates)
        self.steps += steps
        return float(np.mean(losses))

    def settle(self) -> Any:
        for variables, values in zip(
            (self.model.trainable_variables, self.model.non_trainable_variables), self.state, strict=False
        ):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
        return self.model


@functools.cache
def _program(*, bfloat16: bool, is_taught: bool) -> Callable[..., Any]:
    """A network's and its optimiser's values, batches of crops and of what is wanted, rates -> the values, losses."""
    import jax

    with products_of(bfloat16=bfloat16):
        model = build_network(rounded=True)
    optimiser, loss = _optimiser(0.0), _loss(is_taught=is_taught)
    optimiser.build(model.trainable_variables)

    def loss_of(trained: Any, others: Any, crops: Any, wanted: Any) -> Any:
        logits, others = model.stateless_call(trained, others, crops[..., None] / np.float32(255), training=True)
        return loss(wanted, logits).mean(), others

    def step(state: Any, batch: Any) -> Any:
        trained, others, moments = state
        crops, wanted, rate = batch
        (value, others), gradients = jax.value_and_grad(loss_of, has_aux=True)(trained, others, crops, wanted)
        moments = [rate if place == RATE else moment for place, moment in enumerate(moments)]
        trained, moments = optimiser.stateless_apply(moments, gradients, trained)
        return (trained, others, moments), value

    def chunk(state: Any, *batches: Any) -> Any:
        return jax.lax.scan(step, state, batches)

    program: Callable[..., Any] = jax.jit(chunk)
    return program
