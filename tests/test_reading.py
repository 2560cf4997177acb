from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import docscan
from docscan.reading import read_digit

SEVEN = np.array([(0.0, 0.0), (1.0, 0.0), (0.4, 1.0)])
TWO = np.array([(0.0, 0.2), (0.3, 0.0), (0.7, 0.0), (0.95, 0.25), (0.0, 1.0), (1.0, 1.0)])


def stroke(gray: NDArray[np.uint8], corners: NDArray[np.float64], left: int, top: int, height: int, ink: int) -> None:
    points = np.round(corners * (0.6 * height, height) + (left, top)).astype(np.int32)
    cv2.polylines(gray, [points], isClosed=False, color=ink, thickness=max(1, height // 9), lineType=cv2.LINE_AA)


def page_of_numbers() -> NDArray[np.uint8]:
    """72 above 7."""
    gray = np.full((600, 500), 255, np.uint8)
    stroke(gray, SEVEN, 100, 100, 60, 0)
    stroke(gray, TWO, 150, 100, 60, 0)
    stroke(gray, SEVEN, 100, 300, 60, 0)
    return gray


def one_digit(side: int, *, paper: int = 255, ink: int = 0) -> NDArray[np.uint8]:
    gray = np.full((side, side), paper, np.uint8)
    stroke(gray, SEVEN, round(0.3 * side), round(0.15 * side), round(0.7 * side), ink)
    return gray


def test_a_page_is_read_from_pixels() -> None:
    page = docscan.read_page(page_of_numbers())
    assert [(number.text, number.line) for number in page.numbers] == [("72", 1), ("7", 2)]
    assert page.numbers[0].digits[0].alternatives


def test_a_page_reads_the_same_from_a_file_from_gray_and_from_colour(tmp_path: Path) -> None:
    gray = page_of_numbers()
    path = tmp_path / "né.png"
    path.write_bytes(cv2.imencode(".png", gray)[1].tobytes())
    from_gray = docscan.read_page(gray)
    assert docscan.read_page(str(path)) == docscan.read_page(path) == from_gray
    assert docscan.read_page(np.repeat(gray[:, :, np.newaxis], 3, axis=2)) == from_gray


def test_a_blank_page_has_no_numbers() -> None:
    assert docscan.read_page(np.full((400, 300), 255, np.uint8)).numbers == ()


def test_a_page_that_cannot_be_opened_is_a_page_error(tmp_path: Path) -> None:
    with pytest.raises(docscan.PageError):
        docscan.read_page(tmp_path / "gone.png")


@pytest.mark.parametrize("side", [20, 28, 64, 300, 1500])
@pytest.mark.parametrize(("paper", "ink"), [(255, 0), (0, 255), (180, 120), (60, 140)])
def test_a_digit_is_read_at_any_size_and_polarity(side: int, paper: int, ink: int) -> None:
    digit = read_digit(one_digit(side, paper=paper, ink=ink))
    assert digit.text == "7"
    assert sum(other.probability for other in digit.alternatives) <= 1 - digit.confidence + 1e-6


def test_a_digit_is_read_in_a_shadow_and_beside_a_speck() -> None:
    shadow = np.add.outer(np.linspace(0, 70, 300), np.linspace(0, 50, 300))
    gray = np.clip(one_digit(300, paper=230, ink=90) - shadow, 0, 255).astype(np.uint8)
    gray[285:289, 10:14] = 0
    assert read_digit(gray).text == "7"


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_picture_without_ink_has_no_digit(level: int) -> None:
    with pytest.raises(docscan.PageError, match="no ink"):
        read_digit(np.full((28, 28), level, np.uint8))
