from docscan.records import Box, Digit
from docscan.settings import LayoutSettings
from docscan.stages.frames import leave_out_frame

PAGE = (60, 100)


def reading(text, left, top, right, bottom):
    return Digit(text, 0.9, Box(left, top, right, bottom))


def left_of(*readings):
    return [one.text for one in leave_out_frame(readings, PAGE, LayoutSettings())]


SEVEN, NINE = reading("7", 20, 20, 40, 50), reading("9", 45, 20, 65, 50)


def test_nothing_stays_nothing():
    assert left_of() == []


def test_the_line_of_a_cell_hard_by_the_edge_goes():
    assert left_of(SEVEN, NINE, reading("1", 95, 2, 98, 40), reading("", 1, 0, 3, 30)) == ["7", "9"]


def test_a_line_of_a_table_that_the_picture_cuts_off_goes():
    assert left_of(SEVEN, NINE, reading("1", 50, 50, 52, 60), reading("1", 30, 0, 32, 11)) == ["7", "9"]
    assert left_of(SEVEN, NINE, reading("1", 50, 51, 52, 59)) == ["7", "9", "1"]


def test_a_one_further_in_stays():
    assert left_of(SEVEN, NINE, reading("1", 80, 2, 83, 40)) == ["7", "9", "1"]


def test_a_one_that_begins_and_ends_with_the_other_digits_stays():
    assert left_of(SEVEN, NINE, reading("1", 95, 21, 98, 51)) == ["7", "9", "1"]


def test_a_one_with_a_flag_stays():
    assert left_of(SEVEN, NINE, reading("1", 86, 2, 98, 40)) == ["7", "9", "1"]


def test_a_one_alone_stays():
    assert left_of(reading("1", 95, 2, 98, 40)) == ["1"]


def test_a_short_piece_of_a_cells_side_goes_however_thick():
    assert left_of(SEVEN, NINE, reading("1", 88, 38, 97, 70)) == ["7", "9"]


def test_a_one_that_may_be_a_cells_side_is_in_doubt():
    [_, _, one] = leave_out_frame((SEVEN, NINE, reading("1", 88, 26, 97, 58)), PAGE, LayoutSettings())
    assert (one.text, one.confidence) == ("1", 0.45)
