"""Strings of every hand -> what the reader of strings is shown: pools of strips, mixed by share, bent anew every time.

Drawing and bending run in their own processes; every strip and every group of batches has a seed of its own, so what is
shown does not depend on how many processes there are.
"""

import dataclasses
import functools
import pickle
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from docscan.settings import Settings
from docscan.stages.strings import PLANES, STEP_PX, STRIP_PX
from training.mixture import in_turn, workers_for
from training.strings import LabelledStrip, StringStocks, cheque_strip, composed_strip, spliced, strips_of

BATCH = 128
GROUPED = 8  # batches drawn at once and sorted by width, so that little of a batch is padding
ROUND_PX = 32  # widths of batches are multiples of this
REAL_AT_FIRST, REAL_AT_LAST = 0.3, 0.55  # of the strips shown: cheques
LAST_PHASE = 0.5  # of all steps
SPLICED = 0.45  # of the cheques shown
SPOILED = 32  # ways each cheque is spoiled
TASK = 500  # strings composed by one task
VALIDATION_STRIPS = 1000


@dataclass(frozen=True, slots=True, eq=False)
class StringPools:
    """The strips to learn from and those to judge by; no source is in both."""

    composed: Sequence[LabelledStrip]
    cheques: Sequence[Sequence[LabelledStrip]]
    """Each as it is, then spoiled."""
    judged: Mapping[str, Sequence[LabelledStrip]]


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Strips of like width."""

    pixels: NDArray[np.uint8]
    """(N, 32, width, 2)."""
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Showing:
    """How much is shown, and how it is handed out."""

    steps: int
    """Batches."""
    seed: int
    jobs: int = 1
    round_px: int = ROUND_PX
    """Widths of batches are multiples of this; the fewer widths, the fewer programs a compiling backend makes."""


def prepare(stocks: StringStocks, composed: int, seed: int, jobs: int) -> StringPools:
    """All strips, through docscan's stages: `composed` of them drawn, and every cheque in SPOILED ways."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stocks.pickle"
        path.write_bytes(pickle.dumps(stocks))
        with workers_for(jobs, _open_stocks, path) as workers:
            tasks = [(seed, first, min(TASK, composed - first)) for first in range(0, composed, TASK)]
            drawing = workers.map(_compose, tasks)
            spoiling = workers.map(functools.partial(_spoil_cheque, seed), range(len(stocks.cheques)))
            judging = workers.submit(_compose_judged, seed + 1)
            drawn = [strip for part in drawing for strip in part]
            cheques = list(spoiling)
            settings = Settings()
            judged = {
                "cheques": [cheque_strip(cheque, None, settings) for cheque in stocks.validation_cheques],
                "composed": judging.result(),
            }
    return StringPools(drawn, cheques, judged)


def shown(pools: StringPools, showing: Showing) -> Iterator[Batch]:
    """What the network is shown, batch by batch, in an order the seed alone decides."""
    groups = range(0, showing.steps, GROUPED)
    with tempfile.TemporaryDirectory() as folder:
        composed = _shelve(pools.composed, Path(folder) / "composed")
        cheques = _shelve([strip for spoiled in pools.cheques for strip in spoiled], Path(folder) / "cheques")
        ways = len(pools.cheques[0]) if pools.cheques else 0
        with workers_for(showing.jobs, _open_pools, composed, cheques, ways, showing) as workers:
            for batches in in_turn(workers, _bend_group, groups, ahead=2 * showing.jobs):
                yield from batches


def stacked(
    pixels: Sequence[NDArray[np.uint8]], rng: np.random.Generator | None = None, round_px: int = ROUND_PX
) -> NDArray[np.uint8]:
    """Strips as one array (N, 32, width, 2), paper after each, and with `rng` sometimes a little before it."""
    widest = max(strip.shape[1] for strip in pixels)
    batch = np.zeros((len(pixels), STRIP_PX, -(-widest // round_px) * round_px, PLANES), np.uint8)
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
    if rng.random() < 0.25:  # a scratch, a fold, a pen that skips
        column, row = rng.integers(0, gray.shape[1]), rng.integers(0, STRIP_PX)
        wide, tall = rng.integers(1, 6), rng.integers(3, 20)
        gray[row : row + tall, column : column + wide] *= np.float32(rng.uniform(0, 0.5))
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


@dataclass(frozen=True, slots=True)
class _Shelf:
    """Where strips lie on disk: every process maps the one file and reads what it needs."""

    pixels: Path
    starts: NDArray[np.int64]
    widths: NDArray[np.int64]
    others: list[LabelledStrip]
    """As they are, without their pixels."""

    def strips(self) -> list[LabelledStrip]:
        """All of them, their pixels still on disk."""
        flat = np.asarray(np.load(self.pixels, mmap_mode="r")) if len(self.others) else np.empty(0, np.uint8)
        return [
            dataclasses.replace(
                strip, pixels=flat[start : start + STRIP_PX * width * PLANES].reshape(STRIP_PX, width, PLANES)
            )
            for strip, start, width in zip(self.others, self.starts, self.widths, strict=True)
        ]


def _shelve(strips: Sequence[LabelledStrip], path: Path) -> _Shelf:
    widths = np.array([strip.pixels.shape[1] for strip in strips], np.int64)
    sizes = STRIP_PX * PLANES * widths
    if len(strips):
        np.save(path, np.concatenate([strip.pixels.ravel() for strip in strips]))
    nothing = np.empty((0, 0, PLANES), np.uint8)
    others = [dataclasses.replace(strip, pixels=nothing) for strip in strips]
    return _Shelf(path.with_suffix(".npy"), np.cumsum(sizes) - sizes, widths, others)


_stocks: list[StringStocks] = []
_composed: list[LabelledStrip] = []
_cheques: list[list[LabelledStrip]] = []
_showings: list[Showing] = []


def _open_stocks(path: Path) -> None:
    cv2.setNumThreads(1)
    _stocks.append(pickle.loads(path.read_bytes()))


def _compose(task: tuple[int, int, int]) -> list[LabelledStrip]:
    seed, first, count = task
    [stocks], settings = _stocks, Settings()
    return list(strips_of(lambda rng: composed_strip(stocks.hands, rng, settings), count, (seed, first)))


def _compose_judged(seed: int) -> list[LabelledStrip]:
    [stocks], settings = _stocks, Settings()
    hands = stocks.validation_hands
    return list(strips_of(lambda rng: composed_strip(hands, rng, settings), VALIDATION_STRIPS, (seed,)))


def _spoil_cheque(seed: int, place: int) -> list[LabelledStrip]:
    [stocks], settings = _stocks, Settings()
    cheque = stocks.cheques[place]
    rngs = [None, *(np.random.default_rng((seed, cheque.row, way)) for way in range(1, SPOILED))]
    return [cheque_strip(cheque, rng, settings) for rng in rngs]


def _open_pools(composed: _Shelf, cheques: _Shelf, ways: int, showing: Showing) -> None:
    cv2.setNumThreads(1)
    _composed.extend(composed.strips())
    real = cheques.strips()
    _cheques.extend(real[first : first + ways] for first in range(0, len(real), max(1, ways)))
    _showings.append(showing)


def _bend_group(first: int) -> list[Batch]:
    """The batches from number `first` on, up to GROUPED of them."""
    [showing] = _showings
    rng = np.random.default_rng((showing.seed, first))
    share = REAL_AT_FIRST if first < (1 - LAST_PHASE) * showing.steps else REAL_AT_LAST
    strips = [_drawn(rng, share if _cheques else 0.0) for _ in range(BATCH * GROUPED)]
    bent = [(bend(strip.pixels, rng), strip.text) for strip in strips]
    bent.sort(key=lambda pair: pair[0].shape[1])
    batches = []
    for place in rng.permutation(GROUPED)[: showing.steps - first]:
        pixels, texts = zip(*bent[place * BATCH : (place + 1) * BATCH], strict=True)
        batches.append(Batch(stacked(pixels, rng, showing.round_px), texts))
    return batches


def _drawn(rng: np.random.Generator, share: float) -> LabelledStrip:
    """A strip to show; with the chance `share` a cheque's, or one spliced of two."""
    if rng.random() >= share:
        return _composed[int(rng.integers(len(_composed)))]
    one, other = (
        spoiled[int(rng.integers(len(spoiled)))]
        for spoiled in (_cheques[int(rng.integers(len(_cheques)))] for _ in range(2))
    )
    return spliced(one, other, rng) if rng.random() < SPLICED else one
