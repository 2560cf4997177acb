"""A kind of page, at random -> a drawn page whose numbers are known, as it looks once scanned.

First a plan (layouts.py), then print and ink on paper, then what light, lens, feeder and file format do to it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from docscan.records import Box
from training import layouts
from training.hand import Writer, draw_digit
from training.layouts import Plan, Sheet, Spot

DigitSource = Callable[[int, np.random.Generator, float], NDArray[np.uint8]]
"""(digit, rng, height in pixels) -> gray strokes (h, w) uint8, 255 = ink, cut to the ink."""

MM_PER_INCH = 25.4
INKS = {
    "blue": (35, 50, 140),
    "black": (28, 28, 32),
    "red": (165, 35, 40),
    "green": (20, 100, 60),
    "pencil": (70, 70, 74),
}
PRINTS = ((60, 60, 60), (120, 150, 190), (190, 120, 120), (150, 150, 150))
MARKS = {
    ".": ([[0.0, -0.06, 0.02, -0.04]], [[0.06, 0.0, 0.1, 0.02]]),
    ",": ([[0.04, -0.1, -0.06, 0.1]], [[0.1, -0.02, 0.02, 0.22]]),
    "-": ([[0.0, -0.6, 0.3, -0.6]], [[0.06, -0.42, 0.45, -0.42]]),
    "/": ([[0.3, -1.25, 0.0, 0.0]], [[0.45, -1.05, 0.05, 0.15]]),
    ":": (
        [[0.0, -0.25, 0.02, -0.23], [0.0, -0.75, 0.02, -0.73]],
        [[0.06, -0.08, 0.08, -0.06], [0.06, -0.55, 0.08, -0.53]],
    ),
}
"""Strokes of each mark, from x, y to x, y in digit heights right of and below where it stands: least and most."""
LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
INK_LEVEL = 96  # strokes at least this dark bound a digit in the truth
FAINT = 12  # the palest stroke
CRUMB = 0.1  # of a digit's largest piece; the bar of a 5 is larger,
REMAINS = 0.3  # and nothing of it lies wholly beside, as the side of the box that it was written in does
_EDGE_GRAY, _PEN_GRAY = 110, 128  # of an enlarged crop's edge, and what it is on a page


@dataclass(frozen=True, slots=True)
class DrawnDigit:
    """One digit of the truth."""

    text: str
    box: Box
    """Tight around the ink, half-open, in pixels of the drawn page."""


@dataclass(frozen=True, slots=True)
class DrawnNumber:
    """One number of the truth."""

    digits: tuple[DrawnDigit, ...]
    written: str
    """With its marks and signs."""

    @property
    def text(self) -> str:
        """The digits alone."""
        return "".join(digit.text for digit in self.digits)

    @property
    def box(self) -> Box:
        """Tight around all of them."""
        left, top, right, bottom = zip(*(digit.box for digit in self.digits), strict=True)
        return Box(min(left), min(top), max(right), max(bottom))


@dataclass(frozen=True, slots=True, eq=False)
class DrawnPage:
    """A page and what is written on it, in reading order."""

    image: NDArray[np.uint8]
    """(H, W), or (H, W, 3) RGB where the kind is coloured."""
    numbers: tuple[DrawnNumber, ...]
    kind: str
    dpi: int


@dataclass(frozen=True, slots=True)
class Look:
    """What makes a kind of page what it is; lengths in millimetres, ranges from least to most."""

    layout: Callable[[Sheet, np.random.Generator], Plan] = layouts.free
    opacity: tuple[float, float] = (0.8, 1.0)
    """Of the ink."""
    gap: tuple[float, float] = (0.1, 0.35)
    """Between neighbouring digits, in digit heights."""
    texture: float = 0.15
    """How unevenly the pen gives ink, 0..1."""
    shade: float = 0.03
    """How much darker the darkest part of the page lies, 0..1."""
    noise: float = 2.0
    """Standard deviation of the sensor, gray levels."""
    specks: float = 0.0
    """Pieces of dirt a square centimetre."""
    skew_deg: tuple[float, float] = (-0.3, 0.3)
    bend: float = 0.0
    """How far the corners wander, as a share of the page: a camera held askew."""
    blur: float = 0.04
    """Standard deviation of the lens."""
    jpeg_quality: int | None = None
    coloured: bool = False
    rules: tuple[float, float] = (0.15, 0.4)
    """How thick printed lines are."""


KINDS: dict[str, Look] = {
    "clean": Look(),
    "ruled": Look(layouts.ruled),
    "crossed": Look(partial(layouts.ruled, clearance=-0.02)),
    "table": Look(layouts.table),
    "boxes": Look(layouts.boxes),
    "comb": Look(layouts.comb),
    "columns": Look(layouts.columns),
    "words": Look(layouts.notes),
    "faint": Look(opacity=(0.25, 0.45), texture=0.4, noise=3.0),
    "uneven": Look(shade=0.5, blur=0.08, noise=3.0, jpeg_quality=80),
    "skewed": Look(skew_deg=(-3.0, 3.0)),
    "noisy": Look(noise=14.0, specks=6.0, texture=0.3, blur=0.07, jpeg_quality=60),
    "coloured": Look(layouts.ruled, coloured=True, jpeg_quality=85),
    "dense": Look(partial(layouts.free, between=(0.9, 1.4)), gap=(0.05, 0.2)),
    "touching": Look(gap=(-0.14, 0.04)),
    "photo": Look(layouts.table, shade=0.45, bend=0.02, blur=0.1, noise=4.0, coloured=True, jpeg_quality=75),
    "worksheet": Look(layouts.worksheet, skew_deg=(-1.0, 1.0)),
    "register": Look(layouts.register),
    "squares": Look(layouts.squares, rules=(0.1, 0.25), skew_deg=(-1.0, 1.0)),
}
"""Every kind of page, by name."""


def draw_page(
    kind: str,
    rng: np.random.Generator,
    *,
    dpi: int = 300,
    sheet: Sheet | None = None,
    digits_source: DigitSource | None = None,
    look: Look | None = None,
) -> DrawnPage:
    """A page of one of `KINDS`; without `digits_source` one random hand writes it, without `sheet` it is A5.

    `look` replaces the kind's own.
    """
    look = look or KINDS[kind]
    sheet = sheet or Sheet(digit=float(rng.uniform(3.2, 6.0)))
    source = digits_source or hand_source(Writer.random(rng))
    plan = look.layout(sheet, rng)
    px = dpi / MM_PER_INCH
    paper = _Paper((round(sheet.height * px), round(sheet.width * px)), px, sheet.digit * px)
    ink, written = _write(plan.spots, paper, look.gap, source, rng)
    warp = _warp(paper.size, look, rng)
    printed = _print(plan, paper, look.rules, rng)
    image = _scan(_develop(printed, ink, look, rng), warp, look, px, rng)
    return DrawnPage(image, tuple(_seen(*one, warp, paper.size) for one in written), kind, dpi)


def hand_source(writer: Writer) -> DigitSource:
    """Digits by one hand."""
    return lambda digit, rng, height_px: draw_digit(digit, writer, rng, height_px)


def crop_source(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> DigitSource:
    """Digits out of labelled crops (N, 28, 28) uint8, 255 = ink, such as MNIST's, at the size of a page.

    What lies about a digit in its crop, of one of MNIST's in seventy, would stand on the page as points or colons that
    the truth does not have.
    """
    of_digit = [np.flatnonzero(labels == digit) for digit in range(10)]

    def draw(digit: int, rng: np.random.Generator, height_px: float) -> NDArray[np.uint8]:
        crop = images[rng.choice(of_digit[digit])]
        scale = height_px / 20  # MNIST's digits are 20 px long
        large = cv2.resize(crop, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        large = cv2.GaussianBlur(large, (0, 0), 0.35 * scale).astype(np.float32)
        # A gray edge as wide as a MNIST pixel becomes a pen's edge, and what is paper stays paper however small it is.
        steepness = max(0.8 * scale, _PEN_GRAY / _EDGE_GRAY)
        strokes = np.clip((large - _EDGE_GRAY) * steepness + _PEN_GRAY, 0, 255).astype(np.uint8)
        strokes = _without_crumbs(strokes)
        left, top, width, height = cv2.boundingRect(cv2.threshold(strokes, INK_LEVEL, 255, cv2.THRESH_BINARY)[1])
        return np.asarray(strokes[top : top + height, left : left + width])

    return draw


def _without_crumbs(strokes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Gray strokes (h, w) without what lies apart from the digit; thin strokes, if only pale, hold it together."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats((strokes > FAINT).astype(np.uint8), connectivity=8)
    left, width, areas = (stats[:, k] for k in (cv2.CC_STAT_LEFT, cv2.CC_STAT_WIDTH, cv2.CC_STAT_AREA))
    areas[0] = 0
    largest = int(areas.argmax())
    is_beside = (left >= left[largest] + width[largest]) | (left + width <= left[largest])
    is_crumb = areas < np.where(is_beside, REMAINS, CRUMB) * areas[largest]
    is_crumb[0] = False
    return np.where(is_crumb[labels], np.uint8(0), strokes)


@dataclass(frozen=True, slots=True)
class _Paper:
    """A sheet in pixels."""

    size: tuple[int, int]
    """Height, width."""
    px: float
    """Pixels a millimetre."""
    digit_px: float
    """Height of a digit."""


@dataclass(frozen=True, slots=True, eq=False)
class _Written:
    """One digit on the paper before the scan."""

    text: str
    pixels: NDArray[np.float64]
    """(N, 2): x, y of its ink."""


def _write(
    spots: tuple[Spot, ...], paper: _Paper, gap: tuple[float, float], source: DigitSource, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], list[tuple[list[_Written], str]]]:
    """Every spot's number in ink: the paper (H, W) uint8, 255 = ink, and where each digit went, and the whole text."""
    ink = np.zeros(paper.size, np.uint8)
    written = [_write_number(spot, ink, paper, gap, source, rng) for spot in spots]
    return ink, [(digits, text) for digits, text in written if digits]


def _write_number(
    spot: Spot,
    ink: NDArray[np.uint8],
    paper: _Paper,
    gap: tuple[float, float],
    source: DigitSource,
    rng: np.random.Generator,
) -> tuple[list[_Written], str]:
    start = left = spot.left * paper.px
    slope = rng.normal(0, 0.015)
    digits: list[_Written] = []
    whole = ""
    for index, text in enumerate(spot.text):
        if not text.isdigit():
            left += _mark(ink, text, (left, spot.baseline * paper.px), paper.digit_px, rng)
            whole += text
            continue
        strokes = source(int(text), rng, paper.digit_px)
        height, width = strokes.shape
        if spot.pitch:
            left = start + (index + 0.5) * spot.pitch * paper.px - width / 2 + rng.normal(0, 0.05) * paper.digit_px
        elif digits and left + width > start + spot.room * paper.px:
            break
        bottom = spot.baseline * paper.px + slope * (left - start) + rng.normal(0, 0.03) * paper.digit_px
        stamped = _stamp(ink, text, strokes, round(left), round(bottom) - height)
        digits, whole = digits + stamped, whole + text * len(stamped)
        left += width + rng.uniform(*gap) * paper.digit_px
    return digits, whole


def _mark(ink: NDArray[np.uint8], text: str, at: tuple[float, float], unit: float, rng: np.random.Generator) -> float:
    """Write a point, a comma, a minus, a slash or a colon on the line `at`, x and y; how much room it takes."""
    pen, (x, y) = max(2, round(rng.uniform(0.08, 0.13) * unit)), (at[0] + 0.05 * unit, at[1])
    places = rng.uniform(*MARKS[text]) * unit + [x, y, x, y]
    for left, top, right, bottom in places.reshape(-1, 4):
        one, other = np.rint(16 * np.array([[left, top], [right, bottom]])).astype(int).tolist()
        cv2.line(ink, one, other, 235, pen, cv2.LINE_AA, 4)
    return float(places[:, [0, 2]].max() - at[0] + 0.2 * unit)


def _stamp(ink: NDArray[np.uint8], text: str, strokes: NDArray[np.uint8], column: int, row: int) -> list[_Written]:
    """Put one digit on the paper, unless it would run off it; what was put."""
    height, width = strokes.shape
    if column < 0 or row < 0 or column + width > ink.shape[1] or row + height > ink.shape[0]:
        return []
    place = ink[row : row + height, column : column + width]
    np.maximum(place, strokes, out=place)
    rows, columns = np.nonzero(strokes >= INK_LEVEL)
    return [_Written(text, np.stack([columns + column, rows + row], axis=1).astype(np.float64))]


def _print(plan: Plan, paper: _Paper, rules: tuple[float, float], rng: np.random.Generator) -> NDArray[np.uint8]:
    """The printed lines, so thick, and words: (H, W) uint8, 255 = print."""
    printed, px = np.zeros(paper.size, np.uint8), paper.px
    thickness = max(1, round(rng.uniform(*rules) * px))
    for rule in plan.rules:
        ends = [round(end * px * 16) for end in rule]
        cv2.line(printed, (ends[0], ends[1]), (ends[2], ends[3]), 255, thickness, cv2.LINE_AA, 4)
    if not plan.words:
        return printed
    picture = Image.fromarray(printed)
    pen = ImageDraw.Draw(picture)
    for text, left, baseline, height in plan.words:
        font = ImageFont.load_default(height * px / 0.7)
        pen.text((left * px, baseline * px), text, fill=255, font=font, anchor="ls")
    return np.array(picture)


def _develop(
    printed: NDArray[np.uint8], ink: NDArray[np.uint8], look: Look, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Print and ink laid on paper: (H, W, 1) or (H, W, 3) float32, 0..255."""
    height, width = ink.shape
    inks = list(INKS.values())
    tints = np.array([PRINTS[int(rng.integers(len(PRINTS)))], inks[int(rng.integers(len(inks)))]], np.float32)
    paper = np.array([rng.uniform(228, 250)] * 3, np.float32) - np.array([0, 2, rng.uniform(0, 12)], np.float32)
    if not look.coloured:
        tints, paper = tints @ LUMA.astype(np.float32)[:, np.newaxis], paper.mean(keepdims=True)
    opacity = rng.uniform(*look.opacity) / 255
    uneven = 1 - look.texture * _cloud((height, width), max(2, round(width / 400)), rng)
    image = np.empty((height, width, len(paper)), np.float32)
    image[:] = paper
    for tint, cover in zip(
        tints, (printed * np.float32(rng.uniform(0.6, 1) / 255), ink * uneven * opacity), strict=True
    ):
        image += cover[..., np.newaxis] * (tint - image)
    return image


def _cloud(size: tuple[int, int], grain_px: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Soft noise (H, W) float32, 0..1, `grain_px` from one patch to the next."""
    coarse = rng.random((size[0] // grain_px + 2, size[1] // grain_px + 2), dtype=np.float32)
    return np.asarray(np.clip(cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC), 0, 1))


def _warp(size: tuple[int, int], look: Look, rng: np.random.Generator) -> NDArray[np.float64]:
    """The 3 x 3 map from the paper to the scan: skew about the middle, then wandering corners."""
    height, width = size
    skew = np.eye(3)
    skew[:2] = cv2.getRotationMatrix2D((width / 2, height / 2), rng.uniform(*look.skew_deg), 1.0)
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    wander = rng.uniform(-look.bend, look.bend, (4, 2)) * [width, height]
    return np.asarray(cv2.getPerspectiveTransform(corners, (corners + wander).astype(np.float32)) @ skew)


def _scan(
    image: NDArray[np.float32], warp: NDArray[np.float64], look: Look, px: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """What light, lens, sensor and file make of the paper: (H, W) or (H, W, 3) uint8."""
    height, width, channels = image.shape
    image = cv2.warpPerspective(image, warp, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    image = image.reshape(height, width, channels)
    _soil(image, look.specks, px, rng)
    image = cv2.GaussianBlur(image, (0, 0), max(look.blur * px, 0.1)).reshape(height, width, channels)
    light = 1 - look.shade * _cloud((height, width), max(height, width) // 2, rng)
    image *= light[..., np.newaxis]
    image += look.noise * rng.standard_normal(image.shape, dtype=np.float32)
    scanned = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    if look.jpeg_quality is not None:
        packed = cv2.imencode(".jpg", scanned, [cv2.IMWRITE_JPEG_QUALITY, look.jpeg_quality])[1]
        scanned = np.asarray(cv2.imdecode(packed, cv2.IMREAD_UNCHANGED), np.uint8).reshape(height, width, channels)
    return scanned if channels > 1 else scanned[..., 0]


def _soil(image: NDArray[np.float32], specks: float, px: float, rng: np.random.Generator) -> None:
    """Draw dirt onto the page, in place."""
    height, width = image.shape[:2]
    count = rng.poisson(specks * height * width / (10 * px) ** 2)
    for column, row, size in zip(
        rng.integers(0, width, count), rng.integers(0, height, count), rng.gamma(2, 0.05, count) * px, strict=True
    ):
        cv2.circle(image, (int(column), int(row)), int(size), [float(rng.uniform(60, 190))] * 3, -1, cv2.LINE_AA)


def _seen(digits: list[_Written], whole: str, warp: NDArray[np.float64], size: tuple[int, int]) -> DrawnNumber:
    """A number with its digits' boxes as the scan shows them."""
    seen = []
    for digit in digits:
        points = cv2.perspectiveTransform(digit.pixels[np.newaxis], warp)[0]
        low = np.clip(np.rint(points.min(axis=0)).astype(int), 0, [size[1] - 1, size[0] - 1])
        high = np.clip(np.rint(points.max(axis=0)).astype(int) + 1, 1, [size[1], size[0]])
        seen.append(DrawnDigit(digit.text, Box(int(low[0]), int(low[1]), int(high[0]), int(high[1]))))
    return DrawnNumber(tuple(seen), whole)
