"""Numbers and failures -> results.xlsx, the workbook for people."""

import datetime
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import xlsxwriter

from docscan.files.results import COLUMNS, FAILURE_COLUMNS, Cell, cells_of, published
from docscan.records import Number

SHEET_ROWS = 1_048_576  # the most a sheet can hold, header included
_CELL_CHARACTERS = 32_767  # the most a cell can
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_WIDTHS = {"source": 40, "text": 16, "confidence": 11, "reason": 22, "field": 16}
_WIDTH = 8
_REVIEW_TINT = "#FFF2CC"
_LOW, _MIDDLE, _HIGH = "#F8696B", "#FFEB84", "#63BE7B"  # Excel's own red, yellow, green
_CREATED = datetime.datetime(2000, 1, 1)  # fixed: the same numbers give the same bytes
_LITERALLY = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}


def write_workbook(
    path: Path,
    numbers: Iterable[tuple[str, int, Number]],
    failures: Iterable[tuple[str, int, str]],
    summary: Sequence[str],
    *,
    sheet_rows: int = SHEET_ROWS,
) -> None:
    """Publish the workbook, row by row, whatever the number of rows: sheets "numbers", "failures", "summary".

    `text` is text, so 007 stays 007. Rows beyond `sheet_rows`, header included, go on in "numbers 2" and so forth.
    The same input gives the same bytes. Raises OutputError where it cannot be written.
    """
    with published(path) as draft:
        workbook = xlsxwriter.Workbook(draft, _LITERALLY | {"strings_to_numbers": False})
        try:
            workbook.use_zip64()
            workbook.set_properties({"created": _CREATED})
            header = workbook.add_format({"bold": True, "bottom": 1})
            _write_numbers(workbook, numbers, header, sheet_rows)
            _write_failures(workbook, failures, header, sheet_rows)
            sheet = workbook.add_worksheet("summary")
            sheet.set_column(0, 0, 100)
            for row, line in enumerate(summary):
                _write(sheet, row, 0, line, None)
            workbook.close()
        except xlsxwriter.exceptions.FileCreateError as error:
            raise OSError(str(error)) from error


def _write_numbers(workbook: Any, rows: Iterable[tuple[str, int, Number]], header: Any, sheet_rows: int) -> None:
    confidence = COLUMNS.index("confidence")
    plain = [workbook.add_format({"num_format": "0.0000"}) if at == confidence else None for at in range(len(COLUMNS))]
    tint = {"bg_color": _REVIEW_TINT}
    tinted = [
        workbook.add_format(tint | ({"num_format": "0.0000"} if at == confidence else {})) for at in range(len(COLUMNS))
    ]
    sheets = 1
    sheet, row = _add_table(workbook, "numbers", COLUMNS, header), 0
    for source, page, number in rows:
        if row + 1 == sheet_rows:
            _close_table(sheet, row, COLUMNS)
            sheets += 1
            sheet, row = _add_table(workbook, f"numbers {sheets}", COLUMNS, header), 0
        row += 1
        for column, cell in enumerate(cells_of(source, page, number)):
            _write(sheet, row, column, cell, (tinted if number.review else plain)[column])
    _close_table(sheet, row, COLUMNS)


def _write_failures(workbook: Any, rows: Iterable[tuple[str, int, str]], header: Any, sheet_rows: int) -> None:
    sheet, last = _add_table(workbook, "failures", FAILURE_COLUMNS, header), 0
    sheet.set_column(FAILURE_COLUMNS.index("reason"), FAILURE_COLUMNS.index("reason"), 100)
    for row, (source, page, reason) in enumerate(rows, start=1):
        if row == sheet_rows:
            break  # failures.csv has them all
        _write(sheet, row, 0, source, None)
        _write(sheet, row, 1, page, None)
        _write(sheet, row, 2, reason, None)
        last = row
    _close_table(sheet, last, FAILURE_COLUMNS)


def _add_table(workbook: Any, name: str, columns: Sequence[str], header: Any) -> Any:
    sheet = workbook.add_worksheet(name)
    sheet.freeze_panes(1, 0)
    for at, column in enumerate(columns):
        sheet.set_column(at, at, _WIDTHS.get(column, _WIDTH))
        sheet.write_string(0, at, column, header)
    return sheet


def _close_table(sheet: Any, last_row: int, columns: Sequence[str]) -> None:
    sheet.autofilter(0, 0, last_row, len(columns) - 1)
    if "confidence" in columns and last_row > 0:
        at = columns.index("confidence")
        scale = {"type": "3_color_scale", "min_color": _LOW, "mid_color": _MIDDLE, "max_color": _HIGH}
        ends = {"min_type": "num", "min_value": 0, "mid_type": "num", "mid_value": 0.9, "max_type": "num"}
        sheet.conditional_format(1, at, last_row, at, scale | ends | {"max_value": 1})


def _write(sheet: Any, row: int, column: int, cell: Cell, form: Any) -> None:
    if isinstance(cell, bool):
        sheet.write_boolean(row, column, cell, form)
    elif isinstance(cell, int | float):
        sheet.write_number(row, column, cell, form)
    elif cell:
        sheet.write_string(row, column, _NOT_IN_XML.sub("\ufffd", cell)[:_CELL_CHARACTERS], form)
    elif form is not None:
        sheet.write_blank(row, column, None, form)
