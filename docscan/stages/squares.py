"""Lines -> squared paper: lines both ways at one small distance, that set nothing apart, and how dark they are.

What is written on it runs across the squares, or the squares run to the edges of the page. A table keeps within the
page, and what is written there within its cells, be they square; a comb is one row high, and the squares of a sudoku
are few.
"""

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from docscan.records import Digit, InkMask, Squares, Unruled
from docscan.settings import LayoutSettings, RulingSettings
from docscan.stages.grouping import boxes_of

_LEAN = 0.03  # lines that lean more than this against the others are none of them
_NEXT = 25  # percentile of the steps from line to line: askew, every second line may not be found
_MOST_EDGES = 3  # of a page that a table's lines do not reach
_OFF_LINE = 0.14  # of a square: what is further from its lines is none of them
_BAND = 0.1  # of a square: how wide the strip beside that is, and half of the middle one
_MOST_DIGITS = 2000  # whose squares are held against each other's
_SAME_ROW = 0.5  # of a square: the middles of digits in one row are nearer
_AROUND = 1 / 6  # of a square: paper is no further from the middle of a line
_CORE = 90  # percentile of the darkness of lines' ink: most of a fine line is its edge
_AS_DARK = 1.15  # times as dark as that: darker is no line
_SAMPLES = 200  # places on a line where its darkness is looked at
_BESIDE_PX = 2  # from its middle: the line is no further off there
_PAPER, _LINE = 90, 50  # percentiles of the gray about a line, and of its darkest pixels


def find_squares(
    flat: NDArray[np.float64], upright: NDArray[np.float64], ink: NDArray[np.uint8], settings: RulingSettings
) -> Squares | None:
    """The squared paper of a page whose ink (H, W) is not 0, or None.

    `flat` (N, 4) and `upright` (M, 4): where each line starts, along and across, and where it ends; page pixels.
    """
    height, width = ink.shape
    if min(len(flat), len(upright)) < settings.least_squares:
        return None
    rows = _lattice(flat, width, settings)
    columns = _lattice(upright, height, settings) if rows is not None else None
    if rows is None or columns is None:
        return None
    if abs(rows.pitch - columns.pitch) > settings.square_evenness * max(rows.pitch, columns.pitch):
        return None
    squares = Squares(rows.places, rows.slopes, columns.places, columns.slopes, (height, width))
    to_edges = _edges_reached(squares) >= _MOST_EDGES
    return squares if to_edges or _beside_lines(squares, ink) >= settings.beside_squares else None


def _edges_reached(squares: Squares) -> int:
    """How many edges of the page have a line less than a square away."""
    first, last = (np.array([places[end] for places in (squares.across, squares.along)]) for end in (0, -1))
    pitch = (last - first) / np.array([len(squares.across) - 1, len(squares.along) - 1])
    return int(np.count_nonzero(first < pitch) + np.count_nonzero(last > np.array(squares.size) - 1 - pitch))


def _beside_lines(squares: Squares, ink: NDArray[np.uint8]) -> float:
    """How much of a page's ink (H, W) is on the sides of the squares, against as much of their middles.

    One where the pen takes no heed of them, next to nothing where each holds a sign or two. The lines do not count.
    """
    y, x = (places.astype(np.float64) for places in np.nonzero(ink))
    (down, right) = (where % 1 for where in _places_in(squares, x, y))
    inside = (np.minimum(down, right) > _OFF_LINE) & (np.maximum(down, right) < 1 - _OFF_LINE)
    from_middle = np.abs(np.stack([down, right])[:, inside] - 0.5)
    beside, middle = from_middle > 0.5 - _OFF_LINE - _BAND, from_middle < _BAND
    return int(np.count_nonzero(beside)) / max(1, int(np.count_nonzero(middle)))


def _places_in(
    squares: Squares, x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """In which row and column of squares points (N,) of the page are, as fractions; 0 beyond them."""
    height, width = squares.size
    found = []
    for places, slopes, at, across in (
        (squares.across, squares.across_slopes, x - width / 2, y),
        (squares.along, squares.along_slopes, y - height / 2, x),
    ):
        level = across - np.interp(across, places, slopes) * at
        found.append(np.interp(level, places, np.arange(len(places)), left=0.0, right=0.0))
    return found[0], found[1]


def squared_neighbours(
    boxes: NDArray[np.int32], squares: Squares | None, settings: LayoutSettings
) -> list[tuple[int, int]]:
    """Pairs of digits, rows of boxes (N, 4), in neighbouring squares of a row: the left one, the right one.

    None where a digit has not, as a rule, a square of its own.
    """
    if squares is None or not settings.min_squared <= len(boxes) <= _MOST_DIGITS:
        return []
    row, place = _squares_at(squares, boxes)
    if not _have_squares(row, place, settings):
        return []
    column = np.floor(place)
    follows = (column - column[:, np.newaxis] == 1) & (np.abs(row - row[:, np.newaxis]) < _SAME_ROW)
    return [(int(one), int(other)) for one, other in np.argwhere(follows)]


def leave_out_sides(
    readings: tuple[Digit, ...], squares: Squares | None, settings: LayoutSettings
) -> tuple[Digit, ...]:
    """The readings but for what is left of the uprights of squared paper, where each digit has a square: no 1s."""
    digits = [row for row, reading in enumerate(readings) if reading.text]
    if squares is None or len(digits) < settings.min_squared:
        return readings
    boxes = boxes_of(readings)
    row, place = _squares_at(squares, boxes)
    if not _have_squares(row[digits], place[digits], settings):
        return readings
    widths = (boxes[:, 2] - boxes[:, 0]) / np.median(np.diff(squares.along))
    is_side = (np.abs(place - np.rint(place)) <= settings.max_side) & (widths <= 2 * settings.max_side)
    return tuple(
        reading for reading, gone in zip(readings, is_side, strict=True) if not gone or reading.text not in {"", "1"}
    )


def _have_squares(row: NDArray[np.float64], place: NDArray[np.float64], settings: LayoutSettings) -> bool:
    """Whether digits, nearly each, have squares of their own: rows and columns (N,) as fractions."""
    column = np.floor(place)
    _, own, count = np.unique(np.stack([np.floor(row), column]), axis=1, return_inverse=True, return_counts=True)
    in_middle = np.abs(place - column - 0.5) <= settings.squared_middle / 2
    return bool(np.mean(in_middle & (count[own.reshape(-1)] == 1)) >= settings.squared_share)


def _squares_at(squares: Squares, boxes: NDArray[np.int32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """In which row and column of squares the middles of boxes (N, 4) are."""
    return _places_in(squares, (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2)


class _Lattice(NamedTuple):
    """Parallel lines, or nearly, at even distances."""

    pitch: float
    places: NDArray[np.float64]
    """(N,): of every line, those not seen as well, in the middle of the page."""
    slopes: NDArray[np.float64]


def _lattice(lines: NDArray[np.float64], length: int, settings: RulingSettings) -> _Lattice | None:
    """The even distance of lines (N, 4) on a page so long, and where every one of them is; None of others.

    A line is seen over a share of its length, in pieces between what is written. How much lines lean changes evenly
    from one to the next.
    """
    slopes, lengths = (lines[:, 3] - lines[:, 1]) / np.maximum(lines[:, 2] - lines[:, 0], 1), lines[:, 2] - lines[:, 0]
    usual = float(np.median(slopes))
    places = _places(lines, np.full(len(lines), usual), length / 2)
    like = np.abs(slopes - usual) <= _LEAN
    # A line's slope is so sure, through pixels that are off by as much all along.
    sure = lengths**1.5
    is_one = np.ptp(places[like]) == 0
    lean = np.array([0.0, usual]) if is_one else np.polyfit(places[like], slopes[like], 1, w=sure[like])
    places = _places(lines, np.polyval(lean, places), length / 2)
    order = np.argsort(places, kind="stable")
    places, lengths = places[order], lengths[order]
    number = np.cumsum(np.concatenate([[0], np.diff(places) > _BESIDE_PX]))
    seen = np.bincount(number, lengths)
    whole = (np.bincount(number, places * lengths) / np.maximum(seen, 1e-9))[seen >= settings.square_seen * length]
    if len(whole) < settings.least_squares:
        return None
    pitch = float(np.percentile(np.diff(whole), _NEXT))
    whole = whole[np.diff(whole, prepend=-pitch) > pitch / 2]  # a line may be found twice, where it leans otherwise
    steps = np.diff(whole)
    count = np.maximum(np.rint(steps / pitch), 1)
    even = np.abs(steps - count * pitch) <= 2 * settings.square_evenness * pitch
    if even.mean() < settings.square_share:
        return None
    index = np.concatenate([[0], np.cumsum(count)])
    every = np.interp(np.arange(index[-1] + 1), index, whole)
    return _Lattice(float(np.polyfit(index, whole, 1)[0]), every, np.asarray(np.polyval(lean, every)))


def _places(lines: NDArray[np.float64], slopes: NDArray[np.floating], middle: float) -> NDArray[np.float64]:
    """Where lines (N, 4) with those slopes are in the middle of the page."""
    at, across = (lines[:, 0] + lines[:, 2]) / 2, (lines[:, 1] + lines[:, 3]) / 2
    return np.asarray(across - slopes * (at - middle))


def leave_out_squares(gray: NDArray[np.uint8], ink: InkMask, unruled: Unruled) -> NDArray[np.uint8]:
    """A page (H, W), dark on light, whose `ink` was found, as if written on plain paper; another page as it is.

    A string of digits is read from the gray, where the sides of the squares it crosses look like 1s. What is darker
    than the lines are is a stroke on one.
    """
    if unruled.squares is None:
        return gray
    is_line = (ink.ink != 0) & (unruled.ink.ink == 0)
    about = cv2.dilate(is_line.astype(np.uint8), np.ones((3, 3), np.uint8)) != 0  # its edge is paler than ink
    around = max(3, round(_AROUND * float(np.median(np.diff(unruled.squares.along))))) | 1
    paper = cv2.dilate(gray, np.ones((around, around), np.uint8))
    darkness = paper - gray
    usual = np.percentile(darkness[is_line], _CORE) if is_line.any() else 0
    gone = about & (unruled.ink.ink == 0) & (darkness <= _AS_DARK * usual)
    return np.where(gone, paper, gray)


def darkness_of(squares: Squares, gray: NDArray[np.uint8]) -> float:
    """How much darker than its paper squared paper is printed on a (H, W) page, dark on light: gray levels."""
    height, width = gray.shape
    near = [_along(squares, gray, off) for off in range(-_BESIDE_PX, _BESIDE_PX + 1)]
    darkest = np.concatenate([np.min(pixels, axis=0).ravel() for pixels in zip(*near, strict=True)])
    paper = float(np.percentile(gray[:: max(1, height // _SAMPLES), :: max(1, width // _SAMPLES)], _PAPER))
    return max(0.0, paper - float(np.percentile(darkest, _LINE)))


def _along(squares: Squares, page: NDArray[np.uint8], off: int = 0) -> Iterator[NDArray[np.uint8]]:
    """What is on a (H, W) page `off` px from the middle of every horizontal line (N, samples), and of every upright."""
    height, width = page.shape
    x, y = (np.linspace(0, side - 1, _SAMPLES).astype(np.intp) for side in (width, height))
    rows = squares.across[:, np.newaxis] + squares.across_slopes[:, np.newaxis] * (x - width / 2)
    yield page[np.clip(np.rint(rows).astype(np.intp) + off, 0, height - 1), x]
    columns = squares.along[:, np.newaxis] + squares.along_slopes[:, np.newaxis] * (y - height / 2)
    yield page[y, np.clip(np.rint(columns).astype(np.intp) + off, 0, width - 1)]
