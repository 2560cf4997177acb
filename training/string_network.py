"""The string reader's network: strips (N, 32, W, 2) float32, 0..1 -> logits (N, W / 4, 11) for CTC, the last the blank.

Fully convolutional: it reads a strip of any width, a step every four columns, each seeing some fifty columns around it.
Small residual blocks, strided early, so that a strip costs about as much as ten digits' crops.
"""

import functools
from typing import Any

from docscan.stages.strings import BLANK, PLANES, STRIP_PX
from training.network import NORM, folded_into, quick_normalisation

STEM = 32
STAGES = ((32, 1), (64, 2), (112, 2))  # channels and residual blocks at 1/2, 1/4 and (1/8 high, 1/4 wide)
LINE_CHANNELS = 160  # once the height is folded away
CONTEXT_BLOCKS = 2
CONTEXT_PX = 5  # steps each looks at


def build_string_network(*, folded: bool = False, quick: bool = False) -> Any:
    """An untrained keras.Model named "strings".

    `folded` leaves the batch normalisations out: the twin that `fold_strings` fills for export. `quick` is the twin
    that is trained, which normalises in less time. All three have the same weights but for the normalisations.
    """
    import keras

    norm = quick_normalisation() if quick else keras.layers.BatchNormalization
    convolve = functools.partial(_convolve, norm=None if folded else norm)
    strips = keras.Input((STRIP_PX, None, PLANES), name="strips")
    flow = convolve(strips, STEM, "stem", kernel_px=(5, 5), strides=(2, 2))
    for stage, (channels, blocks) in enumerate(STAGES):
        if stage > 0:
            flow = convolve(flow, channels, f"widen{stage}", strides=(2, 2 if stage == 1 else 1))
        for block in range(blocks):
            inner = convolve(flow, channels, f"first{stage}{block}")
            inner = convolve(inner, channels, f"second{stage}{block}", activate=False)
            flow = keras.layers.ReLU(name=f"relu{stage}{block}")(
                keras.layers.Add(name=f"add{stage}{block}")([flow, inner])
            )
    flow = convolve(flow, LINE_CHANNELS, "line", kernel_px=(4, 1), padding="valid")
    for block in range(CONTEXT_BLOCKS):
        inner = keras.layers.DepthwiseConv2D((1, CONTEXT_PX), padding="same", use_bias=False, name=f"along{block}")(
            flow
        )
        inner = convolve(inner, LINE_CHANNELS, f"across{block}", kernel_px=(1, 1))
        flow = keras.layers.Add(name=f"context{block}")([flow, inner])
    flow = keras.layers.Dropout(0.15, name="drop")(flow)
    flow = keras.layers.Conv2D(BLANK + 1, 1, name="logits", dtype="float32")(flow)
    return keras.Model(strips, keras.layers.Reshape((-1, BLANK + 1), name="steps")(flow), name="strings")


def fold_strings(model: Any) -> Any:
    """The same function without batch normalisation."""
    return folded_into(build_string_network(folded=True), model)


def _convolve(
    flow: Any,
    channels: int,
    name: str,
    *,
    norm: Any,
    kernel_px: tuple[int, int] = (3, 3),
    strides: tuple[int, int] = (1, 1),
    padding: str = "same",
    activate: bool = True,
) -> Any:
    import keras

    flow = keras.layers.Conv2D(
        channels,
        kernel_px,
        strides=strides,
        padding=padding,
        use_bias=norm is None,
        kernel_initializer="he_normal",
        name=name,
    )(flow)
    if norm is not None:
        flow = norm(momentum=0.97, name=f"{name}{NORM}")(flow)
    return keras.layers.ReLU(name=f"{name}_relu")(flow) if activate else flow
