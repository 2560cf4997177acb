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


METHODS = ["local", "adaptive", "wolf", "sauvola", "otsu"]


@pytest.mark.parametrize("method", METHODS)
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


@pytest.mark.parametrize(("paper", "pencil"), [(226, 196), (226, 210)])
def test_pencil_far_paler_than_the_lines_of_its_cell_is_ink(paper, pencil):
    gray = np.full((34, 60), paper, np.uint8)
    gray[3:5, :] = gray[30:32, :] = gray[:, 54:56] = 110
    gray[9:25, 20:22] = gray[23:25, 20:30] = pencil
    ink = ink_of(gray)
    assert ink[9:25, 20:22].all()
    assert ink[10:25, 54:56].all()
    assert not ink[7:28, 2:18].any()


def test_what_is_far_paler_than_the_pen_is_no_ink_anywhere_in_its_cell():
    gray = np.full((34, 60), 226, np.uint8)
    gray[9:25, 48:51] = 60
    gray[9:25, 10:13] = 226 - 45  # 27 % as dark, farther away than ink near by
    assert ink_of(gray)[9:25, 48:51].all()
    assert not ink_of(gray)[:, :20].any()


def test_a_printed_line_beside_a_bold_pen_is_pale_ink():
    gray = page_with_a_stroke(paper=240, stroke=20, shape=(1200, 900))
    gray[100:160, 85:105] = 20
    gray[100:160, 106:109] = 240 - 62  # 28 % as dark as the pen
    mask = binarise(Page(gray), BinariseSettings())
    assert (mask.ink[130, 107], mask.pale[130, 107]) == (0, 255)
    assert not mask.pale[:, 150:].any()
    assert np.array_equal(mask.pale | mask.ink, mask.pale)
    otsu = binarise(Page(gray), BinariseSettings(method="otsu"))
    assert otsu.with_pale is otsu.ink


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


@pytest.mark.parametrize("method", METHODS)
def test_white_on_black_reads_like_black_on_white(method):
    gray = page_with_a_stroke()
    assert np.array_equal(ink_of(255 - gray, method), ink_of(gray, method))


@pytest.mark.parametrize("method", ["local", "adaptive", "wolf", "sauvola"])
def test_a_stroke_in_a_shadow_is_ink_and_the_shadow_is_not(method):
    gray = page_with_a_stroke(paper=240, stroke=60, shape=(600, 500)).astype(np.float32)
    shadow = cv2.GaussianBlur(np.where(np.arange(500) > 240, 1.0, 0.4).astype(np.float32)[np.newaxis], (101, 1), 30)
    ink = ink_of((gray * shadow).astype(np.uint8), method)
    assert ink[130, 100]
    assert not ink[300].any()


def test_sauvola_takes_what_is_k_below_the_mean_of_a_flat_window():
    gray = np.full((200, 200), 200, np.uint8)
    gray[100, 100:102] = 158, 162
    # mean 200 less a fifth, and a little for the spread: 160 to 161
    assert np.argwhere(ink_of(gray, "sauvola")).tolist() == [[100, 100]]


def test_wolf_measures_contrast_against_the_darkest_of_the_page():
    gray = np.full((200, 200), 200, np.uint8)
    gray[100, 100] = 158
    assert ink_of(gray, "wolf")[100, 100]
    gray[20:24, 20:24] = 0
    assert not ink_of(gray, "wolf")[100, 100]


def test_a_sheet_on_a_dark_table_is_dark_on_light():
    table = np.full((900, 700), 30, np.uint8)
    table[300:600, 200:400] = 220
    cv2.line(table, (250, 350), (250, 420), 50, 3)
    assert not is_light_on_dark(table)
    assert ink_of(table)[380, 250]
    assert not ink_of(table)[:200, :100].any()


def sheet_on(table):
    """A written sheet, turned a little, with what lies around it."""
    sheet = np.zeros(table.shape, np.uint8)
    cv2.fillConvexPoly(sheet, np.array([[150, 200], [550, 230], [530, 700], [120, 660]]), 220)
    cv2.line(sheet, (300, 350), (300, 420), 50, 4)
    return np.where(sheet > 0, sheet, table).astype(np.uint8)


def test_grain_of_the_table_is_not_ink_even_where_the_light_falls_on_it():
    grain = np.random.default_rng(2).random((90, 14)).astype(np.float32)
    wood = 40 - 30 * cv2.resize(grain, (700, 900)) ** 3
    wood[:150, :300] *= 2.5
    ink = ink_of(sheet_on(wood))
    assert ink[380, 300]
    assert ink.sum() < 72 * 6  # of the stroke


def test_light_that_falls_off_leaves_the_whole_sheet_paper():
    gray = page_with_a_stroke(paper=240, stroke=60, shape=(600, 500)).astype(np.float32)
    row, column = np.mgrid[-1:1:600j, -1:1:500j]
    flash = 0.4 + 0.6 * np.exp(-6 * ((column - 0.5) ** 2 + (row - 0.5) ** 2))
    assert ink_of((gray * flash).astype(np.uint8))[110:150, 100].all()


@pytest.mark.parametrize("shape", [(10, 10), (10, 3000), (3000, 10)])
def test_odd_shapes_keep_their_shape(shape):
    assert ink_of(np.full(shape, 250, np.uint8)).shape == shape
