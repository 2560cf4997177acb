"""Stocks of ink -> what the network is shown: pools of crops, mixed by share, bent anew every time.

Drawing and bending run in their own processes, so the network never waits where there are cores to spare; every
chunk has a seed of its own, so what is shown does not depend on how many there are.
"""

import concurrent.futures
import multiprocessing
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from docscan.stages.normalise import normalise_all
from training.augment import Augmentation, augment
from training.crops import Stock, page_crops
from training.data import Digits

Task = TypeVar("Task")
Result = TypeVar("Result")

PAGES_A_TASK = 10
CHUNK = 1 << 15  # crops bent by one task


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Crops of one kind and how often they are shown."""

    name: str
    crops: Digits
    share: float
    bending: Augmentation


def draw_pages(stocks: Sequence[Stock], pages: int, seed: int, jobs: int) -> Digits:
    """The crops docscan's stages cut from `pages` drawn pages."""
    tasks = [(seed, first, min(PAGES_A_TASK, pages - first)) for first in range(0, pages, PAGES_A_TASK)]
    with tempfile.TemporaryDirectory() as folder:
        path = _shelve(stocks, Path(folder) / "stocks.npz")
        with workers_for(jobs, _open_stocks, path) as workers:
            parts = list(workers.map(_draw, tasks))
    images = np.concatenate([images for images, _ in parts])
    return Digits(images, np.concatenate([labels for _, labels in parts]))


def direct(stocks: Sequence[Stock]) -> Digits:
    """The pieces of ink as they are, each through docscan's normalise."""
    images = normalise_all([ink for stock in stocks for ink in stock.inks])
    return Digits(images, np.concatenate([stock.labels for stock in stocks]))


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Crops to show, as they are bent."""

    digits: Digits
    pools: NDArray[np.uint8]
    """(N,): which of the pools each is from."""


def shown(pools: Sequence[Pool], chunks: int, seed: int, jobs: int) -> Iterator[Chunk]:
    """`chunks` times CHUNK crops, drawn from the pools by share and bent, in an order the seed alone decides."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pools.npz"
        arrays: dict[str, NDArray[np.generic]] = {f"images{n}": pool.crops.images for n, pool in enumerate(pools)}
        arrays |= {f"labels{n}": pool.crops.labels for n, pool in enumerate(pools)}
        np.savez(path, **arrays)  # type: ignore[arg-type]
        mixing = _Mixing([pool.share for pool in pools], [pool.bending for pool in pools], CHUNK)
        with workers_for(jobs, _open_pools, path, mixing) as workers:
            tasks = [(seed, number) for number in range(chunks)]
            for images, labels, kinds in in_turn(workers, _bend, tasks, ahead=2 * jobs):
                yield Chunk(Digits(images, labels), kinds)


@dataclass(frozen=True, slots=True)
class _Mixing:
    shares: list[float]
    bendings: list[Augmentation]
    chunk: int
    """Crops bent by one task."""


_stocks: list[Stock] = []
_pools: list[Digits] = []
_mixings: list[_Mixing] = []


def in_turn(
    workers: concurrent.futures.Executor, function: Callable[[Task], Result], tasks: Sequence[Task], *, ahead: int
) -> Iterator[Result]:
    """What `function` makes of each task, in their order; at most `ahead` of them are begun and not yet fetched."""
    going = [workers.submit(function, task) for task in tasks[:ahead]]
    for number in range(len(tasks)):
        made = going.pop(0).result()
        if number + ahead < len(tasks):
            going.append(workers.submit(function, tasks[number + ahead]))
        yield made


def one_ahead(made: Iterator[Result]) -> Iterator[Result]:
    """The same, each being made while the one before it is used."""
    with concurrent.futures.ThreadPoolExecutor(1) as maker:
        going = maker.submit(next, made, None)
        while (item := going.result()) is not None:
            going = maker.submit(next, made, None)
            yield item


def workers_for(jobs: int, opening: Callable[..., None], *given: object) -> concurrent.futures.ProcessPoolExecutor:
    """Processes that begin anew, on any system alike, each with `opening(*given)`."""
    context = multiprocessing.get_context("spawn")
    return concurrent.futures.ProcessPoolExecutor(jobs, context, initializer=opening, initargs=given)


def _shelve(stocks: Sequence[Stock], path: Path) -> Path:
    """Stocks as flat arrays on disk: 30,000 small arrays are slow to pickle, and every worker needs them once."""
    arrays: dict[str, NDArray[np.generic]] = {"names": np.array([stock.name for stock in stocks])}
    for number, stock in enumerate(stocks):
        arrays[f"ink{number}"] = np.concatenate([ink.ravel() for ink in stock.inks])
        arrays[f"shapes{number}"] = np.array([ink.shape for ink in stock.inks])
        arrays[f"labels{number}"] = stock.labels
        arrays[f"share{number}"] = np.array(stock.share)
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def _open_stocks(path: Path) -> None:
    cv2.setNumThreads(1)
    with np.load(path) as arrays:
        for number, name in enumerate(arrays["names"]):
            shapes = arrays[f"shapes{number}"]
            pieces = np.split(arrays[f"ink{number}"], np.cumsum(shapes.prod(axis=1))[:-1])
            inks = [piece.reshape(shape) for piece, shape in zip(pieces, shapes, strict=True)]
            _stocks.append(Stock(str(name), inks, arrays[f"labels{number}"], float(arrays[f"share{number}"])))


def _draw(task: tuple[int, int, int]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    seed, first, pages = task
    parts = [page_crops(_stocks, np.random.default_rng((seed, page))) for page in range(first, first + pages)]
    return np.concatenate([images for images, _ in parts]), np.concatenate([labels for _, labels in parts])


def _open_pools(path: Path, mixing: _Mixing) -> None:
    cv2.setNumThreads(1)
    _mixings.append(mixing)
    with np.load(path) as arrays:
        _pools.extend(Digits(arrays[f"images{n}"], arrays[f"labels{n}"]) for n in range(len(mixing.shares)))


def _bend(task: tuple[int, int]) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.uint8]]:
    """The crops of one chunk, their labels and pools; `task` is the seed and the chunk's number."""
    rng = np.random.default_rng(task)
    [mixing] = _mixings
    shares = np.array(mixing.shares)
    kinds = rng.choice(len(_pools), size=mixing.chunk, p=shares / shares.sum())
    images = np.empty((mixing.chunk, 28, 28), np.uint8)
    labels = np.empty(mixing.chunk, np.int64)
    for number, (pool, bending) in enumerate(zip(_pools, mixing.bendings, strict=True)):
        places = np.flatnonzero(kinds == number)
        rows = rng.integers(len(pool), size=len(places))
        images[places], labels[places] = augment(pool.images[rows], rng, bending), pool.labels[rows]
    return images, labels, kinds.astype(np.uint8)
