import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from stored import png, saved

from docscan.errors import PageError
from docscan.files.pixels import detect_format, plausible_dpi, tiff_pages
from docscan.files.scans import ScanOptions, find_pages, open_page
from docscan.records import Page, PageFailure, PageSource

INK = np.full((20, 30), 255, np.uint8)  # an L in the upper left: no turn or flip leaves it as it is
INK[2:12, 3:6] = 0
INK[9:12, 6:12] = 90


def read(content: bytes, folder: Path, name: str = "scan.png", options: ScanOptions | None = None) -> Page:
    path = folder / name
    path.write_bytes(content)
    return open_page(PageSource(str(path), name), options or ScanOptions())


def reason(content: bytes, folder: Path, name: str = "scan.png") -> str:
    with pytest.raises(PageError) as caught:
        read(content, folder, name)
    return str(caught.value)


def gray() -> Image.Image:
    return Image.fromarray(INK)


def form(mode: str = "RGB") -> Image.Image:
    """INK in blue, crossed by lines in red."""
    pixels = np.repeat(INK[:, :, np.newaxis], 3, axis=2)
    pixels[..., 2] = np.where(INK < 255, 160, 255)
    pixels[7:9] = pixels[:, 15:17] = (250, 30, 40)
    pixels[2:12, 3:6] = (0, 0, 160)
    return Image.fromarray(pixels).convert(mode)


def tiff(tags: dict[int, tuple[int, int, int]], pixels: bytes, order: str = "<") -> bytes:
    """One page: `tags` maps each tag to type, count, value; the strip's offset and length are filled in."""
    tags = tags | {273: (4, 1, 8), 279: (4, 1, len(pixels))}
    directory = struct.pack(order + "H", len(tags))
    for tag, (kind, count, value) in sorted(tags.items()):
        stored = struct.pack(order + ("H2x" if kind == 3 else "I"), value)
        directory += struct.pack(order + "HHI", tag, kind, count) + stored
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8 + len(pixels))
    return head + pixels + directory + bytes(4)


def wide_tags(bits: int, photometric: int) -> dict[int, tuple[int, int, int]]:
    return {
        256: (3, 1, 30),
        257: (3, 1, 20),
        258: (3, 1, bits),
        259: (3, 1, 1),
        262: (3, 1, photometric),
        277: (3, 1, 1),
        278: (3, 1, 20),
    }


@pytest.mark.parametrize(
    ("image_format", "options"),
    [
        ("PNG", {}),
        ("BMP", {}),
        ("WEBP", {"lossless": True}),
        ("JPEG2000", {"irreversible": False}),
        ("JPEG2000", {"no_jp2": True}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "tiff_adobe_deflate"}),
        ("TIFF", {"compression": "packbits"}),
        ("TIFF", {"big_tiff": True}),
        ("TIFF", {"tiffinfo": {262: 0}}),
    ],
)
def test_lossless_gray_arrives_as_it_was(image_format, options, tmp_path):
    np.testing.assert_array_equal(read(saved(gray(), image_format, **options), tmp_path).gray, INK)


@pytest.mark.parametrize(
    ("image_format", "options"),
    [
        ("JPEG", {"quality": 95}),
        ("JPEG", {"progressive": True, "quality": 95}),
        ("WEBP", {"quality": 95}),
        ("TIFF", {"compression": "jpeg", "quality": 95}),
    ],
)
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_lossy_gray_and_colour_stay_near(image_format, options, mode, tmp_path):
    page = read(saved(gray().convert(mode), image_format, **options), tmp_path)
    assert page.gray.shape == INK.shape
    assert np.abs(page.gray.astype(int) - INK).max() < 40
    assert np.abs(page.gray.astype(int) - INK).mean() < 4


@pytest.mark.parametrize(
    ("image_format", "options"),
    [
        ("PNG", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "group3"}),
        ("TIFF", {"compression": "group4"}),
        ("TIFF", {"compression": "group4", "tiffinfo": {262: 0}}),
        ("TIFF", {"compression": "tiff_lzw"}),
    ],
)
def test_one_bit_pages_are_black_and_white(image_format, options, tmp_path):
    bilevel = Image.fromarray(INK > 0)
    page = read(saved(bilevel, image_format, **options), tmp_path)
    np.testing.assert_array_equal(page.gray, np.where(INK > 0, 255, 0))


# Pillow knows no big-endian 16-bit WhiteIsZero; such a page fails with a reason.
@pytest.mark.parametrize(
    ("order", "bits", "photometric"),
    [("<", 8, 1), ("<", 8, 0), ("<", 16, 1), ("<", 16, 0), (">", 8, 1), (">", 8, 0), (">", 16, 1)],
)
def test_tiff_of_either_byte_order_depth_and_polarity(order, bits, photometric, tmp_path):
    stored = INK if photometric else 255 - INK
    pixels = stored.tobytes() if bits == 8 else (stored.astype(np.uint16) * 257).astype(order + "u2").tobytes()
    np.testing.assert_array_equal(read(tiff(wide_tags(bits, photometric), pixels, order), tmp_path).gray, INK)


def test_twelve_bits_reach_white(tmp_path):
    rows = b"".join(
        b"".join(bytes([v >> 4, (v & 15) << 4 | w >> 8, w & 255]) for v, w in zip(*[iter(row)] * 2, strict=True))
        for row in (INK.astype(int) * 4095 // 255).tolist()
    )
    page = read(tiff(wide_tags(12, 1), rows), tmp_path)
    np.testing.assert_array_equal(page.gray, INK)


def test_sixteen_bit_png_is_scaled_by_its_range(tmp_path):
    page = read(saved(Image.fromarray(INK.astype(np.uint16) * 257), "PNG"), tmp_path)
    np.testing.assert_array_equal(page.gray, INK)


def test_a_dark_sixteen_bit_page_is_not_brightened(tmp_path):
    page = read(saved(Image.fromarray(np.full((20, 20), 0x2000, np.uint16)), "PNG"), tmp_path)
    assert np.unique(page.gray).tolist() == [0x20]


@pytest.mark.parametrize("white", [1.0, 255.0, 65535.0])
def test_float_tiff_of_any_usual_range(white, tmp_path):
    page = read(saved(Image.fromarray((INK / 255 * white).astype(np.float32)), "TIFF"), tmp_path)
    assert np.abs(page.gray.astype(int) - INK).max() <= 1


def test_float_pixels_that_are_not_numbers_are_refused(tmp_path):
    wide = INK.astype(np.float32)
    wide[0, 0] = np.nan
    assert (
        reason(saved(Image.fromarray(wide), "TIFF"), tmp_path)
        == "some pixels are not numbers; save the scan with 8 or 16 bits"
    )


@pytest.mark.parametrize("image_format", ["PNG", "TIFF", "WEBP"])
def test_transparent_pixels_are_paper(image_format, tmp_path):
    image = Image.new("RGBA", (20, 20), (0, 0, 0, 0))  # black, but nothing of it shows
    image.putpixel((5, 5), (0, 0, 0, 255))
    image.putpixel((6, 5), (0, 0, 0, 127))
    options = {"lossless": True, "exact": True} if image_format == "WEBP" else {}
    page = read(saved(image, image_format, **options), tmp_path)
    assert [int(page.gray[5, column]) for column in (4, 5, 6)] == [255, 0, 128]


def test_gray_with_alpha_is_laid_on_paper(tmp_path):
    image = Image.new("LA", (20, 20), (0, 0))
    image.putpixel((5, 5), (90, 255))
    assert [int(v) for v in read(saved(image, "PNG"), tmp_path).gray[5, 4:6]] == [255, 90]


@pytest.mark.parametrize("mode", ["L", "RGB", "P"])
def test_a_transparent_colour_is_paper(mode, tmp_path):
    image = Image.new("L", (20, 20), 0)
    image.putpixel((5, 5), 90)
    image = image.convert(mode)
    clear = {"L": 0, "RGB": (0, 0, 0), "P": image.getpixel((0, 0))}[mode]
    assert [int(v) for v in read(saved(image, "PNG", transparency=clear), tmp_path).gray[5, 4:6]] == [255, 90]


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("has_crate", [True, False])
def test_a_gray_png_of_any_depth_keeps_its_shades(bits, has_crate, tmp_path, monkeypatch):
    if not has_crate:
        monkeypatch.setattr("docscan.files.png.decode_image_png_u8", None)
    shades = np.random.default_rng(bits).integers(0, 1 << bits, (24, 32), np.uint8)
    packed = np.packbits(np.unpackbits(shades[:, :, np.newaxis], axis=2)[:, :, 8 - bits :].reshape(24, -1), axis=1)
    header = struct.pack(">IIBBBBB", 32, 24, bits, 0, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in packed)
    content = png((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    np.testing.assert_array_equal(read(content, tmp_path).gray, shades * (255 // ((1 << bits) - 1)))


def test_a_transparent_sixteen_bit_gray_is_paper(tmp_path):
    rows = b"".join(b"\0" + row.tobytes() for row in np.full((12, 12), 7 * 257, ">u2"))
    content = png(
        (b"IHDR", struct.pack(">IIBBBBB", 12, 12, 16, 0, 0, 0, 0)),
        (b"tRNS", struct.pack(">H", 7 * 257)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    assert np.unique(read(content, tmp_path).gray).tolist() == [255]


def test_palette_colours_become_their_gray(tmp_path):
    image = Image.new("P", (20, 20), 1)
    image.putpalette([255, 0, 0, 255, 255, 255])
    image.putpixel((5, 5), 0)
    assert [int(v) for v in read(saved(image, "PNG"), tmp_path).gray[5, 4:6]] == [255, 76]  # 0.299 of red


@pytest.mark.parametrize(
    ("image_format", "options"), [("JPEG", {"quality": 100}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"})]
)
def test_cmyk_paper_is_white_and_ink_black(image_format, options, tmp_path):
    image = Image.new("CMYK", (32, 32), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (8, 8, 24, 24))
    page = read(saved(image, image_format, **options), tmp_path).gray
    assert [int(page[2, 2]), int(page[16, 16])] == [255, 0]


def test_lab_keeps_its_lightness(tmp_path):
    image = Image.merge("LAB", [gray(), Image.new("L", gray().size, 128), Image.new("L", gray().size, 128)])
    np.testing.assert_array_equal(read(saved(image, "TIFF"), tmp_path).gray, INK)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_a_page_is_turned_as_its_exif_says(image_format, orientation, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"JPEG": {"quality": 95}, "WEBP": {"lossless": True}}.get(image_format, {})
    content = saved(gray(), image_format, exif=exif, **options)
    upright = gray()
    upright.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(upright))
    page = read(content, tmp_path)
    assert page.gray.shape == expected.shape
    assert np.abs(page.gray.astype(int) - expected).max() < 40
    assert page.gray.flags.c_contiguous


def test_a_broken_exif_block_costs_nothing(tmp_path):
    page = read(saved(gray(), "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f"), tmp_path)
    np.testing.assert_array_equal(page.gray, INK)


@pytest.mark.parametrize(("image_format"), ["PNG", "JPEG", "TIFF", "BMP"])
@pytest.mark.parametrize(
    ("stated", "dpi"),
    [(300, 300), (200, 200), (100, 100), (2400, 2400), (72, None), (96, None), (1, None), (9600, None)],
)
def test_the_resolution_is_taken_where_it_is_plausible(image_format, stated, dpi, tmp_path):
    assert read(saved(gray(), image_format, dpi=(stated, stated)), tmp_path).dpi == (
        pytest.approx(dpi, abs=0.02) if dpi else None
    )


def test_no_resolution_is_none(tmp_path):
    assert read(saved(gray(), "PNG"), tmp_path).dpi is None


def test_a_fax_has_no_one_resolution():
    assert plausible_dpi(204, 98) is None
    assert plausible_dpi(204, 196) == 200
    assert plausible_dpi(float("nan"), 300) is None


def test_every_page_of_a_tiff_is_opened_by_its_number(tmp_path):
    pages = [Image.new("L", (20, 10 + number), number) for number in range(1, 6)]
    content = saved(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    path = tmp_path / "five.tif"
    path.write_bytes(content)
    opened = [
        open_page(source, ScanOptions())
        for source in find_pages([path], ScanOptions())
        if isinstance(source, PageSource)
    ]
    assert [(page.gray.shape, int(page.gray[0, 0])) for page in opened] == [((10 + n, 20), n) for n in range(1, 6)]


def test_a_page_a_tiff_does_not_have(tmp_path):
    path = tmp_path / "one.tif"
    gray().save(path)
    with pytest.raises(PageError, match=r"^the file has no page 2$"):
        open_page(PageSource(str(path), "one.tif", page=2), ScanOptions())


def test_a_tiff_that_leads_back_to_its_first_page_ends(tmp_path):
    content = bytearray(saved(gray(), "TIFF", save_all=True, append_images=[gray()]))
    first, path = struct.unpack_from("<I", content, 4)[0], tmp_path / "loop.tif"
    second = struct.unpack_from("<I", content, first + 2 + 12 * struct.unpack_from("<H", content, first)[0])[0]
    struct.pack_into("<I", content, second + 2 + 12 * struct.unpack_from("<H", content, second)[0], first)
    path.write_bytes(content)
    assert list(tiff_pages(path)) == [1, 2]


def test_a_tiff_of_endless_empty_pages_is_refused(tmp_path):
    path = tmp_path / "endless.tif"
    path.write_bytes(b"II*\0" + b"".join(struct.pack("<IH", 8 + 6 * n, 0) for n in range(20_000)) + bytes(4))
    found = list(find_pages([path], ScanOptions()))
    assert found[-1][1] == PageFailure("the file holds more than 10,000 pages; split it")


def test_a_tiff_cut_after_two_pages_gives_them_and_names_the_third(tmp_path):
    pages = [tiff(wide_tags(8, 1), INK.tobytes())]
    whole = bytearray(pages[0])
    struct.pack_into("<I", whole, len(whole) - 4, 10_000)
    path = tmp_path / "cut.tif"
    path.write_bytes(whole)
    first, (source, failure) = find_pages([path], ScanOptions())
    assert [first.page, source.page, failure.reason] == [1, 2, "the file is cut short; copy or scan it again"]


@pytest.mark.parametrize("offset", [10_000, 2**63, 2**64 - 1])
def test_a_first_page_beyond_the_end(offset, tmp_path):
    content = bytearray(saved(gray(), "TIFF", big_tiff=True))
    struct.pack_into("<Q", content, 8, offset)
    assert reason(bytes(content), tmp_path) == "the file is cut short; copy or scan it again"
    [(_, failure)] = find_pages([tmp_path / "scan.png"], ScanOptions())
    assert failure == PageFailure("the file is cut short; copy or scan it again")


def huge_png() -> bytes:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    return png((b"IHDR", header), (b"IDAT", zlib.compress(bytes(60_000_000), 1)[:200_000]), (b"IEND", b""))


def test_a_huge_picture_is_refused_from_its_header(tmp_path):
    assert reason(huge_png(), tmp_path) == (
        "60,000 x 60,000 px is 3,600 megapixels, and the limit is 250; "
        "if it is a real page, raise the limit with --max-image-mpixels"
    )


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
def test_the_limit_on_size_is_the_option_and_not_pillows(compression, monkeypatch, tmp_path):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # Pillow refuses twice as many; the page has 600
    content = saved(gray(), "TIFF", compression=compression)
    np.testing.assert_array_equal(read(content, tmp_path).gray, INK)
    assert Image.MAX_IMAGE_PIXELS == 100
    with pytest.raises(PageError, match=r"is 0\.0006 megapixels, and the limit is 0\.0005; if it is a real page"):
        read(content, tmp_path, options=ScanOptions(max_image_mpixels=0.0005))


@pytest.mark.parametrize(("width", "height"), [(3, 3), (9, 500), (500, 9)])
def test_a_tiny_picture_is_no_page(width, height, tmp_path):
    assert (
        reason(saved(Image.new("L", (width, height)), "PNG"), tmp_path)
        == f"{width} x {height} px is too small to be a page"
    )


def test_an_empty_file(tmp_path):
    assert reason(b"", tmp_path) == "the file is empty"


@pytest.mark.parametrize("content", [b"Dear Sir,\n", b"BMW, Mercedes, Opel", b"\0" * 5000, b"GIF89a" + bytes(50)])
def test_a_file_that_is_no_scan(content, tmp_path):
    assert reason(content, tmp_path) == "not an image docscan can read (PNG, JPEG, TIFF, BMP, WebP, JPEG 2000 or PDF)"


WHOLE = {
    "png": lambda: saved(gray(), "PNG"),
    "jpeg": lambda: saved(gray(), "JPEG"),
    "progressive": lambda: saved(gray(), "JPEG", progressive=True),
    "bmp": lambda: saved(gray(), "BMP"),
    "webp": lambda: saved(gray(), "WEBP"),
    "jp2": lambda: saved(gray(), "JPEG2000"),
    "tiff": lambda: saved(gray(), "TIFF"),
    "bigtiff": lambda: saved(gray(), "TIFF", big_tiff=True),
    "lzw": lambda: saved(gray(), "TIFF", compression="tiff_lzw"),
    "g4": lambda: saved(gray().convert("1"), "TIFF", compression="group4"),
    "jpeg-in-tiff": lambda: saved(gray(), "TIFF", compression="jpeg"),
}


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("kept", [0.97, 0.8, 0.5])
def test_a_file_cut_short_says_so(name, kept, tmp_path):
    content = WHOLE[name]()
    assert reason(content[: int(len(content) * kept)], tmp_path) == "the file is cut short; copy or scan it again"


def test_a_tiff_whose_strips_lie_past_its_end_is_cut_short(tmp_path):
    tags = wide_tags(8, 1)
    content = bytearray(tiff(tags, INK.tobytes()))
    at = content.index(struct.pack("<HHI", 273, 4, 1)) + 8
    struct.pack_into("<I", content, at, len(content) - 50)
    assert reason(bytes(content), tmp_path) == "the file is cut short; copy or scan it again"


def test_a_flipped_bit_in_a_png_is_noticed(tmp_path):
    content = bytearray(saved(gray(), "PNG"))
    content[content.index(b"IDAT") + 12] ^= 1
    assert (
        reason(bytes(content), tmp_path)
        == "the file is damaged (a checksum inside does not match); copy or scan it again"
    )


def test_damage_inside_a_whole_file(tmp_path):
    content = bytearray(saved(gray(), "TIFF", compression="tiff_lzw"))
    content[8:40] = b"\xff" * 32
    assert reason(bytes(content), tmp_path) == "the file is damaged, or a variant docscan cannot decode"


def test_formats_are_told_by_content(tmp_path):
    assert {name: detect_format(make()[:1024]) for name, make in WHOLE.items()} == {
        "png": "png",
        "jpeg": "jpeg",
        "progressive": "jpeg",
        "bmp": "bmp",
        "webp": "webp",
        "jp2": "jp2",
        "tiff": "tiff",
        "bigtiff": "tiff",
        "lzw": "tiff",
        "g4": "tiff",
        "jpeg-in-tiff": "tiff",
    }
    assert read(saved(gray(), "JPEG"), tmp_path, "photo.png").gray.shape == (20, 30)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("mangled")


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    name=st.sampled_from([*WHOLE, "pdf", "two-page"]),
    edits=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=6)), max_size=5),
    kept=st.floats(0, 1) | st.just(1.0),
)
def test_a_mangled_file_is_read_or_refused_and_nothing_else(scratch, name, edits, kept):
    content = bytearray(_whole(name))
    for place, garbage in edits:
        at = int(place * len(content))
        content[at : at + len(garbage)] = garbage
    path = scratch / "mangled"
    path.write_bytes(content[: round(kept * len(content))])
    options = ScanOptions(max_image_mpixels=2, dpi=50)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for found in find_pages([path], options):
            source = found if isinstance(found, PageSource) else found[0]
            assert isinstance(found, PageSource) or found[1].reason
            try:
                page = open_page(source, options)
            except PageError as error:
                assert str(error)  # noqa: PT017 - most examples raise, and not all
            else:
                assert min(page.gray.shape) >= 10


def _whole(name: str) -> bytes:
    if name == "pdf":
        return saved(gray(), "PDF")
    return saved(gray(), "TIFF", save_all=True, append_images=[gray()]) if name == "two-page" else WHOLE[name]()


@pytest.mark.parametrize(
    ("mode", "image_format"),
    [("RGB", "PNG"), ("RGBA", "PNG"), ("P", "PNG"), ("RGB", "JPEG"), ("CMYK", "TIFF"), ("RGB", "WEBP"), ("RGB", "BMP")],
)
def test_print_of_a_colour_is_left_out(mode, image_format, tmp_path):
    options = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(image_format, {})
    content = saved(form(mode), image_format, **options)
    name = f"scan.{image_format.lower()}"
    with_lines = read(content, tmp_path, name).gray
    assert with_lines[7:9, 20:].max() < 120
    dropped = read(content, tmp_path, name, ScanOptions(drop_out="red")).gray
    assert dropped[7:9, 20:].min() > 235
    assert dropped[2:12, 3:6].max() < 30  # blue ink is there, the darker for it
    in_blue = read(content, tmp_path, name, ScanOptions(drop_out="blue")).gray
    assert in_blue[7:9, 20:].max() < 60


def test_what_is_transparent_is_paper_in_any_light(tmp_path):
    image = form("RGBA")
    image.putalpha(Image.fromarray(np.where(np.arange(30) < 10, np.uint8(255), np.uint8(0))[np.newaxis].repeat(20, 0)))
    page = read(saved(image, "PNG"), tmp_path, options=ScanOptions(drop_out="blue")).gray
    assert set(page[:, 10:].ravel()) == {255}
    assert page[7, 7] < 60


@pytest.mark.parametrize("mode", ["L", "1", "LA", "I;16"])
def test_a_scan_without_colours_stays_as_it_is(mode, tmp_path):
    image = Image.fromarray(INK.astype(np.uint16) * 257) if mode == "I;16" else gray().convert(mode)
    content = saved(image, "PNG")
    plain, dropped = (read(content, tmp_path, options=ScanOptions(drop_out=colour)).gray for colour in (None, "red"))
    np.testing.assert_array_equal(plain, dropped)
