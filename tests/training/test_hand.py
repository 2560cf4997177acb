import numpy as np
import pytest

from training.allographs import ALLOGRAPHS
from training.hand import Writer, draw_digit


def test_every_digit_has_several_shapes_drawn_in_a_box_one_high():
    assert sorted(ALLOGRAPHS) == list(range(10))
    for digit, shapes in ALLOGRAPHS.items():
        assert len(shapes) >= 3, digit
        for shape in shapes:
            points = np.concatenate(shape.strokes)
            assert points[:, 1].min() >= -0.06, (digit, shape.name)
            assert points[:, 1].max() <= 1.0, (digit, shape.name)
            assert np.ptp(points[:, 1]) >= 0.9, (digit, shape.name)


@pytest.mark.parametrize("digit", range(10))
def test_a_digit_is_cut_to_its_ink_and_about_as_tall_as_asked(digit):
    rng = np.random.default_rng(digit)
    heights = []
    for _ in range(40):
        strokes = draw_digit(digit, Writer.random(rng), rng, 60)
        assert strokes.dtype == np.uint8
        edges = (strokes[0], strokes[-1], strokes[:, 0], strokes[:, -1])
        assert all(edge.max() > 32 for edge in edges)
        assert strokes.max() == 255
        heights.append(strokes.shape[0])
    assert np.median(heights) == pytest.approx(60, rel=0.2)


def test_the_same_generator_draws_the_same_digit():
    drawn = []
    for _ in range(2):
        rng = np.random.default_rng(5)
        drawn.append(draw_digit(3, Writer.random(rng), rng, 40))
    assert np.array_equal(*drawn)


def test_a_hand_draws_no_digit_twice_alike():
    rng = np.random.default_rng(0)
    writer = Writer.random(rng)
    first, second = (draw_digit(8, writer, rng, 40) for _ in range(2))
    assert first.shape != second.shape or not np.array_equal(first, second)


def test_a_digit_can_be_as_small_as_on_a_100_dpi_page():
    rng = np.random.default_rng(0)
    sizes = [draw_digit(digit, Writer.random(rng), rng, 13).shape[0] for digit in range(10)]
    assert min(sizes) >= 9
    assert max(sizes) <= 19
