"""InkMask -> InkMask without punch holes: what lies under the paper shows in them as discs, and a disc reads as a 0.

A hole is wider than any pen and stands near an edge of the sheet (ISO 838: 6 mm across, 12 mm from the edge). Where it
is small so does the next, for the filled head of a 9 is as round. Taken out before the rulings: they run into it.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from docscan.records import InkMask
from docscan.stages.components import label

_SIDE_PX = 600  # the page's shorter side where holes are looked for; a picture with fewer is no page
_LEAST, _MOST = 10, 48  # px across: 6 to 8 mm of a shorter side between 105 and 297 mm, and a little more
_ALONE = 14  # px across: one is enough; of smaller ones there are two in a row,
_ALIKE_PX, _IN_LINE_PX = 1.5, 4  # whose radii differ by no more, nor how far they are from an edge
_PEN_PX = 7  # more than a pen draws, less than a square in the least hole
_FROM_EDGE_PX = 80  # of its middle: 12 mm of 105, and as much again for a sheet that lies on the table
_BLOTS = 200  # more is a halftone
_INSIDE, _OUTSIDE = 0.8, 1.1  # of the radius: all is ink, and none is: in the corners of a box there is
_ALL, _NONE = 0.95, 0.2  # but for noise, and for lines and writing that run into it
_AROUND = np.exp(2j * np.pi * np.arange(64) / 64)


def leave_out_holes(ink: InkMask) -> InkMask:
    """The ink of a page but for punch holes; most pages have none and keep theirs as it is."""
    step = max(1, round(min(ink.ink.shape) / _SIDE_PX))
    discs = list(_discs(np.ascontiguousarray(ink.ink[::step, ::step])))
    holes = [disc for disc in discs if 2 * disc.radius >= _ALONE or any(_in_line(disc, other) for other in discs)]
    if not holes:
        return ink
    rest, pale = ink.ink.copy(), ink.pale.copy()
    for x, y, radius in holes:
        for mask in (rest, pale):
            cv2.circle(mask, (round(x * step), round(y * step)), round((radius + 1.5) * step), 0, cv2.FILLED)
    return replace(ink, ink=rest, pale=pale)


class _Disc(NamedTuple):
    """What may be a hole; px of the reduced page."""

    x: int
    y: int
    radius: float


def _in_line(one: _Disc, other: _Disc) -> bool:
    """Whether two discs are as large as each other, and in a row along an edge."""
    alike = abs(one.radius - other.radius) <= _ALIKE_PX
    off = min(abs(one.x - other.x), abs(one.y - other.y))
    return alike and one != other and off <= _IN_LINE_PX


def _discs(ink: NDArray[np.uint8]) -> Iterator[_Disc]:
    """All that is as round as a hole, as large and near an edge in (h, w) ink."""
    height, width = ink.shape
    if min(height, width) < 3 * _FROM_EDGE_PX:
        return
    blots = np.asarray(cv2.erode(ink, np.ones((_PEN_PX, _PEN_PX), np.uint8)), dtype=np.uint8)
    if not blots.any():
        return
    _, stats = label(blots)
    if len(stats) > _BLOTS:
        return
    for left, top, across, down, _ in stats[1:].tolist():
        if max(across, down) > _MOST:
            continue
        before, above = max(0, left - _PEN_PX), max(0, top - _PEN_PX)
        blot = ink[above : top + down + _PEN_PX, before : left + across + _PEN_PX]
        _, radius, _, (x, y) = cv2.minMaxLoc(cv2.distanceTransform(blot, cv2.DIST_L2, cv2.DIST_MASK_5))
        x, y = x + before, y + above
        near_edge = min(x, y, width - 1 - x, height - 1 - y) <= _FROM_EDGE_PX
        if near_edge and _LEAST <= 2 * radius <= _MOST and _is_disc(ink, x, y, radius):
            yield _Disc(x, y, radius)


def _is_disc(ink: NDArray[np.uint8], x: int, y: int, radius: float) -> bool:
    inside, outside = (
        ink[
            np.clip(np.rint(y + reach * _AROUND.imag), 0, ink.shape[0] - 1).astype(np.intp),
            np.clip(np.rint(x + reach * _AROUND.real), 0, ink.shape[1] - 1).astype(np.intp),
        ]
        > 0
        for reach in (_INSIDE * radius, _OUTSIDE * radius + 0.5)
    )
    return bool(inside.mean() >= _ALL and outside.mean() <= _NONE)
