import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from training.layouts import Sheet
from training.pages import KINDS, crop_source, draw_page
from training.synthesis import draw_pages

ROOT = Path(__file__).parents[2]
SMALL = Sheet(width=80, height=50, margin=5, digit=4.5)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_page_carries_its_truth_in_tight_boxes(kind):
    page = draw_page(kind, np.random.default_rng(4), dpi=200, sheet=SMALL)
    assert page.image.shape[:2] == (394, 630)
    assert (page.image.ndim == 3) == KINDS[kind].coloured
    assert page.numbers
    gray = page.image if page.image.ndim == 2 else page.image.mean(axis=2)
    for number in page.numbers:
        assert 1 <= len(number.text) <= 8
        for digit in number.digits:
            inside = gray[digit.box.top : digit.box.bottom, digit.box.left : digit.box.right]
            around = gray[
                max(digit.box.top - 6, 0) : digit.box.bottom + 6, max(digit.box.left - 6, 0) : digit.box.right + 6
            ]
            assert inside.min() < np.percentile(around, 90) - 15, (number.text, digit)


def test_without_noise_the_box_is_exactly_where_the_ink_is():
    rng = np.random.default_rng(0)
    square = np.full((30, 20), 255, np.uint8)
    page = draw_page("clean", rng, dpi=200, sheet=SMALL, digits_source=lambda *_: square)
    assert {(digit.box.width, digit.box.height) for number in page.numbers for digit in number.digits} <= {
        (width, height) for width in (20, 21) for height in (30, 31)
    }


def test_the_same_seed_draws_the_same_page():
    pages = [draw_page("noisy", np.random.default_rng(9), dpi=150, sheet=SMALL) for _ in range(2)]
    assert np.array_equal(pages[0].image, pages[1].image)
    assert pages[0].numbers == pages[1].numbers


def test_what_is_written_has_marks_and_its_digits_boxes():
    page = draw_page("register", np.random.default_rng(3), dpi=200)
    marks = {letter for number in page.numbers for letter in number.written if not letter.isdigit()}
    assert marks <= set(".,-/:")
    assert len(marks) > 1
    for number in page.numbers:
        assert number.text == "".join(letter for letter in number.written if letter.isdigit())
        assert len(number.text) == len(number.digits)
    assert all(number.written == number.text for number in draw_page("table", np.random.default_rng(3)).numbers)


def test_numbers_of_a_line_do_not_overlap():
    page = draw_page("dense", np.random.default_rng(2), dpi=200)
    for before, after in zip(page.numbers[:-1], page.numbers[1:], strict=True):
        is_same_line = abs(before.box.bottom - after.box.bottom) < before.box.height / 2
        assert not is_same_line or after.box.left > before.box.right, (before.text, after.text)


def test_digits_can_come_from_labelled_crops():
    crops = np.zeros((10, 28, 28), np.uint8)
    for digit in range(10):
        crops[digit, 4:24, 10 : 12 + digit] = 255
    draw = crop_source(crops, np.arange(10))
    strokes = draw(6, np.random.default_rng(0), 40.0)
    assert strokes.shape == (40, 16)
    crops[6, 22:24, 22:24] = 255  # a crumb
    assert draw(6, np.random.default_rng(0), 40.0).shape == (40, 16)
    crops[6, 6:20, 25] = 255  # the side of a box
    assert draw(6, np.random.default_rng(0), 40.0).shape == (40, 16)
    crops[6, :2, 14:24] = 255  # a bar apart, over the digit
    assert draw(6, np.random.default_rng(0), 40.0).shape == (48, 28)


@pytest.mark.parametrize("height_px", [12.0, 20.0, 40.0])
def test_what_is_paper_in_a_crop_is_paper_at_any_size(height_px):
    crops = np.zeros((10, 28, 28), np.uint8)
    crops[:, 4:24, 10] = crops[:, 4:7, 10:20] = 255
    strokes = crop_source(crops, np.arange(10))(7, np.random.default_rng(0), height_px)
    assert strokes.max() == 255
    assert not strokes[strokes.shape[0] // 2 :, strokes.shape[1] // 2 :].any()


def test_the_truth_file_is_what_score_py_reads(tmp_path):
    draw_pages(["clean"], 2, tmp_path, dpi=100, seed=1, source=None)
    rows = [json.loads(line) for line in (tmp_path / "truth.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["file"] for row in rows] == ["clean-0000.png", "clean-0001.png"]
    assert all((tmp_path / row["file"]).is_file() for row in rows)
    assert set(rows[0]) == {"file", "kind", "numbers"}
    assert set(rows[0]["numbers"][0]) == {"text", "x", "y", "w", "h"}


def test_the_command_says_what_it_needs():
    done = subprocess.run(
        [sys.executable, "-m", "training.synthesis"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 2
    assert "--out or --samples is needed" in done.stderr
