"""The network: crops (N, 28, 28, 1) float32, 0 = paper, 1 = ink -> logits (N, 11). Keras 3, any backend.

A small residual net, strided early: of the shapes measured (README.md, "How fast"), the one with the most
arithmetic that still reads more than 10,000 digits a second on one core.
"""

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

OUTPUTS = 11
STEM_CHANNELS = 32
STAGES = (32, 64)  # channels at 14 x 14 and at 7 x 7
LAST_CHANNELS = 128  # at 4 x 4, averaged
WEIGHT_LEVELS = 64  # either side of nought, in the seven bits of quantise.py
NORM = "_norm"  # ends the name of the batch normalisation after a convolution


def build_network(*, folded: bool = False, rounded: bool = False) -> Any:
    """An untrained keras.Model named "digits".

    `folded` leaves the batch normalisations out: the twin that `fold` fills for export. `rounded` multiplies by weights
    as coarse as `quantise` will make them: the twin that is trained, and learns to do with those (Jacob et al.,
    section 3). All three have the same weights but for the normalisations.
    """
    import keras

    norm = quick_normalisation() if rounded else keras.layers.BatchNormalization
    convolve = functools.partial(_convolve, norm=None if folded else norm, rounded=rounded)
    crops = keras.Input((28, 28, 1), name="crops")
    flow = convolve(crops, STEM_CHANNELS, "stem", kernel_px=5, stride=2, rounded=False)  # stays in floats
    for stage, channels in enumerate(STAGES):
        if stage > 0:
            flow = convolve(flow, channels, f"widen{stage}", stride=2)
        inner = convolve(flow, channels, f"first{stage}")
        inner = convolve(inner, channels, f"second{stage}", activate=False)
        flow = keras.layers.ReLU(name=f"relu{stage}")(keras.layers.Add(name=f"add{stage}")([flow, inner]))
    flow = convolve(flow, LAST_CHANNELS, "last", stride=2)
    flow = keras.layers.GlobalAveragePooling2D(name="average")(flow)
    flow = keras.layers.Dropout(0.2, name="drop")(flow)
    return keras.Model(crops, keras.layers.Dense(OUTPUTS, name="logits", dtype="float32")(flow), name="digits")


@contextlib.contextmanager
def products_of(*, bfloat16: bool) -> Iterator[None]:
    """Networks built inside multiply in 16 bits, or in 32: on processors that have them, 16 are twice as fast."""
    import keras

    keras.mixed_precision.set_global_policy("mixed_bfloat16" if bfloat16 else "float32")
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy("float32")


def fold(model: Any) -> Any:
    """The same function without batch normalisation."""
    return folded_into(build_network(folded=True), model)


def folded_into(twin: Any, model: Any) -> Any:
    """`twin`, built without batch normalisation, filled: each is multiplied into the convolution before it."""
    norms = {layer.name: layer for layer in model.layers if layer.name.endswith(NORM)}
    for layer in twin.layers:
        trained = model.get_layer(layer.name)
        norm = norms.get(f"{layer.name}{NORM}")
        if norm is None:
            layer.set_weights(trained.get_weights())
            continue
        [kernel] = trained.get_weights()
        gain, offset, mean, variance = norm.get_weights()
        gain = gain / np.sqrt(variance + norm.epsilon)
        layer.set_weights([kernel * gain, offset - mean * gain])
    return twin


def _convolve(
    flow: Any,
    channels: int,
    name: str,
    *,
    norm: Any,
    rounded: bool,
    kernel_px: int = 3,
    stride: int = 1,
    activate: bool = True,
) -> Any:
    import keras

    layer = _rounded_convolution() if rounded else keras.layers.Conv2D
    flow = layer(
        channels,
        kernel_px,
        strides=stride,
        padding="same",
        use_bias=norm is None,
        kernel_initializer="he_normal",
        name=name,
    )(flow)
    if norm is not None:
        flow = norm(momentum=0.95, name=f"{name}{NORM}")(flow)
    return keras.layers.ReLU(name=f"{name}_relu")(flow) if activate else flow


@functools.cache
def _rounded_convolution() -> Any:
    import keras

    class RoundedConv2D(keras.layers.Conv2D):  # type: ignore[misc]
        """Multiplies by its weights as integers times a scale for each channel; it is their gradient that they get.

        A batch normalisation after it multiplies whole channels, so the same integers stand in the folded twin.
        """

        def convolution_op(self, inputs: Any, kernel: Any) -> Any:
            ops = keras.ops
            largest = ops.max(ops.abs(kernel), axis=(0, 1, 2), keepdims=True)
            scale = ops.maximum(largest, 1e-6) / WEIGHT_LEVELS  # a channel may have died
            coarse = ops.round(kernel / scale) * scale
            return super().convolution_op(inputs, kernel + ops.stop_gradient(coarse - kernel))

    return RoundedConv2D


@functools.cache
def quick_normalisation() -> Any:
    """Keras's layer, on TensorFlow one kernel while it is trained: a network learns in seven tenths of the time."""
    import keras

    if keras.backend.backend() != "tensorflow":
        return keras.layers.BatchNormalization
    import tensorflow as tf

    class FusedNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]
        """Its variances are those of a sample, a 256 x 16th larger at most, where Keras's are of the batch itself."""

        def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:  # noqa: FBT001  Keras's
            if not training:
                return super().call(inputs, training=training, mask=mask)
            outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
                x=inputs, scale=self.gamma, offset=self.beta, mean=[], variance=[], epsilon=self.epsilon
            )
            for moving, of_batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.assign(moving * self.momentum + of_batch * (1 - self.momentum))
            return outputs

    return FusedNormalization
