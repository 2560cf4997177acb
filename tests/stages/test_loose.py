import numpy as np
import pytest

from docscan.records import Box, Digit, LowInk, Rulings
from docscan.settings import StringSettings
from docscan.stages.loose import loose_strokes, lost_to_rulings

DIGITS = [(0, 0, 20, 40), (60, 0, 80, 40)]


def lengths(*low, digits=DIGITS):
    boxes = (np.array(each, np.int32).reshape(-1, 4) for each in (digits, low))
    digits, low = boxes
    return loose_strokes(digits, LowInk(low, 4.0), StringSettings()).tolist()


def test_without_low_ink_or_digits_nothing_is_loose():
    assert lengths() == [0, 0]
    assert lengths((10, 5, 30, 9), digits=[]) == []


@pytest.mark.parametrize(
    ("low", "expected"),
    [
        ((25, 0, 45, 4), [0.5, 0]),  # 5 px from one, 15 from the other: the bar of a 5
        ((-16, 10, -6, 26), [0.4, 0]),  # left of one: half of a broken 4
        ((22, -30, 42, -26), [0, 0]),  # far above
        ((2, 4, 18, 8), [0, 0]),  # a piece of the digit itself
        ((100, 10, 120, 14), [0, 0]),  # far off
        ((24, 34, 30, 50), [0, 0]),  # a comma
    ],
)
def test_a_piece_beside_a_digit_may_be_a_stroke_of_it(low, expected):
    assert lengths(low) == expected


def test_the_longest_piece_counts():
    assert lengths((-10, 10, -6, 14), (-10, 20, -6, 32)) == [0.3, 0]


def test_what_lies_above_the_loop_of_a_6_is_as_near_as_whole_digits_are_high():
    loop, whole, stroke = (0, 16, 20, 40), (60, 0, 80, 40), (12, 0, 22, 10)
    assert lengths(stroke, digits=[loop, whole, whole]) == pytest.approx([10 / 24, 0, 0])
    assert lengths(stroke, digits=[loop, loop, whole]) == [0, 0, 0]  # it is no lower than others


@pytest.mark.parametrize(
    ("text", "top", "lost"),
    [("1", 100, True), ("1", 112, False), ("7", 60, True), ("7", 50, False), ("1", 60, False), ("4", 60, False)],
    ids=["hangs", "below", "stands", "above", "one stands", "another"],
)
def test_a_1_that_hangs_from_a_ruling_and_a_7_that_stands_on_one_may_have_lost_a_stroke(text, top, lost):
    line = np.array([[0, 100, 500, 110]], np.float32)  # at 100: 102
    rulings = Rulings(line, np.full(1, 4, np.float32), np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
    digit = Digit(text, 0.99, Box(90, top, 110, top + 40))
    other = Digit(text, 0.99, Box(590, top, 610, top + 40))  # right of the line's end
    assert lost_to_rulings([digit, other], rulings, StringSettings()).tolist() == [lost, False]
    none = Rulings(*(np.zeros(shape, np.float32) for shape in ((0, 4), 0, (0, 4), 0)))
    assert lost_to_rulings([digit], none, StringSettings()).tolist() == [False]
