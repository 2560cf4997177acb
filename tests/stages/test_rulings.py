import cv2
import numpy as np
import pytest

from docscan.records import InkMask, Rulings
from docscan.settings import ComponentSettings, RulingSettings
from docscan.stages.rulings import remove_rulings

HEIGHT = 40  # of a digit
LINE = 3  # thickness of a printed line
PEN = 5


def unruled(ink, settings=None):
    return remove_rulings(InkMask(ink), ComponentSettings(), settings or RulingSettings())


def paper(*, height=400, width=900, digits=8):
    """A page with a row of zeros at the top, which say how high a digit is."""
    ink = np.zeros((height, width), np.uint8)
    for place in range(digits):
        zero(ink, 20 + 50 * place, 20)
    return ink


def zero(ink, left, top):
    cv2.ellipse(ink, (left + 12, top + HEIGHT // 2), (12, HEIGHT // 2 - 2), 0, 0, 360, 255, PEN)


def one(ink, left, top, height=HEIGHT):
    ink[top : top + height, left : left + PEN] = 255


def two(ink, left, bottom):
    """A 2 whose base ends on row `bottom`."""
    points = [(left, bottom - 32), (left + 8, bottom - 40), (left + 20, bottom - 34), (left, bottom - 2)]
    cv2.polylines(ink, [np.array(points)], isClosed=False, color=255, thickness=PEN)
    ink[bottom - PEN + 1 : bottom + 1, left : left + 26] = 255


def across(ink, row, left=10, right=880, thickness=LINE):
    """A line whose middle is `row`; not cv2.line, whose thickness differs from version to version."""
    ink[row - thickness // 2 : row - thickness // 2 + thickness, left : right + 1] = 255


def down(ink, column, top, bottom, thickness=LINE):
    across(ink.T, column, top, bottom, thickness)


def box(ink, left, top, right, bottom):
    for row in (top, bottom):
        across(ink, row, left - LINE // 2, right + LINE // 2)
    for column in (left, right):
        down(ink, column, top, bottom)


def larger(ink):
    return cv2.resize(ink, None, fx=4, fy=4, interpolation=cv2.INTER_NEAREST)


def turned(ink, degrees):
    height, width = ink.shape
    warp = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    return cv2.threshold(cv2.warpAffine(ink, warp, (width, height)), 127, 255, cv2.THRESH_BINARY)[1]


def heights_of_pieces(ink, below=80):
    """Boxes' (left, height) of what is at least half a digit high, from row `below` on."""
    count, _, stats, _ = cv2.connectedComponentsWithStats(ink[below:])
    return sorted((int(left), int(high)) for left, _, _, high, _ in stats[1:count] if high >= HEIGHT / 2)


def test_an_empty_page_has_no_rulings():
    found = unruled(np.zeros((100, 80), np.uint8))
    assert (found.rulings.horizontal.shape, found.rulings.vertical.shape) == ((0, 4), (0, 4))
    assert not found.ink.ink.any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (2, 2)])
def test_a_page_of_hardly_any_pixels_is_a_page(shape):
    assert unruled(np.full(shape, 255, np.uint8)).ink.ink.shape == shape


def test_a_page_all_ink_is_no_ruling():
    ink = np.full((400, 300), 255, np.uint8)
    assert np.array_equal(unruled(ink).ink.ink, ink)


def test_a_line_too_pale_for_ink_goes_from_what_is_left_of_it():
    ink = paper()
    clean = ink.copy()
    pale = ink.copy()
    box(pale, 100, 150, 250, 210)
    ink[150:160, 99:102] = 255  # of its left side a bold pen beside it leaves a piece
    found = remove_rulings(InkMask(ink, None, pale), ComponentSettings(), RulingSettings())
    assert np.array_equal(found.ink.ink, clean)
    assert (len(found.rulings.horizontal), len(found.rulings.vertical)) == (2, 2)


def test_the_thick_sides_of_a_small_box_are_lines():
    # At 150 dpi a form's lines are a seventh as thick as its cells are high, and looked for on the page as it is.
    ink = paper()
    clean = ink.copy()
    for row in (150, 206):
        across(ink, row, 100, 260, thickness=6)
    for column in (102, 258):
        down(ink, column, 150, 206, thickness=6)
    found = unruled(ink)
    assert np.array_equal(found.ink.ink, clean)
    assert (len(found.rulings.horizontal), len(found.rulings.vertical)) == (2, 2)


@pytest.mark.parametrize(("wide", "is_letter"), [(52, True), (72, False)])
def test_a_bold_stem_between_two_serifs_is_no_line_and_a_thick_side_of_a_cell_is(wide, is_letter):
    ink = paper()
    for row in (150, 206):
        across(ink, row, 400, 400 + wide, thickness=5)
    for column in (404, 396 + wide):
        down(ink, column, 150, 206, thickness=7)
    found = unruled(ink)
    assert (len(found.rulings.vertical) == 0) == is_letter
    assert bool(found.ink.ink[165:190, 400:408].any()) == is_letter


def test_a_page_of_digits_alone_keeps_every_pixel():
    ink = paper()
    one(ink, 600, 20)
    two(ink, 640, 60)
    found = unruled(ink)
    assert np.array_equal(found.ink.ink, ink)
    assert len(found.rulings.horizontal) == len(found.rulings.vertical) == 0


def test_the_ink_given_is_left_as_it_was():
    ink = paper()
    across(ink, 200)
    before = ink.copy()
    unruled(ink)
    assert np.array_equal(ink, before)


def test_a_ruling_goes_and_is_kept_as_geometry():
    ink = paper()
    clean = ink.copy()
    across(ink, 200)
    found = unruled(ink)
    assert np.array_equal(found.ink.ink, clean)
    assert found.rulings.horizontal == pytest.approx(np.array([[10, 200, 880, 200]]), abs=3)
    assert found.rulings.horizontal_px.tolist() == [LINE]


def test_an_upright_ruling_is_given_from_its_upper_end():
    ink = paper()
    down(ink, 700, 90, 380, thickness=5)
    found = unruled(ink)
    assert found.rulings.vertical == pytest.approx(np.array([[700, 90, 700, 380]]), abs=4)
    assert found.rulings.vertical_px.tolist() == [5]


def test_a_ruling_at_the_very_edge_goes():
    ink = paper()
    clean = ink.copy()
    ink[-2:] = 255
    ink[:, :3] = 255
    assert np.array_equal(unruled(ink).ink.ink, clean)


def test_a_1_beside_a_ruling_stays_a_1():
    ink = paper()
    one(ink, 60, 100)
    clean = ink.copy()
    down(ink, 50, 80, 390)
    assert np.array_equal(unruled(ink).ink.ink, clean)


def test_a_1_that_reaches_from_line_to_line_is_no_ruling():
    ink = paper()
    ink[200:244, 300:303] = 255
    for row in (199, 244):
        across(ink, row)
    found = unruled(ink)
    assert len(found.rulings.vertical) == 0
    assert heights_of_pieces(found.ink.ink) == [(300, 48)]


@pytest.mark.parametrize("length", [20, 40, 90, 130])
def test_a_dash_or_fraction_bar_is_no_ruling(length):
    ink = paper()
    across(ink, 200, 300, 300 + length)
    assert np.array_equal(unruled(ink).ink.ink, ink)


def test_a_ruling_through_a_row_of_digits_leaves_them_whole_and_apart():
    ink = paper()
    for place in range(10):
        zero(ink, 100 + 60 * place, 200)
        one(ink, 140 + 60 * place, 200)
    clean = ink.copy()
    across(ink, 220)
    rest = unruled(ink).ink.ink
    assert heights_of_pieces(rest) == heights_of_pieces(clean)
    assert np.count_nonzero(rest != clean) < 10 * LINE  # the corners between stroke and line


def test_digits_of_a_number_that_hang_on_a_line_come_apart():
    ink = paper()
    for place in range(3):
        one(ink, 300 + 30 * place, 160, height=42)
    across(ink, 200)
    assert heights_of_pieces(unruled(ink).ink.ink) == [(300, 42), (330, 42), (360, 42)]


def test_the_base_of_a_2_that_lies_along_the_line_stays():
    ink = paper()
    two(ink, 300, 202)
    base = np.s_[198:203, 300:326]
    across(ink, 200)
    rest = unruled(ink).ink.ink
    assert rest[base].all()
    assert [left for left, _ in heights_of_pieces(rest)] == pytest.approx([298], abs=2)


def holes(ink):
    """How many patches of paper the ink encloses."""
    return cv2.connectedComponents(255 - ink, connectivity=4)[0] - 2


@pytest.mark.parametrize("sunk", [1, 2, 3])
def test_a_0_that_sinks_into_the_line_stays_closed(sunk):
    ink = paper(digits=0)
    for place in range(6):
        zero(ink, 100 + 60 * place, 160 + sunk)
    assert holes(ink) == 6
    across(ink, 200, thickness=4)
    assert holes(unruled(ink).ink.ink) == 6


def test_a_base_that_is_hardly_thicker_than_the_line_stays():
    ink = paper()
    for left in (300, 318):
        one(ink, left, 163)
    ink[163:167, 300:323] = 255
    ink[199:203, 300:323] = 255
    across(ink, 200)
    assert holes(unruled(ink).ink.ink) == holes(paper()) + 1


def test_a_box_goes_and_the_digit_in_it_stays():
    ink = paper()
    zero(ink, 300, 200)
    clean = ink.copy()
    box(ink, 280, 190, 345, 254)
    found = unruled(ink)
    assert np.array_equal(found.ink.ink, clean)
    assert (len(found.rulings.horizontal), len(found.rulings.vertical)) == (2, 2)


def thick_box(ink, left, top, side=60, thickness=9):
    cv2.rectangle(ink, (left, top), (left + side, top + side), 255, thickness)


@pytest.mark.parametrize("lean", [0, 2])
def test_boxes_too_thick_for_lines_go_and_the_digits_in_them_stay_and_empty_ones_go_too(lean):
    ink = paper()
    for left in (100, 300):
        zero(ink, left + 18, 210)
    clean = ink.copy()
    for left in (100, 300, 500):
        thick_box(ink, left, 200)
    found = unruled(turned(ink, lean))
    assert np.count_nonzero(found.ink.ink != turned(clean, lean)) < 0.01 * np.count_nonzero(clean)
    assert (len(found.rulings.horizontal), len(found.rulings.vertical)) == (6, 6)


@pytest.mark.parametrize(("width", "are_lines"), [(300, True), (80, False)])
def test_thick_uprights_are_lines_between_lines_as_long_as_two_cells(width, are_lines):
    """The dividers of a comb that was scanned at 150 dpi; but not the stem of a bold letter with bars at its ends."""
    ink = paper()
    clean = ink.copy()
    ink[200:210, 100 : 100 + width] = ink[256:266, 100 : 100 + width] = 255
    for left in range(100, 91 + width, 58) if are_lines else [135]:
        ink[200:266, left : left + 10] = 255
    found = unruled(ink)
    assert np.array_equal(found.ink.ink, clean if are_lines else ink)
    assert len(found.rulings.vertical) == (6 if are_lines else 0)


def test_a_square_0_is_no_box():
    ink = paper()
    for left in (100, 300, 500):
        thick_box(ink, left, 200)
        ink[222:231, 300:309] = 255  # a dot in one of them
    assert np.array_equal(unruled(ink).ink.ink, ink)


def test_a_box_whose_lid_has_faded_goes_all_the_same():
    ink = paper()
    zero(ink, 300, 200)
    clean = ink.copy()
    box(ink, 280, 190, 345, 254)
    ink[185:196, 284:342] = clean[185:196, 284:342]
    assert heights_of_pieces(unruled(ink).ink.ink) == heights_of_pieces(clean)


def test_a_foot_that_reaches_both_sides_of_its_cell_is_no_line():
    ink = paper()
    for place in range(4):
        zero(ink, 210 + 55 * place, 200)
    ink[230:238, 305:361] = 255  # of a 2, as thick as the comb's lines
    for row in (190, 250):
        across(ink, row, 191, 418, thickness=8)
    for place in range(5):
        down(ink, 195 + 55 * place, 190, 250, thickness=8)
    found = unruled(ink)
    assert (len(found.rulings.horizontal), len(found.rulings.vertical)) == (2, 5)
    assert found.ink.ink[230:238, 320:350].all()


def test_a_comb_goes_and_the_digits_in_it_stay():
    ink = paper()
    for place in range(6):
        zero(ink, 210 + 55 * place, 200)
    clean = ink.copy()
    box(ink, 195, 190, 525, 250)
    for place in range(1, 6):
        down(ink, 195 + 55 * place, 190, 250)
    found = unruled(ink)
    assert np.array_equal(found.ink.ink, clean)
    assert (len(found.rulings.horizontal), len(found.rulings.vertical)) == (2, 7)


@pytest.mark.parametrize("degrees", [-3, -1, 0, 2, 3])
def test_a_skewed_grid_with_thin_and_thick_lines_goes(degrees):
    ink = np.zeros((900, 900), np.uint8)
    for row in range(9):
        for column in range(9):
            zero(ink, 140 + 72 * column, 136 + 72 * row)
    clean = turned(ink, degrees)
    for line in range(10):
        thickness = 8 if line % 3 == 0 else 2
        down(ink, 120 + 72 * line, 120, 768, thickness)
        across(ink, 120 + 72 * line, 120, 768, thickness)
    found = unruled(turned(ink, degrees))
    assert heights_of_pieces(found.ink.ink, below=0) == heights_of_pieces(clean, below=0)
    assert (len(found.rulings.horizontal), len(found.rulings.vertical)) == (10, 10)


def test_a_grid_without_digits_is_found():
    ink = np.zeros((500, 500), np.uint8)
    for line in range(5):
        across(ink, 50 + 100 * line, 50, 450)
        down(ink, 50 + 100 * line, 50, 450)
    found = unruled(ink)
    assert (len(found.rulings.horizontal), len(found.rulings.vertical)) == (5, 5)
    assert not found.ink.ink.any()


def test_a_line_bent_by_the_lens_goes():
    ink = paper(width=1200)
    clean = ink.copy()
    along = np.arange(20, 1180)
    points = np.stack([along, 200 + 12 * np.sin(along / 400)], axis=1).round().astype(np.int32)
    cv2.polylines(ink, [points], isClosed=False, color=255, thickness=LINE)
    rest = unruled(ink).ink.ink
    assert np.count_nonzero(rest != clean) < 20


def test_a_grid_cut_off_by_the_edge_of_the_page_goes():
    ink = paper()
    clean = ink.copy()
    across(ink, 330)
    for column in range(10, 900, 87):
        down(ink, column, 330, 399)
    assert np.array_equal(unruled(ink).ink.ink, clean)


def test_a_ragged_line_goes_without_leaving_1s_behind():
    ink = paper()
    clean = heights_of_pieces(ink)
    across(ink, 206, thickness=13)
    rng = np.random.default_rng(4)
    for column in range(10, 880):
        ink[200 + rng.integers(1, 12), column] = 0
        ink[200 : 200 + rng.integers(0, 3), column] = 0
    assert heights_of_pieces(unruled(ink).ink.ink) == clean
    assert np.count_nonzero(unruled(ink).ink.ink[100:]) < 100


def test_a_line_with_gaps_goes():
    ink = paper()
    clean = ink.copy()
    for left in range(20, 860, 88):
        across(ink, 200, left, left + 79)
    found = unruled(ink)
    assert np.array_equal(found.ink.ink, clean)
    assert len(found.rulings.horizontal) == 1


def test_a_double_line_goes():
    ink = paper()
    clean = ink.copy()
    for row in (200, 206):
        across(ink, row)
    assert np.array_equal(unruled(ink).ink.ink, clean)


def test_lines_are_found_whatever_the_resolution():
    ink = paper()
    zero(ink, 300, 200)
    clean = larger(ink)
    box(ink, 280, 190, 345, 254)
    across(ink, 320)
    found = unruled(larger(ink))
    assert (len(found.rulings.horizontal), len(found.rulings.vertical)) == (3, 2)
    assert np.array_equal(found.ink.ink, clean)


def test_rulings_with_columns_of_different_length_are_refused():
    rulings = unruled(np.zeros((50, 50), np.uint8)).rulings
    with pytest.raises(ValueError, match="1 horizontal segments, 0 thicknesses"):
        type(rulings)(np.zeros((1, 4), np.float32), rulings.horizontal_px, rulings.vertical, rulings.vertical_px)


def cell(*, height=100, width=200):
    """A picture cut out along the lines of its cell, with two zeros in it."""
    ink = np.zeros((height, width), np.uint8)
    zero(ink, 60, 30)
    zero(ink, 100, 30)
    return ink


@pytest.mark.parametrize(("top", "bottom", "column"), [(0, 99, 190), (5, 95, 8), (0, 40, 195), (70, 99, 3)], ids=str)
def test_the_line_of_a_cell_goes_where_a_picture_was_cut_out_along_it(top, bottom, column):
    ink = cell()
    clean = ink.copy()
    down(ink, column, top, bottom)
    assert np.array_equal(unruled(ink).ink.ink, clean)


def test_a_faint_line_along_the_edge_goes_piece_by_piece():
    ink = cell()
    clean = ink.copy()
    for left in range(0, 200, 40):
        across(ink, 96, left, left + 25)
    assert np.array_equal(unruled(ink).ink.ink, clean)


@pytest.mark.parametrize("left", [4, 190])
def test_a_one_at_the_end_of_a_tight_string_stays(left):
    ink = cell(height=46)
    ink[:] = 0
    zero(ink, 60, 3)
    zero(ink, 100, 3)
    one(ink, left, 3)
    assert np.array_equal(unruled(ink).ink.ink, ink)


def test_a_ruling_says_how_high_it_is_anywhere():
    level = np.array([[0, 100, 500, 110], [50, 20, 50, 20]], np.float32)  # the second is a point
    rulings = Rulings(level, np.ones(2, np.float32), np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
    assert rulings.level_at(np.array([[0.0], [250.0], [1000.0]])).tolist() == [[100, 20], [105, 20], [120, 20]]


def faded_table(ink, gaps):
    """Four rows of cells; the middle upright is paper in `gaps`."""
    ruled = np.zeros_like(ink)
    for column in (100, 300, 500):
        down(ruled, column, 99, 421)
    for top, bottom in gaps:
        ruled[top:bottom, 298:303] = 0
    for row in (100, 180, 260, 340, 420):
        across(ruled, row, 99, 501)
    ink |= ruled


@pytest.mark.parametrize(
    "gaps", [[(275, 310), (350, 375), (395, 410)], [(110, 125), (145, 170), (210, 245)]], ids=["below", "above"]
)
def test_a_line_of_a_table_goes_whole_where_it_has_faded(gaps):
    ink = paper(height=600)
    zero(ink, 200, 280)
    one(ink, 330, 280)
    clean = ink.copy()
    faded_table(ink, gaps)
    found = unruled(ink)
    assert np.array_equal(found.ink.ink, clean)
    assert found.rulings.vertical[:, [1, 3]].round().tolist() == [pytest.approx([99, 421], abs=2)] * 3


def test_what_stands_in_line_with_a_line_beyond_its_table_is_a_1():
    ink = paper(height=700)
    one(ink, 298, 480, height=60)
    clean = ink.copy()
    faded_table(ink, [])
    assert np.array_equal(unruled(ink).ink.ink, clean)


def test_a_line_that_ends_within_a_table_leaves_the_digits_below_it_alone():
    ink = paper(height=600)
    for left in (230, 290, 350):
        zero(ink, left, 360)
    clean = ink.copy()
    faded_table(ink, [(342, 419)])
    found = unruled(ink)
    assert np.array_equal(found.ink.ink, clean)
    assert sorted(found.rulings.vertical[:, 3].round().tolist())[0] < 350


def tight_table(*, pitch, rows=6):
    """A table of two columns whose rows are `pitch` high."""
    ink = paper(height=200 + pitch * rows)
    for row in range(rows + 1):
        across(ink, 120 + pitch * row)
    for column in (10, 440, 880):
        down(ink, column, 120, 120 + pitch * rows)
    return ink


def test_a_1_from_line_to_line_of_tight_rows_is_no_ruling():
    ink = tight_table(pitch=56)
    one(ink, 200, 176, 56)
    found = unruled(ink)
    assert sorted(np.rint(found.rulings.vertical[:, 0]).tolist()) == [10, 440, 880]
    assert found.ink.ink[180:228, 200 : 200 + PEN].all()


def test_the_dividers_of_combs_one_below_the_other_are_one_row_high():
    ink = paper(height=560)
    for row in range(6):
        top = 120 + 70 * row
        box(ink, 40, top, 40 + 6 * 55, top + 58)
        for cell in range(1, 6):
            down(ink, 40 + 55 * cell, top, top + 58)
    uprights = unruled(ink).rulings.vertical
    assert len(uprights) == 6 * 7
    assert (uprights[:, 3] - uprights[:, 1]).max() < 62


@pytest.mark.parametrize("gap", [14, 58])
def test_the_dividers_of_combs_stay_however_far_the_next_comb_is(gap):
    ink = paper(height=700)
    for row in range(4):
        top = 120 + (58 + gap) * row
        box(ink, 40, top, 40 + 6 * 55, top + 58)
        for cell in range(1, 6):
            down(ink, 40 + 55 * cell, top, top + 58)
    assert len(unruled(ink).rulings.vertical) == 4 * 7


def test_a_page_that_hangs_together_on_its_lines_is_taken_apart():
    ink = np.zeros((900, 900), np.uint8)
    for place in range(20, 900, 40):
        across(ink, place, 0, 899)
        down(ink, place, 0, 899)
    for place in range(12):
        zero(ink, 60 + 60 * place, 420)
    turn = cv2.getRotationMatrix2D((450, 450), 1.2, 1)
    found = unruled(cv2.warpAffine(ink, turn, (900, 900), flags=cv2.INTER_NEAREST))
    assert found.squares is not None
    assert np.count_nonzero(found.ink.ink) < 2 * np.count_nonzero(paper(digits=12))


def test_in_a_picture_of_one_string_a_1_at_its_edge_is_no_line():
    ink = np.zeros((50, 240), np.uint8)
    for place in range(4):
        zero(ink, 60 + 40 * place, 1)
    down(ink, 11, 6, 49, thickness=PEN + 2)  # as thick as those
    written = ink.copy()
    across(ink, 47, 0, 239, thickness=2)
    rest = unruled(ink).ink.ink
    assert np.array_equal(rest[:45], written[:45])
    assert not rest[46:48, 40:].any()


def test_in_a_picture_of_one_string_the_feet_of_its_digits_are_no_line():
    ink = np.zeros((50, 240), np.uint8)
    for place in range(5):
        left = 10 + 36 * place
        two(ink, left, 44)
        across(ink, 42, left, left + 30, thickness=PEN)
    assert np.array_equal(unruled(ink).ink.ink, ink)


@pytest.mark.parametrize("broken", [False, True])
def test_a_string_is_freed_of_the_thin_border_of_its_cell(broken):
    ink = np.zeros((50, 110), np.uint8)
    zero(ink, 20, 2)
    zero(ink, 55, 2)
    digits = ink.copy()
    down(ink, 104, 0, 49, thickness=2)
    if broken:
        ink[30:36, 100:] = 0
    across(ink, 47, 0, 109, thickness=2)
    assert np.array_equal(unruled(ink).ink.ink, digits)


@pytest.mark.parametrize("thickness", [2, PEN + 2])
def test_the_comb_of_a_string_goes_however_thick_it_is(thickness):
    ink = np.zeros((110, 340), np.uint8)
    for place in range(5):
        zero(ink, 50 + 50 * place, 34)
    digits = ink.copy()
    for row in (22, 88):
        across(ink, row, 36, 287, thickness)
    for column in range(38, 289, 50):
        down(ink, column, 20, 90, thickness)
    rest = unruled(ink).ink.ink
    assert np.array_equal(rest & digits, digits)
    assert np.count_nonzero(rest) < 1.02 * np.count_nonzero(digits)
