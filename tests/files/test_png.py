import importlib
import io
import struct
import sys
import time
import zlib

import numpy as np
import pytest
import stored
from PIL import Image
from PIL.ExifTags import Base as ExifTag
from PIL.PngImagePlugin import PngImageFile

from docscan.files import png

ROWS = np.random.default_rng(0).integers(0, 4, (90, 120), np.uint8) * 60
ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))  # PNG, 8.2


def pixels(content: bytes, opener: type[PngImageFile] = png.PngFile) -> np.ndarray:
    with opener(io.BytesIO(content)) as image:
        return np.asarray(image)


def head(width: int, height: int, interlaced: int = 0) -> tuple[bytes, bytes]:
    return b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, interlaced)


def gray_png(stream: bytes, at_once: int, *more: tuple[bytes, bytes], interlaced: int = 0) -> bytes:
    """ROWS whose deflated stream is given, cut into chunks of `at_once` bytes; `more` chunks stand behind it."""
    cut = [(b"IDAT", stream[first : first + at_once]) for first in range(0, len(stream), at_once)]
    return stored.png(head(*ROWS.shape[::-1], interlaced), *cut, *more, (b"IEND", b""))


def unfiltered(rows: np.ndarray) -> bytes:
    return b"".join(b"\0" + row.tobytes() for row in rows)


def deflated(level: int = 6, strategy: int = zlib.Z_DEFAULT_STRATEGY) -> bytes:
    deflater = zlib.compressobj(level, strategy=strategy)
    return deflater.compress(unfiltered(ROWS)) + deflater.flush()


@pytest.mark.parametrize(
    ("mode", "by_the_crate"),
    [("1", False), ("L", True), ("LA", False), ("P", False), ("RGB", True), ("RGBA", True), ("I;16", False)],
)
def test_every_kind_of_png_is_read_as_pillow_reads_it(mode, by_the_crate, monkeypatch):
    decoded = []
    crate = png.decode_image_png_u8
    monkeypatch.setattr(png, "decode_image_png_u8", lambda *page: decoded.append(crate(*page)) or decoded[-1])
    large = Image.fromarray(np.tile(ROWS, (6, 9)))
    image = Image.fromarray(np.asarray(large).astype(np.uint16) * 257) if mode == "I;16" else large.convert(mode)
    picture = stored.saved(image, "PNG")
    read = pixels(picture)
    assert len(decoded) == by_the_crate
    assert read.shape[:2] == (540, 1080)
    assert np.array_equal(read, pixels(picture, PngImageFile))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
@pytest.mark.parametrize("smooth", [False, True])
def test_rows_of_every_filter_are_read_as_pillow_reads_them(mode, smooth):
    shades = np.add.outer(np.arange(400), np.arange(0, 900, 3)) % 256 if smooth else np.tile(ROWS, (5, 3))
    picture = stored.saved(Image.fromarray(shades.astype(np.uint8)).convert(mode), "PNG")
    assert np.array_equal(pixels(picture), pixels(picture, PngImageFile))


@pytest.mark.parametrize("at_once", [1, 7, 100_000])
@pytest.mark.parametrize(
    ("level", "strategy"), [(0, zlib.Z_DEFAULT_STRATEGY), (9, zlib.Z_DEFAULT_STRATEGY), (6, zlib.Z_FIXED)]
)
def test_a_stream_is_read_however_it_was_deflated_and_cut(level, strategy, at_once):
    assert np.array_equal(pixels(gray_png(deflated(level, strategy), at_once)), ROWS)


def test_an_interlaced_picture_is_read():
    passes = b"".join(unfiltered(ROWS[top::down, left::along]) for top, left, down, along in ADAM7)
    assert np.array_equal(pixels(gray_png(zlib.compress(passes), 1000, interlaced=1)), ROWS)


def test_the_first_picture_of_several_is_read():
    first, second = Image.fromarray(ROWS), Image.fromarray(255 - ROWS)
    content = io.BytesIO()
    first.save(content, "PNG", save_all=True, append_images=[second])
    assert np.array_equal(pixels(content.getvalue()), pixels(content.getvalue(), PngImageFile))


def test_what_stands_behind_the_pixels_is_known():
    turned = Image.Exif()
    turned[ExifTag.Orientation] = 6
    behind = (b"eXIf", turned.tobytes().removeprefix(b"Exif\0\0"))
    with png.PngFile(io.BytesIO(gray_png(deflated(), 500, behind))) as image:
        assert image.getexif()[ExifTag.Orientation] == 6
        assert np.array_equal(image.gray, ROWS)


def test_a_stream_cut_short_is_an_error():
    with pytest.raises(OSError, match="truncated"):
        pixels(gray_png(deflated()[:-400], 1000))


def test_a_damaged_stream_is_an_error():
    stream = bytearray(deflated())
    stream[200:220] = bytes(20)
    with pytest.raises(OSError, match="broken"):
        pixels(gray_png(bytes(stream), 1000))


def test_what_follows_the_stream_is_not_read():
    assert np.array_equal(pixels(gray_png(deflated() + b"more" * 9, 64)), ROWS)


def test_no_more_is_inflated_than_the_picture_has():
    # A thousand bytes of nothing for each that is stored.
    stream = zlib.compress(bytes(200_000_000), 9)
    started = time.perf_counter()
    zlib.decompress(stream)
    inflated = time.perf_counter()
    assert pixels(stored.png(head(100, 100), (b"IDAT", stream), (b"IEND", b""))).shape == (100, 100)
    assert time.perf_counter() - inflated < (inflated - started) / 5


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the panic prints what NumPy raised
def test_a_picture_there_is_no_memory_for_is_an_error_like_any_other():
    huge = stored.png(head(2_000_000_000, 2_000_000_000), (b"IDAT", deflated()), (b"IEND", b""))
    with png.PngFile(io.BytesIO(huge)) as image, pytest.raises((MemoryError, ValueError, OSError)):
        image.load()


def test_who_stops_docscan_meanwhile_is_heard(monkeypatch):
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(png, "decode_image_png_u8", stopped)
    with pytest.raises(KeyboardInterrupt):
        pixels(gray_png(deflated(), 500))


def test_pillow_serves_where_there_is_no_wheel(monkeypatch):
    monkeypatch.setitem(sys.modules, "kornia_rs.io", None)
    try:
        plain = importlib.reload(png)
        assert plain.decode_image_png_u8 is None
        assert np.array_equal(pixels(gray_png(deflated(), 500), plain.PngFile), ROWS)
    finally:
        monkeypatch.undo()
        importlib.reload(png)
