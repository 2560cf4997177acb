"""Files made to waste time or memory, names made to do harm, files that change: each costs itself only."""

import csv
import os
import sys
import time
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drills import run_docscan
from mangle import originals
from PIL import Image

from docscan.batch.run import RunOptions, scan_batch
from docscan.batch.worker import Job, read_source
from docscan.cli.exit_codes import ExitCode
from docscan.errors import PageError
from docscan.files.pixels import decode_image
from docscan.files.scans import Contents, ScanOptions, find_pages, look_inside, open_page
from docscan.files.store import open_store
from docscan.records import Page, PageFailure, PageOutcome, PageSource

LIMITS = RunOptions(jobs=2, page_timeout_s=10, max_memory_mib=1500)


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    folder.mkdir()
    (folder / "good.png").write_bytes(originals()["gray.png"])
    return folder


def pdf(*objects: bytes) -> bytes:
    """The objects 1, 2, ... as a file; 1 is the catalogue."""
    content, offsets = b"%PDF-1.4\n", []
    for number, text in enumerate(objects, start=1):
        offsets.append(len(content))
        content += b"%d 0 obj%s endobj\n" % (number, text)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    head = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    end = b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, len(content))
    return content + head + table + end


def one_page(page: bytes, *others: bytes, count: int = 1) -> bytes:
    """A PDF with one page, whatever number of them it claims."""
    tree = b"<</Type/Pages/Kids[3 0 R]/Count %d/MediaBox[0 0 200 100]>>" % count
    return pdf(b"<</Type/Catalog/Pages 2 0 R>>", tree, b"<</Type/Page/Parent 2 0 R%s>>" % page, *others)


def stream(content: bytes, more: bytes = b"") -> bytes:
    return b"<</Length %d%s>>stream\n%s\nendstream" % (len(content), more, content)


def million_laughs() -> bytes:
    """A drawing that holds another ten times, which holds another ten times, and so on."""
    form = b"/Type/XObject/Subtype/Form/BBox[0 0 200 100]"
    forms = [stream(b"/X Do " * 10, form + b"/Resources<</XObject<</X %d 0 R>>>>" % (depth + 6)) for depth in range(11)]
    page = b"/Contents 4 0 R/Resources<</XObject<</X 5 0 R>>>>"
    return one_page(page, stream(b"/X Do "), *forms, stream(b"0 0 m 9 9 l S", form))


def read(scans: Path, options: RunOptions = LIMITS) -> dict[str, str]:
    """What became of each file: the reason it failed, or an empty text."""
    outcomes = scan_batch([scans], scans.parent / "out", options=options)
    return {
        outcome.source.name: outcome.result.reason if isinstance(outcome.result, PageFailure) else ""
        for outcome in outcomes
    }


def test_a_pdf_that_never_ends_is_given_up(scans: Path) -> None:
    (scans / "laughs.pdf").write_bytes(million_laughs())
    assert read(scans) in [
        {"good.png": "", "laughs.pdf": "took longer than 10 s; raise --page-timeout to give it more"},
        {"good.png": "", "laughs.pdf": "needs more memory than 1,500 MiB; raise --max-memory, or lower --dpi"},
    ]


def test_a_page_of_any_size_is_refused_by_its_size(scans: Path) -> None:
    (scans / "huge.pdf").write_bytes(one_page(b"/MediaBox[0 0 1000000000 1000000000]"))
    (scans / "thin.pdf").write_bytes(one_page(b"/MediaBox[0 0 1 10000000]"))
    reasons = read(scans)
    assert reasons["huge.pdf"].startswith("4,166,666,667 x 4,166,666,667 px is 17,361,111,113,889 megapixels")
    assert reasons["thin.pdf"] == "5 x 41666667 px is too small to be a page"
    assert reasons["good.png"] == ""


def test_a_million_specks_hold_nobody_up(scans: Path) -> None:
    gray = np.full((2000, 2000), 255, np.uint8)
    gray[::2, ::2] = 0
    Image.fromarray(gray).save(scans / "specks.png")
    started = time.monotonic()
    assert read(scans)["good.png"] == ""
    assert time.monotonic() - started < 120
    with open_store(scans.parent / "out") as store:
        assert (store.counts().found, store.counts().left) == (2, 0)


def test_a_pdf_is_read_to_its_page_10_000(tmp_path: Path) -> None:
    kids = b" ".join(b"%d 0 R" % number for number in range(3, 10_004))
    tree = b"<</Type/Pages/Kids[%s]/Count 10001/MediaBox[0 0 200 100]>>" % kids
    pages = [b"<</Type/Page/Parent 2 0 R>>"] * 10_001
    path = tmp_path / "thick.pdf"
    path.write_bytes(pdf(b"<</Type/Catalog/Pages 2 0 R>>", tree, *pages))
    expected = Contents(10_000, paged=True, failure="the file holds more than 10,000 pages; split it")
    assert look_inside(PageSource(str(path), path.name)) == expected


def test_an_86_page_tiff_gives_86_pages(scans: Path) -> None:
    page = Image.new("L", (30, 30), 255)
    page.save(scans / "long.tif", save_all=True, append_images=[page] * 85)
    outcomes = list(scan_batch([scans / "long.tif"], scans.parent / "out", options=LIMITS))
    assert sorted(outcome.source.page for outcome in outcomes) == list(range(1, 87))
    assert len(list((scans.parent / "out" / "pages").iterdir())) == 86


def test_pages_a_pdf_promises_and_does_not_hold_are_failures(scans: Path) -> None:
    (scans / "few.pdf").write_bytes(one_page(b"", count=5))
    done = run_docscan("run", scans, "-o", scans.parent / "out")
    assert done.returncode == ExitCode.SOME_PAGES_FAILED
    assert "6 pages in" in done.stderr.replace(",", "")
    failures = (scans.parent / "out" / "failures.csv").read_text("utf-8-sig").splitlines()[1:]
    assert [line.split(",")[:2] for line in failures] == [["few.pdf", str(page)] for page in (2, 3, 4, 5)]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names and links")
def test_names_made_to_do_harm_are_names(scans: Path) -> None:
    names = [
        "-o.png",
        "--mode force.png",
        "=cmd('calc').png",
        "+1.png",
        "@sum.png",
        'line\nfeed,"quoted".png',
        "..png",
        "..\\..\\up.png",
        "%s{}$(reboot)`reboot`.png",
        "\u202egnp.exe.png",
        "x" * 251 + ".png",
        "é" * 125 + ".png",
        os.fsdecode(b"\xff\xfe.png"),
    ]
    for name in names:
        (scans / name).write_bytes(originals()["gray.png"])
    (scans / "deep" / "deeper").mkdir(parents=True)
    (scans / "deep" / "deeper" / "loop").symlink_to(scans / "deep")
    (scans / "itself.png").symlink_to(scans / "itself.png")
    out = scans.parent / "out"
    done = run_docscan("run", scans, "-o", out)
    assert (done.returncode, "Traceback" in done.stderr) == (ExitCode.SOME_PAGES_FAILED, False), done.stderr
    failures = list(csv.reader((out / "failures.csv").read_text("utf-8-sig").splitlines()))
    assert failures[1:] == [["itself.png", "1", "a link that leads back to itself"]]
    with (out / "results.csv").open(encoding="utf-8-sig", newline="") as file:
        sources = Counter(row["source"] for row in csv.DictReader(file))
    assert len(sources) == len([name for name in names if not name.startswith(".")]) + 1
    assert {"'-o.png", "'=cmd('calc').png", "'+1.png", "'@sum.png", 'line\nfeed,"quoted".png'} <= set(sources)
    assert len(list((out / "pages").iterdir())) == len(sources)
    assert {path.name for path in scans.parent.iterdir()} == {"scans", "out"}
    with zipfile.ZipFile(out / "results.xlsx") as workbook:
        assert "<f>" not in "".join(workbook.read(name).decode() for name in workbook.namelist())


def read_while_it_grows(source: PageSource, job: Job) -> PageOutcome:
    """Somebody copies the file anew while its page is decoded."""
    if source.name == "grows.jp2":
        with Path(source.path).open("ab") as file:
            file.write(b"more")
    return read_source(source, job)


def test_a_file_that_changes_is_a_failure_and_read_by_the_next_run(scans: Path) -> None:
    (scans / "grows.jp2").write_bytes(originals()["page.jp2"])
    outcomes = scan_batch([scans], scans.parent / "out", options=LIMITS, read=read_while_it_grows)
    reasons = {
        outcome.source.name: outcome.result.reason for outcome in outcomes if isinstance(outcome.result, PageFailure)
    }
    assert reasons == {"grows.jp2": "the file changed after the run had listed it; run again to read it"}
    assert read(scans) == {"grows.jp2": ""}


def test_a_file_that_changes_while_it_is_decoded_is_a_failure(scans: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def decode_slowly(path: Path, *how: Any) -> Page:
        decoded = decode_image(path, *how)
        path.write_bytes(path.read_bytes() + b"more")  # another program, just before the end
        return decoded

    [source] = find_pages([scans / "good.png"], ScanOptions())
    monkeypatch.setattr("docscan.files.scans.decode_image", decode_slowly)
    with pytest.raises(PageError, match="the file changed after the run had listed it; run again to read it"):
        open_page(source, ScanOptions())
