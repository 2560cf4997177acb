import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from docscan.errors import NothingToReadError, PageError, SettingsError
from docscan.files.scans import ScanOptions, find_pages, open_page
from docscan.files.storage import StorageError, find_stored, is_url, local_copy, opened, reason_unreadable
from docscan.records import PageSource

fsspec = pytest.importorskip("fsspec", reason="needs the extra `cloud`")


@pytest.fixture
def png(tmp_path: Path) -> bytes:
    Image.new("L", (40, 60), 200).save(tmp_path / "page.png")
    return (tmp_path / "page.png").read_bytes()


@pytest.fixture
def tiff(tmp_path: Path) -> bytes:
    first, *others = [Image.new("L", (40, 60), gray) for gray in (10, 20, 30)]
    first.save(tmp_path / "pages.tif", save_all=True, append_images=others)
    return (tmp_path / "pages.tif").read_bytes()


def names(*scans: str, options: ScanOptions = ScanOptions()) -> list[str]:  # noqa: B008  frozen
    found = list(find_pages(scans, options))
    assert all(isinstance(page, PageSource) for page in found), found
    return [f"{page.name} {page.page}" for page in found if isinstance(page, PageSource)]


@pytest.mark.parametrize(
    ("location", "answer"),
    [("s3://bucket/scans", [True]), ("gs://b", [True]), ("scans/a.png", [False]), (r"C:\scans", [False])],
)
def test_a_url_is_told_from_a_path(location: str, answer: list[bool]) -> None:
    assert [is_url(location)] == answer


def test_the_scans_of_a_bucket_are_found_as_those_of_a_folder_are(bucket: Any, png: bytes, tiff: bytes) -> None:
    for name in ("in/page-10.png", "in/page-2.png", "in/sub/c.png", "in/.hidden/d.png", "in/notes.txt", "other/e.png"):
        bucket.put(name, png)
    bucket.put("in/book.tif", tiff)
    bucket.put("in/out/docscan.db", b"")
    bucket.put("in/out/overlays/page.png", png)
    inside = ["book.tif 1", "book.tif 2", "book.tif 3", "page-2.png 1", "page-10.png 1"]
    assert names(f"{bucket.url}/in") == [*inside, "sub/c.png 1"]
    assert names(f"{bucket.url}/in/") == [*inside, "sub/c.png 1"]
    assert names(f"{bucket.url}/in", options=ScanOptions(recursive=False)) == inside
    assert names(f"{bucket.url}/in/page-*.png") == ["page-2.png 1", "page-10.png 1"]
    assert names(f"{bucket.url}/in/notes.txt") == ["notes.txt 1"]
    assert names(f"{bucket.url}/in/sub", f"{bucket.url}/other") == ["c.png 1", "e.png 1"]


def test_names_that_collide_are_told_apart_by_the_folders_above(bucket: Any, png: bytes, tmp_path: Path) -> None:
    bucket.put("monday/a.png", png)
    bucket.put("tuesday/a.png", png)
    assert names(f"{bucket.url}/monday", f"{bucket.url}/tuesday", str(tmp_path / "page.png")) == [
        "monday/a.png 1",
        "tuesday/a.png 1",
        "page.png 1",
    ]


def test_a_page_in_a_bucket_is_decoded(bucket: Any, png: bytes, tiff: bytes) -> None:
    bucket.put("page.png", png)
    bucket.put("pages.tif", tiff)
    found = [page for page in find_pages([bucket.url], ScanOptions()) if isinstance(page, PageSource)]
    assert [open_page(page, ScanOptions()).gray[0, 0] for page in found] == [200, 10, 20, 30]


def test_another_content_has_another_stamp_and_is_not_read_as_the_old_one(bucket: Any, png: bytes) -> None:
    url = bucket.put("page.png", png)
    [before] = find_pages([url], ScanOptions())
    bucket.put("page.png", png[:-1] + b"x")
    [after] = find_pages([url], ScanOptions())
    assert isinstance(before, PageSource)
    assert isinstance(after, PageSource)
    assert before.size == after.size
    assert before.mtime_ns != after.mtime_ns
    with pytest.raises(PageError, match="changed after the run had listed it"):
        open_page(before, ScanOptions())


def test_a_file_that_is_gone_by_the_time_it_is_read_is_a_reason_in_words(bucket: Any, png: bytes) -> None:
    [page] = find_pages([bucket.put("page.png", png)], ScanOptions())
    bucket.store.rm(f"{bucket.url}/page.png")
    assert isinstance(page, PageSource)
    with pytest.raises(PageError, match=r"cannot be fetched: s3://.*/page\.png is not there"):
        open_page(page, ScanOptions())


def test_a_book_by_the_name_of_a_picture_is_refused_lest_pages_are_lost(bucket: Any, tiff: bytes) -> None:
    page, *_ = find_pages([bucket.put("page.png", tiff)], ScanOptions())
    assert isinstance(page, PageSource)
    page = replace(page, paged=False)  # as a run takes it that goes by the name
    with pytest.raises(PageError, match=r"a TIFF by another name; let its name end in \.tiff"):
        open_page(page, ScanOptions())


def test_a_copy_goes_with_its_page_and_a_books_with_the_next(bucket: Any, png: bytes, tiff: bytes) -> None:
    bucket.put("a.png", png)
    bucket.put("b.tif", tiff)
    picture, *book = [page for page in find_pages([bucket.url], ScanOptions()) if isinstance(page, PageSource)]
    with local_copy(book[0]) as first, local_copy(book[1]) as second:
        assert first == second
    assert first.exists()
    with local_copy(picture) as other:
        assert not first.exists()
        assert other.read_bytes() == png
    assert not other.exists()


def test_the_copy_of_a_process_that_was_killed_is_cleared_away(bucket: Any, png: bytes) -> None:
    done = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    user = os.getuid() if hasattr(os, "getuid") else "scans"
    left = Path(tempfile.gettempdir(), f"docscan-{user}", f"{done.stdout.decode().strip()}-0123.pdf")
    left.parent.mkdir(exist_ok=True)
    left.touch()
    os.utime(left, (0, 0))
    code = (
        "import sys; from docscan.files.storage import local_copy, find_stored\n"
        "from docscan.records import PageSource\n"
        "[f] = find_stored(sys.argv[1])\n"
        "with local_copy(PageSource(f.url, f.name, size=f.size, mtime_ns=f.stamp)): pass"
    )
    subprocess.run([sys.executable, "-c", code, bucket.put("a.png", png)], check=True)
    assert not left.exists()


@pytest.mark.parametrize(
    ("url", "error", "words"),
    [
        ("s3://no-such-bucket-at-all/x", NothingToReadError, "s3://no-such-bucket-at-all/x is not there"),
        ("memory://nothing/here", NothingToReadError, "memory://nothing/here is not there"),
        ("carrier://pigeon/", SettingsError, "carrier://pigeon/: Protocol not known: carrier"),
    ],
)
def test_a_place_that_cannot_be_listed_is_an_error_in_words(
    s3_server: None, url: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        list(find_pages([url], ScanOptions()))


def test_a_store_that_does_not_answer_is_an_error_in_words() -> None:
    with pytest.raises(StorageError, match=r"http://127\.0\.0\.1:9/a\.png cannot be reached"):
        find_stored("http://127.0.0.1:9/a.png")
    assert "cannot be reached" in reason_unreadable("http://127.0.0.1:9/a.png")


def test_a_file_is_opened_wherever_it_lies(bucket: Any, png: bytes, tmp_path: Path) -> None:
    for location in (bucket.put("a.png", png), str(tmp_path / "page.png")):
        with opened(location) as file:
            assert file.read() == png
        assert reason_unreadable(location) == ""
    assert reason_unreadable(str(tmp_path / "gone")) == "No such file or directory"
