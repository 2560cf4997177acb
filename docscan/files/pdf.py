"""One page of a PDF -> gray Page: the scan it holds, as it was scanned, or a rendering. The only importer of pypdfium2.

Scanners wrap one picture a page. Taking that picture is ten times faster than rendering and blurs nothing. Whether
it is all there is to see is not argued from PDF's many features (masks, clips, overprints, hidden layers) but
checked: the picture, shrunk, must look like the page, shrunk.
"""

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pypdfium2
import pypdfium2.raw as pdfium
from numpy.typing import NDArray

from docscan.errors import PageError
from docscan.files.pixels import (
    MAX_PAGES,
    TOO_MANY_PAGES,
    check_size,
    decoder_edge,
    dropped_out,
    plausible_dpi,
    turned,
)
from docscan.records import Page
from docscan.settings import Colour

_POINTS_PER_INCH = 72
_EDGE_SHARE = 0.01  # a scan covers the page when each of its edges lies this near (share of the page's longer side)
_MIN_SCAN_PX = 100  # a smaller picture is a colour stretched over the page, not a scan of it
_THUMBNAIL_PX = 70  # the shorter side of the shrunk page; a long strip is shrunk further
_THUMBNAIL_MAX_PX = 1000
# Shrunk pictures that show the same differ by 1 to 7 grays here (seven scans, two drawn pages); a hidden line of
# writing differs by 25 and more. Too strict costs a rendering, never a wrong page.
_SAME_WITHIN_GRAYS = 16
_INVISIBLE_ANNOTATIONS = (pdfium.FPDF_ANNOT_LINK, pdfium.FPDF_ANNOT_POPUP)

# PDFium crashes or gives empty pages when two threads are inside it.
_ONE_AT_A_TIME = threading.Lock()


def pdf_pages(path: Path) -> Iterator[int]:
    """The page numbers of a PDF, from 1. Raises PageError where it cannot be opened or holds too many pages."""
    with _opened(path) as document:
        count = len(document)
    yield from range(1, min(count, MAX_PAGES) + 1)
    if count > MAX_PAGES:
        raise PageError(TOO_MANY_PAGES)


def decode_pdf_page(path: Path, page: int, dpi: float, max_mpixels: float, drop_out: Colour | None = None) -> Page:
    """Page `page` (1-based) of a PDF as it is meant to be seen; rendered at `dpi` where it is not simply one scan.

    Print of the colour `drop_out` is white.

    Raises PageError with the reason alone.
    """
    with _opened(path, page) as document:
        if page > len(document):
            raise PageError(f"the file has no page {page}")
        opened = document[page - 1]
        found = _embedded_scan(opened, max_mpixels, drop_out)
        return found if found is not None else _rendered(opened, dpi, max_mpixels, drop_out)


@contextmanager
def _opened(path: Path, page: int = 1) -> Iterator[pypdfium2.PdfDocument]:
    with _ONE_AT_A_TIME, decoder_edge(path, page):
        try:
            document = pypdfium2.PdfDocument(path.absolute())  # it would take a leading ~ for the home folder
        except pypdfium2.PdfiumError as error:
            if error.err_code == pdfium.FPDF_ERR_PASSWORD:
                raise PageError("the PDF asks for a password; save a copy without one") from error
            raise
        try:
            yield document
        finally:
            document.close()


def _rendered(page: pypdfium2.PdfPage, dpi: float, max_mpixels: float, drop_out: Colour | None) -> Page:
    width, height = (math.ceil(side * dpi / _POINTS_PER_INCH) for side in page.get_size())
    check_size(width, height, max_mpixels)
    # The bitmap's memory is Python's own and outlives the document.
    return Page(_render(page, dpi / _POINTS_PER_INCH, drop_out), dpi)


def _render(page: pypdfium2.PdfPage, scale: float, drop_out: Colour | None) -> NDArray[np.uint8]:
    rendered = page.render(scale=scale, grayscale=drop_out is None).to_numpy()
    if drop_out is not None:
        return _light(rendered, drop_out)
    return np.ascontiguousarray(rendered.reshape(rendered.shape[:2]))


def _light(bgr: NDArray[np.uint8], drop_out: Colour) -> NDArray[np.uint8]:
    """PDFium's pixels (H, W, 3 or 4) in gray, without print of that colour."""
    return dropped_out(bgr[:, :, 2::-1], drop_out)


def _embedded_scan(page: pypdfium2.PdfPage, max_mpixels: float, drop_out: Colour | None) -> Page | None:
    """The one picture that is all a page shows, turned as it is shown; None where there is more to the page."""
    image = _covering_image(page)
    if image is None:
        return None
    orientation = _orientation(_matrix(image))
    width, height = image.get_px_size()
    if orientation is None or min(width, height) < _MIN_SCAN_PX:
        return None
    check_size(width, height, max_mpixels)
    stored = _gray(image.get_bitmap(), drop_out)
    if stored is None:
        return None
    shown = np.rot90(turned(stored, orientation), k=-(page.get_rotation() // 90))
    gray = np.ascontiguousarray(shown)
    if not _looks_like(gray, page, drop_out):
        return None
    inches_wide, inches_high = (side / _POINTS_PER_INCH for side in page.get_size())
    return Page(gray, plausible_dpi(gray.shape[1] / inches_wide, gray.shape[0] / inches_high))


def _covering_image(page: pypdfium2.PdfPage) -> pypdfium2.PdfImage | None:
    """The image that covers the page with nothing visible on top of it; what lies beneath cannot be seen."""
    if _has_visible_annotation(page):
        return None
    covering = None
    for item in page.get_objects():
        if item.type == pdfium.FPDF_PAGEOBJ_FORM:
            continue  # what is inside follows
        is_text = item.type == pdfium.FPDF_PAGEOBJ_TEXT
        if is_text and pdfium.FPDFTextObj_GetTextRenderMode(item) == pdfium.FPDF_TEXTRENDERMODE_INVISIBLE:
            continue  # the text layer of a scan that went through OCR
        if item.type == pdfium.FPDF_PAGEOBJ_IMAGE and _covers(item, page):
            covering = item
        elif covering is not None:
            return None
    return covering


def _has_visible_annotation(page: pypdfium2.PdfPage) -> bool:
    for index in range(pdfium.FPDFPage_GetAnnotCount(page)):
        annotation = pdfium.FPDFPage_GetAnnot(page, index)
        kind = pdfium.FPDFAnnot_GetSubtype(annotation)
        pdfium.FPDFPage_CloseAnnot(annotation)
        if kind not in _INVISIBLE_ANNOTATIONS:
            return True
    return False


def _matrix(item: pypdfium2.PdfObject) -> pypdfium2.PdfMatrix:
    """From the item's own unit square to the page, through the forms it is nested in."""
    matrix = item.get_matrix()
    while item.container is not None:
        item = item.container
        matrix = matrix.multiply(item.get_matrix())
    return matrix


def _covers(image: pypdfium2.PdfImage, page: pypdfium2.PdfPage) -> bool:
    box = page.get_bbox()
    near = _EDGE_SHARE * max(page.get_size())
    return all(abs(a - b) <= near for a, b in zip(_matrix(image).on_rect(0, 0, 1, 1), box, strict=True))


def _orientation(matrix: pypdfium2.PdfMatrix) -> int | None:
    """The EXIF orientation a matrix stands for (ISO 32000-2, 8.3.4: row vectors, y upwards); None for a slant."""
    a, b, c, d, _, _ = matrix.get()
    straight, crossed = min(abs(a), abs(d)), min(abs(b), abs(c))
    if max(abs(b), abs(c)) < 1e-3 * straight:
        return {(True, True): 1, (False, True): 2, (False, False): 3, (True, False): 4}[a > 0, d > 0]
    if max(abs(a), abs(d)) < 1e-3 * crossed:
        return {(False, False): 5, (False, True): 6, (True, True): 7, (True, False): 8}[b > 0, c > 0]
    return None


def _gray(bitmap: pypdfium2.PdfBitmap, drop_out: Colour | None) -> NDArray[np.uint8] | None:
    """A copy of PDFium's bitmap in gray, without print of one colour; None for one with transparent pixels."""
    pixels = bitmap.to_numpy()
    if bitmap.n_channels == 1:
        return np.array(pixels.reshape(pixels.shape[:2]))
    if bitmap.mode not in ("BGR", "BGRX"):
        return None
    if drop_out is not None:
        return _light(pixels, drop_out)
    return np.asarray(cv2.cvtColor(pixels[:, :, :3], cv2.COLOR_BGR2GRAY), dtype=np.uint8)


def _looks_like(gray: NDArray[np.uint8], page: pypdfium2.PdfPage, drop_out: Colour | None) -> bool:
    short, long = sorted(page.get_size())
    shown = _render(page, min(_THUMBNAIL_PX / short, _THUMBNAIL_MAX_PX / long), drop_out)
    height, width = shown.shape
    step = max(
        1, max(gray.shape) // (8 * max(height, width))
    )  # every fourth pixel will do, and takes 1 ms instead of 8
    shrunk = cv2.resize(gray[::step, ::step], (width, height), interpolation=cv2.INTER_AREA)
    # Blurred, for the two were shrunk by different filters; without the rim, whose last pixels are only partly page.
    differing = cv2.absdiff(cv2.blur(shown, (5, 5)), cv2.blur(shrunk, (5, 5)))[2:-2, 2:-2]
    return bool(differing.size and differing.max() <= _SAME_WITHIN_GRAYS)
