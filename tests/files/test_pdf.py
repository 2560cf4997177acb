import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter
from stored import saved

from docscan.errors import PageError
from docscan.files.pdf import decode_pdf_page
from docscan.files.scans import ScanOptions, find_pages, open_page
from docscan.records import Page, PageFailure
from docscan.settings import Colour

WIDTH, HEIGHT = 400, 600


def drawn() -> np.ndarray:
    """A page no turn or flip leaves as it is: thick strokes in the upper left, a gray bar below."""
    image = Image.new("L", (WIDTH, HEIGHT), 255)
    pen = ImageDraw.Draw(image)
    pen.rectangle((40, 40, 70, 200), fill=0)
    pen.rectangle((40, 170, 180, 200), fill=0)
    pen.rectangle((200, 480, 360, 500), fill=90)
    return np.asarray(image)


SCAN = drawn()
INK_ON = ((120, 55), (185, 150))
SHOWN_WHOLE = b"q 200 0 0 300 0 0 cm /Scan Do Q "
GRAY = b"/BitsPerComponent 8/ColorSpace/DeviceGray/Filter/FlateDecode"
TYPED = b"BT /F 40 Tf 50 100 Td (1234) Tj ET "


def pdf(  # noqa: PLR0917
    picture: bytes = zlib.compress(SCAN.tobytes()),
    kind: bytes = GRAY,
    content: bytes = SHOWN_WHOLE,
    page: bytes = b"",
    size: tuple[int, int] = (200, 300),
    more: tuple[bytes, ...] = (),
    trailer: bytes = b"",
) -> bytes:
    """A PDF of one page with one picture, /Scan (object 4), one font, /F, and `more` objects from number 7."""
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 %d %d]/Contents 5 0 R%s" % (*size, page)
        + b"/Resources<</XObject<</Scan 4 0 R/Form 7 0 R>>/Font<</F 6 0 R>>>>>>",
        stream(b"/Type/XObject/Subtype/Image/Width %d/Height %d" % (WIDTH, HEIGHT) + kind, picture),
        stream(b"", content),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
        *more,
    ]
    out, places = b"%PDF-1.7\n", []
    for number, stored in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, stored)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"trailer<</Size %d/Root 1 0 R%s>>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, trailer, len(out))
    return out + b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1) + table + end


def stream(entries: bytes, content: bytes) -> bytes:
    return b"<<%s/Length %d>>stream\n%s\nendstream" % (entries, len(content), content)


def read(
    content: bytes, folder: Path, dpi: float = 72, max_mpixels: float = 250, drop_out: Colour | None = None
) -> Page:
    path = folder / "page.pdf"
    path.write_bytes(content)
    return decode_pdf_page(path, 1, dpi, max_mpixels, drop_out)


BITS = np.packbits(SCAN > 128, axis=1)
BILEVEL = np.where(SCAN > 128, 255, 0)
COLOUR = np.stack([SCAN] * 3, axis=2)


@pytest.mark.parametrize(
    ("kind", "picture", "expected"),
    [
        pytest.param(GRAY, zlib.compress(SCAN.tobytes()), SCAN, id="gray"),
        pytest.param(GRAY + b"/Decode[1 0]", zlib.compress((255 - SCAN).tobytes()), SCAN, id="gray stored inverted"),
        pytest.param(
            b"/BitsPerComponent 8/ColorSpace/DeviceRGB/Filter/FlateDecode",
            zlib.compress(COLOUR.tobytes()),
            SCAN,
            id="colour",
        ),
        pytest.param(
            b"/BitsPerComponent 16/ColorSpace/DeviceGray/Filter/FlateDecode",
            zlib.compress((SCAN.astype(">u2") * 257).tobytes()),
            SCAN,
            id="16 bits",
        ),
        pytest.param(
            b"/BitsPerComponent 1/ColorSpace/DeviceGray/Filter/FlateDecode",
            zlib.compress(BITS.tobytes()),
            BILEVEL,
            id="1 bit",
        ),
        pytest.param(
            b"/BitsPerComponent 1/ColorSpace/DeviceGray/Decode[1 0]/Filter/FlateDecode",
            zlib.compress((~BITS).tobytes()),
            BILEVEL,
            id="1 bit stored inverted",
        ),
        pytest.param(
            b"/BitsPerComponent 1/ColorSpace[/Indexed/DeviceRGB 1<ffffff000000>]/Filter/FlateDecode",
            zlib.compress((~BITS).tobytes()),
            BILEVEL,
            id="palette",
        ),
    ],
)
def test_a_scan_is_taken_as_it_is_at_its_own_resolution(kind, picture, expected, tmp_path):
    page = read(pdf(picture, kind), tmp_path)
    np.testing.assert_array_equal(page.gray, expected)
    assert page.dpi == 144


@pytest.mark.parametrize(
    ("kind", "picture"),
    [
        pytest.param(
            b"/BitsPerComponent 8/ColorSpace/DeviceGray/Filter/DCTDecode",
            saved(Image.fromarray(SCAN), "JPEG"),
            id="jpeg",
        ),
        pytest.param(
            b"/BitsPerComponent 8/ColorSpace/DeviceCMYK/Decode[1 0 1 0 1 0 1 0]/Filter/DCTDecode",
            saved(Image.fromarray(COLOUR).convert("CMYK"), "JPEG"),
            id="cmyk jpeg",
        ),
        # Soft, for PDFium shrinks JPEG 2000 with half a pixel of shift; sharp bars would rather be rendered.
        pytest.param(
            b"/Filter/JPXDecode",
            saved(Image.fromarray(SCAN).filter(ImageFilter.GaussianBlur(8)), "JPEG2000"),
            id="jpeg 2000",
        ),
    ],
)
def test_lossy_scans_keep_their_size_and_polarity(kind, picture, tmp_path):
    page = read(pdf(picture, kind), tmp_path)
    assert (page.gray.shape, page.dpi) == ((HEIGHT, WIDTH), 144)
    assert [int(page.gray[spot]) < 80 for spot in INK_ON] == [True, True]
    assert int(page.gray[300, 200]) > 240


def test_pillows_own_pdf_of_a_fax_page(tmp_path):
    page = read(saved(Image.fromarray(SCAN > 128), "PDF", resolution=200), tmp_path)
    np.testing.assert_array_equal(page.gray, BILEVEL)
    assert page.dpi == 200


@pytest.mark.parametrize("quarter_turns", [0, 1, 2, 3])
def test_the_rotation_of_the_page_is_honoured(quarter_turns, tmp_path):
    page = read(pdf(page=b"/Rotate %d" % (90 * quarter_turns)), tmp_path)
    np.testing.assert_array_equal(page.gray, np.rot90(SCAN, -quarter_turns))
    assert page.dpi == 144


TURNS = {
    "upright": (b"200 0 0 300 0 0", lambda scan: scan),
    "mirrored": (b"-200 0 0 300 200 0", lambda scan: scan[:, ::-1]),
    "upside down": (b"-200 0 0 -300 200 300", lambda scan: scan[::-1, ::-1]),
    "flipped": (b"200 0 0 -300 0 300", lambda scan: scan[::-1]),
    "transposed": (b"0 -200 -300 0 300 200", lambda scan: scan.T),
    "turned right": (b"0 -200 300 0 0 200", lambda scan: np.rot90(scan, -1)),
    "transversed": (b"0 200 300 0 0 0", lambda scan: scan[::-1, ::-1].T),
    "turned left": (b"0 200 -300 0 300 0", np.rot90),
}


@pytest.mark.parametrize("turn", TURNS)
def test_the_matrix_of_the_picture_is_honoured(turn, tmp_path):
    matrix, expected = TURNS[turn]
    size = (200, 300) if turn in ("upright", "mirrored", "upside down", "flipped") else (300, 200)
    page = read(pdf(content=b"q %s cm /Scan Do Q" % matrix, size=size), tmp_path)
    np.testing.assert_array_equal(page.gray, expected(SCAN))


def test_a_picture_inside_a_form_is_found(tmp_path):
    form = stream(
        b"/Type/XObject/Subtype/Form/BBox[0 0 100 100]/Matrix[2 0 0 2 0 0]/Resources<</XObject<</Scan 4 0 R>>>>",
        b"q 100 0 0 100 0 0 cm /Scan Do Q",
    )
    page = read(pdf(content=b"q 1 0 0 1.5 0 0 cm /Form Do Q", more=(form,)), tmp_path)
    np.testing.assert_array_equal(page.gray, SCAN)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(SHOWN_WHOLE + b"BT 3 Tr /F 40 Tf 50 100 Td (1234) Tj ET", id="invisible text on top"),
        pytest.param(TYPED + SHOWN_WHOLE, id="text beneath"),
        pytest.param(b"1 1 1 rg 0 0 200 300 re f " + SHOWN_WHOLE, id="white sheet beneath"),
        pytest.param(b"q 0 0 200 300 re W n 200 0 0 300 0 0 cm /Scan Do Q", id="clipped to the page"),
    ],
)
def test_what_cannot_be_seen_does_not_matter(content, tmp_path):
    np.testing.assert_array_equal(read(pdf(content=content), tmp_path).gray, SCAN)


def test_typed_text_over_a_scan_is_rendered_with_it(tmp_path):
    page = read(pdf(content=SHOWN_WHOLE + TYPED), tmp_path, dpi=72)
    assert (page.gray.shape, page.dpi) == ((300, 200), 72)
    assert page.gray[170:200, 50:140].min() < 60  # the text
    assert page.gray[60, 27] < 60  # the scan


def test_handwriting_added_as_an_annotation_is_seen(tmp_path):
    note = b"<</Type/Annot/Subtype/Square/Rect[100 100 150 150]/C[0 0 0]/IC[0 0 0]/F 4/AP<</N 8 0 R>>>>"
    look = stream(b"/Type/XObject/Subtype/Form/BBox[100 100 150 150]", b"0 g 100 100 50 50 re f")
    page = read(pdf(page=b"/Annots[7 0 R]", more=(note, look)), tmp_path, dpi=72)
    assert (page.gray.shape, int(page.gray[175, 125])) == ((300, 200), 0)


def test_a_link_does_not_cost_the_scan_its_resolution(tmp_path):
    link = b"<</Type/Annot/Subtype/Link/Rect[0 0 50 50]/Border[0 0 0]>>"
    assert read(pdf(page=b"/Annots[7 0 R]", more=(link,)), tmp_path).gray.shape == (HEIGHT, WIDTH)


def test_a_stencil_is_rendered_in_the_right_polarity(tmp_path):
    stencil = b"/BitsPerComponent 1/ImageMask true/Filter/FlateDecode"
    page = read(pdf(zlib.compress(BITS.tobytes()), stencil), tmp_path, dpi=144)
    assert [int(page.gray[spot]) for spot in INK_ON] == [0, 0]
    assert int(page.gray[300, 200]) == 255


def test_what_a_mask_hides_stays_hidden(tmp_path):
    opaque = np.full((HEIGHT, WIDTH), 255, np.uint8)
    opaque[:250] = 0
    mask = stream(b"/Type/XObject/Subtype/Image/Width 400/Height 600" + GRAY, zlib.compress(opaque.tobytes()))
    page = read(pdf(kind=GRAY + b"/SMask 7 0 R", more=(mask,)), tmp_path, dpi=144)
    assert [int(page.gray[spot]) for spot in INK_ON] == [255, 255]
    assert int(page.gray[490, 280]) == 90


def test_a_transparent_colour_shows_the_paper(tmp_path):
    page = read(pdf(kind=GRAY + b"/Mask[0 10]"), tmp_path, dpi=144)
    assert [int(page.gray[spot]) for spot in INK_ON] == [255, 255]


def test_a_crop_box_hides_the_rest_of_the_scan(tmp_path):
    page = read(pdf(page=b"/CropBox[0 150 100 300]"), tmp_path, dpi=144)
    assert page.gray.shape == (300, 200)
    assert [int(page.gray[spot]) for spot in INK_ON] == [0, 0]


@pytest.mark.parametrize("matrix", [b"100 0 0 150 50 50", b"190 20 -20 290 20 0"])
def test_a_picture_that_is_small_or_slanted_is_rendered_in_place(matrix, tmp_path):
    page = read(pdf(content=b"q %s cm /Scan Do Q" % matrix), tmp_path, dpi=72)
    assert (page.gray.shape, page.dpi) == ((300, 200), 72)
    assert page.gray.min() < 30


def test_a_page_without_a_scan_is_rendered_at_the_dpi_asked_for(tmp_path):
    page = read(pdf(content=TYPED), tmp_path, dpi=144)
    assert (page.gray.shape, page.dpi) == ((600, 400), 144)
    assert page.gray[340:400, 100:280].min() < 30


def test_an_empty_page_is_white(tmp_path):
    assert np.unique(read(pdf(content=b""), tmp_path).gray).tolist() == [255]


def test_a_resolution_of_72_means_nobody_knew_it(tmp_path):
    page = read(pdf(content=b"q 400 0 0 600 0 0 cm /Scan Do Q", size=(400, 600)), tmp_path)
    assert (page.gray.shape, page.dpi) == ((HEIGHT, WIDTH), None)


def reason(content: bytes, folder: Path, **limits: float) -> str:
    with pytest.raises(PageError) as caught:
        read(content, folder, **limits)
    return str(caught.value)


LOCK = b"/ID[<00><00>]/Encrypt<</Filter/Standard/V 1/R 2/P -4/O<%s>/U<%s>>>" % (b"5a" * 32, b"a5" * 32)


def test_a_pdf_with_a_password(tmp_path):
    words = "the PDF asks for a password; save a copy without one"
    assert reason(pdf(trailer=LOCK), tmp_path) == words
    [(source, failure)] = find_pages([tmp_path], ScanOptions())
    assert (source.name, source.page, source.paged, failure) == ("page.pdf", 1, True, PageFailure(words))


def test_a_pdf_cut_short(tmp_path):
    assert reason(pdf()[:200], tmp_path) == "the file is cut short; copy or scan it again"


def test_a_damaged_pdf(tmp_path):
    assert (
        reason(b"%PDF-1.7\nnothing of use\n%%EOF", tmp_path)
        == "the file is damaged, or a variant docscan cannot decode"
    )


def test_a_scan_inside_a_pdf_that_cannot_be_decoded_is_no_blank_page(tmp_path):
    kind = b"/BitsPerComponent 8/ColorSpace/DeviceGray/Filter/DCTDecode"
    assert reason(pdf(b"no jpeg at all", kind), tmp_path) == "the file is damaged, or a variant docscan cannot decode"


def test_a_poster_is_refused_before_it_is_rendered(tmp_path):
    assert reason(pdf(content=TYPED, size=(14_400, 14_400)), tmp_path, dpi=300) == (
        "60,000 x 60,000 px is 3,600 megapixels, and the limit is 250; "
        "if it is a real page, raise the limit with --max-image-mpixels"
    )


def test_a_huge_scan_is_refused_before_it_is_decoded(tmp_path):
    assert reason(pdf(), tmp_path, max_mpixels=0.1).startswith("400 x 600 px is ")


def test_a_page_a_pdf_does_not_have(tmp_path):
    path = tmp_path / "page.pdf"
    path.write_bytes(pdf())
    with pytest.raises(PageError, match=r"^the file has no page 2$"):
        decode_pdf_page(path, 2, 300, 250)


def test_each_page_of_a_pdf_is_opened_by_its_number(tmp_path):
    pages = [Image.new("L", (200 + number, 300), 40 * number) for number in range(1, 5)]
    pages[0].save(tmp_path / "four.pdf", save_all=True, append_images=pages[1:])
    sources = list(find_pages([tmp_path], ScanOptions()))
    opened = [open_page(source, ScanOptions()).gray for source in sources]
    assert [(page.shape[1], round(int(page[150, 100]), -1)) for page in opened] == [
        (200 + n, 40 * n) for n in range(1, 5)
    ]


@pytest.mark.parametrize("more", [b"", TYPED], ids=["one scan", "rendered"])
def test_print_of_a_colour_is_left_out_of_a_pdf(more, tmp_path):
    colours = COLOUR.copy()
    colours[300:310] = (240, 30, 40)
    kind = b"/BitsPerComponent 8/ColorSpace/DeviceRGB/Filter/FlateDecode"
    content = pdf(zlib.compress(colours.tobytes()), kind, content=SHOWN_WHOLE + more)
    plain, dropped = (read(content, tmp_path, 144, drop_out=colour).gray for colour in (None, "red"))
    assert plain.shape == dropped.shape == (HEIGHT, WIDTH)
    assert plain[303:307].max() < 110
    assert dropped[303:307].min() > 230
    assert dropped[60:160, 45:65].max() < 20
