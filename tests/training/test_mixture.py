import threading

import cv2
import numpy as np
import pytest

from docscan.records import NOT_A_DIGIT
from docscan.stages.normalise import normalise
from training import mixture
from training.augment import Augmentation
from training.crops import Stock
from training.data import Digits
from training.mixture import Pool, direct, draw_pages, one_ahead, shown

BAR = np.full((40, 8), 255, np.uint8)
RING = cv2.ellipse(np.zeros((40, 30), np.uint8), (15, 20), (11, 16), 0, 0, 360, 255, 5)
STRAIGHT = Augmentation(
    rotation_deg=0, slant=0, scale=(1, 1), aspect=0, shift_px=0, elastic_px=0, thickness=0, blur=0, page_share=0
)


def test_pieces_of_ink_become_crops_as_they_are():
    stocks = [
        Stock("bars", [BAR], np.array([1]), 1.0),
        Stock("rings", [RING, RING[:20]], np.array([0, NOT_A_DIGIT]), 1.0),
    ]
    crops = direct(stocks)
    assert crops.labels.tolist() == [1, 0, NOT_A_DIGIT]
    assert np.array_equal(crops.images, [normalise(ink) for ink in (BAR, RING, RING[:20])])


def test_the_pages_drawn_do_not_depend_on_how_many_draw_them():
    stocks = [Stock("bars", [BAR], np.array([1]), 1.0), Stock("rings", [RING], np.array([0]), 3.0)]
    alone, together = (draw_pages(stocks, 12, 5, jobs) for jobs in (1, 2))
    assert np.array_equal(alone.images, together.images)
    assert np.array_equal(alone.labels, together.labels)
    assert np.count_nonzero(alone.labels == 0) > 2 * np.count_nonzero(alone.labels == 1) > 0
    first = draw_pages(stocks, 2, 5, 1)
    assert np.array_equal(first.images, alone.images[: len(first)])
    assert not np.array_equal(first.images, alone.images[-len(first) :])


def test_the_next_is_made_while_one_is_used():
    begun = [threading.Event() for _ in range(4)]

    def making():
        for number, event in enumerate(begun):
            event.set()
            yield number

    for number, used in zip(range(4), one_ahead(making()), strict=True):
        assert used == number
        assert begun[min(number + 1, 3)].wait(10)


def test_what_fails_as_the_next_is_made_is_told():
    def failing():
        yield 1
        raise ValueError("no more ink")

    made = one_ahead(failing())
    assert next(made) == 1
    with pytest.raises(ValueError, match="no more ink"):
        next(made)


@pytest.fixture(autouse=True)
def chunk(monkeypatch):
    """How many crops a chunk has, here."""
    monkeypatch.setattr(mixture, "CHUNK", 8000)
    return 8000


def pool(share, bending, *labels):
    """Crops whose ink is as dark as their label, plus one, times 20."""
    images = np.zeros((len(labels), 28, 28), np.uint8)
    images[:, 8:20, 8:20] = (20 * (np.array(labels) + 1))[:, np.newaxis, np.newaxis]
    return Pool("squares", Digits(images, np.array(labels, dtype=np.int64)), share, bending)


def test_crops_are_shown_by_share_with_their_labels_in_an_order_the_seed_decides(chunk):
    pools = [pool(3, STRAIGHT, 0, 1), pool(1, STRAIGHT, 2)]
    alone, together = (list(shown(pools, 3, 7, jobs)) for jobs in (1, 2))
    assert [len(one.digits) for one in alone] == [chunk] * 3
    for one, other in zip(alone, together, strict=True):
        assert np.array_equal(one.digits.images, other.digits.images)
        assert np.array_equal(one.digits.labels, other.digits.labels)
        assert np.array_equal(one.pools, one.digits.labels == 2)
    first, second, _ = (one.digits for one in alone)
    assert np.array_equal(first.images[:, 14, 14], 20 * (first.labels + 1))
    assert np.bincount(first.labels) / chunk == pytest.approx([3 / 8, 3 / 8, 1 / 4], abs=0.02)
    assert not np.array_equal(first.labels, second.labels)


def test_a_crop_is_bent_anew_every_time():
    [bent] = shown([pool(1, Augmentation(), 9)], 1, 0, 1)
    assert set(bent.digits.labels) == {9}
    assert len({image.tobytes() for image in bent.digits.images[:500]}) == 500


def test_nothing_asked_for_is_nothing_shown():
    assert list(shown([pool(1, STRAIGHT, 3)], 0, 0, 1)) == []
