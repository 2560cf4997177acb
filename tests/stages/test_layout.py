import numpy as np
import pytest

from docscan.records import Box, Digit, Rulings, Surroundings
from docscan.settings import LayoutSettings, Settings
from docscan.stages.layout import arrange_numbers
from docscan.stages.trust import weigh_numbers
from docscan.stages.words import leave_out_words


def upright(*lines):
    lines = np.array(lines, np.float32).reshape(-1, 4)
    none = np.zeros((0, 4), np.float32)
    return Rulings(none, np.zeros(0, np.float32), lines, np.full(len(lines), 3, np.float32))


NO_RULINGS = upright()


def digit(text, left, top, width=20, height=40, confidence=1.0):
    return Digit(text, confidence, Box(left, top, left + width, top + height))


def arrange(*digits, rulings=NO_RULINGS):
    about = Surroundings(rulings)
    return weigh_numbers(arrange_numbers(digits, about, LayoutSettings()), about, {}, 0.9, Settings())


def texts(*digits):
    return [(number.line, number.position, number.text) for number in arrange(*digits)]


def test_no_digits_make_no_numbers():
    assert arrange() == ()


def test_a_lone_digit_is_a_number():
    [number] = arrange(digit("7", 10, 10))
    assert (number.text, number.line, number.position, number.box) == ("7", 1, 1, Box(10, 10, 30, 50))


def test_leading_zeros_are_kept():
    assert texts(digit("0", 0, 0), digit("0", 25, 2), digit("7", 50, 0)) == [(1, 1, "007")]


def test_a_wide_gap_ends_a_number():
    assert texts(digit("4", 0, 0), digit("2", 30, 0), digit("5", 120, 0)) == [(1, 1, "42"), (1, 2, "5")]


def test_a_1_beside_a_7_is_one_number():
    assert texts(digit("1", 0, 0, width=5), digit("7", 20, 0)) == [(1, 1, "17")]


def test_lines_read_top_to_bottom_whatever_order_digits_come_in():
    assert texts(digit("3", 0, 200), digit("1", 100, 0), digit("2", 0, 100)) == [(1, 1, "1"), (2, 1, "2"), (3, 1, "3")]


def test_a_skewed_line_is_one_line():
    assert texts(*[digit(str(k), 100 * k, 12 * k) for k in range(10)]) == [(1, k + 1, str(k)) for k in range(10)]


def test_a_digit_above_the_line_is_another_number():
    assert len(arrange(digit("1", 0, 0), digit("2", 22, 45))) == 2


def test_overlapping_boxes_of_slanted_digits_are_one_number():
    assert texts(digit("1", 0, 0, width=20), digit("1", 15, 0, width=20)) == [(1, 1, "11")]


@pytest.mark.parametrize(("confidences", "review"), [((0.99, 0.99), False), ((0.94, 0.94), True)])
def test_a_number_is_as_sure_as_all_its_digits(confidences, review):
    [number] = arrange(*[digit("1", 25 * k, 0, confidence=chance) for k, chance in enumerate(confidences)])
    assert number.confidence == pytest.approx(confidences[0] * confidences[1], abs=1e-4)
    assert (number.review, number.reason) == (review, "low-confidence" if review else "")


def kept(text):
    """What is left of a string of digits and letters, a letter a dot."""
    readings = tuple(digit(letter.strip("."), 25 * place, 0) for place, letter in enumerate(text) if letter != " ")
    return "".join(reading.text for reading in leave_out_words(readings, Surroundings(NO_RULINGS), LayoutSettings()))


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("", ""),
        ("...", ""),
        ("5", "5"),
        ("5..", ""),  # SUM
        (".1..11.", ""),  # fields
        (".00.", ""),  # Room
        (".50", "50"),  # £50
        ("5.", "5"),
        ("12.34", "1234"),
        ("1...   42", "42"),  # 1ere, and 42 further on
    ],
)
def test_digits_among_letters_are_a_word(text, left):
    assert kept(text) == left


def test_a_number_beside_ink_that_was_not_read_goes_to_review():
    readings = (digit("1", 0, 0), digit("", 25, 0, width=45), digit("7", 75, 0), digit("5", 300, 0))
    numbers = arrange(*leave_out_words(readings, Surroundings(NO_RULINGS), LayoutSettings()))
    assert [(n.text, n.review, n.reason) for n in numbers] == [
        ("1", True, "touching"),
        ("7", True, "touching"),
        ("5", False, ""),
    ]


def test_a_flat_5_beside_a_tall_6_is_one_number():
    assert texts(digit("6", 0, 0), digit("5", 30, 22, width=36, height=18), digit("9", 80, 0)) == [(1, 1, "659")]


@pytest.mark.parametrize(
    ("line", "numbers"),
    [
        ((22, 0, 22, 100), ["1", "2"]),
        ((16, 0, 30, 40), ["1", "2"]),  # skewed
        ((22, 60, 22, 200), ["12"]),  # below them
        ((90, 0, 90, 100), ["12"]),  # beside them
    ],
)
def test_a_number_ends_at_an_upright_ruling(line, numbers):
    assert [n.text for n in arrange(digit("1", 0, 0), digit("2", 25, 0), rulings=upright(line))] == numbers


def test_a_number_that_may_be_cut_in_two_or_two_joined_is_not_sure():
    joined, cut = (arrange(digit("4", 0, 0), digit("2", 20 + gap, 0)) for gap in (28, 32))
    assert [number.text for number in joined] == ["42"]
    assert [number.text for number in cut] == ["4", "2"]
    assert all(number.review for number in (*joined, *cut))
    assert not any(number.review for number in arrange(digit("4", 0, 0), digit("2", 60, 0)))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ((-10, 22, 80, 18), "struck-through"),
        ((-300, 20, 400, 20), ""),  # a ruled line
        ((-10, 42, 80, 42), ""),  # underlined
    ],
)
def test_a_number_with_a_line_of_its_own_through_it_is_struck_through(line, reason):
    across = np.array([line], np.float32)
    none = np.zeros((0, 4), np.float32)
    rulings = Rulings(across, np.ones(1, np.float32), none, np.zeros(0, np.float32))
    [number] = arrange(*(digit(str(k), 25 * k, 0) for k in range(3)), rulings=rulings)
    assert (number.text, number.review, number.reason) == ("012", reason != "", reason)
