"""InkMask -> Unruled: ruled lines, tables, boxes and combs are found, kept as geometry, and taken out of the ink.

Taken out at full size, column by column of each line (lines.py): where the ink is as thick as the line usually is near
by, it is the line; where it is thicker, a stroke crosses or touches it, and stays.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from docscan.records import InkMask, Rulings, Squares, Unruled
from docscan.settings import ComponentSettings, RulingSettings
from docscan.stages.lines import Lines, Scale, find_lines, held_at_both_ends, no_lines
from docscan.stages.squares import find_squares

_AT_EDGE_PX = 1.0  # no further from a picture's edge is on it
_SQUARED = 12  # times as long as another line's are pieces of a line of squared paper, more of which is written over


@dataclass(frozen=True, slots=True, eq=False)
class _Strips:
    """The ink along pieces of lines, every piece laid level: (rows, pieces, columns)."""

    ink: NDArray[np.uint8]
    """0 or 1; the middle row is the middle of the line."""
    inside: NDArray[np.bool_]
    """(pieces, columns): False beyond the end of a piece."""
    places: NDArray[np.intp]
    """(pieces, columns): where on the flat page the middle row's pixels are."""
    step: int
    """From there to the next row."""

    def on_page(self, pixels: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Flat places on the page of the pixels (rows, pieces, columns) that are True."""
        middle = len(self.ink) // 2
        # Row by row: np.nonzero over three axes takes four times as long.
        return np.concatenate([self.places[row] + (k - middle) * self.step for k, row in enumerate(pixels)])


@dataclass(frozen=True, slots=True, eq=False)
class _Measured:
    """What in some strips is line, and what crosses it."""

    line: NDArray[np.bool_]
    """(rows, pieces, columns): the line's own ink."""
    spared: NDArray[np.bool_]
    """(rows, pieces, columns): ink in the line's place, or next to it, that belongs to strokes."""
    thickness: NDArray[np.float64]
    """(pieces,): the usual one."""


def remove_rulings(ink: InkMask, size: ComponentSettings, settings: RulingSettings) -> Unruled:
    """Take ruled lines, grids, boxes and combs out of the ink; digits on, under or across a line keep their strokes.

    A page without lines keeps its ink as it is. The lines of squared paper go from edge to edge, where they have faded
    beside writing as well.
    """
    rows, columns, scale = find_lines(ink, size, settings)
    if min(ink.ink.shape) < settings.string_px:
        rows, columns = _printed(ink, rows, columns, scale)
    if not len(rows) and not len(columns):
        return Unruled(ink, Rulings(*_segments(rows), *_segments(columns)))
    squares = find_squares(rows.ends().T, columns.ends().T, ink.ink, settings)
    if squares is not None:
        rows, columns = _lines_of(squares, rows, columns, scale)
    rest = ink.ink.copy()
    rows, spared_by_rows = _cut(ink.with_pale, rest, rows, scale, upright=False)
    columns, spared_by_columns = _cut(ink.with_pale, rest, columns, scale, upright=True)
    if len(spared_by_columns):  # where two rulings cross, each looks like a stroke to the other
        by_row = np.zeros(rest.size, np.bool_)
        by_row[spared_by_rows] = True
        rest.reshape(-1)[spared_by_columns[by_row[spared_by_columns]]] = 0
    if squares is not None:
        rows = columns = no_lines()
    rulings = Rulings(*_segments(rows), *_segments(columns, upright=True))
    return Unruled(InkMask(rest, ink.dpi), rulings, squares)


def _printed(ink: InkMask, rows: Lines, columns: Lines, scale: Scale) -> tuple[Lines, Lines]:
    """The lines in a picture of one string that are none of its strokes, by themselves or because others hold them."""
    rows_alone, columns_alone = _alone(ink, rows, scale, upright=False), _alone(ink, columns, scale, upright=True)
    while True:
        keep_rows = rows_alone | held_at_both_ends(rows, columns, scale)
        held = held_at_both_ends(columns, rows, scale)  # a box has two such sides: one alone is a 1
        keep_columns = columns_alone | held & (len(np.unique(columns.line[held])) > 1)
        if keep_rows.all() and keep_columns.all():
            return rows, columns
        rows, rows_alone = rows.where(keep_rows), rows_alone[keep_rows]
        columns, columns_alone = columns.where(keep_columns), columns_alone[keep_columns]


def _alone(ink: InkMask, lines: Lines, scale: Scale, *, upright: bool) -> NDArray[np.bool_]:
    """Which pieces are of lines as long, or as thin, as no stroke of the picture's one string."""
    settings, rest = scale.settings, ink.ink.copy()
    measured, _ = _cut(ink.with_pale, rest, lines, scale, upright=upright)
    pale, pen = (each.T if upright else each for each in (ink.with_pale, rest))
    start, _, end, _ = lines.ends()
    at_start, at_end = start <= _AT_EDGE_PX, end >= pale.shape[1] - 1 - _AT_EDGE_PX
    is_thin = measured.thicknesses() <= settings.string_thin * (_pen_px(pen) or np.inf)
    is_long = _covered(pale, lines) >= settings.string_share
    runs_off = at_start | at_end
    runs_through = at_start & at_end if upright else runs_off
    return lines.of_pieces(is_thin & (runs_off | is_long) | is_long & runs_through)


def _covered(ink: NDArray[np.uint8], lines: Lines) -> NDArray[np.float64]:
    """(lines,): along what share of a picture (H, W) each line from left to right has ink."""
    along = np.arange(ink.shape[1])
    middle = np.rint(lines.offset[:, np.newaxis] + lines.slope[:, np.newaxis] * along).astype(np.intp)
    near = np.clip(middle + np.arange(-1, 2)[:, np.newaxis, np.newaxis], 0, len(ink) - 1)
    is_ink = (ink[near, along] > 0).any(axis=0)
    is_ink &= (along >= lines.start[:, np.newaxis]) & (along <= lines.end[:, np.newaxis])
    return np.asarray(np.add.reduceat(is_ink.mean(axis=1), lines.first()) if len(lines) else np.zeros(0))


def _pen_px(ink: NDArray[np.uint8]) -> float:
    """How thick the strokes along the rows of (H, W) are, for the most part; 0 without ink."""
    edges = np.diff((ink.T > 0).astype(np.int8), axis=1, prepend=0, append=0)
    runs = np.flatnonzero(edges < 0) - np.flatnonzero(edges > 0)
    return float(np.median(runs)) if len(runs) else 0.0


def _lines_of(squares: Squares, rows: Lines, columns: Lines, scale: Scale) -> tuple[Lines, Lines]:
    """All lines of squared paper, as thick as those found, from edge to edge, in pieces: they are thicker in places."""
    height, width = squares.size
    made = []
    for places, slopes, length, middle, known in (
        (squares.across, squares.across_slopes, width, width / 2, rows),
        (squares.along, squares.along_slopes, height, height / 2, columns),
    ):
        pieces = max(1, round(length / (_SQUARED * scale.settings.piece * scale.unit)))
        ends = np.linspace(0, length, pieces + 1).round()
        start, end = np.tile(ends[:-1], len(places)), np.tile(ends[1:] - 1, len(places))
        number = np.repeat(np.arange(len(places), dtype=np.intp), pieces)
        thickness = np.full(len(number), np.median(known.thicknesses()))
        offsets = places - slopes * middle
        made.append(Lines(number, start, end, offsets[number], slopes[number], thickness))
    return made[0], made[1]


def _segments(lines: Lines, *, upright: bool = False) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    ends = lines.ends()[[1, 0, 3, 2] if upright else [0, 1, 2, 3]]
    return ends.T.astype(np.float32), lines.thicknesses().astype(np.float32)


def _cut(
    ink: NDArray[np.uint8], rest: NDArray[np.uint8], lines: Lines, scale: Scale, *, upright: bool
) -> tuple[Lines, NDArray[np.intp]]:
    """Take the lines out of `rest`: the lines that were, with their true thickness, and the flat places spared."""
    reach = np.ceil(lines.thickness).astype(np.intp) + scale.factor // 2 + 2
    # Pieces of like size are worked on together: one call to numpy for hundreds of box sides.
    kinds = np.stack([np.ceil(2 * np.log2(reach)), np.ceil(np.log2(lines.end - lines.start + 1))])
    thickness = np.zeros(len(lines))
    spared = [np.zeros(0, np.intp)]
    for kind in np.unique(kinds, axis=1).T:
        alike = (kinds == kind[:, np.newaxis]).all(axis=0)
        strips = _lay_level(ink, lines.where(alike), int(reach[alike].max()), upright=upright)
        found = _measure(strips.ink, lines.thickness[alike], scale)
        thickness[alike] = found.thickness
        rest.reshape(-1)[strips.on_page(found.line)] = 0
        spared.append(strips.on_page(found.spared))
    return replace(lines, thickness=thickness), np.concatenate(spared)


def _lay_level(ink: NDArray[np.uint8], lines: Lines, reach: int, *, upright: bool) -> _Strips:
    """The ink within `reach` of the lines, and a little beyond their ends."""
    depth, length = ink.shape[::-1] if upright else ink.shape
    step, stride = (1, ink.shape[1]) if upright else (ink.shape[1], 1)
    beyond = reach // 2
    start = np.maximum(lines.start.astype(np.intp) - beyond, 0)
    end = np.minimum(lines.end.astype(np.intp) + beyond, length - 1)
    along = start[:, np.newaxis] + np.arange(int((end - start).max()) + 1)
    inside = along <= end[:, np.newaxis]
    along = np.minimum(along, length - 1)
    middle = np.rint(lines.offset[:, np.newaxis] + lines.slope[:, np.newaxis] * along).astype(np.intp)
    places = middle * step + along * stride
    strip = np.empty((2 * reach + 1, *places.shape), np.uint8)
    flat = ink.reshape(-1)
    at_border = middle.min() < reach or middle.max() >= depth - reach
    for row, off in enumerate(range(-reach, reach + 1)):
        np.take(flat, places + off * step, mode="clip", out=strip[row])
        strip[row] &= inside & (middle + off >= 0) & (middle + off < depth) if at_border else inside  # 255 becomes 1
    return _Strips(strip, inside, places, step)


def _measure(ink: NDArray[np.uint8], thickest: NDArray[np.float64], scale: Scale) -> _Measured:
    """Tell lines' own ink from the strokes across them in strips (rows, pieces, columns); none is over `thickest`."""
    settings = scale.settings
    from_middle = np.abs(np.arange(len(ink)) - len(ink) // 2)[:, np.newaxis]
    share = ink.sum(axis=2, dtype=np.int32) * (from_middle <= thickest / 2 + scale.factor)
    on_line = (share > 0) & (share >= settings.row_share * share.max(axis=0))
    runs, joined = _upright_runs(ink, on_line)
    usual = _medians(runs[share.argmax(axis=0), np.arange(len(thickest))])
    limit = usual + np.maximum(1, settings.slack * usual)
    height = np.multiply(runs, joined.view(np.uint8), out=runs).max(axis=0)
    strokes = _bridged(height > limit[:, np.newaxis], height, usual, scale)
    fringe = (share > 0) & (share >= settings.fringe_share * share.max(axis=0))
    top, bottom = fringe.argmax(axis=0), len(ink) - 1 - fringe[::-1].argmax(axis=0)
    out = 1 + settings.protrusion * (bottom - top + 1)
    rows = np.arange(len(ink))[:, np.newaxis]
    outside = (rows < top - out) | (rows > bottom + out)
    strokes = _intervals_with(strokes, np.asarray((joined & outside[:, :, np.newaxis]).any(axis=0)))
    line = joined & ~strokes
    near = cv2.dilate(on_line.astype(np.uint8), np.ones((5, 1), np.uint8))
    return _Measured(line, (ink.view(np.bool_) > line) & near.view(np.bool_)[:, :, np.newaxis], usual)


def _medians(runs: NDArray[np.unsignedinteger]) -> NDArray[np.float64]:
    """The median of every row's runs that are not 0; 0 where all are."""
    ordered = np.sort(runs, axis=1, kind="stable")  # bytes are counted then, not compared
    none = (runs == 0).sum(axis=1)
    middle = np.minimum((none + runs.shape[1]) // 2, runs.shape[1] - 1)
    return np.asarray(ordered[np.arange(len(runs)), middle], dtype=np.float64)


def _upright_runs(
    ink: NDArray[np.uint8], on_line: NDArray[np.bool_]
) -> tuple[NDArray[np.unsignedinteger], NDArray[np.bool_]]:
    """How long the upright run of ink is that each pixel is part of, and whether it meets the line."""
    runs = np.empty(ink.shape, np.min_scalar_type(len(ink)))  # bytes, but for a line over a hundred pixels thick
    joined = np.empty_like(ink)
    begins = on_line.view(np.uint8)[:, :, np.newaxis]  # as bytes, like all else here: NumPy is slow to mix kinds
    length, met = np.zeros_like(runs[0]), np.zeros_like(ink[0])
    for row, pixels in enumerate(ink):
        length = np.multiply(length + runs.dtype.type(1), pixels, out=runs[row])
        met = np.multiply(met | begins[row], pixels, out=joined[row])
    for row in range(len(ink) - 2, -1, -1):
        below = ink[row] & ink[row + 1]
        np.maximum(runs[row], runs[row + 1] * below, out=runs[row])
        np.maximum(joined[row], joined[row + 1] * below, out=joined[row])
    return runs, joined.view(np.bool_)


def _bridged(
    strokes: NDArray[np.bool_], height: NDArray[np.unsignedinteger], usual: NDArray[np.float64], scale: Scale
) -> NDArray[np.bool_]:
    """Columns (pieces, columns) of strokes, with those between two of them where the ink is a little too thick.

    The base of a 2 that lies along the line shows in nothing else.
    """
    pieces, columns = strokes.shape
    change = np.diff(strokes.astype(np.int8), axis=1, prepend=0, append=0).reshape(-1)
    starts, ends = np.flatnonzero(change == 1), np.flatnonzero(change == -1)
    left, right = ends[:-1], starts[1:]  # the gaps, on rows of columns + 1
    piece = left // (columns + 1)
    total = np.zeros((pieces, columns + 1))
    np.cumsum(height, axis=1, out=total[:, 1:])
    total = total.reshape(-1)
    gap = (piece == right // (columns + 1)) & (right - left <= scale.settings.max_bridge * scale.unit)
    left, right, piece = left[gap], right[gap], piece[gap]
    thick = (total[right] - total[left]) / (right - left) >= usual[piece] + scale.settings.bridge_px
    change[left[thick]] = change[right[thick]] = 0
    return np.cumsum(change.reshape(pieces, columns + 1), axis=1)[:, :-1] > 0


def _intervals_with(columns: NDArray[np.bool_], marks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The intervals of True columns (pieces, columns) that hold at least one mark."""
    begins = np.diff(columns, axis=1, prepend=False) & columns
    number = np.cumsum(begins.reshape(-1)).reshape(columns.shape)
    marked = np.bincount(number[columns & marks], minlength=int(number.max(initial=0)) + 1) > 0
    return columns & marked[number]
