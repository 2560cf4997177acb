"""One scan, read at once: the way in from Python, and for `docscan digit`."""

import functools
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from docscan import pipeline
from docscan.errors import PageError
from docscan.files.scans import ScanOptions, open_page, page_from_array
from docscan.records import Digit, Glyphs, Page, PageResult, PageSource
from docscan.settings import Colour, Settings
from docscan.stages.classify import DigitModel, load_model
from docscan.stages.decode import decode_glyphs
from docscan.stages.normalise import normalise

_SIDE_PX = 120  # what a single digit is reduced to: four times what the model sees, and no grain left
_PIECE = 0.2  # of the largest piece: a part of the digit rather than dirt
_MOST_PIECES = 6  # of a broken digit
_SPECK = 0.05  # a piece with less ink than this share of the largest is dirt
_FAINT = 16  # gray levels between paper and ink below which there is no ink
_NOISE_MADS = 3.0  # a border pixel further off the median is ink, not paper


def read_page(
    scan: str | Path | NDArray[np.uint8],
    *,
    model: DigitModel | None = None,
    settings: Settings | None = None,
    drop_out: Colour | None = None,
) -> PageResult:
    """Read the numbers on one scan: a file (its first page), or pixels (H, W) or (H, W, 3) RGB uint8.

    Without `model` the shipped one is used, loaded once a process. What is printed in the colour `drop_out`, "red",
    "green" or "blue", is left out. Raises PageError where the scan cannot be opened.
    """
    return pipeline.read_page(_page(scan, drop_out), model or _shipped_model(), settings or Settings())


def read_digit(scan: str | Path | NDArray[np.uint8], *, model: DigitModel | None = None) -> Digit:
    """Read a picture of a single digit, of any size, dark on light or light on dark.

    The picture's border is its paper; all the ink inside is one digit, specks left out. The alternatives are the
    runners-up. Raises PageError where there is no ink, or the ink is no digit.
    """
    gray = _page(scan).gray
    strokes = _strokes(gray)
    rows, columns = np.nonzero(strokes)
    if len(rows) == 0:
        raise PageError("there is no ink on the picture; expected one digit")
    inside = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
    height, width = gray.shape
    box = np.array([[0, 0, width, height]], dtype=np.int32)
    probabilities = (model or _shipped_model()).probabilities(normalise(strokes[inside])[np.newaxis])
    [read] = decode_glyphs(Glyphs(box, (strokes[inside],)), probabilities)
    if not read.text:
        raise PageError("the ink on the picture does not look like a digit; expected one, alone and upright")
    return read


def _strokes(gray: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The ink of a (H, W) picture of one digit, at most _SIDE_PX high or wide: 0 = paper, 255 = the darkest ink."""
    scale = min(1.0, _SIDE_PX / max(gray.shape))
    size = max(1, round(gray.shape[1] * scale)), max(1, round(gray.shape[0] * scale))
    off_paper = _off_paper(cv2.resize(gray, size, interpolation=cv2.INTER_AREA).astype(np.float32))
    # Paper is off by nothing and ink by much, one way or the other: the cube keeps the sign and lets the ink decide.
    ink = np.maximum(off_paper * np.sign(np.sum(off_paper**3)), 0)
    darkest = float(ink.max())
    if darkest < _FAINT:
        return np.zeros(ink.shape, np.uint8)
    strokes = np.asarray(np.round(ink * (255 / darkest)), dtype=np.uint8)
    threshold, mask = cv2.threshold(strokes, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0  # the paper
    if np.count_nonzero(areas >= _PIECE * areas.max()) > _MOST_PIECES:
        raise PageError("many pieces of ink on the picture; expected one digit. For a page: docscan run")
    digit = np.isin(labels, np.flatnonzero(areas >= max(1, _SPECK * areas.max()))).astype(np.uint8)
    # The soft edge of a stroke lies just outside the mask; MNIST's digits have it.
    digit = cv2.dilate(digit, np.ones((3, 3), np.uint8))
    return np.where((digit > 0) & (strokes >= threshold / 2), strokes, np.uint8(0))


def _off_paper(gray: NDArray[np.float32]) -> NDArray[np.float32]:
    """How much lighter each pixel is than the paper: a plane through the border, so that a shadow is no ink."""
    rows, columns = np.indices(gray.shape)
    border = (rows == 0) | (columns == 0) | (rows == gray.shape[0] - 1) | (columns == gray.shape[1] - 1)
    off_median = np.abs(gray[border] - np.median(gray[border]))
    paper = off_median <= _NOISE_MADS * np.median(off_median) + _FAINT
    terms = np.stack([np.ones(gray.shape), rows, columns], axis=-1)
    plane, *_ = np.linalg.lstsq(terms[border][paper], gray[border][paper], rcond=None)
    return np.asarray(gray - terms @ plane, dtype=np.float32)


def _page(scan: str | Path | NDArray[np.uint8], drop_out: Colour | None = None) -> Page:
    if isinstance(scan, np.ndarray):
        return page_from_array(scan, drop_out)
    path = Path(scan).absolute()
    return open_page(PageSource(str(path), path.name), ScanOptions(drop_out=drop_out))


@functools.cache
def _shipped_model() -> DigitModel:
    return load_model()
