"""Crops -> crops as other hands, pens and scanners would have given them. Numpy and OpenCV, a batch at a time."""

import functools
import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from docscan.stages.normalise import FIELD_PX, normalise

FINE = 2  # crops that go through docscan's normalise are drawn this much finer, as ink on a page is
GRID = 5  # control points a side of the elastic field
INK = 128  # gray level of a stroke's own pixels
MOST_GAPS = 4  # in a broken crop
GAP_PX = (0.6, 1.9)  # half as wide as one is; strokes are two to four pixels wide
COARSE_PX = (14, 22)  # a side of the field of a crop that has lost detail: a digit is then 10 to 16 px high


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How far a crop may be bent; ranges are uniform and go both ways where only one number is given."""

    rotation_deg: float = 12.0
    slant: float = 0.3
    """Sideways shift a pixel of height."""
    scale: tuple[float, float] = (0.85, 1.1)
    aspect: float = 0.15
    """Width against height."""
    shift_px: float = 1.5
    elastic_px: float = 0.8
    """Standard deviation of the displacement at a control point."""
    thickness: float = 0.6
    """Share of a pixel by which strokes grow or shrink at each edge."""
    blur: float = 0.5
    """Largest share of a 3 x 3 blur mixed in."""
    coarse_share: float = 0.08
    """Share of crops that lose detail, as a scan of too few dots an inch does."""
    page_share: float = 0.5
    """Share of crops that are thresholded and go through docscan's normalise, as the crops of a page do."""


def augment(images: NDArray[np.uint8], rng: np.random.Generator, how: Augmentation) -> NDArray[np.uint8]:
    """Bend every crop of (N, 28, 28) uint8, 255 = ink, differently; same shape and dtype."""
    is_page = rng.random(len(images)) < how.page_share
    thresholds = rng.uniform(70, 150, len(images))
    controls = _controls(len(images), rng, how)
    bent = np.empty_like(images)
    for index, warp in zip(np.flatnonzero(~is_page), controls[~is_page] @ _basis(1), strict=True):
        bent[index] = _remap(images[index], warp)
    for index, warp in zip(np.flatnonzero(is_page), controls[is_page] @ _basis(FINE), strict=True):
        bent[index] = through_normalise(_remap(images[index], warp), thresholds[index])
    for index in np.flatnonzero(rng.random(len(images)) < how.coarse_share):
        bent[index] = _coarse(bent[index], int(rng.integers(*COARSE_PX)))
    return _restroke(bent, rng, how)


def broken(
    images: NDArray[np.uint8], rng: np.random.Generator, share: float | NDArray[np.float64]
) -> NDArray[np.uint8]:
    """Crops (N, 28, 28) some of which lost pieces of their strokes, as where a pen ran dry or a scan was too pale.

    `share` is how many do; one for all, or (N,), one for each.

    Zhong, Zheng, Kang et al., Random erasing data augmentation, AAAI 2020, arXiv:1708.04896; here along the strokes.
    """
    torn = images.copy()
    for index in np.flatnonzero(rng.random(len(images)) < share):
        down, along = np.nonzero(torn[index] >= INK)
        if not len(down):
            continue
        for place in rng.integers(len(down), size=int(rng.integers(1, MOST_GAPS + 1))):
            centre, radius = (int(along[place]) * 8, int(down[place]) * 8), round(8 * float(rng.uniform(*GAP_PX)))
            cv2.circle(torn[index], centre, radius, 0, cv2.FILLED, cv2.LINE_AA, shift=3)
    return torn


def _coarse(image: NDArray[np.uint8], side_px: int) -> NDArray[np.uint8]:
    """A crop (28, 28) as it comes from a field of `side_px` pixels a side."""
    few = cv2.resize(image, (side_px, side_px), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(few, image.shape[::-1], interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def through_normalise(strokes: NDArray[np.uint8], threshold: float) -> NDArray[np.uint8]:
    """Gray strokes (h, w), 255 = ink -> the crop (28, 28) a page would give: binary, cut out, normalised."""
    ink = cv2.threshold(strokes, threshold, 255, cv2.THRESH_BINARY)[1]
    left, top, width, height = cv2.boundingRect(ink)
    return normalise(ink[top : top + height, left : left + width])


def _controls(count: int, rng: np.random.Generator, how: Augmentation) -> NDArray[np.float32]:
    """One affine and elastic warp a crop: (N, 2, 3 + GRID^2), where x and y come from, in the terms of `_basis`."""
    turn = np.radians(rng.uniform(-how.rotation_deg, how.rotation_deg, count))
    slant = rng.uniform(-how.slant, how.slant, count)
    scale = 1 / rng.uniform(*how.scale, count)
    aspect = np.exp(rng.uniform(-how.aspect, how.aspect, count) / 2)
    cos, sin = np.cos(turn) * scale, np.sin(turn) * scale
    matrices = np.empty((count, 2, 2))
    matrices[:, 0, 0], matrices[:, 0, 1] = cos * aspect, (cos * slant - sin) * aspect
    matrices[:, 1, 0], matrices[:, 1, 1] = sin / aspect, (sin * slant + cos) / aspect
    centre = (FIELD_PX - 1) / 2
    shift = rng.uniform(-how.shift_px, how.shift_px, (count, 2, 1)) + centre
    elastic = how.elastic_px * rng.random((count, 1, 1)) * rng.standard_normal((count, 2, GRID * GRID))
    return np.concatenate([matrices, shift, elastic], axis=2, dtype=np.float32)


def _remap(image: NDArray[np.uint8], warp: NDArray[np.float32]) -> NDArray[np.uint8]:
    """`image` drawn anew where `warp` (2, F * F) says each pixel comes from: (F, F)."""
    size = math.isqrt(warp.shape[1])
    from_x, from_y = warp.reshape(2, size, size)
    return np.asarray(cv2.remap(image, from_x, from_y, cv2.INTER_LINEAR), dtype=np.uint8)


@functools.cache
def _basis(fineness: int) -> NDArray[np.float32]:
    """(3 + GRID^2, pixels): x, y and 1 of every pixel, then the weight of each elastic control point there."""
    size = FIELD_PX * fineness
    along = (np.arange(size) + 0.5) / fineness - FIELD_PX / 2
    rows, columns = np.meshgrid(along, along, indexing="ij")
    knots = np.linspace(-FIELD_PX / 2, FIELD_PX / 2, GRID)
    near = np.exp(-(((along[:, None] - knots) / (knots[1] - knots[0])) ** 2))
    near /= near.sum(axis=1, keepdims=True)
    weights = np.einsum("yi,xj->ijyx", near, near).reshape(GRID * GRID, -1)
    return np.concatenate([[columns.ravel(), rows.ravel(), np.ones(size * size)], weights]).astype(np.float32)


def _restroke(images: NDArray[np.uint8], rng: np.random.Generator, how: Augmentation) -> NDArray[np.uint8]:
    """Thicken or thin the strokes, then blur a little: (N, 28, 28) -> the same."""
    count = len(images)
    thickness = rng.uniform(-how.thickness, how.thickness, (count, 1, 1)).astype(np.float32)
    blur = (how.blur * rng.random((count, 1, 1)) ** 2).astype(np.float32)
    strokes = images.astype(np.float32)
    around = _neighbours(strokes)
    target = np.where(thickness > 0, around.max(axis=0), around.min(axis=0))
    strokes += np.abs(thickness) * (target - strokes)
    strokes += blur * (_neighbours(strokes).mean(axis=0) - strokes)
    return np.asarray(np.rint(strokes), dtype=np.uint8)


def _neighbours(strokes: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, H, W) -> (5, N, H, W): each pixel and the four beside it; beyond the edge lies paper, 0."""
    padded = np.pad(strokes, ((0, 0), (1, 1), (1, 1)))
    inside = slice(1, -1)
    shifts = [(inside, inside), (slice(2, None), inside), (slice(-2), inside), (inside, slice(2, None))]
    return np.stack([padded[:, rows, columns] for rows, columns in [*shifts, (inside, slice(-2))]])
