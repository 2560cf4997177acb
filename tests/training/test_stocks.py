import io

import cv2
import numpy as np
import pytest
from built_sets import DATA, cheques, keep_set, png, row_of, zipped

from docscan.records import NOT_A_DIGIT
from training import stocks
from training.data import MNIST_FILES
from training.stocks import cheque_strings, drawn_stocks, load_stocks


def test_drawn_stocks_are_digits_and_letters_that_are_none():
    digits, letters = drawn_stocks(3, writers=4)
    assert np.bincount(digits.labels).tolist() == [8] * 10
    assert set(letters.labels) == {NOT_A_DIGIT}
    assert (len(digits.inks), len(letters.inks)) == (len(digits.labels), len(letters.labels))
    for ink in (*digits.inks, *letters.inks):
        assert all(edge.max() > 40 for edge in (ink[0], ink[-1], ink[:, 0], ink[:, -1]))


def test_a_seed_draws_its_own_hands():
    first, again, other = ([ink.tobytes() for ink in drawn_stocks(seed, writers=1)[0].inks] for seed in (1, 1, 2))
    assert first == again
    assert set(first).isdisjoint(other)


def test_a_cheque_has_its_digits_with_label_and_box(tmp_path, monkeypatch):
    keep_set(tmp_path, "cheques", cheques(2), monkeypatch)
    (gray, digits), (_, others) = cheque_strings(tmp_path)
    assert (gray.shape, gray.dtype) == ((120, 60), np.uint8)
    assert digits == [(0, (22, 16, 36, 44))]
    assert others == [(1, (22, 16, 36, 45))]


def test_every_fifth_cheque_neither_trains_nor_validates(tmp_path, monkeypatch):
    monkeypatch.setattr(stocks, "CHEQUE_MISTAKES", {})
    keep_set(tmp_path, "cheques", cheques(45), monkeypatch)
    [train], [validation] = stocks._cheques(tmp_path)
    kept = [row for row in range(45) if row % 5]
    assert [row_of(ink) for ink in validation.inks] == [1, 21, 41]
    assert [row_of(ink) for ink in train.inks] == [row for row in kept if row not in (1, 21, 41)]
    assert train.labels.tolist() == [row_of(ink) % 10 for ink in train.inks]


def test_cheques_that_train_are_cut_anew_from_spoiled_pictures(tmp_path, monkeypatch):
    monkeypatch.setattr(stocks, "CHEQUE_MISTAKES", {3: {0}})
    monkeypatch.setattr(stocks, "SPOILED_CHEQUES", 2)
    keep_set(tmp_path, "cheques", cheques(12), monkeypatch)
    [train], validation = stocks._spoiled_cheques(tmp_path)
    assert validation == []
    assert train.labels.tolist() == [row for row in (2, 4, 6, 7, 8, 9) for _ in range(2)] + [1, 1]
    assert all(first.shape != second.shape for first, second in zip(train.inks[::2], train.inks[1::2], strict=True))
    for ink in train.inks:  # a bar at least twice as high as wide, as it was drawn
        assert ink.shape[0] > 2 * ink.shape[1]


def test_a_digit_of_a_cheque_that_is_labelled_wrong_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(stocks, "CHEQUE_MISTAKES", {3: {0}, 21: {0}, 4: {1}})
    keep_set(tmp_path, "cheques", cheques(25), monkeypatch)
    [train], [validation] = stocks._cheques(tmp_path)
    assert [row_of(ink) for ink in validation.inks] == [1]
    assert [row_of(ink) for ink in train.inks] == [row for row in range(25) if row % 5 and row not in (1, 3, 21)]
    assert len(train.labels) == len(train.inks)


def test_no_digit_of_the_fifth_that_measures_is_left_out():
    assert [row for row in stocks.CHEQUE_MISTAKES if row % stocks.HELD_OUT_ROW == 0] == []


def test_what_is_left_out_of_the_cheques_is_there():
    if not (DATA / stocks.SETS["cheques"].path).is_file():
        pytest.skip("the cheques are not here")
    digits = [len(digits) for _, digits in cheque_strings(DATA)]
    assert [row for row, places in stocks.CHEQUE_MISTAKES.items() if max(places) >= digits[row]] == []


def test_a_set_that_was_altered_is_refused(tmp_path):
    path = tmp_path / stocks.SETS["cheques"].path
    path.parent.mkdir(parents=True)
    path.write_bytes(b"something else")
    with pytest.raises(ValueError, match=r"orand_car_a_train\.zip: SHA-256 .*, expected f3f45bcf.*; fetch github"):
        next(cheque_strings(tmp_path))


@pytest.mark.parametrize("load", [stocks._cheques, stocks._small_sets, stocks._omniglot])
def test_a_set_that_is_absent_is_done_without(tmp_path, load):
    assert load(tmp_path) == ([], [])


def small_set(images, labels):
    packed = io.BytesIO()
    np.savez(packed, images=np.array(images, np.uint8), labels=np.array(labels))
    return packed.getvalue()


def test_small_sets_are_split_in_blocks_for_neighbours_are_of_one_hand(tmp_path, monkeypatch):
    images = np.zeros((220, 16, 16), np.uint8)
    images[:, 2:14, 4:12] = 255
    keep_set(tmp_path, "semeion", small_set(images, np.arange(220) // 20 % 10), monkeypatch)
    [train], [validation] = stocks._small_sets(tmp_path)
    assert (train.name, set(train.labels), len(train.labels)) == ("semeion", set(range(9)), 200)
    assert (validation.name, set(validation.labels), len(validation.labels)) == ("semeion", {9}, 20)
    assert train.inks[0].shape == (12, 8)


def test_the_lines_of_a_cell_are_neither_digit_nor_none(tmp_path, monkeypatch):
    digit, line, blot = np.zeros((3, 28, 28), np.uint8)
    digit[8:20, 10:18] = 255
    digit[:, 0:2] = 255  # the cell's line beside the digit
    line[:, 0:2] = 255
    blot[10:16, 4:20] = 255
    keep_set(tmp_path, "printed photo", small_set([digit, line, blot], [4, 10, 10]), monkeypatch)
    [train], _ = stocks._small_sets(tmp_path)
    assert train.labels.tolist() == [4, 10]
    assert [ink.shape for ink in train.inks] == [(12, 8), (6, 16)]


def framed_five(*, attached=False):
    """A 5 whose bar is apart, in a cell whose lines are nearly all there."""
    image = np.zeros((28, 28), np.uint8)
    cv2.rectangle(image, (1, 1), (26, 26), 255, 1)
    image[7:9, 11:17] = 255
    image[10:20, 10:18] = 255
    image[14:16, 17:26] = 255 if attached else 0
    return image


def test_a_digit_keeps_its_pieces_and_loses_its_cell():
    kept = stocks._without_frame(framed_five())
    assert cv2.boundingRect(kept) == (10, 7, 8, 13)
    assert np.count_nonzero(kept[7:9]) == 12


def test_a_digit_that_hangs_on_its_cell_is_one_piece_with_it():
    assert cv2.boundingRect(stocks._without_frame(framed_five(attached=True))) == (1, 1, 26, 26)


def test_only_a_set_with_cells_has_pieces_taken_from_its_digits(tmp_path, monkeypatch):
    four = np.zeros((16, 16), np.uint8)  # open: the stem stands apart
    four[0:8, 0:2] = four[6:8, 0:10] = four[0:16, 13:15] = 255
    keep_set(tmp_path, "semeion", small_set([four], [4]), monkeypatch)
    [train], _ = stocks._small_sets(tmp_path)
    assert [ink.shape for ink in train.inks] == [(16, 15)]


def test_omniglot_is_none_split_by_person_and_without_what_looks_like_a_digit(tmp_path, monkeypatch):
    image = np.full((105, 105), 255, np.uint8)
    image[20:60, 20:50] = 0
    lookalike = min(stocks.OMNIGLOT_LOOKALIKES["Greek"])
    names = [
        f"images_background_small1/Greek/character{number:02d}/{number:04d}_{person:02d}.png"
        for number in (lookalike, 5)
        for person in (1, 18, 19)
    ]
    keep_set(tmp_path, "omniglot 1", zipped(dict.fromkeys(names, png(image))), monkeypatch)
    [train], [validation] = stocks._omniglot(tmp_path)
    assert train.labels.tolist() == [NOT_A_DIGIT] * 2
    assert validation.labels.tolist() == [NOT_A_DIGIT]
    assert train.inks[0].shape == (40, 30)
    assert train.inks[0].min() == 255


def test_the_sets_at_hand_are_split_with_no_ink_on_both_sides(monkeypatch):
    files = [f"mnist/{name}" for name in MNIST_FILES] + [known.path for known in stocks.SETS.values()]
    if not all((DATA / file).is_file() for file in files):
        pytest.skip("the sets are not here")
    monkeypatch.setattr(stocks, "DRAWN_WRITERS", 24)
    monkeypatch.setattr(stocks, "LETTER_WRITERS", 12)
    split = load_stocks(DATA, fonts=None)
    names = ["mnist", "drawn", "drawn letters", "cheques", "semeion", "optdigits", "printed photo", "omniglot"]
    assert [stock.name for stock in split.validation] == names
    assert [stock.name for stock in split.train if stock.name != "spoiled cheques"] == names
    judged = {stock.name: stock for stock in split.validation}
    for train, validation in ((stock, judged[stock.name]) for stock in split.train if stock.name in judged):
        assert len(train.inks) == len(train.labels) > 3 * len(validation.labels) > 0, train.name
        assert set(np.unique(train.labels)) <= set(range(11)), train.name
        if train.name in ("mnist", "drawn", "drawn letters", "cheques", "omniglot"):  # large enough to tell apart
            both = {ink.tobytes() for ink in train.inks} & {ink.tobytes() for ink in validation.inks}
            assert len(both) == 0, train.name
