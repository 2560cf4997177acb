import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from docscan.errors import ModelError
from docscan.stages.classify import SHIPPED, load_model
from training.data import MNIST_FILES
from training.network import build_network, fold

pytest.importorskip("tensorflow")
export = pytest.importorskip("training.export")
ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.training


@pytest.fixture
def mnist_folder():
    folder = ROOT.parent / "shared" / "data"
    if not all((folder / "mnist" / name).is_file() for name in MNIST_FILES):
        pytest.skip("MNIST's idx files are not here")
    return folder


def test_one_command_trains_exports_and_proves_a_model(mnist_folder, tmp_path):
    command = [
        "-m",
        "training.train",
        "--data",
        str(mnist_folder),
        "--out",
        str(tmp_path),
        "--epochs",
        "1",
        "--limit",
        "640",
    ]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Keras and ONNX Runtime agree on 640 crops" in done.stdout
    model = load_model(tmp_path / "digits.onnx")
    assert model.probabilities(np.zeros((3, 28, 28), np.uint8)).shape == (3, 11)
    assert (tmp_path / "digits.keras").is_file()


def test_the_folded_network_computes_the_same():
    rng = np.random.default_rng(0)
    model = build_network()
    for layer in model.layers:
        if layer.name.endswith("_norm"):
            layer.set_weights([rng.uniform(0.5, 1.5, weights.shape) for weights in layer.get_weights()])
    crops = rng.random((16, 28, 28, 1), dtype=np.float32)
    expected, folded = (np.asarray(network(crops, training=False)) for network in (model, fold(model)))
    assert np.abs(expected - folded).max() < 1e-4


def test_a_file_that_disagrees_with_keras_is_refused():
    crops = np.random.default_rng(0).integers(0, 256, (20, 28, 28), dtype=np.uint8)
    model = build_network()
    proto = export.convert(model)
    assert export.prove_agreement(model, proto, crops) < 1e-4
    model.get_layer("logits").set_weights([weights + 0.01 for weights in model.get_layer("logits").get_weights()])
    with pytest.raises(ValueError, match="disagree"):
        export.prove_agreement(model, proto, crops)


def test_nothing_of_the_machine_is_in_the_shipped_file():
    content = SHIPPED.read_bytes()
    assert not any(
        word in content for word in (b"/home/", b"/root/", b"/work", b"/tmp", b"site-packages", b"\\Users\\")
    )


def test_a_model_without_its_contract_is_refused(tmp_path):
    export.write_model(export.convert(build_network()), {"docscan.format": "0"}, tmp_path / "digits.onnx")
    with pytest.raises(ModelError, match=r"docscan\.format is '0'"):
        load_model(tmp_path / "digits.onnx")
