"""Page -> PageResult: the whole method on one screen. START READING HERE.

Each stage is a pure function over frozen records; call them one by one to look inside.
"""

from dataclasses import dataclass, replace

from docscan.records import Glyphs, Number, Page, PageResult, Squares, Straight, Surroundings
from docscan.settings import Settings
from docscan.stages.backdrop import bears_out, find_backdrop
from docscan.stages.binarise import binarise
from docscan.stages.classify import DigitModel
from docscan.stages.combs import restore_dividers
from docscan.stages.components import find_components
from docscan.stages.decode import decode_glyphs
from docscan.stages.frames import leave_out_frame
from docscan.stages.glyphs import cut_glyphs
from docscan.stages.grain import leave_out_grain
from docscan.stages.holes import leave_out_holes
from docscan.stages.layout import arrange_numbers
from docscan.stages.marks import find_commas
from docscan.stages.normalise import normalise_all
from docscan.stages.reread import find_doubtful, settle
from docscan.stages.rulings import remove_rulings
from docscan.stages.squares import leave_out_sides, leave_out_squares
from docscan.stages.straighten import find_turns, on_scan, share_of_sure, straighten, turned, turned_back
from docscan.stages.strings import cut_strips, find_lone_strings
from docscan.stages.trust import leave_out_print, weigh_numbers
from docscan.stages.words import leave_out_texts, leave_out_words


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """The numbers of a page and what they were found in."""

    straight: Straight
    glyphs: Glyphs
    numbers: tuple[Number, ...]
    """Not yet weighed."""
    weighed: tuple[Number, ...]
    about: Surroundings
    blank: bool
    """True where there is no ink to speak of."""


def read_page(page: Page, model: DigitModel, settings: Settings) -> PageResult:
    """Read the numbers on `page`, in reading order; an empty page has none."""
    found = find_numbers(page, model, settings)
    for turn in find_turns(found.glyphs, found.weighed, model, settings.straighten):
        upright = read_page(turned(page, turn.quarters), model, settings.without_turns())
        if share_of_sure(upright.numbers, settings.straighten) >= turn.least_sure:
            return turned_back(upright, turn.quarters)
    numbers = leave_out_print(found.weighed, found.about, settings)
    height, width = page.gray.shape
    return PageResult(on_scan(numbers, found.straight, page), width, height, found.blank)


def find_numbers(page: Page, model: DigitModel, settings: Settings) -> Found:
    """The numbers as they stand on the levelled page, read again without its squares, or its back, if those are ink."""
    straight = straighten(page, binarise(page, settings.binarise), settings.binarise, settings.straighten)
    found = find_in(straight, model, settings)
    squares = found.about.squares
    backdrop = find_backdrop(straight.page, found.glyphs, found.weighed, squares, model, settings.backdrop)
    if not backdrop:
        return found
    clear = settings.without_backdrop(backdrop)
    again = find_in(replace(straight, ink=binarise(straight.page, clear.binarise)), model, clear, squares)
    return again if bears_out(again.weighed, found.weighed, settings.backdrop) else found


def find_in(straight: Straight, model: DigitModel, settings: Settings, squares: Squares | None = None) -> Found:
    """The numbers in the ink of a levelled page; its `squares`, if known, are so without their lines being ink."""
    unruled = remove_rulings(leave_out_holes(straight.ink), settings.components, settings.rulings)
    unruled = replace(unruled, squares=unruled.squares or squares)
    components = find_components(unruled.ink, settings.components, unruled.rows)
    glyphs = cut_glyphs(components, settings.components, settings.glyphs)
    probabilities = model.probabilities(normalise_all(glyphs.inks))
    about = Surroundings(unruled.rulings, components.low, components.runs, squares=unruled.squares)
    readings = leave_out_frame(decode_glyphs(glyphs, probabilities), straight.page.gray.shape, settings.layout)
    readings = leave_out_sides(readings, about.squares, settings.layout)
    readings, about = find_commas(readings, about, settings.layout)
    readings, about = leave_out_texts(readings, about, settings.layout)
    lone = find_lone_strings(components.pieces, components.digit_height_px, settings.strings)
    doubtful = find_doubtful(readings, about, lone, settings.layout, settings.strings)
    gray = leave_out_squares(straight.page.gray, straight.ink, unruled)
    strips = cut_strips(gray, unruled.ink, doubtful.boxes)
    strings = model.read_strings(strips, doubtful.expected, settings.strings)
    readings, about = settle(readings, doubtful, strings, about, settings.strings)
    digits = leave_out_grain(leave_out_words(readings, about, settings.layout), settings.layout)
    digits, about = restore_dividers(digits, about, settings.layout)
    numbers = arrange_numbers(digits, about, settings.layout)
    weighed = weigh_numbers(numbers, about, model.trust, model.least_confidence(settings.review), settings)
    return Found(straight, glyphs, numbers, weighed, about, len(components) == 0)
