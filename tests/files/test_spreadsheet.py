import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from docscan.errors import OutputError
from docscan.files.results import COLUMNS
from docscan.files.spreadsheet import write_workbook
from docscan.records import Box, Number


def number(text: str, *, confidence: float = 0.5, review: bool = False) -> Number:
    return Number(text, confidence, Box(1, 2, 11, 22), (), 1, 1, review, "low-confidence" if review else "")


def sheet(path: Path, name: str) -> Any:
    return openpyxl.load_workbook(path)[name]


def column(path: Path, name: str, header: str) -> list[object]:
    first, *rows = sheet(path, name).iter_rows(values_only=True)
    return [row[first.index(header)] for row in rows]


def test_a_workbook_without_numbers_has_its_headers(tmp_path: Path) -> None:
    write_workbook(tmp_path / "r.xlsx", [], [], ["nothing"])
    book = openpyxl.load_workbook(tmp_path / "r.xlsx")
    assert book.sheetnames == ["numbers", "failures", "summary"]
    assert [cell.value for cell in book["numbers"][1]] == list(COLUMNS)
    assert [cell.value for cell in book["failures"][1]] == ["source", "page", "reason"]
    assert book["summary"]["A1"].value == "nothing"


def test_identifiers_stay_text_and_measures_are_numbers(tmp_path: Path) -> None:
    numbers = [("a.png", 1, number("007")), ("a.png", 1, number("-5", confidence=0.87654))]
    write_workbook(tmp_path / "r.xlsx", numbers, [], [])
    assert column(tmp_path / "r.xlsx", "numbers", "text") == ["007", "-5"]
    assert column(tmp_path / "r.xlsx", "numbers", "confidence") == [0.5, 0.8765]
    assert column(tmp_path / "r.xlsx", "numbers", "width") == [10, 10]
    assert column(tmp_path / "r.xlsx", "numbers", "review") == [False, False]
    assert column(tmp_path / "r.xlsx", "numbers", "field") == [None, None]


def test_the_header_is_frozen_and_filtered_and_confidence_is_coloured(tmp_path: Path) -> None:
    write_workbook(tmp_path / "r.xlsx", [("a.png", 1, number("1", review=True)), ("a.png", 1, number("2"))], [], [])
    numbers = sheet(tmp_path / "r.xlsx", "numbers")
    assert (numbers.freeze_panes, numbers.auto_filter.ref) == ("A2", "A1:O3")
    [scale] = [rule.type for cells in numbers.conditional_formatting for rule in cells.rules]
    assert scale == "colorScale"
    assert [numbers.cell(row, 5).fill.fgColor.rgb for row in (2, 3)] == ["FFFFF2CC", "00000000"]


def test_rows_beyond_a_sheet_go_on_in_the_next(tmp_path: Path) -> None:
    numbers = [("a.png", 1, number(str(index))) for index in range(5)]
    write_workbook(tmp_path / "r.xlsx", numbers, [], [], sheet_rows=3)
    assert openpyxl.load_workbook(tmp_path / "r.xlsx").sheetnames == [
        "numbers",
        "numbers 2",
        "numbers 3",
        "failures",
        "summary",
    ]
    sheets = [column(tmp_path / "r.xlsx", name, "text") for name in ("numbers", "numbers 2", "numbers 3")]
    assert sheets == [["0", "1"], ["2", "3"], ["4"]]


def test_a_name_is_neither_formula_nor_link_nor_broken_xml(tmp_path: Path) -> None:
    names = ["=1+1.png", "http://a.png", "a\x07b\x00.png", "日本 <é> &.png"]
    write_workbook(tmp_path / "r.xlsx", [], [(name, 1, "") for name in names], [])
    assert column(tmp_path / "r.xlsx", "failures", "source") == [
        "=1+1.png",
        "http://a.png",
        "a\ufffdb\ufffd.png",
        "日本 <é> &.png",
    ]
    with zipfile.ZipFile(tmp_path / "r.xlsx") as archive:
        content = b"".join(archive.read(name) for name in archive.namelist())
    assert b"<f>" not in content
    assert b"<hyperlink" not in content


def test_the_same_numbers_make_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.xlsx", "b.xlsx"):
        write_workbook(tmp_path / name, [("a.png", 1, number("1"))], [("b.png", 1, "torn")], ["1 page"])
    assert (tmp_path / "a.xlsx").read_bytes() == (tmp_path / "b.xlsx").read_bytes()


def test_a_workbook_that_cannot_be_written_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "r.xlsx").mkdir()
    with pytest.raises(OutputError, match=r"r\.xlsx cannot be written"):
        write_workbook(tmp_path / "r.xlsx", [], [], [])
