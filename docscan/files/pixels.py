"""One raster scan -> gray Page: every format, pixel mode and orientation becomes (H, W) uint8, 255 = white."""

import errno
import os
import struct
import threading
import typing
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO
from zlib import crc32

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ExifTags import Base as ExifTag
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile
from PIL.JpegImagePlugin import JpegImageFile, jpeg_factory
from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION, TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from docscan.errors import PageError
from docscan.files.png import PngFile
from docscan.records import Page
from docscan.settings import Colour

COLOURS: tuple[Colour, ...] = typing.get_args(Colour)  # in the order of the channels

HEAD_BYTES = 1024  # a PDF may start anywhere in them; every other format says so in its first twelve
NO_IMAGE = "not an image docscan can read (PNG, JPEG, TIFF, BMP, WebP, JPEG 2000 or PDF)"
EMPTY = "the file is empty"
CUT_SHORT = "the file is cut short; copy or scan it again"
DAMAGED = "the file is damaged, or a variant docscan cannot decode"

MAX_PAGES = 10_000  # a file made to waste time can chain a page every six bytes, or claim any number of them
TOO_MANY_PAGES = f"the file holds more than {MAX_PAGES:,} pages; split it"

_MIN_SIDE_PX = 10  # no digit fits in less
# Software that knows no resolution writes 1, 72 or 96; nobody scans pages beyond 2400.
_MIN_DPI, _MAX_DPI = 100, 2400
_WHITE_IS_ZERO = 0  # TIFF 6.0, tag 262
_COLOURED = frozenset({"RGB", "RGBA", "RGBX", "RGBa", "P", "PA", "CMYK", "YCbCr"})
_TIFF_INTEGERS = {3: "H", 4: "I", 16: "Q"}  # SHORT, LONG, LONG8
_TIFF_SIZES = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}  # bytes; others: 1
_TIFF_PLACES = {273: 279, 324: 325}  # the tag that says where strips (tiles) start: the tag that says how long they are

_ONE_LIMIT = threading.Lock()

# Pillow's classes rather than Image.open: that would also try formats which start other programs (EPS), and it
# has one size limit for the whole process, where ours is an option.
_OPENERS: dict[str, Callable[[BinaryIO], ImageFile.ImageFile]] = {
    "png": PngFile,
    "jpeg": jpeg_factory,
    "tiff": TiffImageFile,
    "bmp": BmpImageFile,
    "webp": WebPImageFile,
    "jp2": Jpeg2KImageFile,
}
_MAGIC = (
    ("png", b"\x89PNG\r\n\x1a\n"),
    ("jpeg", b"\xff\xd8\xff"),
    ("tiff", b"II*\0"),
    ("tiff", b"MM\0*"),
    ("tiff", b"II+\0"),  # BigTIFF
    ("tiff", b"MM\0+"),
    ("jp2", b"\0\0\0\x0cjP  \r\n\x87\n"),
    ("jp2", b"\xff\x4f\xff\x51"),
)


def detect_format(head: bytes) -> str:
    """The format the first HEAD_BYTES of a file belong to: png, jpeg, tiff, bmp, webp, jp2, pdf; else an empty text."""
    for name, magic in _MAGIC:
        if head.startswith(magic):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[:2] == b"BM" and head[15:18] == b"\0\0\0":  # a small header length: a text may begin with BM as well
        return "bmp"
    return "pdf" if b"%PDF-" in head else ""


def read_format(path: Path) -> str:
    """The format of the file at `path`, judged by its content.

    Raises PageError where the file is empty or holds none of the formats, OSError where it cannot be opened.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        raise PageError(EMPTY)
    name = detect_format(head)
    if not name:
        raise PageError(NO_IMAGE)
    return name


@contextmanager
def decoder_edge(path: Path, page: int = 1) -> Iterator[None]:
    """Everything a decoder or the disk may raise becomes a PageError whose message is the reason, without the path."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # damaged tags and such: what matters is whether pixels come out
            yield
    except PageError:
        raise
    except MemoryError as error:
        raise PageError("the page needs more memory than this computer has free") from error
    # A broad net, here alone: a hostile file makes decoders raise nearly anything (struct.error, SyntaxError,
    # ZeroDivisionError, PdfiumError, ...), and one bad page must never stop a run.
    except Exception as error:
        # EINVAL: a decoder asked for a place before the start of the file.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise PageError(disk_reason(error, path)) from error
        raise PageError(_decoder_reason(path, page)) from error


def disk_reason(error: OSError, path: Path) -> str:
    """Why the system would not hand over the file or folder at `path`, in words."""
    if error.errno == errno.ELOOP:
        return "a link that leads back to itself"
    if error.errno == errno.ENOENT:
        return "a link to a file that is not there" if path.is_symlink() else "the file is no longer there"
    if error.errno in (errno.EACCES, errno.EPERM):
        return "permission denied; give this user the right to read it"
    return f"cannot be opened ({error.strerror or error})"


def check_size(width: int, height: int, max_mpixels: float) -> None:
    """Raise PageError for a picture that is too small to be a page, or larger than `max_mpixels` million pixels."""
    if min(width, height) < _MIN_SIDE_PX:
        raise PageError(f"{width} x {height} px is too small to be a page")
    mpixels = width * height / 1e6
    shown = f"{mpixels:,.0f}" if mpixels >= 10 else f"{mpixels:.2g}"
    if mpixels > max_mpixels:
        raise PageError(
            f"{width:,} x {height:,} px is {shown} megapixels, and the limit is {max_mpixels:g}; "
            f"if it is a real page, raise the limit with --max-image-mpixels"
        )


def plausible_dpi(horizontal: float, vertical: float) -> float | None:
    """One resolution in pixels per inch, or None where the two disagree (a fax) or look like a default."""
    low, high = sorted((round(horizontal, 2), round(vertical, 2)))  # PNG counts in metres: 100 is stored as 99.9998
    if not _MIN_DPI <= low <= high <= _MAX_DPI or high > 1.1 * low:
        return None
    return round((low + high) / 2, 2)


def turned(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """A view of `pixels` as EXIF `orientation` wants them shown: 1..8 (CIPA DC-008, tag 274), others change nothing."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.T
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


def decode_image(path: Path, image_format: str, page: int, max_mpixels: float, drop_out: Colour | None = None) -> Page:
    """Decode one page of a raster file, without print of one colour; `page` is 1-based and beyond 1 for TIFF only.

    Raises PageError with the reason alone, for everything that may be wrong with the file.
    """
    with decoder_edge(path, page), path.open("rb") as file:
        if image_format == "png":
            _check_png(file)
        image = _OPENERS[image_format](file)
        if page > 1:
            _turn_to(image, page)
        check_size(*image.size, max_mpixels)
        if drop_out is None:
            image.draft("L", image.size)  # JPEG alone: libjpeg then leaves colours out (49 -> 14 ms for A4 at 300 dpi)
        dpi = _stated_dpi(image)
        with _pillow_limit_lifted(image):
            gray = _without(drop_out, image) if drop_out and image.mode in _COLOURED else _to_gray(image)
        # Pillow turns a TIFF while it loads it, and no other format.
        gray = gray if image_format == "tiff" else turned(gray, _orientation(image))
        return Page(np.ascontiguousarray(gray), dpi)


@contextmanager
def _pillow_limit_lifted(image: Image.Image) -> Iterator[None]:
    """Pillow holds large TIFFs against a limit for the whole process; ours was checked, so lift it and put it back."""
    limit = Image.MAX_IMAGE_PIXELS
    if limit is None or image.width * image.height <= limit:
        yield
        return
    with _ONE_LIMIT:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def tiff_pages(path: Path) -> Iterator[int]:
    """The page numbers of a TIFF, from 1.

    Raises PageError where the chain of pages leaves the file; the numbers of the pages before have been given then.
    A chain that leads back into itself ends there.
    """
    with path.open("rb") as file:
        for page, _ in enumerate(_TiffLayout(file).directories(file), start=1):
            yield page


class _TiffLayout:
    """How one TIFF or BigTIFF file stores its pages (TIFF 6.0, section 2), read from its header."""

    def __init__(self, file: BinaryIO) -> None:
        header = file.read(16)
        self.order = "<" if header[:2] == b"II" else ">"
        self.big = b"+" in header[2:4]
        self.pointer = "Q" if self.big else "I"
        (self.first,) = self._unpack(self.pointer, header[8:16] if self.big else header[4:8])

    def directories(self, file: BinaryIO) -> Iterator[dict[int, bytes]]:
        """Each page's tags, still as they are stored."""
        offset, seen = self.first, set[int]()
        while offset and offset not in seen:
            if len(seen) == MAX_PAGES:
                raise PageError(TOO_MANY_PAGES)
            seen.add(offset)
            _seek(file, offset)
            (count,) = self._read(file, "Q" if self.big else "H", 1)
            if count > 0xFFFF:
                raise PageError(DAMAGED)
            step = 20 if self.big else 12
            stored = file.read(count * step)
            (offset,) = self._read(file, self.pointer, 1)
            entries = (stored[start : start + step] for start in range(0, len(stored), step))
            yield {self._parts(entry)[0]: entry for entry in entries}

    def page_end(self, file: BinaryIO, entries: dict[int, bytes], size: int) -> int:
        """The offset just past the last byte a page needs: of its strips or tiles, and of its longer tags."""
        ends = [0]
        for entry in entries.values():
            _, kind, length, inline = self._parts(entry)
            length *= _TIFF_SIZES.get(kind, 1)
            if length > len(inline):
                ends.append(self._unpack(self.pointer, inline)[0] + length)
        for places, lengths in _TIFF_PLACES.items():
            if places in entries and lengths in entries:
                starts, counts = (self._values(file, entries[tag], size) for tag in (places, lengths))
                ends += [start + count for start, count in zip(starts, counts, strict=False)]
        return max(ends)

    def _parts(self, entry: bytes) -> tuple[int, int, int, bytes]:
        """Tag, kind, count, and the value itself or where it is."""
        split = 12 if self.big else 8
        tag, kind, count = self._unpack("HH" + self.pointer, entry[:split])
        return tag, kind, count, entry[split:]

    def _values(self, file: BinaryIO, entry: bytes, size: int) -> tuple[int, ...]:
        _, kind, count, inline = self._parts(entry)
        letter = _TIFF_INTEGERS.get(kind, "I")
        length = struct.calcsize("=" + letter) * count
        if length > size:
            raise PageError(DAMAGED)
        if length <= len(inline):
            return self._unpack(f"{count}{letter}", inline[:length])
        _seek(file, self._unpack(self.pointer, inline)[0])
        return self._read(file, letter, count)

    def _read(self, file: BinaryIO, letter: str, count: int) -> tuple[int, ...]:
        length = struct.calcsize("=" + letter) * count
        stored = file.read(length)
        if len(stored) < length:
            raise PageError(CUT_SHORT)
        return self._unpack(f"{count}{letter}", stored)

    def _unpack(self, letters: str, stored: bytes) -> tuple[int, ...]:
        return struct.unpack(self.order + letters, stored)


def _seek(file: BinaryIO, offset: int) -> None:
    if offset >= 2**63:  # more than a file can have: seek() itself would raise
        raise PageError(CUT_SHORT)
    file.seek(offset)


def _turn_to(image: ImageFile.ImageFile, page: int) -> None:
    try:
        image.seek(page - 1)
    except EOFError as error:
        raise PageError(f"the file has no page {page}") from error


def _stated_dpi(image: Image.Image) -> float | None:
    try:
        horizontal, vertical = image.info["dpi"]
        return plausible_dpi(float(horizontal), float(vertical))
    except (KeyError, TypeError, ValueError, ZeroDivisionError):  # absent, or 0/0 and the like
        return None


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTag.Orientation, 1))
    # As broad as decoder_edge, for the same reason; a broken EXIF block must not cost a page whose pixels are whole.
    except Exception:
        return 1


def _to_gray(image: Image.Image) -> NDArray[np.uint8]:
    """Any pixel mode -> (H, W) uint8; transparent pixels show the white of the paper."""
    if image.mode.startswith("I;16"):
        return _from_16_bit(image)
    if image.mode in ("I", "F"):
        return _from_wide(np.asarray(image), inverted=_is_white_zero(image))
    if image.has_transparency_data:
        layered = image if image.mode == "LA" else image.convert("RGBA").convert("LA")
        paper = Image.new("L", image.size, 255)
        paper.paste(layered.getchannel("L"), mask=layered.getchannel("A"))
        return np.asarray(paper)
    if image.mode == "LAB":
        return np.asarray(image.getchannel("L"))
    if image.mode == "L":
        return _decoded(image) if isinstance(image, PngFile | JpegImageFile) else np.asarray(image)
    return np.asarray(image.convert("L"))


def dropped_out(rgb: NDArray[np.uint8], colour: Colour) -> NDArray[np.uint8]:
    """Pixels (H, W, 3), RGB -> gray (H, W), print of that colour as light as the paper.

    As a scanner with a lamp of that colour sees them; what is coloured so is paler in that light, and is made paler
    still by as much as the colour exceeds the others, up to the page's usual gray.
    """
    own = COLOURS.index(colour)
    light, *others = (np.ascontiguousarray(rgb[:, :, channel]) for channel in (own, own - 1, own - 2))
    excess = cv2.subtract(light, cv2.max(*others))
    paper = float(np.median(light[::4, ::4]))
    return np.asarray(cv2.max(light, cv2.min(cv2.add(light, excess), paper)), dtype=np.uint8)


def _without(colour: Colour, image: Image.Image) -> NDArray[np.uint8]:
    """A picture in colours -> (H, W) uint8, print of that colour and transparent pixels as white as paper."""
    if image.has_transparency_data:
        layered = image.convert("RGBA")
        image = Image.new("RGB", image.size, "white")
        image.paste(layered, mask=layered)
    return dropped_out(np.asarray(image.convert("RGB")), colour)


def _decoded(image: PngFile | JpegImageFile) -> NDArray[np.uint8]:
    """The gray pixels (H, W), decoded straight into an array: np.asarray copies them twice, which takes 4 ms."""
    gray = np.empty(image.size[::-1], np.uint8)
    image.im = Image.frombuffer("L", image.size, gray, "raw", "L", 0, 1).im
    image.load()
    # Who decodes a PNG sooner has an array of its own.
    return image.gray if isinstance(image, PngFile) and image.gray is not None else gray


def _from_16_bit(image: Image.Image) -> NDArray[np.uint8]:
    wide = np.asarray(image)
    bits = 16
    if isinstance(image, TiffImageFile):
        bits = int(image.tag_v2.get(BITSPERSAMPLE, (16,))[0])  # 12 is stored in 16
    gray = (wide >> (bits - 8)).astype(np.uint8)
    if _is_white_zero(image):
        gray = 255 - gray
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        gray[wide == clear] = 255
    return gray


def _from_wide(wide: NDArray[Any], *, inverted: bool) -> NDArray[np.uint8]:
    """32-bit pixels state no range: take the smallest usual one that holds the brightest pixel."""
    if not np.isfinite(wide).all():
        raise PageError("some pixels are not numbers; save the scan with 8 or 16 bits")
    brightest = wide.max()
    white = next((limit for limit in (1, 255, 65535) if brightest <= limit), brightest)
    gray = np.clip(wide * (255 / white), 0, 255).astype(np.uint8)
    return 255 - gray if inverted else gray


def _is_white_zero(image: Image.Image) -> bool:
    # Pillow inverts WhiteIsZero up to 8 bits, and leaves wider pixels as they are stored.
    return isinstance(image, TiffImageFile) and image.tag_v2.get(PHOTOMETRIC_INTERPRETATION) == _WHITE_IS_ZERO


def _check_png(file: BinaryIO) -> None:
    """Raise PageError for a PNG that is cut short or fails a checksum.

    Pillow skips the checksums of the pixels, so a flipped bit would pass as other pixels; this costs 1 ms.
    """
    file.seek(8)
    while True:
        start = file.read(8)
        if len(start) < 8:
            raise PageError(CUT_SHORT)
        length, kind = struct.unpack(">I4s", start)
        content = file.read(length + 4)
        if len(content) < length + 4:
            raise PageError(CUT_SHORT)
        if crc32(memoryview(content)[:-4], crc32(kind)) != int.from_bytes(content[-4:], "big"):
            raise PageError("the file is damaged (a checksum inside does not match); copy or scan it again")
        if kind == b"IEND":
            break
    file.seek(0)


def _decoder_reason(path: Path, page: int) -> str:
    """Why decoding failed, from the file's own structure: its end is missing, or something inside is wrong."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            file.seek(-min(size, HEAD_BYTES), os.SEEK_END)
            tail = file.read()
        if _ends_early(path, page, size, head, tail):
            return CUT_SHORT
    except PageError as error:
        return str(error)
    except (OSError, struct.error, OverflowError):
        return DAMAGED
    return DAMAGED


def _ends_early(path: Path, page: int, size: int, head: bytes, tail: bytes) -> bool:
    match detect_format(head):
        case "jpeg" | "jp2":
            return b"\xff\xd9" not in tail  # EOI, EOC: the end of the image
        case "pdf":
            return b"%%EOF" not in tail
        case "bmp":
            return int.from_bytes(head[2:6], "little") > size
        case "webp":
            return 8 + int.from_bytes(head[4:8], "little") > size
        case "tiff":
            with path.open("rb") as file:
                layout = _TiffLayout(file)
                entries = next(islice(layout.directories(file), page - 1, None), {})
                return layout.page_end(file, entries, size) > size
        case _:
            return False
