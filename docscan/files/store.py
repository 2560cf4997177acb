"""docscan.db, the truth of an output folder: pages and their state, numbers, digits with alternatives, corrections.

One writer. A page's rows and its new state are committed together, so a run killed at any moment leaves each page
either finished or to be read again.

The results hold the pages the last run found. A page found earlier and gone since (its scan removed, renamed, or left
out by --pages) is set aside: no row of it in the results, its CSV removed, so no stale number is taken for a fresh one.
Its rows stay in the database without an ordinal, corrections and all, and count again when the page is back.

The journal is SQLite's default, not WAL: output folders lie on network shares, where WAL does not work.
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from docscan.errors import OutputError
from docscan.records import Box, Digit, Number, PageOutcome, PageResult

NAME = "docscan.db"
FORMAT = "2"
State = Literal["found", "read", "blank", "failed"]

_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE pages (
    id INTEGER PRIMARY KEY,
    source TEXT NOT NULL,
    page INTEGER NOT NULL,
    path TEXT NOT NULL,                  -- of the scan, where it was found last
    csv TEXT NOT NULL,                   -- of its numbers, below the output folder
    ordinal INTEGER,                     -- place among the inputs of the last run; NULL: set aside
    state TEXT NOT NULL CHECK (state IN ('found', 'read', 'blank', 'failed')),
    key TEXT NOT NULL DEFAULT '',        -- what the result was made from
    reason TEXT NOT NULL DEFAULT '',
    width INTEGER, height INTEGER, seconds REAL, finished REAL,
    numbers INTEGER NOT NULL DEFAULT 0,  -- how many the page has, and how many of them are to review: `status` counts
    review INTEGER NOT NULL DEFAULT 0,   -- a million pages without a look at their numbers, and holds up no writer
    UNIQUE (source, page)
);
CREATE INDEX pages_ordinal ON pages (ordinal);
CREATE TABLE numbers (
    page_id INTEGER NOT NULL REFERENCES pages (id),
    sequence INTEGER NOT NULL,           -- reading order
    line INTEGER NOT NULL, position INTEGER NOT NULL,
    text TEXT NOT NULL, confidence REAL NOT NULL, review INTEGER NOT NULL, reason TEXT NOT NULL,
    "left" INTEGER NOT NULL, top INTEGER NOT NULL, "right" INTEGER NOT NULL, bottom INTEGER NOT NULL,
    "row" INTEGER, "column" INTEGER, field TEXT NOT NULL,
    PRIMARY KEY (page_id, sequence)
) WITHOUT ROWID;
CREATE TABLE digits (
    page_id INTEGER NOT NULL REFERENCES pages (id),
    number INTEGER NOT NULL,             -- numbers.sequence
    sequence INTEGER NOT NULL,           -- left to right
    text TEXT NOT NULL, confidence REAL NOT NULL,
    "left" INTEGER NOT NULL, top INTEGER NOT NULL, "right" INTEGER NOT NULL, bottom INTEGER NOT NULL,
    alternatives TEXT NOT NULL,          -- JSON: [[text, probability], ...], likeliest first
    PRIMARY KEY (page_id, number, sequence)
) WITHOUT ROWID;
CREATE TABLE corrections (
    page_id INTEGER NOT NULL REFERENCES pages (id),
    "left" INTEGER NOT NULL, top INTEGER NOT NULL, "right" INTEGER NOT NULL, bottom INTEGER NOT NULL,
    text TEXT NOT NULL,
    made REAL NOT NULL                   -- seconds since 1970
);
"""
_NUMBER = (
    'line, position, text, confidence, review, reason, "left", top, "right", bottom, "row", "column", field'  # in order
)
_PROBABILITY_DECIMALS = 6


@dataclass(frozen=True, slots=True)
class PageEntry:
    """One page as the database knows it."""

    source: str
    page: int
    path: str
    csv: str
    """Of its numbers, below the output folder."""
    state: State = "found"
    """`found`: still to be read."""
    key: str = ""
    """What its result was made from; empty before there is one."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Pages and numbers of the last run's inputs."""

    read: int
    blank: int
    failed: int
    left: int
    """Found, and still to be read."""
    numbers: int
    review: int
    """Numbers a person should look at."""

    @property
    def found(self) -> int:
        """Pages in: every one is in exactly one of the four states."""
        return self.read + self.blank + self.failed + self.left


@dataclass(frozen=True, slots=True)
class Store:
    """An open docscan.db."""

    connection: sqlite3.Connection

    def meta(self, name: str) -> str:
        """A value set by `set_meta`; empty where there is none."""
        row = self.connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else ""

    def set_meta(self, **values: str) -> None:
        """Keep facts about the folder as a whole."""
        self.connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", list(values.items()))

    def entries(self) -> Iterator[PageEntry]:
        """The pages of the last run's inputs, in the order they were found."""
        return self._entries("WHERE ordinal IS NOT NULL ORDER BY ordinal")

    def entries_set_aside(self) -> Iterator[PageEntry]:
        """The pages read once and not among the inputs of the last run."""
        return self._entries("WHERE ordinal IS NULL ORDER BY id")

    def entries_of(self, source: str) -> Iterator[PageEntry]:
        """All pages known of a scan, those set aside among them."""
        return self._entries("WHERE source = ? ORDER BY page", source)

    def entries_unread(self) -> Iterator[PageEntry]:
        """The inputs that failed, or are still to be read."""
        return self._entries("WHERE ordinal IS NOT NULL AND state IN ('found', 'failed') ORDER BY ordinal")

    def replace_inputs(self, entries: Sequence[PageEntry]) -> None:
        """Make `entries` the inputs, in this order and these states; every other page is set aside."""
        with self._transaction():
            self.connection.execute("UPDATE pages SET ordinal = NULL WHERE ordinal IS NOT NULL")
            self.connection.executemany(
                "INSERT INTO pages (source, page, path, csv, ordinal, state) VALUES (?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (source, page) DO UPDATE SET "
                "path = excluded.path, csv = excluded.csv, ordinal = excluded.ordinal, state = excluded.state",
                (
                    (entry.source, entry.page, entry.path, entry.csv, ordinal, entry.state)
                    for ordinal, entry in enumerate(entries)
                ),
            )
            self.set_meta(results="stale")

    def add_inputs(self, entries: Sequence[PageEntry]) -> None:
        """Make `entries` inputs as well, in these states, after the others; those that are keep their place."""
        with self._transaction():
            (place,) = self.connection.execute("SELECT coalesce(max(ordinal), -1) + 1 FROM pages").fetchone()
            changed = self.connection.executemany(
                "INSERT INTO pages (source, page, path, csv, ordinal, state) VALUES (?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (source, page) DO UPDATE SET path = excluded.path, csv = excluded.csv, "
                "ordinal = coalesce(ordinal, excluded.ordinal), state = excluded.state "
                "WHERE ordinal IS NULL OR (state, path, csv) != (excluded.state, excluded.path, excluded.csv)",
                (
                    (entry.source, entry.page, entry.path, entry.csv, ordinal, entry.state)
                    for ordinal, entry in enumerate(entries, place)
                ),
            ).rowcount
            if changed:
                self.set_meta(results="stale")

    def set_aside(self, entries: Sequence[PageEntry]) -> None:
        """Make these pages inputs no longer."""
        with self._transaction():
            changed = self.connection.executemany(
                "UPDATE pages SET ordinal = NULL WHERE source = ? AND page = ? AND ordinal IS NOT NULL",
                ((entry.source, entry.page) for entry in entries),
            ).rowcount
            if changed > 0:
                self.set_meta(results="stale")

    def record(self, outcome: PageOutcome, key: str, finished: float) -> None:
        """Replace what is known of a page by `outcome`, made from what `key` hashes, at `finished` (since 1970).

        All of it or nothing is committed. Corrections stay.
        """
        source, result = outcome.source, outcome.result
        read = result if isinstance(result, PageResult) else None
        state = "failed" if read is None else "blank" if read.blank else "read"
        reason = "" if isinstance(result, PageResult) else result.reason
        size = (None, None) if read is None else (read.width, read.height)
        numbers = () if read is None else read.numbers
        count = len(numbers), sum(number.review for number in numbers)
        with self._transaction():
            before = self.connection.execute(
                "SELECT state, reason FROM pages WHERE source = ? AND page = ?", (source.name, source.page)
            ).fetchone()
            (page_id,) = self.connection.execute(
                "UPDATE pages SET state = ?, key = ?, reason = ?, width = ?, height = ?, seconds = ?, finished = ?, "
                "numbers = ?, review = ? WHERE source = ? AND page = ? RETURNING id",
                (state, key, reason, *size, outcome.seconds, finished, *count, source.name, source.page),
            ).fetchone()
            self.connection.execute("DELETE FROM digits WHERE page_id = ?", (page_id,))
            self.connection.execute("DELETE FROM numbers WHERE page_id = ?", (page_id,))
            self._insert(page_id, numbers)
            if (state, reason) != before or read is not None:  # else it failed again, as it did before
                self.set_meta(results="stale")

    def numbers(self) -> Iterator[tuple[str, int, Number]]:
        """Source, page and number in reading order, streamed; numbers come without their digits."""
        return self._numbers("WHERE ordinal IS NOT NULL ORDER BY ordinal, sequence", ())

    def numbers_of(self, source: str, page: int) -> Iterator[tuple[str, int, Number]]:
        """The same for one page."""
        return self._numbers("WHERE source = ? AND page = ? ORDER BY sequence", (source, page))

    def failures(self) -> Iterator[tuple[str, int, str]]:
        """Source, page and reason of every input that could not be read, in the order they were found."""
        yield from self.connection.execute(
            "SELECT source, page, reason FROM pages WHERE ordinal IS NOT NULL AND state = 'failed' ORDER BY ordinal"
        )

    def counts(self) -> Counts:
        """How many pages are in which state, and how many numbers they hold."""
        found = {
            state: (pages, numbers, review)
            for state, pages, numbers, review in self.connection.execute(
                "SELECT state, count(*), sum(numbers), sum(review) FROM pages WHERE ordinal IS NOT NULL GROUP BY state"
            )
        }
        read, blank, failed, left = (found.get(state, (0, 0, 0)) for state in ("read", "blank", "failed", "found"))
        return Counts(read[0], blank[0], failed[0], left[0], numbers=read[1], review=read[2])

    def finished_since(self, moment: float) -> tuple[int, float]:
        """Pages of the inputs finished after `moment`, and when the last of them was; (0, moment) where none was."""
        count, last = self.connection.execute(
            "SELECT count(*), coalesce(max(finished), ?) FROM pages WHERE ordinal IS NOT NULL AND finished > ?",
            (moment, moment),
        ).fetchone()
        return count, last

    def _entries(self, where: str, *values: str) -> Iterator[PageEntry]:
        for row in self.connection.execute(f"SELECT source, page, path, csv, state, key FROM pages {where}", values):
            yield PageEntry(*row)

    def _numbers(self, where: str, values: tuple[str | int, ...]) -> Iterator[tuple[str, int, Number]]:
        query = f"SELECT source, page, {_prefixed(_NUMBER)} FROM pages JOIN numbers ON pages.id = page_id"
        for source, page, *cells in self.connection.execute(f"{query} {where}", values):
            line, position, text, confidence, review, reason, *box, row, column, field = cells
            yield (
                source,
                page,
                Number(text, confidence, Box(*box), (), line, position, bool(review), reason, row, column, field),
            )

    def _insert(self, page_id: int, numbers: Sequence[Number]) -> None:
        self.connection.executemany(
            f"INSERT INTO numbers (page_id, sequence, {_NUMBER}) VALUES ({', '.join('?' * 15)})",
            ((page_id, sequence, *_cells(number)) for sequence, number in enumerate(numbers)),
        )
        self.connection.executemany(
            f"INSERT INTO digits VALUES ({', '.join('?' * 10)})",
            (
                (page_id, number_index, sequence, digit.text, digit.confidence, *digit.box, _alternatives(digit))
                for number_index, number in enumerate(numbers)
                for sequence, digit in enumerate(number.digits)
            ),
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            with suppress(sqlite3.OperationalError):  # it has rolled back itself: a full disk, a share that is gone
                self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")


@contextmanager
def open_store(out: Path, *, create: bool = False) -> Iterator[Store]:
    """Open the database of an output folder to read it; `create`: to write it too, and to make one where there is none.

    Raises OutputError where there is none, it is still empty, damaged, of another format, locked, or on a full disk:
    also from the block, whatever SQLite reports there.
    """
    path = out / NAME
    if not create and not path.is_file():
        raise OutputError(f"{out} is no output folder of docscan: it holds no {NAME}")
    try:
        # Transactions are begun and committed by name; 30 s are for `docscan status` reading at the same moment.
        connection = sqlite3.connect(path, timeout=30, isolation_level=None)
        try:
            _check_format(path, connection, create=create)
            connection.execute(f"PRAGMA query_only = {not create}")
            yield Store(connection)
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        raise _in_words(path, error) from error


def snapshot(out: Path, copy: Path) -> None:
    """Copy the database of an output folder as it stands between two pages, while a run may go on writing it.

    Raises OutputError as `open_store` does.
    """
    with open_store(out) as store:
        target = sqlite3.connect(copy)
        try:
            store.connection.backup(target)
        finally:
            target.close()


def _in_words(path: Path, error: sqlite3.DatabaseError) -> OutputError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without the extended part
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return OutputError(f"{path} is damaged ({error}); --mode force empties the folder and reads every page again")
    if not path.exists():
        return OutputError(f"{path} is gone; was the folder removed, or its disk or share taken away?")
    advice = {
        sqlite3.SQLITE_FULL: "The disk is full: make room",
        sqlite3.SQLITE_IOERR: "Is the disk full, or the share gone? Look after it",
        sqlite3.SQLITE_READONLY: "Nothing can be written there: make the folder writable",
        sqlite3.SQLITE_BUSY: "Another program holds it: close that",
    }.get(code, "Look after the disk")
    return OutputError(f"{path} cannot be used ({error}). {advice}; the same command goes on from here.")


def _check_format(path: Path, connection: sqlite3.Connection, *, create: bool) -> None:
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables and not create:
        raise OutputError(f"{path} is still empty: a run has only just begun, or never did")
    if not tables:
        connection.executescript(f"BEGIN; {_SCHEMA} INSERT INTO meta VALUES ('format', '{FORMAT}'); COMMIT;")
        return
    found = Store(connection).meta("format") if "meta" in tables else ""
    if found != FORMAT:
        raise OutputError(
            f"{path} has format {found or 'unknown'}; this docscan writes {FORMAT}. "
            "Give another output folder, or --mode force to read every page again."
        )


def _cells(number: Number) -> tuple[str | int | float | None, ...]:
    """The values of _NUMBER."""
    place = number.row, number.column, number.field
    return (
        *(number.line, number.position, number.text, number.confidence, number.review, number.reason),
        *number.box,
        *place,
    )


def _alternatives(digit: Digit) -> str:
    return json.dumps([[other.text, round(other.probability, _PROBABILITY_DECIMALS)] for other in digit.alternatives])


def _prefixed(columns: str) -> str:
    return ", ".join(f"numbers.{column}" for column in columns.split(", "))
