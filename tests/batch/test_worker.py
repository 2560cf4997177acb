from dataclasses import replace
from pathlib import Path

import pytest

from docscan.batch import worker
from docscan.batch.worker import Job, read_source
from docscan.files.scans import ScanOptions
from docscan.records import Page, PageFailure, PageResult, PageSource
from docscan.settings import ReviewSettings, Settings
from docscan.stages.classify import SHIPPED, DigitModel

JOB = Job(Settings(), ScanOptions(), str(SHIPPED), "0" * 64)
SOURCE = PageSource("/scans/a.png", "a.png", size=10, mtime_ns=20)


def test_a_missing_file_is_a_failure_in_words(tmp_path: Path) -> None:
    outcome = read_source(PageSource(str(tmp_path / "gone.png"), "gone.png"), JOB)
    assert isinstance(outcome.result, PageFailure)
    assert "no longer there" in outcome.result.reason or "no such file" in outcome.result.reason.lower()
    assert outcome.result.detail == ""


@pytest.mark.parametrize(
    ("error", "reason", "has_detail"),
    [
        (ValueError("odd shape"), "docscan met a fault of its own (ValueError: odd shape); please report it", True),
        (MemoryError(), "the page needs more memory than there is; try a smaller --dpi or fewer --jobs", False),
    ],
)
def test_what_goes_wrong_inside_is_a_failure_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str, *, has_detail: bool
) -> None:
    def read_page(page: Page, model: DigitModel, settings: Settings) -> PageResult:
        raise error

    bmp = tmp_path / "page.bmp"
    bmp.write_bytes(_white_bmp(64, 64))
    monkeypatch.setattr(worker, "read_page", read_page)
    result = read_source(PageSource(str(bmp), "page.bmp"), JOB).result
    assert isinstance(result, PageFailure)
    assert (result.reason, "Traceback" in result.detail) == (reason, has_detail)


@pytest.mark.parametrize(
    ("source", "job"),
    [
        (replace(SOURCE, size=11), JOB),
        (replace(SOURCE, mtime_ns=21), JOB),
        (SOURCE, replace(JOB, model_sha256="1" * 64)),
        (SOURCE, replace(JOB, settings=Settings(review=ReviewSettings(min_confidence=0.5)))),
        (SOURCE, replace(JOB, scans=ScanOptions(dpi=200))),
        (SOURCE, replace(JOB, scans=ScanOptions(drop_out="red"))),
    ],
)
def test_the_key_changes_with_whatever_can_change_the_result(source: PageSource, job: Job) -> None:
    assert job.key_for(source) != JOB.key_for(SOURCE)


def test_the_key_is_the_same_in_another_place(tmp_path: Path) -> None:
    assert JOB.key_for(replace(SOURCE, path="/elsewhere/a.png")) == JOB.key_for(SOURCE)


def test_with_checksum_the_key_follows_the_content_alone(tmp_path: Path) -> None:
    job = replace(JOB, checksum=True)
    keys: list[str] = []
    for name, content in (("a.png", b"same"), ("b.png", b"same"), ("c.png", b"other")):
        path = tmp_path / name
        path.write_bytes(content)
        keys.append(job.key_for(PageSource(str(path), name, size=len(content), mtime_ns=len(keys))))
    assert keys[0] == keys[1] != keys[2]


def _white_bmp(width: int, height: int) -> bytes:
    pixels = b"\xff" * (3 * width * height)  # rows of 3 * 64 bytes need no padding
    head = b"BM" + (54 + len(pixels)).to_bytes(4, "little") + bytes(4) + (54).to_bytes(4, "little")
    size = (40).to_bytes(4, "little") + width.to_bytes(4, "little") + height.to_bytes(4, "little")
    return head + size + b"\x01\x00\x18\x00" + bytes(24) + pixels
