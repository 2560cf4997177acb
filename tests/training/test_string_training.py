from pathlib import Path

import cv2
import numpy as np
import pytest

from docscan.settings import Settings
from training import strings
from training.crops import Stock
from training.data import load_mnist
from training.stocks import HELD_OUT_ROW, Split
from training.string_pictures import draw_string
from training.strings import (
    CHEQUE_TEXTS,
    Cheque,
    LabelledStrip,
    as_read_anew,
    by_hand,
    cheque_strip,
    composed_strip,
    load_cheques,
    main_strip,
    spliced,
    strips_of,
)

DATA = Path(__file__).parents[3] / "shared" / "data"
SETTINGS = Settings()


def digit_ink(digit):
    """A printed digit: (h, w), cut to the ink."""
    field = np.zeros((60, 50), np.uint8)
    cv2.putText(field, str(digit), (5, 50), cv2.FONT_HERSHEY_SIMPLEX, 2, 255, 4)
    left, top, width, height = cv2.boundingRect(field)
    return field[top : top + height, left : left + width]


@pytest.fixture(scope="module")
def hands():
    """Two hands, the second of which wrote no 9; hand and digit are told apart by the darkness of their ink."""
    labels = np.array([*range(10), *range(9)])
    who = np.array([0] * 10 + [1] * 9)
    inks = [np.minimum(digit_ink(digit), np.uint8(200 + 20 * hand)) for digit, hand in zip(labels, who, strict=True)]
    return by_hand(Stock("drawn", inks, labels, share=0), who)


def test_a_string_is_by_one_hand(hands):
    for seed in range(20):
        darkest = {int(ink.max()) for ink in hands.draw("0123456780", np.random.default_rng(seed))}
        assert darkest in ({200}, {220})


def test_a_digit_a_hand_never_wrote_is_another_hands(hands):
    assert {int(hands.draw("9", np.random.default_rng(seed))[0].max()) for seed in range(20)} == {200}


def test_a_picture_says_where_its_digits_stand(hands):
    for seed in range(12):
        rng = np.random.default_rng(seed)
        picture = draw_string("2345", hands.draw("2345", rng), "drawn", rng)
        width = picture.gray.shape[1]
        assert 0 <= picture.box.left < picture.box.right <= width + 2
        assert picture.box.height == pytest.approx(picture.height_px, abs=2)
        inside = picture.gray[:, max(0, picture.box.left) : picture.box.right]
        assert inside.std() > picture.gray[:, : max(1, picture.box.left)].std() / 2


def test_the_same_seed_composes_the_same_strips(hands):
    def strips():
        return list(strips_of(lambda rng: composed_strip([hands], rng, SETTINGS), 4, seed=(3,)))

    for one, other in zip(strips(), strips(), strict=True):
        assert one.text == other.text
        assert (one.pixels == other.pixels).all()


def test_composed_strings_have_one_to_eight_digits_and_now_and_then_none(hands):
    texts = [strip.text for strip in strips_of(lambda rng: composed_strip([hands], rng, SETTINGS), 150, seed=(5,))]
    assert {len(text) for text in texts} == set(range(9))


def cheque(row=1):
    gray = np.full((60, 170), 220, np.uint8)
    boxes = []
    for place, digit in enumerate("407"):
        ink = digit_ink(digit)
        left = 15 + 45 * place
        patch = gray[10 : 10 + ink.shape[0], left : left + ink.shape[1]]
        patch[ink > 127] = 60
        boxes.append((left, 10, left + ink.shape[1], 10 + ink.shape[0]))
    return Cheque(row, gray, "407", tuple(boxes))


def test_a_cheque_may_be_cut_between_digits_that_do_not_overlap():
    strip = cheque_strip(cheque(), None, SETTINGS)
    assert (strip.text, strip.cut_after) == ("407", (1, 2))
    for column in strip.cuts:
        assert strip.pixels[:, column, 0].max() < 60


@pytest.mark.parametrize("seed", range(6))
def test_a_spoiled_cheque_is_cut_where_it_would_have_been(seed):
    strip = cheque_strip(cheque(), np.random.default_rng(seed), SETTINGS)
    for column in strip.cuts:
        assert strip.pixels[:, column, 0].max() < 140


def test_overlapping_boxes_leave_nowhere_to_cut():
    one = cheque()
    wide = tuple((left - 9, top, right + 9, bottom) for left, top, right, bottom in one.boxes)
    assert cheque_strip(Cheque(1, one.gray, one.text, wide), None, SETTINGS).cuts == ()


def test_two_cheques_are_spliced_where_both_may_be_cut():
    def strip(shade, text):
        return LabelledStrip(np.full((32, 10 * len(text), 2), shade, np.uint8), text, (10,), (1,))

    texts = set()
    for seed in range(60):
        joined = spliced(strip(1, "12"), strip(2, "345"), np.random.default_rng(seed))
        texts.add(joined.text)
        shades = {"1": [1] * 10, "145": [1] * 10 + [2] * 20, "45": [2] * 20}[joined.text]
        assert joined.pixels[0, :, 0].tolist() == shades
    assert texts == {"1", "145", "45"}


def test_a_cheque_that_cannot_be_cut_stays_whole():
    whole = LabelledStrip(np.zeros((32, 40, 2), np.uint8), "88")
    assert spliced(whole, whole, np.random.default_rng(0)) is whole


def test_a_picture_without_ink_has_an_empty_strip():
    assert not main_strip(np.full((40, 80), 200, np.uint8), SETTINGS).pixels.any()


@pytest.mark.skipif(not (DATA / "train").is_dir(), reason="the cheques are not here")
def test_cheques_keep_their_rows_and_their_digits():
    cheques = load_cheques(DATA)
    assert [one.row for one in cheques] == list(range(1080))
    assert all(len(one.text) == len(one.boxes) for one in cheques)


@pytest.mark.skipif(not (DATA / "train").is_dir(), reason="the cheques are not here")
def test_amounts_read_anew_keep_their_boxes_and_those_that_cannot_be_told_are_left_out():
    cheques = load_cheques(DATA)
    anew = {one.row: one for one in as_read_anew(cheques)}
    assert {row for row, text in CHEQUE_TEXTS.items() if not text} == set(range(1080)) - anew.keys()
    assert all(anew[row].text == text != cheques[row].text for row, text in CHEQUE_TEXTS.items() if text)
    assert all(len(one.text) == len(one.boxes) for one in anew.values())


def test_no_amount_of_the_fifth_that_measures_is_read_anew():
    assert [row for row in CHEQUE_TEXTS if row % HELD_OUT_ROW == 0] == []


@pytest.mark.skipif(not (DATA / "mnist").is_dir(), reason="MNIST is not here")
def test_every_digit_of_mnist_has_its_writer(monkeypatch):
    mnist = load_mnist(DATA)
    sides = [Stock("mnist", list(part.images), part.labels, share=1) for part in (mnist.train, mnist.validation)]
    monkeypatch.setattr(strings, "load_stocks", lambda _: Split((sides[0],), (sides[1],), mnist))
    stocks = strings.load_string_stocks(DATA)
    of_mnist = [
        next(hand for hand in hands if hand.name == "mnist") for hands in (stocks.hands, stocks.validation_hands)
    ]
    assert [len(hand.labels) for hand in of_mnist] == [len(mnist.train), len(mnist.validation)]
    assert all(len(hand.members) > 40 for hand in of_mnist)
