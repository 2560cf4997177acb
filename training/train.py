"""Digits -> docscan/models/digits.onnx, in one command, from nothing.

    python -m training.train --data ../shared/data --out docscan/models

Keras 3 on any backend (KERAS_BACKEND=jax or torch); the export at the end needs TensorFlow and can be made
elsewhere (training/export.py). Without --data, MNIST is fetched through keras.datasets.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from docscan.stages.normalise import FIELD_PX
from training.augment import Augmentation, augment, through_normalise
from training.data import MNIST_LICENCE, Digits, Mnist, load_mnist
from training.export import Origin, as_input, logits_of, ship
from training.hand import Writer, draw_digit
from training.network import build_network

BATCH = 128
PEAK_RATE = 2e-3
WEIGHT_DECAY = 0.02
WARM_UP = 0.05  # of all steps
AVERAGED_SHARE = 0.04  # the weights shipped are a running mean over about this share of the steps
REFRESH_BATCHES = 100  # that teach the batch normalisations the averaged weights
EPOCHS = 20
DRAWN = 15_000  # digits of our own drawing beside MNIST's 55,000
DRAWN_PER_HAND = 30
DRAWN_HEIGHT_PX = (22.0, 80.0)  # 150 dpi and small hands to 400 dpi and large ones
DRAWN_STREAM = 1  # keeps these random numbers apart from those of the batches


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a person may change on the command line."""

    data: Path | None
    out: Path
    epochs: int = EPOCHS
    seed: int = 1
    limit: int | None = None

    def command(self) -> str:
        """The command line that trains this again; paths are left to the reader."""
        limit = f" --limit {self.limit}" if self.limit else ""
        return f"python -m training.train --epochs {self.epochs} --seed {self.seed}{limit}"


def train(recipe: Recipe) -> None:
    """Train, save digits.keras, and on TensorFlow prove the export and write digits.onnx with what it measures."""
    import keras

    keras.utils.set_random_seed(recipe.seed)
    mnist = limited(load_mnist(recipe.data), recipe.limit)
    drawn = drawn_digits(min(DRAWN, len(mnist.train)), recipe.seed)
    model = fit(joined(mnist.train, drawn), mnist.validation, recipe)
    recipe.out.mkdir(parents=True, exist_ok=True)
    model.save(recipe.out / "digits.keras")
    origin = Origin(f"MNIST {len(mnist.train)} crops ({MNIST_LICENCE}), drawn {len(drawn)} crops", recipe.command())
    if keras.backend.backend() == "tensorflow":
        ship(model, mnist, recipe.out, origin)
    else:
        print("Export it where TensorFlow is: KERAS_BACKEND=tensorflow python -m training.export OUT --data DATA")
        print(f'  --training-data "{origin.training_data}" --recipe "{origin.recipe}"')


def drawn_digits(count: int, seed: int) -> Digits:
    """Digits of the project's own drawing, as crops of a page: the shapes that MNIST's American hands lack."""
    rng = np.random.default_rng([seed, DRAWN_STREAM])
    crops = np.empty((count, FIELD_PX, FIELD_PX), np.uint8)
    labels = rng.integers(0, 10, count)
    for index, label in enumerate(labels):
        if index % DRAWN_PER_HAND == 0:
            writer = Writer.random(rng)
        strokes = draw_digit(int(label), writer, rng, rng.uniform(*DRAWN_HEIGHT_PX))
        crops[index] = through_normalise(strokes, rng.uniform(60, 180))
    return Digits(crops, labels)


def joined(first: Digits, second: Digits) -> Digits:
    """The crops of both, one after the other."""
    return Digits(np.concatenate([first.images, second.images]), np.concatenate([first.labels, second.labels]))


def fit(digits: Digits, validation: Digits, recipe: Recipe) -> Any:
    """The network trained on augmented crops, its weights averaged over the last steps."""
    import keras

    batches = _batches(digits, recipe.seed)
    steps = recipe.epochs * len(batches)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps, warmup_target=PEAK_RATE, warmup_steps=round(WARM_UP * steps)
    )
    averaging = 1 - 1 / max(2.0, AVERAGED_SHARE * steps)
    optimiser = keras.optimizers.AdamW(rate, weight_decay=WEIGHT_DECAY, use_ema=True, ema_momentum=averaging)
    optimiser.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    model = build_network()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimiser, loss, metrics=["sparse_categorical_accuracy"])
    print(f"{model.count_params():,} parameters, {steps:,} steps of {BATCH} crops")
    report = keras.callbacks.LambdaCallback(on_epoch_end=_reporter(model, validation))
    model.fit(batches, epochs=recipe.epochs, verbose=0, callbacks=[report])
    optimiser.finalize_variable_values(model.trainable_variables)
    for index in range(min(REFRESH_BATCHES, len(batches))):
        model(batches[index][0], training=True)
    trained = build_network()  # without the optimiser's state, which would treble the file
    trained.set_weights(model.get_weights())
    print(f"averaged weights: {_accuracies(trained, validation)} on the writers held out")
    return trained


def limited(mnist: Mnist, count: int | None) -> Mnist:
    """The first `count` crops of each part: a smoke test rather than a training."""
    if count is None:
        return mnist
    return Mnist(*(part.where(slice(count)) for part in (mnist.train, mnist.validation, mnist.test)))


def _batches(digits: Digits, seed: int) -> Any:
    """A keras.utils.PyDataset of freshly augmented batches, a new order every epoch."""
    import keras

    class Batches(keras.utils.PyDataset):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(workers=1, use_multiprocessing=False)
            self.rng = np.random.default_rng(seed)
            self.order = self.rng.permutation(len(digits))

        def __len__(self) -> int:
            return max(1, len(digits) // BATCH)

        def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
            taken = self.order[index * BATCH : (index + 1) * BATCH]
            return as_input(augment(digits.images[taken], self.rng, Augmentation())), digits.labels[taken]

        def on_epoch_end(self) -> None:
            self.order = self.rng.permutation(len(digits))

    return Batches()


def _reporter(model: Any, validation: Digits) -> Any:
    started = time.perf_counter()

    def report(epoch: int, logs: dict[str, float]) -> None:
        seconds = time.perf_counter() - started
        accuracies = _accuracies(model, validation)
        print(
            f"epoch {epoch + 1}: loss {logs['loss']:.4f}, {accuracies} on the writers held out, {seconds:.0f} s",
            flush=True,
        )

    return report


def _accuracies(model: Any, digits: Digits) -> str:
    accuracy = np.mean(logits_of(model, digits.images).argmax(axis=1) == digits.labels)
    return f"{accuracy:.2%}"


def main() -> None:
    """Train from the command line."""
    parser = argparse.ArgumentParser(prog="python -m training.train", description="Train the shipped model anew.")
    parser.add_argument("--data", type=Path, help="folder of MNIST's idx files, or its parent; else Keras fetches them")
    parser.add_argument("--out", type=Path, required=True, help="folder for digits.onnx and digits.keras")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help=f"passes over the digits ({EPOCHS})")
    parser.add_argument("--seed", type=int, default=1, help="of weights, order and augmentation (1)")
    parser.add_argument("--limit", type=int, help="use only this many digits: a smoke test")
    options = parser.parse_args()
    train(Recipe(options.data, options.out, options.epochs, options.seed, options.limit))


if __name__ == "__main__":
    main()
