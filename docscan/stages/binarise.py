"""Page -> InkMask: decide, once and for ever, which pixels are ink and whether the page is dark on light.

The local threshold asks how dark a pixel is against the paper around it: the paper is a morphological closing of the
page, ink is what is darker than the paper by a share of what the ink around it is. It is a relative of Bernsen's
local contrast (Dynamic thresholding of grey-level images, ICPR 1986) with the paper, not the mid-range, as the base, so
it neither hollows thick strokes (as a Sauvola window narrower than the stroke does) nor invents ink on blank paper.
"""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from docscan.records import InkMask, Page
from docscan.settings import BinariseSettings
from docscan.stages.components import label

_WHITE = 255
_NEIGHBOURHOOD_PX = 41  # on the reduced page: wider than a digit
_DARKEST_OF_STRIP = 98  # percentile: as dark as a pen is where it is darkest
_GAUSSIAN_MAD = 1.4826  # standard deviation of a Gaussian over its median absolute deviation


def binarise(page: Page, settings: BinariseSettings) -> InkMask:
    """Separate ink from paper; a blank page gives an empty mask, light ink on a dark page is turned round first."""
    small = reduced(page.gray, settings)
    return light_ink(page, small, settings) if is_light_on_dark(small) else dark_ink(page, small, settings)


def dark_ink(page: Page, small: NDArray[np.uint8], settings: BinariseSettings) -> InkMask:
    """The ink of a page known to be dark on light; `small` is the page `reduced`."""
    if settings.method == "local":
        return _local(page, small, settings)
    part = {"otsu": _otsu, "adaptive": _adaptive, "sauvola": _sauvola, "wolf": _wolf}[settings.method]
    return InkMask(np.asarray(part(page.gray, settings), dtype=np.uint8), page.dpi)


def light_ink(page: Page, small: NDArray[np.uint8], settings: BinariseSettings) -> InkMask:
    """The ink of a page known to be light on dark."""
    return dark_ink(Page(np.asarray(cv2.bitwise_not(page.gray)), page.dpi), cv2.bitwise_not(small), settings)


def reduced(gray: NDArray[np.uint8], settings: BinariseSettings) -> NDArray[np.uint8]:
    """A (H, W) page shrunk by the whole number that brings its short side nearest to `side_px`."""
    factor = _factor(gray, settings)
    height, width = (max(1, side // factor) for side in gray.shape)
    small = gray[: height * factor, : width * factor]
    while factor % 2 == 0:  # twice to a half takes an eighth of the time of once to a quarter
        factor //= 2
        small = np.asarray(cv2.resize(small, (width * factor, height * factor), interpolation=cv2.INTER_AREA))
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def is_light_on_dark(small: NDArray[np.uint8]) -> bool:
    """True where a reduced page (h, w) is light ink on dark paper.

    Ink is the minority wherever it is, so brightness around its local mean leans away from the ink: the sign of the
    third moment tells. Not the share of dark pixels: a sheet photographed on a dark table is mostly dark.
    """
    # Whole numbers are added up in half the time.
    deviation = small - cv2.boxFilter(small, cv2.CV_32F, (_NEIGHBOURHOOD_PX, _NEIGHBOURHOOD_PX))
    return float(np.vdot(deviation, np.square(deviation))) > 0


def _factor(gray: NDArray[np.uint8], settings: BinariseSettings) -> int:
    return max(1, round(float(min(gray.shape)) / settings.side_px))


def _otsu(gray: NDArray[np.uint8], _: BinariseSettings) -> NDArray[np.uint8]:
    """One threshold for the page: Otsu, IEEE Trans. SMC 9(1), 1979. doi:10.1109/TSMC.1979.4310076."""
    return cv2.threshold(gray, 0, 255, cv2.THRESH_BINARY_INV | cv2.THRESH_OTSU)[1]  # type: ignore[no-any-return]


def _adaptive(gray: NDArray[np.uint8], settings: BinariseSettings) -> NDArray[np.uint8]:
    """Darker than the mean of the window by a share of white."""
    window, darker_by = _window(gray, settings), _WHITE * settings.min_contrast
    mean, inverted = cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY_INV
    return cv2.adaptiveThreshold(gray, _WHITE, mean, inverted, window, darker_by)  # type: ignore[no-any-return]


def _sauvola(gray: NDArray[np.uint8], settings: BinariseSettings) -> NDArray[np.uint8]:
    """Sauvola & Pietikainen, Pattern Recognition 33(2), 2000. doi:10.1016/S0031-3203(99)00055-2."""
    brightness, mean, deviation = _statistics(gray, settings)
    threshold = mean * (1 + settings.sauvola_k * (deviation / np.float32(_WHITE / 2) - 1))
    return cv2.compare(brightness, threshold.astype(np.float32), cv2.CMP_LE)  # type: ignore[no-any-return]


def _wolf(gray: NDArray[np.uint8], settings: BinariseSettings) -> NDArray[np.uint8]:
    """Wolf & Jolion, Pattern Analysis and Applications 6(4), 2004. doi:10.1007/s10044-003-0197-7.

    Sauvola's, with the contrast of the page in place of a fixed one.
    """
    brightness, mean, deviation = _statistics(gray, settings)
    flatness = 1 - deviation / max(float(deviation.max()), 1.0)
    threshold = mean - settings.wolf_k * flatness * (mean - np.float32(gray.min()))
    return cv2.compare(brightness, threshold.astype(np.float32), cv2.CMP_LT)  # type: ignore[no-any-return]


def _statistics(gray: NDArray[np.uint8], settings: BinariseSettings) -> tuple[NDArray[np.float32], ...]:
    """Brightness, and its mean and standard deviation in the window around every pixel: (H, W) each."""
    window = (_window(gray, settings),) * 2
    brightness = gray.astype(np.float32)
    mean = cv2.boxFilter(brightness, -1, window, borderType=cv2.BORDER_REPLICATE)
    square = cv2.sqrBoxFilter(brightness, -1, window, borderType=cv2.BORDER_REPLICATE)
    return brightness, mean, cv2.sqrt(cv2.max(square - mean * mean, 0.0))


def _window(gray: NDArray[np.uint8], settings: BinariseSettings) -> int:
    """The side of the paper window of a page, at any size: odd, pixels."""
    return max(settings.min_window_px, round(float(min(gray.shape)) / settings.windows_per_side)) | 1


def _local(page: Page, small: NDArray[np.uint8], settings: BinariseSettings) -> InkMask:
    ink, pale = (_darker(page.gray, threshold) for threshold in _thresholds(page.gray, small, settings))
    return InkMask(ink, page.dpi, pale)


def _darker(gray: NDArray[np.uint8], threshold: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Where a page (H, W) is darker than a threshold of the reduced page: 255 there.

    A threshold varies slowly: made small, then stretched over the page, it costs a fifth of full-size box filters.
    """
    stretched = np.asarray(cv2.resize(threshold, gray.shape[::-1]), dtype=np.uint8)
    cv2.compare(gray, stretched, cv2.CMP_LT, dst=stretched)  # in place: memory for a page costs more than comparing it
    return stretched


def _thresholds(
    gray: NDArray[np.uint8], small: NDArray[np.uint8], settings: BinariseSettings
) -> Iterator[NDArray[np.uint8]]:
    """The darkest paper at every point of the reduced page, (h, w) uint8: what is darker is ink; then, is pale ink."""
    factor, size = _factor(gray, settings), small.shape[::-1]
    # Averaging would thin the darkness of a fine stroke; its darkest pixel tells how dark its ink is.
    darkest = _darkest(gray, size, factor)
    window = _window(small, settings)
    # Blurred first: the closing of grainy paper is its brightest grain, not its brightness.
    paper = cv2.morphologyEx(cv2.blur(small, (5, 5)), cv2.MORPH_CLOSE, np.ones((window, window), np.uint8))
    paper = cv2.blur(paper, (window // 2 | 1, window // 2 | 1))
    near = window // 3 | 1
    darkness = np.asarray(cv2.subtract(paper, darkest), dtype=np.uint8)
    least_contrast, is_string = settings.min_contrast, min(small.shape) < settings.min_windows * window
    if is_string:
        darkness = _without_frame(darkness, round(settings.frame_share * min(small.shape)))
        least_contrast = settings.strip_contrast
    contrast = cv2.blur(cv2.dilate(darkness, np.ones((near, near), np.uint8)), (near, near))
    if is_string:
        contrast = np.maximum(contrast, np.uint8(np.percentile(darkness, _DARKEST_OF_STRIP)))
    step = max(1, gray.shape[0] * gray.shape[1] // 100_000)
    noise = _noise(gray.reshape(-1)[::step])
    sheet = _is_sheet(paper, window // 4, settings)
    # What is asked of a pixel depends on one gray level or on another: 256 answers each, and no arithmetic on floats.
    levels = np.arange(256, dtype=np.float32)
    of_paper = np.maximum(levels * np.float32(least_contrast), np.float32(settings.noise_sigmas * noise))
    floor = cv2.LUT(paper, _up(of_paper))
    for share, least in ((settings.ink_share, 1.0), (settings.pale_share, settings.min_pale_darkness)):
        of_contrast = np.maximum(levels * np.float32(share), np.float32(least * settings.min_darkness))
        threshold = cv2.subtract(paper, cv2.max(floor, cv2.LUT(contrast, _up(of_contrast))))
        yield np.asarray(threshold * sheet, dtype=np.uint8)  # nothing is darker than black


def _darkest(gray: NDArray[np.uint8], size: tuple[int, int], factor: int) -> NDArray[np.uint8]:
    """The darkest of the `factor` x `factor` pixels around each that a page shrunk to `size`, width and height, keeps.

    An erosion of the page, of which those are taken, takes twice the time.
    """
    width, height = size
    kept = (np.arange(height) * (len(gray) / height)).astype(np.intp)
    darkest = np.take(gray, kept - factor // 2, axis=0, mode="clip")
    row = np.empty_like(darkest)
    for off in range(1, factor):
        np.take(gray, kept - factor // 2 + off, axis=0, mode="clip", out=row)
        cv2.min(darkest, row, dst=darkest)
    darkest = np.asarray(cv2.erode(darkest, np.ones((1, factor), np.uint8)), dtype=np.uint8)
    return np.asarray(cv2.resize(darkest, (width, height), interpolation=cv2.INTER_NEAREST), dtype=np.uint8)


def _without_frame(darkness: NDArray[np.uint8], length: int) -> NDArray[np.uint8]:
    """How dark a picture (h, w) is beside its level and upright lines of at least `length` px: 0 on those."""
    line = np.ones((max(1, length), 1), np.uint8)
    upright, level = (cv2.morphologyEx(darkness, cv2.MORPH_OPEN, along) for along in (line, line.T))
    return np.asarray(cv2.subtract(darkness, cv2.max(upright, level)), dtype=np.uint8)


def _up(levels: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Gray levels rounded up to whole ones: (256,). What is a hair above one, for rounding, counts as it."""
    white = np.float32(_WHITE)
    return np.asarray(np.clip(white - np.floor(white - levels), 0, white), dtype=np.uint8)


def _is_sheet(paper: NDArray[np.uint8], edge_px: int, settings: BinariseSettings) -> NDArray[np.bool_]:
    """Where there is paper, (h, w), of the brightness around every point: the rest is what the sheet lies on.

    Where the picture falls into two, one far darker than any shadow makes paper, the sheet is the brighter, in one
    piece or a few, and its edge is left out: the grain of a wooden table is bright enough to be paper, and reads as
    ones.
    """
    counts = cv2.calcHist([paper], [0], None, [256], [0, 256]).reshape(-1)
    between = 1 + int(cv2.threshold(paper, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[0])
    beside, sheet = _middle(counts[:between]), between + _middle(counts[between:])
    least = settings.min_paper * sheet
    if beside >= least:
        return np.asarray(paper >= least)
    bright = cv2.erode(cv2.compare(paper, max(least, between), cv2.CMP_GE), np.ones((2 * edge_px + 1,) * 2, np.uint8))
    labels, stats = label(np.asarray(bright, dtype=np.uint8))
    areas = stats[1:, cv2.CC_STAT_AREA]
    pieces = np.concatenate([[False], areas >= settings.min_sheet * areas.max(initial=0)])
    return np.asarray(pieces[labels])


def _middle(counts: NDArray[np.float32]) -> int:
    """The median of gray levels from 0, each as often as `counts` says; 0 where there are none."""
    return int(np.searchsorted(np.cumsum(counts), counts.sum() / 2))


def _noise(sample: NDArray[np.uint8]) -> float:
    """Standard deviation of the paper's grain, gray levels, from a sample of pixels (n,) in raster order."""
    if len(sample) < 2:
        return 0.0
    steps = np.maximum(sample[1:], sample[:-1]) - np.minimum(sample[1:], sample[:-1])
    up_to = np.cumsum(np.bincount(steps))  # counted rather than sorted: a median in a third of the time
    middle = [int(np.searchsorted(up_to, len(steps) / 2, side)) for side in ("left", "right")]
    return sum(middle) / 2 * _GAUSSIAN_MAD / float(np.sqrt(2))
