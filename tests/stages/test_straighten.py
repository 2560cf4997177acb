from dataclasses import replace
from functools import partial

import cv2
import numpy as np
import pytest

from docscan.pipeline import read_page
from docscan.records import Box, Digit, Number, Page, PageResult
from docscan.settings import BinariseSettings, Settings, StraightenSettings
from docscan.stages.binarise import binarise
from docscan.stages.classify import load_model
from docscan.stages.straighten import (
    _neighbours_along,
    find_skew,
    on_scan,
    share_of_sure,
    straighten,
    turned,
    turned_back,
)
from training.hand import Writer, draw_digit
from training.layouts import Plan, Sheet
from training.pages import KINDS, draw_page, hand_source

SHAPE = (900, 700)
SMALL = Sheet(width=130, height=130, margin=20, digit=4.0)
MODEL = load_model()


def page_of_lines(skew_deg, lines=range(150, 800, 50), paper=230, ink=60):
    """Rows of strokes as high as digits, turned anticlockwise."""
    gray = np.full(SHAPE, paper, np.uint8)
    for line in lines:
        for left in range(120, 580, 22 + line % 7):
            cv2.line(gray, (left, line), (left, line + 18), ink, 3)
    turn = cv2.getRotationMatrix2D((SHAPE[1] / 2, SHAPE[0] / 2), skew_deg, 1.0)
    return cv2.warpAffine(gray, turn, SHAPE[::-1], borderValue=paper)


def skew_of(gray, **settings):
    return find_skew(binarise(Page(gray), BinariseSettings()).ink, StraightenSettings(**settings))


def straightened(gray):
    page = Page(gray)
    return straighten(page, binarise(page, BinariseSettings()), BinariseSettings(), StraightenSettings())


@pytest.mark.parametrize("skew_deg", [-30, -15, -8, -3, 3, 5.5, 12, 15, 30])
def test_skew_is_undone(skew_deg):
    assert skew_of(page_of_lines(skew_deg)) == pytest.approx(-skew_deg, abs=0.5)


@pytest.mark.parametrize("skew_deg", [0, 0.5, -1.5])
def test_what_is_nearly_level_stays_as_it_is(skew_deg):
    gray = page_of_lines(skew_deg)
    straight = straightened(gray)
    assert straight.page.gray is gray
    assert straight.to_scan.tolist() == [[1, 0, 0], [0, 1, 0]]


def page_of_two_numbers():
    gray = page_of_lines(0, lines=[])
    for x, y in [(200, 300), (222, 296), (244, 306), (420, 640), (442, 652)]:
        cv2.ellipse(gray, (x, y), (7, 14), 10, 0, 300, 60, 3)
    return gray


@pytest.mark.parametrize(
    "gray",
    [np.full(SHAPE, 240, np.uint8), page_of_lines(12)[:150], page_of_two_numbers()],
    ids=["blank", "strip", "two numbers"],
)
def test_what_has_too_few_lines_to_tell_stays_as_it_is(gray):
    assert skew_of(gray) == 0


def rows_of_strokes(slope_deg, rows=1, between=40):
    """Rows of five strokes as high as digits, so far `between` each other, falling to the right."""
    gray = np.full((480, 640), 230, np.uint8)
    for x in 320 + between * np.arange(-2, 3):
        for y in 240 + 90 * np.arange(rows):
            cv2.line(gray, (int(x), int(y) - 25), (int(x), int(y) + 25), 60, 6)
    turn = cv2.getRotationMatrix2D((320, 240), -slope_deg, 1.0)
    return cv2.warpAffine(gray, turn, (640, 480), borderValue=230)


@pytest.mark.parametrize("slope_deg", [-30, -18, 18, 30])
def test_a_row_alone_on_a_picture_is_levelled(slope_deg):
    assert skew_of(rows_of_strokes(slope_deg)) == pytest.approx(slope_deg, abs=1)


def test_specks_beside_a_row_do_not_keep_it_from_being_levelled():
    gray = rows_of_strokes(25)
    specked = np.where(np.random.default_rng(1).random(gray.shape) < 5e-4, np.uint8(60), gray)
    assert skew_of(specked) == pytest.approx(25, abs=1)


@pytest.mark.parametrize(
    "gray",
    [rows_of_strokes(8), rows_of_strokes(50), rows_of_strokes(90), rows_of_strokes(25, between=90)],
    ids=["hardly sloping", "steep", "a column", "far apart"],
)
def test_a_row_that_slopes_little_or_is_none_stays_as_it_is(gray):
    assert skew_of(gray, min_halves=5) == 0  # whatever the profiles say


def test_two_rows_are_no_row():
    assert skew_of(rows_of_strokes(25, rows=2), min_halves=5) == 0


def test_a_dark_bar_at_the_edge_is_no_line():
    gray = page_of_lines(8)
    gray[:20] = 0
    assert skew_of(gray) == pytest.approx(-8, abs=0.5)


@pytest.mark.parametrize("invert", [False, True], ids=["dark on light", "light on dark"])
def test_a_levelled_page_keeps_its_ink_and_has_none_beyond_the_scan(invert):
    gray = page_of_lines(10)
    gray[300:320, :60] = 60  # runs off the page, where its edge goes on
    straight = straightened(255 - gray if invert else gray)
    rows, columns = np.nonzero(straight.ink.ink)
    x, y = straight.to_scan[:, :2] @ [columns, rows] + straight.to_scan[:, 2:]
    assert -1 <= x.min() <= 1
    assert x.max() <= SHAPE[1]
    on_ink = gray[np.rint(y).astype(int), np.clip(np.rint(x).astype(int), 0, SHAPE[1] - 1)] < 200
    assert on_ink.mean() > 0.95
    assert len(rows) == pytest.approx((gray < 150).sum(), rel=0.1)


def a_number(box):
    return Number("7", 0.9, box, (Digit("7", 0.9, box),), line=1, position=1)


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_boxes_on_a_turned_page_come_back(turns):
    gray = np.full((40, 70), 255, np.uint8)
    gray[5:9, 20:32] = 0
    page = turned(Page(gray), turns)
    rows, columns = np.nonzero(page.gray == 0)
    box = Box(columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    back = turned_back(PageResult((a_number(box),), *page.gray.shape[::-1]), turns)
    assert (back.width, back.height) == (70, 40)
    assert [back.numbers[0].box, back.numbers[0].digits[0].box] == [Box(20, 5, 32, 9)] * 2


def test_a_box_on_a_levelled_page_comes_back_around_its_place_and_within_the_scan():
    page = Page(page_of_lines(10))
    straight = straightened(page.gray)
    scan_to_level = cv2.invertAffineTransform(straight.to_scan)
    x, y = scan_to_level @ [690, 450, 1]
    [number] = on_scan((a_number(Box(int(x) - 20, int(y) - 10, int(x) + 20, int(y) + 10)),), straight, page)
    # 40 x 20 turned by 10 degrees fills 43 x 27, of which the edge of the scan leaves 31.
    assert number.box == pytest.approx((669, 437, 700, 464), abs=2)
    assert number.digits[0].box == number.box


def draw(kind="clean", seed=1, skew_deg=0.0, digits="0123456789", layout=None):
    """A page by one hand whose numbers are made of `digits` alone."""
    look = KINDS[kind]
    layout = partial(spelled, inner=layout or look.layout, digits=digits)
    rng = np.random.default_rng(seed)
    source = hand_source(Writer.random(rng).tidied(rng))
    look = replace(look, layout=layout, skew_deg=(skew_deg, skew_deg))
    page = draw_page(kind, rng, dpi=150, sheet=SMALL, look=look, digits_source=source)
    return Page(page.image, 150.0)


def spelled(sheet, rng, *, inner, digits):
    plan = inner(sheet, rng)
    spots = [replace(spot, text="".join(rng.choice(list(digits), len(spot.text)))) for spot in plan.spots]
    return Plan(tuple(spots), plan.rules, plan.words)


def where(result):
    return sorted((number.text, *number.box) for number in result.numbers)


@pytest.mark.parametrize("kind", ["clean", "words", "comb", "boxes"])
@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_page_that_lies_on_its_side_reads_as_if_it_stood(kind, turns):
    page = draw(kind)
    upright = read_page(page, MODEL, Settings())
    result = read_page(turned(page, turns), MODEL, Settings())
    assert len(upright.numbers) > 10
    assert where(turned_back(result, turns)) == where(upright)
    assert [number.text for number in result.numbers] == [number.text for number in upright.numbers]


@pytest.mark.parametrize("turns", [1, 3])
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_a_picture_of_one_number_that_lies_on_its_side_is_read_as_it_runs(turns, seed):
    page = draw("clean", seed=seed, digits="23457")
    longest = max(read_page(page, MODEL, Settings()).numbers, key=lambda number: len(number.text))
    assert len(longest.text) >= 5
    left, top, right, bottom = longest.box
    alone = cv2.copyMakeBorder(page.gray[top - 3 : bottom + 3, left - 3 : right + 3], *[60] * 4, cv2.BORDER_REPLICATE)
    [number] = read_page(turned(Page(alone, 150.0), turns), MODEL, Settings()).numbers
    assert number.text == longest.text


def test_what_runs_up_and_down_is_known_by_its_neighbours():
    row = np.array([[x, 100, x + 20, 130] for x in range(100, 400, 26)], np.int32)
    settings = StraightenSettings()
    assert _neighbours_along(row, settings) == (12, 0)
    assert _neighbours_along(row[:, [1, 0, 3, 2]], settings) == (0, 12)
    assert _neighbours_along(row[:0], settings) == (0, 0)


@pytest.mark.parametrize("seed", range(6))
def test_a_column_of_single_digits_is_no_row_on_its_side(seed):
    rng = np.random.default_rng(seed)
    writer = Writer.random(rng)
    gray = np.full((600, 300), 240, np.uint8)
    digits = "".join(rng.choice(list("01689"), 8))
    for place, digit in enumerate(digits):
        ink = draw_digit(int(digit), writer, rng, 30.0)
        gray[60 + 45 * place :, 120:][: ink.shape[0], : ink.shape[1]] -= (ink * 0.7).astype(np.uint8)
    as_it_is = Settings().without_turns()
    assert where(read_page(Page(gray, 150.0), MODEL, Settings())) == where(
        read_page(Page(gray, 150.0), MODEL, as_it_is)
    )


@pytest.mark.parametrize("turns", [1, 3])
def test_a_form_full_of_words_is_turned_by_its_digits(turns):
    page = draw("words", seed=7)
    gray = page.gray.copy()
    for row in range(40, gray.shape[0] - 40, 45):  # as many words again, wherever they come to stand
        cv2.putText(gray, "Amount of grain delivered", (30, row), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 70, 1, cv2.LINE_AA)
    upright = read_page(Page(gray, 150.0), MODEL, Settings())
    result = read_page(turned(Page(gray, 150.0), turns), MODEL, Settings())
    assert sum(len(number.digits) for number in upright.numbers) > 30
    assert where(turned_back(result, turns)) == where(upright)


@pytest.mark.parametrize("seed", range(3))
def test_a_page_whose_digits_read_upside_down_as_well_stays_upright(seed):
    page = draw(digits="01689", seed=seed)
    as_it_is = Settings().without_turns()
    assert where(read_page(page, MODEL, Settings())) == where(read_page(page, MODEL, as_it_is))


def test_a_skewed_page_reads_in_the_order_of_the_level_one():
    level, skewed = (read_page(draw("columns", seed=4, skew_deg=skew), MODEL, Settings()) for skew in (0, 12))
    assert len(level.numbers) > 10
    assert [(n.line, n.position, n.text) for n in skewed.numbers] == [
        (n.line, n.position, n.text) for n in level.numbers
    ]


@pytest.mark.parametrize(("confidences", "share"), [((), 0), ((0.99, 0.99, 0.5), 2 / 3), ((0.99, 0.5), 1 / 2)])
def test_a_turned_page_counts_where_its_digits_are_sure(confidences, share):
    numbers = [replace(a_number(Box(0, 0, 9, 9)), confidence=confidence) for confidence in confidences]
    assert share_of_sure(numbers, StraightenSettings()) == pytest.approx(share)


def test_quarter_turns_may_be_left_alone():
    page = turned(draw(), 2)
    settings = Settings(straighten=StraightenSettings(quarter_turns=False))
    assert where(read_page(page, MODEL, settings)) != where(read_page(page, MODEL, Settings()))
