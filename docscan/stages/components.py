"""InkMask -> Components: label connected ink, learn how high digits are here, keep what could be one."""

import cv2
import numpy as np
from numpy.typing import NDArray

from docscan.records import Components, InkMask
from docscan.settings import ComponentSettings

_MM_PER_INCH = 25.4
_BINS_PER_OCTAVE = 8


def find_components(ink: InkMask, settings: ComponentSettings) -> Components:
    """Label connected ink and keep the pieces that could be a digit or a part of one.

    Pieces touch if they share an edge or a corner. How high a digit is comes from the pieces themselves, so nothing
    depends on the resolution; where it is known it only bounds the answer. A blank page has no components.
    """
    labels, stats = label(ink.ink)
    boxes = stats[1:, [cv2.CC_STAT_LEFT, cv2.CC_STAT_TOP, cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]]  # row 0 is the paper
    boxes[:, 2:] += boxes[:, :2]
    ids = np.arange(1, len(stats), dtype=np.int32)
    areas = stats[1:, cv2.CC_STAT_AREA]
    digit_height_px = digit_height(boxes, areas, ink, settings)
    found = Components(labels, ids, boxes, areas, digit_height_px)
    return found.where(_could_be_digits(found, settings))


def label(ink: NDArray[np.uint8]) -> tuple[NDArray[np.uint16] | NDArray[np.int32], NDArray[np.int32]]:
    """Number the connected pieces of (H, W) ink from 1: their labels, and OpenCV's statistics, row 0 the paper."""
    try:
        # 16-bit labels: 16 ms on an A4 page at 300 dpi, where 32-bit ones take 51.
        _, labels, stats, _ = cv2.connectedComponentsWithStats(ink, connectivity=8, ltype=cv2.CV_16U)
    except cv2.error:  # more than 65,535 components: a very noisy page
        _, labels, stats, _ = cv2.connectedComponentsWithStats(ink, connectivity=8, ltype=cv2.CV_32S)
    return labels, stats


def digit_height(
    boxes: NDArray[np.int32], areas: NDArray[np.int32], ink: InkMask, settings: ComponentSettings
) -> float:
    """The commonest height among pieces of a digit's proportions; 0 where there are none.

    A piece weighs the square root of its ink: specks outnumber digits on a noisy page, one grid outweighs them all.
    """
    widths, heights = (boxes[:, 2:] - boxes[:, :2]).T
    low = max(settings.min_height_px, settings.min_page_share * max(ink.ink.shape))
    high = float(ink.ink.shape[0])
    if ink.dpi is not None:
        low = max(low, settings.min_digit_mm * ink.dpi / _MM_PER_INCH)
        high = min(high, settings.max_digit_mm * ink.dpi / _MM_PER_INCH)
    filled = areas >= settings.min_fill * widths * heights
    proportions = (widths <= 1.5 * heights) & (heights <= 12 * widths) & filled
    plausible = proportions & (heights >= low) & (heights <= high)
    if not plausible.any():
        return 0.0
    octaves = np.log2(heights[plausible])
    # A smoothed histogram of log heights: a hand's digits differ by a third, print and hand by more.
    bins = np.round((octaves - octaves.min()) * _BINS_PER_OCTAVE).astype(np.intp)
    ink_of = np.bincount(bins, weights=np.sqrt(areas[plausible]), minlength=5)
    mass = np.convolve(ink_of, [1, 2, 3, 2, 1], "same")
    peak = int(np.argmax(mass[: bins.max() + 1]))
    near = np.abs(bins - peak) <= _BINS_PER_OCTAVE // 4
    return float(np.median(heights[plausible][near])) if near.any() else float(np.median(heights[plausible]))


def _could_be_digits(found: Components, settings: ComponentSettings) -> NDArray[np.bool_]:
    widths, heights = (found.boxes[:, 2:] - found.boxes[:, :2]).T
    # A bar of a 5 is lower than a digit: a piece counts by its longer side.
    large_enough = np.maximum(widths, heights) >= max(
        settings.min_height_px, settings.min_height * found.digit_height_px
    )
    no_ruling = (heights <= settings.max_height * found.digit_height_px) & (
        widths <= settings.max_aspect * np.maximum(heights, found.digit_height_px)
    )
    return np.asarray(large_enough & no_ruling & (found.digit_height_px > 0))
