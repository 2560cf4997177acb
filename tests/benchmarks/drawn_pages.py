"""Draws what is measured: A4 pages at 300 dpi with 250 digits each, every page as PNG and as JPEG."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from training.hand import Writer
from training.layouts import Plan, Sheet
from training.pages import KINDS, DrawnPage, Look, draw_page, hand_source

A4 = Sheet(width=210, height=297, margin=12, digit=5.0)
DIGITS = 250
DPI = 300
PAGE_KINDS = ("clean", "ruled", "table", "columns")
SUFFIXES = (".png", ".jpg")
_JPEG_QUALITY = 85


def draw_files(folder: Path, count: int, *, sheet: Sheet = A4, digits: int = DIGITS, dpi: int = DPI) -> Iterator[Path]:
    """Draw `count` pages, the kinds in turn, each with `digits` digits or a few more; yield the PNGs as written.

    The JPEG lies beside its PNG. The same arguments give the same pages.
    """
    for index in range(count):
        page = _draw(PAGE_KINDS[index % len(PAGE_KINDS)], index, sheet, digits, dpi)
        path = folder / f"{index:03d}-{page.kind}.png"
        image = Image.fromarray(page.image)
        image.save(path, dpi=(dpi, dpi))
        image.save(path.with_suffix(".jpg"), dpi=(dpi, dpi), quality=_JPEG_QUALITY)
        yield path


def _draw(kind: str, seed: int, sheet: Sheet, digits: int, dpi: int) -> DrawnPage:
    planned = digits
    while planned < 2 * digits:
        look = replace(KINDS[kind], layout=partial(_thinned, look=KINDS[kind], digits=planned))
        rng = np.random.default_rng(seed)
        source = hand_source(Writer.random(rng).tidied(rng))
        page = draw_page(kind, rng, dpi=dpi, sheet=sheet, look=look, digits_source=source)
        missing = digits - sum(len(number.text) for number in page.numbers)
        if missing <= 0:
            return page
        planned += missing  # a wide hand leaves the last digits of some numbers unwritten
    raise ValueError(f"a {kind} page of {sheet.width:g} x {sheet.height:g} mm has no room for {digits} digits")


def _thinned(sheet: Sheet, rng: np.random.Generator, *, look: Look, digits: int) -> Plan:
    """The look's own plan without printed words, thinned to numbers that hold `digits` digits in all."""
    plan = look.layout(sheet, rng)
    chosen = []
    left = digits
    for index in rng.permutation(len(plan.spots)):
        spot = plan.spots[index]
        chosen.append((int(index), replace(spot, text=spot.text[:left])))
        left -= len(chosen[-1][1].text)
        if left == 0:
            break
    return replace(plan, spots=tuple(spot for _, spot in sorted(chosen, key=lambda one: one[0])), words=())
