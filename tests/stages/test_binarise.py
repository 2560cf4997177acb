import cv2
import numpy as np
import pytest

from docscan.records import Page
from docscan.settings import BinariseSettings
from docscan.stages.binarise import binarise, is_light_on_dark


def page_with_a_stroke(paper=230, stroke=40, shape=(400, 300)):
    gray = np.full(shape, paper, np.uint8)
    cv2.line(gray, (100, 100), (100, 160), stroke, 4)
    return gray


def ink_of(gray, method="local"):
    return binarise(Page(gray), BinariseSettings(method=method)).ink > 0


@pytest.mark.parametrize("paper", [255, 128, 0])
def test_a_blank_page_has_no_ink(paper):
    assert not ink_of(np.full((300, 200), paper, np.uint8)).any()


def test_grain_is_not_ink():
    grain = np.random.default_rng(1).normal(220, 6, (600, 400)).clip(0, 255).astype(np.uint8)
    assert ink_of(grain).mean() < 0.001


@pytest.mark.parametrize("method", ["local", "otsu"])
def test_a_stroke_is_ink_and_the_margin_is_not(method):
    ink = ink_of(page_with_a_stroke(), method)
    assert ink[130, 100]
    assert not ink[5, 5]


def test_faint_pencil_is_ink():
    assert ink_of(page_with_a_stroke(paper=220, stroke=190))[130, 100]


def test_faint_pencil_is_ink_on_a_page_with_a_black_line():
    gray = page_with_a_stroke(paper=220, stroke=170)
    gray[300:305, :] = 0
    assert ink_of(gray)[130, 100]


def test_a_stroke_keeps_its_width_under_uneven_light():
    gray = page_with_a_stroke(paper=240, stroke=60, shape=(600, 500)).astype(np.float32)
    light = np.linspace(1.0, 0.4, 500, dtype=np.float32)
    ink = ink_of((gray * light).astype(np.uint8))
    assert ink[130].nonzero()[0].tolist() == ink_of(gray.astype(np.uint8))[130].nonzero()[0].tolist()
    assert not ink[:, 400:].any()


def test_a_thick_marker_is_not_hollow():
    gray = np.full((480, 640), 200, np.uint8)
    cv2.line(gray, (300, 100), (300, 400), 30, 18)
    assert ink_of(gray)[250, 293:308].all()


def test_white_on_black_reads_like_black_on_white():
    gray = page_with_a_stroke()
    assert np.array_equal(ink_of(255 - gray), ink_of(gray))


def test_a_sheet_on_a_dark_table_is_dark_on_light():
    table = np.full((900, 700), 30, np.uint8)
    table[300:600, 200:400] = 220
    cv2.line(table, (250, 350), (250, 420), 50, 3)
    assert not is_light_on_dark(table)
    assert ink_of(table)[380, 250]
    assert not ink_of(table)[:200, :100].any()


@pytest.mark.parametrize("shape", [(10, 10), (10, 3000), (3000, 10)])
def test_odd_shapes_keep_their_shape(shape):
    assert ink_of(np.full(shape, 250, np.uint8)).shape == shape
