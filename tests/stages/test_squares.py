import numpy as np
import pytest

from docscan.records import Box, Digit, InkMask, Rulings, Squares, Surroundings, Unruled
from docscan.settings import ComponentSettings, LayoutSettings, RulingSettings
from docscan.stages.rulings import remove_rulings
from docscan.stages.squares import (
    darkness_of,
    find_squares,
    leave_out_sides,
    leave_out_squares,
    squared_neighbours,
)
from docscan.stages.words import leave_out_words

SIDE = 1000


def lines(places, length=SIDE, slope=0.0):
    """Horizontal lines (N, 4) from edge to edge."""
    half = slope * length / 2
    return np.array([[0, place - half, length, place + half] for place in places], np.float32).reshape(-1, 4)


def rulings(rows, columns, slope=0.0):
    flat, upright = lines(rows, slope=slope), lines(columns, slope=-slope)[:, [1, 0, 3, 2]]
    return Rulings(flat, np.full(len(flat), 2, np.float32), upright, np.full(len(upright), 2, np.float32))


def squares_of(found, ink=None):
    flat, upright = found.horizontal.astype(np.float64), found.vertical.astype(np.float64)[:, [1, 0, 3, 2]]
    return find_squares(flat, upright, np.zeros((SIDE, SIDE), np.uint8) if ink is None else ink, RulingSettings())


def test_lines_both_ways_at_one_distance_are_squared_paper():
    every = np.arange(20, SIDE, 40)
    found = squares_of(rulings(every, every + 3))
    assert found.across == pytest.approx(every, abs=0.1)
    assert found.along == pytest.approx(every + 3, abs=0.1)


def test_squared_paper_may_lie_a_little_askew_and_miss_lines():
    every = np.arange(20, SIDE, 40)
    found = squares_of(rulings(np.delete(every, [4, 6, 8, 10, 11, 17, 20]), every, slope=0.01))
    assert found.across_slopes == pytest.approx(0.01, abs=0.001)
    assert found.along_slopes == pytest.approx(-0.01, abs=0.001)
    assert found.across == pytest.approx(every, abs=0.5)


@pytest.mark.parametrize(
    ("rows", "columns"),
    [
        (np.arange(20, SIDE, 40), np.arange(20, SIDE, 80)),  # the cells of a table
        (np.arange(20, SIDE, 100), np.arange(20, SIDE, 100)),  # a sudoku
        (np.arange(20, SIDE, 40), np.zeros(0)),  # ruled paper
        (np.cumsum(np.tile([20, 33, 50], 9)), np.cumsum(np.tile([20, 33, 50], 9))),  # uneven
    ],
)
def test_tables_sudokus_and_ruled_paper_are_not(rows, columns):
    assert squares_of(rulings(rows, columns)) is None


def cells(*, step, side, every):
    """Ink, (SIDE, SIDE): a block of `side` px every so many, in the middle of the first cell of lines at `every`."""
    ink = np.zeros((SIDE, SIDE), np.uint8)
    first = int(every[0] + (every[1] - every[0] - side) / 2)
    for top in range(first, int(every[-1]) - side, step):
        for left in range(first, int(every[-1]) - side, step):
            ink[top : top + side, left : left + side] = 255
    return ink


def test_a_table_of_square_cells_is_none():
    within = np.arange(120, SIDE - 120, 40)
    assert squares_of(rulings(within, within), cells(step=40, side=20, every=within)) is None


def test_what_is_written_across_them_or_lines_to_the_edges_make_squares():
    within, to_edges = np.arange(120, SIDE - 120, 40), np.arange(20, SIDE, 40)
    assert squares_of(rulings(within, within), cells(step=33, side=20, every=within)) is not None
    assert squares_of(rulings(to_edges, to_edges), cells(step=40, side=20, every=to_edges)) is not None


def test_a_camera_held_askew_sees_lines_lean_more_and_more():
    every = np.arange(20, SIDE, 40)
    leaning = np.linspace(-0.01, 0.01, len(every))
    flat = lines(every)
    flat[:, 1] -= leaning * SIDE / 2
    flat[:, 3] += leaning * SIDE / 2
    upright = rulings(every, every)
    found = squares_of(Rulings(flat, np.full(len(flat), 2, np.float32), upright.vertical, upright.vertical_px))
    assert found.across == pytest.approx(every, abs=0.2)
    assert found.across_slopes == pytest.approx(leaning, abs=0.0005)
    assert found.along_slopes == pytest.approx(0, abs=0.0005)


EVERY = np.arange(20.0, SIDE, 40)
PAPER = Squares(EVERY, 0 * EVERY, EVERY, 0 * EVERY, (SIDE, SIDE))


def digits_at(rows, columns, off=0.0):
    """Boxes of digits 20 px wide and 32 high, `off` px from the middle of those squares."""
    row, column = (place.ravel() for place in np.meshgrid(rows, columns, indexing="ij"))
    left, top = 20 + 40 * column + 10 + off, 20 + 40 * row + 4
    return np.stack([left, top, left + 20, top + 32], axis=1).astype(np.int32)


def test_digits_in_neighbouring_squares_are_one_number():
    boxes = digits_at([2, 3], [1, 2, 3, 5, 6, 9])
    pairs = squared_neighbours(boxes, PAPER, LayoutSettings())
    assert sorted(pairs) == [(0, 1), (1, 2), (3, 4), (6, 7), (7, 8), (9, 10)]


def test_digits_that_take_no_heed_of_the_squares_are_not():
    boxes = digits_at([2, 3], np.arange(1, 20, 0.7))
    assert squared_neighbours(boxes, PAPER, LayoutSettings()) == []
    assert squared_neighbours(digits_at([2], [1, 2]), PAPER, LayoutSettings()) == []
    assert squared_neighbours(digits_at([2, 3], range(9)), None, LayoutSettings()) == []


def read(boxes, text="7"):
    return tuple(Digit(text, 0.9, Box(*box)) for box in boxes.tolist())


def test_what_is_left_of_a_line_between_squares_is_no_1():
    written = read(digits_at([2, 3, 5], range(1, 7)))
    side, one, pen = (
        Digit("1", 0.9, Box(*box)) for box in ((259, 422, 263, 454), (279, 422, 283, 454), (255, 422, 267, 454))
    )
    left = leave_out_sides((*written, side, one, pen), PAPER, LayoutSettings())
    assert left == (*written, one, pen)
    assert leave_out_sides((*written, side), None, LayoutSettings()) == (*written, side)


def test_a_1_on_a_line_stays_where_digits_take_no_heed_of_the_squares():
    written = read(digits_at([2, 3, 5], np.arange(1, 9, 0.7)))
    side = Digit("1", 0.9, Box(259, 422, 263, 454))
    assert leave_out_sides((*written, side), PAPER, LayoutSettings()) == (*written, side)


def test_ink_not_read_in_the_next_square_may_belong_to_a_number():
    boxes = digits_at([2, 3], range(1, 8))
    readings = (*read(boxes[:-1]), *read(boxes[-1:], ""))
    bare = Rulings(lines([]), np.zeros(0, np.float32), lines([]), np.zeros(0, np.float32))
    left = leave_out_words(readings, Surroundings(bare, squares=PAPER), LayoutSettings())
    assert [row for row, digit in enumerate(left) if digit.beside_unread] == [len(boxes) - 2]


def test_a_line_found_twice_counts_once():
    every = np.arange(20, SIDE, 40)
    twice = np.sort(np.concatenate([every, every[3:8] + 4]))
    assert squares_of(rulings(twice, every)).across == pytest.approx(every, abs=0.5)


@pytest.mark.parametrize("edge", [240, 195])
def test_strings_are_read_as_if_from_plain_paper(edge):
    gray = paper(150)
    for place in (18, 19, 22):  # in a scan of few pixels the most of a line is its edge
        gray[place::40] = np.minimum(gray[place::40], edge)
        gray[:, place::40] = np.minimum(gray[:, place::40], edge)
    gray[100:140, 300:306] = 60  # across a line, and darker
    ink = np.where(gray < 200, np.uint8(255), np.uint8(0))
    written = np.where(gray < 100, np.uint8(255), np.uint8(0))
    bare = Rulings(lines([]), np.zeros(0, np.float32), lines([]), np.zeros(0, np.float32))
    left = leave_out_squares(gray, InkMask(ink), Unruled(InkMask(written), bare, PAPER))
    assert np.array_equal(left, np.where(written > 0, gray, 240))
    assert leave_out_squares(gray, InkMask(ink), Unruled(InkMask(written), bare)) is gray


def test_pieces_of_lines_beside_writing_are_one_line_and_short_ones_none():
    every = np.arange(20, SIDE, 40)
    beyond = np.array([550, 0, 550, 0])
    broken = np.concatenate([lines(every, 450), lines(every, 400) + beyond, lines(every + 17, 90)])
    whole = rulings(every, every)
    found = Rulings(broken.astype(np.float32), np.full(len(broken), 2, np.float32), whole.vertical, whole.vertical_px)
    assert squares_of(found).across == pytest.approx(every, abs=0.1)


def paper(shade, every=40):
    page = np.full((SIDE, SIDE), 240, np.uint8)
    page[20::every] = page[21::every] = shade
    page[:, 20::every] = page[:, 21::every] = shade
    return page


@pytest.mark.parametrize("shade", [200, 120])
def test_how_dark_it_is_is_measured_along_its_lines(shade):
    every = np.arange(20.5, SIDE, 40)
    found = squares_of(rulings(every, every))
    assert darkness_of(found, paper(shade)) == pytest.approx(240 - shade, abs=1)


def test_its_lines_leave_the_ink_from_edge_to_edge_and_set_nothing_apart():
    ink = np.where(paper(0) < 128, np.uint8(255), np.uint8(0))
    written = np.zeros_like(ink)
    for place in range(12):
        written[105:135, 70 + 40 * place : 80 + 40 * place] = 255
    ink[500:540] = ink[545:560] = 0  # faded: what is left of the uprights between would be 1s
    left = remove_rulings(InkMask(ink | written), ComponentSettings(), RulingSettings())
    assert np.diff(left.squares.along) == pytest.approx(40, abs=0.3)
    assert (len(left.rulings.horizontal), len(left.rulings.vertical)) == (0, 0)
    assert np.array_equal(left.ink.ink, written)
