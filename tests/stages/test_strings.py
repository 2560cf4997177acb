import math
from itertools import groupby, product
from pathlib import Path

import cv2
import numpy as np
import pytest

from docscan.errors import ModelError
from docscan.records import InkMask
from docscan.settings import StringSettings
from docscan.stages.classify import SHIPPED, SHIPPED_STRINGS, StringModel, load_string_model
from docscan.stages.components import find_pieces
from docscan.stages.strings import (
    BLANK,
    DIGIT_PX,
    LONGEST_PX,
    STRIP_PX,
    Strip,
    chosen,
    confirmed,
    cut_strip,
    cut_strips,
    find_lone_strings,
    find_rivals,
    find_strings,
    likely_texts,
    text_chances,
    wider_view,
)


def mask(page):
    return InkMask(np.where(page < 128, np.uint8(255), np.uint8(0)))


def pieces(page):
    return find_pieces(mask(page).ink)


def page_with(*bars, shape=(100, 300)):
    """White paper with black bars (left, top, right, bottom)."""
    page = np.full(shape, 255, np.uint8)
    for left, top, right, bottom in bars:
        page[top:bottom, left:right] = 0
    return page


def found(*bars, height_px=30.0, shape=(100, 300)):
    return find_strings(pieces(page_with(*bars, shape=shape)), height_px, StringSettings()).tolist()


def test_a_blank_page_holds_no_string():
    assert found() == []


def test_bars_as_near_as_digits_are_one_string():
    assert found((50, 30, 60, 60), (75, 32, 85, 61), (100, 30, 110, 60)) == [[50, 30, 110, 61]]


def test_bars_far_apart_or_one_above_the_other_are_two():
    assert found((50, 30, 60, 60), (150, 30, 160, 60)) == [[50, 30, 60, 60], [150, 30, 160, 60]]
    assert found((50, 2, 60, 32), (55, 60, 65, 90)) == [[50, 2, 60, 32], [55, 60, 65, 90]]


def test_specks_dashes_and_the_lines_of_a_cell_belong_to_no_string():
    digits = (100, 30, 110, 60), (125, 30, 135, 60)
    speck, dash = (118, 50, 121, 53), (150, 44, 210, 48)
    sides = (3, 2, 5, 99), (0, 94, 299, 96)
    assert found(*digits, speck, dash, *sides) == [[100, 30, 135, 60]]


def lone(*bars, shape):
    return find_lone_strings(pieces(page_with(*bars, shape=shape)), 30.0, StringSettings()).tolist()


def test_a_picture_with_room_for_one_line_is_its_strings():
    bars = (50, 20, 60, 50), (75, 22, 85, 51), (200, 20, 210, 50)
    assert lone(*bars, shape=(100, 300)) == [[50, 20, 85, 51], [200, 20, 210, 50]]
    assert lone(*bars, shape=(120, 300)) == []  # 31 px, their height, have room four times
    assert lone(shape=(100, 300)) == []


def test_the_side_of_a_cell_is_no_string_of_a_picture_of_one_line():
    seven, nine, side = (120, 30, 130, 60), (145, 30, 155, 60), (285, 20, 290, 55)
    assert lone(seven, nine, side, shape=(100, 300)) == [[120, 30, 155, 60]]
    assert lone(seven, nine, (250, 20, 255, 55), shape=(100, 300)) == [[120, 30, 155, 60], [250, 20, 255, 55]]
    assert lone(side, shape=(100, 300)) == [[285, 20, 290, 55]]


def test_a_comma_that_hangs_under_the_line_is_no_string_of_its_own():
    digits = ((30, 20, 44, 60), (50, 20, 64, 60), (75, 20, 89, 60))
    assert lone(*digits, (68, 55, 74, 78), shape=(90, 160)) == [[30, 20, 89, 60]]
    assert lone(*digits, (110, 55, 116, 90), shape=(95, 160)) == [[30, 20, 89, 60], [110, 55, 116, 90]]  # beside it


def test_a_page_is_not_looked_through_for_lone_strings():
    assert lone((50, 20, 60, 50), shape=(100, 21_000)) == []
    assert lone((20, 20, 30, 50), (40, 20, 50, 50), shape=(100, 99)) == []


def test_digits_whose_height_nobody_knows_are_found_all_the_same():
    digits = (50, 30, 60, 60), (75, 32, 85, 61)
    assert found(*digits, height_px=0.0) == found(*digits, height_px=4.0) == [[50, 30, 85, 61]]


@pytest.mark.parametrize("height_px", [12, 30, 90])
@pytest.mark.parametrize("is_negative", [False, True])
def test_a_string_comes_to_one_height_whatever_its_size_and_polarity(height_px, is_negative):
    width = height_px // 3
    page = page_with(
        (100, 80, 100 + width, 80 + height_px), (100 + 2 * width, 80, 100 + 3 * width, 80 + height_px), shape=(260, 400)
    )
    ink = mask(page)
    strip = cut_strip(255 - page if is_negative else page, ink, [100, 80, 100 + 3 * width, 80 + height_px])
    rows = np.flatnonzero((strip.pixels[..., 0] > 127).any(axis=1))
    assert strip.pixels.shape[::2] == (STRIP_PX, 2)
    assert rows[-1] + 1 - rows[0] == pytest.approx(DIGIT_PX, abs=2)
    assert rows.mean() == pytest.approx(STRIP_PX / 2, abs=1.5)
    assert strip.scale == pytest.approx(DIGIT_PX / height_px, rel=0.05)


def test_a_strip_knows_where_on_the_page_its_columns_lie():
    strip = cut_strip(page := page_with((100, 30, 110, 60)), mask(page), [100, 30, 110, 60])
    columns = np.flatnonzero((strip.pixels[..., 0] > 127).any(axis=0))
    assert strip.left + columns[0] / strip.scale == pytest.approx(100, abs=1.5)
    assert strip.left + (columns[-1] + 1) / strip.scale == pytest.approx(110, abs=1.5)


def test_a_digit_beside_many_that_touch_is_in_the_strip():
    page = page_with((30, 30, 40, 60), (60, 28, 220, 33), (60, 56, 220, 61), (60, 28, 64, 61))
    strip = cut_strip(page, mask(page), [30, 28, 220, 61])
    columns = np.flatnonzero((strip.pixels[..., 0] > 127).any(axis=0))
    assert strip.left + columns[0] / strip.scale == pytest.approx(30, abs=1.5)


def test_ink_that_was_taken_out_as_a_ruling_is_still_seen_in_the_gray():
    page = page_with((60, 30, 66, 60), (90, 30, 100, 60))
    ink = mask(page)
    ink.ink[:, 60:66] = 0
    strip = cut_strip(page, ink, [60, 30, 100, 60])
    gray, seen = (np.flatnonzero(strip.pixels[..., plane].any(axis=0))[0] for plane in (0, 1))
    assert gray < seen


def test_faint_print_does_not_say_how_high_a_string_is():
    page = page_with((60, 40, 70, 60), (90, 40, 100, 60))
    page[20:80:4, 40:120][page[20:80:4, 40:120] == 255] = 190
    strip = cut_strip(page, InkMask(np.where(page < 200, np.uint8(255), np.uint8(0))), [40, 20, 120, 80])
    rows = np.flatnonzero((strip.pixels[..., 0] > 160).any(axis=1))
    assert rows[-1] + 1 - rows[0] == pytest.approx(DIGIT_PX, abs=3)


def test_a_1_that_was_taken_for_a_ruling_is_in_the_strip_and_the_side_of_a_cell_is_not():
    page = page_with((60, 30, 64, 60), (80, 30, 90, 60), (100, 30, 110, 60), (128, 2, 131, 98))
    ink = mask(page)
    ink.ink[:, :70] = ink.ink[:, 120:] = 0
    strip = cut_strip(page, ink, [80, 30, 110, 60])
    columns = np.flatnonzero((strip.pixels[..., 0] > 127).any(axis=0))
    assert strip.left + columns[0] / strip.scale == pytest.approx(60, abs=1.5)
    assert strip.left + (columns[-1] + 1) / strip.scale == pytest.approx(110, abs=1.5)


@pytest.mark.parametrize(
    ("comma", "is_left"),
    [
        ((110, 49, 114, 67), False),  # more than half as long as a digit, between two
        ((110, 47, 114, 61), False),  # as low as they and no lower, but it begins under their middle
        ((110, 40, 114, 60), True),  # no deeper than the digits: the stem of one that is broken
        ((128, 46, 132, 66), True),  # after the last: the tail of a 9, or a comma that misleads nobody
        ((82, 48, 88, 66), True),  # under a digit: its tail
    ],
)
def test_a_comma_that_hangs_between_digits_is_not_in_the_strip(comma, is_left):
    page = page_with((60, 30, 64, 60), (80, 30, 92, 46), (96, 30, 100, 60), (120, 30, 124, 60), comma)
    strip = cut_strip(page, mask(page), [60, 30, max(124, comma[2]), 67])
    left, right = (round((edge - strip.left) * strip.scale) for edge in (comma[0], comma[2]))
    low = strip.pixels[24:, left + 1 : right - 1]
    assert bool((low[..., 0] > 128).any()) == is_left
    assert bool((low[..., 1] > 128).any()) == is_left


def test_a_box_without_ink_gives_an_empty_strip():
    page = page_with()
    [strip] = cut_strips(page, mask(page), np.array([[20, 20, 60, 50]], np.int32))
    assert not strip.pixels.any()


def test_a_string_of_a_hundred_digits_is_squeezed_to_the_longest_strip():
    bars = [(10 + 20 * digit, 30, 16 + 20 * digit, 60) for digit in range(100)]
    page = page_with(*bars, shape=(100, 2100))
    strip = cut_strip(page, mask(page), [10, 30, 1996, 60])
    assert LONGEST_PX - 32 <= strip.pixels.shape[1] <= LONGEST_PX


@pytest.mark.parametrize("height_px", [1, 2, 9, 30])
def test_no_string_gives_more_than_the_longest_strip(height_px):
    for length in range(30 * height_px, 70 * height_px, height_px):
        page = page_with((10, 30, 10 + length, 30 + height_px), shape=(90, length + 20))
        assert cut_strip(page, mask(page), [10, 30, 10 + length, 30 + height_px]).pixels.shape[1] <= LONGEST_PX


# What the posteriors say.


def steps_of(path, sure=0.9):
    """Posteriors (steps, 11) of a path such as `-1-22-`, `-` the blank; the rest is shared by the other labels."""
    steps = np.full((len(path), BLANK + 1), (1 - sure) / BLANK)
    for row, label in zip(steps, path, strict=True):
        row[BLANK if label == "-" else int(label)] = sure
    return steps


def collapsed(path):
    """The text of a path of labels: repeats are one, blanks none."""
    return "".join(str(label) for label, _ in groupby(path) if label != BLANK)


@pytest.mark.parametrize(
    ("path", "text"),
    [("----", ""), ("-11-", "1"), ("-1-1", "11"), ("1234", "1234"), ("00-00-5", "005"), ("7777", "7")],
)
def test_the_likeliest_path_without_repeats_and_blanks_is_the_text(path, text):
    assert likely_texts(steps_of(path))[0] == text


def test_a_texts_chance_is_the_sum_over_all_its_paths():
    steps = np.random.default_rng(0).dirichlet(np.ones(BLANK + 1), 4)
    chances: dict[str, float] = {}
    for path in product(range(BLANK + 1), repeat=4):
        text = collapsed(path)
        chances[text] = chances.get(text, 0.0) + math.prod(row[label] for row, label in zip(steps, path, strict=True))
    texts = ["", "3", "33", "12", "3131", "313131"]
    expected = [chances.get(text, 0.0) for text in texts]
    assert text_chances(steps, texts) == pytest.approx(expected, abs=1e-12)
    for text, chance in zip(texts, expected, strict=True):  # alone as in the company of longer ones
        assert text_chances(steps, [text]) == pytest.approx([chance], abs=1e-12)
    blanks = np.eye(BLANK + 1)[[BLANK, BLANK]]  # which change nothing at the end, as views of two lengths want it
    several = np.stack([np.concatenate([steps, blanks]), np.concatenate([blanks, steps])])
    assert text_chances(several, texts)[0] == pytest.approx(expected, abs=1e-12)
    assert text_chances(several, texts) == pytest.approx(np.stack([text_chances(own, texts) for own in several]))


def test_the_beam_finds_a_text_that_is_likeliest_only_summed_over_its_paths():
    steps = np.full((2, BLANK + 1), 0.0)
    steps[:, BLANK], steps[:, 7] = 0.6, 0.4  # blank twice is the likeliest path, 0.36; 7 somewhere has 0.64
    assert likely_texts(steps)[:2] == ["7", ""]


def strip_of(steps):
    return Strip(np.full((STRIP_PX, 4 * len(steps), 2), 255, np.uint8), left=100.0, scale=0.5)


def read(strip, *views, temperature=1.0):
    return chosen(find_rivals(strip, [steps.astype(np.float32) for steps in views]), temperature)


def test_a_reading_has_its_chance_its_rivals_and_the_columns_of_its_digits():
    steps = steps_of("--1---2--")
    steps[6, [2, 7]] = 0.6, 0.39
    reading = read(strip_of(steps), steps)
    assert reading.text == "12"
    assert reading.alternatives[0].text == "17"
    assert reading.alternatives[0].probability < reading.probability < 0.75
    assert reading.probability + sum(other.probability for other in reading.alternatives) <= 1 + 1e-9
    # The 1 stands at step 2, the 2 at step 6; half-way is strip column 18, page column 136.
    assert reading.columns == ((100.0, 136.0), (136.0, 172.0))


def test_a_higher_temperature_makes_less_sure_and_reads_the_same():
    steps = steps_of("-1-2-", sure=0.8)
    cool, warm = (read(strip_of(steps), steps, temperature=heat) for heat in (1.0, 3.0))
    assert warm.text == cool.text == "12"
    assert warm.probability < cool.probability


def test_views_vote_with_their_chances():
    sure, doubtful = steps_of("-1-2-", sure=0.95), steps_of("-1-7-", sure=0.6)
    reading = read(strip_of(sure), doubtful, sure)
    assert reading.text == "12"
    assert reading.alternatives[0].text == "17"


def test_a_text_that_only_the_wider_view_has_room_for_gets_even_columns():
    narrow, wide = steps_of("00", sure=0.5), steps_of("0-0-0", sure=0.99)
    reading = read(strip_of(narrow), narrow, wide)
    assert reading.text == "000"
    assert len(reading.columns) == 3


def test_a_text_is_confirmed_where_one_view_leaves_no_room_for_another():
    clear, unclear = (steps_of("-1-2-", sure=sure) for sure in (0.99, 0.6))
    reading = confirmed(clear, "12", 1.0)
    assert (reading.text, reading.probability) == ("12", pytest.approx(text_chances(clear, ["12"])[0]))
    assert confirmed(clear, "12", 2.0).probability < reading.probability
    assert confirmed(clear, "17", 1.0) is None
    assert confirmed(unclear, "12", 1.0) is None


def test_the_second_view_is_wider_and_as_high():
    strip = strip_of(steps_of("-1-2-"))
    assert (strip.pixels.shape, wider_view(strip).shape) == ((STRIP_PX, 20, 2), (STRIP_PX, 24, 2))


def test_a_digit_read_on_bare_paper_takes_all_of_it():
    steps = steps_of("-1-")
    empty = Strip(np.zeros((STRIP_PX, 12, 2), np.uint8), left=50.0, scale=1.0)
    reading = read(empty, steps)
    assert reading.columns == ((50.0, 62.0),)


def test_a_model_of_crops_reads_no_strips():
    with pytest.raises(ModelError, match=r"docscan\.strip is None; this docscan needs 'strip: 32 px high"):
        load_string_model(SHIPPED)


def test_a_missing_reader_is_a_model_error(tmp_path: Path):
    with pytest.raises(ModelError, match="cannot be opened"):
        load_string_model(tmp_path / "strings.onnx")


@pytest.fixture(scope="module")
def model():
    return load_string_model()


def test_the_shipped_reader_is_small(model):
    assert SHIPPED_STRINGS.stat().st_size < 1_500_000
    assert model.temperature > 0


def test_strips_are_read_alike_alone_and_in_company(model):
    rng = np.random.default_rng(1)
    strips = [rng.integers(0, 256, (STRIP_PX, width, 2), np.uint8) for width in (17, 60, 64, 65, 300, 60, 61, 62)]
    together = model.posteriors(strips)
    assert [steps.shape for steps in together] == [(-(-strip.shape[1] // 4), BLANK + 1) for strip in strips]
    for strip, steps in zip(strips, together, strict=True):
        assert steps.sum(axis=1) == pytest.approx(1, abs=1e-5)
        assert steps == pytest.approx(model.posteriors([strip])[0], abs=1e-4)


def test_a_strip_is_looked_at_twice_only_where_it_is_not_clear(model, monkeypatch):
    steps = {20: steps_of("-1-2-", sure=1 - 1e-9), 24: steps_of("-1-7--", sure=0.6), 29: steps_of("-1-7---", sure=0.99)}
    looked_at = []

    def posteriors(_, strips):
        looked_at.append([strip.shape[1] for strip in strips])
        return tuple(steps[strip.shape[1]].astype(np.float32) for strip in strips)

    monkeypatch.setattr(StringModel, "posteriors", posteriors)
    strips = [strip_of(steps[20]), strip_of(steps[24])]
    assert [reading.text for reading in model.read(strips)] == ["12", "17"]
    assert looked_at == [[20, 24], [29]]
    clear, unclear = model.rivals(strips, [steps[20].astype(np.float32), steps[24].astype(np.float32)])
    assert (clear.texts[0], unclear.texts[0]) == ("12", "17")
    assert unclear.chances[0] == pytest.approx(
        np.mean([find_rivals(strip_of(own), [own]).chances[0] for own in (steps[24], steps[29])]), abs=0.01
    )


def test_no_strips_have_no_posteriors_and_no_readings(model):
    assert model.posteriors([]) == model.read([]) == ()


def test_a_strip_of_another_height_is_a_bug(model):
    with pytest.raises(ValueError, match=r"expected strips \(32, up to 768, 2\) uint8, got \(28, 28, 2\) uint8"):
        model.posteriors([np.zeros((28, 28, 2), np.uint8)])


@pytest.mark.parametrize("text", ["4", "17", "2026", "90735"])
def test_the_shipped_reader_reads_printed_digits_that_touch(model, text):
    page = np.full((120, 60 + 44 * len(text)), 235, np.uint8)
    for place, digit in enumerate(text):
        cv2.putText(page, digit, (30 + 38 * place, 80), cv2.FONT_HERSHEY_SIMPLEX, 2, 40, 5, cv2.LINE_AA)
    [box] = find_strings(pieces(page), 0.0, StringSettings())
    strips = cut_strips(page, mask(page), np.array([box]))
    [reading] = model.read(strips)
    assert reading.text == text


@pytest.mark.parametrize("height", [1, 2, 3, 5])
def test_ink_of_a_few_pixels_at_the_end_of_the_page_makes_a_strip(height):
    page = page_with((298 - 9 * height, 50, 300, 50 + height))
    [strip] = cut_strips(page, mask(page), np.array([[298 - 9 * height, 50, 300, 50 + height]]))
    assert strip.pixels.shape[0] == STRIP_PX


def test_a_strip_that_says_what_is_expected_is_looked_at_once(model):
    page = np.full((120, 180), 235, np.uint8)
    cv2.putText(page, "17", (30, 80), cv2.FONT_HERSHEY_SIMPLEX, 2, 40, 5, cv2.LINE_AA)
    [strip] = cut_strips(page, mask(page), np.array(find_strings(pieces(page), 0.0, StringSettings())))
    alone, confirming, doubting = model.read([strip, strip, strip], ["", "17", "11"])
    assert [reading.text for reading in (alone, confirming, doubting)] == ["17"] * 3
    assert confirming.probability == pytest.approx(alone.probability, abs=0.05)
    assert confirming.columns == ()
    assert doubting == alone  # another text than expected is read as any other


def test_a_digit_is_no_wider_than_a_digit_where_a_line_runs_on():
    strip = Strip(np.full((32, 160, 2), 255, np.uint8), 0.0, 1.0)
    steps = np.full((40, 11), 1e-6, np.float32)
    steps[:, 10] = 1
    for step, digit in ((2, 4), (36, 7)):
        steps[step, [digit, 10]] = 1, 1e-6
    reading = read(strip, steps)
    (_, first_ends), (second_starts, _) = reading.columns
    assert reading.text == "47"
    assert second_starts - first_ends > 4 * 22
