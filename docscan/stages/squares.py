"""Lines -> squared paper: lines both ways at one small distance, that set nothing apart, and how dark they are.

What is written on it runs across the squares, or the squares run to the edges of the page. A table keeps within the
page, and what is written there within its cells, be they square; a comb is one row high, and the squares of a sudoku
are few.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from docscan.records import Squares
from docscan.settings import RulingSettings

_NEXT = 25  # percentile of the steps from line to line: askew, every second line may not be found
_MOST_EDGES = 3  # of a page that a table's lines do not reach
_OFF_LINE, _BAND = (
    0.14,
    0.1,
)  # of a square: further from a line is no line; the strip beside it, and half of the middle's
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
    slope = float(np.median(np.concatenate([_slopes(flat), -_slopes(upright)])))
    rows = _lattice(*_places(flat, slope, width / 2), settings.square_seen * width, settings)
    columns = _lattice(*_places(upright, -slope, height / 2), settings.square_seen * height, settings)
    if rows is None or columns is None:
        return None
    (down, across), (right, along) = rows, columns
    if abs(down - right) > settings.square_evenness * max(down, right):
        return None
    squares = Squares(across, along, slope)
    to_edges = _edges_reached(squares, ink.shape) >= _MOST_EDGES
    return squares if to_edges or _beside_lines(squares, ink) >= settings.beside_squares else None


def _edges_reached(squares: Squares, shape: tuple[int, ...]) -> int:
    """How many edges of a page of that shape (H, W) have a line less than a square away."""
    first, last = (np.array([places[end] for places in (squares.across, squares.along)]) for end in (0, -1))
    pitch = (last - first) / np.array([len(squares.across) - 1, len(squares.along) - 1])
    return int(np.count_nonzero(first < pitch) + np.count_nonzero(last > np.array(shape) - 1 - pitch))


def _beside_lines(squares: Squares, ink: NDArray[np.uint8]) -> float:
    """How much of a page's ink (H, W) is on the sides of the squares, against as much of their middles.

    One where the pen takes no heed of them, next to nothing where each holds a sign or two. The lines do not count.
    """
    (height, width), (y, x) = ink.shape, np.nonzero(ink)
    down = _of_cell(y - squares.slope * (x - width / 2), squares.across)
    right = _of_cell(x + squares.slope * (y - height / 2), squares.along)
    inside = (np.minimum(down, right) > _OFF_LINE) & (np.maximum(down, right) < 1 - _OFF_LINE)
    from_middle = np.abs(np.stack([down, right])[:, inside] - 0.5)
    beside, middle = from_middle > 0.5 - _OFF_LINE - _BAND, from_middle < _BAND
    return int(np.count_nonzero(beside)) / max(1, int(np.count_nonzero(middle)))


def _of_cell(places: NDArray[np.float64], lines: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far between its two lines each place is, 0..1; 0 where it is not between lines."""
    number = np.interp(places, lines, np.arange(len(lines)), left=0.0, right=0.0)
    return np.asarray(number % 1)


def _slopes(lines: NDArray[np.float64]) -> NDArray[np.float64]:
    return (lines[:, 3] - lines[:, 1]) / np.maximum(lines[:, 2] - lines[:, 0], 1)


def _places(lines: NDArray[np.float64], slope: float, middle: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where lines (N, 4) with that slope are in the middle of the page, in order, and how long each is."""
    at, across = (lines[:, 0] + lines[:, 2]) / 2, (lines[:, 1] + lines[:, 3]) / 2
    places = across - slope * (at - middle)
    order = np.argsort(places, kind="stable")
    return places[order], (lines[:, 2] - lines[:, 0])[order]


def _lattice(
    places: NDArray[np.float64], lengths: NDArray[np.float64], least: float, settings: RulingSettings
) -> tuple[float, NDArray[np.float64]] | None:
    """The distance from line to line, and every line's place, of lines at even distances; None for others.

    A line is seen over `least` px of its length, in pieces between what is written.
    """
    number = np.cumsum(np.concatenate([[0], np.diff(places) > _BESIDE_PX]))
    seen = np.bincount(number, lengths)
    whole = (np.bincount(number, places * lengths) / np.maximum(seen, 1e-9))[seen >= least]
    if len(whole) < settings.least_squares:
        return None
    steps = np.diff(whole)
    pitch = float(np.percentile(steps, _NEXT))
    count = np.maximum(np.rint(steps / pitch), 1)
    even = np.abs(steps - count * pitch) <= 2 * settings.square_evenness * pitch
    if even.mean() < settings.square_share:
        return None
    index = np.concatenate([[0], np.cumsum(count)])
    return float(np.polyfit(index, whole, 1)[0]), np.interp(np.arange(index[-1] + 1), index, whole)


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
    rows = np.rint(squares.across[:, np.newaxis] + squares.slope * (x - width / 2)).astype(np.intp) + off
    yield page[np.clip(rows, 0, height - 1), x]
    columns = np.rint(squares.along[:, np.newaxis] - squares.slope * (y - height / 2)).astype(np.intp) + off
    yield page[y, np.clip(columns, 0, width - 1)]
