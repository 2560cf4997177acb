import errno
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from docscan.errors import NothingToReadError, PageError, SettingsError
from docscan.files import scans
from docscan.files.scans import PageRange, ScanOptions, find_pages, open_page, page_from_array, parse_pages
from docscan.records import PageFailure, PageSource

on_posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names, links or pipes")


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def put(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (20, 20), 255).save(name, "PNG")


def found(*named: str | Path, **options: object) -> list[str]:
    """Names in order; one at fault as `name: reason`."""
    return [
        entry.name if isinstance(entry, PageSource) else f"{entry[0].name}: {entry[1].reason}"
        for entry in find_pages(named, ScanOptions(**options))
    ]


def test_a_folder_is_read_in_natural_order_with_all_below_it():
    put("in/page-10.png", "in/page-2.png", "in/Page-3.png", "in/box 2/a.png", "in/box 10/a.png")
    assert found("in") == ["box 2/a.png", "box 10/a.png", "page-2.png", "Page-3.png", "page-10.png"]


def test_without_recursion_only_the_folder_itself_is_read():
    put("in/a.png", "in/deeper/b.png")
    assert found("in", recursive=False) == ["a.png"]


def test_only_scans_count_in_a_folder():
    put("in/a.PNG", "in/b.JpEg", "in/c.jfif", "in/d.j2k", "in/.hidden.png", "in/.cache/e.png", "in/._a.png")
    for name in ("note.md", "expected.csv", ".DS_Store", "Thumbs.db", "a.png.txt", "png"):
        Path("in", name).write_text("no scan")
    assert found("in") == ["a.PNG", "b.JpEg", "c.jfif", "d.j2k"]


def test_a_folder_named_like_a_scan_is_a_folder():
    put("in/x.png/y.png")
    assert found("in") == ["x.png/y.png"]
    assert found("in/x.png") == ["y.png"]


def test_a_file_that_is_named_is_tried_whatever_its_ending():
    put("scan.dat")
    Path("letter.txt").write_text("Dear Sir")
    assert found("scan.dat", "letter.txt") == [
        "scan.dat",
        "letter.txt: not an image docscan can read (PNG, JPEG, TIFF, BMP, WebP, JPEG 2000 or PDF)",
    ]


def test_a_source_tells_where_the_file_is_and_its_state():
    put("in/a/b.png")
    status = Path("in/a/b.png").stat()
    assert list(find_pages(["in"], ScanOptions())) == [
        PageSource(str(Path("in/a/b.png").absolute()), "a/b.png", 1, False, status.st_size, status.st_mtime_ns)  # noqa: FBT003
    ]


def test_a_glob_is_expanded_and_named_below_its_fixed_part():
    put("in/may/p2.png", "in/may/p10.png", "in/june/p1.png", "in/june/q1.png")
    assert found("in/*/p*.png") == ["june/p1.png", "may/p2.png", "may/p10.png"]
    assert found("in/m*") == ["may/p2.png", "may/p10.png"]
    assert found("**/q*.png") == ["in/june/q1.png"]


def test_a_name_with_brackets_is_a_name_where_it_exists():
    put("in/scan[1].png", "in/scan1.png")
    assert found("in/scan[1].png") == ["scan[1].png"]


@pytest.mark.parametrize("missing", ["absent.png", "absent/", "absent*.png"])
def test_what_is_named_must_exist(missing):
    put("a.png")
    with pytest.raises(NothingToReadError) as caught:
        find_pages(["a.png", missing], ScanOptions())
    assert str(caught.value) == f"{missing}: no such file or folder"


def test_a_folder_without_scans_is_nothing_to_read():
    Path("in").mkdir()
    Path("in/note.md").write_text("no scan")
    with pytest.raises(NothingToReadError, match=r"^in: no scan found; docscan reads \.bmp .* \.webp$"):
        find_pages(["in"], ScanOptions())


def test_nothing_named_is_nothing_to_read():
    with pytest.raises(NothingToReadError, match="nothing was named"):
        find_pages([], ScanOptions())


def test_a_file_reached_twice_is_read_once():
    put("in/a.png", "in/b.png")
    assert found("in/b.png", "in", "in/../in", "in/*.png") == ["b.png", "a.png"]


def test_names_that_meet_carry_their_folders():
    put("x/in/a.png", "y/in/a.png", "y/in/b.png")
    assert found("x/in", "y/in") == ["x/in/a.png", "y/in/a.png", "b.png"]
    assert found("y/in", "x/in") == ["y/in/a.png", "b.png", "x/in/a.png"]
    assert found("x/in/a.png", "y/in/a.png") == ["x/in/a.png", "y/in/a.png"]


def test_a_name_made_longer_may_meet_another():
    put("1/in/a.png", "2/in/a.png", "3/in/a.png")
    assert found("1/in", "2/in", "3") == ["1/in/a.png", "2/in/a.png", "3/in/a.png"]


@on_posix
def test_names_some_systems_take_for_one_are_counted():
    put("in/a.png")
    put("in/A.png")
    if len(list(Path("in").iterdir())) == 1:
        pytest.skip("this disk does not tell A from a")
    assert found("in") == ["A.png", "a (2).png"]


def test_names_of_any_script_stay_as_they_are():
    names = ["-v.png", "Zählerstände März.png", "納品書 3.png", "счёт.png"]
    put(*(f"in/{name}" for name in names))
    assert sorted(found("in")) == sorted(names)


@on_posix
def test_names_no_file_could_hold_are_escaped():
    Path("in").mkdir()
    put("in/two\nlines.png")
    try:
        put("in/" + os.fsdecode(b"caf\xe9.png"))
    except OSError:
        pytest.skip("this disk takes UTF-8 names only")
    names = found("in")
    assert names == ["caf\\xe9.png", "two\nlines.png"]
    assert [open_page(source, ScanOptions()).gray.shape for source in find_pages(["in"], ScanOptions())] == [
        (20, 20)
    ] * 2
    assert found("in/" + os.fsdecode(b"caf\xe9.png")) == ["caf\\xe9.png"]


@on_posix
def test_a_pdf_whose_name_is_no_text_is_opened():
    name = os.fsdecode(b"caf\xe9\n~.pdf")
    Image.new("L", (200, 300), 77).save("plain.pdf")
    try:
        Path("plain.pdf").rename(name)
    except OSError:
        pytest.skip("this disk takes UTF-8 names only")
    [source] = find_pages([name], ScanOptions())
    assert int(open_page(source, ScanOptions()).gray[150, 100]) == pytest.approx(77, abs=2)


@on_posix
def test_links_that_lead_in_circles_end():
    put("in/a.png")
    Path("in/again").symlink_to(Path("in").absolute(), target_is_directory=True)
    Path("in/self.png").symlink_to("self.png")
    assert found("in") == ["a.png", "self.png: a link that leads back to itself"]


@on_posix
def test_a_link_to_a_scan_is_read_and_a_broken_one_reported():
    put("elsewhere/a.png")
    Path("in").mkdir()
    Path("in/good.png").symlink_to(Path("elsewhere/a.png").absolute())
    Path("in/gone.png").symlink_to("nowhere.png")
    assert found("in") == ["gone.png: a link to a file that is not there", "good.png"]
    assert found("in/gone.png") == ["gone.png: a link to a file that is not there"]


@on_posix
def test_a_pipe_is_not_waited_for():
    Path("in").mkdir()
    os.mkfifo("in/pipe.png")
    assert found("in") == ["pipe.png: not a file but a device or pipe"]


def test_a_file_without_permission_is_reported(monkeypatch):
    put("in/a.png", "in/b.png")
    opened = Path.open

    def guarded(path, *args, **kwargs):
        if path.name == "a.png":
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(path, *args, **kwargs)

    sources = list(find_pages(["in"], ScanOptions()))
    monkeypatch.setattr(Path, "open", guarded)
    assert found("in") == ["a.png: permission denied; give this user the right to read it", "b.png"]
    with pytest.raises(PageError, match=r"^permission denied; give this user the right to read it$"):
        open_page(sources[0], ScanOptions())


def test_a_folder_without_permission_is_reported(monkeypatch):
    put("in/a.png", "in/locked/b.png")
    listed = os.scandir

    def guarded(folder):
        if Path(folder).name == "locked":
            raise PermissionError(errno.EACCES, "Permission denied")
        return listed(folder)

    monkeypatch.setattr(scans.os, "scandir", guarded)
    reason = "a folder that cannot be listed: permission denied; give this user the right to read it"
    assert found("in") == ["a.png", f"locked: {reason}"]
    assert found("in/locked") == [f"locked: {reason}"]


def test_the_output_of_an_earlier_run_is_not_read_again():
    put("in/a.png", "in/out/overlays/a.png")
    Path("in/out/docscan.db").write_bytes(b"")
    assert found("in") == ["a.png"]


def test_empty_and_foreign_files_are_reported_in_their_place():
    put("in/b.png")
    Path("in/a.png").write_bytes(b"")
    Path("in/c.png").write_text("hello")
    assert found("in") == [
        "a.png: the file is empty",
        "b.png",
        "c.png: not an image docscan can read (PNG, JPEG, TIFF, BMP, WebP, JPEG 2000 or PDF)",
    ]


def paged(name: str, pages: int) -> None:
    first, *others = [Image.new("L", (20, 20), 255)] * pages
    first.save(name, save_all=True, append_images=others)


@pytest.mark.parametrize("name", ["many.tif", "many.pdf"])
def test_each_page_of_a_file_is_a_source(name):
    paged(name, 4)
    sources = [entry for entry in find_pages([name], ScanOptions()) if isinstance(entry, PageSource)]
    assert [(source.name, source.page, source.paged) for source in sources] == [(name, n, True) for n in (1, 2, 3, 4)]


def test_whether_a_file_has_pages_is_told_by_its_content():
    paged("many.tif", 2)
    Path("many.tif").rename("many.png")
    assert [entry.paged for entry in find_pages(["many.png"], ScanOptions()) if isinstance(entry, PageSource)] == [
        True,
        True,
    ]


def test_only_the_pages_wanted_are_found():
    paged("a.pdf", 6)
    put("b.png")
    entries = find_pages(["a.pdf", "b.png"], ScanOptions(pages=parse_pages("1,3-4,6-")))
    assert [(entry.name, entry.page) for entry in entries if isinstance(entry, PageSource)] == [
        ("a.pdf", 1),
        ("a.pdf", 3),
        ("a.pdf", 4),
        ("a.pdf", 6),
        ("b.png", 1),
    ]
    assert found("b.png", pages=parse_pages("2-")) == []


def test_a_file_at_fault_is_reported_whatever_pages_are_wanted():
    Path("a.pdf").write_bytes(b"%PDF-1.7\n%%EOF")
    assert found("a.pdf", pages=parse_pages("7")) == ["a.pdf: the file is damaged, or a variant docscan cannot decode"]


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("3", ((3, 3),)),
        ("1,3-5", ((1, 1), (3, 5))),
        (" 2-2", ((2, 2),)),
        ("7-", ((7, None),)),
        ("5, 1", ((5, 5), (1, 1))),
    ],
)
def test_pages_in_words_of_the_command_line(text, spans):
    assert parse_pages(text) == PageRange(spans)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0", "pages '0': there is no page 0; the first page is 1"),
        ("5-3", "pages '5-3': 5-3 runs backwards; write 3-5"),
        ("a", "pages 'a': 'a' is no page; expected numbers and ranges such as 1,3-5 or 7-"),
        ("", "pages '': '' is no page; expected numbers and ranges such as 1,3-5 or 7-"),
        ("1,,2", "pages '1,,2': '' is no page; expected numbers and ranges such as 1,3-5 or 7-"),
        ("-3", "pages '-3': '-3' is no page; expected numbers and ranges such as 1,3-5 or 7-"),
        ("1.5", "pages '1.5': '1.5' is no page; expected numbers and ranges such as 1,3-5 or 7-"),
        ("٣", "pages '٣': '٣' is no page; expected numbers and ranges such as 1,3-5 or 7-"),
    ],
)
def test_pages_that_make_no_sense(text, words):
    with pytest.raises(SettingsError) as caught:
        parse_pages(text)
    assert str(caught.value) == words


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dpi": 0}, "dpi is 0; expected 50 to 2400, such as 300"),
        ({"max_image_mpixels": 0}, "max_image_mpixels is 0; expected more than 0, such as 250"),
        ({"drop_out": "pink"}, "drop_out is 'pink'; expected one of red, green, blue"),
    ],
)
def test_options_out_of_range(options, words):
    with pytest.raises(SettingsError) as caught:
        ScanOptions(**options)
    assert str(caught.value) == words


def test_a_file_that_changed_after_it_was_listed():
    put("a.png")
    [source] = find_pages(["a.png"], ScanOptions())
    Image.new("L", (30, 30), 0).save("a.png")
    with pytest.raises(PageError, match=r"^the file changed after the run had listed it; run again to read it$"):
        open_page(source, ScanOptions())


def test_a_file_that_vanished_or_became_a_folder():
    put("a.png")
    [source] = find_pages(["a.png"], ScanOptions())
    Path("a.png").unlink()
    with pytest.raises(PageError, match=r"^the file is no longer there$"):
        open_page(source, ScanOptions())
    Path("a.png").mkdir()
    with pytest.raises(PageError, match=r"^a folder, not a file$"):
        open_page(source, ScanOptions())


def test_a_page_from_pixels():
    gray = np.arange(400, dtype=np.uint8).reshape(20, 20)
    np.testing.assert_array_equal(page_from_array(gray).gray, gray)
    red = np.zeros((20, 20, 3), np.uint8)
    red[..., 0] = 255
    assert np.unique(page_from_array(red).gray).tolist() == [76]
    assert [np.unique(page_from_array(red, colour).gray).tolist() for colour in ("red", "green")] == [[255], [0]]
    np.testing.assert_array_equal(page_from_array(gray, "red").gray, gray)
    assert page_from_array(gray[::2, ::2]).gray.flags.c_contiguous


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((20, 20), np.float32), r"got shape \(20, 20\) of float32"),
        (np.zeros((20, 20, 4), np.uint8), r"got shape \(20, 20, 4\) of uint8"),
        (np.zeros(20, np.uint8), r"got shape \(20,\) of uint8"),
        ([[0, 255]], "expected a numpy array, got list"),
    ],
)
def test_pixels_of_another_shape_are_a_mistake_of_the_caller(array, words):
    with pytest.raises(ValueError, match=words):
        page_from_array(array)


def test_pixels_too_few_for_a_page():
    with pytest.raises(PageError, match=r"^3 x 2 px is too small to be a page$"):
        page_from_array(np.zeros((2, 3), np.uint8))


def test_a_file_at_fault_carries_its_name_and_state():
    Path("empty.png").write_bytes(b"")
    [(source, failure)] = find_pages(["empty.png"], ScanOptions())
    assert (source.name, source.page, source.size, failure) == ("empty.png", 1, 0, PageFailure("the file is empty"))
    assert source.mtime_ns == Path("empty.png").stat().st_mtime_ns
