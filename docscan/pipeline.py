"""Page -> PageResult: the whole method on one screen. START READING HERE.

Each stage is a pure function over frozen records; call them one by one to look inside.
"""

from docscan.records import Page, PageResult
from docscan.settings import Settings
from docscan.stages.binarise import binarise
from docscan.stages.classify import DigitModel
from docscan.stages.components import find_components
from docscan.stages.decode import decode_glyphs
from docscan.stages.glyphs import cut_glyphs
from docscan.stages.layout import arrange_numbers, leave_out_words
from docscan.stages.normalise import normalise_all
from docscan.stages.rulings import remove_rulings


def read_page(page: Page, model: DigitModel, settings: Settings) -> PageResult:
    """Read the numbers on `page`, in reading order; an empty page has none."""
    ink = binarise(page, settings.binarise)
    unruled = remove_rulings(ink, settings.components, settings.rulings)
    components = find_components(unruled.ink, settings.components)
    glyphs = cut_glyphs(components, settings.components, settings.glyphs)
    probabilities = model.probabilities(normalise_all(glyphs.inks))
    digits = leave_out_words(decode_glyphs(glyphs, probabilities), unruled.rulings, settings.layout)
    least_confidence = model.least_confidence(settings.review)
    numbers = arrange_numbers(digits, unruled.rulings, settings.layout, least_confidence)
    height, width = page.gray.shape
    return PageResult(numbers, width, height, blank=len(components) == 0)
