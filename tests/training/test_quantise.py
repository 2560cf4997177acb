import numpy as np
import onnx
from onnxruntime import InferenceSession

from training import export
from training.network import build_network
from training.quantise import quantise


def run(proto, crops):
    return InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"crops": crops})[
        0
    ]


def test_integers_compute_nearly_the_same_in_a_third_of_the_bytes():
    crops = np.random.default_rng(0).random((130, 28, 28, 1), dtype=np.float32)
    floats = export.convert(build_network())
    integers = quantise(floats, crops)
    expected, found = run(floats, crops), run(integers, crops)
    assert np.abs(expected - found).max() < 0.05 * np.abs(expected).max()
    assert integers.ByteSize() < floats.ByteSize() / 3


def test_the_first_and_the_last_layer_stay_floats():
    crops = np.random.default_rng(0).random((8, 28, 28, 1), dtype=np.float32)
    proto = quantise(export.convert(build_network()), crops)
    weights = {tensor.name: tensor.data_type for tensor in proto.graph.initializer}
    first, *_, last = [node for node in proto.graph.node if node.op_type in {"Conv", "MatMul", "Gemm"}]
    assert [weights[node.input[1]] for node in (first, last)] == [onnx.TensorProto.FLOAT] * 2
