import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from docscan.stages.normalise import normalise, normalise_all


def test_no_ink_gives_an_empty_field():
    assert not normalise(np.zeros((12, 5), np.uint8)).any()


def test_no_glyphs_give_no_crops():
    assert normalise_all([]).shape == (0, 28, 28)


def test_glyphs_of_all_shapes_together_are_as_each_alone():
    glyphs = [np.tri(height, width, dtype=np.uint8) * 255 for height, width in [(40, 30), (3, 90), (90, 3), (0, 5)]]
    assert np.array_equal(normalise_all(glyphs), [normalise(ink) for ink in glyphs])


@pytest.mark.parametrize(("height", "width"), [(40, 40), (10, 10), (20, 20), (200, 120), (33, 57)])
def test_the_longer_side_fills_20_px(height, width):
    rows, columns = np.nonzero(normalise(np.full((height, width), 255, np.uint8)))
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20


def test_a_thin_1_stays_visible_and_centred():
    field = normalise(np.full((60, 2), 255, np.uint8))
    rows, columns = np.nonzero(field)
    assert (rows.min(), rows.max(), set(columns)) == (4, 23, {14})
    assert field.max() > 150


def test_the_centre_of_mass_is_at_14():
    ink = np.zeros((40, 30), np.uint8)
    ink[:6, :] = 255  # a 7: bar and leg
    ink[:, 24:] = 255
    field = normalise(ink).astype(float)
    rows, columns = np.indices(field.shape)
    assert abs((rows * field).sum() / field.sum() - 14) <= 0.5
    assert abs((columns * field).sum() / field.sum() - 14) <= 0.5


@given(st.integers(1, 400), st.integers(1, 400), st.integers(0, 2**32 - 1))
def test_any_shape_of_ink_fits_the_field(height, width, seed):
    ink = np.where(np.random.default_rng(seed).random((height, width)) < 0.3, 255, 0).astype(np.uint8)
    field = normalise(ink)
    assert (field.shape, field.dtype) == ((28, 28), np.uint8)


def test_the_argument_is_left_alone():
    ink = np.full((9, 9), 255, np.uint8)
    ink.setflags(write=False)
    normalise(ink)
