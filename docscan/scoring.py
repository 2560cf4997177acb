"""What was read against what is there: digit accuracy, numbers F1, and what could be accepted unseen."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

_MARGIN = 0.12  # of the truth's height: a centre this far outside its box still belongs to it
_NOT_DIGITS = re.compile(r"\D")


@dataclass(frozen=True, slots=True)
class TrueNumber:
    """A number that stands on a page, and where: pixels of the scan."""

    text: str
    x: float
    y: float
    width: float
    height: float
    exact: bool = False
    """True where `text` holds its marks and signs as well, or is known to have none."""

    @property
    def digits(self) -> str:
        """The text without marks and signs."""
        return digits_of(self.text)

    def is_read(self, members: Sequence["ReadNumber"]) -> bool:
        """Whether what was read in its place is one number, and it; a decimal comma says what a decimal point says."""
        if self.exact:
            return [number.text.replace(",", ".") for number in members] == [self.text.replace(",", ".")]
        return [number.digits for number in members] == [self.digits]


@dataclass(frozen=True, slots=True)
class ReadNumber:
    """A number that was read, and where."""

    text: str
    x: float
    y: float
    width: float
    height: float
    confidence: float = 0.0
    review: bool = False

    @property
    def digits(self) -> str:
        """The text without marks and signs: most truth has none."""
        return digits_of(self.text)


def digits_of(text: str) -> str:
    """A text without its marks and signs."""
    return _NOT_DIGITS.sub("", text)


@dataclass(frozen=True, slots=True)
class Judged:
    """A number that was read, and whether it is right."""

    confidence: float
    review: bool
    right: bool


@dataclass(frozen=True, slots=True)
class Score:
    """Counts over one page, or the sum over many."""

    digits: int = 0
    """In the truth."""
    edits: int = 0
    """Digits to insert, remove or change inside the truth's boxes."""
    spurious: int = 0
    """Digits read outside every box."""
    numbers: int = 0
    """In the truth."""
    read: int = 0
    """Numbers read."""
    right: int = 0
    """Numbers of the truth read exactly, in one piece."""

    def __add__(self, other: "Score") -> "Score":
        return Score(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(Score)))

    @property
    def digit_accuracy(self) -> float:
        """1 less the digits to put right, as a share of the truth's; below 0 where more is wrong than there is."""
        return 1 - (self.edits + self.spurious) / max(1, self.digits)

    @property
    def number_f1(self) -> float:
        """The harmonic mean of the share of numbers read that are right, and of the truth's that were found."""
        precision, recall = self.right / max(1, self.read), self.right / max(1, self.numbers)
        return 2 * precision * recall / max(1e-9, precision + recall)


@dataclass(frozen=True, slots=True)
class LineScore:
    """Counts over one page whose truth is lines of numbers without boxes, or the sum over many."""

    images: int = 0
    numbers: int = 0
    found: int = 0
    """Numbers of the truth that were read exactly, wherever."""
    extra: int = 0
    """Numbers read that are not in the truth."""
    strings: int = 0
    """Pages of a single line."""
    strings_right: int = 0
    """... that were read right as a whole, spaces ignored."""

    def __add__(self, other: "LineScore") -> "LineScore":
        return LineScore(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(LineScore)))

    @property
    def found_share(self) -> float:
        """Of the truth's numbers."""
        return self.found / max(1, self.numbers)

    @property
    def extra_share(self) -> float:
        """Per number of the truth."""
        return self.extra / max(1, self.numbers)


def score_page(truth: Sequence[TrueNumber], read: Iterable[ReadNumber]) -> tuple[Score, tuple[Judged, ...]]:
    """Hold what was read on a page against its truth.

    A number read belongs to the first box of the truth that holds its centre, 12 % of the box's height of grace.
    Each true number is compared with all that was read in its box, left to right; it is right where that is one
    number with exactly its text, marks included where they are known. Numbers without a digit are ignored.
    """
    numbers = [number for number in read if number.digits]
    inside: list[list[ReadNumber]] = [[] for _ in truth]
    outside: list[ReadNumber] = []
    for number in numbers:
        home = next((members for true, members in zip(truth, inside, strict=True) if _holds(true, number)), outside)
        home.append(number)
    judged = [Judged(number.confidence, number.review, right=False) for number in outside]
    edits = right = 0
    for true, members in zip(truth, inside, strict=True):
        members.sort(key=lambda number: number.x)
        is_right = true.is_read(members)
        edits += edit_distance(true.digits, "".join(number.digits for number in members))
        right += is_right
        judged += [Judged(number.confidence, number.review, is_right) for number in members]
    score = Score(
        digits=sum(len(true.digits) for true in truth),
        edits=edits,
        spurious=sum(len(number.digits) for number in outside),
        numbers=len(truth),
        read=len(numbers),
        right=right,
    )
    return score, tuple(judged)


def score_lines(truth: Sequence[Sequence[str]], read: Sequence[ReadNumber]) -> LineScore:
    """Hold what was read against lines of numbers; "?" in the truth stands for any digit."""
    numbers = [number for number in read if number.digits]
    left = [number.digits for number in numbers]
    wanted = [text for line in truth for text in line]
    found = 0
    for text in wanted:
        match = next((index for index, other in enumerate(left) if fits(text, other)), None)
        if match is not None:
            del left[match]
            found += 1
    in_a_row = "".join(number.digits for number in sorted(numbers, key=lambda number: number.x))
    is_string = len(truth) == 1
    is_right = is_string and fits("".join(truth[0]), in_a_row)
    return LineScore(1, len(wanted), found, len(left), int(is_string), int(is_right))


def accepted_share(judged: Iterable[Judged], numbers: int, *, max_error: float = 0.001) -> float:
    """The share of the truth's `numbers` right and accepted, surest first, while at most `max_error` are wrong."""
    best = 0.0
    wrong = 0
    for accepted, one in enumerate(sorted(judged, key=lambda one: -one.confidence), start=1):
        wrong += not one.right
        if wrong / accepted <= max_error:
            best = (accepted - wrong) / max(1, numbers)
    return best


def edit_distance(wanted: str, read: str) -> int:
    """The fewest characters to insert, remove or change to make one text of the other (Levenshtein 1966)."""
    above = list(range(len(read) + 1))
    for row, wanted_character in enumerate(wanted, start=1):
        current = [row]
        for column, read_character in enumerate(read, start=1):
            changed = above[column - 1] + (wanted_character != read_character)
            current.append(min(above[column] + 1, current[-1] + 1, changed))
        above = current
    return above[-1]


def _holds(true: TrueNumber, number: ReadNumber) -> bool:
    x, y = number.x + number.width / 2, number.y + number.height / 2
    grace = _MARGIN * true.height
    in_columns = true.x - grace <= x <= true.x + true.width + grace
    return in_columns and true.y - grace <= y <= true.y + true.height + grace


def fits(wanted: str, read: str) -> bool:
    """Whether `read` is what is wanted, where "?" stands for any digit."""
    return len(wanted) == len(read) and all(a in {"?", b} for a, b in zip(wanted, read, strict=True))
