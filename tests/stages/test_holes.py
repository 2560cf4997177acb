import cv2
import numpy as np
import pytest

from docscan.records import InkMask
from docscan.stages.holes import leave_out_holes

HEIGHT, WIDTH = 1754, 1240  # A4 at 150 dpi
MM = 150 / 25.4


def page_with(*discs, shape=(HEIGHT, WIDTH)):
    """Ink with discs: x, y and diameter in mm."""
    ink = np.zeros(shape, np.uint8)
    for x, y, diameter in discs:
        cv2.circle(ink, (round(x * MM), round(y * MM)), round(diameter / 2 * MM), 255, cv2.FILLED)
    return ink


def left_of(ink):
    return leave_out_holes(InkMask(ink, 150.0, ink))


def test_a_page_without_holes_keeps_its_ink():
    mask = InkMask(page_with())
    assert leave_out_holes(mask) is mask


@pytest.mark.parametrize(
    ("x", "y", "diameter"), [(12, 108, 6), (12, 188, 6), (198, 100, 6), (105, 11, 6), (10, 150, 8), (105, 286, 7)]
)
def test_discs_near_an_edge_are_holes_and_go(x, y, diameter):
    left = left_of(page_with((x, y, diameter)))
    assert not left.ink.any()
    assert not left.pale.any()


def test_a_hole_that_rulings_run_into_goes_and_they_stay():
    ink = page_with((12, 108, 6))
    y = round(108 * MM)
    ink[y : y + 3, 20:1200] = 255
    left = left_of(ink).ink
    assert not left[y - 10 : y + 10, round(10 * MM) : round(14 * MM)].any()
    assert left[y : y + 3, 120:1200].all()


@pytest.mark.parametrize("disc", [(105, 150, 6), (12, 108, 2.5), (14, 108, 18)])
def test_discs_in_the_midst_and_those_too_small_or_large_are_none(disc):
    ink = page_with(disc)
    assert np.array_equal(left_of(ink).ink, ink)


def filled_nine(x, y):
    """Ink with a 9 whose head is a disc 4.2 mm across: the middle of the head, mm."""
    ink = page_with((x, y, 4.2))
    foot = round((x + 1) * MM), round((y + 6) * MM)
    cv2.line(ink, (round((x + 1.6) * MM), round(y * MM)), foot, 255, 6)
    return ink


def test_the_filled_head_of_a_9_is_no_hole():
    ink = filled_nine(20, 60)
    assert np.array_equal(left_of(ink).ink, ink)
    two = ink | filled_nine(27, 90)
    assert np.array_equal(left_of(two).ink, two)


def test_small_holes_go_where_they_stand_in_a_row():
    ink = page_with((12, 108, 4.2), (12.2, 188, 4.4))
    assert not left_of(ink).ink.any()


def test_a_box_a_ring_and_a_bar_by_the_edge_are_none():
    ink = page_with()
    ink[600:636, 50:86] = 255
    cv2.circle(ink, (70, 900), 18, 255, 4)
    ink[1100:1112, 40:100] = 255
    assert np.array_equal(left_of(ink).ink, ink)


def test_a_picture_smaller_than_a_page_has_no_holes():
    ink = page_with((10, 10, 6), shape=(120, 600))
    assert np.array_equal(left_of(ink).ink, ink)
