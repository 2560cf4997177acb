"""The frozen records that flow from a scan to a spreadsheet; nothing here decides anything about digits."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

NOT_A_DIGIT = 10  # the column of the model's output that means "not a digit"


class Box(NamedTuple):
    """A pixel rectangle, half-open: left <= x < right, top <= y < bottom."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self.bottom - self.top


@dataclass(frozen=True, slots=True)
class PageSource:
    """One page of one file, not yet opened; small enough to send to another process."""

    path: str
    """Absolute path of the file, or its URL in object storage."""
    name: str
    """Path of the scan below its input folder, `/` between parts: the `source` column."""
    page: int = 1
    """1-based page number."""
    paged: bool = False
    """True for formats that hold several pages (PDF, TIFF): their outputs carry the page number."""
    size: int = 0
    """Bytes, as the folder listing gave it; with `mtime_ns` it tells whether the file changed."""
    mtime_ns: int = 0
    """Last change of the file, nanoseconds since 1970; of one in object storage, a number from its ETag."""


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """A decoded page."""

    gray: NDArray[np.uint8]
    """(H, W) uint8, 0 = black, 255 = white, EXIF orientation applied."""
    dpi: float | None = None
    """Resolution the file states, in pixels per inch; None where it states none."""

    def __post_init__(self) -> None:
        _check(self.gray, "gray", ndim=2, dtype=np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class InkMask:
    """Which pixels of a page are ink."""

    ink: NDArray[np.uint8]
    """(H, W) uint8: 255 = ink, 0 = paper."""
    dpi: float | None = None
    """Resolution in pixels per inch, where known."""
    pale: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 0), np.uint8))
    """(H, W) uint8: the ink and what is paler than it, printed lines among it; (0, 0) where that was not looked at."""

    def __post_init__(self) -> None:
        _check(self.ink, "ink", ndim=2, dtype=np.uint8)
        _check(self.pale, "pale", ndim=2, dtype=np.uint8)

    @property
    def with_pale(self) -> NDArray[np.uint8]:
        """(H, W) uint8: what may be a printed line, as far as it was looked at."""
        return self.pale if self.pale.size else self.ink


@dataclass(frozen=True, slots=True, eq=False)
class Straight:
    """A page with its lines level."""

    page: Page
    ink: InkMask
    """Of that page; none beyond the edges of the scan."""
    to_scan: NDArray[np.float64]
    """(2, 3): takes the x and y of a pixel's middle on this page to the scan's."""

    def __post_init__(self) -> None:
        _check(self.to_scan, "to_scan", ndim=2, dtype=np.float64)
        if self.ink.ink.shape != self.page.gray.shape:
            raise ValueError(f"ink: expected the shape of the page, {self.page.gray.shape}, got {self.ink.ink.shape}")


@dataclass(frozen=True, slots=True, eq=False)
class Rulings:
    """Printed lines: of ruled paper, tables, boxes and combs, a table's line being one from end to end."""

    horizontal: NDArray[np.float32]
    """(N, 4): the left end's x and y, then the right end's; the middle of the line, page pixels."""
    horizontal_px: NDArray[np.float32]
    """(N,): how thick each is."""
    vertical: NDArray[np.float32]
    """(M, 4): the upper end's x and y, then the lower end's."""
    vertical_px: NDArray[np.float32]
    """(M,): how thick each is."""

    def __post_init__(self) -> None:
        for name in ("horizontal", "vertical"):
            segments, thickness = getattr(self, name), getattr(self, f"{name}_px")
            _check(segments, name, ndim=2, dtype=np.float32)
            if len(segments) != len(thickness):
                raise ValueError(f"columns differ: {len(segments)} {name} segments, {len(thickness)} thicknesses")

    def level_at(self, x: NDArray[np.floating]) -> NDArray[np.floating]:
        """The y of every horizontal line, drawn on beyond its ends, at `x` (..., 1): (..., N)."""
        left, y, right, y_beyond = self.horizontal.T
        return np.asarray(y + (y_beyond - y) * (x - left) / np.maximum(right - left, 1))


@dataclass(frozen=True, slots=True, eq=False)
class Squares:
    """The lines of squared paper, page pixels."""

    across: NDArray[np.float64]
    """(N,): y of every horizontal line in the middle of the page, from the top down."""
    across_slopes: NDArray[np.float64]
    """(N,): y over x; a camera held askew sees one line lean more than the next."""
    along: NDArray[np.float64]
    """(M,): x of every upright in the middle of the page, from the left."""
    along_slopes: NDArray[np.float64]
    """(M,): x over y."""
    size: tuple[int, int]
    """Height and width of the page."""

    def __post_init__(self) -> None:
        for name in ("across", "along"):
            places, slopes = getattr(self, name), getattr(self, f"{name}_slopes")
            if len(places) != len(slopes):
                raise ValueError(f"columns differ: {len(places)} lines {name}, {len(slopes)} slopes")


@dataclass(frozen=True, slots=True, eq=False)
class Unruled:
    """A page's ink taken apart into what was written and what was ruled."""

    ink: InkMask
    """The ink without its rulings; strokes that cross them stay whole."""
    rulings: Rulings
    """What was taken out; empty on a page without, and on squared paper, whose lines set nothing apart."""
    squares: Squares | None = None
    """Those lines."""

    @property
    def rows(self) -> NDArray[np.float32]:
        """All lines from left to right, those of squared paper as well: (N, 4), as the horizontal ones of Rulings."""
        if self.squares is None:
            return self.rulings.horizontal
        y, half = self.squares.across, self.squares.across_slopes * self.squares.size[1] / 2
        return np.stack([0 * y, y - half, 0 * y + self.squares.size[1], y + half], axis=1, dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class LowInk:
    """Pieces of ink too low for a digit: points, commas, dashes, the low letters of small print, specks."""

    boxes: NDArray[np.int32] = field(default_factory=lambda: np.zeros((0, 4), np.int32))
    """(N, 4): left, top, right, bottom; half-open, page pixels."""
    pen_px: float = 0.0
    """How wide the page's usual stroke is, about; 0 on a page without digits."""

    def __post_init__(self) -> None:
        _check(self.boxes, "boxes", ndim=2, dtype=np.int32)

    def __len__(self) -> int:
        return len(self.boxes)


@dataclass(frozen=True, slots=True, eq=False)
class Surroundings:
    """What stands about the digits of a page and is none itself."""

    rulings: Rulings
    low: LowInk = field(default_factory=LowInk)
    runs: NDArray[np.int32] = field(default_factory=lambda: np.zeros((0, 4), np.int32))
    """(R, 4): boxes of ink that nobody tried to read, as high as digits and much wider."""
    unread: NDArray[np.int32] = field(default_factory=lambda: np.zeros((0, 4), np.int32))
    """(U, 4): boxes of ink that was looked at and is no digit."""
    text: NDArray[np.int32] = field(default_factory=lambda: np.zeros((0, 4), np.int32))
    """(T, 4): boxes of the letters and words of the page's texts."""
    squares: Squares | None = None
    """Of squared paper."""


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """All of a page's ink, in connected pieces; every column has one row a piece."""

    labels: NDArray[np.uint16] | NDArray[np.int32]
    """(H, W): the number of the piece each pixel belongs to, from 1; 0 = paper."""
    boxes: NDArray[np.int32]
    """(N, 4): left, top, right, bottom; half-open, page pixels."""
    areas: NDArray[np.int32]
    """(N,): ink pixels."""

    def __post_init__(self) -> None:
        _check(self.boxes, "boxes", ndim=2, dtype=np.int32)
        if len(self.boxes) != len(self.areas):
            raise ValueError(f"columns differ: {len(self.boxes)} boxes, {len(self.areas)} areas")

    def __len__(self) -> int:
        return len(self.boxes)


@dataclass(frozen=True, slots=True, eq=False)
class Components:
    """The pieces of ink that could be digits, or parts of one; every column has one row a component."""

    pieces: Pieces
    """They are among these."""
    ids: NDArray[np.int32]
    """(N,): the value each component has in the pieces' labels."""
    boxes: NDArray[np.int32]
    """(N, 4): left, top, right, bottom; half-open, page pixels."""
    areas: NDArray[np.int32]
    """(N,): ink pixels."""
    digit_height_px: float
    """The usual height of a digit on this page, in pixels; 0 on a page without components."""
    low: LowInk = field(default_factory=LowInk)
    """The page's pieces too low to be among the components, and those among them that are low and wide."""
    runs: NDArray[np.int32] = field(default_factory=lambda: np.zeros((0, 4), np.int32))
    """(R, 4): the boxes of pieces as high as digits but much too wide: digits that hang on a line."""

    def __post_init__(self) -> None:
        _check(self.boxes, "boxes", ndim=2, dtype=np.int32)
        if not len(self.ids) == len(self.boxes) == len(self.areas):
            raise ValueError(f"columns differ: {len(self.ids)} ids, {len(self.boxes)} boxes, {len(self.areas)} areas")

    def __len__(self) -> int:
        return len(self.ids)

    def where(self, keep: NDArray[np.bool_]) -> "Components":
        """The components for which `keep` (N,) is True; every column stays aligned."""
        columns = self.ids[keep], self.boxes[keep], self.areas[keep]
        return Components(self.pieces, *columns, self.digit_height_px, self.low, self.runs)


@dataclass(frozen=True, slots=True, eq=False)
class Glyphs:
    """Candidate digits: ink cut out of the page, one row a candidate."""

    boxes: NDArray[np.int32]
    """(N, 4): left, top, right, bottom; half-open, page pixels."""
    inks: tuple[NDArray[np.uint8], ...]
    """N arrays (h, w) uint8, 255 = ink: the candidate's own ink inside its box."""

    def __post_init__(self) -> None:
        _check(self.boxes, "boxes", ndim=2, dtype=np.int32)
        if len(self.boxes) != len(self.inks):
            raise ValueError(f"columns differ: {len(self.boxes)} boxes, {len(self.inks)} inks")

    def __len__(self) -> int:
        return len(self.boxes)


class Alternative(NamedTuple):
    """One way to read a piece of ink."""

    text: str
    """A digit, or `""` for "not a digit"."""
    probability: float
    """0..1."""


class Looks(NamedTuple):
    """Who looked at the digits of a string, and how sure each of them was of the whole of it."""

    believed: Literal["alone", "confirmed", "both", "string", "against"] = "alone"
    """Who has it as it is read: each digit by itself, `alone`; so and the reader of strings, `both`, or `confirmed` if
    they were not in doubt; that reader alone, `string`; or the digits by themselves `against` what that reader says."""
    alone: float = 0.0
    """0..1: how sure the digits were together, each read by itself; 0 where nobody looked twice."""
    string: float = 0.0
    """0..1: how sure the reader of strings was of what is read, before its digits were looked at one by one."""
    seen: float = 0.0
    """0..1: how sure the digits are together if each is looked at alone where that reader has it."""


_ALONE = Looks()


@dataclass(frozen=True, slots=True)
class Digit:
    """One digit as it was read."""

    text: str
    """`"0"` to `"9"`; `""` for ink that is no digit, which no number holds."""
    confidence: float
    """0..1: the chance that `text` is right."""
    box: Box
    """Scan pixels."""
    alternatives: tuple[Alternative, ...] = ()
    """Other readings, likeliest first."""
    beside_unread: bool = False
    """True where the next ink on its line is as high as a digit and was not read: a digit may be missing there."""
    looks: Looks = _ALONE
    """Who looked at it, and how sure each of them was."""


@dataclass(frozen=True, slots=True)
class Number:
    """One number as it was read: a row of the results."""

    text: str
    """The digits as written, leading zeros kept."""
    confidence: float
    """0..1: the chance that the whole of `text` is right."""
    box: Box
    """Scan pixels."""
    digits: tuple[Digit, ...]
    """Left to right."""
    line: int
    """1-based text line, top to bottom."""
    position: int
    """1-based number within the line, left to right."""
    review: bool = False
    """True where a person should look."""
    reason: str = ""
    """Why `review` is True; empty otherwise."""
    row: int | None = None
    """1-based table row, where the page has a table."""
    column: int | None = None
    """1-based table column, where the page has a table."""
    field: str = ""
    """Name of the template's field; empty without a template."""
    unclear_mark: bool = False
    """True where there is ink between its digits that may be a mark, or dirt."""


@dataclass(frozen=True, slots=True)
class PageResult:
    """What was read on one page."""

    numbers: tuple[Number, ...]
    """In reading order; empty on a blank page."""
    width: int
    """Width of the scan in pixels."""
    height: int
    """Height of the scan in pixels."""
    blank: bool = False
    """True where the page holds no ink to speak of."""

    def __iter__(self) -> Iterator[Number]:
        return iter(self.numbers)


@dataclass(frozen=True, slots=True)
class PageFailure:
    """Why one page could not be read, in words for the person at the desk."""

    reason: str
    detail: str = ""
    """For the log: the traceback where the fault is docscan's own; empty otherwise."""


@dataclass(frozen=True, slots=True)
class PageOutcome:
    """What became of one page of the batch."""

    source: PageSource
    result: PageResult | PageFailure
    seconds: float = 0.0
    """Wall time spent on the page in its worker."""
    stage_seconds: Mapping[str, float] = field(default_factory=dict)
    """How they divide into the stages of the pipeline, `decode` and `load_model` before them, and the `rest`."""


def _check(array: NDArray[np.generic], name: str, *, ndim: int, dtype: type[np.generic]) -> None:
    if array.ndim != ndim or array.dtype != dtype:
        raise ValueError(f"{name}: expected {ndim} axes of {np.dtype(dtype)}, got shape {array.shape} of {array.dtype}")
