"""Crops, and what is to be said of them -> a network that says it, a chunk of crops at a time. Keras 3, any backend.

On JAX a whole chunk is one program: a graphics card then waits for nothing between its 128 steps.
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from training.export import as_input
from training.network import build_network, products_of

BATCH = 256
WEIGHT_DECAY = 0.03
SOFTNESS = 2.0  # the temperature at which a network is to say what its teachers say

Loss = Callable[[Any, Any], Any]
"""Of what is wanted and logits (N, 11): (N,)."""


@dataclass(frozen=True, slots=True)
class Schooling:
    """How a network learns: its rate rises from nothing to `peak`, then falls to nothing as a cosine does.

    Loshchilov & Hutter, SGDR: stochastic gradient descent with warm restarts, ICLR 2017, arXiv:1608.03983.
    """

    peak: float
    steps: int
    """In all, a batch each."""
    warm_up: int
    """Of them, while the rate rises."""
    is_taught: bool
    """Whether what teachers say is wanted, or labels are."""
    bfloat16: bool = False
    """Products in 16 bits."""

    def rates(self) -> Any:
        """The rate of each step, as Keras wants it."""
        import keras

        falling = max(1, self.steps - self.warm_up)
        return keras.optimizers.schedules.CosineDecay(0.0, falling, warmup_target=self.peak, warmup_steps=self.warm_up)

    def optimiser(self) -> Any:
        """One of its own for every network."""
        import keras

        # Not use_ema: under JAX, Keras 3.15 gives the optimiser and the model one buffer and XLA refuses it.
        optimiser = keras.optimizers.AdamW(self.rates(), weight_decay=WEIGHT_DECAY)
        optimiser.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
        return optimiser

    def loss(self) -> Loss:
        """How far logits are from what is wanted."""
        import keras

        def of_lesson(said: Any, logits: Any) -> Any:
            # Gradients shrink with the square of the temperature (Hinton et al., section 2).
            return SOFTNESS**2 * keras.losses.categorical_crossentropy(said, logits / SOFTNESS, from_logits=True)

        def of_labels(labels: Any, logits: Any) -> Any:
            return keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)

        return of_lesson if self.is_taught else of_labels


def mean_weights(weights: Sequence[Sequence[Any]], twin: Any, batches: Iterable[NDArray[np.float32]]) -> list[Any]:
    """The mean of a network's weights at several times, its batch normalisations having seen `batches` of input.

    `twin` is a network like it, in which that is done. Izmailov, Podoprikhin, Garipov et al., Averaging weights leads
    to wider optima and better generalization, UAI 2018, arXiv:1803.05407.
    """
    twin.set_weights([np.mean(of_layer, axis=0) for of_layer in zip(*weights, strict=True)])
    for batch in batches:
        twin(batch, training=True)
    return list(twin.get_weights())


class Learner(Protocol):
    """A network while it is trained."""

    model: Any

    def learn(self, crops: NDArray[np.uint8], wanted: NDArray[Any]) -> float:
        """The mean loss over crops (N, 28, 28), shown batch by batch; `wanted` are labels (N,) or chances (N, 11)."""

    def settle(self) -> Any:
        """The model, with the weights as they are now."""


def learner_of(model: Any, schooling: Schooling) -> Learner:
    """One for a `rounded` network (network.py)."""
    import keras

    return (_Programmed if keras.backend.backend() == "jax" else _Fitted)(model, schooling)


class _Fitted:
    """Batch by batch.

    Not by Keras's fit, or predict: the tuner of the tf.data pipeline they make wakes after 0.01 x (2^n - 1) seconds
    only, and what has read it to its end waits for that. Every second chunk of 10 seconds took 20.
    """

    def __init__(self, model: Any, schooling: Schooling) -> None:
        import keras

        self.model = model
        # On processors, TensorFlow's own kernels take three quarters of the time that XLA's take.
        compiled = keras.backend.backend() != "tensorflow"
        model.compile(schooling.optimiser(), schooling.loss(), jit_compile=compiled)

    def learn(self, crops: NDArray[np.uint8], wanted: NDArray[Any]) -> float:
        self.model.reset_metrics()
        for first in range(0, len(crops), BATCH):
            batch = slice(first, first + BATCH)
            mean_loss = self.model.train_on_batch(as_input(crops[batch]), wanted[batch])
        return float(mean_loss)

    def settle(self) -> Any:
        return self.model


class _Programmed:
    """By one program a chunk, the same for all networks of a schooling."""

    def __init__(self, model: Any, schooling: Schooling) -> None:
        self.model = model
        optimiser = schooling.optimiser()
        optimiser.build(model.trainable_variables)
        variables = (model.trainable_variables, model.non_trainable_variables, optimiser.variables)
        self.state = tuple([variable.value for variable in some] for some in variables)
        self.program = _program(schooling)

    def learn(self, crops: NDArray[np.uint8], wanted: NDArray[Any]) -> float:
        steps = len(crops) // BATCH  # what is over is not shown: a program wants batches of one size
        batches = [array[: steps * BATCH].reshape(steps, BATCH, *array.shape[1:]) for array in (crops, wanted)]
        self.state, losses = self.program(self.state, *batches)
        return float(np.mean(losses))

    def settle(self) -> Any:
        trained, others, _ = self.state
        variables = [*self.model.trainable_variables, *self.model.non_trainable_variables]
        # By way of the host: Keras's predict on JAX gives the model's own buffers away, and the state goes on.
        for variable, value in zip(variables, [*trained, *others], strict=True):
            variable.assign(np.array(value))
        return self.model


@functools.cache
def _program(schooling: Schooling) -> Callable[..., Any]:
    """A network's and its optimiser's values, batches of crops and of what is wanted -> the values, losses."""
    import jax

    with products_of(bfloat16=schooling.bfloat16):
        model = build_network(rounded=True)
    optimiser, loss = schooling.optimiser(), schooling.loss()
    optimiser.build(model.trainable_variables)

    def loss_of(trained: Any, others: Any, crops: Any, wanted: Any) -> Any:
        logits, others = model.stateless_call(trained, others, crops[..., None] / np.float32(255), training=True)
        return loss(wanted, logits).mean(), others

    def step(state: Any, batch: Any) -> Any:
        trained, others, moments = state
        (value, others), gradients = jax.value_and_grad(loss_of, has_aux=True)(trained, others, *batch)
        trained, moments = optimiser.stateless_apply(moments, gradients, trained)
        return (trained, others, moments), value

    def chunk(state: Any, *batches: Any) -> Any:
        return jax.lax.scan(step, state, batches)

    program: Callable[..., Any] = jax.jit(chunk)
    return program
