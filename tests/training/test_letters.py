import itertools
import string
from dataclasses import replace

import cv2
import numpy as np
import pytest

from training.allographs import ALLOGRAPHS, Allograph
from training.fonts import LOOKALIKES
from training.hand import Writer, draw_shape
from training.letters import LETTER_NAMES, LETTERS, draw_letter

SINGLE = tuple(name for name in LETTER_NAMES if len(name) == 1)


def hands(count, *, tidied=False):
    """Writers with a generator each."""
    for seed in range(count):
        rng = np.random.default_rng(seed)
        writer = Writer.random(rng)
        yield (writer.tidied(rng) if tidied else writer), rng


def count_pieces(strokes):
    return cv2.connectedComponents((strokes > 64).astype(np.uint8))[0] - 1  # row 0 is the paper


def overlap(first, second):
    """Ink in common against all ink, 0..1, each stretched to the same box."""
    masks = [cv2.resize(strokes, (24, 32), interpolation=cv2.INTER_AREA) > 64 for strokes in (first, second)]
    return (masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum()


def test_every_letter_that_is_not_written_like_a_digit_has_its_shapes():
    assert set(SINGLE) == set(string.ascii_letters) - set(LOOKALIKES)
    assert [name for name in SINGLE if len(LETTERS[name]) < 2] == []


def test_no_shape_is_drawn_twice():
    drawn = [shape.strokes for shapes in (*LETTERS.values(), *ALLOGRAPHS.values()) for shape in shapes]
    assert len({tuple(stroke.tobytes() for stroke in strokes) for strokes in drawn}) == len(drawn)


@pytest.mark.parametrize("name", LETTER_NAMES)
def test_a_letter_is_cut_to_its_ink_and_about_as_tall_as_asked(name):
    heights = []
    for writer, rng in hands(30):
        strokes = draw_letter(name, writer, rng, 60)
        assert strokes.dtype == np.uint8
        assert all(edge.max() > 32 for edge in (strokes[0], strokes[-1], strokes[:, 0], strokes[:, -1]))
        assert strokes.max() == 255
        heights.append(strokes.shape[0])
    assert np.median(heights) == pytest.approx(60, rel=0.2)


@pytest.mark.parametrize("name", LETTER_NAMES)
def test_every_shape_of_a_letter_can_be_drawn(name):
    drawn = {}
    for number, shape in enumerate(LETTERS[name]):
        rng = np.random.default_rng(number)
        writer = Writer.random(rng)
        drawn[shape.name] = draw_shape(shape, writer.habits[0], writer, rng, 40)
    assert [shape for shape, strokes in drawn.items() if strokes.max() < 255] == []
    assert len(drawn) == len(LETTERS[name]), "two shapes of one name"


def test_the_same_generator_draws_the_same_letter():
    drawn = []
    for _ in range(2):
        rng = np.random.default_rng(5)
        drawn.append(draw_letter("R", Writer.random(rng), rng, 40))
    assert np.array_equal(*drawn)


def test_no_two_hands_draw_a_letter_alike():
    drawn = [draw_letter("k", writer, np.random.default_rng(0), 40) for writer, _ in hands(40)]
    assert len({(strokes.shape, strokes.tobytes()) for strokes in drawn}) == 40


def test_a_hand_draws_no_letter_twice_alike():
    rng = np.random.default_rng(0)
    writer = Writer.random(rng)
    first, second = (draw_letter("G", writer, rng, 40) for _ in range(2))
    assert first.shape != second.shape or not np.array_equal(first, second)


def test_a_hand_keeps_to_its_own_shape_of_a_letter():
    pairs = [[draw_letter("E", writer, rng, 40) for _ in range(2)] for writer, rng in hands(40, tidied=True)]
    own = np.mean([overlap(*pair) for pair in pairs])
    others = np.mean([overlap(pair[0], other[1]) for pair, other in itertools.pairwise(pairs)])
    assert own > 1.3 * others


@pytest.mark.parametrize("name", ["i", "j"])
def test_the_dot_stands_over_its_letter(name):
    for shape in LETTERS[name]:
        stem, *others = shape.strokes
        assert others[-1][:, 1].max() < stem[:, 1].min(), shape.name
    pieces = [count_pieces(draw_letter(name, writer, rng, 80)) for writer, rng in hands(60, tidied=True)]
    assert min(pieces) >= 2


def test_a_dot_is_drawn_even_where_the_pen_skips():
    dot = Allograph("dot", 1, (np.array([[0.0, 0.0], [0.03, 0.0]]),))
    for writer, rng in hands(60):
        strokes = draw_shape(dot, writer.habits[0], replace(writer, skips=1.0, ends=0.0), rng, 80)
        assert strokes.max(initial=0) == 255


def test_joined_letters_are_one_line_as_wide_as_its_letters():
    (pair,), en = LETTERS["en"], [next(s for s in LETTERS[letter] if s.name == "joined") for letter in "en"]
    assert len(pair.strokes) == 1
    assert np.ptp(pair.strokes[0][:, 0]) == pytest.approx(sum(np.ptp(shape.strokes[0][:, 0]) for shape in en))
