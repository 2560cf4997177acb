"""Strips of every hand -> docscan/models/strings.onnx, the reader of whole strings, in one command, from nothing.

    python -m training.train_strings --data ../shared/data --out docscan/models

Composed strings teach it every hand, real cheques how hands run together: first mostly the former, then mostly the
latter, every strip bent anew each time it is shown. The weights shipped are the mean of those of the last steps.
Keras 3 on any backend; the export at the end needs TensorFlow and can be made elsewhere: `--export` makes it of the
strings.keras in --out.
"""

import argparse
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from docscan.stages.classify import FORMAT, LABELS, StringModel, load_string_model
from docscan.stages.strings import BLANK, PLANES, STRIP_CONTRACT, STRIP_PX, Strip, chosen
from training.export import OPSET, commit, tidied, write_model
from training.learning import mean_weights
from training.network import products_of
from training.quantise import quantise
from training.string_mixture import BATCH, ROUND_PX, Batch, Showing, StringPools, prepare, shown, stacked
from training.string_network import build_string_network, fold_strings
from training.strings import LabelledStrip, StringStocks, load_string_stocks

STEPS = 9_600
PEAK_RATE = 2e-3
WARM_UP = 0.04  # of all steps
WEIGHT_DECAY = 0.02
AVERAGED_SHARE = 0.08
AVERAGED_EVERY = 20  # steps
REFRESH_BATCHES = 150  # that teach the batch normalisations the averaged weights
COMPOSED = 80_000
FEW_WIDTHS_PX = 64  # widths of batches where every width is compiled
LONGEST_TEXT = 24  # of two cheques spliced, and more
AGREEMENT_STRIPS = 64
QUANTISED_ON = 600  # strips that show how large the network's values become
QUANTISED_PX = 192  # the widest of them
LARGEST_DIFFERENCE = 1e-3  # of any logit, between Keras and ONNX Runtime
TEMPERATURES = tuple(round(0.6 * 1.1**power, 2) for power in range(22))  # 0.6 to 4.4


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a person may change on the command line."""

    data: Path
    out: Path
    steps: int = STEPS
    composed: int = COMPOSED
    seed: int = 1
    bfloat16: bool = False
    jobs: int = 1

    def command(self) -> str:
        """The command line that trains this again; paths are left to the reader."""
        fast = " --bfloat16" if self.bfloat16 else ""
        return (
            f"python -m training.train_strings --steps {self.steps} --composed {self.composed} --seed {self.seed}{fast}"
        )


def fit(pools: StringPools, recipe: Recipe, checkpoints: Path | None = None) -> Any:
    """The network trained on the pools, its weights averaged over the last steps."""
    import keras

    with products_of(bfloat16=recipe.bfloat16):
        model = build_string_network(quick=True)
    is_compiled = keras.backend.backend() == "jax"
    stepper = _tensorflow_stepper if keras.backend.backend() == "tensorflow" else _stepper
    step, averaged, losses = stepper(model, _optimiser(recipe)), [], []
    started = time.perf_counter()
    print(f"{model.count_params():,} parameters, {recipe.steps * BATCH:,} strips shown", flush=True)
    recent: list[Batch] = []
    showing = Showing(recipe.steps, recipe.seed, recipe.jobs, FEW_WIDTHS_PX if is_compiled else ROUND_PX)
    for number, batch in enumerate(shown(pools, showing), start=1):
        losses.append(float(step(batch)))
        recent = [*recent[1 - REFRESH_BATCHES :], batch]
        if number > (1 - AVERAGED_SHARE) * recipe.steps and number % AVERAGED_EVERY == 0:
            averaged.append(model.get_weights())
        if number % max(1, recipe.steps // 12) == 0:
            seconds = time.perf_counter() - started
            loss = np.mean(losses[-100:])
            print(
                f"{number}/{recipe.steps}: loss {loss:.3f}, {shares(model, pools.judged)}, {seconds:.0f} s", flush=True
            )
            if checkpoints is not None:
                model.save_weights(checkpoints / "checkpoint.weights.h5")
    trained, last = build_string_network(), (as_input(batch.pixels) for batch in recent)
    trained.set_weights(mean_weights(averaged or [model.get_weights()], build_string_network(quick=True), last))
    print(f"averaged weights: {shares(trained, pools.judged)}", flush=True)
    return trained


def _optimiser(recipe: Recipe) -> Any:
    import keras

    rate = keras.optimizers.schedules.CosineDecay(
        0.0, recipe.steps, warmup_target=PEAK_RATE, warmup_steps=round(WARM_UP * recipe.steps)
    )
    optimiser = keras.optimizers.AdamW(rate, weight_decay=WEIGHT_DECAY, global_clipnorm=5.0)
    optimiser.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimiser


def _stepper(model: Any, optimiser: Any) -> Callable[[Batch], Any]:
    """A step of training on any backend."""
    import keras

    def loss(texts: Any, logits: Any) -> Any:
        # Without a digit, a path of blanks alone: the general loss takes no empty text on every backend.
        lengths = keras.ops.sum(keras.ops.cast(texts >= 0, "int32"), axis=1)
        steps = keras.ops.full_like(lengths, logits.shape[1])
        written = keras.ops.maximum(texts, 0)
        of_text = keras.ops.ctc_loss(written, logits, keras.ops.maximum(lengths, 1), steps, mask_index=BLANK)
        of_nothing = -keras.ops.sum(keras.ops.log_softmax(logits)[..., BLANK], axis=1)
        return keras.ops.where(lengths > 0, of_text, of_nothing)

    model.compile(optimiser, loss)

    def run(batch: Batch) -> Any:
        texts = np.full((len(batch.texts), LONGEST_TEXT), -1, np.int32)
        for row, text in zip(texts, batch.texts, strict=True):
            row[: len(text)] = [int(digit) for digit in text]
        return model.train_on_batch(as_input(batch.pixels), texts)

    return run


def _tensorflow_stepper(model: Any, optimiser: Any) -> Callable[[Batch], Any]:
    """The same on TensorFlow, whose own CTC takes a fraction of the time on processors."""
    import tensorflow as tf

    optimiser.build(model.trainable_variables)
    strips = tf.TensorSpec((None, STRIP_PX, None, PLANES), tf.uint8)
    digits = tf.SparseTensorSpec((None, None), tf.int32)

    @tf.function(input_signature=[strips, digits, tf.TensorSpec((None,), tf.bool)], autograph=False)  # type: ignore[untyped-decorator]
    def step(pixels: Any, labels: Any, is_written: Any) -> Any:
        with tf.GradientTape() as tape:
            logits = tf.cast(model(tf.cast(pixels, tf.float32) / 255, training=True), tf.float32)
            steps = tf.fill(tf.shape(logits)[:1], tf.shape(logits)[1])
            # It takes no empty label, so those are counted apart.
            of_text = tf.compat.v1.nn.ctc_loss(
                labels, tf.transpose(logits, [1, 0, 2]), steps, ignore_longer_outputs_than_inputs=True
            )
            of_nothing = -tf.reduce_sum(tf.nn.log_softmax(logits)[..., BLANK], axis=1)
            loss = tf.reduce_mean(tf.where(is_written, of_text, of_nothing))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimiser.apply(gradients, model.trainable_variables)
        return loss

    def run(batch: Batch) -> Any:
        texts = [text or "0" for text in batch.texts]
        places = [(row, place) for row, text in enumerate(texts) for place in range(len(text))]
        values = np.array([int(digit) for text in texts for digit in text], np.int32)
        labels = tf.SparseTensor(np.array(places, np.int64), values, (len(texts), max(map(len, texts))))
        return step(tf.constant(batch.pixels), labels, tf.constant([text != "" for text in batch.texts]))

    return run


def as_input(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Strips (N, 32, W, 2) uint8 -> the network's input float32, 0..1."""
    return np.multiply(pixels, np.float32(1 / 255), dtype=np.float32)


def logits_of(model: Any, strips: Sequence[LabelledStrip]) -> list[NDArray[np.float32]]:
    """A Keras model's logits (steps, 11) of each strip."""
    found: list[NDArray[np.float32]] = [np.empty((0, BLANK + 1), np.float32)] * len(strips)
    order = sorted(range(len(strips)), key=lambda row: strips[row].pixels.shape[1])
    for first in range(0, len(order), BATCH):
        rows = order[first : first + BATCH]
        batch = stacked([strips[row].pixels for row in rows], round_px=FEW_WIDTHS_PX)
        logits = np.asarray(model.predict_on_batch(as_input(batch)), np.float32)
        for row, own in zip(rows, logits, strict=True):
            found[row] = own
    return found


def likeliest(logits: NDArray[np.float32]) -> str:
    """The text of the likeliest path: quick, and nearly always the likeliest text."""
    path = logits.argmax(axis=1)
    changes = np.flatnonzero(np.diff(path, prepend=-1))
    return "".join(str(label) for label in path[changes] if label != BLANK)


def shares(model: Any, judged: Mapping[str, Sequence[LabelledStrip]]) -> str:
    """Of each set of strips, how many are read right as a whole."""
    found = []
    for name, strips in judged.items():
        texts = [likeliest(own) for own in logits_of(model, strips)]
        found.append(f"{name} {np.mean([text == own.text for text, own in zip(texts, strips, strict=True)]):.1%}")
    return ", ".join(found)


def ship_strings(model: Any, pools: StringPools, recipe: Recipe, training_data: str) -> Path:
    """Prove the export, make it integers, fit the temperature on the judged strips and write strings.onnx."""
    shipped, judged = recipe.out / "strings.onnx", pools.judged
    proto = convert_strings(model)
    metadata = {
        "docscan.format": FORMAT,
        "docscan.strip": STRIP_CONTRACT,
        "docscan.labels": LABELS,
        "docscan.temperature": "1.0",
        "docscan.training_data": training_data,
        "docscan.recipe": recipe.command(),
        "docscan.commit": commit(),
    }
    write_model(proto, metadata, shipped)
    reader = load_string_model(shipped)
    everything = [strip for strips in judged.values() for strip in strips]
    print(f"Keras and ONNX Runtime agree to {prove_same_steps(model, reader, everything[:AGREEMENT_STRIPS]):.1e}")
    in_floats = rights(reader, judged)
    proto = quantise(proto, as_input(stacked(_to_quantise_on(pools), round_px=QUANTISED_PX)))
    write_model(proto, metadata, shipped)
    reader = load_string_model(shipped)
    temperature = fit_string_temperature(reader, judged)
    accuracy = ", ".join(
        f"{name} {right:.1%} ({in_floats[name]:.1%} in floats)" for name, right in rights(reader, judged).items()
    )
    metadata |= {"docscan.temperature": repr(temperature), "docscan.accuracy": f"whole strings right: {accuracy}"}
    write_model(proto, metadata, shipped)
    print(f"{shipped.name}: {shipped.stat().st_size / 1e6:.2f} MB, temperature {temperature}, {accuracy}")
    return shipped


def _to_quantise_on(pools: StringPools) -> list[NDArray[np.uint8]]:
    """Strips of both kinds that were trained on."""
    kinds = list(pools.composed), [spoiled[0] for spoiled in pools.cheques]
    chosen = [strip.pixels for kind in kinds for strip in kind if strip.pixels.shape[1] <= QUANTISED_PX]
    return chosen[:: max(1, -(-len(chosen) // QUANTISED_ON))]


def convert_strings(model: Any) -> Any:
    """The network as an onnx.ModelProto: input "strips" (None, 32, None, 2), output "logits" (None, None, 11)."""
    import tensorflow as tf
    import tf2onnx

    folded = fold_strings(model)
    signature = [tf.TensorSpec((None, STRIP_PX, None, PLANES), tf.float32, name="strips")]
    function = tf.function(
        lambda strips: {"logits": folded(strips, training=False)}, input_signature=signature, autograph=False
    )
    proto, _ = tf2onnx.convert.from_function(function, input_signature=signature, opset=OPSET)
    return tidied(proto, "strips", "strings")


def prove_same_steps(model: Any, reader: StringModel, strips: Sequence[LabelledStrip]) -> float:
    """The largest difference of any logit between Keras and ONNX Runtime; ValueError where it is 1e-3 or more."""
    batch = as_input(stacked([strip.pixels for strip in strips]))
    [found] = reader.session.run(None, {"strips": batch})
    largest = float(np.abs(np.asarray(model(batch, training=False)) - found).max())
    if largest >= LARGEST_DIFFERENCE:
        raise ValueError(f"Keras and ONNX Runtime disagree: logits differ by up to {largest:.2g}")
    return largest


def fit_string_temperature(reader: StringModel, judged: Mapping[str, Sequence[LabelledStrip]]) -> float:
    """The temperature at which whole strings are right as often as the model says; every set counts the same."""
    best = (np.inf, 1.0)
    rivals = {
        name: reader.rivals(
            [Strip(own.pixels, 0.0, 1.0) for own in strips], reader.posteriors([own.pixels for own in strips])
        )
        for name, strips in judged.items()
    }
    for temperature in TEMPERATURES:
        losses = []
        for name, strips in judged.items():
            readings = [chosen(own, temperature) for own in rivals[name]]
            chances = np.clip([reading.probability for reading in readings], 1e-4, 1 - 1e-4)
            right = np.array([one.text == strip.text for one, strip in zip(readings, strips, strict=True)])
            losses.append(float(np.mean(-np.log(np.where(right, chances, 1 - chances)))))
        best = min(best, (float(np.mean(losses)), temperature))
    return best[1]


def rights(reader: StringModel, judged: Mapping[str, Sequence[LabelledStrip]]) -> dict[str, float]:
    """Of each set of strips, the share read right as a whole."""
    found = {}
    for name, strips in judged.items():
        readings = reader.read([Strip(strip.pixels, 0.0, 1.0) for strip in strips])
        found[name] = float(np.mean([one.text == own.text for one, own in zip(readings, strips, strict=True)]))
    return found


def main() -> None:
    """Train from the command line."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    parser = argparse.ArgumentParser(prog="python -m training.train_strings", description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder with mnist/ and train/")
    parser.add_argument("--out", type=Path, required=True, help="folder for strings.onnx")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"of {BATCH} strips ({STEPS})")
    parser.add_argument("--composed", type=int, default=COMPOSED, help=f"strings to compose ({COMPOSED})")
    parser.add_argument("--seed", type=int, default=1, help="of weights, order and augmentation (1)")
    parser.add_argument("--jobs", type=int, default=1, help="processes that draw and bend (1)")
    parser.add_argument("--bfloat16", action="store_true", help="twice as fast on processors that have it")
    parser.add_argument("--export", action="store_true", help="train nothing: export the strings.keras that is there")
    options = parser.parse_args()
    train(
        Recipe(
            options.data, options.out, options.steps, options.composed, options.seed, options.bfloat16, options.jobs
        ),
        is_trained=options.export,
    )


def train(recipe: Recipe, *, is_trained: bool = False) -> None:
    """Train, save strings.keras, and on TensorFlow prove the export and write strings.onnx with what it measures."""
    import keras

    keras.utils.set_random_seed(recipe.seed)
    recipe.out.mkdir(parents=True, exist_ok=True)
    stocks = load_string_stocks(recipe.data)
    composed = QUANTISED_ON if is_trained else recipe.composed
    pools = prepare(stocks, composed, recipe.seed, recipe.jobs)
    if is_trained:
        model = keras.models.load_model(recipe.out / "strings.keras", compile=False)
    else:
        model = fit(pools, recipe)
        model.save(recipe.out / "strings.keras")
    if keras.backend.backend() == "tensorflow":
        ship_strings(model, pools, recipe, described(stocks, recipe))
    else:
        print("Export it where TensorFlow is, with the same options and --export: KERAS_BACKEND=tensorflow")


def described(stocks: StringStocks, recipe: Recipe) -> str:
    """What was trained on, for the metadata."""
    sources = ", ".join(f"{hands.name} {len(hands.labels)}" for hands in stocks.hands)
    return f"{len(stocks.cheques)} cheque amounts, {recipe.composed} strings composed of {sources}"


if __name__ == "__main__":
    main()
