"""Digits' ink -> a small gray picture of one string, as paper, pens and cameras would have given it.

Digits stand side by side, near or overlapping, with the marks that stand about amounts and are not read; around them
the rulings, cell borders and security print of forms; over all of it light, lens, grain and JPEG.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from docscan.records import Box
from training.hand import Writer
from training.letters import draw_letter

Ink = NDArray[np.uint8]
"""Gray strokes (h, w), 255 = ink."""
Darkness = NDArray[np.float32]
"""(h, w), 0..1."""

HEIGHTS_PX = (11.0, 52.0)
BEFORE = ("dollar", "hash", "asterisk", "euro", "plus", "equals")
AFTER = ("equals", "asterisk", "hash", "euro", "percent", "dash", "dot-dash", "cross")
LETTERS = ("A", "E", "H", "K", "M", "N", "R", "V", "W", "a", "c", "e", "f", "h", "k", "m", "n", "r", "t", "u", "v", "w")
OTHERS = ("scribble", "squiggle", "tick", "cross", "arrow", "at", "ampersand", "percent", "asterisk", "equals")
_START, _BASELINE, _HIGH = 2.2, 2.1, 3.2  # of the canvas, in digit heights: where a string begins, stands, and room


class Point(NamedTuple):
    """A place in a picture, pixels."""

    x: float
    y: float


@dataclass(frozen=True, slots=True, eq=False)
class StringPicture:
    """A picture and where on it the digits stand."""

    gray: NDArray[np.uint8]
    box: Box
    """From the first digit to the last, a digit's height high."""
    height_px: float
    """Of a digit."""


@dataclass(frozen=True, slots=True)
class _Habit:
    """How one hand sets digits side by side; lengths in digit heights."""

    gap: float
    spread: float
    uneven: float
    """Of the heights, as a logarithm."""
    wander: float
    """Off the baseline."""
    slope: float
    slant: float
    pen: int
    """Pixels by which strokes grow at each edge."""
    kerned: bool
    has_points: bool

    @classmethod
    def random(cls, source: str, rng: np.random.Generator) -> "_Habit":
        steady = rng.random() < 0.6
        is_printed = source == "printed"
        gap = float(rng.uniform(-0.2, 0.32))
        return cls(
            gap=max(gap, 0.02) if is_printed else gap,
            spread=float(rng.uniform(0.02, 0.12)),
            uneven=0.0 if is_printed else 0.05 if steady else 0.16,
            wander=0.04 if steady else 0.12,
            slope=float(rng.normal(0, 0.01 if is_printed else 0.035)),
            slant=float(rng.normal(0, 0.14 if source in ("mnist", "semeion", "optdigits") else 0.05)),
            pen=int(rng.choice([-1, 0, 0, 0, 1])),
            kerned=bool(rng.random() < 0.4),
            has_points=bool(rng.random() < 0.3),
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Paper:
    """What is being written on, and by whom; the canvas is drawn on in place."""

    canvas: Darkness
    height_px: float
    writer: Writer
    rng: np.random.Generator

    @property
    def baseline(self) -> float:
        return _BASELINE * self.height_px


def draw_string(text: str, inks: Sequence[Ink], source: str, rng: np.random.Generator) -> StringPicture:
    """A picture of the digits of `text`, each in its ink out of the set `source`; without digits, of something else."""
    height_px = float(np.exp(rng.uniform(*np.log(HEIGHTS_PX))))
    canvas = np.zeros((round(_HIGH * height_px), round((1.6 * max(len(text), 3) + 7) * height_px)), np.float32)
    paper = _Paper(canvas, height_px, Writer.random(rng), rng)
    start = end = _START * height_px
    if text:
        end = _write(paper, text, inks, _Habit.random(source, rng))
    else:
        _write_others(paper)
    darkness, moved = _surround(canvas, height_px, rng)
    top, bottom = (_BASELINE - 1) * height_px, _BASELINE * height_px
    box = Box(*(round(edge) for edge in (start + moved.x, top + moved.y, end + moved.x, bottom + moved.y)))
    return StringPicture(_spoil(darkness, height_px, rng), box, height_px)


def _write(paper: _Paper, text: str, inks: Sequence[Ink], habit: _Habit) -> float:
    """The digits and the marks about them; where the last digit ends."""
    height_px, rng = paper.height_px, paper.rng
    start = x = end = _START * height_px
    if rng.random() < 0.1:
        _write_mark(paper, BEFORE, start - 0.15 * height_px, is_before=True)
    for place, (digit, ink) in enumerate(zip(text, inks, strict=True)):
        tall = height_px * float(np.clip(np.exp(rng.normal(0, habit.uneven)), 0.6, 1.6))
        stroke = _sheared(_sized(ink, tall, habit.pen, digit), habit.slant)
        bottom = paper.baseline + habit.slope * (x - start) + rng.normal(0, habit.wander) * height_px
        left, top = round(x), round(bottom - stroke.shape[0])
        if place and habit.kerned:
            left = _kerned(paper.canvas, stroke, Point(left, top), habit.gap * height_px)
        end = max(end, _stamp(paper.canvas, stroke, left, top))
        x = left + stroke.shape[1] + float(np.clip(rng.normal(habit.gap, habit.spread), -0.25, 0.6)) * height_px
        left_over = len(text) - 1 - place
        if (habit.has_points and left_over and left_over % 3 == 0) or rng.random() < 0.03:
            x = max(x, end) + _write_point(paper, Point(max(x, end), bottom))
    if rng.random() < 0.3:
        _write_mark(paper, AFTER, end + rng.uniform(0.08, 0.5) * height_px)
    return end


def _sized(ink: Ink, tall: float, pen: int, digit: str) -> Ink:
    scale = tall / max(ink.shape[0], ink.shape[1] * (0.4 if digit == "1" else 0.8))
    size = max(2, round(ink.shape[1] * scale)), max(3, round(ink.shape[0] * scale))
    drawn = cv2.resize(ink, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    if scale > 1.5:  # blown up, gray edges are a blur no pen makes
        drawn = np.clip((drawn.astype(np.float32) - 110) * scale + 128, 0, 255).astype(np.uint8)
    if pen and tall > 18:
        kernel = np.ones((3, 3), np.uint8) if tall > 36 else cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
        changed = cv2.dilate(drawn, kernel) if pen > 0 else cv2.erode(drawn, kernel)
        if changed.sum() > 0.45 * drawn.sum():
            drawn = changed
    return np.asarray(drawn, dtype=np.uint8)


def _sheared(ink: Ink, slant: float) -> Ink:
    height, width = ink.shape
    lean = slant * height
    if abs(lean) < 1:
        return ink
    matrix = np.array([[1, -slant, max(lean, 0)], [0, 1, 0]], np.float32)
    return np.asarray(cv2.warpAffine(ink, matrix, (round(width + abs(lean)), height)), dtype=np.uint8)


def _kerned(canvas: Darkness, stroke: Ink, place: Point, gap: float) -> int:
    """The column at which a digit's ink stands half of `gap` from the ink before it, row by row; near `place`."""
    top, left = int(place.y), int(place.x)
    before = canvas[max(0, top) : top + stroke.shape[0]] > 0.4
    own = stroke[max(0, -top) :][: len(before)] > 100
    both = before.any(axis=1) & own.any(axis=1)
    if not both.any():
        return left
    ends = before.shape[1] - np.argmax(before[both, ::-1], axis=1)
    begins = np.argmax(own[both], axis=1)
    kerned = float(np.max(ends - begins)) + gap * 0.5
    return round(float(np.clip(kerned, left - 0.25 * stroke.shape[0], left + 0.1 * stroke.shape[0])))


def _stamp(canvas: Darkness, stroke: Ink, left: int, top: int) -> float:
    """Ink laid on the canvas in place; where it ends."""
    height, width = stroke.shape
    top, left = max(0, min(top, canvas.shape[0] - height)), max(0, min(left, canvas.shape[1] - width))
    place = canvas[top : top + height, left : left + width]
    np.maximum(place, stroke[: place.shape[0], : place.shape[1]] * np.float32(1 / 255), out=place)
    return float(left + width)


def _write_point(paper: _Paper, after: Point) -> float:
    """A thousands point or a comma; how much room it takes."""
    height_px, rng = paper.height_px, paper.rng
    room = rng.uniform(0.05, 0.3) * height_px
    start = end = Point(after.x + room / 2, after.y - rng.uniform(-0.05, 0.1) * height_px)
    kind = rng.random()
    if kind >= 0.6:  # a comma, which some hands write as long as a 1
        fall = rng.uniform(*((0.08, 0.35) if kind < 0.85 else (0.35, 0.8))) * height_px
        end = Point(start.x - rng.uniform(0, 0.6) * fall, start.y + fall)
    _stroke(paper.canvas, (start, end), rng.uniform(0.08, 0.18) * height_px)
    return float(room * rng.uniform(0.8, 1.6))


def _write_mark(paper: _Paper, names: Sequence[str], x: float, *, is_before: bool = False) -> None:
    """A sign before or after the digits."""
    height_px, rng = paper.height_px, paper.rng
    name = names[int(rng.integers(len(names)))]
    if "dash" in name:
        y = paper.baseline - rng.uniform(0.15, 0.6) * height_px
        if name == "dot-dash":
            _write_point(paper, Point(x - 0.15 * height_px, paper.baseline))
        end = Point(x + rng.uniform(0.25, 0.9) * height_px, y + rng.normal(0, 0.08) * height_px)
        _stroke(paper.canvas, (Point(x, y), end), rng.uniform(0.06, 0.12) * height_px)
        return
    tall = height_px * rng.uniform(0.7, 1.1) * (0.5 if name == "equals" else 1)
    ink = draw_letter(name, paper.writer, rng, tall)
    left = x - ink.shape[1] - rng.uniform(0, 0.3) * height_px if is_before else x
    _stamp(paper.canvas, ink, round(left), round(paper.baseline - ink.shape[0] - rng.uniform(-0.1, 0.3) * height_px))


def _write_others(paper: _Paper) -> None:
    """Letters, scribbles or other marks where digits might stand."""
    height_px, rng = paper.height_px, paper.rng
    x = _START * height_px
    names = LETTERS if rng.random() < 0.7 else OTHERS
    for _ in range(int(rng.integers(1, 6))):
        name = names[int(rng.integers(len(names)))]
        ink = draw_letter(name, paper.writer, rng, height_px * (0.65 if name in LETTERS and name.islower() else 1.0))
        if x + ink.shape[1] > paper.canvas.shape[1] - 2 * height_px:
            break
        x = _stamp(paper.canvas, ink, round(x), round(paper.baseline - ink.shape[0]))
        x += rng.uniform(-0.05, 0.2) * height_px


def _stroke(canvas: Darkness, ends: tuple[Point, Point], thickness_px: float, darkness: float = 1.0) -> None:
    first, last = ((round(end.x * 16), round(end.y * 16)) for end in ends)  # sixteenths of a pixel
    cv2.line(canvas, first, last, darkness, max(1, round(thickness_px)), cv2.LINE_AA, 4)


def _surround(written: Darkness, height_px: float, rng: np.random.Generator) -> tuple[Darkness, Point]:
    """The ink with margins, lines and print around it, and by how much it moved."""
    inked = written > 0.3
    rows, columns = np.flatnonzero(inked.any(axis=1)), np.flatnonzero(inked.any(axis=0))
    above, below, before, after = rng.uniform(0.02, 0.35 if rng.random() < 0.5 else 1.1, 4) * height_px
    top, left = max(0, round(rows[0] - above)), max(0, round(columns[0] - before))
    picture = written[top : round(rows[-1] + below) + 1, left : round(columns[-1] + after) + 1]
    around = max(2, round(0.1 * height_px))
    picture = np.pad(picture, around)
    if rng.random() < 0.15:
        _break_strokes(picture, height_px, rng)
    picture *= 1 - rng.uniform(0, 0.35) * _clouds(picture.shape, 0.5 * height_px, rng)
    lines = np.zeros_like(picture)
    if rng.random() < 0.3:
        _print_security(lines, height_px, rng)
    if rng.random() < 0.5:
        _rule(lines, (float(rows[0]) - top + around, float(rows[-1]) - top + around), height_px, rng)
    if rng.random() < 0.3:
        _border(lines, height_px, rng)
    return np.maximum(picture, lines), Point(around - left, around - top)


def _break_strokes(picture: Darkness, height_px: float, rng: np.random.Generator) -> None:
    height, width = picture.shape
    for _ in range(int(rng.integers(1, 4))):
        start = Point(rng.uniform(0, width), rng.uniform(0, height))
        turn, length = rng.uniform(0, np.pi), rng.uniform(0.2, 1.2) * height_px
        end = Point(start.x + np.cos(turn) * length, start.y + np.sin(turn) * length)
        _stroke(picture, (start, end), rng.uniform(0.02, 0.06) * height_px, darkness=0.0)


def _print_security(lines: Darkness, height_px: float, rng: np.random.Generator) -> None:
    """Wavy lines or hatching, fainter than the ink."""
    height, width = lines.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    depth, period = rng.uniform(0.1, 0.4), max(2.5, rng.uniform(0.12, 0.4) * height_px)
    for _ in range(int(rng.integers(1, 3))):
        turn = rng.normal(0, 0.35) if rng.random() < 0.7 else rng.uniform(0, np.pi)
        along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
        wave = rng.uniform(0, 0.35) * height_px * np.sin(along * 2 * np.pi / (rng.uniform(1.5, 6) * height_px))
        printed = np.cos((across + wave) * 2 * np.pi / period) > rng.uniform(0.2, 0.8)
        np.maximum(lines, printed * np.float32(depth * rng.uniform(0.6, 1)), out=lines)


def _rule(lines: Darkness, ink_rows: tuple[float, float], height_px: float, rng: np.random.Generator) -> None:
    """One or two lines under, over or through the string."""
    width = lines.shape[1]
    for _ in range(int(rng.integers(1, 3))):
        level = float(ink_rows[1] if rng.random() < 0.7 else ink_rows[0]) + rng.normal(0.05, 0.15) * height_px
        if rng.random() < 0.08:
            level = rng.uniform(*ink_rows)
        lean = rng.normal(0, 0.015) * width
        # A fifth of them end somewhere, or are what was left of one.
        first, last = np.sort(rng.uniform(0, width, 2)) if rng.random() < 0.2 else (-1.0, float(width))
        _draw_line(lines, (Point(first, level - lean), Point(last, level + lean)), height_px, rng)


def _border(lines: Darkness, height_px: float, rng: np.random.Generator) -> None:
    """Sides of the cell the string stands in, near the picture's edge."""
    height, width = lines.shape
    left, right, top, bottom = rng.uniform(0, 0.12, 4) * height_px
    corners = [
        (Point(left, 0), Point(left + rng.normal(0, 1), height)),
        (Point(width - 1 - right, 0), Point(width - 1 - right + rng.normal(0, 1), height)),
        (Point(0, top), Point(width, top + rng.normal(0, 1))),
        (Point(0, height - 1 - bottom), Point(width, height - 1 - bottom + rng.normal(0, 1))),
    ]
    for start, end in corners:
        if rng.random() >= 0.7:
            continue
        shares = np.sort(rng.uniform(0, 1, 2)) if rng.random() < 0.3 else np.array([0.0, 1.0])
        first, last = (
            Point(start.x + (end.x - start.x) * share, start.y + (end.y - start.y) * share) for share in shares
        )
        _draw_line(lines, (first, last), height_px, rng)


def _draw_line(lines: Darkness, ends: tuple[Point, Point], height_px: float, rng: np.random.Generator) -> None:
    drawn = np.zeros(lines.shape, np.float32)
    _stroke(drawn, ends, rng.uniform(0.02, 0.12) * height_px, float(rng.uniform(0.2, 1)))
    if rng.random() < 0.3:
        drawn *= 1 - rng.uniform(0.3, 1) * _clouds(lines.shape, 0.4 * height_px, rng)
    np.maximum(lines, drawn, out=lines)


def _clouds(shape: tuple[int, ...], grain_px: float, rng: np.random.Generator) -> Darkness:
    """Smooth noise (H, W) in 0..1 whose hills are about `grain_px` apart."""
    coarse = rng.random((max(2, int(shape[0] / grain_px)), max(2, int(shape[1] / grain_px))), dtype=np.float32)
    return np.asarray(cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_LINEAR), dtype=np.float32)


def _spoil(darkness: Darkness, height_px: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Light, lens, grain, JPEG."""
    paper = rng.uniform(90, 255)
    contrast = paper * float(np.exp(rng.uniform(np.log(0.2), np.log(0.95))))
    page = paper - contrast * darkness
    if rng.random() < 0.3:
        page *= 1 - rng.uniform(0, 0.3) * _clouds(darkness.shape, 3 * height_px, rng)
    sigma = height_px * rng.uniform(0, 0.085 if height_px < 24 else 0.05)
    if sigma > 0.25:
        page = cv2.GaussianBlur(page, (0, 0), sigma)
    grain = contrast * rng.choice([0, rng.uniform(0, 0.04), rng.uniform(0, 0.08)])
    if grain:
        page += rng.standard_normal(darkness.shape, dtype=np.float32) * np.float32(grain)
    gray = np.clip(page, 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        packed = cv2.imencode(".jpg", gray, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 95))])[1]
        gray = np.asarray(cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE), dtype=np.uint8)
    return np.asarray(255 - gray if rng.random() < 0.02 else gray, dtype=np.uint8)
