import json
from dataclasses import replace

import numpy as np
import pytest

from docscan.records import Page
from docscan.scoring import Judged
from docscan.settings import ReviewSettings
from docscan.stages.classify import load_model
from docscan.stages.normalise import normalise
from training import acceptance
from training.acceptance import glyphs_of, gray_of, page_crops_of, thresholds, truth_of
from training.data import Digits
from training.layouts import Sheet
from training.pages import KINDS, DrawnPage, draw_page

SMALL = Sheet(width=80, height=50, margin=5, digit=4.5)
BLANK = DrawnPage(np.full((300, 400), 255, np.uint8), (), "clean", 200)


def small_page(kind="clean", seed=1):
    return draw_page(kind, np.random.default_rng(seed), dpi=200, sheet=SMALL)


def numbers(count, confidence, *, wrong=0):
    """So many readings of one confidence, of which so many are wrong."""
    return [Judged(confidence, review=False, right=index >= wrong) for index in range(count)]


def test_a_threshold_is_the_least_confidence_that_keeps_the_error():
    judged = numbers(100, 0.75, wrong=50) + numbers(1000, 0.99, wrong=1) + numbers(1000, 0.999)
    assert thresholds(judged, (0.1, 0.01, 0.001, 0.0005)) == {"0.1": 0.75, "0.01": 0.99, "0.001": 0.99, "0.0005": 0.99}


@pytest.mark.parametrize(("count", "found"), [(99, {}), (100, {"0.01": 0.9})])
def test_too_few_numbers_promise_nothing(count, found):
    assert thresholds(numbers(count, 0.9), (0.01, 0.001)) == found


def test_a_certainty_asks_for_more_than_what_was_seen():
    judged = numbers(4000, 0.99, wrong=3) + numbers(4000, 0.999)
    assert thresholds(judged, (0.001,)) == {"0.001": 0.99}
    assert thresholds(judged, (0.001,), certainty=0.95) == {"0.001": 0.99}  # 3 of 8,000
    assert thresholds(judged[:6000], (0.001,), certainty=0.95) == {}  # 3 of 6,000 prove nothing
    assert thresholds(judged[4000:], (0.001,), certainty=0.95) == {"0.001": 0.999}


def test_a_margin_allows_so_many_times_fewer_wrong_ones():
    judged = numbers(4000, 0.99, wrong=6) + numbers(4000, 0.999)
    assert thresholds(judged, (0.001,)) == {"0.001": 0.99}
    assert thresholds(judged, (0.001,), margin=2) == {"0.001": 0.999}
    assert thresholds(judged[4000:5999], (0.001,)) == {"0.001": 0.999}
    assert thresholds(judged[4000:5999], (0.001,), margin=2) == {}  # too few for half of it


def test_an_error_that_is_out_of_reach_is_left_out():
    assert thresholds(numbers(1000, 0.9, wrong=30), (0.05, 0.02)) == {"0.05": 0.9}
    assert thresholds([]) == {}


def test_numbers_as_sure_as_each_other_are_accepted_together():
    # The right ones come first, but no threshold tells them from the wrong.
    judged = numbers(200, 0.9)[::-1] + numbers(200, 0.9, wrong=200) + numbers(150, 0.95)
    assert thresholds(judged, (0.01,)) == {"0.01": 0.95}


def test_what_a_model_carries_accepts_exactly_what_was_measured():
    rng = np.random.default_rng(0)
    confidences = 1 - rng.random(5000) ** 4 * 1e-5  # all above 0.99999: no digit of them may be rounded away
    judged = [Judged(float(one), review=False, right=bool(rng.random() < one**20_000)) for one in confidences]
    metadata = json.loads(json.dumps(thresholds(judged, (0.02,))))
    model = replace(load_model(), thresholds={float(error): least for error, least in metadata.items()})
    least = model.least_confidence(ReviewSettings(max_error=0.02))
    accepted = [one.right for one in judged if one.confidence >= least]
    assert 0.3 < len(accepted) / len(judged) < 1
    assert 0.97 < np.mean(accepted) < 1
    assert accepted.count(False) <= 0.02 * len(accepted)


def test_every_second_page_of_a_kind_is_written_with_the_digits_given(monkeypatch):
    monkeypatch.setattr(acceptance, "KINDS", {kind: KINDS[kind] for kind in ("clean", "dense")})
    squares = Digits(np.zeros((10, 28, 28), np.uint8), np.arange(10))
    squares.images[:, 4:24, 4:24] = 255
    pages = list(acceptance.drawn_pages(squares, 1, 2))
    assert [page.kind for page in pages] == ["clean", "clean", "dense", "dense"]
    shares = []
    for page in pages:
        boxes = [digit.box for number in page.numbers for digit in number.digits]
        gray = gray_of(page)
        shares.append(np.mean([np.mean(gray[b.top : b.bottom, b.left : b.right] < 128) for b in boxes]))
    assert [share > 0.75 for share in shares] == [False, True, False, True]


def test_colour_becomes_gray():
    page = small_page("coloured")
    assert page.image.ndim == 3
    assert gray_of(page).shape == page.image.shape[:2]
    assert np.array_equal(gray_of(small_page()), small_page().image)


def test_what_was_drawn_is_the_truth_of_a_page():
    page = small_page()
    assert [(true.text, true.x, true.y, true.width, true.height) for true in truth_of(page)] == [
        (number.text, number.box.left, number.box.top, number.box.width, number.box.height) for number in page.numbers
    ]


def block_page(kind="clean"):
    """A 3 is a wide bar and anything else a high one, so a label can be told from its crop."""

    def source(digit, rng, height_px):
        size = (round(height_px), round(height_px * (1 if digit == 3 else 0.3)))
        return np.full(size, 255, np.uint8)

    return draw_page(kind, np.random.default_rng(4), dpi=200, sheet=SMALL, digits_source=source)


@pytest.mark.parametrize("kind", ["clean", "table"])
def test_crops_of_a_page_are_the_digits_drawn_there(kind):
    page = block_page(kind)
    found = page_crops_of([page, BLANK])
    written = "".join(number.text for number in page.numbers)
    assert sorted(found.labels.tolist()) == sorted(int(digit) for digit in written)
    wide = (found.images[:, :, 7] > 0).any(axis=1)
    assert wide.tolist() == (found.labels == 3).tolist()


def test_ink_that_is_no_digit_of_the_truth_gives_no_crop():
    page = small_page()
    assert len(page_crops_of([DrawnPage(page.image, (), "clean", 200)])) == 0
    assert page_crops_of([]).images.shape == (0, 28, 28)


def test_glyphs_are_what_docscan_asks_the_classifier_about():
    page = block_page("crossed")  # with the rulings left in, digits that stand on one would be one piece
    glyphs = glyphs_of(Page(gray_of(page), 200.0))
    drawn = [digit.box for number in page.numbers for digit in number.digits]
    assert len(glyphs) == len(drawn)
    assert normalise(glyphs.inks[0]).any()
