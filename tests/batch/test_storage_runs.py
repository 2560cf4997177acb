"""Scans and results in object storage, on a server of this machine that speaks S3."""

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from page_readers import read_words, write_scans

from docscan.batch.mirror import Rhythm, cache_folder, readable_folder, working_folder
from docscan.batch.run import RunOptions, open_batch, plan_batch, scan_batch
from docscan.batch.watch import Notice, WatchOptions, watch
from docscan.errors import OutputError, OutputInUseError
from docscan.files.store import open_store
from docscan.records import PageFailure, PageResult

pytest.importorskip("platformdirs", reason="needs the extra `cloud`")

SAMPLES = Path(__file__).parent.parent.parent / "samples"
REAL = ("clean/page.png", "multi-page-tiff/ledger.tif")


QUICK = Rhythm(publish_s=0.3, renew_s=0.1, stale_s=1)
ONE_JOB = RunOptions(jobs=1)


@pytest.fixture(autouse=True)
def this_computer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCSCAN_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    return write_scans(tmp_path / "scans", {"a.png": "12 007", "b.png": "345", "blank.png": ""})


def read(scans: Path, out: str | Path, options: RunOptions = ONE_JOB) -> list[str]:
    return sorted(outcome.source.name for outcome in scan_batch([scans], out, options=options, read=read_words))


def published(bucket: Any) -> dict[str, bytes]:
    """The CSVs of `out` in a bucket."""
    files = {name.removeprefix("out/"): content for name, content in bucket.files().items()}
    return {name: content for name, content in files.items() if name.endswith(".csv")}


def csvs(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*.csv")}


def test_a_bucket_is_watched_into_another_place_of_it(bucket: Any) -> None:
    page = (SAMPLES / REAL[0]).read_bytes()
    watching = WatchOptions(interval_s=0.1, stable_for_s=0, once=True)
    for name, expected in (("a.png", ["a.png"]), ("b.png", ["b.png"])):
        bucket.put(f"scans/{name}", page)
        told = watch(f"{bucket.url}/scans", f"{bucket.url}/out", watching, options=ONE_JOB)
        assert [event.source.name for event in told if not isinstance(event, Notice)] == expected
    assert sorted(published(bucket)) == ["failures.csv", "pages/a.png.csv", "pages/b.png.csv", "results.csv"]


def test_scans_in_a_bucket_come_out_byte_for_byte_as_those_on_a_disk(bucket: Any, tmp_path: Path) -> None:
    for name in REAL:
        (tmp_path / "scans" / name).parent.mkdir(parents=True)
        (tmp_path / "scans" / name).write_bytes((SAMPLES / name).read_bytes())
        bucket.put(f"scans/{name}", (SAMPLES / name).read_bytes())
    bucket.put("scans/torn.png", (SAMPLES / REAL[0]).read_bytes()[:5000])
    (tmp_path / "scans" / "torn.png").write_bytes((SAMPLES / REAL[0]).read_bytes()[:5000])
    for out, scans in (("disk", tmp_path / "scans"), ("bucket", f"{bucket.url}/scans")):
        outcomes = list(scan_batch([scans], tmp_path / out, options=RunOptions(jobs=2)))
        assert [outcome.source.name for outcome in outcomes if isinstance(outcome.result, PageFailure)] == ["torn.png"]
        assert sum(isinstance(outcome.result, PageResult) for outcome in outcomes) > 3
    assert csvs(tmp_path / "bucket") == csvs(tmp_path / "disk")
    plan = plan_batch([f"{bucket.url}/scans"], tmp_path / "bucket")
    assert [source.name for source in plan.pending] == ["torn.png"]


def test_results_in_a_bucket_are_those_of_a_disk(bucket: Any, scans: Path, tmp_path: Path) -> None:
    read(scans, tmp_path / "disk")
    assert read(scans, f"{bucket.url}/out/") == ["a.png", "b.png", "blank.png"]
    assert published(bucket) == csvs(tmp_path / "disk")
    names = {name.removeprefix("out/") for name in bucket.files()}
    assert names - set(published(bucket)) == {"docscan.db", "results.xlsx", "run.json", ".docscan.published.json"}


def test_a_rerun_goes_on_from_a_bucket_on_this_computer_and_on_another(
    bucket: Any, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read(scans, f"{bucket.url}/out")
    before = published(bucket)
    assert read(scans, f"{bucket.url}/out") == []
    monkeypatch.setenv("DOCSCAN_CACHE", str(tmp_path / "another"))
    assert [source.name for source in plan_batch([scans], f"{bucket.url}/out").pending] == []
    assert read(scans, f"{bucket.url}/out") == []
    assert published(bucket) == before
    write_scans(scans, {"a.png": "fail", "new.png": "9"})
    assert read(scans, f"{bucket.url}/out") == ["a.png", "new.png"]
    monkeypatch.setenv("DOCSCAN_CACHE", str(tmp_path / "cache"))  # its copy is older than what is published now
    assert read(scans, f"{bucket.url}/out") == ["a.png"]
    assert sorted(published(bucket)) == [
        *("failures.csv", "pages/b.png.csv", "pages/blank.png.csv", "pages/new.png.csv", "results.csv")
    ]
    assert [path.name for path in cache_folder(f"{bucket.url}/out").glob("out/pages/*")] != []


def test_results_that_were_taken_away_from_a_bucket_do_not_come_back(bucket: Any, scans: Path) -> None:
    read(scans, f"{bucket.url}/out")
    bucket.store.rm(f"{bucket.url}/out", recursive=True)
    assert read(scans, f"{bucket.url}/out") == ["a.png", "b.png", "blank.png"]


def test_what_is_read_is_published_while_the_run_goes_on(bucket: Any, scans: Path, tmp_path: Path) -> None:
    with working_folder(f"{bucket.url}/out", QUICK) as folder, open_batch([scans], folder, options=ONE_JOB) as batch:
        for _ in batch.outcomes(read_words):
            pass
        wait_until(lambda: pages_read(bucket, tmp_path) == 2)  # and a blank one
    assert "pages/a.png.csv" in published(bucket)


KILLED_RUN = """
    import sys, time
    from page_readers import read_words
    from docscan.batch.mirror import Rhythm, working_folder
    from docscan.batch.run import RunOptions, open_batch
    with working_folder(sys.argv[2], Rhythm(publish_s=0.3, renew_s=0.1)) as folder:
        with open_batch([sys.argv[1]], folder, options=RunOptions(jobs=1)) as batch:
            for count, outcome in enumerate(batch.outcomes(read_words), start=1):
                print(outcome.source.name, flush=True)
                time.sleep(600 * (count == 4))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
@pytest.mark.parametrize("cache", ["cache", "another"])
def test_a_killed_run_is_finished_from_its_bucket_here_or_elsewhere(
    bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: str
) -> None:
    scans = write_scans(tmp_path / "many", {f"p{index:02}.png": str(index) for index in range(12)})
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(KILLED_RUN), scans, f"{bucket.url}/out"],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        done = {process.stdout.readline().strip() for _ in range(4)}
        wait_until(lambda: pages_read(bucket, tmp_path) == 4)
        process.send_signal(signal.SIGKILL)
    assert "out/.docscan.lease.json" in bucket.files()
    monkeypatch.setenv("DOCSCAN_CACHE", str(tmp_path / cache))
    assert done.isdisjoint(read(scans, f"{bucket.url}/out", RunOptions(jobs=2)))
    results = published(bucket)["results.csv"].decode("utf-8-sig").splitlines()[1:]
    assert sorted(row.split(",")[0] for row in results) == [f"p{index:02}.png" for index in range(12)]


def pages_read(bucket: Any, folder: Path) -> int:
    """According to the database that is published."""
    if bucket.note() == b"":
        return 0
    bucket.store.get(f"{bucket.url}/out/docscan.db", str(folder / "docscan.db"))
    with open_store(folder) as store:
        return store.counts().read


def wait_until(fact: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not fact():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_two_runs_do_not_share_a_bucket(bucket: Any, scans: Path) -> None:
    words = rf"/out is in use by another run \(process {os.getpid()} on {socket.gethostname()}, since 20.*\); wait"
    with working_folder(f"{bucket.url}/out"), pytest.raises(OutputInUseError, match=words):
        read(scans, f"{bucket.url}/out")
    assert read(scans, f"{bucket.url}/out") == ["a.png", "b.png", "blank.png"]


def lease_of_another(bucket: Any, age_s: float) -> None:
    holder = {"pid": 1, "host": "elsewhere", "since": "2026", "process_started": 0}
    lease = {"id": "x", "renewed": time.time() - age_s} | holder
    bucket.put("out/.docscan.lease.json", json.dumps(lease).encode())


def test_the_lease_of_another_computer_is_heeded_while_it_is_renewed(bucket: Any, scans: Path) -> None:
    lease_of_another(bucket, age_s=0)
    with pytest.raises(OutputInUseError, match="process 1 on elsewhere, since 2026"):
        read(scans, f"{bucket.url}/out")


def test_the_lease_of_another_computer_is_taken_over_once_it_is_not_renewed(bucket: Any) -> None:
    lease_of_another(bucket, age_s=3600)
    with working_folder(f"{bucket.url}/out", QUICK):
        lease = json.loads(bucket.files()["out/.docscan.lease.json"])
        assert lease["host"] == socket.gethostname()
    assert "out/.docscan.lease.json" not in bucket.files()


def test_a_run_whose_lease_was_taken_over_publishes_nothing_more(bucket: Any) -> None:
    with ExitStack() as stack:
        folder = stack.enter_context(working_folder(f"{bucket.url}/out", QUICK))
        lease_of_another(bucket, age_s=0)
        time.sleep(2)  # it looks ten times a second
        (folder / "results.csv").write_text("mine")
        with pytest.raises(OutputInUseError, match="was taken over by another run while it could not be reached"):
            stack.close()
    assert json.loads(bucket.files()["out/.docscan.lease.json"])["host"] == "elsewhere"
    assert "out/results.csv" not in bucket.files()


def test_a_bucket_that_is_gone_at_the_end_loses_nothing(bucket: Any, scans: Path) -> None:
    outcomes = scan_batch([scans], f"{bucket.url}/out", options=ONE_JOB, read=read_words)
    next(outcomes)
    bucket.store.rm(bucket.url, recursive=True)
    with pytest.raises(OutputError, match=r"What was read so far is kept in .*cache"):
        list(outcomes)
    bucket.store.mkdir(bucket.url)
    assert read(scans, f"{bucket.url}/out") == []
    assert "pages/a.png.csv" in published(bucket)


def test_a_place_nobody_may_write_to_is_an_error_in_words(s3_server: None, scans: Path) -> None:
    with pytest.raises(OutputError, match="s3://no-such-bucket-at-all/out"):
        read(scans, "s3://no-such-bucket-at-all/out")


def test_an_output_in_a_bucket_can_be_looked_into(
    bucket: Any, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read(scans, f"{bucket.url}/out")
    for cache in ("cache", "another"):
        monkeypatch.setenv("DOCSCAN_CACHE", str(tmp_path / cache))
        with readable_folder(f"{bucket.url}/out") as folder, open_store(folder) as store:
            assert store.counts().found == 3
