"""Ink of every hand -> docscan/models/digits.onnx, in one command, from nothing.

    python -m training.train --data ../shared/data --out docscan/models

The stocks of ink (stocks.py) are composed on pages and cut out again by docscan's own stages (crops.py), mixed by share
and bent anew every time they are shown (mixture.py). Elders learn from the labels. All others begin as one of them:
natives, which are shown little but MNIST's, where a 1 may have a flag and a 4 be open, and the network that is shipped.
It learns what its teachers say of every crop it is shown, as it is bent: elders of all, and of MNIST's natives for a
half; of letters half is the label. What they saw whole it may see broken, as a dry pen leaves it. Hinton, Vinyals &
Dean, Distilling the knowledge in a neural network, 2015, arXiv:1503.02531; Beyer, Zhai, Royer et al., Knowledge
distillation: a good teacher is patient and consistent, CVPR 2022, arXiv:2106.05237. With `--elder` a network trained
before is the one elder: of all but MNIST the next is told what it says already, and keeps it. Li & Hoiem, Learning
without forgetting, ECCV 2016, arXiv:1606.09282.

Keras 3 on any backend (KERAS_BACKEND=jax or torch); the export at the end needs TensorFlow and can be made elsewhere
(export.py). Without --data, MNIST is fetched through keras.datasets and the other sets are done without; what a model
was trained on stands in its metadata.
"""

import argparse
import concurrent.futures
import dataclasses
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.acceptance import PAGES_A_KIND
from training.augment import Augmentation, broken
from training.calibrate import calibrate
from training.crops import Stock, cut_to_ink, main_pieces
from training.data import Digits
from training.export import ORIGIN_FILE, Logits, Origin, as_input, logits_of, quick, ship
from training.finetune import finetune
from training.fonts import CACHE
from training.learning import BATCH, SOFTNESS, Learner, Schooling, learner_of, mean_weights
from training.mixture import CHUNK, Chunk, Pool, direct, draw_pages, one_ahead, shown
from training.network import OUTPUTS, build_network, products_of
from training.stocks import Split, load_stocks
from training.weigh import Course

PEAK_RATE = 3e-3
AGAIN_RATE = 2e-3  # of a network that begins as an elder, which learnt from labels alone
NATIVE_RATE = 1e-3
GENTLE_RATE = 3e-4  # of one that begins as a network that was shipped before
WARM_UP = 0.04  # of all steps
AVERAGED_SHARE = 0.06  # the weights shipped are the mean of those after each of the last chunks
REFRESH_BATCHES = 100  # that teach the batch normalisations the averaged weights
CHUNKS = 240  # of 32,768 crops: 7.9 million shown
PAGES = 2000
VALIDATION_PAGES = 200
TEACHERS, LESSONS = 2, 110  # elders, and how many of those chunks each is shown
NATIVE_LESSONS = 1 / 4  # as many for each native
REPORTS = 10  # of how far a network has come: each reads all that is held out
EXAMPLES = 2000  # of each set that is held out: they show how large a teacher's values become
BROKEN_SHARE = 0.08  # of the crops that are shown, but for cheques': their print breaks them
HOME = ("mnist", "mnist bent")
CERTAIN = ("others", "omniglot")  # of these the labels are: none is a digit
SHARES = {
    "mnist": 0.21,
    "mnist bent": 0.21,
    "pages": 0.3,
    "others": 0.08,
    "omniglot": 0.03,
    "cheques": 0.13,
    "small sets": 0.04,
}
NATIVES = ({"mnist": 0.5, "mnist bent": 0.5}, {"mnist": 0.4, "mnist bent": 0.4, "pages": 0.2})
HARDLY = Augmentation(
    rotation_deg=8.0,
    slant=0.2,
    scale=(0.9, 1.08),
    aspect=0.1,
    shift_px=1.2,
    thickness=0.35,
    blur=0.25,
    coarse_share=0.02,
    page_share=0.12,
)
"""So that what tells an American 1 from a 7 of elsewhere is seen as it is written."""
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
    """Elders, networks like the one that is shipped; 0: it learns from the labels itself."""
    lessons: int = LESSONS
    """Chunks that each of them is shown."""
    elder: Path | None = None
    """A network that was trained before, in their place."""
    bfloat16: bool = False
    """Products in 16 bits: on processors that have them, twice as fast."""
    seed: int = 1
    jobs: int = 1

    def command(self) -> str:
        """The command line that trains this again; paths are left to the reader."""
        others = " --bfloat16" * self.bfloat16 + " --no-fonts" * (self.fonts is None)
        taught = f" --teachers {self.teachers}" if self.elder is None else f" --elder {self.elder.name}"
        taught += f" --lessons {self.lessons}" * self.is_taught
        shown = f"--chunks {self.chunks} --pages {self.pages}{taught} --seed {self.seed}{others}"
        return f"python -m training.train {shown}"

    @property
    def is_taught(self) -> bool:
        """Whether it learns from other networks, or from the labels."""
        return self.teachers > 0 or self.elder is not None

    def of_elders(self) -> "Recipe":
        """Theirs, from a seed of their own."""
        return dataclasses.replace(self, chunks=self.lessons, seed=self.seed + 1000)

    def of_native(self, number: int) -> "Recipe":
        """That of a teacher at home in MNIST."""
        lessons = max(1, round(NATIVE_LESSONS * self.lessons))
        return dataclasses.replace(self, chunks=lessons, seed=self.seed + 2000 + number)


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """A network to begin as, and the rate at which to go on."""

    network: Any
    peak: float


@dataclass(frozen=True, slots=True, eq=False)
class Teachers:
    """Whom the network that is shipped listens to."""

    of_every_hand: Sequence[Logits]
    natives: Sequence[Logits]
    home: NDArray[np.uint8]
    """The pools where natives are at home."""
    certain: NDArray[np.uint8]
    """The pools whose labels are beyond doubt."""

    def answers(self, chunk: Chunk, torn: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What they say of a chunk's crops: (N, 11), rows add up to 1.

        Where the network is shown another, broken one, `torn` (N, 28, 28), half of it is what they say of that: enough
        may be gone for it to be another digit. Where labels are certain, a half is the label.
        """
        said = self._say(chunk.digits.images, chunk.pools)
        is_torn = (torn != chunk.digits.images).any(axis=(1, 2))
        if is_torn.any():
            said[is_torn] = (said[is_torn] + self._say(torn[is_torn], chunk.pools[is_torn])) / 2
        is_certain = np.isin(chunk.pools, self.certain)
        said[is_certain] = (said[is_certain] + np.eye(OUTPUTS, dtype=np.float32)[chunk.digits.labels[is_certain]]) / 2
        return said

    def _say(self, crops: NDArray[np.uint8], pools: NDArray[np.uint8]) -> NDArray[np.float32]:
        said = said_by(self.of_every_hand, crops)
        at_home = np.isin(pools, self.home)
        if at_home.any():
            said[at_home] = (said[at_home] + said_by(self.natives, crops[at_home])) / 2
        return said


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """Crops to show, and what is to be said of them."""

    whole: NDArray[np.uint8]
    """(N, 28, 28)."""
    torn: NDArray[np.uint8]
    """The same, some of them broken: as they are shown."""
    wanted: NDArray[Any]
    """Labels (N,), or chances (N, 11)."""

    def taught_to(self, learner: Learner) -> float:
        """The mean loss."""
        return learner.learn(self.torn, self.wanted)


def train(recipe: Recipe) -> None:
    """Train, save digits.keras, and on TensorFlow prove the export and write digits.onnx with what it measures."""
    import keras

    split, pools, judged = prepare(recipe)
    held_out = {"held-out writers": split.mnist.validation, "held-out pages": judged}
    if recipe.is_taught:
        elders = elders_of(pools, held_out, recipe)
        start = Start(elders[0], AGAIN_RATE if recipe.elder is None else GENTLE_RATE)
        [model] = fit(pools, held_out, recipe, start=start, teachers=teachers_of(pools, held_out, recipe, elders))
    else:
        [model] = fit(pools, held_out, recipe)
    settled = calibrate(logits_of(model, judged.images), judged.labels)
    lean_from_none(model, settled.none_bias)
    print(f"temperature {settled.temperature}, logit of none lowered by {settled.none_bias}")
    recipe.out.mkdir(parents=True, exist_ok=True)
    model.save(recipe.out / "digits.keras")
    origin = Origin(described(split.train), recipe.command() + after(recipe.elder), settled.temperature)
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
        Pool("mnist", split.mnist.train, SHARES["mnist"], HARDLY),
        Pool("mnist bent", split.mnist.train, SHARES["mnist bent"], Augmentation(elastic_px=1.0, page_share=0.25)),
        Pool("pages", pages, SHARES["pages"], Augmentation(page_share=0.3)),
    ]
    direct_sets = {"others": OTHERS, "omniglot": ("omniglot",), "cheques": CHEQUES, "small sets": SMALL}
    for name, members in direct_sets.items():
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


def elders_of(pools: Sequence[Pool], judged: dict[str, Digits], recipe: Recipe) -> list[Any]:
    """The network that was trained before, or some that learn from the labels of the pools."""
    if recipe.elder is not None:
        return [network_at(recipe.elder)]
    return fit(pools, judged, recipe.of_elders(), networks=recipe.teachers)


def teachers_of(pools: Sequence[Pool], judged: dict[str, Digits], recipe: Recipe, elders: Sequence[Any]) -> Teachers:
    """The elders, and natives that begin as those and learn from the labels of their own pools."""
    natives = []
    for number, shares in enumerate(NATIVES):
        at_home = [dataclasses.replace(pool, share=shares[pool.name]) for pool in pools if pool.name in shares]
        start = Start(elders[number % len(elders)], NATIVE_RATE)
        natives += fit(at_home, judged, recipe.of_native(number), start=start)
    home, certain = (
        np.array([place for place, pool in enumerate(pools) if pool.name in names], np.uint8)
        for names in (HOME, CERTAIN)
    )
    examples = np.concatenate([digits.images[:EXAMPLES] for digits in judged.values()])
    of_every_hand, of_home = ([quick(model, examples) for model in models] for models in (elders, natives))
    return Teachers(of_every_hand, of_home, home, certain)


def fit(
    pools: Sequence[Pool],
    judged: dict[str, Digits],
    recipe: Recipe,
    *,
    networks: int = 1,
    start: Start | None = None,
    teachers: Teachers | None = None,
) -> list[Any]:
    """Networks trained on one showing of the mixture, averaged over the last chunks.

    Each begins from weights of its own, or all as `start`.

    They learn what the `teachers` say; without any, the labels, and then nothing is broken: no label says what is left.
    """
    is_taught = teachers is not None
    learners = [_learner(recipe, recipe.seed + number, start, is_taught=is_taught) for number in range(networks)]
    averaged: list[list[Any]] = [[] for _ in learners]
    parameters = learners[0].model.count_params()
    print(f"{networks} x {parameters:,} parameters, {recipe.chunks * CHUNK:,} crops shown", flush=True)
    started = time.perf_counter()
    last = np.empty((0, 28, 28), np.uint8)
    with concurrent.futures.ThreadPoolExecutor(networks) as side_by_side:
        for number, lesson in enumerate(one_ahead(_lessons(pools, recipe, teachers)), start=1):
            last = lesson.whole
            losses = list(side_by_side.map(lesson.taught_to, learners))
            if number > (1 - AVERAGED_SHARE) * recipe.chunks:
                for learner, weights in zip(learners, averaged, strict=True):
                    weights.append(learner.settle().get_weights())
            if number % -(-recipe.chunks // REPORTS) == 0:
                found, seconds = accuracies(learners[0].settle(), judged), time.perf_counter() - started
                print(f"{number}/{recipe.chunks}: loss {np.mean(losses):.4f}, {found}, {seconds:.0f} s", flush=True)
    return [_averaged(weights, last, judged) for weights in averaged]


def _lessons(pools: Sequence[Pool], recipe: Recipe, teachers: Teachers | None) -> Iterator[Lesson]:
    """A chunk of crops each; without teachers none is broken."""
    unbroken = [place for place, pool in enumerate(pools) if teachers is None or pool.name == "cheques"]
    for number, chunk in enumerate(shown(pools, recipe.chunks, recipe.seed, recipe.jobs), start=1):
        whole = chunk.digits.images
        share = np.where(np.isin(chunk.pools, unbroken), 0.0, BROKEN_SHARE)
        torn = broken(whole, np.random.default_rng((recipe.seed, number)), share)
        yield Lesson(whole, torn, chunk.digits.labels if teachers is None else teachers.answers(chunk, torn))


def _averaged(weights: Sequence[Any], shown_last: NDArray[np.uint8], judged: dict[str, Digits]) -> Any:
    """The mean of weights, with batch normalisations that know it."""
    firsts = range(0, min(len(shown_last), REFRESH_BATCHES * BATCH), BATCH)
    batches = (as_input(shown_last[first : first + BATCH]) for first in firsts)
    model = build_network()
    model.set_weights(mean_weights(weights, build_network(rounded=True), batches))
    print(f"averaged weights: {accuracies(model, judged)}", flush=True)
    return model


def network_at(path: Path) -> Any:
    """A network trained before. Raises ValueError where there is none."""
    import keras

    if not path.is_file():
        raise ValueError(f"{path}: no such file; --elder wants a digits.keras, such as docscan/models/digits.keras")
    return keras.models.load_model(path, compile=False)


def after(elder: Path | None) -> str:
    """Where a network began, for the metadata: the recipe of the one before it, as far as it is known."""
    if elder is None:
        return ""
    return f"; before that: {Origin.read(elder.parent).recipe if (elder.parent / ORIGIN_FILE).is_file() else elder}"


def said_by(teachers: Sequence[Logits], crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the teachers say of crops (N, 28, 28), at SOFTNESS and on average: (N, 11), rows add up to 1."""
    said = np.zeros((len(crops), OUTPUTS), np.float32)
    for teacher in teachers:
        logits = teacher(crops) / SOFTNESS
        chances = np.exp(logits - logits.max(axis=1, keepdims=True))
        said += chances / (len(teachers) * chances.sum(axis=1, keepdims=True))
    return said


def _learner(recipe: Recipe, seed: int, start: Start | None, *, is_taught: bool) -> Learner:
    import keras

    keras.utils.set_random_seed(seed)
    steps = recipe.chunks * (CHUNK // BATCH)
    peak = PEAK_RATE if start is None else start.peak
    schooling = Schooling(peak, steps, round(WARM_UP * steps), is_taught, recipe.bfloat16)
    with products_of(bfloat16=recipe.bfloat16):
        model = build_network(rounded=True)
    if start is not None:
        model.set_weights(start.network.get_weights())
    return learner_of(model, schooling)


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
    parser.add_argument("--teachers", type=int, default=TEACHERS, help=f"elders to learn from ({TEACHERS})")
    parser.add_argument("--elder", type=Path, help="a digits.keras, to begin as and learn from in their place")
    parser.add_argument("--lessons", type=int, default=LESSONS, help=f"chunks each elder is shown ({LESSONS})")
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
            options.lessons,
            options.elder,
            options.bfloat16,
            options.seed,
            options.jobs,
        )
    )


if __name__ == "__main__":
    main()
