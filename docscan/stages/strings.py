"""A string of digits on a page -> a strip; the strips' posteriors -> what is written. Training and reading share it.

Digits that touch, overlap or are broken cannot be cut apart before they are known. So the string is read as a whole:
its gray is brought to one height, a network says for every few columns which digit stands there, and the likeliest text
over all ways to place its digits is read off (Graves et al., Connectionist temporal classification, ICML 2006,
doi:10.1145/1143844.1143891).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from docscan.records import Alternative, Box, InkMask, Pieces
from docscan.settings import StringSettings
from docscan.stages.components import label
from docscan.stages.grouping import boxes_around, group, neighbours

STRIP_CONTRACT = "strip: 32 px high, darkness against local paper and unruled ink, digits 22 px, 8 px beside"
STRIP_PX = 32
PLANES = 2
STEP_PX = 4  # columns of a strip to a step of its posteriors
BLANK = 10  # the column of the posteriors that means: no digit begins or stands here
DIGIT_PX = 22.0
BESIDE_PX = 8  # of paper before the first and after the last ink
MOST_PX = 30.0  # ... a sloping string is made so low that all of it fits
LONGEST_PX = 768  # of a strip: some forty digits; a longer one is squeezed
_BEAM = 12  # prefixes followed at once: the best text's chance no longer changes from 8 on
_RIVALS = 5  # texts whose chance is worked out, the best among them
_WIDER = 1.2  # the second view: held-back cheques 0.898 -> 0.917 right, composed strings 0.775 -> 0.783
CLEAR = 0.995  # a text that is likelier in the first view is looked at once: the second had it below 0.99 once in 100
_CLEARLY = 0.9  # a text that is likelier in one view is the best in the other as well, but for 1 in 100
_UNLIKELY = 1e-3  # a digit less likely at a step begins no text there
_STRONG = 0.45  # of the string's darkness: writing; security print and grain are fainter
_LONE_PX = 1 << 21  # no picture of one line has more pixels, nor is it upright; a page takes long to look through
_SPECK = 0.25  # of the string's height: a piece smaller both ways says nothing of how high it is
_LONG = 2  # heights: what is longer counts as no longer
_BORDER_ZONE = 0.15  # of a page's shorter side: a picture of one cell has the cell's lines there
_REACH_PX = 0.7 * DIGIT_PX  # from a digit's middle to either side
_CONTEXT = 0.3  # of the box's height, looked at above and below it
_BEYOND = 0.9  # ... and beside it
_COMMA_WIDTH = 0.5  # of the digits' height: a comma is no wider ...
_COVERED = 0.5  # and of its columns no more have ink above them
_TALL = (0.6, 1.35)  # of the digits' height: a 1
_STROKE = 0.65  # of the string's darkness: its own strokes are no fainter, the lines of a form are


@dataclass(frozen=True, slots=True, eq=False)
class Strip:
    """One string, ready for the network."""

    pixels: NDArray[np.uint8]
    """(32, width, 2): how dark it is against its paper, 255 = as dark as its ink; and where docscan saw ink, 255."""
    left: float
    """Where on the page the first column lies."""
    scale: float
    """Strip pixels to a pixel of the page."""


@dataclass(frozen=True, slots=True, eq=False)
class Rivals:
    """A strip and what may be written on it."""

    strip: Strip
    steps: NDArray[np.float64]
    """(T, 11): the posteriors of its first view."""
    texts: tuple[str, ...]
    """Likeliest first, at least one."""
    chances: NDArray[np.float64]
    """(K,): of each text that it is all there is; together at most 1."""
    unaided: NDArray[np.float64]
    """(K,): the same by the reader of strings alone."""
    seen: NDArray[np.float64]
    """(K,): 0..1, how likely the digits of each text are together, looked at one by one; 1 where nobody did."""
    placed: dict[str, list[float]] = field(default_factory=dict)
    """What `middles` has worked out: the same whoever asks, and asked twice of the text that is read."""

    def middles(self, text: str) -> list[float]:
        """The column of the strip where each digit of one of the texts stands, by the likeliest way to place it."""
        if text not in self.placed:
            self.placed[text] = self._middles(text) if text else []
        return self.placed[text]

    def _middles(self, text: str) -> list[float]:
        path = _alignment(self.steps, text)
        shown = [np.flatnonzero(path == digit) for digit in range(len(text))]
        middles = [(float(own.mean()) + 0.5) * STEP_PX for own in shown if len(own)]
        if len(middles) < len(text):  # only a wider view has room for it
            middles = [(digit + 0.5) * len(self.steps) * STEP_PX / len(text) for digit in range(len(text))]
        return middles


@dataclass(frozen=True, slots=True)
class StringReading:
    """What a strip says."""

    text: str
    """Its digits; "" where it holds none."""
    probability: float
    """0..1: the chance that the whole of `text` is right ..."""
    unaided: float
    """... by the reader of strings alone, its digits not being looked at one by one."""
    alternatives: tuple[Alternative, ...]
    """Other texts for the whole strip, likeliest first."""
    columns: tuple[tuple[float, float], ...]
    """Left and right of each digit on the page: halfway to its neighbours, or as far as a digit or the ink goes."""
    seen: float = 1.0
    """0..1: how likely its digits are together, looked at one by one; 1 where nobody did."""


def find_strings(pieces: Pieces, digit_height_px: float, settings: StringSettings) -> NDArray[np.int32]:
    """Rows of pieces of unruled ink that stand as near each other as digits do: boxes (N, 4), from left to right.

    `digit_height_px` is the page's; where it is under half of what the ink itself says, that counts. Lines at the edge
    of the page, frames and specks belong to no string.
    """
    inner = ~_is_border(pieces)
    boxes, areas = pieces.boxes[inner], pieces.areas[inner]
    usual = _usual_height(boxes, areas)
    unit = digit_height_px if 2 * digit_height_px > usual else usual
    written = _could_be_written(boxes, unit, settings)
    boxes = boxes[written]
    members = group(len(boxes), _links(boxes, unit, settings))
    strings = boxes_around(boxes, members)
    strings = strings[strings[:, 3] - strings[:, 1] >= settings.min_height * unit]
    return strings[np.argsort(strings[:, 0], kind="stable")]


def find_lone_strings(pieces: Pieces, digit_height_px: float, settings: StringSettings) -> NDArray[np.int32]:
    """The strings, boxes (N, 4), of a picture that has room for one line only; none on a page.

    There what else may be seen is missing: how high digits are, whether an upright at the edge is a 1 or a cell's side.
    """
    height, width = pieces.labels.shape
    if height * width > _LONE_PX or height > width:
        return np.zeros((0, 4), np.int32)
    strings = find_strings(pieces, digit_height_px, settings)
    widths, heights = (strings[:, 2:] - strings[:, :2]).T
    if not len(strings) or height > settings.max_lone * heights.max():
        return strings[:0]
    from_edge = np.minimum(strings[:, 0], width - strings[:, 2])
    by_edge = (from_edge <= settings.lone_zone * heights.max()) & (widths <= settings.lone_side * heights)
    main = int(widths.argmax())
    left, top, right, bottom = strings[main]
    middles = (strings[:, 0] + strings[:, 2]) / 2
    hangs = (middles > left) & (middles < right) & (2 * strings[:, 1] >= top + bottom)  # a comma as long as a 1
    out = by_edge | hangs
    out[main] = False  # a 1 on its own
    return np.asarray(strings[~out], dtype=np.int32)


def _could_be_written(boxes: NDArray[np.int32], unit: float, settings: StringSettings) -> NDArray[np.bool_]:
    widths, heights = (boxes[:, 2:] - boxes[:, :2]).T
    large_enough = np.maximum(widths, heights) >= settings.min_piece * unit
    no_dash = (heights >= settings.min_piece * unit) | (widths <= 1.5 * unit)
    return np.asarray(large_enough & no_dash & (heights <= settings.max_height * unit))


def _is_border(pieces: Pieces) -> NDArray[np.bool_]:
    """What is left of the lines of a cell whose picture ends there: (N,). A 1 is not as long as the page is high."""
    height, width = pieces.labels.shape
    zone = max(2, round(_BORDER_ZONE * min(height, width)))
    within = pieces.labels[zone : height - zone, zone : width - zone]
    inside = np.bincount(within.ravel(), minlength=len(pieces) + 1)[1:]
    widths, heights = (pieces.boxes[:, 2:] - pieces.boxes[:, :2]).T
    long = (heights > 0.85 * height) | (widths > 0.4 * width)
    return np.asarray(long & (inside < 0.25 * pieces.areas))


def _usual_height(boxes: NDArray[np.int32], areas: NDArray[np.int32]) -> float:
    """The height that half of the ink's pieces, weighed by their ink, do not exceed; 0 where there is no ink."""
    if not len(boxes):
        return 0.0
    heights = boxes[:, 3] - boxes[:, 1]
    order = np.argsort(heights, kind="stable")
    weights = np.cumsum(areas[order])
    return float(heights[order][np.searchsorted(weights, weights[-1] / 2)])


def _links(boxes: NDArray[np.int32], unit: float, settings: StringSettings) -> list[tuple[int, int]]:
    links = []
    for piece, others in neighbours(boxes, np.full(len(boxes), settings.max_gap * unit)):
        top, bottom = boxes[piece, 1], boxes[piece, 3]
        shared = np.minimum(bottom, boxes[others, 3]) - np.maximum(top, boxes[others, 1])
        lower = np.minimum(bottom - top, boxes[others, 3] - boxes[others, 1])
        links += [(piece, int(other)) for other in others[shared >= settings.min_overlap * lower]]
    return links


def cut_strips(gray: NDArray[np.uint8], ink: InkMask, boxes: NDArray[np.int32]) -> tuple[Strip, ...]:
    """`cut_strip` for each of the boxes (N, 4)."""
    return tuple(cut_strip(gray, ink, box) for box in boxes)


def cut_strip(gray: NDArray[np.uint8], ink: InkMask, box: Sequence[int] | NDArray[np.int32]) -> Strip:
    """A string's gray and ink, at the network's height: `box` left, top, right, bottom around its digits on the page.

    `gray` (H, W) is the page, of either polarity, `ink` its ink without rulings. Around the box a third of its height
    is looked at, so it may be tight; a 1 that was taken for a ruling may stand outside it. A box without ink gives an
    empty strip.
    """
    left, top, right, bottom = (int(edge) for edge in box)
    context = max(2, round(_CONTEXT * (bottom - top)))
    beyond = max(2, round(_BEYOND * (bottom - top)))
    page_height, page_width = gray.shape
    around = Box(
        max(0, left - beyond),
        max(0, top - context),
        min(page_width, right + beyond),
        min(page_height, bottom + context),
    )
    inside = slice(top - around.top, bottom - around.top), slice(left - around.left, right - around.left)
    seen = ink.ink[around.top : around.bottom, around.left : around.right]
    mask = np.zeros_like(seen)
    mask[inside] = seen[inside]
    darkness = _darkness(gray[around.top : around.bottom, around.left : around.right], mask)
    is_strong = darkness >= _STRONG
    strong = _strokes(mask * is_strong)
    empty = Strip(np.zeros((STRIP_PX, 2 * BESIDE_PX, 2), np.uint8), float(left), 1.0)
    if not strong.ink.any():
        return empty
    middle, scale = _fitted(_without_lines(strong.ink))
    commas = _hanging(strong, (middle, DIGIT_PX / scale))
    if commas is not None:
        darkness, mask = np.where(commas, np.float32(0), darkness), np.where(commas, np.uint8(0), mask)
        is_strong &= ~commas
    dark = np.zeros_like(mask)
    dark[inside] = is_strong[inside]
    _, stats = label(dark)
    strokes = np.concatenate([stats[_is_stroke(stats)], _taken_out(darkness, seen, (middle, DIGIT_PX / scale))])
    if not len(strokes):  # commas alone
        return empty
    lefts, widths = strokes[:, cv2.CC_STAT_LEFT], strokes[:, cv2.CC_STAT_WIDTH]
    first, last = int(lefts.min()), int((lefts + widths).max())
    squeeze = min(1.0, (LONGEST_PX - 3 * BESIDE_PX) / ((last - first) * scale))
    beside = round(BESIDE_PX / (scale * squeeze))
    first, last = max(0, first - beside), min(mask.shape[1], last + beside)
    width = min(LONGEST_PX, max(1, round((last - first) * scale * squeeze)))
    pixels = np.zeros((STRIP_PX, width, 2), np.uint8)
    for channel, plane in enumerate((np.clip(darkness * 255, 0, 255).astype(np.uint8), mask)):
        pixels[:, :, channel] = _scaled(plane[:, first:last], pixels.shape[1], middle, scale)
    return Strip(pixels, float(around.left + first), scale * squeeze)


class _Strokes(NamedTuple):
    """The pieces of a string's ink that are large enough to say how high it is."""

    ink: NDArray[np.uint8]
    """(h, w): theirs alone, not 0."""
    labels: NDArray[np.uint16] | NDArray[np.int32]
    """(h, w): of all pieces, specks among them."""
    stats: NDArray[np.int32]
    """(N + 1, 5): OpenCV's."""
    keep: NDArray[np.bool_]
    """(N + 1,): which are no specks, and not the paper."""


def _strokes(ink: NDArray[np.uint8]) -> _Strokes:
    """A string's (h, w) ink, not 0, without specks."""
    labels, stats = label(ink)
    keep = _is_stroke(stats)
    return _Strokes(ink if keep[1:].all() else np.where(keep[labels], ink, np.uint8(0)), labels, stats, keep)


def _is_stroke(stats: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Which of the pieces (N, 5) in OpenCV's statistics, the paper's row of noughts among them, are no specks."""
    widths, heights = stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT]
    # Digits that touch make a long piece, of which a digit that stands alone is no speck.
    sides = np.maximum(heights, np.minimum(widths, _LONG * heights.max()))
    return np.asarray((sides >= _SPECK * sides.max()) & (sides > 0))


def _hanging(strong: _Strokes, level: tuple[float, float]) -> NDArray[np.bool_] | None:
    """Commas as large as a 1, and the pixels about them: slender, under the line, between digits and not under one.

    (h, w), None where there are none. `level` is the row of the digits' middle and their height, in pixels.
    """
    middle, height = level
    lefts, tops, widths, heights = strong.stats[:, : cv2.CC_STAT_HEIGHT + 1].T
    baseline = middle + height / 2
    low = (tops >= middle) & (tops + heights >= baseline)
    low &= (widths <= _COMMA_WIDTH * height) & (heights >= widths) & strong.keep
    if not low.any():
        return None
    commas = np.zeros(strong.ink.shape, np.uint8)
    for piece in np.flatnonzero(low):
        columns = slice(lefts[piece], lefts[piece] + widths[piece])
        above = (strong.ink[: tops[piece], columns] > 0).any(axis=0)
        beside = strong.ink[:, : lefts[piece]].any() and strong.ink[:, lefts[piece] + widths[piece] :].any()
        if beside and above.mean() <= _COVERED:
            commas[strong.labels == piece] = 1
    if not commas.any():
        return None
    reach = max(1, round(0.06 * height))
    return np.asarray(cv2.dilate(commas, np.ones((2 * reach + 1,) * 2, np.uint8)) > 0)


def _taken_out(darkness: NDArray[np.float32], seen: NDArray[np.uint8], level: tuple[float, float]) -> NDArray[np.int32]:
    """What is as dark and as high as the string's digits, and no ink: 1s that were taken for rulings, (N, 5).

    `level` is the row of the digits' middle and their height; the side of a cell is higher than they are.
    """
    middle, height = level
    taken_out = (darkness >= _STROKE) & (seen == 0)
    if np.count_nonzero(taken_out.any(axis=1)) < _TALL[0] * height:
        return np.zeros((0, 5), np.int32)
    _, stats = label(taken_out.view(np.uint8))
    tall = (stats[:, cv2.CC_STAT_HEIGHT] >= _TALL[0] * height) & (stats[:, cv2.CC_STAT_HEIGHT] <= _TALL[1] * height)
    slender = stats[:, cv2.CC_STAT_WIDTH] <= 0.6 * height
    off = np.abs(stats[:, cv2.CC_STAT_TOP] + stats[:, cv2.CC_STAT_HEIGHT] / 2 - middle)
    return np.asarray(stats[tall & slender & (off <= 0.35 * height)])  # the paper, of no height, is not tall


def _darkness(gray: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.float32]:
    """How much darker than the paper around it each pixel is, 1 = as dark as the string's ink: (h, w)."""
    inked = np.count_nonzero(mask)
    if inked in (0, mask.size):
        return np.zeros(gray.shape, np.float32)
    is_ink = mask != 0
    in_ink = cv2.sumElems(gray * is_ink)[0]
    of_ink, of_paper = in_ink / inked, (cv2.sumElems(gray)[0] - in_ink) / (mask.size - inked)
    if of_ink > of_paper:  # light ink on dark paper
        gray, of_paper = np.asarray(cv2.bitwise_not(gray), dtype=np.uint8), 255 - of_paper
    is_paper = ~is_ink
    near, paper = (_means(plane, gray.shape[0]) for plane in (is_paper.view(np.uint8), gray * is_paper))
    paper /= np.maximum(near, 0.02)
    np.copyto(paper, of_paper, where=near <= 0.02)
    darker = paper - gray
    return np.asarray(darker / max(_of_rank(darker[is_ink], 0.8), 1.0), dtype=np.float32)


def _means(plane: NDArray[np.uint8], reach: int) -> NDArray[np.float32]:
    """The mean of a plane (h, w) within half of `reach` of every pixel: whole numbers are added up in half the time."""
    window = (2 * (reach // 2) + 1,) * 2
    return np.asarray(cv2.boxFilter(plane, cv2.CV_32F, window, borderType=cv2.BORDER_REPLICATE), dtype=np.float32)


def _of_rank(values: NDArray[Any], share: float) -> float:
    """The value below which a share of them (N,) lies, or between two: what np.percentile takes 50 us to begin."""
    rank = share * (len(values) - 1)
    below = int(rank)
    above = min(below + 1, len(values) - 1)
    ordered = np.partition(values, (below, above))
    lower, upper = float(ordered[below]), float(ordered[above])
    return lower + (rank - below) * (upper - lower)


def _in_rows(is_ink: NDArray[np.bool_]) -> NDArray[np.int32]:
    """How many pixels of each row of (h, w) are True: (h,). NumPy takes ten times as long to count them."""
    counts = cv2.reduce(is_ink.view(np.uint8), 1, cv2.REDUCE_SUM, dtype=cv2.CV_32S)
    return np.asarray(counts[:, 0], dtype=np.int32)


def _without_lines(strong: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A string's ink (h, w) without level runs longer than it is high, unless nothing else is there."""
    in_row = _in_rows(strong > 0)
    rows = np.flatnonzero(in_row)
    length = int(rows[-1] - rows[0]) + 1
    may_be = in_row >= length
    if length >= strong.shape[1] or not may_be.any():
        return strong
    lines = cv2.morphologyEx(strong[may_be], cv2.MORPH_OPEN, np.ones((1, length), np.uint8))
    rest = strong.copy()
    rest[may_be] -= lines
    return rest if 4 * np.count_nonzero(rest) > in_row.sum() else strong


def _fitted(strong: NDArray[np.uint8]) -> tuple[float, float]:
    """The row that comes to the strip's middle, and strip pixels to a pixel, for a string's ink (h, w), not empty."""
    is_ink = strong > 0
    weight = np.cumsum(_in_rows(is_ink))
    has_ink = is_ink.any(axis=0)
    rows, columns = np.flatnonzero(np.diff(weight, prepend=0)), np.flatnonzero(has_ink)
    window = max(1, round(0.6 * (int(rows[-1]) + 1 - int(rows[0]))))
    tops = np.where(has_ink, is_ink.argmax(axis=0), len(is_ink))
    bottoms = np.where(has_ink, len(is_ink) - is_ink[::-1].argmax(axis=0), 0)
    first, last = int(columns[0]), int(columns[-1]) + 1
    windows = [
        slice(start, start + window)
        for start in range(first, max(first + 1, min(last, last + 1 - window // 2)), max(1, window // 2))
    ]
    heights = np.array([bottoms[columns].max() - tops[columns].min() for columns in windows])
    usual = _of_rank(heights[heights > 0], 0.6)  # above the median: gaps and points between digits are low
    low, high = (int(np.searchsorted(weight, share * weight[-1])) for share in (0.02, 0.98))
    usual = max(usual, 0.5 * (high - low))
    return (low + high + 1) / 2, min(DIGIT_PX / usual, MOST_PX / (high + 1 - low))


def _scaled(plane: NDArray[np.uint8], width: int, middle: float, scale: float) -> NDArray[np.uint8]:
    """A plane (h, w) at the strip's size (32, width), with row `middle` in its middle."""
    reach = STRIP_PX / 2 / scale
    top, bottom = int(np.floor(middle - reach)), int(np.ceil(middle + reach))
    before, after = max(0, -top), max(0, bottom - plane.shape[0])
    rows = plane[max(0, top) : min(plane.shape[0], bottom)]
    rows = cv2.copyMakeBorder(rows, before, after, 0, 0, cv2.BORDER_CONSTANT, value=0)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(rows, (width, STRIP_PX), interpolation=how), dtype=np.uint8)


def wider_view(strip: Strip) -> NDArray[np.uint8]:
    """A strip's pixels drawn wider: noughts that touch are told apart as they are, or so."""
    width = min(LONGEST_PX, round(_WIDER * strip.pixels.shape[1]))
    wider = cv2.resize(strip.pixels, (width, STRIP_PX), interpolation=cv2.INTER_LINEAR)
    return np.asarray(wider, dtype=np.uint8)


Rescore = Callable[[Sequence[Rivals]], Sequence[Rivals]]
"""What strips may say -> the same, in the same order, weighed anew."""


def find_rivals(strip: Strip, posteriors: Sequence[NDArray[np.float32]]) -> Rivals:
    """What may be written on a strip, from the (steps, 11) posteriors of each of its views, rows that sum to 1.

    A text's chance is the sum over every way to place its digits, the mean of all views.
    """
    views = [steps.astype(np.float64) for steps in posteriors]
    texts = list(dict.fromkeys(text for steps in views for text in likely_texts(steps)))
    chances = text_chances(_as_long(views), texts).mean(axis=0)
    order = np.argsort(-chances, kind="stable")
    ordered = chances[order]
    return Rivals(strip, views[0], tuple(texts[rank] for rank in order), ordered, ordered, np.ones(len(order)))


def chosen(rivals: Rivals, temperature: float) -> StringReading:
    """The likeliest of the texts.

    Its chance to the power of 1 / `temperature`, against the others', is how often it is right: the model knows the
    temperature.
    """
    shares, unaided = (_shares(chances, temperature) for chances in (rivals.chances, rivals.unaided))
    best, *rest = [Alternative(text, float(share)) for text, share in zip(rivals.texts, shares, strict=True)]
    return StringReading(
        best.text,
        best.probability,
        float(unaided[0]),
        tuple(rest[: _RIVALS - 1]),
        _columns(rivals, best.text),
        float(rivals.seen[0]),
    )


def _shares(chances: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """The chances (K,) of a strip's texts at a temperature, what else it may say being one more text."""
    weights = np.append(chances, max(0.0, 1 - chances.sum())) ** (1 / temperature)
    return np.asarray((weights / weights.sum())[:-1])


def confirmed(steps: NDArray[np.float32], text: str, temperature: float) -> StringReading | None:
    """The reading of a strip that says `text` in one view, by posteriors (steps, 11); None where another is possible.

    Its place on the page is known and not looked for.
    """
    [chance] = text_chances(steps.astype(np.float64), [text])
    if chance < _CLEARLY:
        return None
    one, others = chance ** (1 / temperature), max(0.0, 1 - chance) ** (1 / temperature)
    probability = float(one / (one + others))
    return StringReading(text, probability, probability, (), ())


def likely_texts(steps: NDArray[np.float64]) -> list[str]:
    """The likeliest texts for posteriors (steps, 11), at least one: a prefix beam search.

    Graves and Jaitly, Towards end-to-end speech recognition with recurrent neural networks, ICML 2014, without the
    language model: every amount is as likely as another.
    """
    beam: dict[str, tuple[float, float]] = {"": (1.0, 0.0)}  # prefix -> chance that it ends in a blank, or in its digit
    possible: list[list[int]] = [[] for _ in steps]
    for place, digit in np.argwhere(steps[:, :BLANK] > _UNLIKELY).tolist():
        possible[place].append(digit)
    for row, digits in zip(steps.tolist(), possible, strict=True):
        blank = row[BLANK]
        grown = {
            prefix: ((after_blank + after_digit) * blank, after_digit * row[int(prefix[-1:] or BLANK)])
            for prefix, (after_blank, after_digit) in beam.items()
        }
        if not digits:  # nothing was added, so nothing has to go: that is most steps
            beam = grown
            continue
        for prefix, (after_blank, after_digit) in beam.items():
            for digit in digits:
                longer = f"{prefix}{digit}"
                before = after_blank if prefix[-1:] == longer[-1] else after_blank + after_digit
                in_blank, in_digit = grown.get(longer, (0.0, 0.0))
                grown[longer] = in_blank, in_digit + before * row[digit]
        beam = _likeliest(grown)
    return list(_likeliest(beam))[:_RIVALS]


def _likeliest(beam: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """The likeliest prefixes, in that order."""
    return dict(sorted(beam.items(), key=lambda item: (-sum(item[1]), item[0]))[:_BEAM])


def text_chances(steps: NDArray[np.float64], texts: Sequence[str]) -> NDArray[np.float64]:
    """The chance of exactly each of K texts, summed over all ways to place it on the steps (..., T, 11): (..., K)."""
    lengths = np.array([len(text) for text in texts])
    states = np.full((len(texts), 2 * int(lengths.max(initial=0)) + 1), BLANK, np.intp)
    for own, text in zip(states, texts, strict=True):
        own[: 2 * len(text) + 1] = _states(text)
    # What moves on beyond a shorter text's last state never comes back, so texts of all lengths go together.
    may_skip = _may_skip(states).astype(np.float64)
    shown = np.moveaxis(steps, -2, 0)[..., states]
    chances = np.zeros(shown.shape[1:])
    chances[..., 0] = 1.0  # before the first step: the blank that may come first, and nothing to skip
    for row in shown:
        moved = chances.copy()
        moved[..., 1:] += chances[..., :-1]
        moved[..., 2:] += may_skip * chances[..., :-2]
        chances = np.multiply(moved, row, out=moved)
    each = np.arange(len(texts))
    in_digit = np.where(lengths > 0, chances[..., each, 2 * lengths - 1], 0)
    return np.asarray(chances[..., each, 2 * lengths] + in_digit, dtype=np.float64)


def _as_long(views: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Posteriors (steps, 11) of each view as one array (views, most steps, 11): blanks at the end change no chance."""
    together = np.zeros((len(views), max(len(steps) for steps in views), BLANK + 1))
    together[:, :, BLANK] = 1.0
    for own, steps in zip(together, views, strict=True):
        own[: len(steps)] = steps
    return together


def _states(text: str) -> NDArray[np.intp]:
    """A text's labels with blanks around each."""
    states = np.full(2 * len(text) + 1, BLANK, np.intp)
    states[1::2] = [int(digit) for digit in text]
    return states


def _may_skip(states: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Before which of the states (..., S), from the third on, the blank may be left out."""
    return np.asarray((states[..., 2:] != BLANK) & (states[..., 2:] != states[..., :-2]))


def _columns(rivals: Rivals, text: str) -> tuple[tuple[float, float], ...]:
    """Where each digit of one of the texts stands on the page."""
    if not text:
        return ()
    strip, middles = rivals.strip, rivals.middles(text)
    darkness, ink = strip.pixels[:, :, 0], strip.pixels[:, :, 1]  # paper is a little dark as well
    inked = np.flatnonzero(((ink > 0) | (darkness >= 255 * _STRONG)).any(axis=0))
    if not len(inked):  # read on bare paper: a model may
        inked = np.arange(strip.pixels.shape[1])
    edges = [min(float(inked[0]), middles[0]), max(float(inked[-1]) + 1, middles[-1])]
    edges[1:1] = [(one + other) / 2 for one, other in pairwise(middles)]
    # A ruling's remains may run on from one number to the next: no digit is that wide.
    spans = [
        (max(left, middle - _REACH_PX), min(right, middle + _REACH_PX))
        for (left, right), middle in zip(pairwise(edges), middles, strict=True)
    ]
    return tuple((strip.left + left / strip.scale, strip.left + right / strip.scale) for left, right in spans)


def _alignment(steps: NDArray[np.float64], text: str) -> NDArray[np.intp]:
    """Which digit of the text (steps,) each step shows on the likeliest path, -1 where none."""
    states = _states(text)
    may_skip = _may_skip(states)
    logs = np.log(np.maximum(steps[:, states], 1e-30))
    best = np.full(len(states), -math.inf)
    best[:2] = logs[0, :2]
    came = np.zeros((len(steps), len(states)), np.intp)
    for place in range(1, len(steps)):
        options = np.full((3, len(states)), -math.inf)
        options[0] = best
        options[1, 1:] = best[:-1]
        options[2, 2:] = np.where(may_skip, best[:-2], -math.inf)
        came[place] = options.argmax(axis=0)
        best = options.max(axis=0) + logs[place]
    state = len(states) - 1 if best[-1] >= best[-2] else len(states) - 2
    path = np.full(len(steps), -1, np.intp)
    for place in range(len(steps) - 1, -1, -1):
        if state % 2:
            path[place] = state // 2
        state -= int(came[place, state])
    return path
