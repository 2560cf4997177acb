import numpy as np
import pytest

from docscan.errors import PageError
from docscan.stages.grouping import boxes_around, group, neighbour_pairs, neighbours

BOXES = np.array([[20, 0, 30, 10], [0, 0, 10, 10], [12, 40, 18, 50], [80, 0, 90, 10]], np.int32)


def test_boxes_within_reach_on_the_right_are_neighbours_whatever_their_row():
    near = {row: others.tolist() for row, others in neighbours(BOXES, np.full(4, 5.0))}
    assert near == {1: [2], 2: [0], 0: [], 3: []}
    one, other = neighbour_pairs(BOXES, np.full(4, 5.0))
    assert list(zip(one.tolist(), other.tolist(), strict=True)) == [(1, 2), (2, 0)]


def test_no_boxes_have_no_neighbours():
    none = np.zeros((0, 4), np.int32)
    assert list(neighbours(none, np.zeros(0))) == []
    assert [len(rows) for rows in neighbour_pairs(none, np.zeros(0))] == [0, 0]


def test_a_box_goes_around_all_of_its_group():
    groups = np.array([1, 0, 1, 2])
    assert boxes_around(BOXES, groups).tolist() == [[0, 0, 10, 10], [12, 0, 30, 50], [80, 0, 90, 10]]
    assert boxes_around(BOXES[:0], groups[:0]).shape == (0, 4)


def test_a_page_nobody_has_written_is_refused_before_it_takes_the_memory():
    boxes = np.tile(np.array([[0, 0, 10, 10]], np.int32), (8000, 1))
    with pytest.raises(PageError, match="8,000 pieces of ink crowd the page"):
        neighbour_pairs(boxes, np.zeros(8000))
    with pytest.raises(PageError, match="8,000 pieces"):
        next(neighbours(boxes, np.zeros(8000)))


def test_linked_things_share_a_group():
    assert group(5, [(3, 1), (1, 4)]).tolist() == [0, 1, 2, 1, 1]
