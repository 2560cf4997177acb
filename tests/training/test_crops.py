import cv2
import numpy as np
import pytest

from docscan.records import NOT_A_DIGIT, Glyphs, InkMask
from docscan.settings import Settings
from training import crops
from training.crops import Stock, cut_to_ink, labelled_boxes, main_pieces, page_crops
from training.stocks import drawn_stocks

RING = cv2.ellipse(np.zeros((60, 44), np.uint8), (22, 30), (16, 24), 0, 0, 360, 255, 8)
BLOCK = np.full((56, 36), 255, np.uint8)


def stock(*pieces, share=1.0):
    inks, labels = zip(*pieces, strict=True)
    return Stock("shapes", inks, np.array(labels, dtype=np.int64), share)


def crops_of(stocks, pages):
    parts = [page_crops(stocks, np.random.default_rng(seed)) for seed in range(pages)]
    return np.concatenate([images for images, _ in parts]), np.concatenate([labels for _, labels in parts])


def test_a_page_gives_crops_as_the_model_gets_them_and_their_labels():
    images, labels = crops_of(drawn_stocks(0, writers=4), 3)
    assert (images.dtype, images.shape[1:], len(images)) == (np.uint8, (28, 28), len(labels))
    assert images.reshape(len(images), -1).max(axis=1).min() > 0
    assert np.unique(labels).tolist() == list(range(11))


def test_the_same_generator_draws_the_same_page_and_another_another():
    stocks = drawn_stocks(0, writers=2)
    first, again, other = (page_crops(stocks, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    assert first[0].shape != other[0].shape or not np.array_equal(first[0], other[0])


def test_a_crop_has_the_label_of_the_ink_in_its_cell():
    images, labels = crops_of([stock((RING, 0), (BLOCK, 8))], 8)
    hollow = images[:, 12:16, 13:15].mean(axis=(1, 2)) < 128
    assert set(np.unique(labels)) <= {0, 8, NOT_A_DIGIT}
    assert hollow[labels == 0].mean() > 0.99
    assert hollow[labels == 8].mean() < 0.01


def test_most_of_what_is_drawn_is_found_again():
    _, labels = crops_of([stock((RING, 0))], 8)
    assert np.count_nonzero(labels == 0) > 0.8 * 8 * crops.ROWS * crops.COLUMNS


def test_what_is_no_digit_stays_none():
    _, labels = crops_of([stock((RING, NOT_A_DIGIT))], 2)
    assert set(labels) == {NOT_A_DIGIT}


def test_a_stock_is_taken_from_by_its_share():
    _, labels = crops_of([stock((RING, 0), share=3), stock((RING, 6), share=1)], 8)
    assert np.mean(labels[labels != NOT_A_DIGIT] == 0) == pytest.approx(0.75, abs=0.05)


PITCH = 60
WHOLE = (10, 10, 34, 46)  # left, top, right, bottom within the cell


def read_back(label, found):
    """The labels given to the ink at `found`, in a cell drawn with `label` at WHOLE; all other cells hold a 3."""
    ink = np.zeros((crops.ROWS * PITCH, crops.COLUMNS * PITCH), np.uint8)
    page = np.zeros(ink.shape, np.float32)
    labels = np.full(crops.ROWS * crops.COLUMNS, 3)
    labels[0] = label
    boxes = np.empty((len(labels), 4), np.int64)
    for cell in range(len(labels)):
        corner = (cell % crops.COLUMNS * PITCH, cell // crops.COLUMNS * PITCH) * 2
        boxes[cell] = np.add(WHOLE, corner)
        left, top, right, bottom = boxes[cell]
        page[top:bottom, left:right] = 1
        left, top, right, bottom = np.add(WHOLE if cell else found, corner)
        ink[top:bottom, left:right] = 255
    cells = crops._Cells(page, labels, boxes, PITCH)
    images, read = crops._read_back(InkMask(ink), cells, Settings())
    assert len(images) == len(read)
    assert np.count_nonzero(read == 3) == len(labels) - 1
    return read[read != 3].tolist()


@pytest.mark.parametrize(
    ("label", "found", "given"),
    [
        (5, WHOLE, [5]),
        (5, (11, 10, 34, 44), [5]),  # nearly all of it
        (5, (10, 10, 29, 23), [NOT_A_DIGIT]),  # a piece, and no dot
        (5, (10, 10, 34, 28), []),  # half of it may be read either way
        (5, (10, 10, 18, 34), []),  # an upright piece looks like a 1
        (5, (10, 40, 50, 43), []),  # not the digit's own ink: what is left of a ruling
        (1, (10, 10, 24, 26), []),  # a piece of a 1 is a 1
        (7, (10, 10, 24, 26), []),  # ... and of a 7 a 7
        (NOT_A_DIGIT, WHOLE, [NOT_A_DIGIT]),
        (NOT_A_DIGIT, (10, 10, 34, 40), []),  # without its dot, an i is a 1
        (NOT_A_DIGIT, (10, 10, 24, 26), []),
    ],
)
def test_what_was_found_is_labelled_only_where_that_is_certain(label, found, given):
    assert read_back(label, found) == given


def test_a_one_meets_no_mishap():
    # Half a 1 is a 1, with a bar it is a 7, and beside another digit it still looks like itself.
    bar = np.full((40, 8), 255, np.uint8)
    ones = stock((bar, 1))
    for seed in range(300):
        ink, label = crops._mishap(bar, 1, ones, np.random.default_rng(seed))
        assert (ink is bar, label) == (True, 1)


def ink_agreement(drawn, found):
    """The shares of ink for a box 30 px wide of which the rows `drawn` held ink and the rows `found` came back."""
    page, back = np.zeros((60, 60), np.float32), np.zeros((60, 60), np.uint8)
    page[drawn, 10:40] = 1
    back[found, 10:40] = 255
    left, top, width, height = cv2.boundingRect(back)
    glyphs = Glyphs(
        np.array([[left, top, left + width, top + height]], np.int32), (back[top : top + height, left : left + width],)
    )
    shares = crops._ink_agreement(glyphs, page, np.array([[10, 10, 40, 50]]))
    return [round(float(share[0]), 2) for share in shares]


def test_ink_that_came_back_is_told_from_ink_that_was_lost_or_added():
    block = slice(10, 50)
    assert ink_agreement(block, block) == [1, 1]
    assert ink_agreement(block, slice(11, 49)) == [1, 1]  # an edge may move by a pixel
    assert ink_agreement(block, slice(10, 29)) == [0.5, 1]
    assert ink_agreement(slice(10, 29), block) == [1, 0.5]


def percent():
    """A slash with a ring on either side, which together are as high and as wide as the slash."""
    ink = np.zeros((60, 60), np.uint8)
    cv2.line(ink, (3, 57), (57, 3), 255, 5)
    cv2.circle(ink, (14, 16), 9, 255, 4)
    cv2.circle(ink, (46, 44), 9, 255, 4)
    return ink


def test_a_slash_is_not_labelled_none_because_it_was_part_of_a_percent_sign():
    images, labels = crops_of([stock((percent(), NOT_A_DIGIT))], 6)
    assert set(labels) <= {NOT_A_DIGIT}
    ringless = (images[:, 4:13, 4:13] < 128).all(axis=(1, 2))
    assert np.count_nonzero(ringless) == 0


@pytest.mark.parametrize(("digit", "sides"), [(4, {"left"}), (8, {"left"}), (9, {"left"}), (2, {"left", "bottom"})])
def test_a_digit_is_cut_only_where_half_of_it_is_no_digit(digit, sides):
    numbered = np.add.outer(np.arange(40, dtype=np.uint8), 100 + np.arange(40, dtype=np.uint8))
    found = set()
    for seed in range(60):
        part = crops._half(numbered, crops.HALVES[digit], np.random.default_rng(seed))
        found.add("bottom" if part[0, 0] > 100 else "left" if part.shape[1] < 40 else "top")
        assert min(part.shape) <= 20
    assert found == sides


def test_a_digit_every_half_of_which_may_be_a_digit_is_never_cut():
    assert {0, 1, 6, 7}.isdisjoint(crops.HALVES)


def test_security_print_runs_into_digits_and_they_keep_their_labels(monkeypatch):
    stocks = [stock((RING, 0), (BLOCK, NOT_A_DIGIT))]
    shares = {}
    for printed in (0.0, 1.0):
        monkeypatch.setattr(crops, "PRINTED_PAGES", printed)
        images, labels = crops_of(stocks, 12)
        assert set(labels) == {0, NOT_A_DIGIT}
        assert len(labels) > 0.5 * 12 * crops.ROWS * crops.COLUMNS
        shares[printed] = images[labels == 0][:, 12:16, 12:16].mean()
    assert shares[1.0] > 2 * shares[0.0]  # ink within the ring


def test_a_page_of_nothing_but_print_gives_no_crops():
    dark = np.zeros((crops.ROWS * PITCH, crops.COLUMNS * PITCH), np.uint8)
    labels = np.zeros(crops.ROWS * crops.COLUMNS, np.int64)
    boxes = np.tile(np.array([[10, 10, 40, 50]]), (len(labels), 1))
    cells = crops._Cells(np.zeros(dark.shape, np.float32), labels, boxes, PITCH)
    images, read = crops._read_boxes(dark, cells, np.random.default_rng(0))
    assert (images.shape, len(read)) == ((0, 28, 28), 0)


def test_a_ruled_page_has_a_line_for_every_row_of_cells_and_keeps_its_ink():
    drawn = np.zeros((crops.ROWS * PITCH, crops.COLUMNS * PITCH), np.float32)
    drawn[20:40, 20:30] = 0.9
    cells = crops._Cells(drawn, np.zeros(0, np.int64), np.zeros((0, 4), np.int64), PITCH)
    for seed in range(20):
        ruled = crops._ruled(cells, 31.0, np.random.default_rng(seed))
        lines = np.diff((ruled[:, 45] > 0).astype(int), prepend=0) == 1
        assert lines.sum() in (crops.ROWS - 1, crops.ROWS)
        assert (ruled >= drawn).all()


def test_digits_are_found_again_where_their_page_is_ruled(monkeypatch):
    monkeypatch.setattr(crops, "RULED_PAGES", 1.0)
    images, labels = crops_of([stock((RING, 0))], 8)
    assert np.count_nonzero(labels == 0) > 0.6 * 8 * crops.ROWS * crops.COLUMNS
    assert (images[labels == 0][:, 12:16, 13:15].mean(axis=(1, 2)) < 128).mean() > 0.97  # through which runs no line


def test_touching_digits_are_one_piece_and_none():
    pair = crops._touching(RING[6:-6, 2:-2], RING[6:-6, 2:-2], np.random.default_rng(0))
    assert cv2.connectedComponents(np.asarray(pair > 0, np.uint8))[0] - 1 == 1
    outcomes = {crops._mishap(RING, 0, stock((RING, 0)), np.random.default_rng(seed))[1] for seed in range(200)}
    assert outcomes == {0, NOT_A_DIGIT}


def digit_page():
    gray = np.full((80, 120), 240, np.uint8)
    gray[20:60, 20:28] = 30
    return gray


def test_a_labelled_box_gives_its_own_ink():
    [ink] = labelled_boxes(digit_page(), [(16, 15, 34, 65)])
    assert ink.shape == (40, 8)
    assert np.unique(ink).tolist() == [255]


def test_a_neighbour_that_reaches_into_the_box_is_left_out():
    gray = digit_page()
    cv2.line(gray, (30, 16), (70, 60), 30, 3)
    [ink] = labelled_boxes(gray, [(16, 12, 36, 65)])
    assert ink.shape == (40, 8)


@pytest.mark.parametrize(("right", "expected"), [(37, 8), (42, 22)])
def test_little_that_the_side_of_a_box_cuts_off_a_touching_neighbour_is_left_out(right, expected):
    gray = digit_page()
    gray[24:60, 36:52] = 30
    gray[57:60, 20:52] = 30  # joins them below the box
    [ink] = labelled_boxes(gray, [(16, 15, right, 55)])
    assert ink.shape[1] == expected


def test_a_dash_that_runs_out_of_the_box_is_left_out():
    gray = digit_page()
    gray[30:33, 30:42] = 30  # two thirds of it inside
    [ink] = labelled_boxes(gray, [(16, 15, 38, 65)])
    assert ink.shape == (40, 8)


def test_the_bar_of_a_five_belongs_to_it():
    gray = digit_page()
    gray[20:26, 34:50] = 30
    [ink] = labelled_boxes(gray, [(16, 15, 56, 65)])
    assert ink.shape == (40, 30)


def test_no_boxes_give_no_ink_and_a_box_on_paper_an_empty_one():
    assert labelled_boxes(digit_page(), []) == []
    [ink] = labelled_boxes(digit_page(), [(80, 10, 100, 40)])
    assert not ink.any()


def test_a_box_may_reach_over_the_edge():
    gray = np.full((80, 120), 240, np.uint8)
    gray[0:40, 0:8] = 30
    [ink] = labelled_boxes(gray, [(-3, -2, 14, 44)])
    assert ink.shape == (40, 8)


def test_crumbs_go_and_large_pieces_stay():
    ink = np.zeros((40, 40), np.uint8)
    ink[5:25, 5:15] = 255
    ink[5:15, 20:30] = 200  # half as large
    ink[35:38, 35:38] = 255  # a crumb
    expected = ink.copy()
    expected[35:38, 35:38] = 0
    assert np.array_equal(main_pieces(ink), expected)


@pytest.mark.parametrize("ink", [np.zeros((5, 5), np.uint8), np.full((5, 5), 255, np.uint8)])
def test_no_piece_or_one_stays_as_it_is(ink):
    assert np.array_equal(main_pieces(ink), ink)


def test_ink_is_cut_to_its_box_faint_edges_left_outside():
    image = np.zeros((10, 12), np.uint8)
    image[2:5, 3:9] = 41
    image[6, 6] = 40
    assert cut_to_ink(image).tolist() == [[41] * 6] * 3
    assert cut_to_ink(np.zeros((3, 4), np.uint8)).shape == (3, 4)
