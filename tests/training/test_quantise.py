import numpy as np
import onnx
from onnx import numpy_helper
from onnxruntime import InferenceSession

from training import export
from training.network import WEIGHT_LEVELS, build_network, fold
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


def _scale(kernel):
    return np.abs(kernel).max(axis=(0, 1, 2)) / WEIGHT_LEVELS


def _in_levels(kernel):
    return np.round(kernel / _scale(kernel)) * _scale(kernel)


def test_the_network_that_is_trained_multiplies_by_the_integers_that_are_shipped():
    model, rounded = build_network(), build_network(rounded=True)
    rounded.set_weights(model.get_weights())
    crops = np.random.default_rng(0).random((16, 28, 28, 1), dtype=np.float32)
    shipped = {
        tensor.dims[0]: numpy_helper.to_array(tensor)
        for tensor in quantise(export.convert(model), crops).graph.initializer
        if tensor.data_type == onnx.TensorProto.INT8 and list(tensor.dims[2:]) == [3, 3]
    }
    kernel = fold(model).get_layer("last").get_weights()[0]
    assert np.abs(shipped[128].transpose(2, 3, 1, 0) - kernel / _scale(kernel)).max() <= 0.501
    coarse = [_in_levels(own) if own.shape[:2] == (3, 3) else own for own in model.get_weights()]
    expected = np.asarray(rounded(crops))
    assert np.abs(expected - np.asarray(model(crops))).max() > 1e-3
    model.set_weights(coarse)
    assert np.abs(expected - np.asarray(model(crops))).max() < 1e-4


def test_a_network_whose_weights_are_rounded_still_learns():
    rounded = build_network(rounded=True)
    crops = np.random.default_rng(0).random((64, 28, 28, 1), dtype=np.float32)
    rounded.compile("sgd", "mse")
    before = rounded.get_layer("last").get_weights()[0]
    rounded.fit(crops, np.eye(11)[np.arange(64) % 10], verbose=0)
    assert np.abs(rounded.get_layer("last").get_weights()[0] - before).max() > 0
