from dataclasses import replace

import cv2
import numpy as np
import pytest

from docscan.pipeline import read_page
from docscan.records import Box, Digit, Number, Page
from docscan.settings import Settings
from docscan.stages.backdrop import bears_out
from docscan.stages.classify import load_model

FRONT = ("2437", "5926", "7345", "4093", "6752", "3924", "2576", "4735")
BACK = ("7253", "2934", "5437", "4972", "3254", "9347")
BOX = Box(0, 0, 20, 40)
DIGIT = Digit("5", 0.9, BOX)


@pytest.fixture(scope="module")
def model():
    return load_model()


def written(numbers, darkness, first, step=150):
    """White paper with numbers one below the other, each 40 px high, so many gray levels darker than it."""
    page = np.full((1400, 1000), 230, np.uint8)
    for row, text in enumerate(numbers):
        for place, digit in enumerate(text):
            at = first[0] + 42 * place, first[1] + step * row
            cv2.putText(page, digit, at, cv2.FONT_HERSHEY_SIMPLEX, 1.8, 230 - darkness, 5, cv2.LINE_AA)
    return page


def read(page, model, settings=None):
    return [number.text for number in read_page(Page(page, 200.0), model, settings or Settings()).numbers]


@pytest.mark.parametrize("darkness", [25, 45])
def test_mirrored_digits_far_paler_than_the_rest_are_of_the_other_side(model, darkness):
    behind = cv2.GaussianBlur(written(BACK, darkness, (150, 170))[:, ::-1], (0, 0), 1.2)
    page = np.minimum(written(FRONT, 180, (150, 100)), behind)
    assert read(page, model) == list(FRONT)
    with_all = replace(Settings(), backdrop=replace(Settings().backdrop, min_glyphs=10_000))
    assert len(read(page, model, with_all)) > len(FRONT)


def test_pale_digits_that_are_not_mirrored_are_read(model):
    pencil = written(BACK, 45, (550, 170))
    assert sorted(read(np.minimum(written(FRONT, 180, (150, 100)), pencil), model)) == sorted(FRONT + BACK)


def test_mirrored_digits_as_dark_as_the_rest_are_there(model):
    page = np.minimum(written(FRONT, 180, (150, 100)), written(BACK, 150, (150, 170))[:, ::-1])
    assert len(read(page, model)) > len(FRONT)


def sure(*confidences):
    return tuple(Number("57", confidence, BOX, (DIGIT, DIGIT), 1, 1) for confidence in confidences)


@pytest.mark.parametrize(
    ("clear", "before", "is_borne_out"),
    [((0.99, 0.99), (0.99, 0.5, 0.5), True), ((0.99,), (0.99, 0.5), True), ((0.99, 0.5), (0.99, 0.99), False)],
)
def test_what_is_left_of_a_page_without_its_back_is_read_no_less_surely(clear, before, is_borne_out):
    assert bears_out(sure(*clear), sure(*before), Settings().backdrop) == is_borne_out


def test_what_would_leave_less_to_read_was_no_back(model, monkeypatch):
    page = written(FRONT, 180, (150, 100))
    monkeypatch.setattr("docscan.pipeline.find_backdrop", lambda *_: 250.0)  # darker than any ink
    assert read(page, model) == list(FRONT)
