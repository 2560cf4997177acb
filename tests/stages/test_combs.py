from dataclasses import replace

import numpy as np
import pytest

from docscan.records import Box, Digit, Rulings, Surroundings
from docscan.settings import LayoutSettings
from docscan.stages.combs import restore_dividers
from docscan.stages.layout import arrange_numbers
from docscan.stages.words import leave_out_words

CELL = 50  # pixels wide, 60 high; digits are 40 high


def lines(*segments):
    return np.array(segments, np.float32).reshape(-1, 4), np.full(len(segments), 3, np.float32)


def grid(*, columns, rows=1, cell=CELL, left=0, top=0):
    """A table's lines: horizontal ones, upright ones."""
    right, bottom = left + columns * cell, top + rows * 60
    across = [(left, top + row * 60, right, top + row * 60) for row in range(rows + 1)]
    upright = [(left + column * cell, top, left + column * cell, bottom) for column in range(columns + 1)]
    return across, upright


def rulings(*grids):
    across = [line for lines_across, _ in grids for line in lines_across]
    upright = [line for _, lines_upright in grids for line in lines_upright]
    return Rulings(*lines(*across), *lines(*upright))


def written(text, *, cell=CELL, left=0, top=10, width=24):
    """A digit in the middle of every cell, a blank leaves its cell empty."""
    middles = [left + round((place + 0.5) * cell) for place in range(len(text))]
    return [
        Digit(digit, 1.0, Box(middle - width // 2, top, middle + width // 2, top + 40))
        for digit, middle in zip(text, middles, strict=True)
        if digit != " "
    ]


def texts(digits, ruled):
    return [number.text for number in arrange_numbers(tuple(digits), Surroundings(ruled), LayoutSettings())]


def test_a_comb_is_one_number():
    assert texts(written("0042"), rulings(grid(columns=4))) == ["0042"]


def test_a_thin_1_in_a_comb_is_part_of_its_number():
    assert texts(written("111", width=4), rulings(grid(columns=3))) == ["111"]


def test_two_combs_side_by_side_are_two_numbers():
    ruled = rulings(grid(columns=2), grid(columns=2, left=130), grid(columns=4, left=260))
    digits = [*written("31"), *written("12", left=130), *written("2024", left=260)]
    assert texts(digits, ruled) == ["31", "12", "2024"]


def test_an_empty_cell_ends_a_number():
    assert texts(written("12 34"), rulings(grid(columns=5))) == ["12", "34"]


@pytest.mark.parametrize("rows", [2, 9])
def test_cells_of_a_table_are_numbers_of_their_own(rows):
    assert texts(written("574"), rulings(grid(columns=3, rows=rows))) == ["5", "7", "4"]


def test_a_row_of_wide_cells_is_no_comb():
    assert texts(written("57", cell=100), rulings(grid(columns=2, cell=100))) == ["5", "7"]


def test_a_digit_beside_a_cell_whose_ink_was_not_read_knows():
    one, unread, other = (replace(digit, text=digit.text.strip("?")) for digit in written("1?2"))
    crumb = Digit("", 0.9, Box(110, 40, 116, 46))
    about = Surroundings(rulings(grid(columns=5)))
    far = written("7", left=200)[0]
    digits = leave_out_words((one, unread, other, crumb, far), about, LayoutSettings())
    assert [(digit.text, digit.beside_unread) for digit in digits] == [("1", True), ("2", True), ("7", False)]


def test_cells_of_unequal_width_are_no_comb():
    ruled = rulings(grid(columns=1, cell=30), grid(columns=1, left=30, cell=60))
    digits = [*written("5", cell=30, width=20), *written("7", cell=60, left=30)]
    assert texts(digits, ruled) == ["5", "7"]


def test_a_cell_of_two_digits_is_not_of_a_comb():
    digits = [*written("5"), *written("12", cell=25, left=50, width=16), *written("7", left=100)]
    assert texts(digits, rulings(grid(columns=3))) == ["5", "12", "7"]


@pytest.mark.parametrize(("apart", "numbers"), [(20, ["735"]), (45, ["7", "3", "5"])])
def test_boxes_that_stand_a_little_apart_are_one_comb(apart, numbers):
    ruled = rulings(*(grid(columns=1, left=place * (CELL + apart)) for place in range(3)))
    assert texts(written("735", cell=CELL + apart, left=-apart // 2), ruled) == numbers


def test_a_flat_digit_does_not_break_its_comb():
    [first, last] = written("52")
    flat = Digit("5", 1.0, Box(first.box.left, 30, first.box.right, 50))
    others = written("0123", top=110)
    ruled = rulings(grid(columns=2), grid(columns=4, top=100))
    assert texts([flat, last, *others], ruled) == ["52", "0123"]


def test_a_form_nobody_has_filled_in_has_no_numbers():
    assert texts([], rulings(grid(columns=5))) == []


def without(ruled, *uprights):
    """Rulings of which some uprights, by number, have faded."""
    keep = [row for row in range(len(ruled.vertical)) if row not in uprights]
    return replace(ruled, vertical=ruled.vertical[keep], vertical_px=ruled.vertical_px[keep])


def texts_of_combs(digits, ruled):
    digits, about = restore_dividers(tuple(digits), Surroundings(ruled), LayoutSettings())
    return [number.text for number in arrange_numbers(digits, about, LayoutSettings())]


@pytest.mark.parametrize("faded", [(1,), (2,), (1, 2), (3,)])
def test_dividers_that_have_faded_are_put_back(faded):
    ruled = without(rulings(grid(columns=5)), *faded)
    digits = written("90127")
    assert texts(digits, ruled) != ["90127"]
    assert texts_of_combs(digits, ruled) == ["90127"]


def test_a_divider_that_both_lines_of_a_comb_tell_of_is_put_back_once():
    ruled = without(rulings(grid(columns=5)), 2)
    ruled.vertical[1] += [0, 20, 2, 0]  # the upper line does not know it, and it leans
    _, about = restore_dividers(tuple(written("90127")), Surroundings(ruled), LayoutSettings())
    assert about.rulings.vertical[5:, 0].tolist() == [100]


def test_what_is_left_of_a_divider_is_no_1():
    ruled = without(rulings(grid(columns=4)), 2)
    digits = written("9012")
    left_over = Digit("1", 0.9, Box(98, 5, 103, 55))
    assert texts_of_combs([*digits[:2], left_over, *digits[2:]], ruled) == ["9012"]


def test_a_wide_cell_whose_digits_stand_as_they_like_stays_one():
    ruled = without(rulings(grid(columns=4)), 2)
    digits = [*written("9"), *written("12", left=55, cell=30, width=16), *written("7", left=150)]
    _, about = restore_dividers(tuple(digits), Surroundings(ruled), LayoutSettings())
    assert len(about.rulings.vertical) == 4


def test_a_table_whose_columns_are_wide_keeps_its_cells():
    ruled = without(rulings(grid(columns=5, rows=3)), 2)
    _, about = restore_dividers(tuple(written("90127")), Surroundings(ruled), LayoutSettings())
    assert about.rulings is ruled
