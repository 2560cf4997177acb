from dataclasses import replace

import numpy as np
import pytest

from docscan.records import Alternative, Box, Digit, LowInk, Rulings, Surroundings
from docscan.settings import LayoutSettings, StringSettings
from docscan.stages.reread import find_doubtful, settle
from docscan.stages.strings import StringReading

NO_LINES = np.zeros((0, 4), np.float32)
BARE = Surroundings(Rulings(NO_LINES, NO_LINES[:, 0], NO_LINES, NO_LINES[:, 0]))


def row(texts, *, confidence=0.99, width=20):
    """Readings side by side, "?" for what was not read."""
    return tuple(
        Digit("" if text == "?" else text, confidence, Box(24 * place, 10, 24 * place + width, 40))
        for place, text in enumerate(texts)
    )


def doubtful(readings, about=BARE, lone=()):
    boxes = np.array(lone, np.int32).reshape(-1, 4)
    return find_doubtful(readings, about, boxes, LayoutSettings(), StringSettings())


def string(text, probability, *alternatives):
    columns = tuple((24.0 * place, 24.0 * place + 20) for place in range(len(text)))
    return StringReading(text, probability, probability, tuple(Alternative(*other) for other in alternatives), columns)


def settled(readings, reading, about=BARE, lone=()):
    """The text and the confidence of the one chain, read again as `reading`."""
    found = doubtful(readings, about, lone)
    assert len(found.boxes) == 1
    left = sorted(settle(readings, found, [reading], about, StringSettings()).readings, key=lambda one: one.box.left)
    return "".join(one.text or "?" for one in left), float(np.prod([one.confidence for one in left if one.text]))


def test_a_page_without_ink_has_nothing_in_doubt():
    found = doubtful(())
    assert (found.boxes.shape, found.members) == ((0, 4), ())
    assert settle((), found, (), BARE, StringSettings()).readings == ()


def test_sure_digits_are_not_read_again():
    assert len(doubtful(row("123", confidence=0.999)).boxes) == 0


def test_a_chain_of_doubtful_digits_is_read_again_as_one():
    found = doubtful(row("123", confidence=0.9))
    assert found.boxes.tolist() == [[0, 10, 68, 40]]
    assert [members.tolist() for members in found.members] == [[0, 1, 2]]


@pytest.mark.parametrize(("label", "left"), [("5??0", 96), ("5500", 0), ("?", 0)])
def test_a_label_hard_by_a_number_is_no_part_of_what_is_read_again(label, left):
    """Small, of many letters, and not all of them like digits."""
    low = [replace(one, box=one.box._replace(top=26)) for one in row(label)]
    number = [
        replace(one, box=one.box._replace(left=one.box.left + 24 * len(low), right=one.box.right + 24 * len(low)))
        for one in row("123", confidence=0.9)
    ]
    tall = [replace(one, box=one.box._replace(top=110, bottom=140)) for one in row("77777", confidence=0.999)]
    assert doubtful((*low, *number, *tall)).boxes[:, 0].tolist() == [left]


@pytest.mark.parametrize(
    ("crumb", "again"),
    [
        ((-8, 12, -2, 17), 1),  # before a 1, near its top: the bar of a 7 that broke
        ((-8, 36, -2, 41), 0),  # at its foot: a point
        ((-6, 12, -4, 14), 0),  # a speck
    ],
)
def test_sure_digits_are_read_again_where_a_crumb_lies_above_their_foot(crumb, again):
    about = replace(BARE, low=LowInk(np.array([crumb], np.int32), 4.0))
    assert len(doubtful(row("123", confidence=0.999), about).boxes) == again


def lines_of(confidences):
    """A number of two digits on each line, its digits as sure as named."""
    return tuple(
        Digit(text, confidence, Box(24 * place, 100 * line, 24 * place + 20, 100 * line + 30))
        for line, confidence in enumerate(confidences)
        for place, text in enumerate("21")
    )


@pytest.mark.parametrize(("doubts", "sure", "again"), [(4, 4, 4), (5, 5, 10), (5, 30, 5), (5, 80, 5)])
def test_where_many_numbers_are_in_doubt_all_are_read_again(doubts, sure, again):
    found = doubtful(lines_of([0.9] * doubts + [0.999] * sure))
    assert len(found.boxes) == again
    assert sorted(found.expected) == [""] * doubts + ["21"] * (again - doubts)


def test_where_fewer_hold_ink_not_read_all_are_read_again():
    unread = tuple(Digit("", 0.0, Box(24, 100 * line, 44, 100 * line + 30)) for line in range(4))
    readings = lines_of([0.9] * 5 + [0.999] * 30)
    broken = tuple(one for one in readings if one.box.left == 0 or one.box.top >= 400) + unread
    assert [len(doubtful(each).boxes) for each in (readings, broken)] == [5, 35]


def test_what_is_sure_beyond_doubt_needs_no_second_look_among_many_in_doubt():
    found = doubtful(lines_of([0.9] * 5 + [0.999, 0.9999]))
    assert (len(found.boxes), found.expected) == (6, ("",) * 5 + ("21",))


@pytest.mark.parametrize(("text", "believed", "confidence"), [("21", "confirmed", 0.999), ("211", "string", 0.965)])
def test_sure_digits_on_a_crowded_page_are_confirmed_or_not(text, believed, confidence):
    readings = lines_of([0.9] * 5 + [0.999])
    found = doubtful(readings)
    strings = [string("21", 0.9)] * 5 + [string(text, 0.98)]
    left = settle(readings, found, strings, BARE, StringSettings()).readings
    [last] = {digit.looks.believed for digit in left if digit.box.top == 500}
    assert last == believed
    assert min(digit.confidence for digit in left if digit.box.top == 500) == pytest.approx(confidence, abs=0.001)


def test_ink_that_was_not_read_puts_its_chain_in_doubt():
    assert doubtful(row("1?3", width=30)).unread.tolist() == [1]


def test_ink_nobody_tried_to_read_is_part_of_the_chain():
    about = Surroundings(BARE.rulings, LowInk(), np.array([[24, 10, 120, 40]], np.int32))
    found = doubtful(row("1"), about)
    assert found.boxes.tolist() == [[0, 10, 120, 40]]


@pytest.mark.parametrize("word", ["????", "5?0??", "?00??"])
def test_a_word_is_not_read_as_a_string(word):
    assert len(doubtful(row(word)).boxes) == 0


def test_a_word_on_a_page_of_numbers_is_read_as_a_string():
    numbers = tuple(Digit("7", 0.999, Box(24 * place, 100, 24 * place + 20, 130)) for place in range(24))
    assert doubtful(row("????") + numbers).boxes.tolist() == [[0, 10, 92, 40]]


def test_small_print_beside_writing_is_not_read_as_a_string():
    writing = tuple(Digit("7", 0.999, Box(24 * place, 100, 24 * place + 20, 160)) for place in range(4))
    assert len(doubtful(row("5?", confidence=0.999)).boxes) == 1
    assert len(doubtful(row("5?", confidence=0.9) + writing).boxes) == 0
    assert len(doubtful(row("57", confidence=0.9) + writing).boxes) == 1  # all of it read: a small number


def test_two_readers_that_agree_are_surer_than_each():
    text, confidence = settled(row("12", confidence=0.9), string("12", 0.9))
    assert text == "12"
    assert confidence > 0.95


def test_the_surer_of_two_readers_is_believed_but_less():
    text, confidence = settled(row("12", confidence=0.8), string("72", 0.95))
    assert text == "72"
    assert 0.64 < confidence < 0.95


def test_a_less_sure_string_makes_the_digits_less_sure():
    text, confidence = settled(row("12", confidence=0.94), string("72", 0.5, ("12", 0.4)))
    assert text == "12"
    assert confidence == pytest.approx(0.94**2, abs=0.01)
    assert settled(row("12", confidence=0.94), string("72", 0.8))[1] < 0.7


def test_touching_digits_come_out_of_the_string():
    about = Surroundings(BARE.rulings, LowInk(), np.array([[20, 10, 120, 40]], np.int32))
    readings = row("?", width=18)
    found = doubtful(readings, about)
    left = settle(readings, found, [string("4711", 0.97, ("4717", 0.02))], about, StringSettings())
    assert [digit.text for digit in left.readings] == ["4", "7", "1", "1"]
    assert left.readings[3].alternatives == (Alternative("7", 0.02),)
    assert len(left.about.runs) == 0


def test_ink_with_no_digit_in_it_needs_a_sure_string():
    readings = row("?", width=40)
    assert settled(readings, string("12", 0.15))[0] == "?"
    assert settled(readings, string("12", 0.9))[0] == "12"
    assert settled(readings, string("", 0.99))[0] == "?"


def test_points_in_a_string_stay_and_pieces_of_its_digits_go():
    low = LowInk(np.array([[20, 36, 24, 40], [2, 30, 22, 40]], np.int32), 4.0)
    about = Surroundings(BARE.rulings, low)
    readings = row("?", width=40)
    left = settle(readings, doubtful(readings, about), [string("12", 0.9)], about, StringSettings())
    assert left.about.low.boxes.tolist() == [[20, 36, 24, 40]]


def test_a_picture_of_one_line_is_read_again_however_sure_its_digits_are():
    found = doubtful(row("123"), lone=[[0, 10, 68, 40]])
    assert found.boxes.tolist() == [[0, 10, 68, 40]]
    assert [members.tolist() for members in found.members] == [[0, 1, 2]]


def test_what_no_string_of_one_line_holds_goes_where_the_string_is_believed():
    side = Digit("1", 0.97, Box(80, 0, 84, 50))
    lone = [[0, 10, 44, 40]]
    assert settled((*row("12", confidence=0.9), side), string("12", 0.95), lone=lone)[0] == "12"
    assert settled((*row("12", confidence=0.99), side), string("12", 0.25), lone=lone)[0] == "12"
    assert settled((*row("12", confidence=0.99), side), string("12", 0.22), lone=lone)[0] == "121"


def test_a_string_with_all_the_digits_and_one_more_is_believed_sooner():
    assert settled(row("23"), string("123", 0.75), lone=[[0, 10, 44, 40]])[0] == "123"
    assert settled(row("23"), string("73", 0.75), lone=[[0, 10, 44, 40]])[0] == "23"


def test_a_rival_makes_no_reading_surer():
    for unread in ("", "?"):
        confidence = settled(row(f"12{unread}", width=30, confidence=0.9), string("72", 0.201))[1]
        assert confidence == pytest.approx(0.81)


def test_ink_that_a_string_was_read_from_is_read_once():
    # 17 was read from the chain of the 7 and from the 1 beside it, that a ruling sets apart.
    one, seven, two = Digit("1", 0.9, Box(0, 10, 20, 40)), Digit("", 0.9, Box(60, 10, 90, 40)), row("1")[0]
    found = doubtful((one, seven), lone=[[60, 10, 90, 40]])
    reading = StringReading("17", 0.99, 0.99, (), ((0.0, 22.0), (60.0, 90.0)))
    left = settle((one, seven, two), found, [reading], BARE, StringSettings())
    assert [digit.text for digit in left.readings] == ["1", "7"]


def test_of_two_strings_from_the_same_ink_the_surer_is_believed():
    found = doubtful(row("?", width=40), lone=[[0, 10, 40, 40], [4, 10, 44, 40]])
    readings = [
        StringReading("17", 0.9, 0.9, (), ((0.0, 20.0), (20.0, 44.0))),
        StringReading("7", 0.95, 0.95, (), ((0.0, 44.0),)),
    ]
    left = settle(row("?", width=40), found, readings, BARE, StringSettings())
    assert [digit.text for digit in left.readings] == ["7"]


@pytest.mark.parametrize(
    ("stain", "lone", "rows"),
    [((52, 0, 60, 56), (), (10, 40)), ((52, 6, 60, 46), (), (6, 46)), ((52, 0, 60, 56), [[0, 0, 104, 56]], (0, 56))],
)
def test_a_stain_among_digits_makes_them_no_higher(stain, lone, rows):
    about = Surroundings(BARE.rulings, LowInk(), np.array([stain], np.int32))
    readings = row("12") + tuple(Digit("3", 0.9, Box(24 * place, 10, 24 * place + 20, 40)) for place in (3,))
    found = doubtful(readings, about, lone)
    left = settle(readings, found, [string("1237", 0.99)], about, StringSettings()).readings
    assert {(digit.text, digit.box.top, digit.box.bottom) for digit in left} == {(text, *rows) for text in "1237"}
