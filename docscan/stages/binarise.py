"""Page -> InkMask: decide, once and for ever, which pixels are ink and whether the page is dark on light.

The local threshold asks how dark a pixel is against the paper around it: the paper is a morphological closing of the
page, ink is what is darker than the paper by a share of what the ink around it is. It is a relative of Bernsen's
local contrast (Dynamic thresholding of grey-level images, ICPR 1986) with the paper, not the mid-range, as the base, so
it neither hollows thick strokes (as a Sauvola window narrower than the stroke does) nor invents ink on blank paper.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from docscan.records import InkMask, Page
from docscan.settings import BinariseSettings

_NEIGHBOURHOOD_PX = 41  # on the reduced page: wider than a digit
_GAUSSIAN_MAD = 1.4826  # standard deviation of a Gaussian over its median absolute deviation


def binarise(page: Page, settings: BinariseSettings) -> InkMask:
    """Separate ink from paper; a blank page gives an empty mask, light ink on a dark page is turned round first."""
    gray, small = page.gray, reduced(page.gray, settings)
    if is_light_on_dark(small):
        gray, small = cv2.bitwise_not(gray), cv2.bitwise_not(small)
    ink = _otsu(gray) if settings.method == "otsu" else _local(gray, small, settings)
    return InkMask(ink, page.dpi)


def reduced(gray: NDArray[np.uint8], settings: BinariseSettings) -> NDArray[np.uint8]:
    """A (H, W) page shrunk by the whole number that brings its short side nearest to `side_px`."""
    factor = _factor(gray, settings)
    size = max(1, gray.shape[1] // factor), max(1, gray.shape[0] // factor)
    return np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def is_light_on_dark(small: NDArray[np.uint8]) -> bool:
    """True where a reduced page (h, w) is light ink on dark paper.

    Ink is the minority wherever it is, so brightness around its local mean leans away from the ink: the sign of the
    third moment tells. Not the share of dark pixels: a sheet photographed on a dark table is mostly dark.
    """
    brightness = small.astype(np.float32)
    deviation = brightness - cv2.blur(brightness, (_NEIGHBOURHOOD_PX, _NEIGHBOURHOOD_PX))
    return float(np.mean(deviation * deviation * deviation)) > 0


def _factor(gray: NDArray[np.uint8], settings: BinariseSettings) -> int:
    return max(1, round(float(min(gray.shape)) / settings.side_px))


def _otsu(gray: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """One threshold for the page: Otsu, IEEE Trans. SMC 9(1), 1979. doi:10.1109/TSMC.1979.4310076."""
    _, ink = cv2.threshold(gray, 0, 255, cv2.THRESH_BINARY_INV | cv2.THRESH_OTSU)
    return np.asarray(ink, dtype=np.uint8)


def _local(gray: NDArray[np.uint8], small: NDArray[np.uint8], settings: BinariseSettings) -> NDArray[np.uint8]:
    height, width = gray.shape
    threshold = _threshold(gray, small, settings)
    # The threshold varies slowly: made small, then stretched over the page, it costs a fifth of full-size box filters.
    stretched = cv2.resize(threshold, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.compare(gray, stretched, cv2.CMP_LT), dtype=np.uint8)


def _threshold(gray: NDArray[np.uint8], small: NDArray[np.uint8], settings: BinariseSettings) -> NDArray[np.uint8]:
    """The darkest paper at every point of the reduced page: (h, w) uint8; darker is ink."""
    factor, size = _factor(gray, settings), small.shape[::-1]
    # Averaging would thin the darkness of a fine stroke; its darkest pixel tells how dark its ink is.
    darkest = cv2.resize(cv2.erode(gray, np.ones((factor, factor))), size, interpolation=cv2.INTER_NEAREST)
    window = max(settings.min_window_px, round(min(size) / settings.windows_per_side)) | 1
    # Blurred first: the closing of grainy paper is its brightest grain, not its brightness.
    paper = cv2.morphologyEx(cv2.blur(small, (5, 5)), cv2.MORPH_CLOSE, np.ones((window, window), np.uint8))
    paper = cv2.blur(paper, (window // 2 | 1, window // 2 | 1))
    near = window // 3 | 1
    contrast = cv2.dilate(cv2.subtract(paper, darkest), np.ones((near, near), np.uint8))
    contrast = cv2.blur(contrast, (near, near))
    step = max(1, gray.shape[0] * gray.shape[1] // 100_000)
    noise = _noise(gray.reshape(-1)[::step])
    floor = np.maximum(paper * settings.min_contrast, settings.noise_sigmas * noise)
    darker_by = np.maximum(contrast * settings.ink_share, floor)
    beside_the_sheet = paper < settings.min_paper * np.percentile(paper, 90)
    return np.where(beside_the_sheet, 0, np.clip(paper - darker_by, 0, 255)).astype(np.uint8)


def _noise(sample: NDArray[np.uint8]) -> float:
    """Standard deviation of the paper's grain, gray levels, from a sample of pixels (n,) in raster order."""
    if len(sample) < 2:
        return 0.0
    steps = np.abs(np.diff(sample.astype(np.int16)))
    return float(np.median(steps)) * _GAUSSIAN_MAD / float(np.sqrt(2))
