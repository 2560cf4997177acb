"""A shipped model and a project's own labelled crops -> a model that reads that project better, or none at all.

    python -m training.train --from docscan/models/digits.keras --data crops/ --out mine/

crops/ holds folders 0 to 9 and `other`, with one picture a crop, of any size and polarity. A fifth of them is held
out by name and never trained on; the model is only written if it reads those better, or as well, and has not
forgotten how to read the project's drawn hands.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from docscan.records import NOT_A_DIGIT
from docscan.stages.normalise import normalise_all
from training.augment import Augmentation, augment
from training.calibrate import fit_temperature
from training.crops import cut_to_ink, page_crops
from training.data import Digits
from training.export import Origin, as_input, logits_of, ship
from training.stocks import drawn_stocks
from training.weigh import Course

FOLDERS = {str(digit): digit for digit in range(10)} | {"other": NOT_A_DIGIT}
HELD_OUT = 5  # one crop in five, by the hash of its name
REHEARSED_PAGES, CHECK_PAGES = 60, 20
FEW_PAGES_A_KIND = 2  # to measure --max-error on
ROUNDS = 12
RATE = 3e-4
BATCH = 128
MAY_FORGET = 0.002  # of accuracy on drawn hands
FEWEST = 50
GRAIN = 40  # of 255, the darkest ink: what is no darker is paper


@dataclass(frozen=True, slots=True, eq=False)
class OwnCrops:
    """A project's labelled crops, split."""

    train: Digits
    held_out: Digits


def load_crops(folder: Path) -> OwnCrops:
    """Read folders 0 to 9 and `other`. Raises ValueError where there are too few crops to learn and to judge from."""
    parts: dict[bool, tuple[list[NDArray[np.uint8]], list[int]]] = {False: ([], []), True: ([], [])}
    for path, label in _pictures(folder):
        name = path.relative_to(folder).as_posix()
        inks, labels = parts[hashlib.sha256(name.encode()).digest()[0] % HELD_OUT == 0]
        inks.append(cut_to_ink(_ink(path)))
        labels.append(label)
    train, held_out = (Digits(normalise_all(inks), np.array(labels, dtype=np.int64)) for inks, labels in parts.values())
    if len(train) + len(held_out) < FEWEST or not len(held_out):
        raise ValueError(
            f"{folder}: {len(train) + len(held_out)} crops in folders 0 to 9 and other; expected at least {FEWEST}"
        )
    return OwnCrops(train, held_out)


def _pictures(folder: Path) -> Iterator[tuple[Path, int]]:
    for name, label in FOLDERS.items():
        for path in sorted((folder / name).glob("*")):
            if path.suffix.lower() in (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"):
                yield path, label


def _ink(path: Path) -> NDArray[np.uint8]:
    """A picture as ink (h, w) uint8, 255 = the darkest; its border is its paper, whatever the colour of either."""
    with Image.open(path) as picture:
        gray = np.asarray(picture.convert("L"), dtype=np.float32)
    off_paper = gray - np.median(np.concatenate([gray[0], gray[-1], gray[:, 0], gray[:, -1]]))
    # Paper is off by nothing and ink by much, one way or the other: the cube keeps the sign and lets the ink decide.
    ink = np.maximum(off_paper * np.sign(np.sum(off_paper**3)), 0)
    ink *= 255 / max(1, ink.max())
    return np.where(ink > GRAIN, ink, 0).astype(np.uint8)


def finetune(start: Path, data: Path, out: Path, *, seed: int = 1) -> int:
    """Train on, judge before and after, write only what is no worse; returns the exit code: 0 written, 1 refused."""
    import keras

    keras.utils.set_random_seed(seed)
    own = load_crops(data)
    rehearsed, check = _drawn(REHEARSED_PAGES, seed), _drawn(CHECK_PAGES, seed + 1)
    model = keras.saving.load_model(start)
    before = _accuracy(model, own.held_out), _accuracy(model, check)
    _train_on(model, own.train, rehearsed, seed)
    after = _accuracy(model, own.held_out), _accuracy(model, check)
    print(f"{len(own.train)} crops to learn from, {len(own.held_out)} held out")
    for name, was, is_now in zip(("held-out crops", "drawn hands"), before, after, strict=True):
        print(f"{name}: {was:.2%} before, {is_now:.2%} after")
    if after[0] < before[0] or after[1] < before[1] - MAY_FORGET:
        print("The model got worse: nothing is written. More crops, or better labels, would help.")
        return 1
    temperature = fit_temperature(logits_of(model, check.images), check.labels)
    out.mkdir(parents=True, exist_ok=True)
    model.save(out / "digits.keras")
    command = f"python -m training.train --from {start.name} --seed {seed}"
    origin = Origin(f"{start.name}, then {len(own.train)} crops of a project's own", command, temperature)
    origin.write(out)
    ship(model, own.held_out, out, origin, Course(None, FEW_PAGES_A_KIND))
    return 0


def _drawn(pages: int, seed: int) -> Digits:
    """Crops of pages of the project's own drawing: what the model must not forget."""
    stocks = drawn_stocks(seed)
    parts = [page_crops(stocks, np.random.default_rng((seed, page))) for page in range(pages)]
    images, labels = zip(*parts, strict=True)
    return Digits(np.concatenate(images), np.concatenate(labels))


def _train_on(model: Any, own: Digits, rehearsed: Digits, seed: int) -> None:
    """Half of what is shown is the project's own, half is rehearsed; the rate falls to nothing."""
    import keras

    rng = np.random.default_rng(seed)
    share = max(1, min(len(rehearsed), 4000))
    steps = ROUNDS * (2 * share // BATCH + 1)
    model.compile(
        keras.optimizers.AdamW(keras.optimizers.schedules.CosineDecay(RATE, steps), weight_decay=1e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    for _ in range(ROUNDS):
        mine, theirs = rng.integers(len(own), size=share), rng.integers(len(rehearsed), size=share)
        images = augment(np.concatenate([own.images[mine], rehearsed.images[theirs]]), rng, Augmentation())
        labels = np.concatenate([own.labels[mine], rehearsed.labels[theirs]])
        order = rng.permutation(len(images))
        for first in range(0, len(order), BATCH):
            batch = order[first : first + BATCH]
            model.train_on_batch(as_input(images[batch]), labels[batch])


def _accuracy(model: Any, digits: Digits) -> float:
    return float(np.mean(logits_of(model, digits.images).argmax(axis=1) == digits.labels))
