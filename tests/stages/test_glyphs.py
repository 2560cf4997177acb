import cv2
import numpy as np

from docscan.records import InkMask
from docscan.settings import ComponentSettings, GlyphSettings
from docscan.stages.components import find_components
from docscan.stages.glyphs import cut_glyphs


def glyphs_of(ink):
    components = find_components(InkMask(ink), ComponentSettings())
    return cut_glyphs(components, ComponentSettings(), GlyphSettings())


def page_of_bars(*bars):
    """Upright bars 40 px high, which set the digit height, and whatever else is given as (left, top, right, bottom)."""
    ink = np.zeros((200, 600), np.uint8)
    for left, top, right, bottom in (*[(20 * k, 20, 20 * k + 6, 60) for k in range(1, 8)], *bars):
        ink[top:bottom, left:right] = 255
    return ink


def test_a_blank_page_has_no_glyphs():
    glyphs = glyphs_of(np.zeros((50, 50), np.uint8))
    assert (len(glyphs), glyphs.boxes.shape) == (0, (0, 4))


def test_a_bar_above_its_digit_is_joined():
    glyphs = glyphs_of(page_of_bars((300, 84, 320, 120), (304, 76, 330, 80)))
    assert [300, 76, 330, 120] in glyphs.boxes.tolist()


def test_digits_of_two_lines_are_not_joined():
    glyphs = glyphs_of(page_of_bars((300, 100, 306, 140), (300, 150, 306, 190)))
    assert [box for box in glyphs.boxes.tolist() if box[0] == 300] == [[300, 100, 306, 140], [300, 150, 306, 190]]


def test_a_dash_is_no_glyph():
    glyphs = glyphs_of(page_of_bars((300, 100, 330, 105)))
    assert len(glyphs) == 7


def test_ink_of_a_neighbour_is_left_out():
    ink = page_of_bars()
    cv2.ellipse(ink, (340, 100), (30, 40), 0, 60, 300, 255, 4)
    ink[80:120, 337:343] = 255  # a 1 inside a 0 that is open: inside a ring it is circled
    glyphs = glyphs_of(ink)
    [ring] = [mask for mask, box in zip(glyphs.inks, glyphs.boxes, strict=True) if box[2] - box[0] > 40]
    assert ring[42, 31] == 0
    assert set(np.unique(ring)) == {0, 255}
