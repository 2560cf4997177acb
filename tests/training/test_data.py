import gzip
import hashlib

import numpy as np
import pytest

from training import data
from training.data import MNIST_FILES, Digits, find_mnist, read_idx, read_writers, split_by_writer


def write_idx(path, array):
    axes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    packed = gzip.compress(bytes([0, 0, 8, array.ndim]) + axes + array.tobytes())
    path.write_bytes(packed)
    return hashlib.md5(packed, usedforsecurity=False).hexdigest()


def test_an_idx_file_gives_the_array_it_holds(tmp_path):
    images = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    md5 = write_idx(tmp_path / "images.gz", images)
    assert read_idx(tmp_path / "images.gz", md5).tolist() == images.tolist()


def test_an_idx_file_that_is_not_the_published_one_is_refused(tmp_path):
    write_idx(tmp_path / "images.gz", np.zeros((1, 2, 2), np.uint8))
    with pytest.raises(ValueError, match=r"MD5 .*, expected 0123"):
        read_idx(tmp_path / "images.gz", "0123")


@pytest.mark.parametrize("place", [".", "mnist"])
def test_mnist_is_found_in_the_folder_or_below_it(tmp_path, place):
    home = tmp_path / place
    home.mkdir(exist_ok=True)
    for name in MNIST_FILES:
        (home / name).touch()
    assert find_mnist(tmp_path) == home


def test_a_folder_without_mnist_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="train-images-idx3-ubyte"):
        find_mnist(tmp_path)


def test_one_writer_in_twelve_is_held_out_with_all_they_wrote():
    writers = np.repeat(np.arange(24), 3)
    trains, held_out = split_by_writer(len(writers), writers)
    assert (trains ^ held_out).all()
    assert np.unique(writers[held_out]).tolist() == [0, 12]
    assert np.count_nonzero(held_out) == 6


def test_without_writers_the_tail_is_held_out():
    trains, validates = split_by_writer(5003, None)
    assert np.flatnonzero(validates).tolist() == list(range(3, 5003))
    assert np.flatnonzero(trains).tolist() == [0, 1, 2]


def test_writers_are_the_third_column(tmp_path):
    lines = "CHR\tHSF\tWID\tCID\n5\t4\t2001\t0\n0\t0\t317\t1\n"
    (tmp_path / "writers.tsv.gz").write_bytes(gzip.compress(lines.encode()))
    assert read_writers(tmp_path / "writers.tsv.gz").tolist() == [2001, 317]


def test_digits_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"expected \(N, 28, 28\) uint8, got \(2, 16, 16\) uint8"):
        Digits(np.zeros((2, 16, 16), np.uint8), np.zeros(2, np.int64))


def test_a_digit_that_is_called_another_neither_trains_nor_validates(monkeypatch, tmp_path):
    arrays = [np.zeros((4, 28, 28), np.uint8), np.arange(4, dtype=np.uint8)] * 2
    monkeypatch.setattr(data, "find_mnist", lambda _: tmp_path)
    monkeypatch.setattr(data, "read_idx", lambda path, _: arrays[list(MNIST_FILES).index(path.name)])
    monkeypatch.setattr(data, "read_writers", lambda _: np.array([12, 12, 1, 24]))
    monkeypatch.setattr(data, "MISLABELLED", (1,))
    mnist = data.load_mnist(tmp_path)
    assert (mnist.train.labels.tolist(), mnist.validation.labels.tolist()) == ([2], [0, 3])
    assert len(mnist.test) == 4
