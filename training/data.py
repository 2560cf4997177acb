"""Labelled digits -> arrays: each set by name, with its checksum, its licence and where a person gets it."""

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

MNIST_FILES = {
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}
"""File -> MD5, as the authors published them. CC BY-SA 3.0, Yann LeCun and Corinna Cortes."""
WRITERS_FILE = "qmnist-train-labels.tsv.gz"  # BSD, facebookresearch/qmnist
WRITER_COLUMN = 2
VALIDATION_SHARE = 12  # one writer in twelve
VALIDATION_TAIL = 5000  # where the writers are unknown: MNIST is ordered by writer, so its end is other hands
MISLABELLED = (56_014, 59_915)
"""Of MNIST's 60,000: a plain 8 that is called a 5, and a plain 7 that is called a 4. On drawn pages they come again and
again: of the numbers there that were wrong with a confidence over 0.988, the one was one in five; before it, of those
over 0.997, the other one in six."""


@dataclass(frozen=True, slots=True, eq=False)
class Digits:
    """Labelled crops of one digit each; every column has one row a crop."""

    images: NDArray[np.uint8]
    """(N, 28, 28) uint8, 255 = ink."""
    labels: NDArray[np.int64]
    """(N,): 0..9, or 10 for "not a digit"."""

    def __post_init__(self) -> None:
        if self.images.shape[1:] != (28, 28) or self.images.dtype != np.uint8:
            raise ValueError(f"images: expected (N, 28, 28) uint8, got {self.images.shape} {self.images.dtype}")
        if len(self.images) != len(self.labels):
            raise ValueError(f"columns differ: {len(self.images)} images, {len(self.labels)} labels")

    def __len__(self) -> int:
        return len(self.labels)

    def where(self, keep: NDArray[np.bool_] | slice) -> "Digits":
        """The crops for which `keep` (N,) is True, or those of a slice."""
        return Digits(self.images[keep], self.labels[keep])


@dataclass(frozen=True, slots=True, eq=False)
class Mnist:
    """MNIST, its 60,000 split by writer; the test digits only ever measure."""

    train: Digits
    validation: Digits
    test: Digits


def load_mnist(folder: Path | None) -> Mnist:
    """MNIST from the four idx files in `folder` or in `folder/mnist`; None fetches it through Keras.

    Raises FileNotFoundError where the files are absent, ValueError where one is not the published file.
    """
    if folder is None:
        from keras.datasets import mnist

        (images, labels), (test_images, test_labels) = mnist.load_data()
        writers = None
    else:
        home = find_mnist(folder)
        images, labels, test_images, test_labels = (read_idx(home / name, md5) for name, md5 in MNIST_FILES.items())
        writers = read_writers(home / WRITERS_FILE)
    known = Digits(images, labels.astype(np.int64))
    trains, validates = split_by_writer(len(known), writers)
    return Mnist(known.where(trains), known.where(validates), Digits(test_images, test_labels.astype(np.int64)))


def find_mnist(folder: Path) -> Path:
    """The folder that holds the idx files: `folder` itself or its `mnist`. Raises FileNotFoundError."""
    for home in (folder, folder / "mnist"):
        if all((home / name).is_file() for name in MNIST_FILES):
            return home
    raise FileNotFoundError(f"{folder}: expected {', '.join(MNIST_FILES)} here or in its folder mnist")


def read_idx(path: Path, md5: str) -> NDArray[np.uint8]:
    """A gzipped idx file of unsigned bytes -> an array of the shape it states; ValueError if the MD5 differs."""
    packed = path.read_bytes()
    found = hashlib.md5(packed, usedforsecurity=False).hexdigest()
    if found != md5:
        raise ValueError(f"{path}: MD5 {found}, expected {md5}; fetch the file again")
    content = gzip.decompress(packed)
    axes = content[3]  # bytes 0 to 3: two zeros, the type (8 = uint8), the number of axes
    shape = tuple(int(size) for size in np.frombuffer(content, ">u4", count=axes, offset=4))
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)


def read_writers(path: Path) -> NDArray[np.int64] | None:
    """Who wrote each of MNIST's 60,000 training digits, or None where the file is absent."""
    if not path.is_file():
        return None
    with gzip.open(path, "rt", encoding="ascii") as lines:
        return np.array([int(line.split("\t")[WRITER_COLUMN]) for line in lines if line[0].isdigit()])


def split_by_writer(count: int, writers: NDArray[np.int64] | None) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which of `count` crops train and which validate, each (N,); MISLABELLED are neither.

    One writer in twelve validates, or the tail where the writers are unknown.
    """
    if writers is None:
        held_out = np.arange(count) >= count - VALIDATION_TAIL
    elif len(writers) != count:
        raise ValueError(f"{len(writers)} writers for {count} crops")
    else:
        held_out = writers % VALIDATION_SHARE == 0
    trusted = ~np.isin(np.arange(count), MISLABELLED)
    return ~held_out & trusted, held_out & trusted
