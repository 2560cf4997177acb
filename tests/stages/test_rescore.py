import cv2
import numpy as np
import pytest

from docscan.settings import StringSettings
from docscan.stages.classify import load_model
from docscan.stages.rescore import cut_digits, ink_of, rescored
from docscan.stages.strings import BLANK, STRIP_PX, Rivals, Strip


def strip_with(*bars):
    """Paper with bars of ink (left, top, right, bottom, darkness)."""
    pixels = np.zeros((STRIP_PX, 80, 2), np.uint8)
    for left, top, right, bottom, darkness in bars:
        pixels[top:bottom, left:right] = darkness, 255
    return Strip(pixels, 0.0, 1.0)


def strip_of_17():
    picture = np.zeros((STRIP_PX, 80), np.uint8)
    for place, digit in enumerate("17"):
        cv2.putText(picture, digit, (10 + 36 * place, 26), cv2.FONT_HERSHEY_SIMPLEX, 0.9, 255, 2, cv2.LINE_AA)
    return Strip(np.stack([picture, picture], axis=2), 0.0, 1.0)


def cut(strip, middles):
    return cut_digits(ink_of(strip), middles)


def steps_of(path):
    """Posteriors that all but say the digits of `path` a step each, "-" being blank."""
    steps = np.full((len(path), BLANK + 1), 1e-6)
    for row, letter in zip(steps, path, strict=True):
        row[BLANK if letter == "-" else int(letter)] = 1
    return steps / steps.sum(axis=1, keepdims=True)


def rivals(chances, *, path="--1----------7-----", strip=None):
    given = strip or strip_with((6, 5, 14, 27, 250), (50, 5, 58, 27, 250))
    each = np.array(list(chances.values()))
    return Rivals(given, steps_of(path), tuple(chances), each, each, np.ones(len(chances)))


def reweighed(strings, classify, **changed):
    return rescored(strings, classify, StringSettings(**changed))


class Seeing:
    """A classifier that is as sure of every crop as it is told, and counts them."""

    def __init__(self, **sure):
        self.chances = np.full(BLANK + 1, 1e-6)
        for name, chance in sure.items():
            self.chances[int(name.removeprefix("of_"))] = chance
        self.crops = 0

    def __call__(self, crops):
        self.crops += len(crops)
        return np.tile(self.chances, (len(crops), 1)).astype(np.float32)


def test_two_pieces_of_ink_are_two_digits_cut_out():
    digits = cut(strip_with((6, 5, 14, 27, 250), (50, 8, 60, 20, 200)), [10.0, 55.0])
    assert [(ink.shape, int(ink.max())) for ink in digits] == [((22, 8), 250), ((12, 10), 200)]


def test_a_piece_that_reaches_a_little_beyond_the_cut_stays_whole():
    digits = cut(strip_with((6, 5, 14, 27, 250), (14, 24, 36, 26, 250), (50, 5, 58, 27, 250)), [10.0, 54.0])
    assert [ink.shape for ink in digits] == [(22, 30), (22, 8)]


def test_digits_that_touch_are_cut_halfway():
    digits = cut(strip_with((10, 5, 50, 27, 250)), [20.0, 40.0])
    assert [ink.shape for ink in digits] == [(22, 20), (22, 20)]


def test_a_digit_without_ink_of_its_own_is_an_empty_piece():
    digits = cut(strip_with((6, 5, 14, 27, 250)), [10.0, 60.0])
    assert [ink.shape for ink in digits] == [(22, 8), (0, 0)]
    assert cut(strip_with((6, 5, 14, 27, 250)), []) == []


def test_paper_and_faint_print_are_no_ink_but_what_docscan_saw_is():
    strip = strip_with((6, 5, 14, 27, 60))
    strip.pixels[10:20, 40:50] = 60, 0
    assert [ink.shape for ink in cut(strip, [10.0, 45.0])] == [(22, 8), (0, 0)]


def test_where_the_reader_hesitates_the_digits_decide():
    [string] = reweighed([rivals({"17": 0.5, "11": 0.4})], Seeing(of_1=0.99, of_7=0.001))
    assert string.texts == ("11", "17")
    assert string.chances.sum() == pytest.approx(0.9)
    assert string.unaided.tolist() == [0.4, 0.5]
    assert string.seen.tolist() == pytest.approx([0.99**2, 0.99 * 0.001], rel=1e-3)


def test_what_the_reader_is_sure_of_stays_and_its_digits_are_looked_at_once():
    seeing = Seeing(of_1=0.99, of_7=0.001)
    [string] = reweighed([rivals({"17": 0.95, "11": 0.04})], seeing)
    assert string.texts == ("17", "11")
    assert string.chances.tolist() == [0.95, 0.04]
    assert string.seen.tolist() == pytest.approx([0.99 * 0.001, 1.0], rel=1e-3)
    assert seeing.crops == 2


def test_texts_of_several_lengths_and_several_strings_keep_their_places():
    one = rivals({"17": 0.6, "1": 0.3, "": 0.05})
    other = rivals({"7": 0.7, "": 0.1}, path="-------------7-----")
    found = reweighed([one, other, one], Seeing(of_1=0.9, of_7=0.9))
    assert [string.texts[0] for string in found] == ["17", "7", "17"]
    assert found[0].chances.tolist() == found[2].chances.tolist()
    assert found[1].seen.tolist() == pytest.approx([0.9, 1.0])


def test_digits_that_count_for_nothing_change_no_text():
    [string] = reweighed([rivals({"17": 0.5, "11": 0.4})], Seeing(of_1=0.99, of_7=0.001), worth_alone=0.0)
    assert string.texts == ("17", "11")


def test_a_text_that_is_hardly_possible_is_not_looked_at():
    seeing = Seeing(of_1=0.9)
    [string] = reweighed([rivals({"11": 0.6, "17": 1e-5})], seeing)
    assert seeing.crops == 2
    assert string.texts == ("11", "17")


def test_no_strings_and_strings_without_digits_ask_for_nothing():
    seeing = Seeing()
    assert reweighed([], seeing) == ()
    [empty] = reweighed([rivals({"": 1.0})], seeing)
    assert (empty.texts, empty.seen.tolist(), seeing.crops) == (("",), [1.0], 0)


@pytest.fixture(scope="module")
def model():
    return load_model()


def test_a_digit_drawn_as_a_seven_is_read_as_one(model):
    strip = strip_of_17()
    path = "----1--------7------"
    [string] = reweighed([rivals({"11": 0.5, "17": 0.45}, path=path, strip=strip)], model.probabilities)
    assert string.texts == ("17", "11")
    assert string.seen[0] > 0.9 > string.seen[1]


def test_the_model_says_of_a_string_how_sure_its_digits_are_one_by_one(model):
    strip = strip_of_17()
    [reading], [single] = model.strings.read([strip]), model.read_strings([strip], [""], StringSettings())
    assert (reading.text, reading.seen) == ("17", 1.0)
    assert single.text == "17"
    assert 0.9 < single.seen < 1
    assert single.unaided == reading.unaided == reading.probability
