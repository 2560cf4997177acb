"""Keras model -> digits.onnx with its contract in the metadata. The one step that needs TensorFlow and tf2onnx.

    python -m training.export docscan/models --data ../shared/data

training/train.py does this by itself where Keras runs on TensorFlow.
"""

import argparse
import functools
import json
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime import InferenceSession

from docscan.stages.classify import FORMAT, LABELS, load_model
from docscan.stages.normalise import CROP_CONTRACT, FIELD_PX
from training.acceptance import PAGES_A_KIND, PAGES_SEED, crops_of, drawn_pages
from training.augment import through_normalise
from training.data import Digits, load_mnist
from training.network import fold
from training.quantise import quantise
from training.weigh import Course, settle_trust, take

ORIGIN_FILE = "digits.json"
OPSET = 17
AGREEMENT_CROPS = 1000
QUANTISING_PAGES = 8  # of each kind
QUICK_BATCH = 512
KERAS_BATCH = 256
COMPILED_BATCH = 4096
PAGE_THRESHOLD = 110.0  # gray level that cuts ink from paper where a crop stands for one of a page
LARGEST_DIFFERENCE = 1e-4  # of any logit, between Keras and ONNX Runtime

Logits = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Of crops (N, 28, 28) uint8: (N, 11)."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a model came from, for its metadata."""

    training_data: str
    recipe: str
    """The command line that trains it again."""
    temperature: float
    """Fitted on held-out crops."""

    def write(self, out: Path) -> None:
        """Beside digits.keras, so that it can be exported later and elsewhere."""
        (out / ORIGIN_FILE).write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, out: Path) -> Self:
        """What `write` wrote."""
        return cls(**json.loads((out / ORIGIN_FILE).read_text(encoding="utf-8")))


def ship(model: Any, test: Digits, out: Path, origin: Origin, course: Course) -> None:
    """Prove the export, measure the file on digits it was not trained on, and write digits.onnx into `out`.

    What is read of the `course`, whose digits nobody trained on, tells how far a number can be trusted and how sure it
    must be for `--max-error`. The crops of its pages also tell how large the network's values become, which its
    integers need to know.
    """
    proto = convert(model)
    crops = test.images[:AGREEMENT_CROPS]
    print(f"Keras and ONNX Runtime agree on {len(crops)} crops to {prove_agreement(model, proto, crops):.1e}")
    shipped = out / "digits.onnx"
    metadata = contract(origin)
    write_model(proto, metadata, shipped)
    print(f"in floats: {measure(shipped, test)}")
    pages = drawn_pages(course.digits, PAGES_SEED, min(course.pages_a_kind, QUANTISING_PAGES))
    write_model(quantise(proto, as_input(crops_of(pages))), metadata, shipped)
    accuracy = measure(shipped, test)
    write_model(onnx.load(shipped), metadata | {"docscan.accuracy": accuracy}, shipped)
    print(f"{shipped.name}: {shipped.stat().st_size / 1e6:.2f} MB, temperature {origin.temperature}")
    print(f"in integers: {accuracy}")
    settle_trust(shipped, take(course, shipped))


def contract(origin: Origin) -> dict[str, str]:
    """The metadata of a model file: what docscan checks, then where the model came from."""
    return {
        "docscan.format": FORMAT,
        "docscan.crop": CROP_CONTRACT,
        "docscan.labels": LABELS,
        "docscan.temperature": repr(origin.temperature),
        "docscan.training_data": origin.training_data,
        "docscan.recipe": origin.recipe,
        "docscan.commit": commit(),
    }


def measure(path: Path, test: Digits) -> str:
    """Accuracy of a model file on test digits, MNIST's in training, as they are and as crops of a page would be."""
    model = load_model(path)
    pages = np.array([through_normalise(image, PAGE_THRESHOLD) for image in test.images])
    as_is, as_page = (model.probabilities(crops).argmax(axis=1) for crops in (test.images, pages))
    return (
        f"test digits {np.mean(as_is == test.labels):.2%} of {len(test)}, "
        f"{np.mean(as_page == test.labels):.2%} thresholded and through docscan's normalise"
    )


def logits_of(model: Any, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A Keras model's logits (N, 11) of crops (N, 28, 28) uint8."""
    return _by_batches(lambda batch: np.asarray(model.predict_on_batch(as_input(batch))), KERAS_BATCH, crops)


def quick(model: Any, crops: NDArray[np.uint8]) -> Logits:
    """Crops (N, 28, 28) uint8 -> a Keras model's logits (N, 11), as quickly as this machine computes them.

    On processors that is in integers, with ONNX Runtime; `crops` tell how large the network's values become.
    """
    import keras

    if keras.backend.backend() == "jax":
        return _compiled(model)
    if keras.backend.backend() != "tensorflow":
        return functools.partial(logits_of, model)
    proto = quantise(convert(model), as_input(crops))
    session = InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])

    def logits(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.asarray(session.run(None, {"crops": as_input(crops)})[0])

    return functools.partial(_by_batches, logits, QUICK_BATCH)


def _compiled(model: Any) -> Logits:
    """By one program of JAX's, for crops by the thousand."""
    import jax

    def said(trained: Any, others: Any, crops: Any) -> Any:
        return model.stateless_call(trained, others, crops[..., np.newaxis] / np.float32(255), training=False)[0]

    program = jax.jit(said)
    variables = model.trainable_variables, model.non_trainable_variables
    values = [[variable.value for variable in some] for some in variables]

    def logits(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        # A program is made anew for every number of crops.
        padded = np.pad(crops, ((0, COMPILED_BATCH - len(crops)), (0, 0), (0, 0)))
        return np.asarray(program(*values, padded))[: len(crops)]

    return functools.partial(_by_batches, logits, COMPILED_BATCH)


def _by_batches(logits: Logits, size: int, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.concatenate([logits(crops[first : first + size]) for first in range(0, len(crops), size)])


def convert(model: Any) -> Any:
    """The network as an onnx.ModelProto: input "crops" (None, 28, 28, 1), output "logits" (None, 11)."""
    import keras
    import tensorflow as tf
    import tf2onnx

    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            f"Keras runs on {keras.backend.backend()}; export needs TensorFlow: "
            "KERAS_BACKEND=tensorflow python -m training.export OUT"
        )
    folded = fold(model)
    signature = [tf.TensorSpec((None, FIELD_PX, FIELD_PX, 1), tf.float32, name="crops")]
    # Not tf2onnx.convert.from_keras: it raises KeyError on Keras 3.
    function = tf.function(
        lambda crops: {"logits": folded(crops, training=False)}, input_signature=signature, autograph=False
    )
    proto, _ = tf2onnx.convert.from_function(function, input_signature=signature, opset=OPSET)
    return tidied(proto)


def tidied(proto: Any, entry: str = "crops", name: str = "digits") -> Any:
    """The same graph with short names, `entry` and "logits" at its ends, and nothing of the machine it was made on."""
    graph = proto.graph
    names = {graph.input[0].name: entry, graph.output[0].name: "logits"}
    names |= {weights.name: f"w{index}" for index, weights in enumerate(graph.initializer)}
    for index, node in enumerate(graph.node):
        node.name, node.doc_string = f"{node.op_type.lower()}{index}", ""
        for position, output in enumerate(node.output):
            node.output[position] = names.setdefault(output, f"t{index}")
        for position, value in enumerate(node.input):
            node.input[position] = names.get(value, value)
    for value in [*graph.input, *graph.output, *graph.initializer]:
        value.name = names[value.name]
    del graph.value_info[:]
    proto.doc_string = graph.doc_string = ""
    graph.name = name
    return proto


def write_model(proto: Any, metadata: Mapping[str, str], path: Path) -> None:
    """Write the model with its metadata, whole or not at all."""
    onnx.helper.set_model_props(proto, dict(metadata))
    onnx.checker.check_model(proto, full_check=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.part")
    draft.write_bytes(proto.SerializeToString())
    draft.replace(path)


def prove_agreement(model: Any, proto: Any, crops: NDArray[np.uint8]) -> float:
    """The largest difference of any logit between Keras and ONNX Runtime over crops (N, 28, 28) uint8.

    Raises ValueError where it is 1e-4 or more, or where one crop is read differently.
    """
    expected = logits_of(model, crops)
    [found] = InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"]).run(
        None, {"crops": as_input(crops)}
    )
    difference = float(np.abs(expected - found).max())
    disagreeing = int(np.count_nonzero(expected.argmax(axis=1) != found.argmax(axis=1)))
    if difference >= LARGEST_DIFFERENCE or disagreeing:
        raise ValueError(
            f"Keras and ONNX Runtime disagree: logits differ by up to {difference:.2g} (expected under "
            f"{LARGEST_DIFFERENCE:g}), {disagreeing} of {len(crops)} crops are read differently"
        )
    return difference


def as_input(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Crops (N, 28, 28) uint8 -> the network's input (N, 28, 28, 1) float32, 1 = ink."""
    return np.multiply(crops[..., np.newaxis], np.float32(1 / 255), dtype=np.float32)


def commit() -> str:
    """The commit of the checkout this recipe stands in, or "unknown"."""
    command = ["git", "rev-parse", "HEAD"]
    try:
        found = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.stdout.strip()


def main() -> None:
    """Export the digits.keras of a folder into the same folder."""
    parser = argparse.ArgumentParser(prog="python -m training.export", description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path, help=f"the folder of digits.keras and {ORIGIN_FILE}; digits.onnx goes there")
    parser.add_argument("--data", type=Path, help="folder of MNIST's idx files, or its parent; else Keras fetches them")
    parser.add_argument("--jobs", type=int, default=1, help="processes that read drawn pages (1)")
    options = parser.parse_args()
    import keras

    model = keras.saving.load_model(options.out / "digits.keras")
    mnist = load_mnist(options.data)
    course = Course(mnist.validation, PAGES_A_KIND, options.data, options.jobs)
    ship(model, mnist.test, options.out, Origin.read(options.out), course)


if __name__ == "__main__":
    main()
