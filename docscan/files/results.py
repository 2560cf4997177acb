"""Numbers and failures -> CSV files, each of them whole or absent."""

import csv
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from docscan.errors import OutputError, SettingsError
from docscan.records import Number, PageSource

COLUMNS = (
    "source",
    "page",
    "line",
    "position",
    "text",
    "confidence",
    "review",
    "reason",
    "x",
    "y",
    "width",
    "height",
    "row",
    "column",
    "field",
)
FAILURE_COLUMNS = ("source", "page", "reason")
CONFIDENCE_DECIMALS = 4
DRAFT_SUFFIX = ".part"

Cell = str | int | float | bool | None

_NAME_BYTES = 255  # the longest file name of ext4, APFS and NTFS
_HASH_DIGITS = 8
_UNPORTABLE = re.compile(r'[<>:"\\|?*/\x00-\x1f]|[. ]$')
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\.|$)", re.IGNORECASE)
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class CsvFormat:
    """How CSV files are written. Raises SettingsError for an encoding or a delimiter that cannot be."""

    encoding: str = "utf-8-sig"
    """With the byte order mark Excel takes UTF-8 for what it is."""
    delimiter: str = ","

    def __post_init__(self) -> None:
        try:
            "0".encode(self.encoding)
        except LookupError as error:
            raise SettingsError(f"encoding {self.encoding!r} is unknown; try utf-8-sig, utf-8 or cp1252") from error
        if len(self.delimiter) != 1 or self.delimiter.isalnum() or self.delimiter in '"\r\n .-+':
            raise SettingsError(f"delimiter {self.delimiter!r} cannot separate numbers; try ',' or ';' or a tab")


@contextmanager
def published(path: Path) -> Iterator[Path]:
    """Yield a draft beside `path`; it becomes `path` only if the block succeeds, and is gone otherwise.

    Raises OutputError where the folder or the file cannot be written.
    """
    # Not the name with a suffix: a name of 255 bytes has no room for one.
    draft = path.with_name(f".{_hash(path.name)}{DRAFT_SUFFIX}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield draft
        with draft.open("r+b") as written:
            os.fsync(written.fileno())  # else a power cut could leave an empty file under the final name
        draft.replace(path)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error.strerror or error}); is the disk full, or the file open elsewhere? "
            "The same command goes on from here."
        ) from error
    finally:
        with suppress(OSError):  # the disk is gone: the first error is the one to hear of
            draft.unlink(missing_ok=True)


def page_csv(source: PageSource) -> PurePosixPath:
    """Where the numbers of a page go, below the output folder: `pages/<name>.csv`, `.p0003.csv` where it is paged.

    A part of the name that some system could not hold (too long, `:`, a trailing dot, `CON`) is cleaned, shortened
    and told apart by a hash, on every system alike: an output folder may be copied to another.
    """
    suffix = f".p{source.page:04d}.csv" if source.paged else ".csv"
    *folders, name = source.name.split("/")
    parts = [_portable(folder, _NAME_BYTES) for folder in folders]
    return PurePosixPath("pages", *parts, _portable(name, _NAME_BYTES - len(suffix)) + suffix)


def cells_of(source: str, page: int, number: Number) -> tuple[Cell, ...]:
    """One number as the values of COLUMNS."""
    box = number.box
    return (
        source,
        page,
        number.line,
        number.position,
        number.text,
        round(number.confidence, CONFIDENCE_DECIMALS),
        number.review,
        number.reason,
        box.left,
        box.top,
        box.width,
        box.height,
        number.row,
        number.column,
        number.field,
    )


def write_numbers(path: Path, rows: Iterable[tuple[str, int, Number]], form: CsvFormat) -> None:
    """Publish (source, page, number) rows as a CSV; without rows it holds the header alone."""
    _write(path, COLUMNS, (cells_of(source, page, number) for source, page, number in rows), form)


def write_failures(path: Path, rows: Iterable[tuple[str, int, str]], form: CsvFormat) -> None:
    """Publish (source, page, reason) rows as a CSV; without rows it holds the header alone."""
    _write(path, FAILURE_COLUMNS, rows, form)


def _write(path: Path, columns: tuple[str, ...], rows: Iterable[Iterable[Cell]], form: CsvFormat) -> None:
    guarded = [column in {"source", "reason"} for column in columns]
    with (
        published(path) as draft,
        draft.open("w", encoding=form.encoding, errors="backslashreplace", newline="") as file,
    ):
        writer = csv.writer(file, delimiter=form.delimiter, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            writer.writerow([_text(cell, guard) for cell, guard in zip(row, guarded, strict=True)])


def _text(cell: Cell, guard: bool) -> str:  # noqa: FBT001  a column's property
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        return f"{cell:.{CONFIDENCE_DECIMALS}f}"
    if cell is None:
        return ""
    text = str(cell)
    # A spreadsheet would run a file named =cmd() as a formula. `text` is spared: there a minus was read.
    return f"'{text}" if guard and text.startswith(_FORMULA_STARTS) else text


def _portable(part: str, room: int) -> str:
    if len(part.encode()) <= room and not _UNPORTABLE.search(part) and not _RESERVED.match(part):
        return part
    clean = _UNPORTABLE.sub("_", part)
    if _RESERVED.match(clean):
        clean = f"_{clean}"
    kept = clean.encode()[: room - _HASH_DIGITS - 1].decode(errors="ignore")
    return f"{kept}-{_hash(part)}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_HASH_DIGITS]
