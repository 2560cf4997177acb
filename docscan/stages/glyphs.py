"""Components -> Glyphs: candidate digits, with the pieces of a broken one joined."""

import cv2
import numpy as np
from numpy.typing import NDArray

from docscan.records import Components, Glyphs
from docscan.settings import ComponentSettings, GlyphSettings
from docscan.stages.grouping import group, neighbours


def cut_glyphs(components: Components, size: ComponentSettings, settings: GlyphSettings) -> Glyphs:
    """Join stacked pieces, such as a 5 and its bar, and cut each candidate's own ink out of the page.

    A neighbour's ink inside the candidate's box is left out. No components give no glyphs.
    """
    groups = group(len(components), _stacked_pieces(components, settings))
    members: list[list[int]] = [[] for _ in range(int(groups.max(initial=-1)) + 1)]
    for piece, number in enumerate(groups):
        members[number].append(piece)
    boxes, inks = [], []
    for pieces in members:
        own = components.boxes[pieces]
        box = np.concatenate([own[:, :2].min(axis=0), own[:, 2:].max(axis=0)])
        if box[3] - box[1] < max(size.min_height_px, size.min_height * components.digit_height_px):
            continue  # a dash, a dot, a bar that belongs to nothing
        boxes.append(box)
        inks.append(_ink_of(components, pieces, box))
    return Glyphs(np.array(boxes, dtype=np.int32).reshape(-1, 4), tuple(inks))


def _stacked_pieces(components: Components, settings: GlyphSettings) -> list[tuple[int, int]]:
    boxes, unit = components.boxes, components.digit_height_px
    links = []
    for piece, others in neighbours(boxes, np.zeros(len(boxes))):
        left, top, right, bottom = boxes[piece]
        lefts, tops, rights, bottoms = boxes[others].T
        narrower = np.minimum(right - left, rights - lefts)
        shared = np.minimum(right, rights) - np.maximum(left, lefts)
        gap = np.maximum(top, tops) - np.minimum(bottom, bottoms)
        together = np.maximum(bottom, bottoms) - np.minimum(top, tops)
        stacked = (shared >= settings.join_overlap * narrower) & (gap <= settings.join_gap * unit)
        one_digit = stacked & (together <= settings.join_height * unit)
        links += [(piece, int(other)) for other in others[one_digit]]
    return links


def _ink_of(components: Components, pieces: list[int], box: NDArray[np.int32]) -> NDArray[np.uint8]:
    left, top, right, bottom = box
    labels = components.labels[top:bottom, left:right]
    own = cv2.compare(labels, int(components.ids[pieces[0]]), cv2.CMP_EQ)
    for piece in pieces[1:]:
        own |= cv2.compare(labels, int(components.ids[piece]), cv2.CMP_EQ)
    return np.asarray(own, dtype=np.uint8)
