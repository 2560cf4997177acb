"""A real scheduler and real workers on this machine; see README, "Past one machine"."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from page_readers import read_words, write_scans

from docscan import __version__
from docscan.batch.run import RunOptions, open_batch, scan_batch
from docscan.errors import EngineError
from docscan.records import PageResult
from docscan.stages.classify import SHIPPED, load_model

distributed = pytest.importorskip("distributed", reason="needs the extra `dask`")
cluster = pytest.importorskip("docscan.batch.cluster")

HERE = Path(__file__).parent
SAMPLES = HERE.parent.parent / "samples"
REFUSED = "has joined and gets no page: docscan is 9.9"
OTHER_VERSION = "import docscan; docscan.__version__ = '9.9'"
NO_PROCESS = """
from docscan.batch import pool
def start(process):
    raise OSError(11, "no room")
pool._WorkerProcess.start = start
"""
DASK = "from dask.__main__ import main; main()"


@dataclass
class Cluster:
    """A scheduler and its workers, in processes of their own."""

    folder: Path
    processes: list["subprocess.Popen[bytes]"] = field(default_factory=list)
    address: str = ""

    def start(self, *arguments: str, before: str = "") -> "subprocess.Popen[bytes]":
        log = (self.folder / f"{len(self.processes)}.log").open("wb")
        with log:
            process = subprocess.Popen(
                [sys.executable, "-c", f"{before}\n{DASK}", *arguments, "--host", "127.0.0.1", "--no-dashboard"],
                cwd=self.folder,
                env=os.environ | {"PYTHONPATH": str(HERE)},
                stdout=log,
                stderr=log,
            )
        self.processes.append(process)
        return process

    def start_scheduler(self) -> "subprocess.Popen[bytes]":
        file = self.folder / "scheduler.json"
        process = self.start("scheduler", "--port", "0", "--scheduler-file", str(file))
        wait_until(lambda: file.exists() and b"}" in file.read_bytes())
        self.address = str(distributed.utils.json.loads(file.read_text())["address"])
        return process

    def start_worker(self, *arguments: str, before: str = "") -> "subprocess.Popen[bytes]":
        return self.start("worker", self.address, *arguments, before=before)

    def count(self) -> int:
        with distributed.Client(self.address, set_as_default=False) as client:
            return len(client.scheduler_info()["workers"])

    def stop(self, *processes: "subprocess.Popen[bytes]") -> None:
        for process in reversed(processes or self.processes):  # the workers first
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:  # Dask's own: one whose scheduler has just gone may wait for it
                process.kill()
                process.wait()


def wait_until(fact: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not fact():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory, s3_server: None) -> Iterator[Cluster]:
    """Two, one of two threads and watched by a nanny, as they are by default; the other of one."""
    made = Cluster(tmp_path_factory.mktemp("dask"))
    try:
        made.start_scheduler()
        made.start_worker("--nthreads", "2")
        made.start_worker("--no-nanny", "--nthreads", "1")
        wait_until(lambda: made.count() == 2)
        yield made
    finally:
        made.stop()


@pytest.fixture
def lone(tmp_path: Path) -> Iterator[Cluster]:
    """A scheduler without workers."""
    made = Cluster(tmp_path)
    try:
        made.start_scheduler()
        yield made
    finally:
        made.stop()


def options(cluster_: Cluster, **others: object) -> RunOptions:
    return RunOptions(engine=cluster.DaskEngine(cluster_.address), **others)  # type: ignore[arg-type]


def csvs(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*.csv")}


def test_a_cluster_reads_what_one_machine_reads_and_loses_what_it_loses(workers: Cluster, tmp_path: Path) -> None:
    words = {f"p{index}.png": f"{index} 007" for index in range(20)}
    hostile = {"crash.png": "crash", "hang.png": "hang", "fail.png": "fail", "blank.png": ""}
    scans = write_scans(tmp_path / "scans", words | hostile)
    for out, chosen in (
        ("here", RunOptions(jobs=2, page_timeout_s=2)),
        ("there", options(workers, page_timeout_s=2)),
    ):
        assert len(list(scan_batch([scans], tmp_path / out, options=chosen, read=read_words))) == 24
    assert csvs(tmp_path / "there") == csvs(tmp_path / "here")
    failures = csvs(tmp_path / "there")["failures.csv"].decode("utf-8-sig").splitlines()
    assert [row.split(",")[0] for row in failures] == ["source", "crash.png", "fail.png", "hang.png"]
    assert workers.count() == 2  # the processes beside them ended, not they


def test_real_pages_come_out_byte_for_byte_as_on_one_machine_from_a_share_and_from_a_bucket(
    workers: Cluster, tmp_path: Path, bucket: Any
) -> None:
    for scan in ("clean/page.png", "table/page.png", "pdf-scan/scan.pdf", "multi-page-tiff/ledger.tif"):
        (tmp_path / "scans" / scan).parent.mkdir(parents=True)
        (tmp_path / "scans" / scan).write_bytes((SAMPLES / scan).read_bytes())
        bucket.put(scan, (SAMPLES / scan).read_bytes())
    for out, scans, chosen in (
        ("here", tmp_path / "scans", RunOptions(jobs=2)),
        ("there", tmp_path / "scans", options(workers)),
        ("bucket", bucket.url, options(workers)),
    ):
        with open_batch([scans], tmp_path / out, options=chosen) as batch:
            assert {type(outcome.result) for outcome in batch.outcomes()} == {PageResult}
            batch.finish()
    assert csvs(tmp_path / "there") == csvs(tmp_path / "here")
    assert csvs(tmp_path / "bucket") == csvs(tmp_path / "here")
    assert len(csvs(tmp_path / "there")["results.csv"].splitlines()) > 100


def test_a_deadline_stops_a_cluster_too(workers: Cluster, tmp_path: Path) -> None:
    scans = write_scans(tmp_path / "scans", {f"p{index}.png": "slow 1" for index in range(300)})  # 45 s
    deadline = datetime.now().astimezone() + timedelta(seconds=8)
    with open_batch([scans], tmp_path / "out", options=options(workers, deadline=deadline)) as batch:
        done = len(list(batch.outcomes(read_words)))
        counts = batch.finish()
    assert (counts.read, counts.failed, counts.left) == (done, 0, 300 - done)
    assert (done < 300, batch.tally.ending) == (True, "deadline")


def test_every_worker_reads_in_one_process_of_its_own(workers: Cluster, tmp_path: Path) -> None:
    scans = write_scans(tmp_path / "scans", {f"p{index}.png": "slow who" for index in range(12)})
    outcomes = list(scan_batch([scans], tmp_path / "out", options=options(workers), read=read_words))
    read_by = Counter(o.result.numbers[0].text for o in outcomes if isinstance(o.result, PageResult))
    with distributed.Client(workers.address, set_as_default=False) as client:
        assert set(read_by) == {str(pid) for pid in client.run(os.getpid).values()}
    assert sum(read_by.values()) == 12


def test_the_scheduler_holds_a_few_pages_for_each_thread_however_many_there_are(
    workers: Cluster, tmp_path: Path
) -> None:
    scans = write_scans(tmp_path / "scans", {f"p{index:03}.png": str(index) for index in range(200)})
    held, unread = [], []
    with (
        distributed.Client(workers.address, set_as_default=False) as client,
        closing(scan_batch([scans], tmp_path / "out", options=options(workers), read=read_words)) as outcomes,
    ):
        for count, _ in enumerate(outcomes):
            if count % 10 == 0:
                states = client.run_on_scheduler(
                    lambda dask_scheduler: [task.state for task in dask_scheduler.tasks.values()]
                )
                held.append(len(states))
                unread.append(sum(state in {"waiting", "queued", "no-worker", "processing"} for state in states))
    most = cluster.IN_FLIGHT_PER_THREAD * 3
    assert 1 <= max(unread) <= most
    assert max(held) <= 3 * most  # an answer that was taken goes a moment later


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_pages_of_a_killed_worker_are_read_by_others_and_those_that_join_read_too_if_they_may(
    workers: Cluster, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    doomed = workers.start_worker("--no-nanny", "--nthreads", "1")
    wait_until(lambda: workers.count() == 3)
    words = {f"p{index:03}.png": "slow who" if index < 20 else "who" for index in range(300)}
    scans = write_scans(tmp_path / "scans", words)
    read_by: list[str] = []
    late: list[subprocess.Popen[bytes]] = []
    for outcome in scan_batch([scans], tmp_path / "out", options=options(workers), read=read_words):
        assert isinstance(outcome.result, PageResult), outcome
        read_by.append(outcome.result.numbers[0].text)
        if not late and str(doomed.pid) in read_by:
            os.kill(doomed.pid, signal.SIGKILL)  # it has slow pages in hand
            late.append(workers.start_worker("--no-nanny", "--nthreads", "1"))
            late.append(
                workers.start_worker(
                    "--no-nanny", "--nthreads", "1", before="import docscan; docscan.__version__ = '9.9'"
                )
            )
        elif late and not (str(late[0].pid) in read_by and REFUSED in caplog.text):
            time.sleep(0.1)  # there must be pages left for them
    assert len(read_by) == 300
    assert [str(worker.pid) in read_by for worker in late] == [True, False]
    assert REFUSED in caplog.text
    workers.stop(*late)


def test_workers_that_would_read_otherwise_are_refused_in_words(lone: Cluster, tmp_path: Path) -> None:
    noted = b"\x72\x06\x0a\x01x\x12\x01y"  # one more entry of ModelProto.metadata_props: the same model, another file
    (tmp_path / "other.onnx").write_bytes(SHIPPED.read_bytes() + noted)
    for before in (
        OTHER_VERSION,
        "import docscan.stages.classify as c, pathlib; c.SHIPPED = pathlib.Path('other.onnx')",
        "import sys; sys.modules['docscan'] = None",
    ):
        lone.start_worker("--no-nanny", "--nthreads", "1", before=before)
    wait_until(lambda: lone.count() == 3)
    scans = write_scans(tmp_path / "scans", {"a.png": "1"})
    with pytest.raises(EngineError, match="would not read as this computer does") as raised:
        list(scan_batch([scans], tmp_path / "out", options=options(lone), read=read_words))
    faults = [line.split(": ", 1)[1] for line in str(raised.value).splitlines()[1:]]
    assert [fault for fault in faults if fault.startswith(f"docscan is 9.9, results 1 there and {__version__}, ")]
    assert [fault for fault in faults if fault.startswith("its model is another one (sha256 ")]
    assert [fault for fault in faults if fault.startswith("docscan cannot be run there; is it installed, ")]


def test_a_worker_that_does_not_see_the_scans_is_refused(workers: Cluster, tmp_path: Path) -> None:
    scan = str(tmp_path / "unmounted.png")
    demands = cluster.Demands({}, "", load_model().sha256, scan)
    with distributed.Client(workers.address, set_as_default=False) as client:
        faults = set(client.run(cluster.welcome, demands).values())
    assert faults == {f"{scan}: {os.strerror(errno.ENOENT)}; mount the folder of the scans there, under the same path"}


def test_a_worker_that_can_start_no_process_leaves_its_pages_to_others(workers: Cluster, tmp_path: Path) -> None:
    sick = workers.start_worker("--no-nanny", before=NO_PROCESS)
    wait_until(lambda: workers.count() == 3)
    scans = write_scans(tmp_path / "scans", {f"p{index:03}.png": "who" for index in range(20)})
    outcomes = list(scan_batch([scans], tmp_path / "out", options=options(workers), read=read_words))
    assert [outcome for outcome in outcomes if not isinstance(outcome.result, PageResult)] == []
    assert len(outcomes) == 20
    log = workers.folder / f"{workers.processes.index(sick)}.log"
    assert "reads no more: no worker process can be started (no room)" in log.read_text()
    workers.stop(sick)


def test_a_scheduler_nobody_answers_at_is_an_error_in_words(tmp_path: Path) -> None:
    scans = write_scans(tmp_path / "scans", {"a.png": "1"})
    for address, words in (
        ("tcp://127.0.0.1:9", "no Dask scheduler answers there"),
        ("carrier-pigeon://127.0.0.1", "no Dask scheduler answers there"),
    ):
        chosen = RunOptions(engine=cluster.DaskEngine(address, connect_s=0.5))
        with pytest.raises(EngineError, match=words):
            list(scan_batch([scans], tmp_path / "out", options=chosen, read=read_words))


def test_a_cluster_without_workers_is_given_up_in_the_end(lone: Cluster, tmp_path: Path) -> None:
    scans = write_scans(tmp_path / "scans", {"a.png": "1"})
    chosen = RunOptions(engine=cluster.DaskEngine(lone.address, patience_s=0.5))
    with pytest.raises(EngineError, match=r"there was no worker for 0.5 s. Start some, .* dask worker tcp://"):
        list(scan_batch([scans], tmp_path / "out", options=chosen, read=read_words))


def test_a_run_with_nothing_to_read_needs_no_cluster(tmp_path: Path) -> None:
    scans = write_scans(tmp_path / "scans", {"a.png": "1"})
    list(scan_batch([scans], tmp_path / "out", options=RunOptions(jobs=1), read=read_words))
    chosen = RunOptions(engine=cluster.DaskEngine("tcp://127.0.0.1:9", connect_s=0.5))
    assert list(scan_batch([scans], tmp_path / "out", options=chosen, read=read_words)) == []


def test_a_run_that_loses_its_scheduler_says_so_and_goes_on_with_another(lone: Cluster, tmp_path: Path) -> None:
    scans = write_scans(tmp_path / "scans", {f"p{index:03}.png": "slow 1" for index in range(20)})
    lone.start_worker("--no-nanny", "--nthreads", "1")
    engine = cluster.DaskEngine(lone.address, connect_s=1)
    outcomes = scan_batch([scans], tmp_path / "out", options=RunOptions(engine=engine), read=read_words)
    read = [next(outcomes).source.name]
    lone.processes[0].kill()
    with pytest.raises(EngineError, match="the scheduler is gone; what was read so far is kept"):
        read.extend(outcome.source.name for outcome in outcomes)
    rest = list(scan_batch([scans], tmp_path / "out", options=RunOptions(jobs=2), read=read_words))
    assert sorted(read + [outcome.source.name for outcome in rest]) == [f"p{index:03}.png" for index in range(20)]
