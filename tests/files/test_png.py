import importlib
import io
import struct
import sys
import zlib

import numpy as np
import pytest
import stored
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from docscan.files import png

ROWS = np.random.default_rng(0).integers(0, 4, (90, 120), np.uint8) * 60  # more than one block of a stream


def pixels(content: bytes, opener: type[PngImageFile] = png.PngFile) -> np.ndarray:
    with opener(io.BytesIO(content)) as image:
        return np.asarray(image)


def gray_png(stream: bytes, at_once: int) -> bytes:
    """ROWS whose deflated stream is given, cut into chunks of `at_once` bytes."""
    head = struct.pack(">IIBBBBB", ROWS.shape[1], ROWS.shape[0], 8, 0, 0, 0, 0)
    cut = [(b"IDAT", stream[first : first + at_once]) for first in range(0, len(stream), at_once)]
    return stored.png((b"IHDR", head), *cut, (b"IEND", b""))


def deflated(level: int = 6, strategy: int = zlib.Z_DEFAULT_STRATEGY) -> bytes:
    unfiltered = b"".join(b"\0" + row.tobytes() for row in ROWS)
    deflater = zlib.compressobj(level, strategy=strategy)
    return deflater.compress(unfiltered) + deflater.flush()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_kind_of_png_is_read_as_pillow_reads_it(mode):
    large = Image.fromarray(np.tile(ROWS, (6, 9)))
    image = Image.fromarray(np.asarray(large).astype(np.uint16) * 257) if mode == "I;16" else large.convert(mode)
    picture = stored.saved(image, "PNG")
    assert pixels(picture).shape[:2] == (540, 1080)
    assert np.array_equal(pixels(picture), pixels(picture, PngImageFile))


@pytest.mark.parametrize("at_once", [1, 7, 100_000])
@pytest.mark.parametrize(
    ("level", "strategy"), [(0, zlib.Z_DEFAULT_STRATEGY), (9, zlib.Z_DEFAULT_STRATEGY), (6, zlib.Z_FIXED)]
)
def test_a_stream_is_read_however_it_was_deflated_and_cut(level, strategy, at_once):
    assert np.array_equal(pixels(gray_png(deflated(level, strategy), at_once)), ROWS)


def test_a_stream_cut_short_is_an_error():
    with pytest.raises(OSError, match="truncated"):
        pixels(gray_png(deflated()[:-400], 1000))


def test_a_damaged_stream_is_an_error():
    stream = bytearray(deflated())
    stream[200:220] = bytes(20)
    with pytest.raises((OSError, png.zlib.error)):
        pixels(gray_png(bytes(stream), 1000))


def test_what_follows_the_stream_is_not_read():
    assert np.array_equal(pixels(gray_png(deflated() + b"more" * 9, 64)), ROWS)


def test_little_is_inflated_at_once():
    # A thousand bytes of nothing for each that is stored: a whole picture of them would take 400 MB.
    nothing = zlib.compress(bytes(400_000_000), 9)
    head = struct.pack(">IIBBBBB", 100, 100, 8, 0, 0, 0, 0)
    bomb = png.PngFile(io.BytesIO(stored.png((b"IHDR", head), (b"IDAT", nothing), (b"IEND", b""))))
    bomb.load_prepare()
    assert len(bomb.load_read(1 << 16)) < 20_000_000


def test_the_standard_library_serves_where_there_is_no_wheel(monkeypatch):
    monkeypatch.setitem(sys.modules, "isal", None)
    try:
        plain = importlib.reload(png)
        assert plain.zlib is zlib
        assert np.array_equal(pixels(gray_png(deflated(), 500), plain.PngFile), ROWS)
    finally:
        monkeypatch.undo()
        importlib.reload(png)
