"""Components -> Glyphs: candidate digits, with the pieces of a broken one joined."""

import cv2
import numpy as np
from numpy.typing import NDArray

from docscan.records import Components, Glyphs
from docscan.settings import ComponentSettings, GlyphSettings
from docscan.stages.grouping import group, neighbour_pairs


def cut_glyphs(components: Components, size: ComponentSettings, settings: GlyphSettings) -> Glyphs:
    """Join stacked pieces, such as a 5 and its bar, and cut each candidate's own ink out of the page.

    A neighbour's ink inside the candidate's box is left out. No components give no glyphs.
    """
    groups = group(len(components), _stacked_pieces(components, settings))
    members: list[list[int]] = [[] for _ in range(int(groups.max(initial=-1)) + 1)]
    for piece, number in enumerate(groups.tolist()):
        members[number].append(piece)
    boxes = components.boxes[[pieces[0] for pieces in members]]
    np.minimum.at(boxes[:, :2], groups, components.boxes[:, :2])
    np.maximum.at(boxes[:, 2:], groups, components.boxes[:, 2:])
    # Lower is a dash, a dot, a bar that belongs to nothing.
    high = boxes[:, 3] - boxes[:, 1] >= max(size.min_height_px, size.min_height * components.digit_height_px)
    inks = [_ink_of(components, members[number], boxes[number]) for number in np.flatnonzero(high)]
    return Glyphs(boxes[high], tuple(inks))


def _stacked_pieces(components: Components, settings: GlyphSettings) -> list[tuple[int, int]]:
    lefts, tops, rights, bottoms = components.boxes.T
    one, other = neighbour_pairs(components.boxes, np.zeros(len(components)))
    gap = np.maximum(tops[one], tops[other]) - np.minimum(bottoms[one], bottoms[other])
    near = gap <= settings.join_gap * components.digit_height_px
    one, other = one[near], other[near]
    narrower = np.minimum(rights[one] - lefts[one], rights[other] - lefts[other])
    shared = np.minimum(rights[one], rights[other]) - np.maximum(lefts[one], lefts[other])
    together = np.maximum(bottoms[one], bottoms[other]) - np.minimum(tops[one], tops[other])
    one_digit = shared >= settings.join_overlap * narrower
    one_digit &= together <= settings.join_height * components.digit_height_px
    return list(zip(one[one_digit].tolist(), other[one_digit].tolist(), strict=True))


def _ink_of(components: Components, pieces: list[int], box: NDArray[np.int32]) -> NDArray[np.uint8]:
    left, top, right, bottom = box.tolist()
    labels = components.pieces.labels[top:bottom, left:right]
    own = cv2.compare(labels, int(components.ids[pieces[0]]), cv2.CMP_EQ)
    for piece in pieces[1:]:
        own |= cv2.compare(labels, int(components.ids[piece]), cv2.CMP_EQ)
    return np.asarray(own, dtype=np.uint8)
