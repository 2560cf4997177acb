"""Scans and results in object storage, on a server of this machine that speaks S3."""

from pathlib import Path
from typing import Any

from docscan.batch.run import RunOptions, scan_batch
from docscan.records import PageFailure, PageResult

SAMPLES = Path(__file__).parent.parent.parent / "samples"
READ_HERE = ("clean/page.png", "pdf-scan/scan.pdf", "multi-page-tiff/ledger.tif")


def csvs(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*.csv")}


def test_scans_in_a_bucket_come_out_byte_for_byte_as_those_on_a_disk(bucket: Any, tmp_path: Path) -> None:
    for name in READ_HERE:
        (tmp_path / "scans" / name).parent.mkdir(parents=True)
        (tmp_path / "scans" / name).write_bytes((SAMPLES / name).read_bytes())
        bucket.put(f"scans/{name}", (SAMPLES / name).read_bytes())
    bucket.put("scans/torn.png", (SAMPLES / READ_HERE[0]).read_bytes()[:5000])
    (tmp_path / "scans" / "torn.png").write_bytes((SAMPLES / READ_HERE[0]).read_bytes()[:5000])
    for out, scans in (("disk", tmp_path / "scans"), ("bucket", f"{bucket.url}/scans")):
        outcomes = list(scan_batch([scans], tmp_path / out, options=RunOptions(jobs=2)))
        assert [outcome.source.name for outcome in outcomes if isinstance(outcome.result, PageFailure)] == ["torn.png"]
        assert sum(isinstance(outcome.result, PageResult) for outcome in outcomes) > 3
    assert csvs(tmp_path / "bucket") == csvs(tmp_path / "disk")
    assert list(scan_batch([f"{bucket.url}/scans"], tmp_path / "bucket", options=RunOptions(jobs=1))) != []  # torn.png
