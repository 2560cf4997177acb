"""Ink -> Lines: what on a page is ruled, as geometry; rulings.py takes it out of the ink.

Found on the page reduced by its darkest pixels: straight runs of ink, chained, so that a line may be skewed, bent or
broken. A line is long, straight and thin; or it is the side of a box, held by other lines.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from docscan.records import InkMask, Pieces
from docscan.settings import ComponentSettings, RulingSettings
from docscan.stages.components import digit_height, find_pieces, holds, label

_EDGE = 0.14  # of a box's shorter side
_STRAY = 0.005  # of the distance: as far as the end of a line may be off its way
_FREE_PX = 4  # on the reduced page, from the middle of a line: there is paper
_WHOLE = 0.9  # of an edge: there is a side
_FAR = 1e9
_ITSELF_PX = 0.5  # nearer is the line itself
_CELL = 1.5  # digit heights: no further does a box's lid end short of its side
_PAPER_BETWEEN = 0.6  # of the way from one box to the next: no more of it is ink
_MANY_ROWS = 8  # a page is this many times as large as one of them
_MOST_PAIRS = 4_000_000  # of a row and a column: ten times those of a page full of combs; more is cloth or a halftone


@dataclass(frozen=True, slots=True)
class Scale:
    """What the settings' lengths come to on one page."""

    factor: int
    """Page pixels to a pixel of the reduced page."""
    unit: float
    """Height of a digit, page pixels."""
    settings: RulingSettings

    @property
    def thickened_px(self) -> int:
        """By how much lines are thickened before they are looked for.

        Of a hairline askew there are short runs only; reducing thickens it.
        """
        return 2 if self.factor == 1 else 0


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """Lines of one direction in straight pieces, a row a piece; pieces of one line follow each other.

    `along` runs with the lines, `across` from one line to the next; both in page pixels.
    """

    line: NDArray[np.intp]
    start: NDArray[np.float64]
    """Along."""
    end: NDArray[np.float64]
    offset: NDArray[np.float64]
    """Across, where along is 0."""
    slope: NDArray[np.float64]
    """Across over along."""
    thickness: NDArray[np.float64]
    """At most this: measured on the reduced page."""

    def __len__(self) -> int:
        return len(self.line)

    def where(self, keep: NDArray[np.bool_] | NDArray[np.intp]) -> Self:
        """The pieces (N,) for which `keep` is True, or those of its rows, in their order."""
        return type(self)(*(getattr(self, column.name)[keep] for column in fields(self)))

    def first(self) -> NDArray[np.intp]:
        """The row of every line's first piece."""
        return np.flatnonzero(np.diff(self.line, prepend=-1))

    def last(self) -> NDArray[np.intp]:
        """The row of every line's last piece."""
        return np.flatnonzero(np.diff(self.line, append=-1))

    def ends(self) -> NDArray[np.float64]:
        """(4, lines): along and across at the start of each line, along and across at its end."""
        first, last = self.first(), self.last()
        start, end = self.start[first], self.end[last]
        before, after = self.offset[first] + self.slope[first] * start, self.offset[last] + self.slope[last] * end
        return np.stack([start, before, end, after])

    def of_pieces(self, of_lines: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """What is so of the lines (lines,), of every piece: (N,)."""
        return np.repeat(of_lines, self.last() - self.first() + 1)

    def lengths(self) -> NDArray[np.float64]:
        """(lines,): along."""
        return np.asarray(self.end[self.last()] - self.start[self.first()] + 1)

    def thicknesses(self) -> NDArray[np.float64]:
        """(lines,): the mean of each line's pieces."""
        pieces = self.last() - self.first() + 1
        return np.asarray(np.bincount(self.line, self.thickness)[self.line[self.first()]] / pieces)


class FoundLines(NamedTuple):
    """The ruled lines of a page."""

    rows: Lines
    """From left to right: along is x."""
    columns: Lines
    """From the top down: along is y."""
    scale: Scale


def find_lines(ink: InkMask, size: ComponentSettings, settings: RulingSettings) -> FoundLines:
    """The long lines of a page and the sides of its boxes; a page without has none.

    Looked for among the pale ink: beside a bold pen a printed line is no ink, or ink in pieces.
    """
    factor = max(1, round(min(ink.ink.shape) / settings.side_px))
    small = _reduce(ink.with_pale, factor)
    turned = cv2.transpose(small)
    pieces = find_pieces(small)
    scale = Scale(factor, _digit_height(small, pieces, factor, ink, size), settings)
    rows, columns = _find(small, scale, settings.slenderness), _find(turned, scale, settings.least_slender)
    columns = _parted(turned, columns, rows, scale)
    rows, columns = _mended(small, rows, columns, scale), _mended(turned, columns, rows, scale)
    rows, columns = _rulings_among(rows, columns, ink.ink.shape, scale)
    boxes = _thick_boxes(pieces, scale)
    rows = _united(rows, *_frame(small, rows, scale, upright=False), *_sides(boxes, rows, factor, upright=False))
    columns = _united(
        columns, *_frame(turned, columns, scale, upright=True), *_sides(boxes, columns, factor, upright=True)
    )
    return FoundLines(rows, columns, scale)


def _reduce(ink: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Every factor x factor pixels become one: ink where any of them is, so that hairlines stay whole."""
    height, width = (side // factor * factor for side in ink.shape)
    rows = ink[0:height:factor, :width].copy()
    for offset in range(1, factor):
        np.bitwise_or(rows, ink[offset:height:factor, :width], out=rows)
    last = width - factor + 1
    small = rows[:, :last].copy()  # every place that a square may begin at: whole rows are quicker than every third
    for offset in range(1, factor):
        np.bitwise_or(small, rows[:, offset : last + offset], out=small)
    return small[:, ::factor].copy()


def _digit_height(
    small: NDArray[np.uint8], pieces: Pieces, factor: int, ink: InkMask, size: ComponentSettings
) -> float:
    boxes = factor * pieces.boxes
    height = digit_height(boxes, factor**2 * pieces.areas, ink, size)
    if (height and height < min(ink.ink.shape) / 2) or not len(boxes):
        return height
    # A string whose digits all hang on one line is a single wide piece: its height is that of a digit and its line.
    largest = height or float((boxes[:, 2:] - boxes[:, :2]).min(axis=1).max())
    # A page that hangs together on its lines has paper as wide as a digit is high, about, between them.
    between = factor * min(_paper_between(small), _paper_between(cv2.transpose(small)))
    if largest >= _MANY_ROWS * between:
        return between
    return height or largest / 2


def _paper_between(ink: NDArray[np.uint8]) -> float:
    """How far it is from ink to ink along the rows of (H, W), where most of the paper is; the page's width if none."""
    edges = np.diff((ink > 0).astype(np.int8), axis=1, prepend=1, append=1)
    starts, ends = np.flatnonzero(edges < 0), np.flatnonzero(edges > 0)
    lengths = np.sort(ends - starts)
    if not len(lengths):
        return float(ink.shape[1])
    return float(lengths[np.searchsorted(np.cumsum(lengths), lengths.sum() / 2)])


def _find(small: NDArray[np.uint8], scale: Scale, slenderness: float) -> Lines:
    """Whatever on the reduced page is long, straight and thin enough to be a line from left to right."""
    settings, unit = scale.settings, scale.unit / scale.factor
    if unit == 0:
        return no_lines()
    thicker = scale.thickened_px
    if thicker:
        small = cv2.dilate(small, np.ones((thicker + 1, 1), np.uint8))
    run, gap = max(3, round(settings.min_run * unit)), round(settings.join_gap * unit) | 1
    runs = cv2.morphologyEx(small, cv2.MORPH_OPEN, np.ones((1, run), np.uint8), borderValue=0)
    with_ink = runs.any(axis=1)
    if not with_ink.any():
        return no_lines()
    with_ink[1:] |= with_ink[:-1]  # a row of paper after them keeps lines apart
    rows = np.flatnonzero(with_ink).astype(np.int32)
    runs = runs[rows]
    labels, stats = label(cv2.morphologyEx(runs, cv2.MORPH_CLOSE, np.ones((1, gap), np.uint8)))
    left, width, height = (stats[:, k] for k in (cv2.CC_STAT_LEFT, cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT))
    thickness = stats[:, cv2.CC_STAT_AREA] / np.maximum(width, 1) - thicker  # a page all ink has no paper
    thinnest = thickness - 1 + 1 / scale.factor  # the line may but touch the outermost pixels
    keep = (width >= settings.min_side * unit) & (width >= slenderness * thinnest)
    keep &= thickness <= settings.max_thickness * unit + 1
    keep &= height - thicker <= settings.max_slope * width + thickness + 1
    keep[0] = False  # the paper
    along, across = cv2.findNonZero(runs).reshape(-1, 2).T
    line = labels[across, along].astype(np.intp)
    across = rows[across]
    pieces = np.where(keep, np.maximum(1, np.round(width / (settings.piece * unit))), 0).astype(np.intp)
    ours = keep[line]
    return _fit(along[ours], across[ours], line[ours], _Cuts(left, width, pieces), scale.factor)


def _frame(small: NDArray[np.uint8], known: Lines, scale: Scale, *, upright: bool) -> Iterator[Lines]:
    """The lines along the upper and lower edge of a picture that was cut out along them: faint, broken, never long.

    Thin ink along most of the edge, that runs off the picture or on past a digit's length: a picture of one tight
    string has a 1 there too, from end to end of its digits and no further. Or, of upright lines, which look like a 1,
    a piece that comes in from the corner. `known` are the lines found so far.
    """
    settings, unit = scale.settings, scale.unit / scale.factor
    depth, length = small.shape
    zone = max(1, min(round(settings.frame_zone * unit), depth // 3))
    tall = np.ones((max(3, round(settings.frame_thickness * unit) | 1), 1), np.uint8)
    middles = known.offset + known.slope * (known.start + known.end) / 2
    for flip in (False, True):
        from_edge = scale.factor * depth - middles if flip else middles
        edge = (small[::-1] if flip else small)[: zone + len(tall)]
        edge = (edge > cv2.morphologyEx(edge, cv2.MORPH_OPEN, tall, borderValue=0))[: zone + 1]
        covered = (edge[:-1] | edge[1:]).mean(axis=1)  # a line that leans a little is in one row or in the next
        if not covered.any() or (from_edge <= zone * scale.factor).any():
            continue
        row = int(covered.argmax())
        pieces = [(0, length - 1)]
        if covered[row] < settings.frame_share:
            row = int(covered[: (zone + 1) // 2].argmax())
            pieces = _from_corners(edge[row : row + 2].any(axis=0), settings.frame_piece) if upright else []
        for first, last in pieces:
            sparse = np.flatnonzero(edge[:, first : last + 1].mean(axis=1) < covered[row] / 2)
            band = slice(sparse[sparse < row].max(initial=-1) + 1, sparse[sparse > row + 1].min(initial=zone + 1))
            across, along = np.nonzero(edge[band, first : last + 1])
            across, along = across + band.start, along + first
            start, end = int(along.min()), int(along.max())
            if start <= 1 or end >= length - 2 or end - start >= settings.frame_length * unit:
                cuts = _Cuts(np.array([start], np.int32), np.array([end - start + 1], np.int32), np.ones(1, np.intp))
                places = (depth - 1 - across if flip else across).astype(np.int32)
                yield _fit(along.astype(np.int32), places, np.zeros(len(along), np.intp), cuts, scale.factor)


class _Box(NamedTuple):
    """A printed box, reduced pixels."""

    left: int
    top: int
    ink: NDArray[np.bool_]
    """(h, w): its own."""


def _thick_boxes(pieces: Pieces, scale: Scale) -> list[_Box]:
    """Boxes for one digit whose sides are too short and thick for lines: with something in them, or as large as those.

    A box has ink all along its four edges, where a 0 has none in the corners.
    """
    settings, unit = scale.settings, scale.unit / scale.factor
    sizes = pieces.boxes[:, 2:] - pieces.boxes[:, :2]
    could_be = (sizes >= settings.min_box * unit).all(axis=1) & (sizes <= settings.max_box * unit).all(axis=1)
    inside = sizes[:, 1] >= settings.min_in_box * unit
    if not could_be.any() or np.count_nonzero(could_be) * np.count_nonzero(inside) > _MOST_PAIRS:
        return []
    with_ink = np.any(holds(pieces.boxes[could_be], pieces.boxes[inside]), axis=1)
    filled = [piece for piece in np.flatnonzero(could_be)[with_ink].tolist() if _is_box(_box(pieces, piece))]
    if not filled:
        return []
    usual = np.median(sizes[filled], axis=0)
    alike = (np.abs(sizes - usual) <= settings.box_evenness * usual).all(axis=1)
    found = [_box(pieces, piece) for piece in np.flatnonzero(could_be & alike).tolist()]
    return [box for box in found if _is_box(box)]


def _box(pieces: Pieces, piece: int) -> _Box:
    left, top, right, bottom = pieces.boxes[piece].tolist()
    return _Box(left, top, pieces.labels[top:bottom, left:right] == piece + 1)


def _is_box(box: _Box) -> bool:
    edge = _edge(box)
    sides = box.ink[:edge].any(axis=0), box.ink[-edge:].any(axis=0), box.ink[:, :edge].any(axis=1)
    return all(side.mean() >= _WHOLE for side in (*sides, box.ink[:, -edge:].any(axis=1)))


def _edge(box: _Box) -> int:
    """How far from its edges a box's lines are looked for: they may lean a little."""
    return max(1, round(_EDGE * float(min(box.ink.shape))))


def _sides(boxes: list[_Box], known: Lines, factor: int, *, upright: bool) -> Iterator[Lines]:
    """The upper and lower sides of boxes, or those on the left and right, but for what is `known` as a line."""
    for box in boxes:
        left, top, ink = (box.top, box.left, box.ink.T) if upright else box
        edge, (depth, length) = _edge(box), ink.shape
        cuts = _Cuts(np.array([left], np.int32), np.array([length], np.int32), np.ones(1, np.intp))
        for first in (0, depth - edge):
            rows, columns = (places.astype(np.int32) for places in np.nonzero(ink[first : first + edge]))
            side = _fit(columns + left, rows + top + first, np.zeros(len(rows), np.intp), cuts, factor)
            middle = (side.start + side.end) / 2
            off = np.abs(known.offset + known.slope * middle - side.offset - side.slope * middle)
            if not ((off <= edge * factor) & (known.start <= middle) & (middle <= known.end)).any():
                yield side


def _from_corners(ink: NDArray[np.bool_], share: float) -> list[tuple[int, int]]:
    """First and last place of the runs of ink (length,) that come in from either end, over `share` of the length."""
    ends = np.flatnonzero(np.diff(np.concatenate([[0], ink.astype(np.int8), [0]])))
    runs = [(int(start), int(end) - 1) for start, end in zip(ends[::2], ends[1::2], strict=True)]
    at_end = [run for run in runs if run[0] <= 1 or run[1] >= len(ink) - 2]
    return [run for run in at_end if run[1] - run[0] >= share * len(ink)]


def _united(*parts: Lines) -> Lines:
    """The lines of all parts, numbered anew."""
    counts = np.cumsum([0, *(int(part.line.max(initial=-1)) + 1 for part in parts)])
    return _together(*(replace(part, line=part.line + count) for part, count in zip(parts, counts, strict=False)))


def _together(*parts: Lines) -> Lines:
    """The pieces of all parts, of the lines that they are of."""
    return Lines(*(np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(Lines)))


@dataclass(frozen=True, slots=True, eq=False)
class _Cuts:
    """How lines are cut into pieces: (lines,) each, reduced pixels."""

    left: NDArray[np.int32]
    width: NDArray[np.int32]
    pieces: NDArray[np.intp]


def no_lines() -> Lines:
    """Those of a page that has none."""
    empty = np.zeros(0)
    return Lines(np.zeros(0, np.intp), empty, empty, empty, empty, empty)


def _fit(
    along: NDArray[np.int32], across: NDArray[np.int32], line: NDArray[np.intp], cuts: _Cuts, factor: int
) -> Lines:
    """Straight pieces through the pixels (N,) of lines, by least squares; reduced pixels in, page pixels out."""
    before = np.cumsum(cuts.pieces) - cuts.pieces
    piece = before[line] + (along - cuts.left[line]) * cuts.pieces[line] // cuts.width[line]
    total = int(cuts.pieces.sum())
    x, y = (factor * (places + 0.5) - 0.5 for places in (along, across))
    n, sum_x, sum_y, sum_xx, sum_xy = (np.bincount(piece, sums, total) for sums in (None, x, y, x * x, x * y))
    n = np.maximum(n, 1)
    slope = (n * sum_xy - sum_x * sum_y) / np.maximum(n * sum_xx - sum_x**2, 1)
    of = np.repeat(np.arange(len(cuts.pieces)), cuts.pieces)
    nth = np.arange(total) - before[of]
    start, end = (
        factor * np.asarray(cuts.left[of] + np.ceil(k * cuts.width[of] / cuts.pieces[of]), dtype=np.float64)
        for k in (nth, nth + 1)
    )
    return Lines(of, start, end - 1, (sum_y - slope * sum_x) / n, slope, n * factor**2 / (end - start))


class _Span(NamedTuple):
    """A straight stretch of a line, page pixels."""

    start: float
    before: float
    """Across, at the start."""
    end: float
    after: float
    """Across, at the end."""

    def across(self, along: Any) -> Any:
        """Where it is, drawn on to there; or to each of an array of places."""
        return self.before + (self.after - self.before) * (along - self.start) / max(self.end - self.start, 1.0)


def _parted(small: NDArray[np.uint8], lines: Lines, others: Lines, scale: Scale) -> Lines:
    """The lines, cut where they leap over paper from a line across to one near by: from one box to the next."""
    if len(lines) * len(others) > _MOST_PAIRS:
        return lines
    highest = scale.settings.max_between * scale.unit
    cuts: dict[int, list[tuple[float, float]]] = {}
    for line, span in enumerate(_Span(*ends) for ends in lines.ends().T.tolist()):
        inside = [c for c in _crossings(span, others, _CELL * scale.unit) if span.start < c < span.end]
        for one, other in itertools.pairwise(inside):
            between = one + 2 * scale.factor, other - 2 * scale.factor
            if not 0 < between[1] - between[0] <= highest:
                continue
            if _ink_along(small, span, between, scale, alone=False) < _PAPER_BETWEEN:
                cuts.setdefault(line, []).append((one, other))
    if not cuts:
        return lines
    first, last = lines.first(), lines.last()
    parts = [lines.where(~lines.of_pieces(np.isin(np.arange(len(first)), list(cuts))))]
    for line, gaps in cuts.items():
        pieces = lines.where(np.arange(first[line], last[line] + 1))
        ends = [-np.inf, *itertools.chain.from_iterable(gaps), np.inf]
        for start, end in zip(ends[::2], ends[1::2], strict=True):
            own = pieces.where((pieces.start < end) & (pieces.end > start))
            own = replace(own, start=np.maximum(own.start, start), end=np.minimum(own.end, end))
            parts.append(replace(own, line=np.zeros(len(own), np.intp)))
    return _united(*(replace(part, line=np.unique(part.line, return_inverse=True)[1]) for part in parts))


def _mended(small: NDArray[np.uint8], lines: Lines, others: Lines, scale: Scale) -> Lines:
    """The lines of a table, each in one where it has faded in places, and up to the last line of the other direction.

    Only as far as long lines of the other direction reach: elsewhere what stands in line with a ruling is a 1.
    """
    others = others.where(_long(others, scale))
    if not len(lines) or not len(others) or len(lines) * max(len(lines), len(others)) > _MOST_PAIRS:
        return lines
    ends_of_lines = lines.ends()
    spans = [_Span(*span) for span in ends_of_lines.T.tolist()]
    ruling = np.arange(len(spans))
    gaps: list[tuple[int, _Span]] = []
    for line in np.flatnonzero(_long(lines, scale)[lines.first()]).tolist():
        if ruling[line] != line:
            continue
        crossings = _crossings(spans[line], others, scale.unit / 2)
        parts = _in_line_with(line, ends_of_lines, crossings, scale)
        ruling[parts] = line
        ends = [spans[part] for part in parts]
        ends += _ends_of_table(small, _Span(*ends[0][:2], *ends[-1][2:]), crossings, scale)
        ends.sort(key=lambda span: span.start)
        gaps += [(line, _Span(*one[2:], *other[:2])) for one, other in itertools.pairwise(ends)]
    return _filled(lines, ruling, [(line, gap) for line, gap in gaps if gap.end - gap.start >= 2])


def _crossings(line: _Span, others: Lines, reach: float) -> list[float]:
    """Where along a line the others cross it, in order, were they to go on so far at either end."""
    middle = (line.before + line.after) / 2
    crossing = (others.start - reach <= middle) & (middle <= others.end + reach)
    return sorted((others.offset + others.slope * middle)[crossing].tolist())


def _in_line_with(line: int, ends: NDArray[np.float64], crossings: list[float], scale: Scale) -> list[int]:
    """The line and those that it goes on as, in order, between the first and the last line across it."""
    if not crossings:
        return [line]
    whole, (start, before, end, after) = _Span(*ends[:, line].tolist()), ends
    off = np.maximum(np.abs(whole.across(start) - before), np.abs(whole.across(end) - after))
    far = np.maximum(whole.start - end, start - whole.end)
    within = (start >= crossings[0] - scale.unit / 2) & (end <= crossings[-1] + scale.unit / 2)
    in_line = within & (far > 0) & (off <= scale.factor + 1 + _STRAY * far)
    in_line[line] = True
    order = [part for part in np.argsort(start, kind="stable").tolist() if in_line[part]]
    breaks = [
        place
        for place, (one, other) in enumerate(itertools.pairwise(order), start=1)
        if not 0 < start[other] - end[one] <= scale.settings.max_faded * scale.unit
    ]
    own = order.index(line)
    first = max((place for place in breaks if place <= own), default=0)
    return order[first : min((place for place in breaks if place > own), default=len(order))]


def _ends_of_table(small: NDArray[np.uint8], line: _Span, crossings: list[float], scale: Scale) -> Iterator[_Span]:
    """Where a line that has faded short of the lines across it meets them, cell by cell: dots before and after it."""
    settings, unit = scale.settings, scale.unit
    before, after = [c for c in crossings[::-1] if c < line.start], [c for c in crossings if c > line.end]
    for end, cells in ((line.start, before), (line.end, after)):
        for crossing in cells:
            if not abs(crossing - end) <= settings.max_faded * unit:
                break
            if abs(crossing - end) > unit / 2:
                if _ink_along(small, line, (end, crossing), scale) < settings.min_faded:
                    break
                yield _Span(crossing, line.across(crossing), crossing, line.across(crossing))
            end = crossing  # noqa: PLW2901


def _ink_along(
    small: NDArray[np.uint8], line: _Span, ends: tuple[float, float], scale: Scale, *, alone: bool = True
) -> float:
    """The share of a line's way between two places on which there is ink, if `alone` with paper on both sides."""
    along = np.arange(min(ends), max(ends), scale.factor)
    columns = np.clip(along / scale.factor, 0, small.shape[1] - 1).astype(np.intp)
    rows = np.rint(line.across(along) / scale.factor).astype(np.intp)
    near = [small[np.clip(rows + off, 0, len(small) - 1), columns] > 0 for off in range(-_FREE_PX, _FREE_PX + 1)]
    inked = np.any(near[_FREE_PX - 1 : _FREE_PX + 2], axis=0)
    return float(np.mean(inked & ~near[0] & ~near[-1] if alone else inked))


def _filled(lines: Lines, ruling: NDArray[np.intp], gaps: list[tuple[int, _Span]]) -> Lines:
    """The pieces of lines by the ruling that each line belongs to, and more pieces for the gaps in rulings."""
    if not gaps:
        return lines
    of, (start, before, end, after) = np.array([line for line, _ in gaps]), np.array([gap for _, gap in gaps]).T
    slope = (after - before) / (end - start)
    thickness = lines.thicknesses()[of]
    added = Lines(of, start + 1, end - 1, before - slope * start, slope, thickness)
    pieces = replace(lines, line=np.repeat(ruling, lines.last() - lines.first() + 1))
    filled = _together(pieces, added)
    filled = filled.where(np.lexsort((filled.start, filled.line)))
    return replace(filled, line=np.unique(filled.line, return_inverse=True)[1])


def _rulings_among(rows: Lines, columns: Lines, shape: tuple[int, ...], scale: Scale) -> tuple[Lines, Lines]:
    """The long lines, and the short ones that others hold at their ends; what nothing holds goes until all is held."""
    if len(rows) * len(columns) > _MOST_PAIRS:
        return rows.where(_long(rows, scale)), columns.where(_long(columns, scale))
    columns = columns.where(_upright_rulings(columns, rows, scale))
    firm_rows, firm_columns = np.ones(len(rows), np.bool_), np.ones(len(columns), np.bool_)
    while True:
        keep_rows, next_rows = _held(rows, columns, firm_columns, shape[1], scale)
        keep_columns, next_columns = _held(columns, rows, firm_rows, shape[0], scale)
        settled = np.array_equal(firm_rows, next_rows) and np.array_equal(firm_columns, next_columns)
        if settled and keep_rows.all() and keep_columns.all():
            feet, stems = _across_a_cell(rows, columns, scale), _from_line_to_line(columns, rows, scale)
            return rows.where(~feet), columns.where(~stems)
        rows, firm_rows = rows.where(keep_rows), next_rows[keep_rows]
        columns, firm_columns = columns.where(keep_columns), next_columns[keep_columns]


def _long(lines: Lines, scale: Scale) -> NDArray[np.bool_]:
    """Which pieces are of lines long enough to need no other."""
    start, before, end, after = lines.ends()
    straight = np.abs(after - before) <= scale.settings.max_slope * (end - start)
    long = straight & (end - start + 1 >= scale.settings.min_length * scale.unit)
    return lines.of_pieces(long)


def _upright_rulings(columns: Lines, rows: Lines, scale: Scale) -> NDArray[np.bool_]:
    """Which pieces are of uprights slender enough for any rows to hold them, or between rows long enough for theirs."""
    settings = scale.settings
    lengths, thinnest = columns.lengths(), columns.thicknesses() - scale.factor + 1  # it may but touch the outermost px
    slender = columns.of_pieces(lengths >= settings.slender * thinnest)  # thickened as it is: no bold 1 is
    line_like = columns.of_pieces(lengths >= settings.slenderness * (thinnest - scale.thickened_px))
    in_cell, in_comb = (_between(columns, rows, least, scale) for least in (settings.min_cell, settings.min_comb))
    return np.asarray(slender | line_like & in_cell | in_comb)


def _between(lines: Lines, others: Lines, least: float, scale: Scale) -> NDArray[np.bool_]:
    """Which pieces are of lines with a line of at least so many digit heights at either end: serifs are shorter."""
    others = others.where(others.of_pieces(others.lengths() >= least * scale.unit))
    return held_at_both_ends(lines, others, scale)


def _from_line_to_line(columns: Lines, rows: Lines, scale: Scale) -> NDArray[np.bool_]:
    """Which pieces are of uprights from one line to the next where rows are no higher than digits: 1s, stems of 7s.

    A table's uprights run on, and its lines end at those; the lines of a comb end at uprights as short as it is high.
    """
    highest = scale.settings.max_digit_row * scale.unit
    is_short = columns.lengths() <= highest
    rows = rows.where(~rows.of_pieces(_end_at(rows, columns.where(~_long(columns, scale)), scale)))
    start, before, end, after = columns.ends()
    above, below = _above_and_below((before + after) / 2, (start + end) / 2, rows)
    lid, floor = above.min(axis=1, initial=_FAR), below.min(axis=1, initial=_FAR)
    height = lid + floor
    evenly = scale.settings.row_evenness * height
    again = (np.abs(above - (lid + height)[:, np.newaxis]) <= evenly[:, np.newaxis]).any(axis=1)
    again |= (np.abs(below - (floor + height)[:, np.newaxis]) <= evenly[:, np.newaxis]).any(axis=1)
    return columns.of_pieces(is_short & again & (height <= highest))


def _across_a_cell(rows: Lines, columns: Lines, scale: Scale) -> NDArray[np.bool_]:
    """Which pieces are of short lines from one side of a cell to the other, where the cell is too low for two rows.

    The foot of a 2 or a 3 that reaches the sides; they run on past it both ways, as no box ends.
    """
    at_start, at_end = _meeting(rows, columns, np.ones(len(columns), np.bool_), scale)
    within = at_start.meets & at_end.meets & ~at_start.in_corner & ~at_end.in_corner
    within &= ~_long(rows, scale)[rows.first()]
    if np.count_nonzero(within) * max(len(rows), len(columns)) > _MOST_PAIRS:
        return np.zeros(len(rows), np.bool_)
    start, before, end, after = ends = rows.ends()[:, within]
    above, below = _above_and_below((start + end) / 2, (before + after) / 2, rows)
    high = above.min(axis=1, initial=_FAR) + below.min(axis=1, initial=_FAR)
    past = scale.settings.overshoot * scale.unit
    in_one = [
        not any(span.start + past < crossing < span.end - past for crossing in _crossings(span, columns, 0))
        for span in (_Span(*one) for one in ends.T.tolist())
    ]
    within[within] = (high <= 2 * scale.unit) & np.array(in_one, np.bool_)
    return rows.of_pieces(within)


def _above_and_below(
    x: NDArray[np.float64], y: NDArray[np.float64], rows: Lines
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How far each of the rows' pieces is from points (N,), (N, pieces): those above them, and those below."""
    x, y = x[:, np.newaxis], y[:, np.newaxis]
    off = rows.offset + rows.slope * x - y
    off[(x < rows.start) | (x > rows.end)] = np.nan
    return np.where(off < -_ITSELF_PX, -off, _FAR), np.where(off > _ITSELF_PX, off, _FAR)


def _end_at(rows: Lines, columns: Lines, scale: Scale) -> NDArray[np.bool_]:
    """Which lines (lines,) begin and end where an upright does."""
    near = scale.settings.overshoot * scale.unit
    start, before, end, after = columns.ends()
    middle = (before + after) / 2
    at_both = np.ones(len(rows.first()), np.bool_)
    for along, across in (rows.ends()[:2, :, np.newaxis], rows.ends()[2:, :, np.newaxis]):
        level = np.minimum(np.abs(start - across), np.abs(end - across)) <= near
        at_both &= (level & (np.abs(middle - along) <= near)).any(axis=1)
    return at_both


def _held(
    lines: Lines, others: Lines, firm: NDArray[np.bool_], length: int, scale: Scale
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which pieces to keep, and which of them are of firm lines.

    A firm line is long, or meets another at both ends, of which one may be the page's own end at 0 or `length`. One end
    in the corner of a firm line is enough to stay: a box whose lid has faded is still a box. An L alone is a 7.
    """
    start, before, end, after = lines.ends()
    straight = np.abs(after - before) <= scale.settings.max_slope * (end - start)
    gap = float(scale.factor)
    at_start, at_end = _meeting(lines, others, firm, scale)
    held = at_start.meets & (at_end.meets | (end >= length - 1 - gap)) | (start <= gap) & at_end.meets
    firm_ones = _long(lines, scale) | lines.of_pieces(straight & held)
    return firm_ones | lines.of_pieces(straight & (at_start.in_corner | at_end.in_corner)), firm_ones


def held_at_both_ends(lines: Lines, others: Lines, scale: Scale) -> NDArray[np.bool_]:
    """Which pieces are of lines that begin and end at one of the others."""
    at_start, at_end = _meeting(lines, others, np.ones(len(others), np.bool_), scale)
    return lines.of_pieces(at_start.meets & at_end.meets)


def _meeting(lines: Lines, others: Lines, firm: NDArray[np.bool_], scale: Scale) -> tuple["_Meets", "_Meets"]:
    """What the start of every line meets among the others, and what its end; pieces of `firm` lines have corners."""
    start, before, end, after = lines.ends()
    past, gap = scale.settings.overshoot * scale.unit, float(scale.factor)
    return (
        _meets(start, before, others, firm, _Reach(gap, past)),
        _meets(end, after, others, firm, _Reach(past, gap)),
    )


class _Reach(NamedTuple):
    """How far before and after its end, along, a line may meet another; page pixels."""

    before: float
    after: float


class _Meets(NamedTuple):
    """Ends of lines, (lines,) each."""

    meets: NDArray[np.bool_]
    """Which meet another line,"""
    in_corner: NDArray[np.bool_]
    """and which the end of a firm one."""


def _meets(
    along: NDArray[np.float64], across: NDArray[np.float64], others: Lines, firm: NDArray[np.bool_], reach: _Reach
) -> _Meets:
    """What ends of lines at those places meet."""
    here, place = across[:, np.newaxis], along[:, np.newaxis]
    half = others.thickness / 2
    gap, past = sorted(reach)
    crossing = others.offset + others.slope * here
    near = (crossing >= place - reach.before - half) & (crossing <= place + reach.after + half)
    near &= (here >= others.start - gap - half) & (here <= others.end + gap + half)
    first, last = others.first(), others.last()
    corner = (near & firm & (here <= others.start + past))[:, first].any(axis=1)
    corner |= (near & firm & (here >= others.end - past))[:, last].any(axis=1)
    return _Meets(np.asarray(near.any(axis=1)), np.asarray(corner))
