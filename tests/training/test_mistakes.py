import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from built_sets import DATA, cheques, keep_set

from docscan.files.truth import read_truth
from docscan.records import Box, Number
from docscan.settings import Settings
from docscan.stages.classify import load_model
from training import mistakes
from training.mistakes import (
    CUT,
    EXTRA,
    LEFT_OUT,
    MISREAD,
    MIXED,
    NOTHING,
    RIGHT,
    TOO_MANY,
    contact_sheet,
    held_out_cheques,
    judge,
    judge_page,
    judge_string,
    log_book_cells,
    table,
)

PAPER = np.full((100, 200), 255, np.uint8)


def number(text, left=0, top=0, *, confidence=0.9, review=False):
    box = Box(left, top, left + 10 * len(text), top + 20)
    return Number(text, confidence, box, (), 1, 1, review=review)


@pytest.mark.parametrize(
    ("wanted", "read", "kind"),
    [
        ("12", "12", RIGHT),
        ("12", "", NOTHING),
        ("123", "13", LEFT_OUT),
        ("13", "123", TOO_MANY),
        ("13", "73", MISREAD),
        ("123", "77", MIXED),
    ],
)
def test_a_mistake_has_a_kind(wanted, read, kind):
    assert judge(wanted, read) == kind


def test_a_string_is_what_was_read_on_its_image_left_to_right():
    case = judge_string("1234", [number("34", 50), number("1,2", 0, review=True)], PAPER)
    assert (case.kind, case.read, case.confidence, case.is_accepted) == (RIGHT, "1234", pytest.approx(0.81), False)


def test_an_image_on_which_nothing_was_read_is_no_string_accepted():
    case = judge_string("7", [], PAPER)
    assert (case.kind, case.is_accepted) == (NOTHING, False)


def test_numbers_of_a_page_are_paired_with_the_nearest_left_over():
    read = [number("42"), number("99", 50), number("12", 0, 40), number("34", 30, 40), number("5", 0, 70)]
    cases = list(judge_page(["42", "1234", "98", "777"], read, PAPER))
    assert [(case.kind, case.wanted, case.read) for case in cases] == [
        (RIGHT, "42", "42"),
        (CUT, "1234", "12 34"),
        (MISREAD, "98", "99"),
        (NOTHING, "777", ""),
        (EXTRA, "", "5"),
    ]


def test_the_table_counts_kinds_and_what_is_wrong_among_the_accepted():
    cases = list(judge_page(["42", "777"], [number("42"), number("5", 0, 70)], PAPER))
    assert table("pages", cases) == [
        "pages: 1 of 2 right (0.5000)",
        "  nothing read 1, read where none stands 1",
        "  accepted unseen and right 0.5000; 1 wrong among 2 accepted",
    ]


def test_a_sheet_has_a_tile_for_every_mistake_even_where_nobody_knows_the_place():
    cases = list(judge_page(["42", "777"], [number("5", 0, 70)], PAPER))
    width, height = mistakes.TILE_PX
    assert contact_sheet(cases).shape == (height + mistakes.CAPTION_PX, width * mistakes.SHEET_COLUMNS)


def test_every_fifth_cheque_is_held_out(tmp_path, monkeypatch):
    keep_set(tmp_path, "cheques", cheques(7), monkeypatch)
    assert [text for _, text in held_out_cheques(tmp_path)] == ["0", "5"]


def test_the_sheets_and_the_counts_come_from_one_command(tmp_path, monkeypatch, capsys):
    keep_set(tmp_path, "cheques", cheques(2), monkeypatch)
    monkeypatch.setattr(mistakes, "log_book_cells", lambda *_: [])
    monkeypatch.setattr(sys, "argv", ["mistakes", "--data", str(tmp_path), "--out", str(tmp_path / "report")])
    mistakes.main()
    assert "cheques: " in capsys.readouterr().out


@pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data")
def test_the_rows_of_the_log_book_are_parted():
    even, odd = (list(log_book_cells(DATA, rows)) for rows in ("even", "odd"))
    assert (len(even), len(odd)) == (1000, 1000)
    assert all(text.isdigit() and gray.ndim == 2 for gray, text in even[:50])


def test_images_beside_their_truth_are_read(tmp_path):
    folder = tmp_path / "kind"
    folder.mkdir()
    cv2.imencode(".png", PAPER)[1].tofile(folder / "a.png")
    Path(f"{folder / 'a.png'}.truth.txt").write_text("# an empty page\n12\n", encoding="utf-8")
    assert len(read_truth(tmp_path)) == 1
    [case] = mistakes.read_pages(tmp_path, load_model(), Settings())["kind"]
    assert (case.kind, case.wanted) == (NOTHING, "12")
