"""Ink of every hand -> docscan/models/digits.onnx, in one command, from nothing.

    python -m training.train --data ../shared/data --out docscan/models

The stocks of ink (stocks.py) are composed on pages and cut out again by docscan's own stages (crops.py), mixed by
share and bent anew every time they are shown (mixture.py). Teachers learn from the labels; the network that is shipped
learns what the teachers together say of every crop it is shown, as it is bent: Hinton, Vinyals & Dean, Distilling the
knowledge in a neural network, 2015, arXiv:1503.02531; Beyer, Zhai, Royer et al., Knowledge distillation: a good teacher
is patient and consistent, CVPR 2022, arXiv:2106.05237. Keras 3 on any backend (KERAS_BACKEND=jax or torch); the
export at the end needs TensorFlow and can be made elsewhere (export.py). Without --data, MNIST is fetched through
keras.datasets and the other sets are done without; what a model was trained on stands in its metadata.
"""

import argparse
import dataclasses
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.acceptance import PAGES_A_KIND
from training.augment import Augmentation
from training.calibrate import calibrate
from training.crops import Stock, cut_to_ink, main_pieces
from training.data import Digits
from training.export import Logits, Origin, as_input, logits_of, quick, ship
from training.finetune import finetune
from training.fonts import CACHE
from training.mixture import CHUNK, Pool, direct, draw_pages, shown
from training.network import OUTPUTS, build_network, products_of
from training.stocks import Split, load_stocks
from training.weigh import Course

BATCH = 256
PEAK_RATE = 3e-3
WEIGHT_DECAY = 0.03
WARM_UP = 0.04  # of all steps
AVERAGED_SHARE = 0.06  # the weights shipped are the mean of those after each of the last chunks
REFRESH_BATCHES = 100  # that teach the batch normalisations the averaged weights
CHUNKS = 240  # of 32,768 crops: 8 million shown
PAGES = 2000
VALIDATION_PAGES = 200
TEACHERS, BREADTH, LESSONS = 2, 2, 190  # of those chunks for each teacher
EXAMPLES = 2000  # of each set that is held out: they show how large a teacher's values become
SOFTNESS = 2.0  # the temperature at which the network is to say what its teachers say
SHARES = {"mnist": 0.46, "pages": 0.34, "others": 0.07, "cheques": 0.09, "small sets": 0.04}
OTHERS = ("drawn letters", "printed others")  # whole, for a page breaks an i in two
CHEQUES = ("cheques", "spoiled cheques")
SMALL = ("semeion", "optdigits", "printed photo")


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a person may change on the command line."""

    data: Path | None
    out: Path
    fonts: Path | None = CACHE
    chunks: int = CHUNKS
    pages: int = PAGES
    teachers: int = TEACHERS
    breadth: int = BREADTH
    """Of a teacher, in channels, against the network that is shipped."""
    lessons: int = LESSONS
    """Chunks that each teacher is shown."""
    bfloat16: bool = False
    """Products in 16 bits: on processors that have them, twice as fast."""
    seed: int = 1
    jobs: int = 1

    def command(self) -> str:
        """The command line that trains this again; paths are left to the reader."""
        others = " --bfloat16" * self.bfloat16 + " --no-fonts" * (self.fonts is None)
        taught = f" --teachers {self.teachers}"
        if self.teachers:
            taught += f" --breadth {self.breadth} --lessons {self.lessons}"
        shown = f"--chunks {self.chunks} --pages {self.pages}{taught} --seed {self.seed}{others}"
        return f"python -m training.train {shown}"

    def of_teacher(self, number: int) -> "Recipe":
        """A teacher's own: as broad as teachers are, from a seed of its own, shown LESSONS."""
        seed = self.seed + 1000 * (number + 1)
        return dataclasses.replace(self, chunks=self.lessons, seed=seed)

    def of_network(self) -> "Recipe":
        """That of the network that is shipped."""
        return dataclasses.replace(self, breadth=1)


def train(recipe: Recipe) -> None:
    """Train, save digits.keras, and on TensorFlow prove the export and write digits.onnx with what it measures."""
    import keras

    keras.utils.set_random_seed(recipe.seed)
    split, pools, judged = prepare(recipe)
    held_out = {"held-out writers": split.mnist.validation, "held-out pages": judged}
    examples = np.concatenate([digits.images[:EXAMPLES] for digits in held_out.values()])
    teachers = [quick(fit(pools, held_out, recipe.of_teacher(number)), examples) for number in range(recipe.teachers)]
    model = fit(pools, held_out, recipe.of_network(), teachers)
    settled = calibrate(logits_of(model, judged.images), judged.labels)
    lean_from_none(model, settled.none_bias)
    print(f"temperature {settled.temperature}, logit of none lowered by {settled.none_bias}")
    recipe.out.mkdir(parents=True, exist_ok=True)
    model.save(recipe.out / "digits.keras")
    origin = Origin(described(split.train), recipe.command(), settled.temperature)
    origin.write(recipe.out)
    if keras.backend.backend() == "tensorflow":
        pages_a_kind = max(1, PAGES_A_KIND * recipe.pages // PAGES)
        course = Course(split.mnist.validation, pages_a_kind, recipe.data, recipe.jobs)
        ship(model, split.mnist.test, recipe.out, origin, course)
    else:
        print("Export it where TensorFlow is: KERAS_BACKEND=tensorflow python -m training.export OUT --data DATA")


def prepare(recipe: Recipe) -> tuple[Split, list[Pool], Digits]:
    """The stocks, the pools the network is shown, and the page crops of held-out sources it is judged on."""
    split = load_stocks(recipe.data, recipe.fonts)
    pages = draw_pages(as_written(split.train), recipe.pages, 1, recipe.jobs)
    validation_pages = max(2, VALIDATION_PAGES * recipe.pages // PAGES)
    judged = draw_pages(as_written(split.validation), validation_pages, 2, recipe.jobs)
    pools = [
        Pool("mnist", split.mnist.train, SHARES["mnist"], Augmentation(elastic_px=1.0, page_share=0.25)),
        Pool("pages", pages, SHARES["pages"], Augmentation(page_share=0.3)),
    ]
    for name, members in (("others", OTHERS), ("cheques", CHEQUES), ("small sets", SMALL)):
        stocks = [stock for stock in split.train if stock.name in members]
        if stocks:
            pools.append(Pool(name, direct(stocks), SHARES[name], Augmentation(page_share=0.4)))
    print(", ".join(f"{pool.name} {len(pool.crops):,} crops" for pool in pools), flush=True)
    return split, pools, judged


def as_written(stocks: Sequence[Stock]) -> list[Stock]:
    """The stocks as a page holds them: a cheque's digits without the crumbs of its security print."""
    return [
        dataclasses.replace(stock, inks=[cut_to_ink(main_pieces(ink)) for ink in stock.inks])
        if stock.name == "cheques"
        else stock
        for stock in stocks
    ]


def fit(pools: Sequence[Pool], judged: dict[str, Digits], recipe: Recipe, teachers: Sequence[Logits] = ()) -> Any:
    """The network trained on the mixture, on the words of `teachers` if any; weights averaged over the last chunks."""
    model, averaged = _compiled(recipe, is_taught=len(teachers) > 0), []
    print(f"{model.count_params():,} parameters, {recipe.chunks * CHUNK:,} crops shown", flush=True)
    started = time.perf_counter()
    last = Digits(np.empty((0, 28, 28), np.uint8), np.empty(0, np.int64))
    for number, last in enumerate(shown(pools, recipe.chunks, recipe.seed, recipe.jobs), start=1):
        wanted = said_by(teachers, last.images) if teachers else last.labels
        history = model.fit(as_input(last.images), wanted, batch_size=BATCH, shuffle=False, verbose=0)
        if number > (1 - AVERAGED_SHARE) * recipe.chunks:
            averaged.append(model.get_weights())
        if number % max(1, recipe.chunks // 20) == 0:
            loss, seconds = history.history["loss"][0], time.perf_counter() - started
            print(
                f"{number}/{recipe.chunks}: loss {loss:.4f}, {accuracies(model, judged)}, {seconds:.0f} s", flush=True
            )
    trained = build_network(breadth=recipe.breadth)  # without the optimiser's state, which would treble the file
    trained.set_weights([np.mean(weights, axis=0) for weights in zip(*averaged, strict=True)])
    for first in range(0, min(len(last), REFRESH_BATCHES * BATCH), BATCH):
        trained(as_input(last.images[first : first + BATCH]), training=True)
    print(f"averaged weights: {accuracies(trained, judged)}", flush=True)
    return trained


def said_by(teachers: Sequence[Logits], crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the teachers say of crops (N, 28, 28), at SOFTNESS and on average: (N, 11), rows add up to 1."""
    said = np.zeros((len(crops), OUTPUTS), np.float32)
    for teacher in teachers:
        logits = teacher(crops) / SOFTNESS
        chances = np.exp(logits - logits.max(axis=1, keepdims=True))
        said += chances / (len(teachers) * chances.sum(axis=1, keepdims=True))
    return said


def _compiled(recipe: Recipe, *, is_taught: bool) -> Any:
    import keras

    steps = recipe.chunks * (CHUNK // BATCH)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps, warmup_target=PEAK_RATE, warmup_steps=round(WARM_UP * steps)
    )
    # Not use_ema: under JAX, Keras 3.15 gives the optimiser and the model one buffer and XLA refuses it.
    optimiser = keras.optimizers.AdamW(rate, weight_decay=WEIGHT_DECAY)
    optimiser.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    with products_of(bfloat16=recipe.bfloat16):
        model = build_network(breadth=recipe.breadth)

    def of_lesson(said: Any, logits: Any) -> Any:
        # Gradients shrink with the square of the temperature (Hinton et al., section 2).
        softened = keras.losses.categorical_crossentropy(said, logits / SOFTNESS, from_logits=True)
        return SOFTNESS**2 * softened

    of_labels = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # On processors, TensorFlow's own kernels take three quarters of the time that XLA's take.
    compiled = keras.backend.backend() != "tensorflow"
    loss = of_lesson if is_taught else of_labels
    model.compile(optimiser, loss, steps_per_execution=16, jit_compile=compiled)
    return model


def lean_from_none(model: Any, bias: float) -> None:
    """Lower the logit of "not a digit": a digit lost costs more than a blot a person looks at."""
    weights, biases = model.get_layer("logits").get_weights()
    biases[-1] -= bias
    model.get_layer("logits").set_weights([weights, biases])


def accuracies(model: Any, judged: dict[str, Digits]) -> str:
    """Of each set of crops, how many are read right."""
    return ", ".join(
        f"{name} {np.mean(logits_of(model, digits.images).argmax(axis=1) == digits.labels):.2%}"
        for name, digits in judged.items()
    )


def described(stocks: Sequence[Stock]) -> str:
    """What was trained on, for the metadata."""
    return ", ".join(f"{stock.name} {len(stock.labels)}" for stock in stocks)


def main() -> None:
    """Train from the command line."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    parser = argparse.ArgumentParser(prog="python -m training.train", description="Train the shipped model anew.")
    parser.add_argument("--data", type=Path, help="the folder with mnist/ and train/, or of MNIST's idx files alone")
    parser.add_argument("--out", type=Path, required=True, help="folder for digits.onnx and digits.keras")
    parser.add_argument("--fonts", type=Path, default=CACHE, help=f"where fetched fonts are kept ({CACHE})")
    parser.add_argument("--no-fonts", action="store_true", help="do without printed digits; needs no network")
    parser.add_argument("--chunks", type=int, default=CHUNKS, help=f"of {CHUNK} crops to show ({CHUNKS})")
    parser.add_argument("--pages", type=int, default=PAGES, help=f"to draw ({PAGES})")
    parser.add_argument("--teachers", type=int, default=TEACHERS, help=f"networks it learns from ({TEACHERS})")
    parser.add_argument("--breadth", type=int, default=BREADTH, help=f"of a teacher: times the channels ({BREADTH})")
    parser.add_argument("--lessons", type=int, default=LESSONS, help=f"chunks each teacher is shown ({LESSONS})")
    parser.add_argument("--bfloat16", action="store_true", help="multiply in 16 bits, twice as fast on new processors")
    parser.add_argument("--seed", type=int, default=1, help="of weights, order and augmentation (1)")
    parser.add_argument("--jobs", type=int, default=1, help="processes that draw and bend (1)")
    parser.add_argument("--from", type=Path, dest="start", help="a digits.keras to fine-tune on the crops of --data")
    options = parser.parse_args()
    if options.start is not None:
        if options.data is None:
            parser.error("--from needs --data: a folder of crops in folders 0 to 9 and other")
        raise SystemExit(finetune(options.start, options.data, options.out, seed=options.seed))
    fonts = None if options.no_fonts else options.fonts
    train(
        Recipe(
            options.data,
            options.out,
            fonts,
            options.chunks,
            options.pages,
            options.teachers,
            options.breadth,
            options.lessons,
            options.bfloat16,
            options.seed,
            options.jobs,
        )
    )


if __name__ == "__main__":
    main()
