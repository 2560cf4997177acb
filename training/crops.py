"""Ink of many sources -> crops as docscan's own stages cut them from pages: digits, and what is none.

A page is a grid of cells, one piece of ink a cell, ruled now and then, and spoiled as pens, paper, scanners and cameras
spoil it; then it is binarised, unruled, segmented and normalised by docscan.stages. What comes out is labelled by what
went into the cell, where the ink that came back is the ink that went in.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from docscan.records import NOT_A_DIGIT, Glyphs, InkMask, Page
from docscan.settings import BinariseSettings, Settings
from docscan.stages.binarise import binarise
from docscan.stages.components import find_components
from docscan.stages.glyphs import cut_glyphs
from docscan.stages.normalise import normalise_all
from docscan.stages.rulings import remove_rulings

COLUMNS, ROWS = 14, 12  # cells of a page
CELL = 1.9  # of the digit height
MATCH = 0.72  # a crop carries its cell's label if its box and the ink's agree by this share (IoU)
FRAGMENT = 0.3  # ... and is a piece of a digit, so none, below this share
ALL_OF_IT = 0.9  # what is none is labelled only where the crop holds all of it: the stem of an i is a 1
UPRIGHT = 1.2  # but a piece this many times as high as wide may well be a 1
STEM = 3.4  # ... and so may anything
INK_BACK = 0.8  # a crop is what was drawn if it holds this share of the ink that went in,
INK_BACK_NONE = 0.93  # ... or this, of what is none: without its rings a % is a 1
OWN_INK = 0.7  # ... and this share of its ink is where ink went in: no blot, no remains of a box
RULED_PAGES = 0.3
PRINTED_PAGES = 0.12  # on security print, whose lines run into the digits: cut by box, as a cheque's digits are
OWN_INK_ON_PRINT = 0.6
HEIGHTS_PX = (17.0, 90.0)  # of a digit: 100 to 600 dpi, small hands and large


@dataclass(frozen=True, slots=True, eq=False)
class Stock:
    """Pieces of ink from one source."""

    name: str
    inks: Sequence[NDArray[np.uint8]]
    """N arrays (h, w) uint8, 255 = ink."""
    labels: NDArray[np.int64]
    """(N,): 0..9, or 10 for "not a digit"."""
    share: float
    """How often a cell takes from this stock, relative to the others."""


@dataclass(frozen=True, slots=True, eq=False)
class _Cells:
    page: NDArray[np.float32]
    """Darkness of the ink, 0..1; no rulings."""
    labels: NDArray[np.int64]
    boxes: NDArray[np.int64]
    """left, top, right, bottom of the ink in each cell."""
    pitch_px: int


def page_crops(stocks: Sequence[Stock], rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Draw one page and read it back: crops (N, 28, 28) uint8 and their labels (N,)."""
    height_px = float(np.exp(rng.uniform(*np.log(HEIGHTS_PX))))
    cells = _fill_cells(stocks, height_px, rng)
    if rng.random() < PRINTED_PAGES:
        return _read_boxes(_spoil(_printed(cells.page, height_px, rng), height_px, rng), cells, rng)
    is_ruled = rng.random() < RULED_PAGES
    gray = _spoil(_ruled(cells, height_px, rng) if is_ruled else cells.page, height_px, rng)
    settings = Settings()
    method = BinariseSettings(method="otsu") if rng.random() < 0.1 else settings.binarise
    ink = binarise(Page(gray), method)
    unruled = remove_rulings(ink, settings.components, settings.rulings)
    return _read_back(unruled.ink, cells, settings)


def _fill_cells(stocks: Sequence[Stock], height_px: float, rng: np.random.Generator) -> _Cells:
    pitch = round(CELL * height_px)
    page = np.zeros((ROWS * pitch, COLUMNS * pitch), np.float32)
    shares = np.array([stock.share for stock in stocks])
    chosen = rng.choice(len(stocks), size=ROWS * COLUMNS, p=shares / shares.sum())
    labels = np.zeros(ROWS * COLUMNS, np.int64)
    boxes = np.zeros((ROWS * COLUMNS, 4), np.int64)
    for cell, stock in enumerate(stocks[number] for number in chosen):
        piece = int(rng.integers(len(stock.labels)))
        ink, labels[cell] = stock.inks[piece], stock.labels[piece]
        if labels[cell] != NOT_A_DIGIT:
            ink, labels[cell] = _mishap(ink, int(labels[cell]), stock, rng)
        ink = cut_to_ink(_scaled(cut_to_ink(ink), height_px * rng.uniform(0.8, 1.2), 0.92 * pitch, rng), 110)
        height, width = ink.shape
        left = (cell % COLUMNS) * pitch + int(rng.integers(0, max(1, pitch - width)))
        top = (cell // COLUMNS) * pitch + int(rng.integers(0, max(1, pitch - height)))
        page[top : top + height, left : left + width] += ink * np.float32(rng.uniform(0.8, 1.0) / 255)
        boxes[cell] = left, top, left + width, top + height
    return _Cells(np.minimum(page, 1), labels, boxes, pitch)


def _mishap(
    ink: NDArray[np.uint8], digit: int, stock: Stock, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], int]:
    """What happens to a digit now and then: cut in half, run into its neighbour, touched by what a ruling left."""
    kind = rng.random()
    if kind < 0.02 and digit in HALVES:
        return _half(ink, HALVES[digit], rng), NOT_A_DIGIT
    if kind < 0.06:
        neighbour = int(rng.integers(len(stock.labels)))
        # Run into a 1, a digit still looks like itself.
        if digit == 1 or stock.labels[neighbour] in (1, NOT_A_DIGIT):
            return ink, digit
        return _touching(ink, stock.inks[neighbour], rng), NOT_A_DIGIT
    if kind < 0.11 and digit not in (1, 7):  # a 1 with a stroke across its top is a 7
        return _with_remains(ink, rng), digit
    return ink, digit


# The half of a digit that is no digit; what is left out looks like another one, or like the whole: the left part of a 0
# is a 1, of a 5 a 5, of a 6 a 6, the right part of a 2 a 2, of a 3 a 3, of a 4 a 1, of an 8 a 3, the top of a 3 a 7.
HALVES = {2: ("left", "bottom"), 3: ("left",), 4: ("left",), 5: ("top",), 8: ("left",), 9: ("left",)}


def _half(ink: NDArray[np.uint8], sides: Sequence[str], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A little less than half of the ink, on one of the `sides`: left, top or bottom."""
    side = sides[int(rng.integers(len(sides)))]
    cut = max(1, round(rng.uniform(0.4, 0.48) * ink.shape[side == "left"]))
    return {"left": ink[:, :cut], "top": ink[:cut], "bottom": ink[-cut:]}[side]


def _touching(ink: NDArray[np.uint8], other: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    height = ink.shape[0]
    width = max(1, round(other.shape[1] * height / other.shape[0]))
    other = np.asarray(cv2.resize(other, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    overlap = int(min(ink.shape[1], width) * rng.uniform(0.02, 0.15)) + 1
    pair = np.zeros((height, ink.shape[1] + width - overlap), np.uint8)
    pair[:, : ink.shape[1]] = ink
    pair[:, -width:] = np.maximum(pair[:, -width:], other)
    return pair


def _with_remains(ink: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A short straight stroke through the edge of the digit: a ruling not quite removed, a neighbour's end."""
    height, width = ink.shape
    margin = max(1, height // 8)
    field = np.pad(ink, margin)
    along = rng.uniform(0, 1)
    centre = (margin + along * width, margin + rng.choice([0.02, 0.98]) * height)
    turn = rng.normal(0, 0.1) + rng.choice([0, 0, np.pi / 2])
    reach = rng.uniform(0.1, 0.35) * height
    ends = [(centre[0] + sign * reach * np.cos(turn), centre[1] + sign * reach * np.sin(turn)) for sign in (-1, 1)]
    first, last = [(round(x), round(y)) for x, y in ends]
    cv2.line(field, first, last, 255, max(1, round(height * rng.uniform(0.02, 0.07))))
    return field


def _scaled(ink: NDArray[np.uint8], height_px: float, limit_px: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Ink at the page's size, its strokes anew as thick or thin as another pen's."""
    scale = min(height_px / ink.shape[0], limit_px / max(ink.shape))
    size = max(1, round(ink.shape[1] * scale)), max(2, round(ink.shape[0] * scale))
    drawn = cv2.resize(ink, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    # MNIST's gray edges, blown up, are a blur no pen makes: sharpened to an edge about a pixel wide.
    if scale > 1.5:
        drawn = np.clip((drawn.astype(np.float32) - rng.uniform(80, 140)) * scale + 128, 0, 255).astype(np.uint8)
    step = int(rng.choice([-1, 0, 0, 0, 0, 1])) * round(height_px / 45)
    if step > 0:
        drawn = cv2.dilate(np.pad(drawn, step), _disc(step))
    elif step < 0:
        thinned = cv2.erode(drawn, _disc(-step))
        drawn = thinned if thinned.any() and thinned.mean() > 0.5 * drawn.mean() else drawn
    return np.asarray(drawn, dtype=np.uint8)


def _disc(radius: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2), dtype=np.uint8)


def _ruled(cells: _Cells, height_px: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """The page with printed lines between its cells, or under and through what they hold; half of them box it in."""
    page, pitch = cells.page.copy(), cells.pitch_px
    height, width = page.shape
    pen = max(1, round(height_px * rng.uniform(0.015, 0.06)))
    shade = float(rng.uniform(0.3, 1.0))
    tilt = rng.normal(0, 0.002)
    low = round(pitch * (rng.uniform(-0.04, 0.04) if rng.random() < 0.5 else rng.uniform(0.55, 0.9)))
    lines = np.zeros(page.shape, np.uint8)
    for top in range(low, height, pitch):
        cv2.line(lines, (0, top), (width - 1, round(top + tilt * width)), 255, pen)
    if rng.random() < 0.5:
        for left in range(round(pitch * rng.uniform(-0.04, 0.04)), width, pitch):
            cv2.line(lines, (left, 0), (round(left - tilt * height), height - 1), 255, pen)
    return np.asarray(np.maximum(page, lines * np.float32(shade / 255)))


def _printed(page: NDArray[np.float32], height_px: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """The page on security print: one or two families of fine waving lines, here and there as dark as a weak pen."""
    rows, columns = (np.arange(side, dtype=np.float32) for side in page.shape)
    darkest = np.zeros(page.shape, np.float32)
    for turn in rng.normal(0, 0.12, size=int(rng.integers(1, 3))):
        gap, wave = height_px * rng.uniform(0.1, 0.3), height_px * rng.uniform(1, 6)
        bend = gap * rng.uniform(0, 1.5) * np.sin(2 * np.pi * (columns / wave + rng.random())) + turn * columns
        across = (rows[:, np.newaxis] + bend.astype(np.float32)) / np.float32(gap)
        lines = np.abs(across % 1 - 0.5) < rng.uniform(0.08, 0.18)
        darkest = np.maximum(darkest, lines * np.float32(rng.uniform(0.3, 0.8)))
    return np.asarray(np.maximum(page, darkest * (0.3 + 0.7 * _clouds(page.shape, height_px, rng))), dtype=np.float32)


def _spoil(darkness: NDArray[np.float32], height_px: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Darkness 0..1 -> a gray page: uneven pen and light, blur, grain, JPEG."""
    shape = darkness.shape
    pen = 1 - rng.uniform(0, 0.5) * _clouds(shape, 0.4 * height_px, rng)
    darkness = darkness * pen
    paper = rng.uniform(150, 255)
    contrast = paper * np.exp(rng.uniform(np.log(0.2), np.log(0.95)))
    page = paper - contrast * darkness
    if rng.random() < 0.4:
        page *= 1 - rng.uniform(0, 0.5) * _clouds(shape, 8 * height_px, rng)
    if rng.random() < 0.7:
        sigma = height_px * rng.uniform(0, 0.035)
        page = cv2.GaussianBlur(page, (0, 0), sigma) if sigma > 0.2 else page
    grain = contrast * rng.choice([0, rng.uniform(0, 0.06), rng.uniform(0, 0.12)])
    if grain:
        page += rng.standard_normal(shape, dtype=np.float32) * np.float32(grain)
    gray = np.clip(page, 0, 255).astype(np.uint8)
    if rng.random() < 0.4:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 95))]
        gray = cv2.imdecode(cv2.imencode(".jpg", gray, quality)[1], cv2.IMREAD_GRAYSCALE)
    return np.asarray(gray, dtype=np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class Spoiled:
    """A real picture, as another scanner would have given it."""

    gray: NDArray[np.uint8]
    """(H, W)."""
    scale: float = 1.0
    """Its pixels to one of the picture it was."""
    left: int = 0
    """By how many columns it was moved to the right before it was scaled."""
    top: int = 0
    """... and by how many rows down."""

    def there(self, box: Sequence[int]) -> NDArray[np.float64]:
        """Where a box (left, top, right, bottom) of the picture as it was now stands."""
        moved = np.tile([self.left, self.top], 2)
        return np.asarray((np.asarray(box) + moved) * self.scale, dtype=np.float64)


def spoil_picture(gray: NDArray[np.uint8], rng: np.random.Generator) -> Spoiled:
    """A real picture (H, W) at another size, with margins, blur, grain and another contrast."""
    pads = rng.integers(0, 12, 4) if rng.random() < 0.4 else np.zeros(4, np.int64)
    above, below, before, after = (int(pad) for pad in pads)
    gray = np.asarray(cv2.copyMakeBorder(gray, above, below, before, after, cv2.BORDER_REPLICATE), np.uint8)
    scale = float(np.exp(rng.uniform(np.log(0.45), np.log(1.4))))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    page = cv2.resize(gray, None, fx=scale, fy=scale, interpolation=how).astype(np.float32)
    if rng.random() < 0.5:
        page = cv2.GaussianBlur(page, (0, 0), rng.uniform(0.3, 1.2))
    if rng.random() < 0.5:
        middle = float(page.mean())
        page = middle + (page - middle) * rng.uniform(0.5, 1.3)
    if rng.random() < 0.5:
        page += rng.standard_normal(page.shape, dtype=np.float32) * np.float32(rng.uniform(0, 8))
    if rng.random() < 0.3:
        page = 255 * (np.clip(page, 0, 255) / 255) ** rng.uniform(0.7, 1.4)
    return Spoiled(np.clip(page, 0, 255).astype(np.uint8), scale, before, above)


def _clouds(shape: tuple[int, ...], grain_px: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Smooth noise (H, W) in 0..1 whose hills are about `grain_px` apart."""
    coarse = rng.random((max(2, int(shape[0] / grain_px)), max(2, int(shape[1] / grain_px))), dtype=np.float32)
    return np.asarray(cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_LINEAR), dtype=np.float32)


def _read_back(ink: InkMask, cells: _Cells, settings: Settings) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    glyphs = cut_glyphs(find_components(ink, settings.components), settings.components, settings.glyphs)
    boxes = glyphs.boxes.astype(np.int64)
    column = np.clip((boxes[:, 0] + boxes[:, 2]) // 2 // cells.pitch_px, 0, COLUMNS - 1)
    row = np.clip((boxes[:, 1] + boxes[:, 3]) // 2 // cells.pitch_px, 0, ROWS - 1)
    cell = row * COLUMNS + column
    drawn = cells.labels[cell]
    is_none = drawn == NOT_A_DIGIT
    agreed = _agreement(boxes, cells.boxes[cell])
    back, own = _ink_agreement(glyphs, cells.page, cells.boxes[cell])
    whole = agreed >= np.where(is_none, ALL_OF_IT, MATCH)
    whole &= (back >= np.where(is_none, INK_BACK_NONE, INK_BACK)) & (own >= OWN_INK)
    # A piece of a 1 is a 1, one of a 7 a 7, an upright piece looks like a 1; a piece of what is none may be anything.
    widths, heights = (boxes[:, 2:] - boxes[:, :2]).T
    piece = (agreed < FRAGMENT) & (own >= OWN_INK) & (heights < UPRIGHT * widths) & ~np.isin(drawn, (1, 7)) & ~is_none
    labels = np.where(whole, drawn, NOT_A_DIGIT)
    known = (whole | piece) & ((labels != NOT_A_DIGIT) | (heights < STEM * widths))
    crops = normalise_all([ink for ink, keep in zip(glyphs.inks, known, strict=True) if keep])
    return crops, labels[known]


def _read_boxes(
    gray: NDArray[np.uint8], cells: _Cells, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The crops of a page by its cells' boxes, set about as a person sets them, and their labels."""
    heights = (cells.boxes[:, 3] - cells.boxes[:, 1])[:, np.newaxis]
    boxes = cells.boxes + np.rint(heights * rng.uniform(-0.02, 0.08, cells.boxes.shape) * [-1, -1, 1, 1]).astype(int)
    boxes = np.clip(boxes, 0, np.tile(gray.shape[::-1], 2))
    inks = _inks_in(gray, boxes)
    glyphs = Glyphs(boxes.astype(np.int32), tuple(inks))
    back, own = _ink_agreement(glyphs, cells.page, cells.boxes)
    is_none = cells.labels == NOT_A_DIGIT
    known = (back >= np.where(is_none, INK_BACK_NONE, INK_BACK)) & (own >= OWN_INK_ON_PRINT)
    # Upright and none: the slash of a % may be all that is left.
    widths, heights = (cells.boxes[:, 2:] - cells.boxes[:, :2]).T
    known &= ~is_none | (heights < STEM * widths)
    return normalise_all([cut_to_ink(ink) for ink, keep in zip(inks, known, strict=True) if keep]), cells.labels[known]


def _ink_agreement(
    glyphs: Glyphs, page: NDArray[np.float32], boxes: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of the ink drawn in each of `boxes` (N, 4), the share that its glyph holds; of the glyph's ink, the share drawn.

    Both within a pixel or a fortieth of the box's height: blur and thresholds move edges.
    """
    back, own = np.zeros(len(glyphs.inks)), np.zeros(len(glyphs.inks))
    for number, (ink, found, (left, top, right, bottom)) in enumerate(
        zip(glyphs.inks, glyphs.boxes.astype(np.int64), boxes, strict=True)
    ):
        low, high = np.minimum(found[:2], (left, top)), np.maximum(found[2:], (right, bottom))
        here, there = np.zeros((2, high[1] - low[1], high[0] - low[0]), np.uint8)
        place = found - np.tile(low, 2)
        here[place[1] : place[3], place[0] : place[2]] = ink
        drawn = page[top:bottom, left:right] > 0.35
        there[top - low[1] : bottom - low[1], left - low[0] : right - low[0]] = drawn
        near = _disc(max(1, round((bottom - top) / 40)))
        back[number] = np.mean(cv2.dilate(here, near)[there > 0] > 0) if drawn.any() else 0.0
        own[number] = np.mean(cv2.dilate(there, near)[here > 0] > 0) if ink.any() else 0.0
    return back, own


def _agreement(boxes: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.float64]:
    """Intersection over union, row by row, of two (N, 4) arrays of boxes."""
    sides = np.minimum(boxes[:, 2:], others[:, 2:]) - np.maximum(boxes[:, :2], others[:, :2])
    shared = np.clip(sides, 0, None).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (others[:, 2:] - others[:, :2]).prod(axis=1)
    return np.asarray(shared / np.maximum(areas - shared, 1))


def labelled_boxes(gray: NDArray[np.uint8], boxes: Sequence[tuple[int, int, int, int]]) -> list[NDArray[np.uint8]]:
    """The ink (h, w) of each labelled box (left, top, right, bottom) of a page, through docscan's own stages."""
    return [cut_to_ink(ink) for ink in _inks_in(gray, boxes)]


def _inks_in(gray: NDArray[np.uint8], boxes: Iterable[Sequence[int]]) -> list[NDArray[np.uint8]]:
    ink = binarise(Page(gray), BinariseSettings()).ink
    _, labels = cv2.connectedComponents(ink, connectivity=8)
    areas = np.bincount(labels.ravel())
    return [_own_ink(labels, areas, box) for box in boxes]


def _own_ink(labels: NDArray[np.int32], areas: NDArray[np.intp], box: Sequence[int]) -> NDArray[np.uint8]:
    """The ink in a box, without the pieces of neighbours that reach into it: (h, w) uint8, 255 = ink."""
    left, top, right, bottom = box
    inside = labels[max(0, top) : bottom, max(0, left) : right]
    counts = np.bincount(inside.ravel(), minlength=len(areas))
    counts[0] = 0
    own = (counts >= 0.5 * areas) & (counts >= 0.02 * counts.max())
    edges = np.concatenate([inside[0], inside[-1], inside[:, 0], inside[:, -1]])
    own[np.unique(edges)] &= counts[np.unique(edges)] >= 0.25 * counts.max()
    own |= counts >= 0.5 * counts.max()
    own[0] = False
    # What the sides of the box cut off a neighbour that the digit touches goes as well.
    return main_pieces(np.where(own[inside], np.uint8(255), np.uint8(0)), share=0.25, only_at_sides=True)


def main_pieces(ink: NDArray[np.uint8], share: float = 0.15, *, only_at_sides: bool = False) -> NDArray[np.uint8]:
    """The components of ink (h, w) that hold at least `share` of what the largest does: no crumbs.

    `only_at_sides`: that is asked of those alone which reach the left or right side.
    """
    count, labels, stats, _ = cv2.connectedComponentsWithStats((ink > 127).astype(np.uint8), connectivity=8)
    if count <= 2:
        return ink
    areas = stats[:, cv2.CC_STAT_AREA]
    areas[0] = 0
    kept = areas >= share * areas.max()
    if only_at_sides:
        kept |= ~np.isin(np.arange(count), labels[:, [0, -1]])
    return np.where(kept[labels], ink, np.uint8(0))


def cut_to_ink(image: NDArray[np.uint8], threshold: int = 40) -> NDArray[np.uint8]:
    """The part of (h, w) uint8, 255 = ink, that holds ink; all of it where none does."""
    left, top, width, height = cv2.boundingRect((image > threshold).astype(np.uint8))
    return image[top : top + height, left : left + width] if width else image
