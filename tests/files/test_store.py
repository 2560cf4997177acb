import json
import sqlite3
from pathlib import Path

import pytest

from docscan.errors import OutputError
from docscan.files.store import Counts, PageEntry, Store, open_store
from docscan.records import Alternative, Box, Digit, Number, PageFailure, PageOutcome, PageResult, PageSource

A, B = PageSource("/s/a.png", "a.png"), PageSource("/s/b.pdf", "b.pdf", page=2, paged=True)
ENTRIES = (PageEntry("b.pdf", 2, "/s/b.pdf", "pages/b.pdf.p0002.csv"), PageEntry("a.png", 1, "/s/a.png", "a.csv"))
DIGIT = Digit("7", 0.75, Box(1, 2, 3, 4), (Alternative("1", 0.2), Alternative("", 0.05)))
NUMBER = Number(
    "07", 0.5, Box(1, 2, 9, 8), (DIGIT, DIGIT), 1, 2, review=True, reason="low-confidence", row=3, field="sum"
)


def result(*numbers: Number) -> PageResult:
    return PageResult(numbers, width=100, height=200, blank=not numbers)


def stored(number: Number) -> Number:
    """As the store streams it: without its digits."""
    return Number(
        number.text, number.confidence, number.box, (), number.line, number.position, number.review, number.reason,
        number.row, number.column, number.field,
    )  # fmt: skip


def test_a_new_store_is_empty(tmp_path: Path) -> None:
    with open_store(tmp_path, create=True) as store:
        assert list(store.entries()) == []
        assert list(store.numbers()) == []
        assert store.counts() == Counts(0, 0, 0, 0, 0, 0)


def test_numbers_come_back_in_the_order_the_pages_were_found(tmp_path: Path) -> None:
    second = Number("8", 1.0, Box(0, 0, 1, 1), (), 1, 3)
    with open_store(tmp_path, create=True) as store:
        store.replace_inputs(ENTRIES)
        store.record(PageOutcome(A, result(NUMBER)), "key a", 1.0)
        store.record(PageOutcome(B, result(NUMBER, second)), "key b", 2.0)
    with open_store(tmp_path) as store:
        expected = [("b.pdf", 2, stored(NUMBER)), ("b.pdf", 2, second), ("a.png", 1, stored(NUMBER))]
        assert list(store.numbers()) == expected
        assert list(store.numbers_of("a.png", 1)) == expected[2:]
        assert [(entry.source, entry.state, entry.key) for entry in store.entries()] == [
            ("b.pdf", "read", "key b"),
            ("a.png", "read", "key a"),
        ]
        assert store.finished_since(0.5) == (2, 2.0)


def test_digits_are_kept_with_their_alternatives(tmp_path: Path) -> None:
    with open_store(tmp_path, create=True) as store:
        store.replace_inputs(ENTRIES)
        store.record(PageOutcome(A, result(NUMBER)), "", 1.0)
        rows = store.connection.execute("SELECT number, sequence, text, alternatives FROM digits").fetchall()
    assert [(*row[:3], json.loads(row[3])) for row in rows] == [
        (0, 0, "7", [["1", 0.2], ["", 0.05]]),
        (0, 1, "7", [["1", 0.2], ["", 0.05]]),
    ]


def test_reading_a_page_again_replaces_it_and_keeps_its_corrections(tmp_path: Path) -> None:
    with open_store(tmp_path, create=True) as store:
        store.replace_inputs(ENTRIES)
        store.record(PageOutcome(A, result(NUMBER, NUMBER)), "", 1.0)
        store.connection.execute("INSERT INTO corrections VALUES (2, 1, 2, 9, 8, '01', 0)")
        store.record(PageOutcome(A, PageFailure("torn")), "", 2.0)
        assert list(store.numbers()) == []
        assert list(store.failures()) == [("a.png", 1, "torn")]
        assert store.connection.execute("SELECT count(*) FROM digits").fetchone() == (0,)
        assert store.connection.execute("SELECT text FROM corrections").fetchall() == [("01",)]


def test_every_page_is_counted_once(tmp_path: Path) -> None:
    sources = [PageSource("", name) for name in "rbfl"]
    with open_store(tmp_path, create=True) as store:
        store.replace_inputs([PageEntry(source.name, 1, "", source.name) for source in sources])
        store.record(PageOutcome(sources[0], result(NUMBER)), "", 1.0)
        store.record(PageOutcome(sources[1], result()), "", 1.0)
        store.record(PageOutcome(sources[2], PageFailure("")), "", 1.0)
        counts = store.counts()
    assert counts == Counts(read=1, blank=1, failed=1, left=1, numbers=1, review=1)
    assert counts.found == 4


def test_a_page_that_is_no_input_any_more_is_set_aside(tmp_path: Path) -> None:
    with open_store(tmp_path, create=True) as store:
        store.replace_inputs(ENTRIES)
        store.record(PageOutcome(A, result(NUMBER)), "key a", 1.0)
        store.replace_inputs(ENTRIES[:1])
        assert list(store.numbers()) == []
        assert [entry.source for entry in store.entries()] == ["b.pdf"]
        assert [(entry.source, entry.key) for entry in store.entries_set_aside()] == [("a.png", "key a")]


def test_an_outcome_is_recorded_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    unwritable = Number("1", 1.0, Box(0, 0, 1, 1), (Digit(None, 1.0, Box(0, 0, 1, 1)),), 1, 1)  # type: ignore[arg-type]
    with open_store(tmp_path, create=True) as store:
        store.replace_inputs(ENTRIES)
        store.record(PageOutcome(A, result(NUMBER)), "key", 1.0)
        with pytest.raises(sqlite3.IntegrityError):
            store.record(PageOutcome(A, result(unwritable)), "other", 2.0)
        assert list(store.numbers()) == [("a.png", 1, stored(NUMBER))]
        assert [entry.key for entry in store.entries()] == ["", "key"]


def test_results_are_stale_once_something_has_changed(tmp_path: Path) -> None:
    def change(store: Store, outcome: PageOutcome) -> str:
        store.set_meta(results="fresh")
        store.record(outcome, "", 1.0)
        return store.meta("results")

    with open_store(tmp_path, create=True) as store:
        store.replace_inputs(ENTRIES)
        assert store.meta("results") == "stale"
        assert change(store, PageOutcome(A, result(NUMBER))) == "stale"
        assert change(store, PageOutcome(A, PageFailure("torn"))) == "stale"
        assert change(store, PageOutcome(A, PageFailure("torn"))) == "fresh"


def test_a_folder_without_a_database_is_no_output_folder(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"no output folder of docscan"), open_store(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_database_of_another_format_is_refused(tmp_path: Path) -> None:
    with open_store(tmp_path, create=True) as store:
        store.set_meta(format="0")
    with pytest.raises(OutputError, match="has format 0; this docscan writes 2"), open_store(tmp_path):
        pass


def test_who_only_reads_cannot_write(tmp_path: Path) -> None:
    with open_store(tmp_path, create=True) as store:
        store.replace_inputs(ENTRIES)
    with pytest.raises(OutputError, match="cannot be used"), open_store(tmp_path) as store:
        store.set_meta(started="1")
    with open_store(tmp_path) as store:
        assert (store.meta("started"), len(list(store.entries()))) == ("", 2)


def test_an_empty_database_is_left_as_it_is_by_who_only_reads(tmp_path: Path) -> None:
    (tmp_path / "docscan.db").touch()
    with pytest.raises(OutputError, match="is still empty: a run has only just begun"), open_store(tmp_path):
        pass
    assert (tmp_path / "docscan.db").stat().st_size == 0


def test_somebody_elses_database_is_refused(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "docscan.db")
    connection.execute("CREATE TABLE mine (value)")
    connection.close()
    with pytest.raises(OutputError, match="has format unknown"), open_store(tmp_path, create=True):
        pass


def test_a_damaged_database_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "docscan.db").write_bytes(b"no database" * 100)
    with pytest.raises(OutputError, match="is damaged"), open_store(tmp_path):
        pass
