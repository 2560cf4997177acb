"""A model of 32-bit floats -> the same in 8-bit integers: a quarter of the size, more than twice as fast.

Jacob, Kligys, Chen et al., Quantization and training of neural networks for efficient integer-arithmetic-only
inference, CVPR 2018, arXiv:1712.05877: each layer's inputs and weights become integers times a scale; weights have one
scale a channel.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

BATCH = 64


def quantise(proto: Any, inputs: NDArray[np.float32]) -> Any:
    """An onnx.ModelProto whose convolutions run on integers; `inputs` (N, ...) show how large its values become.

    The first and the last layer stay as they are: they cost next to nothing and their rounding would cost most.
    """
    layers = [node.name for node in proto.graph.node if node.op_type in {"Conv", "Gemm", "MatMul"}]
    with tempfile.TemporaryDirectory() as folder:
        floats, integers = Path(folder) / "floats.onnx", Path(folder) / "integers.onnx"
        onnx.save(proto, floats)  # given the proto itself, it moves the weights out of it
        quantize_static(
            floats,
            integers,
            _Batches(proto.graph.input[0].name, inputs),
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            # Seven bits: without VNNI, x86 adds pairs of products in 16 bits, and eight overflow there.
            reduce_range=True,
            nodes_to_exclude=[layers[0], layers[-1]],
        )
        return onnx.load(integers)


class _Batches(CalibrationDataReader):  # type: ignore[misc]
    """Hands the inputs out, a batch at a time."""

    def __init__(self, name: str, inputs: NDArray[np.float32]) -> None:
        self._batches = ({name: inputs[first : first + BATCH]} for first in range(0, len(inputs), BATCH))

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """The next batch by the name of its input; None after the last."""
        return next(self._batches, None)
