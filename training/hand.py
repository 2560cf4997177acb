"""A digit and a writer -> ink: pen strokes varied as a hand varies. Every draw comes from a numpy Generator."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from training.allographs import ALLOGRAPHS, Allograph

Path = NDArray[np.float64]  # (N, 2): x, y, the digit's height being 1

STEP = 0.02  # of the digit's height, between the points of a path
FINEST_PEN_PX = 12  # strokes are drawn at least this wide,
FINEST = 3  # and at least this many times too large, then shrunk: smooth edges at any size
WAVES = 2  # of a smooth bend, each way


@dataclass(frozen=True, slots=True, eq=False)
class Writer:
    """One hand with one pen: what stays the same from digit to digit."""

    shapes: tuple[Allograph, ...]
    """The writer's usual shape of 0 to 9."""
    habits: NDArray[np.float64]
    """(10, 2, 2 * WAVES): how the writer bends each digit, in the terms of `_bend`."""
    slant: float
    """Sideways shift a unit of height; positive leans right."""
    aspect: float
    """Width against the drawings' width."""
    pen_width: float
    """Of the digit's height."""
    pressure: float
    """How much the pen's width varies along a stroke, 0..1."""
    haste: float
    """How far corners are rounded, in digit heights."""
    jitter: float
    """How far points stray from one digit to the next, in digit heights."""
    ends: float
    """How far strokes end early or late, in digit heights."""
    strays: float
    """Chance that a digit takes another of its shapes."""
    skips: float
    """Chance that a stroke has a gap where the pen gave no ink."""

    @classmethod
    def random(cls, rng: np.random.Generator) -> Self:
        """A hand out of many."""
        sloppiness = np.exp(rng.normal(0, 0.4))
        return cls(
            shapes=tuple(choose_shape(ALLOGRAPHS[digit], rng) for digit in range(10)),
            habits=sloppiness * rng.normal(0, 0.03, (10, 2, 2 * WAVES)),
            slant=float(np.clip(rng.normal(0.12, 0.17), -0.3, 0.55)),
            aspect=float(np.exp(rng.normal(0.05, 0.16))),
            pen_width=float(np.clip(np.exp(rng.normal(np.log(0.085), 0.3)), 0.045, 0.17)),
            pressure=float(rng.beta(1.5, 4)),
            haste=float(rng.beta(1.2, 4) * 0.09),
            jitter=float(np.clip(sloppiness * rng.uniform(0.008, 0.02), 0.005, 0.035)),
            ends=float(np.clip(sloppiness * rng.uniform(0.015, 0.045), 0, 0.09)),
            strays=float(rng.beta(1, 8)),
            skips=float(0.12 * rng.random() ** 4),
        )

    def tidied(self, rng: np.random.Generator) -> Self:
        """The same hand on a good day: common shapes, steady strokes, legible to anyone."""
        common = (tuple(shape for shape in ALLOGRAPHS[digit] if shape.usual >= 1.5) for digit in range(10))
        return replace(
            self,
            shapes=tuple(shapes[int(rng.integers(len(shapes)))] for shapes in common),
            habits=self.habits * 0.5,
            slant=float(np.clip(self.slant, -0.05, 0.3)),
            aspect=float(np.clip(self.aspect, 0.9, 1.2)),
            pen_width=float(np.clip(self.pen_width, 0.07, 0.11)),
            pressure=self.pressure * 0.6,
            jitter=min(self.jitter, 0.012),
            ends=min(self.ends, 0.02),
            strays=0.0,
            skips=0.0,
        )


def draw_digit(digit: int, writer: Writer, rng: np.random.Generator, height_px: float) -> NDArray[np.uint8]:
    """One digit by one hand: gray strokes (h, w) uint8, 255 = ink, cut to the ink; about `height_px` tall."""
    shape = writer.shapes[digit] if rng.random() >= writer.strays else choose_shape(ALLOGRAPHS[digit], rng)
    return draw_shape(shape, writer.habits[digit], writer, rng, height_px)


def draw_shape(
    shape: Allograph, habit: NDArray[np.float64], writer: Writer, rng: np.random.Generator, unit_px: float
) -> NDArray[np.uint8]:
    """One shape by one hand, bent by its `habit` (2, 2 * WAVES): strokes as `draw_digit` gives them.

    `unit_px` is about the length of a drawing's unit: the height of a digit.
    """
    turn = np.radians(rng.normal(0, 3))
    slant = writer.slant + rng.normal(0, 0.03)
    aspect = writer.aspect * np.exp(rng.normal(0, 0.05))
    size = unit_px * np.exp(rng.normal(0, 0.035))
    upright = np.array([[aspect, -slant], [0, 1]])
    matrix = size * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ upright
    bends = habit + rng.normal(0, writer.jitter, habit.shape)
    paths, widths = [], []
    for stroke in shape.strokes:
        points = stroke + rng.normal(0, writer.jitter, stroke.shape) * _free(stroke)[:, np.newaxis]
        points = points + rng.normal(0, writer.jitter * 0.7, 2)
        path = _with_ends(_rounded(_curve(points), writer.haste), rng.normal(0, writer.ends, 2))
        paths.append(_bend(path, bends) @ matrix.T)
        widths.append(writer.pen_width * size * _pressure(len(path), writer, rng))
    return _render(paths, widths)


def choose_shape(shapes: Sequence[Allograph], rng: np.random.Generator) -> Allograph:
    """One of the shapes, each as often as hands use it."""
    usual = np.array([shape.usual for shape in shapes])
    return shapes[int(rng.choice(len(shapes), p=usual / usual.sum()))]


def _free(stroke: Path) -> NDArray[np.float64]:
    """(N,): 1, but 0 at the second of two equal points, so that a corner stays one."""
    repeated = np.zeros(len(stroke))
    repeated[1:] = (stroke[1:] == stroke[:-1]).all(axis=1)
    return 1 - repeated


def _curve(points: Path) -> Path:
    """A smooth path through the points, a step apart; sharp where `_is_corner` says."""
    pieces = [_spline(piece) for piece in _between_corners(points)]
    return np.concatenate(pieces)


def _between_corners(points: Path) -> Iterator[Path]:
    corners = [index for index in range(1, len(points)) if (points[index] == points[index - 1]).all()]
    start = 0
    for corner in corners:
        yield points[start:corner]
        start = corner
    yield points[start:]


def _spline(points: Path) -> Path:
    """Cubic Hermite through the points, centripetal: it neither loops nor overshoots where they lie close."""
    chords = np.maximum(np.linalg.norm(np.diff(points, axis=0), axis=1), 1e-6)
    knots = np.concatenate([[0.0], np.cumsum(np.sqrt(chords))])
    slopes = np.diff(points, axis=0) / np.diff(knots)[:, np.newaxis]
    tangents = np.concatenate([slopes[:1], (slopes[1:] + slopes[:-1]) / 2, slopes[-1:]])
    counts = np.maximum(2, np.ceil(chords / STEP)).astype(int)
    segment = np.repeat(np.arange(len(chords)), counts)
    along = np.concatenate([np.arange(count) / count for count in counts])[:, np.newaxis]
    span = np.diff(knots)[segment][:, np.newaxis]
    path = (
        (2 * along**3 - 3 * along**2 + 1) * points[segment]
        + (along**3 - 2 * along**2 + along) * span * tangents[segment]
        + (3 * along**2 - 2 * along**3) * points[segment + 1]
        + (along**3 - along**2) * span * tangents[segment + 1]
    )
    return np.concatenate([path, points[-1:]])


def _rounded(path: Path, haste: float) -> Path:
    """The path averaged over about `haste` each way; its ends stay."""
    reach = round(2 * haste / STEP)
    if reach < 1:
        return path
    weights = np.hanning(2 * reach + 3)[1:-1]
    padded = np.pad(path, ((reach, reach), (0, 0)), mode="reflect", reflect_type="odd")
    return np.stack([np.convolve(axis, weights / weights.sum(), mode="valid") for axis in padded.T], axis=1)


def _with_ends(path: Path, lengths: NDArray[np.float64]) -> Path:
    """The path's start and end moved out along the stroke by `lengths` (2,), or cut back where negative."""
    for length in lengths:
        path = path[::-1]
        steps = round(abs(float(length)) / STEP)
        if length < 0:
            path = path[: max(len(path) - steps, 2)]
        else:
            ahead = path[-1] - path[max(-4, -len(path))]
            direction = ahead / max(float(np.linalg.norm(ahead)), 1e-6)
            path = np.concatenate([path, path[-1] + direction * STEP * np.arange(1, steps + 1)[:, np.newaxis]])
    return path


def _bend(path: Path, habit: NDArray[np.float64]) -> Path:
    """The path displaced by slow waves over the digit's box: `habit` (2, 2 * WAVES) weighs them in x and y."""
    phases = np.pi * np.arange(1, WAVES + 1) * (path[:, ::-1, np.newaxis] + 0.25)
    waves = np.concatenate([np.sin(phases), np.cos(phases)], axis=2)  # x bends with y, and y with x
    weights = habit / np.tile(np.arange(1, WAVES + 1), 2)
    return np.asarray(path + (waves * weights).sum(axis=2))


def _pressure(count: int, writer: Writer, rng: np.random.Generator) -> NDArray[np.float64]:
    """The pen's width at each point of a stroke, 1 on average; 0 where it gave no ink."""
    along = np.linspace(0, 1, count)
    waves = sum(rng.normal() * np.sin(np.pi * (wave * along + rng.random())) / wave for wave in (1, 2, 3))
    widths = np.clip(1 + writer.pressure * waves * 0.5, 0.45, 1.8)
    if rng.random() < writer.pressure:  # a pen that lands and leaves in motion
        widths *= np.clip(0.4 + np.minimum(along * rng.uniform(4, 20), (1 - along) * rng.uniform(3, 12)), 0.4, 1)
    if rng.random() < writer.skips:
        start, length = rng.integers(count), int(rng.integers(1, 4))
        if length < count - 1:  # a dot is never lost
            widths[start : start + length] = 0
    return np.asarray(widths)


def _render(paths: list[Path], widths: list[NDArray[np.float64]]) -> NDArray[np.uint8]:
    """Strokes in pixels, drawn fine and shrunk: (h, w) uint8, 255 = ink, cut to the ink."""
    pen_px = max(1.0, float(np.mean(np.concatenate(widths))))
    fine = max(FINEST, int(np.ceil(FINEST_PEN_PX / pen_px)))
    points = np.concatenate(paths)
    margin = int(np.ceil(2 * pen_px)) + 1
    low = np.floor(points.min(axis=0)) - margin
    size = (np.ceil(points.max(axis=0)) + margin - low).astype(int)
    canvas = np.zeros((size[1] * fine, size[0] * fine), np.uint8)
    for path, width in zip(paths, widths, strict=True):
        pixels = np.rint((path - low) * fine * 16).astype(int)  # sixteenths of a pixel
        thickness = np.maximum(np.rint(width * fine), 1).astype(int)
        for start, end, pen, has_ink in zip(pixels[:-1], pixels[1:], thickness, width > 0, strict=False):
            if has_ink:
                cv2.line(canvas, start.tolist(), end.tolist(), 255, int(pen), cv2.LINE_8, 4)
    strokes = cv2.resize(canvas, size.tolist(), interpolation=cv2.INTER_AREA)
    left, top, width_px, height_px = cv2.boundingRect(cv2.threshold(strokes, 32, 255, cv2.THRESH_BINARY)[1])
    return np.asarray(strokes[top : top + height_px, left : left + width_px], dtype=np.uint8)
