from dataclasses import replace

import cv2
import numpy as np
import pytest

from docscan.pipeline import read_page
from docscan.records import Box, Digit, Looks, LowInk, Page, Rulings, Surroundings
from docscan.settings import LayoutSettings, Settings
from docscan.stages.classify import load_model
from docscan.stages.layout import arrange_numbers
from docscan.stages.marks import find_commas

PEN = 5  # pixels; digits are 24 wide and 40 high, on a line at 40, a space of 16 between


def surroundings(low, line=None):
    none = np.zeros((0, 4), np.float32)
    across = none if line is None else np.array([line], np.float32)
    thickness = np.full(len(across), 3, np.float32)
    rulings = Rulings(across, thickness, none, np.zeros(0, np.float32))
    return Surroundings(rulings, LowInk(np.array(low, np.int32).reshape(-1, 4), PEN))


def digits(text, *, height=40):
    return tuple(
        Digit(letter, 1.0, Box(40 * place, 40 - height, 40 * place + 24, 40))
        for place, letter in enumerate(text)
        if letter != " "
    )


def numbers(text, *low, line=None):
    return arrange_numbers(digits(text), surroundings(low, line), LayoutSettings())


def texts(text, *low, line=None):
    return [number.text for number in numbers(text, *low, line=line)]


POINT, COMMA = (29, 34, 35, 40), (28, 34, 35, 51)
APOSTROPHE, UPPER_DOT = (29, -6, 34, 8), (29, 12, 35, 18)
MINUS, SPECK = (-24, 18, -6, 24), (30, 37, 32, 39)


@pytest.mark.parametrize(
    ("marks", "text"),
    [
        ((POINT,), "1.25"),
        ((COMMA,), "1,25"),
        ((APOSTROPHE,), "1'25"),
        ((POINT, UPPER_DOT), "1:25"),
        ((MINUS,), "-125"),
        ((MINUS, COMMA), "-1,25"),
        (((-12, 20, -6, 23),), "125"),  # a speck, if flat
        ((SPECK,), "125"),
        ((UPPER_DOT,), "125"),  # half-way up it is no mark we know
        ((), "125"),
    ],
)
def test_marks_are_kept_where_they_stand(marks, text):
    [number] = numbers("125", *marks)
    assert number.text == text
    assert "".join(digit.text for digit in number.digits) == "125"


def test_each_mark_keeps_its_place():
    comma = (148, 34, 155, 51)
    assert texts("1234567", POINT, comma) == ["1.234,567"]


def test_a_mark_joins_digits_that_stand_apart():
    one, two = (Digit(text, 1.0, Box(left, 0, left + 24, 40)) for text, left in (("1", 0), ("2", 56)))
    for low, read in (((), ["1", "2"]), (((37, 34, 43, 40),), ["1.2"])):
        found = arrange_numbers((one, two), surroundings(low), LayoutSettings())
        assert [number.text for number in found] == read


def test_a_dash_with_a_digit_before_it_is_no_sign():
    assert texts("1   2", (138, 18, 154, 24)) == ["1", "-2"]
    assert texts("125", (24, 18, 39, 24)) == ["125"]


def test_dashes_that_fill_an_amount_are_no_sign():
    assert texts("125", MINUS, (112, 18, 130, 24)) == ["125"]


def test_a_colon_may_stand_above_the_line():
    assert texts("125", (29, 24, 35, 30), (29, 8, 35, 14)) == ["1:25"]
    assert texts("125", (29, 24, 35, 30), (29, 20, 35, 26)) == ["125"]  # too near for two dots


def test_a_dash_between_digits_that_stand_apart_parts_a_date():
    one, two = (Digit(text, 1.0, Box(left, 0, left + 24, 40)) for text, left in (("1", 0), ("2", 56)))
    [number] = arrange_numbers((one, two), surroundings([(33, 18, 47, 24)]), LayoutSettings())
    assert number.text == "1-2"


def test_a_mark_may_reach_into_the_digits_of_a_string():
    for who, text in (("alone", "12"), ("string", "1.2")):
        one, two = (
            Digit(letter, 1.0, Box(left, 0, left + 28, 40), (), looks=Looks(who))
            for letter, left in (("1", 0), ("2", 28))
        )
        [number] = arrange_numbers((one, two), surroundings([(25, 34, 33, 40)]), LayoutSettings())
        assert number.text == text


def test_commas_as_high_as_half_a_digit_are_taken_out_before_strings_are_read():
    comma = Digit("1", 0.4, Box(27, 34, 35, 54))
    unread = Digit("", 0.4, Box(27, 34, 35, 54))
    for mark in (comma, unread):
        left, about = find_commas((*digits("12"), mark), surroundings([]), LayoutSettings())
        assert (left, about.low.boxes.tolist()) == (digits("12"), [[27, 34, 35, 54]])
    low_one = Digit("1", 0.4, Box(27, 16, 35, 40))
    left, about = find_commas((*digits("12"), low_one), surroundings([]), LayoutSettings())
    assert (len(left), len(about.low)) == (3, 0)


def test_a_string_that_may_be_a_date_whose_slashes_were_read_as_1s_goes_to_review():
    for who, text, reason in (
        ("string", "1210511987", "may-be-date"),
        ("alone", "1210511987", ""),
        ("string", "1234567890", ""),
    ):
        read = tuple(replace(digit, looks=Looks(who)) for digit in digits(text))
        [number] = arrange_numbers(read, surroundings([]), LayoutSettings())
        assert (number.text, number.review, number.reason) == (text, bool(reason), reason)


def test_a_point_on_a_ruled_line_may_be_left_of_it():
    [number] = numbers("125", POINT, line=(0, 37, 200, 37))
    assert (number.text, number.unclear_mark) == ("125", True)
    [number] = numbers("125", (28, 35, 36, 39), line=(0, 37, 200, 37))
    assert (number.text, number.unclear_mark) == ("125", False)
    [number] = numbers("125", COMMA, line=(0, 43, 200, 43))
    assert number.text == "1,25"


def test_ink_that_may_be_a_mark_makes_a_number_doubtful():
    [sure], [doubtful] = numbers("125"), numbers("125", UPPER_DOT)
    assert doubtful.confidence < 0.6
    assert sure.confidence > 0.9


def test_what_is_left_of_a_ruled_line_is_no_point():
    assert texts("125", POINT, line=(0, 37, 200, 37)) == ["125"]


def test_where_dirt_is_as_large_as_a_point_there_are_no_points():
    dirt = [(x, 300, x + 8, 308) for x in range(0, 600, 20)]
    assert texts("125", POINT, *dirt) == ["125"]


def test_a_long_comma_read_as_a_1_hangs_under_the_line_and_a_low_1_stands_on_it():
    one, two = digits("12")
    for bottom, text in ((60, "1,2"), (44, "112")):
        mark = Digit("1", 0.9, Box(28, bottom - 28, 36, bottom))
        [number] = arrange_numbers((one, mark, two), surroundings([]), LayoutSettings())
        assert number.text == text


def test_a_large_comma_read_as_a_1_is_a_comma():
    one, two = digits("12")
    comma = Digit("1", 0.9, Box(28, 32, 35, 52))
    [number] = arrange_numbers((one, comma, two), surroundings([]), LayoutSettings())
    assert number.text == "1,2"


@pytest.mark.parametrize(
    ("text", "slashes", "height", "read"),
    [
        ("12103", [2], 52, "12/03"),
        ("12103124", [2, 5], 44, "12/03/24"),
        ("12103", [2], 40, "12103"),  # as high as the rest: a 1
        ("12345", [], 40, "12345"),
        ("123145", [3], 52, "123145"),  # no date
    ],
)
def test_high_leaning_1s_that_part_a_date_are_slashes(text, slashes, height, read):
    # A slash leans, a 1 does not.
    shown = tuple(
        Digit(letter, 1.0, Box(32 * place, 40 - height, 32 * place + 22, 40))
        if place in slashes
        else Digit(letter, 1.0, Box(32 * place + 6 * (letter == "1"), 0, 32 * place + 24 - 6 * (letter == "1"), 40))
        for place, letter in enumerate(text)
    )
    [number] = arrange_numbers(shown, surroundings([]), LayoutSettings())
    assert number.text == read


def test_a_drawn_number_keeps_its_point_and_its_sign():
    gray = np.full((300, 900), 245, np.uint8)
    for text, left in (("42", 200), ("57", 350)):
        cv2.putText(gray, text, (left, 180), cv2.FONT_HERSHEY_SIMPLEX, 3, 30, 7, cv2.LINE_AA)
    cv2.circle(gray, (336, 176), 6, 30, -1, cv2.LINE_AA)
    cv2.line(gray, (140, 148), (180, 148), 30, 7, cv2.LINE_AA)
    assert [number.text for number in read_page(Page(gray), load_model(), Settings())] == ["-42.57"]
