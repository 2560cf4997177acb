from dataclasses import fields, replace

import numpy as np
import pytest

from docscan.records import Box, Digit, Looks, LowInk, Number, Rulings, Squares, Surroundings
from docscan.settings import Settings
from docscan.stages.trust import CONSTANT, Evidence, find_evidence, leave_out_print, trust, weigh_numbers

NO_LINES = np.zeros((0, 4), np.float32)
NONE = np.zeros(0, np.float32)
BARE = Surroundings(Rulings(NO_LINES, NONE, NO_LINES, NONE))
SETTINGS = Settings()
ALONE = Looks()


def a_number(text, left=0, *, step=25, height=40, confidence=0.99, looks=ALONE, **known):
    digits = tuple(
        Digit(
            letter, confidence, Box(left + step * place, 0, left + step * place + 20, height), (), looks=looks, **known
        )
        for place, letter in enumerate(text)
    )
    outer = Box(left, 0, digits[-1].box.right, height)
    return Number(text, confidence ** len(text), outer, digits, 1, 1)


def evidence(*numbers, about=BARE):
    return find_evidence(numbers, about, SETTINGS)


def weighed(*numbers, weights=None, least=0.9, about=BARE):
    return weigh_numbers(numbers, about, weights or {}, least, SETTINGS)


def test_a_page_without_numbers_has_no_evidence():
    assert len(evidence()) == 0
    assert weighed() == ()


def test_every_column_has_a_row_a_number():
    found = evidence(a_number("12"), a_number("345", 200))
    assert {len(getattr(found, column.name)) for column in fields(Evidence)} == {2}


def test_a_model_without_weights_leaves_a_number_as_sure_as_it_was():
    for confidence in (0.0, 0.3, 0.97, 1.0):
        [number] = weighed(a_number("7", confidence=confidence))
        assert number.confidence == confidence


@pytest.mark.parametrize("weight", [-1000.0, 0.0, 1000.0])
def test_a_chance_is_between_0_and_1(weight):
    [number] = weighed(a_number("7"), weights=dict.fromkeys([CONSTANT, "alone", "digits"], weight))
    assert 0 <= number.confidence <= 1


def test_a_stroke_before_or_behind_a_number_is_a_stray():
    low = LowInk(np.array([[-30, 20, -15, 24], [5, 20, 20, 24], [176, 20, 180, 24]], np.int32), 4.0)
    found = evidence(a_number("12"), a_number("3", 200), about=replace(BARE, low=low))
    assert found.stray.tolist() == pytest.approx([0.9 - 15 / 40, 0])


def test_pieces_that_together_are_as_high_as_a_digit_count_beside_a_number():
    broken = [(-30, 2, -24, 10), (-28, 16, -22, 24), (-32, 30, -26, 38)]  # 24 px high at least, 6 px from each other
    for low, expected in ((broken, 0.9 - 22 / 40), (broken[:1], 0), ([*broken[:1], (-200, 16, -190, 38)], 0)):
        about = replace(BARE, low=LowInk(np.array(low, np.int32), 4.0))
        assert evidence(a_number("12"), about=about).pieces.tolist() == pytest.approx([expected])


def test_what_speaks_against_a_number_makes_it_less_sure():
    found = evidence(a_number("7"), a_number("7", 300, looks=Looks("string", 0.2, 0.9)))
    sure, doubted = trust(found, {CONSTANT: 3.0, "string": -2.0})
    assert (sure, doubted) == (pytest.approx(1 / (1 + np.exp(-3))), pytest.approx(1 / (1 + np.exp(-1))))


def test_digits_and_their_confidences_stay_as_they_are():
    number = a_number("12")
    [same] = weighed(number, weights={CONSTANT: -1.0})
    assert (same.text, same.digits, same.box) == (number.text, number.digits, number.box)


def test_who_is_not_sure_enough_goes_to_review_and_says_why():
    unsure, beside = a_number("1", confidence=0.8), a_number("2", 200, confidence=0.8, beside_unread=True)
    struck = replace(a_number("3", 400), review=True, reason="struck-through")
    assert [(number.review, number.reason) for number in weighed(unsure, beside, struck, a_number("4", 600))] == [
        (True, "low-confidence"),
        (True, "touching"),
        (True, "struck-through"),
        (False, ""),
    ]


def test_who_looked_twice_is_told_from_who_looked_once():
    looks = [Looks(), Looks("both", 0.9, 0.8), Looks("string", 0.3, 0.8, 0.9), Looks("against", 0.9, 0.5)]
    found = evidence(*(a_number("5", 300 * place, looks=one) for place, one in enumerate(looks)))
    assert [found.both.tolist(), found.string.tolist(), found.against.tolist()] == [
        [0, 1, 0, 0],
        [0, 0, 1, 0],
        [0, 0, 0, 1],
    ]
    assert found.both_alone[1] == pytest.approx(np.log(9))
    assert found.string_string[2] == pytest.approx(np.log(4))
    assert found.string_seen.tolist() == pytest.approx([0, 0, np.log(9), 0])
    assert found.alone.tolist() == pytest.approx([np.log(99), 0, 0, 0])
    assert found.crowd.tolist() == [0.75, 0, 0, 0]
    assert np.flatnonzero(found.least).tolist() == [0]


def test_who_was_confirmed_is_as_sure_as_alone_and_stands_in_no_crowd():
    looks = [Looks(), Looks("confirmed", 0.99, 0.8), Looks("both", 0.9, 0.8)]
    found = evidence(*(a_number("5", 300 * place, looks=one) for place, one in enumerate(looks)))
    assert found.alone.tolist() == pytest.approx([np.log(99), np.log(99), 0])
    assert found.confirmed.tolist() == [0, 1, 0]
    assert found.confirmed_string.tolist() == pytest.approx([0, np.log(4), 0])
    assert found.crowd.tolist() == pytest.approx([1 / 3, 0, 0])


def test_a_number_looked_at_in_two_ways_counts_as_the_less_sure_one():
    confirmed, doubted = (a_number("5", 300, looks=Looks(who, 0.9, 0.8)) for who in ("confirmed", "both"))
    [found] = evidence(replace(confirmed, digits=confirmed.digits + doubted.digits)).both.tolist()
    assert found == 1


def test_a_number_near_another_may_have_been_cut_from_it():
    near = evidence(a_number("12"), a_number("3", 80), a_number("4", 400))
    assert near.free.tolist() == pytest.approx([0.125, 0.125, 0])  # 35 px apart, where 40 are a digit's height
    divider = np.array([[62, 0, 62, 40]], np.float32)
    about = replace(BARE, rulings=Rulings(NO_LINES, NONE, divider, np.ones(1, np.float32)))
    ruled = evidence(a_number("12"), a_number("3", 80), about=about)
    assert (ruled.free.tolist(), ruled.ruled.tolist()) == ([0, 0], pytest.approx([0.025, 0.025]))


def test_across_a_tables_line_nothing_was_cut_off():
    line, row = np.array([[62, -40, 62, 40]], np.float32), np.array([[0, -2, 200, -2]], np.float32)
    rulings = Rulings(row, np.ones(1, np.float32), line, np.ones(1, np.float32))
    found = evidence(a_number("12"), a_number("3", 80), about=replace(BARE, rulings=rulings))
    assert (found.free.tolist(), found.ruled.tolist()) == ([0, 0], [0, 0])


def test_digits_in_squares_of_their_own_are_no_further_apart_than_usual():
    every = np.arange(-20.0, 1400, 80)
    spread = [a_number("12345", 10, step=80), a_number("1234567", 410, step=80)]
    assert min(evidence(*spread).apart.tolist()) > 0
    squares = Squares(np.array([-20.0, 60.0]), np.zeros(2), every, 0 * every, (100, 1400))
    assert evidence(*spread, about=replace(BARE, squares=squares)).apart.tolist() == [0, 0]


def with_marks(text, left):
    number = a_number("".join(letter for letter in text if letter.isdigit()), left)
    return replace(number, text=text)


def test_a_number_without_a_mark_among_many_with_one_may_have_lost_it():
    many = with_marks("1.2", 0), with_marks("34,5", 200), with_marks("67", 400), with_marks("-8", 600)
    usual = [number.confidence for number in many]
    assert [number.confidence for number in weighed(*many)] == pytest.approx([*usual[:2], usual[2] / 2, usual[3]])
    bare = with_marks("12", 0), with_marks("-34", 200), with_marks("67", 400), with_marks("8.9", 600)
    assert [number.confidence for number in weighed(*bare)] == [number.confidence for number in bare]


def test_so_may_one_with_ink_like_a_mark():
    many = with_marks("1.2", 0), replace(with_marks("34,5", 200), unclear_mark=True)
    assert weighed(*many)[1].confidence == pytest.approx(many[1].confidence / 2)


def test_a_mark_where_next_to_no_number_has_one_may_be_dirt():
    found = evidence(with_marks("1.2", 0), *(with_marks("67", 200 * place) for place in range(1, 10)))
    assert found.marked.tolist() == pytest.approx([2 / 3, *[0] * 9])
    assert evidence(with_marks("1.2", 0), with_marks("6.7", 200)).marked.tolist() == [0, 0]


def test_digits_with_a_mark_between_are_no_further_apart_than_usual():
    wide = replace(a_number("12", step=60), text="1.2")
    assert evidence(wide).apart.tolist() == [0]
    assert evidence(replace(wide, text="12")).apart.tolist() == pytest.approx([0.5])


def test_another_line_is_no_neighbour():
    below = a_number("3", 50)
    below = replace(below, box=Box(50, 100, 70, 140))
    assert evidence(a_number("12"), below).free.tolist() == [0, 0]


def test_ink_that_was_not_read_counts_where_it_is_near():
    unread = np.array([[60, 0, 80, 40]], np.int32)
    found = evidence(a_number("12"), a_number("3", 300), about=replace(BARE, unread=unread))
    assert found.unread.tolist() == pytest.approx([0.525, 0])  # 15 px away, where 40 are a digit's height


def test_a_loose_stroke_counts_for_the_number_it_lies_beside():
    about = replace(BARE, low=LowInk(np.array([[50, 0, 70, 4]], np.int32), 4.0))
    assert evidence(a_number("15"), a_number("3", 300), about=about).loose.tolist() == [0.5, 0]


def test_digits_that_overlap_and_digits_lower_than_the_rest_are_seen():
    found = evidence(a_number("123", step=18), a_number("123", 300), a_number("1", 600, height=20))
    assert found.tight.tolist() == pytest.approx([0.15, 0, 0])
    assert evidence(a_number("12", step=44), a_number("12", 300)).apart.tolist() == pytest.approx([0.1, 0])
    assert found.small.tolist() == pytest.approx([0, 0, 0.8])


def test_of_what_was_read_twice_nobody_is_very_sure():
    found = evidence(a_number("5", looks=Looks("both", 1.0, 1.0)), a_number("5", 300, confidence=1.0))
    assert found.both_string[0] == found.both_alone[0] == pytest.approx(5)
    assert found.alone[1] == pytest.approx(12)


@pytest.mark.parametrize(("who", "column"), [("string", "string_string"), ("confirmed", "confirmed_string")])
def test_of_a_string_its_reader_may_be_surer(who, column):
    assert getattr(evidence(a_number("57", looks=Looks(who, 1.0, 1.0))), column).tolist() == pytest.approx([8])


def test_where_other_strings_touch_a_string_is_more_to_be_expected():
    looks = [Looks(), Looks("confirmed", 0.99, 0.8), Looks("string", 0.3, 0.8), Looks("string", 0.2, 0.9)]
    found = evidence(*(a_number("5", 300 * place, looks=one) for place, one in enumerate(looks)))
    assert found.string_crowd.tolist() == [0, 0, 0.5, 0.5]
    assert found.confirmed_crowd.tolist() == [0, 0.5, 0, 0]


def test_digits_in_cells_of_their_own_are_not_apart():
    upright = np.array([[32, -20, 32, 60]], np.float32)
    comb = replace(BARE, rulings=Rulings(NO_LINES, NONE, upright, np.ones(1, np.float32)))
    wide = a_number("12", step=44)
    assert evidence(wide).apart.tolist() == pytest.approx([0.1])
    assert (evidence(wide, about=comb).apart.tolist(), evidence(wide, about=comb).tight.tolist()) == ([0], [0])


def test_gaps_and_marks_in_doubt_are_told_from_digits_in_doubt():
    sure, doubtful = a_number("12"), replace(a_number("12", 300), confidence=0.5 * 0.99**2)
    assert evidence(sure, doubtful).layout.tolist() == pytest.approx([0, np.log(0.5)])


def test_a_page_of_doubts_makes_all_its_numbers_doubtful():
    assert evidence(a_number("1"), a_number("2", 300, confidence=0.5)).doubts.tolist() == [0.5, 0.5]


def test_a_page_whose_numbers_are_past_belief_is_print():
    letters = [replace(a_number("1", left=60 * place, confidence=0.001), line=1 + place) for place in range(6)]
    number = replace(a_number("42", left=900, confidence=0.7), line=7, position=3)
    others = replace(BARE, unread=np.tile(np.array([[0, 100, 15, 125]], np.int32), (8, 1)))
    left = leave_out_print((*letters, number), others, SETTINGS)
    assert [(one.text, one.line, one.position) for one in left] == [("42", 1, 1)]
    # Digits without letters are numbers that nobody could tell apart: a person looks.
    fewer = replace(BARE, unread=others.unread[:7])
    assert leave_out_print((*letters, number), fewer, SETTINGS) == (*letters, number)


def test_on_a_page_of_text_what_is_hardly_believed_and_no_higher_than_its_letters_is_a_word():
    letters = np.tile(np.array([[0, 0, 15, 25]], np.int32), (120, 1))
    text = replace(BARE, text=letters)
    word, number, large = (
        a_number("15", left, confidence=sure, height=height)
        for left, sure, height in ((0, 0.3, 30), (200, 0.7, 30), (400, 0.3, 60))
    )
    assert leave_out_print((word, number, large), text, SETTINGS) == (
        replace(number, position=1),
        replace(large, position=2),
    )
    # A form with a few lines of text and more numbers that are sure keeps what is hard to read.
    sure = [a_number("42", 600 + 60 * place) for place in range(2)]
    assert len(leave_out_print((word, *sure), text, SETTINGS)) == 3
    assert len(leave_out_print((word,), replace(BARE, text=letters[:40]), SETTINGS)) == 1


def test_beside_written_numbers_small_print_that_is_hardly_believed_is_a_word():
    written = tuple(a_number("42", 60 * place) for place in range(5))
    small, large, likely = (
        a_number("15", 600 + 60 * place, confidence=sure, height=height)
        for place, (sure, height) in enumerate([(0.7, 22), (0.7, 26), (0.9, 22)])
    )
    left = leave_out_print((*written, small, large, likely), BARE, SETTINGS)
    assert [one.box for one in left] == [one.box for one in (*written, large, likely)]
    assert small in leave_out_print((*written[:4], small), BARE, SETTINGS)
    # A 5 whose bar lies above it is lower for that.
    bar = replace(BARE, low=LowInk(np.array([[648, -6, 664, 2]], np.int32), 4.0))
    assert small in leave_out_print((*written, small, large, likely), bar, SETTINGS)


def test_a_page_with_numbers_that_may_be_right_keeps_them_all():
    doubtful = [a_number("1", left=60 * place, confidence=0.001) for place in range(6)]
    likelier = [a_number("42", left=900 + 60 * place, confidence=0.3) for place in range(7)]
    assert leave_out_print((*doubtful, *likelier), BARE, SETTINGS) == (*doubtful, *likelier)
    assert leave_out_print(tuple(doubtful[:5]), BARE, SETTINGS) == tuple(doubtful[:5])
    assert leave_out_print((), BARE, SETTINGS) == ()
