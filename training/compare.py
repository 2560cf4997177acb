"""Methods old and new, trained and tested in one run on the same crops -> one table.

    python -m training.compare --data ../shared/data --report report/

Every method is trained on MNIST's training digits alone, as they are: no augmentation, no other set, nothing tuned.
The shipped model, which was trained on more, is listed beside them, and so is its architecture trained as the others.
"""

import argparse
import pickle
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime import InferenceSession, SessionOptions

from docscan.records import NOT_A_DIGIT
from docscan.stages.classify import SHIPPED, load_model
from docscan.stages.normalise import FIELD_PX, normalise_all
from training.acceptance import page_crops_of
from training.augment import through_normalise
from training.calibrate import Judged
from training.crops import labelled_boxes
from training.data import Digits, Mnist, load_mnist
from training.evaluate import SERVED, SURE, Bar, Rows, Scores, digits_per_second, load_bars
from training.export import LARGEST_DIFFERENCE, OPSET, as_input
from training.hand import Writer, draw_digit
from training.network import build_network
from training.pages import KINDS, crop_source, draw_page
from training.report import (
    Curve,
    judged,
    plot_confusion,
    plot_drawn_beside_real,
    plot_error_reject,
    plot_learning_curves,
    plot_reliability,
    plot_worst_mistakes,
)
from training.stocks import HELD_OUT_ROW, cheque_strings

EPOCHS = 6
BATCH = 128
SVM_CROPS = 20_000  # fitting takes at least the square of their number
PAGES_A_KIND = 3
TIMED_SECONDS = 2.0
TIMED_SECONDS_LIMITED = 0.1
PAGES = "pages"
SHEET_CROPS = 12  # of each digit, drawn and real


@dataclass(frozen=True, slots=True, eq=False)
class Reader:
    """A trained method."""

    name: str
    scores: Scores
    trained_on: str
    parameters: int
    """Numbers that training set or kept."""
    size: int
    """Bytes of the file that holds them: ONNX, or a pickle."""
    has_confidence: bool = True
    """False where the scores are no probabilities."""
    curve: Curve | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table."""

    name: str
    trained_on: str
    shares: tuple[float | None, ...]
    """A column each: accuracy on a set of digits, or the share of non-digits called a digit for sure."""
    parameters: int
    size: int
    speed: float
    """Digits a second on one core."""


@dataclass(frozen=True, slots=True)
class Network:
    """A method of the literature that Keras trains."""

    name: str
    build: Callable[[], Any]
    """An untrained keras.Model: crops (N, 28, 28, 1) -> chances (N, 10)."""
    optimiser: Callable[[], Any]


@dataclass(frozen=True, slots=True, eq=False)
class PageDigits:
    """Digits cut from drawn pages, and how many were written there."""

    crops: Digits
    written: int


def compare(
    data: Path, *, rows: Rows, epochs: int, seed: int, limit: int | None
) -> tuple[str, list[Reader], list[Bar]]:
    """Train all, test all: the table in Markdown, and what the pictures of a report are made of."""
    mnist = _limited(load_mnist(data), limit)
    pages = page_digits(mnist.test, PAGES_A_KIND if limit is None else 1, seed)
    bars = [*load_bars(data, rows), Bar(PAGES, pages.crops)]
    bars = [Bar(bar.name, bar.crops.where(slice(limit)), bar.at_least) for bar in bars]
    timed_seconds = TIMED_SECONDS if limit is None else TIMED_SECONDS_LIMITED
    readers, lines = [], []
    for train in _methods(mnist, epochs, seed):
        started = time.perf_counter()
        reader = train()
        seconds = time.perf_counter() - started
        lines.append(measured(reader, bars, timed_seconds))
        readers.append(reader)
        print(f"{reader.name}: made in {seconds:.0f} s, {_percent(lines[-1].shares[0])} on {bars[0].name}", flush=True)
    notes = (
        f"% read right; n in brackets. Sets for evaluation only: {rows} rows. Pages: {pages.written:,} MNIST test "
        f"digits on {len(KINDS)} kinds of drawn page, of which docscan cut {len(pages.crops):,} as they were written. "
        f"Letters: % called a digit with confidence over {SURE}. {epochs} epochs, seed {seed}. "
        f"Speed: one thread, batches of {SERVED}, from crops to scores."
    )
    return f"{table(lines, bars)}\n\n{notes}", readers, bars


def _limited(mnist: Mnist, limit: int | None) -> Mnist:
    """The first `limit` crops of each part; None keeps all."""
    return Mnist(*(part.where(slice(limit)) for part in (mnist.train, mnist.validation, mnist.test)))


def _methods(mnist: Mnist, epochs: int, seed: int) -> list[Callable[[], Reader]]:
    return [
        lambda: nearest_neighbours(mnist.train),
        lambda: support_vectors(mnist.train, seed),
        *(lambda network=network: trained_network(network, mnist, epochs, seed) for network in NETWORKS),
        shipped,
    ]


def nearest_neighbours(train: Digits) -> Reader:
    """The three nearest training crops by Euclidean distance, the nearer weighing more."""
    from sklearn.neighbors import KNeighborsClassifier

    model = KNeighborsClassifier(3, weights="distance", algorithm="brute").fit(_flat(train.images), train.labels)
    return Reader(
        "k nearest neighbours (3, by distance)",
        lambda crops: _in_columns(model.predict_proba(_flat(crops)), model.classes_),
        f"{len(train):,}",
        parameters=train.images.size,
        size=len(pickle.dumps(model)),
    )


def support_vectors(train: Digits, seed: int) -> Reader:
    """A support vector machine with radial kernel, fitted on a random part of the training digits."""
    from sklearn.svm import SVC

    rows = np.random.default_rng(seed).permutation(len(train))[:SVM_CROPS]
    model = SVC(C=5, gamma="scale", kernel="rbf", cache_size=1000).fit(_flat(train.images[rows]), train.labels[rows])
    return Reader(
        "SVM (radial, C 5)",
        lambda crops: _in_columns(model.decision_function(_flat(crops)), model.classes_),
        f"{len(rows):,} of {len(train):,}",
        parameters=model.support_vectors_.size + model.dual_coef_.size + model.intercept_.size,
        size=len(pickle.dumps(model)),
        has_confidence=False,  # scikit-learn's are a second fit by cross-validation
    )


def _in_columns(scores: NDArray[np.float64], classes: NDArray[np.int64]) -> NDArray[np.float32]:
    """Scores (N, K) of the classes (K,) trained on -> (N, 10), the lowest possible where a digit was never shown."""
    every = np.full((len(scores), 10), np.finfo(np.float32).min, np.float32)
    every[:, classes] = scores
    return every


def _flat(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    return as_input(crops).reshape(len(crops), -1)


def one_hidden_layer() -> Any:
    """784 units between the pixels and the digits."""
    import keras

    layers = keras.layers
    return _stack(layers.Flatten(), layers.Dense(784, "relu"))


def classic_cnn() -> Any:
    """One convolution, one pool, one dense layer."""
    import keras

    layers = keras.layers
    return _stack(
        layers.Conv2D(32, 5, activation="relu"),
        layers.MaxPooling2D(),
        layers.Dropout(0.2),
        layers.Flatten(),
        layers.Dense(128, "relu"),
    )


def two_conv_cnn() -> Any:
    """Two convolutions before the pool: the network of Keras's own MNIST example, its dense layer twice as wide."""
    import keras

    layers = keras.layers
    return _stack(
        layers.Conv2D(32, 3, activation="relu"),
        layers.Conv2D(64, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Dropout(0.25),
        layers.Flatten(),
        layers.Dense(256, "relu"),
        layers.Dropout(0.5),
    )


def stacked_cnn() -> Any:
    """Four small convolutions about one wide pool; unpadded, the last map is a single pixel."""
    import keras

    layers = keras.layers
    return _stack(
        layers.Conv2D(20, 6, activation="relu"),
        layers.Conv2D(20, 3, activation="relu"),
        layers.MaxPooling2D(4),
        layers.Conv2D(10, 3, activation="relu"),
        layers.Conv2D(10, 3, activation="relu"),
        layers.Flatten(),
        layers.Dense(30, "relu"),
    )


def ours_plain() -> Any:
    """The network docscan ships, its logits made chances."""
    import keras

    network = build_network()
    return keras.Model(network.inputs, keras.layers.Softmax()(network.outputs[0]))


def _stack(*layers: Any) -> Any:
    import keras

    return keras.Sequential([keras.Input((FIELD_PX, FIELD_PX, 1)), *layers, keras.layers.Dense(10, "softmax")])


def _adam() -> Any:
    import keras

    return keras.optimizers.Adam()


def _adadelta() -> Any:
    import keras

    # The rate of Zeiler's paper (arXiv:1212.5701), which has none; Keras's default of 0.001 trains nothing in 6 epochs.
    return keras.optimizers.Adadelta(1.0)


NETWORKS = (
    Network("MLP, 784 hidden", one_hidden_layer, _adam),
    Network("classic CNN", classic_cnn, _adam),
    Network("two-conv CNN, Adadelta", two_conv_cnn, _adadelta),
    Network("stacked CNN", stacked_cnn, _adam),
    Network("ours, trained as these", ours_plain, _adam),
)


def trained_network(network: Network, mnist: Mnist, epochs: int, seed: int) -> Reader:
    """A network trained on the plain crops, and read through ONNX Runtime."""
    import keras

    keras.utils.set_random_seed(seed)
    model = network.build()
    model.compile(network.optimiser(), "sparse_categorical_crossentropy", metrics=["accuracy"])
    held_out = as_input(mnist.validation.images), mnist.validation.labels
    train = as_input(mnist.train.images), mnist.train.labels
    went = model.fit(*train, batch_size=BATCH, epochs=epochs, validation_data=held_out, verbose=0).history
    content = exported(model)
    scores = onnx_scores(content)
    prove_same(model, scores, mnist.validation.images[:SERVED])
    curve = Curve(network.name, tuple(went["loss"]), tuple(1 - share for share in went["val_accuracy"]))
    return Reader(
        network.name,
        scores,
        f"{len(mnist.train):,}",
        weights_of(onnx.load_from_string(content)),
        len(content),
        curve=curve,
    )


def exported(model: Any) -> bytes:
    """Any keras.Model of crops (N, 28, 28, 1) as an ONNX file."""
    import tensorflow as tf
    import tf2onnx

    signature = [tf.TensorSpec((None, FIELD_PX, FIELD_PX, 1), tf.float32, name="crops")]
    function = tf.function(
        lambda crops: {"chances": model(crops, training=False)}, input_signature=signature, autograph=False
    )
    proto, _ = tf2onnx.convert.from_function(function, input_signature=signature, opset=OPSET)
    return bytes(proto.SerializeToString())


def onnx_scores(content: bytes) -> Scores:
    """An ONNX file run as docscan runs its own: on one thread, in batches."""
    options = SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = InferenceSession(content, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def scores(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        batches = (as_input(crops[start : start + SERVED]) for start in range(0, len(crops), SERVED))
        return np.concatenate([session.run(None, {name: batch})[0] for batch in batches])

    return scores


def prove_same(model: Any, scores: Scores, crops: NDArray[np.uint8]) -> None:
    """Raise ValueError where Keras and the exported file differ on crops (N, 28, 28) uint8 by 1e-4 or more."""
    difference = float(np.abs(model.predict_on_batch(as_input(crops)) - scores(crops)).max())
    if difference >= LARGEST_DIFFERENCE:
        raise ValueError(f"{model.name}: Keras and ONNX Runtime differ by {difference:.2g}, expected under 1e-4")


def weights_of(proto: Any) -> int:
    """How many weights a model file holds; shapes and axes, which are long integers, are not weights."""
    shapes = onnx.TensorProto.INT32, onnx.TensorProto.INT64
    held = [weights for weights in proto.graph.initializer if weights.data_type not in shapes]
    return int(sum(np.prod(weights.dims, dtype=np.int64) for weights in held))


def shipped() -> Reader:
    """The model that docscan carries, through docscan's own classifier."""
    parameters = weights_of(onnx.load(SHIPPED))
    return Reader("**ours, shipped**", load_model().probabilities, "its own recipe", parameters, SHIPPED.stat().st_size)


def measured(reader: Reader, bars: Sequence[Bar], timed_seconds: float) -> Row:
    """What one method reaches on every set, and how fast."""
    shares = tuple(_share(reader, bar) for bar in bars)
    speed = digits_per_second(reader.scores, bars[0].crops.images, timed_seconds)
    return Row(reader.name, reader.trained_on, shares, reader.parameters, reader.size, speed)


def _share(reader: Reader, bar: Bar) -> float | None:
    if _is_of_digits(bar):
        return float(np.mean(reader.scores(bar.crops.images).argmax(axis=1) == bar.crops.labels))
    if not reader.has_confidence:
        return None
    return float(np.mean(reader.scores(bar.crops.images)[:, :NOT_A_DIGIT].max(axis=1) > SURE))


def _is_of_digits(bar: Bar) -> bool:
    return bool((bar.crops.labels != NOT_A_DIGIT).any())


def page_digits(test: Digits, pages_a_kind: int, seed: int) -> PageDigits:
    """MNIST's test digits written on drawn pages of every kind, cut out again by docscan's own stages."""
    source = crop_source(test.images, test.labels)
    parts, written = [], 0
    for number, kind in enumerate(KINDS):
        for page_number in range(pages_a_kind):
            page = draw_page(kind, np.random.default_rng([seed, number, page_number]), digits_source=source)
            parts.append(page_crops_of([page]))
            written += sum(len(found.digits) for found in page.numbers)
    images = np.concatenate([part.images for part in parts])
    return PageDigits(Digits(images, np.concatenate([part.labels for part in parts])), written)


def table(lines: Sequence[Row], bars: Sequence[Bar]) -> str:
    """The results in Markdown, a line a method; the best of each set is not marked, the reader has eyes."""
    sets = [f"{bar.name} ({len(bar.crops):,})" for bar in bars]
    head = ["method", "trained on", *sets, "parameters", "file, MB", "digits a second"]
    body = [
        [
            *(line.name, line.trained_on, *map(_percent, line.shares)),
            *(f"{line.parameters:,}", f"{line.size / 1e6:.2f}", f"{float(f'{line.speed:.3g}'):,.0f}"),
        ]
        for line in lines
    ]
    ruler = ["---", "---", *["--:"] * (len(head) - 2)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ruler, *body])


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.2f}"


def write_report(folder: Path, text: str, readers: Sequence[Reader], bars: Sequence[Bar], data: Path) -> None:
    """The table and the pictures; the last reader, the shipped model, is looked at closely."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "table.md").write_text(text + "\n", encoding="utf-8", newline="\n")
    plot_learning_curves([reader.curve for reader in readers if reader.curve is not None], folder / "learning.png")
    ours = readers[-1]
    for bar in filter(_is_of_digits, bars):
        chances = ours.scores(bar.crops.images)
        plot_worst_mistakes(bar.crops, chances, folder / f"mistakes-{bar.name.replace(' ', '-')}.png")
        if bar.name == PAGES:
            plot_confusion(bar.crops.labels, chances.argmax(axis=1), folder / "confusion.png")
            plot_reliability(judged(chances, bar.crops.labels), folder / "reliability.png")
            plot_error_reject(_all_judged(readers, bar.crops), folder / "error-reject.png")
    plot_drawn_beside_real(_drawn_crops(), _real_crops(data), folder / "drawn.png", SHEET_CROPS)


def _all_judged(readers: Sequence[Reader], crops: Digits) -> dict[str, Judged]:
    return {
        reader.name.strip("*"): judged(reader.scores(crops.images), crops.labels)
        for reader in readers
        if reader.has_confidence
    }


def _drawn_crops() -> Digits:
    """Drawn digits, each by a hand of its own."""
    rng = np.random.default_rng(0)
    labels = np.tile(np.arange(10), SHEET_CROPS)
    strokes = [draw_digit(int(label), Writer.random(rng), rng, 40.0) for label in labels]
    return Digits(np.array([through_normalise(ink, 110) for ink in strokes]), labels.astype(np.int64))


def _real_crops(data: Path) -> Digits:
    """Digits of cheques, of the rows that may be trained on; few of one hand."""
    crops, labels = [], []
    for number, (gray, digits) in enumerate(cheque_strings(data)):
        if number % HELD_OUT_ROW:
            crops += labelled_boxes(gray, [box for _, box in digits])
            labels += [label for label, _ in digits]
    order = np.random.default_rng(0).permutation(len(labels))
    return Digits(normalise_all([crops[row] for row in order]), np.array(labels, dtype=np.int64)[order])


def main() -> None:
    """Compare from the command line."""
    parser = argparse.ArgumentParser(prog="python -m training.compare", description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder with mnist/, train/ and evaluation/")
    parser.add_argument("--report", type=Path, help="folder for the table and the pictures; real crops are in them")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help=f"passes over the digits ({EPOCHS})")
    parser.add_argument("--seed", type=int, default=1, help="of weights, order and pages (1)")
    parser.add_argument(
        "--rows", choices=["all", "even", "odd"], default="odd", help="of the evaluation-only sets (odd)"
    )
    parser.add_argument("--limit", type=int, help="use only this many digits of each set: a smoke test")
    options = parser.parse_args()
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
    text, readers, bars = compare(
        options.data, rows=options.rows, epochs=options.epochs, seed=options.seed, limit=options.limit
    )
    print(f"\n{text}")
    if options.report is not None:
        write_report(options.report, text, readers, bars, options.data)


if __name__ == "__main__":
    main()
