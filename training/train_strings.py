"""Strips of every hand -> docscan/models/strings.onnx, the reader of whole strings, in one command, from nothing.

    python -m training.train_strings --data ../shared/data --out docscan/models

Composed strings teach it every hand, real cheques how hands run together: first mostly the former, then mostly the
latter, every strip bent anew each time it is shown. The weights shipped are the mean of those of the last steps.
"""

import argparse
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from docscan.settings import Settings
from docscan.stages.classify import FORMAT, LABELS, StringModel, load_string_model
from docscan.stages.strings import BLANK, PLANES, STEP_PX, STRIP_CONTRACT, STRIP_PX, Strip, read_strips
from training.export import OPSET, commit, tidied, write_model
from training.string_network import build_string_network, fold_strings
from training.strings import (
    SPOILED,
    LabelledStrip,
    StringStocks,
    cheque_strip,
    composed_strip,
    load_string_stocks,
    spliced,
    strips_of,
)

BATCH = 64
GROUPED = 8  # batches drawn at once and sorted by width, so that little of a batch is padding
STEPS = 15_000
PEAK_RATE = 2e-3
WARM_UP = 0.04  # of all steps
WEIGHT_DECAY = 0.02
REAL_AT_FIRST, REAL_AT_LAST = 0.3, 0.62  # of the strips shown: cheques
LAST_PHASE = 0.5  # of all steps
SPLICED = 0.4  # of the cheques shown
AVERAGED_SHARE = 0.08
AVERAGED_EVERY = 20  # steps
REFRESH_BATCHES = 150  # that teach the batch normalisations the averaged weights
COMPOSED = 80_000
VALIDATION_STRIPS = 1000
AGREEMENT_STRIPS = 64
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

    def command(self) -> str:
        """The command line that trains this again; paths are left to the reader."""
        fast = " --bfloat16" if self.bfloat16 else ""
        return (
            f"python -m training.train_strings --steps {self.steps} --composed {self.composed} --seed {self.seed}{fast}"
        )


@dataclass(frozen=True, slots=True, eq=False)
class StringPools:
    """The strips to learn from and those to judge by; no source is in both."""

    composed: Sequence[LabelledStrip]
    cheques: Sequence[Sequence[LabelledStrip]]
    """Each as it is, then spoiled."""
    judged: Mapping[str, Sequence[LabelledStrip]]


def prepare(stocks: StringStocks, recipe: Recipe) -> StringPools:
    """All strips, through docscan's stages."""
    settings = Settings()
    composed = list(strips_of(lambda rng: composed_strip(stocks.hands, rng, settings), recipe.composed, recipe.seed))
    cheques = [
        [
            cheque_strip(
                cheque, np.random.default_rng((recipe.seed, cheque.row, spoiled)) if spoiled else None, settings
            )
            for spoiled in range(SPOILED)
        ]
        for cheque in stocks.cheques
    ]
    judged = {
        "cheques": [cheque_strip(cheque, None, settings) for cheque in stocks.validation_cheques],
        "composed": list(
            strips_of(
                lambda rng: composed_strip(stocks.validation_hands, rng, settings), VALIDATION_STRIPS, recipe.seed + 1
            )
        ),
    }
    return StringPools(composed, cheques, judged)


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Strips of like width."""

    pixels: NDArray[np.uint8]
    """(N, 32, width, 2)."""
    texts: tuple[str, ...]


def shown(pools: StringPools, recipe: Recipe) -> Iterator[Batch]:
    """What the network is shown, batch by batch."""
    rng = np.random.default_rng(recipe.seed)
    for first in range(0, recipe.steps, GROUPED):
        share = REAL_AT_FIRST if first < (1 - LAST_PHASE) * recipe.steps else REAL_AT_LAST
        if not pools.cheques:
            share = 0.0
        strips = [drawn(pools, rng, share) for _ in range(BATCH * GROUPED)]
        bent = [(bend(strip.pixels, rng), strip.text) for strip in strips]
        bent.sort(key=lambda pair: pair[0].shape[1])
        for place in rng.permutation(GROUPED)[: recipe.steps - first]:
            pixels, texts = zip(*bent[place * BATCH : (place + 1) * BATCH], strict=True)
            yield Batch(stacked(pixels, rng), texts)


def drawn(pools: StringPools, rng: np.random.Generator, share: float) -> LabelledStrip:
    """A strip to show; with the chance `share` a cheque's, or one spliced of two."""
    if rng.random() >= share:
        return pools.composed[int(rng.integers(len(pools.composed)))]
    one, other = (
        spoiled[int(rng.integers(len(spoiled)))]
        for spoiled in (pools.cheques[int(rng.integers(len(pools.cheques)))] for _ in range(2))
    )
    return spliced(one, other, rng) if rng.random() < SPLICED else one


def stacked(pixels: Sequence[NDArray[np.uint8]], rng: np.random.Generator | None = None) -> NDArray[np.uint8]:
    """Strips as one array (N, 32, width, 2), paper after each, and with `rng` sometimes a little before it."""
    widest = max(strip.shape[1] for strip in pixels)
    batch = np.zeros((len(pixels), STRIP_PX, -(-widest // 32) * 32, PLANES), np.uint8)
    for row, strip in zip(batch, pixels, strict=True):
        left = int(rng.integers(0, min(8, row.shape[1] - strip.shape[1]) + 1)) if rng is not None else 0
        row[:, left : left + strip.shape[1]] = strip
    return batch


def bend(pixels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A strip (32, W, 2) as another hand, pen and scanner would have given it: (32, another width, 2)."""
    return _restroked(_warped(pixels, rng), rng)


def _warped(pixels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    stretch, tall = np.exp(rng.uniform(-0.22, 0.22)), np.exp(rng.uniform(-0.2, 0.16))
    slant, turn = rng.uniform(-0.32, 0.32), np.radians(rng.normal(0, 1.2))
    turn = float(np.clip(turn, -4 / max(width, 1), 4 / max(width, 1)))  # the ends stay in the strip
    beside = abs(slant) * 8
    size = max(STEP_PX * 4, round(width * stretch + 2 * beside))
    x, y = np.meshgrid(np.arange(size, dtype=np.float32), np.arange(height, dtype=np.float32))
    x, y = x - size / 2, y - height / 2 + np.float32(rng.uniform(-2, 2))
    from_x = (x + slant * y) / stretch + width / 2
    from_y = (y + turn * x) / tall + height / 2
    knots = (2, 3, max(2, size // 14))
    wander = rng.standard_normal(knots).astype(np.float32) * np.float32(rng.uniform(0, 0.9))
    from_x += cv2.resize(wander[0], (size, height), interpolation=cv2.INTER_CUBIC)
    from_y += cv2.resize(wander[1], (size, height), interpolation=cv2.INTER_CUBIC)
    how = cv2.BORDER_CONSTANT
    warped = cv2.remap(pixels, from_x.astype(np.float32), from_y.astype(np.float32), cv2.INTER_LINEAR, borderMode=how)
    if rng.random() < 0.15:  # a string at the edge of its picture
        cut = rng.integers(0, 7, 2)
        warped = warped[:, cut[0] : warped.shape[1] - cut[1]]
    return np.asarray(warped, dtype=np.uint8)


def _restroked(pixels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    gray, mask = pixels[..., 0].astype(np.float32), pixels[..., 1]
    if rng.random() < 0.2:  # fewer pixels
        share = rng.uniform(0.4, 0.75)
        size = max(4, round(gray.shape[1] * share)), max(8, round(gray.shape[0] * share))
        gray = cv2.resize(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), gray.shape[::-1])
    if rng.random() < 0.5:
        changed = cv2.dilate(gray, _CROSS) if rng.random() < 0.5 else cv2.erode(gray, _CROSS)
        gray += np.float32(rng.uniform(0, 0.9)) * (changed - gray)
    if rng.random() < 0.2:
        gray = cv2.GaussianBlur(gray, (0, 0), rng.uniform(0.3, 1.1))
    gray *= np.float32(rng.uniform(0.7, 1.15))
    if rng.random() < 0.3:
        gray += rng.standard_normal(gray.shape, dtype=np.float32) * np.float32(rng.uniform(0, 20))
    if rng.random() < 0.12:  # ink that docscan took for a ruling, or did not see
        mask = np.zeros_like(mask)
    elif rng.random() < 0.12:
        mask = np.where(gray > rng.uniform(80, 140), np.uint8(255), np.uint8(0))
    return np.stack([np.clip(gray, 0, 255).astype(np.uint8), mask], axis=2)


_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)


def fit(pools: StringPools, recipe: Recipe, checkpoints: Path | None = None) -> Any:
    """The network trained on the pools, its weights averaged over the last steps."""
    import keras

    if recipe.bfloat16:
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
    model = build_string_network()
    keras.mixed_precision.set_global_policy("float32")
    step, averaged, losses = _stepper(model, recipe), [], []
    started = time.perf_counter()
    print(f"{model.count_params():,} parameters, {recipe.steps * BATCH:,} strips shown", flush=True)
    recent: list[Batch] = []
    for number, batch in enumerate(shown(pools, recipe), start=1):
        losses.append(float(step(batch)))
        recent = [*recent[1 - REFRESH_BATCHES :], batch]
        if number > (1 - AVERAGED_SHARE) * recipe.steps and number % AVERAGED_EVERY == 0:
            averaged.append(model.get_weights())
        if number % max(1, recipe.steps // 20) == 0:
            seconds = time.perf_counter() - started
            loss = np.mean(losses[-100:])
            print(
                f"{number}/{recipe.steps}: loss {loss:.3f}, {shares(model, pools.judged)}, {seconds:.0f} s", flush=True
            )
            if checkpoints is not None:
                model.save_weights(checkpoints / "checkpoint.weights.h5")
    trained = build_string_network()
    trained.set_weights([np.mean(weights, axis=0) for weights in zip(*averaged or [model.get_weights()], strict=True)])
    for batch in recent:
        trained(as_input(batch.pixels), training=True)
    print(f"averaged weights: {shares(trained, pools.judged)}", flush=True)
    return trained


def _stepper(model: Any, recipe: Recipe) -> Any:
    import keras
    import tensorflow as tf

    rate = keras.optimizers.schedules.CosineDecay(
        0.0, recipe.steps, warmup_target=PEAK_RATE, warmup_steps=round(WARM_UP * recipe.steps)
    )
    optimiser = keras.optimizers.AdamW(rate, weight_decay=WEIGHT_DECAY, global_clipnorm=5.0)
    optimiser.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    optimiser.build(model.trainable_variables)
    strips = tf.TensorSpec((None, STRIP_PX, None, PLANES), tf.uint8)
    digits = tf.SparseTensorSpec((None, None), tf.int32)

    @tf.function(input_signature=[strips, digits, tf.TensorSpec((None,), tf.bool)], autograph=False)  # type: ignore[untyped-decorator]
    def step(pixels: Any, labels: Any, is_written: Any) -> Any:
        with tf.GradientTape() as tape:
            logits = tf.cast(model(tf.cast(pixels, tf.float32) / 255, training=True), tf.float32)
            steps = tf.fill(tf.shape(logits)[:1], tf.shape(logits)[1])
            # Several times as fast as keras.losses.CTC; it takes no empty label, so those are counted apart.
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
        logits = np.asarray(model(as_input(stacked([strips[row].pixels for row in rows])), training=False), np.float32)
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


def ship_strings(model: Any, judged: Mapping[str, Sequence[LabelledStrip]], recipe: Recipe, training_data: str) -> Path:
    """Prove the export, fit the temperature on the judged strips and write strings.onnx into the recipe's folder."""
    shipped = recipe.out / "strings.onnx"
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
    temperature = fit_string_temperature(reader, judged)
    accuracy = ", ".join(f"{name} {right:.1%}" for name, right in rights(reader, judged).items())
    metadata |= {"docscan.temperature": repr(temperature), "docscan.accuracy": f"whole strings right: {accuracy}"}
    write_model(proto, metadata, shipped)
    print(f"{shipped.name}: {shipped.stat().st_size / 1e6:.2f} MB, temperature {temperature}, {accuracy}")
    return shipped


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
    whole = {name: [Strip(strip.pixels, 0.0, 1.0) for strip in strips] for name, strips in judged.items()}
    steps = {name: reader.views(strips) for name, strips in whole.items()}
    for temperature in TEMPERATURES:
        losses = []
        for name, strips in judged.items():
            readings = read_strips(whole[name], steps[name], temperature)
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
    parser.add_argument("--bfloat16", action="store_true", help="twice as fast on processors that have it")
    options = parser.parse_args()
    recipe = Recipe(options.data, options.out, options.steps, options.composed, options.seed, options.bfloat16)
    import keras

    keras.utils.set_random_seed(recipe.seed)
    recipe.out.mkdir(parents=True, exist_ok=True)
    stocks = load_string_stocks(recipe.data)
    pools = prepare(stocks, recipe)
    model = fit(pools, recipe)
    model.save(recipe.out / "strings.keras")
    ship_strings(model, pools.judged, recipe, described(stocks, recipe))


def described(stocks: StringStocks, recipe: Recipe) -> str:
    """What was trained on, for the metadata."""
    sources = ", ".join(f"{hands.name} {len(hands.labels)}" for hands in stocks.hands)
    return f"{len(stocks.cheques)} cheque amounts, {recipe.composed} strings composed of {sources}"


if __name__ == "__main__":
    main()
