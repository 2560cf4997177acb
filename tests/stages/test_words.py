from dataclasses import replace

import numpy as np
import pytest

from docscan.records import Box, Digit, LowInk, Rulings, Surroundings
from docscan.settings import LayoutSettings
from docscan.stages.grain import leave_out_grain
from docscan.stages.words import leave_out_texts, leave_out_words

NONE = np.zeros((0, 4), np.float32)
RULINGS = Rulings(NONE, np.zeros(0, np.float32), NONE, np.zeros(0, np.float32))


def signs(text, *, left=0, height=40, advance=28):
    """Digits and letters, a letter a dot; a blank is a space between words."""
    return [
        Digit(
            letter.strip("."), 0.9, Box(left + place * advance, 40 - height, left + place * advance + height // 2, 40)
        )
        for place, letter in enumerate(text)
        if letter != " "
    ]


def surroundings(low=(), runs=()):
    low_boxes, run_boxes = (np.array(boxes, np.int32).reshape(-1, 4) for boxes in (low, runs))
    return Surroundings(RULINGS, LowInk(low_boxes, 4.0), run_boxes)


def kept(*readings, low=(), runs=()):
    rest = leave_out_texts(tuple(readings), surroundings(low, runs), LayoutSettings())
    return leave_out_words(rest.readings, rest.about, LayoutSettings())


def text_of(readings):
    return "".join(reading.text for reading in readings)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (".... 15 ... .....", ""),  # name is not Smith
        ("..... 806 ..1.. ...", ""),  # there Bob smiles not
        ("......   42", "42"),  # Amount   42
        (".1. 42", "42"),  # two letters make no text
        ("......  6.", ""),  # we shall   be
        ("......   4212.", "4212"),  # Amount   4212 and a sign
        ("....   ..1.   ..1   15   .....", ""),  # the same as in the first by a typewriter
        ("....   42   ..... .....", "42"),  # Paid   42   euros today
        ("......   42   .....", "42"),  # Amount   42   euros
    ],
)
def test_words_that_look_like_numbers_are_left_out_among_words(text, left):
    assert text_of(kept(*signs(text))) == left


def on_line(readings, line, *, leading=70):
    return [
        replace(one, box=one.box._replace(top=one.box.top + line * leading, bottom=one.box.bottom + line * leading))
        for one in readings
    ]


def test_a_line_of_letters_that_look_like_digits_goes_on_a_text():
    text, ill, numbers = "...... ....  .... ......", "1. 111. 5. 1111 51..11", "42 17 .. .83 96 1.4"
    assert text_of(kept(*signs(ill))) != ""
    assert text_of(kept(*signs(text), *on_line(signs(ill), 1), *on_line(signs(ill), 2))) == ""
    assert text_of(kept(*signs(text), *on_line(signs(ill), 1, leading=200))) != ""
    # A larger hand below it is none of it.
    assert text_of(kept(*signs(text), *on_line(signs(numbers, height=60, advance=40), 1, leading=90))) != ""


@pytest.mark.parametrize(("lines", "left"), [(1, ""), (8, "42")])
def test_a_row_of_digits_that_touch_is_no_text_on_a_page_of_numbers(lines, left):
    touching = signs("..4..2.")
    others = [replace(one, confidence=0.99) for line in range(1, lines + 1) for one in on_line(signs("2347"), 2 * line)]
    rest = leave_out_texts((*touching, *others), surroundings(), LayoutSettings())
    assert text_of(rest.readings) == left + "2347" * lines


def test_a_digit_in_two_low_pieces_is_no_two_letters_of_its_number():
    low = [(60, 0, 76, 18), (56, 16, 72, 40)]  # a 5 that broke in the middle
    assert text_of(kept(*signs("17509"), low=low)) == "17509"
    assert text_of(kept(*signs("17509"), low=[(142, 15, 158, 40), (164, 15, 180, 40)])) == ""


def test_flat_digits_are_no_low_letters_of_their_own_number():
    flat = [replace(digit, box=digit.box._replace(top=16)) for digit in signs("50")]
    digits = [*flat, *signs("37", left=56)]
    low = [tuple(digit.box) for digit in flat]
    assert text_of(kept(*digits, low=low)) == "5037"
    assert text_of(kept(*digits, low=[(left, 15, right, 40) for left, _, right, _ in low])) == ""


@pytest.mark.parametrize(("space", "expected"), [(24, "52"), (8, "2")])
def test_a_low_digit_much_nearer_to_its_number_than_to_the_label_is_none_of_the_text(space, expected):
    low = Digit("5", 0.99, Box(240, 22, 275, 40))
    high = Digit("2", 0.99, Box(280, -4, 310, 42))
    label = signs("......", left=240 - space - 10 - 5 * 24, height=20, advance=24)
    assert text_of(kept(*label, low, high)) == expected


@pytest.mark.parametrize(
    ("text", "confidence", "lower", "left"),
    [
        ("42", 0.99, 6, "42"),
        ("42", 0.8, 6, ""),
        ("15", 0.99, 6, ""),
        ("7", 0.99, 6, ""),
        ("42", 0.99, 0, ""),
        ("842", 0.99, 0, "842"),
        ("842", 0.9, 0, ""),
        ("606", 0.99, 0, ""),
    ],
    ids=["plain", "not sure", "like letters", "one alone", "printed", "three", "three not sure", "three like letters"],
)
def test_plain_digits_that_are_not_printed_are_a_number_wherever_they_stand(text, confidence, lower, left):
    digits = [
        replace(one, confidence=confidence, box=one.box._replace(top=lower, bottom=40 + lower))
        for one in signs(text, left=193)
    ]
    assert text_of(kept(*signs("......"), *digits, *signs(".....", left=220 + 28 * len(text)))) == left


@pytest.mark.parametrize(("sure", "left"), [("10110", "84273"), ("10010", "")], ids=["most", "not most"])
def test_of_plain_digits_most_must_be_sure(sure, left):
    digits = [
        replace(one, confidence=0.99 if is_sure == "1" else 0.8, box=one.box._replace(top=6, bottom=46))
        for one, is_sure in zip(signs("84273", left=193), sure, strict=True)
    ]
    assert text_of(kept(*signs("......"), *digits, *signs(".....", left=360))) == left


def test_what_a_text_is_made_of_is_told():
    rest = leave_out_texts(tuple(signs("......   42")), surroundings(runs=[(-70, 0, -10, 40)]), LayoutSettings())
    assert rest.about.text[:, 0].tolist() == [0, 28, 56, 84, 112, 140, -70]


def test_a_hand_much_larger_than_the_print_before_it_is_no_part_of_the_text():
    label, number = signs("......", height=20, advance=14), signs("42", left=110)
    assert text_of(kept(*label, *number)) == "42"


def test_a_number_as_high_as_its_label_is_none_of_its_words_off_their_line():
    label, typed = signs("...... ... ...."), signs("75", left=472)
    written = [replace(digit, box=digit.box._replace(top=4, bottom=44)) for digit in typed]
    assert text_of(kept(*label, *written)) == "75"
    assert text_of(kept(*label, *typed)) == ""


@pytest.mark.parametrize(("width", "left"), [(44, ""), (54, "6")], ids=["letters", "touching digits"])
def test_unread_pieces_wider_than_letters_make_no_text(width, left):
    unread = [Digit("", 0.9, Box(60 * place, 0, 60 * place + width, 40)) for place in range(4)]
    assert text_of(kept(*unread, *signs("6", left=256))) == left


def test_small_print_with_ink_not_read_is_a_form_s_own_word():
    sure = [replace(digit, confidence=0.99) for digit in signs("2024")]
    small = signs("5.", left=300, height=20, advance=14)
    assert text_of(kept(*sure, *small)) == "2024"
    assert text_of(kept(*sure, *signs("57", left=300, height=20, advance=14))) == "202457"
    assert text_of(kept(*sure, *signs("5.", left=300, height=30, advance=20))) == "20245"


def test_a_text_goes_on_behind_a_comma():
    """It hangs below the next word, which stands a little higher than the one before it."""
    word, comma, number = signs("...."), Digit("1", 0.9, Box(106, 34, 114, 52)), signs("15", left=126)
    raised = [replace(digit, box=digit.box._replace(top=-3, bottom=37)) for digit in number]
    assert text_of(kept(*word, comma, *raised)) == ""


def test_nothing_of_a_text_is_left_to_be_read_as_a_string():
    readings, runs, low = signs(".. .."), [(140, 0, 300, 40)], [(20, 28, 32, 40), (600, 28, 612, 40)]
    rest = leave_out_texts(tuple(readings), surroundings(low, runs), LayoutSettings())
    assert rest.readings == ()
    assert len(rest.about.runs) == 0
    assert rest.about.low.boxes.tolist() == [[600, 28, 612, 40]]


def test_points_and_commas_of_a_text_are_no_digits():
    comma = Digit("1", 0.9, Box(75, 30, 82, 50))
    assert text_of(kept(*signs("..."), comma, *signs("....", left=140))) == ""


def test_quotation_marks_at_the_top_of_a_text_are_no_digits():
    quotes = [Digit("1", 0.9, Box(left, 0, left + 4, 14)) for left in (172, 180)]
    low_letters = [Digit("", 0.9, Box(28 * place, 14, 28 * place + 20, 40)) for place in range(6)]
    assert text_of(kept(*low_letters, *quotes)) == ""
    assert text_of(kept(*quotes)) == "11"


def test_low_letters_make_a_word():
    """The g of small print is as high as the hand's digits, its other letters are too low to be read."""
    low = [(16 * place, 26, 16 * place + 12, 40) for place in (1, 2, 3)]
    assert text_of(kept(*signs("9", height=26), low=low)) == ""
    assert text_of(kept(*signs("9", height=26))) == "9"


def test_a_digit_beside_a_run_of_ink_nobody_read_is_marked():
    [one, two] = kept(*signs("12"), runs=[(55, 0, 300, 42)])
    assert (one.beside_unread, two.beside_unread) == (False, True)


def test_a_crowd_of_1s_of_all_heights_is_grain():
    rng = np.random.default_rng(0)
    grain = [
        Digit("1", 0.9, Box(int(x), int(y), int(x) + 5, int(y) + int(height)))
        for x, y, height in zip(
            rng.integers(0, 300, 80), rng.integers(0, 300, 80), rng.choice([12, 25, 60], 80), strict=True
        )
    ]
    written = [Digit(str(k % 10), 0.9, Box(600 + 30 * k, 100, 620 + 30 * k, 140)) for k in range(10)]
    column = [Digit("1", 0.9, Box(1200, 60 * k, 1205, 60 * k + 40)) for k in range(10)]
    digits = leave_out_grain((*grain, *written, *column), LayoutSettings())
    assert digits == (*written, *column)


def test_no_digits_have_no_grain():
    assert leave_out_grain((), LayoutSettings()) == ()
