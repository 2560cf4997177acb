import numpy as np
import pytest

from docscan.stages.normalise import normalise
from training.augment import Augmentation, augment, broken, through_normalise

STILL = Augmentation(
    rotation_deg=0,
    slant=0,
    scale=(1, 1),
    aspect=0,
    shift_px=0,
    elastic_px=0,
    thickness=0,
    blur=0,
    page_share=0,
    coarse_share=0,
)


def bar():
    """A digit 1: a soft bar, in MNIST's layout."""
    field = np.zeros((28, 28), np.uint8)
    field[4:24, 12:16] = 200
    field[4:24, 13:15] = 255
    return field


def test_no_crops_stay_no_crops():
    assert augment(np.zeros((0, 28, 28), np.uint8), np.random.default_rng(0), Augmentation()).shape == (0, 28, 28)


def test_an_augmentation_of_nothing_changes_nothing():
    images = np.stack([bar(), bar().T])
    assert np.array_equal(augment(images, np.random.default_rng(0), STILL), images)


def test_the_same_generator_bends_alike_and_another_differently():
    images = np.repeat(bar()[np.newaxis], 8, axis=0)
    first, again, other = (augment(images, np.random.default_rng(seed), Augmentation()) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first[0], first[1])


def test_the_crops_given_are_left_alone():
    images = bar()[np.newaxis]
    before = images.copy()
    augment(images, np.random.default_rng(0), Augmentation())
    assert np.array_equal(images, before)


def test_an_empty_crop_stays_empty():
    for share in (0.0, 1.0):
        how = Augmentation(page_share=share)
        assert not augment(np.zeros((3, 28, 28), np.uint8), np.random.default_rng(0), how).any()


def test_crops_go_through_docscans_own_normalise():
    strokes = np.zeros((90, 70), np.uint8)
    strokes[20:80, 30:37] = 255
    assert np.array_equal(through_normalise(strokes, 128), normalise(strokes[20:80, 30:37]))


def test_a_scan_of_few_dots_an_inch_loses_detail():
    stripes = np.zeros((28, 28), np.uint8)
    stripes[4:24, 4:24:2] = 255
    coarse = Augmentation(**{**{name: getattr(STILL, name) for name in STILL.__slots__}, "coarse_share": 1.0})
    bent = augment(stripes[np.newaxis], np.random.default_rng(0), coarse)[0]
    assert (stripes[14, 5:23].max(), stripes[14, 5:23].min()) == (255, 0)
    assert int(bent[14, 6:22].max()) - int(bent[14, 6:22].min()) < 160


@pytest.mark.parametrize(("thickness", "grows"), [(1.0, True), (-1.0, False)])
def test_strokes_grow_and_shrink(thickness, grows):
    class Always(np.random.Generator):
        def uniform(self, low=0.0, high=1.0, size=None):
            return np.full(size, thickness if (low, high) == (-1.0, 1.0) else (low + high) / 2)

    how = Augmentation(**{**{name: getattr(STILL, name) for name in STILL.__slots__}, "thickness": 1.0})
    bent = augment(bar()[np.newaxis], Always(np.random.PCG64(0)), how)
    assert (bent.sum(dtype=int) > bar().sum(dtype=int)) == grows


def test_a_broken_crop_has_lost_ink_of_its_strokes_and_others_none():
    images = np.stack([bar()] * 200 + [np.zeros((28, 28), np.uint8)] * 10)
    torn = broken(images, np.random.default_rng(0), 0.3)
    is_torn = (torn != images).any(axis=(1, 2))
    assert 0.2 < is_torn[:200].mean() < 0.4
    assert not is_torn[200:].any()  # nothing to break
    assert (torn <= images).all()
    assert (torn[is_torn] > 0).any(axis=(1, 2)).all()  # not all of it
    assert np.array_equal(images[0], bar())
