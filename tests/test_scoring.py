import pytest

from docscan.scoring import (
    Judged,
    LineScore,
    ReadNumber,
    Score,
    TrueNumber,
    accepted_share,
    edit_distance,
    score_lines,
    score_page,
)

TRUE = TrueNumber("123", x=100, y=100, width=60, height=30)


def read(text: str, x: float = 100, y: float = 100, confidence: float = 0.9) -> ReadNumber:
    return ReadNumber(text, x, y, width=20, height=30, confidence=confidence)


@pytest.mark.parametrize(
    ("wanted", "given", "edits"),
    [
        ("", "", 0),
        ("12", "", 2),
        ("", "12", 2),
        ("123", "123", 0),
        ("123", "13", 1),
        ("123", "1423", 1),
        ("12", "21", 2),
    ],
)
def test_edit_distance(wanted: str, given: str, edits: int) -> None:
    assert edit_distance(wanted, given) == edits


def test_nothing_to_read_and_nothing_read_is_right() -> None:
    score, judged = score_page([], [])
    assert (score, judged) == (Score(), ())
    assert score.digit_accuracy == 1


def test_a_number_in_its_box_is_right_whatever_its_marks() -> None:
    score, judged = score_page([TRUE], [read("1,23")])
    assert score == Score(digits=3, edits=0, spurious=0, numbers=1, read=1, right=1)
    assert [one.right for one in judged] == [True]


def test_where_marks_are_known_they_count_but_for_which_decimal_mark_it_is() -> None:
    known = TrueNumber("1.23", x=100, y=100, width=60, height=30, exact=True)
    for text, right in (("1.23", 1), ("1,23", 1), ("123", 0), ("1:23", 0)):
        score, _ = score_page([known], [read(text)])
        assert (score.right, score.edits) == (right, 0)
    score, _ = score_page([TrueNumber("123", x=100, y=100, width=60, height=30, exact=True)], [read("12.3")])
    assert score.right == 0


def test_a_number_cut_in_two_has_its_digits_right_but_is_not() -> None:
    score, judged = score_page([TRUE], [read("23", x=130), read("1")])
    assert (score.edits, score.right, score.read) == (0, 0, 2)
    assert [one.right for one in judged] == [False, False]


def test_digits_outside_every_box_count_as_inserted() -> None:
    score, judged = score_page([TRUE], [read("123"), read("45", y=200)])
    assert (score.spurious, score.right) == (2, 1)
    assert score.digit_accuracy == pytest.approx(1 / 3)
    assert [one.right for one in judged] == [False, True]


@pytest.mark.parametrize(("x", "inside"), [(86.5, True), (86.3, False), (153.5, True), (153.7, False)])
def test_a_centre_a_little_outside_still_belongs(x: float, inside: bool) -> None:  # noqa: FBT001
    score, _ = score_page([TRUE], [read("123", x=x)])
    assert score.right == inside


def test_what_has_no_digit_is_ignored() -> None:
    score, _ = score_page([TRUE], [read("-"), read("123")])
    assert (score.read, score.right) == (1, 1)


def test_number_f1_weighs_found_and_made_up_alike() -> None:
    assert Score(numbers=4, read=2, right=2).number_f1 == pytest.approx(2 / 3)
    assert Score().number_f1 == 0


def test_accepted_is_what_can_be_taken_before_one_in_a_thousand_is_wrong() -> None:
    judged = [Judged(1 - index / 10_000, review=False, right=index != 1500) for index in range(2000)]
    assert accepted_share(judged, 2000) == pytest.approx(1999 / 2000)
    assert accepted_share([Judged(0.9, False, False), Judged(0.8, False, True)], 2) == 0  # noqa: FBT003
    assert accepted_share([], 0) == 0


def test_lines_are_found_wherever_they_are_and_a_question_mark_fits_any_digit() -> None:
    score = score_lines([("12", "3?"), ("4",)], [read("34"), read("99"), read("12")])
    assert score == LineScore(images=1, numbers=3, found=2, extra=1)


def test_a_page_of_one_line_is_a_string_read_left_to_right() -> None:
    assert score_lines([("12", "34")], [read("34", x=90), read("12", x=10)]).strings_right == 1
    assert score_lines([("1234",)], [read("34", x=90), read("12", x=10)]) == LineScore(1, 1, 0, 2, 1, 1)
    assert score_lines([("12", "34")], [read("12")]).strings_right == 0
