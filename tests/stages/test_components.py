import cv2
import numpy as np
import pytest

from docscan.records import InkMask
from docscan.settings import ComponentSettings
from docscan.stages.components import find_components, label


def components_of(ink, dpi=None):
    return find_components(InkMask(ink, dpi), ComponentSettings())


def digits_in_a_row(count, height=40, shape=(300, 900)):
    ink = np.zeros(shape, np.uint8)
    for place in range(count):
        cv2.rectangle(ink, (30 + 60 * place, 100), (50 + 60 * place, 99 + height), 255, 4)
    return ink


def test_a_blank_page_has_no_components():
    found = components_of(np.zeros((100, 80), np.uint8))
    assert (len(found), found.digit_height_px) == (0, 0.0)


def test_a_lone_digit_is_found_with_its_box():
    found = components_of(digits_in_a_row(1))
    assert found.boxes.tolist() == [[28, 98, 53, 142]]
    assert found.digit_height_px == 44


def test_a_component_may_touch_the_border():
    ink = np.zeros((60, 60), np.uint8)
    ink[0:40, 0:6] = 255
    assert components_of(ink).boxes.tolist() == [[0, 0, 6, 40]]


def test_specks_do_not_set_the_digit_height():
    ink = digits_in_a_row(12)
    rng = np.random.default_rng(3)
    for row, column in zip(rng.integers(0, 90, 1500), rng.integers(0, 890, 1500), strict=True):
        ink[row : row + 3, column : column + 3] = 255
    found = components_of(ink)
    assert found.digit_height_px == 44
    assert len(found.where(found.boxes[:, 1] > 92)) == 12


def test_a_grid_does_not_set_the_digit_height_and_is_no_digit():
    ink = digits_in_a_row(12)
    for row in (10, 90, 170, 250):
        ink[row : row + 2, 5:895] = 255
    for column in range(5, 896, 60):
        ink[10:250, column : column + 2] = 255
    found = components_of(ink)
    assert found.digit_height_px == 44
    assert len(found) == 12


def test_more_than_65535_specks_are_labelled():
    ink = np.zeros((1100, 1100), np.uint8)
    ink[::4, ::4] = 255
    assert len(components_of(ink)) == 0


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (30, 50), (300, 257)])
@pytest.mark.parametrize("share", [0, 0.02, 0.5, 0.98, 1])
def test_pieces_are_measured_as_opencv_does(shape, share):
    ink = np.where(np.random.default_rng(5).random(shape) < share, 255, 0).astype(np.uint8)
    labels, stats = label(ink)
    _, expected_labels, expected, _ = cv2.connectedComponentsWithStats(ink, connectivity=8)
    assert np.array_equal(labels, expected_labels)
    assert (stats.dtype, stats[0].tolist()) == (np.int32, [0] * 5)
    assert stats[1:].tolist() == expected[1:].tolist()


def test_where_keeps_every_column_aligned():
    found = components_of(digits_in_a_row(3))
    right = found.where(found.boxes[:, 0] > 60)
    assert right.boxes[:, 0].tolist() == [88, 148]
    assert [int((found.pieces.labels == label).sum()) for label in right.ids] == right.areas.tolist()


def test_small_boxes_do_not_count_as_digits():
    ink = np.zeros((400, 600), np.uint8)
    for left in range(20, 500, 80):
        cv2.rectangle(ink, (left, 50), (left + 60, 130), 255, 5)
        cv2.rectangle(ink, (left + 20, 70), (left + 40, 109), 255, 4)
    assert components_of(ink).digit_height_px == 44


@pytest.mark.parametrize("digits", [3, 4])
def test_boxes_that_lie_on_their_side_do_not_count_as_digits(digits):
    ink = np.zeros((400, 600), np.uint8)
    for left in range(20, 500, 80):
        cv2.rectangle(ink, (left, 20), (left + 50, 30 + 50 * digits), 255, 5)
        for digit in range(digits):  # a 0 that lies, all but the first too flat for a digit
            top = 40 + 50 * digit
            cv2.rectangle(ink, (left + 10, top), (left + 36, top + (14 if digit else 18)), 255, 4)
    assert components_of(ink).digit_height_px == pytest.approx(22, abs=2)


def test_noughts_with_a_dot_are_no_boxes():
    ink = digits_in_a_row(2)
    for left in range(200, 500, 60):
        cv2.rectangle(ink, (left, 100), (left + 20, 140), 255, 4)
        cv2.rectangle(ink, (left + 9, 116), (left + 11, 124), 255, -1)
    assert components_of(ink).digit_height_px == pytest.approx(44, abs=2)


def test_solid_dots_are_no_digits():
    ink = digits_in_a_row(5)
    cv2.circle(ink, (500, 120), 9, 255, -1)
    assert len(components_of(ink)) == 5


def test_boxes_one_in_another_and_nothing_else_are_as_high_as_they_are():
    ink = np.zeros((100, 100), np.uint8)
    cv2.rectangle(ink, (20, 20), (60, 70), 255, 2)
    cv2.rectangle(ink, (27, 24), (53, 66), 255, 2)
    assert components_of(ink).digit_height_px > 30


def test_a_string_whose_digits_all_touch_says_how_high_they_are():
    ink = np.zeros((60, 220), np.uint8)
    ink[10:50, 10:200] = 255
    ink[14:46, 14:196] = 0
    ink[14:46, 60:64] = ink[14:46, 120:124] = 255
    found = components_of(ink)
    assert found.digit_height_px == 40
    assert found.runs.tolist() == [[10, 10, 200, 50]]


def circled(*, touching=False, gap=0):
    """Eight bars as high as digits on a line, the fourth with a circle around it; its middle is at 260, 100."""
    ink = np.zeros((200, 700), np.uint8)
    for place in range(8):
        ink[80:120, 56 + 60 * place : 64 + 60 * place] = 255
    cv2.ellipse(ink, (240, 100), (34, 38), 0, gap, 360, 255, 4)
    if touching:
        ink[98:102, 206:240] = 255
    return find_components(InkMask(ink), ComponentSettings())


@pytest.mark.parametrize("gap", [0, 60])
def test_a_circle_around_a_digit_is_no_digit_though_it_may_be_open(gap):
    found = circled(gap=gap)
    assert len(found) == 8
    assert len(found.runs) == 0
    assert sorted(found.boxes[:, 0].tolist()) == [56 + 60 * place for place in range(8)]


def test_a_circle_that_a_stroke_runs_into_is_not_left_out():
    assert len(circled(touching=True)) == 8  # the fourth bar is part of it
    assert circled(touching=True).boxes[:, 3].max() > 130


def test_what_holds_nothing_as_high_as_a_digit_is_no_circle():
    ink = np.zeros((200, 700), np.uint8)
    for place in range(8):
        ink[80:120, 56 + 60 * place : 64 + 60 * place] = 255
    cv2.ellipse(ink, (600, 100), (24, 30), 0, 0, 360, 255, 4)
    ink[95:105, 596:604] = 255  # a dotted 0
    assert [595, 95, 605, 105] not in find_components(InkMask(ink), ComponentSettings()).boxes.tolist()
    assert len(find_components(InkMask(ink), ComponentSettings())) >= 9


def two_rows(*, between):
    """Two digits one above the other that touch at row 150, beside eight others, and lines so far apart."""
    ink = digits_in_a_row(8)
    for top in (102, 146):
        cv2.rectangle(ink, (600, top), (620, top + 44), 255, 4)
    levels = np.array([148 + between * row for row in range(-1, 3)], np.float32)
    rows = np.stack([0 * levels, levels, 0 * levels + 900, levels], axis=1)
    return ink, rows


def boxes_at(found, left):
    return sorted(box for box in found.boxes.tolist() if box[0] == left)


def test_digits_that_touch_across_a_line_of_tight_rows_are_two():
    ink, rows = two_rows(between=48)
    found = find_components(InkMask(ink), ComponentSettings(), rows)
    assert [(top, bottom) for _, top, _, bottom in boxes_at(found, 598)] == [(100, 147), (150, 193)]
    for id_, box in zip(found.ids.tolist(), found.boxes.tolist(), strict=True):
        assert cv2.boundingRect((found.pieces.labels == id_).astype(np.uint8)) == (
            box[0],
            box[1],
            box[2] - box[0],
            box[3] - box[1],
        )


def test_a_tall_piece_across_the_lines_of_wide_rows_stays_whole():
    ink, rows = two_rows(between=90)
    found = find_components(InkMask(ink), ComponentSettings(), rows)
    assert [(top, bottom) for _, top, _, bottom in boxes_at(found, 598)] == [(100, 193)]


def test_millimetre_paper_has_no_rows():
    ink, rows = two_rows(between=8)
    found = find_components(InkMask(ink), ComponentSettings(), rows)
    assert [(top, bottom) for _, top, _, bottom in boxes_at(found, 598)] == [(100, 193)]
