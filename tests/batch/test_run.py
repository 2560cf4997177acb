import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Generator, Iterable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from page_readers import read_words, write_scans

from docscan.batch.engines import PageReader
from docscan.batch.pool import PoolLimits
from docscan.batch.run import RunOptions, open_batch, plan_batch, scan_batch
from docscan.batch.worker import Job
from docscan.errors import ModelError, NothingToReadError, OutputError, OutputInUseError, SettingsError
from docscan.files.results import CsvFormat
from docscan.files.store import open_store
from docscan.records import PageFailure, PageOutcome, PageSource
from docscan.settings import ReviewSettings, Settings

HEADER = "\ufeffsource,page,line,position,text,confidence,review,reason,x,y,width,height,row,column,field\n"
ONE_JOB = RunOptions(jobs=1)


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    write_scans(folder, {"a.png": "12 007", "b/c.png": "345", "blank.png": ""})
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def read(scans: Path, out: Path, options: RunOptions = ONE_JOB, settings: Settings | None = None) -> list[str]:
    """Run the batch to its end: the names of the pages it read."""
    outcomes = scan_batch([scans], out, settings=settings, options=options, read=read_words)
    return sorted(outcome.source.name for outcome in outcomes)


def files(out: Path) -> dict[str, bytes]:
    made = {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    return {
        name: content for name, content in made.items() if not name.startswith((".docscan", "docscan.db", "run.json"))
    }


def test_a_batch_writes_a_csv_a_page_and_the_results_of_all(scans: Path, out: Path) -> None:
    assert read(scans, out) == ["a.png", "b/c.png", "blank.png"]
    made = files(out)
    assert sorted(made) == [
        "failures.csv",
        "pages/a.png.csv",
        "pages/b/c.png.csv",
        "pages/blank.png.csv",
        "results.csv",
        "results.xlsx",
    ]
    first = "a.png,1,1,1,12,0.8750,true,low-confidence,1,2,8,10,,,\n"
    second = "a.png,1,1,2,007,0.8750,true,low-confidence,1,2,8,10,,,\n"
    third = "b/c.png,1,1,1,345,0.8750,true,low-confidence,1,2,8,10,,,\n"
    assert made["pages/a.png.csv"].decode() == HEADER + first + second
    assert made["pages/blank.png.csv"].decode() == HEADER
    assert sorted(made["results.csv"].decode().splitlines()) == sorted((HEADER + first + second + third).splitlines())
    assert made["failures.csv"].decode() == "\ufeffsource,page,reason\n"


def test_a_second_run_with_nothing_new_reads_nothing_and_changes_nothing(scans: Path, out: Path) -> None:
    read(scans, out)
    before = files(out)
    written = (out / "results.csv").stat().st_mtime_ns
    assert read(scans, out) == []
    assert files(out) == before
    assert (out / "results.csv").stat().st_mtime_ns == written


def test_a_second_run_reads_what_is_new_changed_or_failed(scans: Path, out: Path) -> None:
    write_scans(scans, {"bad.png": "fail"})
    read(scans, out)
    write_scans(scans, {"new.png": "9", "b/c.png": "3456"})
    assert read(scans, out) == ["b/c.png", "bad.png", "new.png"]
    texts = [line.split(",")[4] for line in (out / "results.csv").read_text("utf-8-sig").splitlines()[1:]]
    assert sorted(texts) == ["007", "12", "3456", "9"]


def test_a_page_that_fails_is_a_row_of_failures_and_loses_its_old_csv(scans: Path, out: Path) -> None:
    read(scans, out)
    write_scans(scans, {"a.png": "fail"})
    read(scans, out)
    assert (out / "failures.csv").read_text("utf-8-sig") == "source,page,reason\na.png,1,it was told to\n"
    assert not (out / "pages" / "a.png.csv").exists()
    assert "a.png" not in (out / "results.csv").read_text("utf-8-sig")


def test_pages_in_are_pages_read_blank_and_failed(scans: Path, out: Path) -> None:
    write_scans(scans, {"bad.png": "fail", "crash.png": "crash"})
    (scans / "text.png").write_text("a letter")
    with open_batch([scans], out, options=ONE_JOB) as batch:
        assert len(list(batch.outcomes(read_words))) == 6
        counts = batch.finish()
    assert (counts.found, counts.read, counts.blank, counts.failed, counts.left) == (6, 2, 1, 3, 0)
    assert (counts.numbers, counts.review) == (3, 3)


def test_the_results_do_not_depend_on_the_number_of_workers(scans: Path, tmp_path: Path) -> None:
    write_scans(scans, {f"p{index}.png": str(index) for index in range(12)})
    read(scans, tmp_path / "one")
    read(scans, tmp_path / "two", RunOptions(jobs=2))
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_redo_reads_every_page_again(scans: Path, out: Path) -> None:
    read(scans, out)
    before = files(out)
    assert read(scans, out, RunOptions(jobs=1, mode="redo")) == ["a.png", "b/c.png", "blank.png"]
    assert files(out) == before


def test_force_empties_the_folder_of_what_docscan_wrote_and_of_nothing_else(scans: Path, out: Path) -> None:
    read(scans, out)
    (out / "pages" / "notes.txt").write_text("mine")
    (scans / "b" / "c.png").unlink()
    assert read(scans, out, RunOptions(jobs=1, mode="force")) == ["a.png", "blank.png"]
    assert (out / "pages" / "notes.txt").read_text() == "mine"
    assert not (out / "pages" / "b").exists()


def test_force_leaves_a_folder_alone_that_no_run_has_written(scans: Path, out: Path) -> None:
    (out / "pages").mkdir(parents=True)
    (out / "pages" / "mine.csv").write_text("1,2")
    read(scans, out, RunOptions(jobs=1, mode="force"))
    assert (out / "pages" / "mine.csv").read_text() == "1,2"


def test_retry_failed_reads_the_failed_pages_alone(scans: Path, out: Path) -> None:
    write_scans(scans, {"bad.png": "fail"})
    read(scans, out)
    write_scans(scans, {"bad.png": "88", "new.png": "99"})
    assert read(scans, out, RunOptions(jobs=1, retry_failed=True)) == ["bad.png"]
    with open_store(out) as store:
        counts = store.counts()
    assert (counts.failed, counts.left) == (0, 1)
    assert read(scans, out) == ["new.png"]


def test_a_scan_that_is_gone_is_gone_from_the_results_and_is_not_read_again_when_back(scans: Path, out: Path) -> None:
    read(scans, out)
    before = files(out)
    (scans / "b" / "c.png").rename(scans / "c.hidden")
    assert read(scans, out) == []
    assert "c.png" not in (out / "results.csv").read_text("utf-8-sig")
    assert not (out / "pages" / "b" / "c.png.csv").exists()
    (scans / "c.hidden").rename(scans / "b" / "c.png")
    assert read(scans, out) == []
    assert files(out) == before


def test_a_csv_somebody_deleted_is_written_again_without_reading(scans: Path, out: Path) -> None:
    read(scans, out)
    before = files(out)
    (out / "pages" / "a.png.csv").unlink()
    (out / "results.xlsx").unlink()
    assert read(scans, out) == []
    assert files(out) == before


def test_another_delimiter_is_written_without_reading(scans: Path, out: Path) -> None:
    read(scans, out)
    assert read(scans, out, RunOptions(jobs=1, csv=CsvFormat("utf-8", ";"))) == []
    assert (
        (out / "pages" / "b" / "c.png.csv").read_text("utf-8").splitlines()[1].startswith("b/c.png;1;1;1;345;0.8750;")
    )
    assert (out / "results.csv").read_text("utf-8").startswith("source;page;")


def test_another_setting_reads_every_page_again(scans: Path, out: Path) -> None:
    read(scans, out)
    settings = Settings(review=ReviewSettings(min_confidence=0.5))
    assert read(scans, out, settings=settings) == ["a.png", "b/c.png", "blank.png"]


def test_leaving_the_loop_early_stops_the_run_and_the_next_goes_on(scans: Path, out: Path) -> None:
    write_scans(scans, {f"slow{index}.png": "slow 1" for index in range(6)})
    outcomes = scan_batch([scans], out, options=ONE_JOB, read=read_words)
    first = {next(outcomes).source.name for _ in range(2)}
    outcomes.close()
    with open_store(out) as store:
        done = {entry.source for entry in store.entries() if entry.state in {"read", "blank"}}
    assert first <= done
    assert done.isdisjoint(read(scans, out))


def test_a_draft_left_by_a_killed_run_is_cleared_away(scans: Path, out: Path) -> None:
    read(scans, out)
    draft = out / "pages" / ".0123abcd.part"
    draft.write_text("torn")
    read(scans, out)
    assert not draft.exists()


def test_a_page_that_crashes_its_worker_costs_that_page_only(scans: Path, out: Path) -> None:
    write_scans(scans, {"crash.png": "crash"})
    outcomes = {outcome.source.name: outcome for outcome in scan_batch([scans], out, options=ONE_JOB, read=read_words)}
    assert sorted(outcomes) == ["a.png", "b/c.png", "blank.png", "crash.png"]
    failure = outcomes["crash.png"].result
    assert isinstance(failure, PageFailure)
    assert "made its worker process crash" in failure.reason


def test_a_page_that_crashed_under_load_is_read_alone(scans: Path, out: Path) -> None:
    write_scans(scans, {"crash.png": "crash once"})
    outcomes = {outcome.source.name: outcome for outcome in scan_batch([scans], out, options=ONE_JOB, read=read_words)}
    assert not isinstance(outcomes["crash.png"].result, PageFailure)


def test_a_page_that_hangs_is_given_up(scans: Path, out: Path) -> None:
    write_scans(scans, {"hang.png": "hang"})
    options = RunOptions(jobs=2, page_timeout_s=0.5)
    outcomes = {outcome.source.name: outcome for outcome in scan_batch([scans], out, options=options, read=read_words)}
    assert sorted(outcomes) == ["a.png", "b/c.png", "blank.png", "hang.png"]
    assert outcomes["hang.png"].result == PageFailure("took longer than 0.5 s; raise --page-timeout to give it more")


def test_a_page_that_eats_the_memory_is_given_up(scans: Path, out: Path) -> None:
    write_scans(scans, {"eat.png": "eat"})
    options = RunOptions(jobs=2, max_memory_mib=600)
    outcomes = {outcome.source.name: outcome for outcome in scan_batch([scans], out, options=options, read=read_words)}
    assert sorted(outcomes) == ["a.png", "b/c.png", "blank.png", "eat.png"]
    assert outcomes["eat.png"].result == PageFailure(
        "needs more memory than 600 MiB; raise --max-memory, or lower --dpi"
    )


def test_a_page_an_engine_has_forgotten_is_a_failure(scans: Path, out: Path) -> None:
    def read_one_twice(
        sources: Iterable[PageSource], job: Job, limits: PoolLimits, read: PageReader
    ) -> Generator[PageOutcome, None, None]:
        first = next(iter(sources))
        yield read(first, job)
        yield read(first, job)

    options = RunOptions(engine=read_one_twice)
    assert read(scans, out, options) == ["a.png", "b/c.png", "blank.png"]
    assert (out / "failures.csv").read_text("utf-8-sig").splitlines()[1:] == [
        "b/c.png,1,no worker has answered for it; run again to read it",
        "blank.png,1,no worker has answered for it; run again to read it",
    ]
    assert read(scans, out) == ["b/c.png", "blank.png"]


def test_pages_another_program_took_from_the_database_are_an_error_in_words(scans: Path, out: Path) -> None:
    with open_batch([scans], out, options=ONE_JOB) as batch:
        list(batch.outcomes(read_words))
        batch.store.connection.execute("DELETE FROM pages WHERE source = 'a.png'")
        with pytest.raises(OutputError, match=r"docscan\.db holds 2 of the 3 pages of this run"):
            batch.finish()
    assert read(scans, out) == ["a.png"]


def test_a_file_whose_pages_take_too_long_to_count_is_given_up(scans: Path, out: Path) -> None:
    tags, pages = 0xFFFF, 10_000  # each page has as many tags as there can be, and begins 4 bytes after the one before
    counts, pointers = 8, 8 + 2 + 12 * tags
    content = bytearray(b"II*\0" + counts.to_bytes(4, "little") + b"\xff" * (pointers + 4 * pages))
    for page in range(pages):
        content[pointers + 4 * page : pointers + 4 * page + 4] = (counts + 4 * page + 4).to_bytes(4, "little")
    (scans / "tags.tif").write_bytes(content)
    outcomes = scan_batch([scans], out, options=RunOptions(jobs=1, page_timeout_s=2), read=read_words)
    failed = [(outcome.source.name, outcome.result) for outcome in outcomes if isinstance(outcome.result, PageFailure)]
    assert failed == [("tags.tif", PageFailure("took longer than 2 s; raise --page-timeout to give it more"))]


def test_another_engine_can_read_the_pages(scans: Path, out: Path) -> None:
    def read_here(
        sources: Iterable[PageSource], job: Job, limits: PoolLimits, read: PageReader
    ) -> Generator[PageOutcome, None, None]:
        yield from (read(source, job) for source in sources)

    assert read(scans, out, RunOptions(engine=read_here)) == ["a.png", "b/c.png", "blank.png"]


def soon(seconds: float) -> datetime:
    return datetime.now().astimezone() + timedelta(seconds=seconds)


def test_a_deadline_stops_the_run_with_the_results_of_what_was_read(scans: Path, out: Path) -> None:
    write_scans(scans, {f"slow{index}.png": "slow 1" for index in range(100)})  # half a minute
    with open_batch([scans], out, options=RunOptions(jobs=1, deadline=soon(4))) as batch:
        done = [outcome.source.name for outcome in batch.outcomes(read_words)]
        counts = batch.finish()
    assert (counts.found, counts.failed) == (103, 0)
    assert counts.left == 103 - len(done) > 0
    assert batch.tally.ending == "deadline"
    rows = (out / "results.csv").read_text("utf-8-sig").splitlines()[1:]
    assert {row.split(",")[0] for row in rows} == set(done) - {"blank.png"}
    assert len(plan_batch([scans], out).pending) == counts.left


def test_a_deadline_does_not_wait_for_a_page_that_hangs(scans: Path, out: Path) -> None:
    write_scans(scans, {"hang.png": "hang"})  # a minute
    before = time.monotonic()
    with open_batch([scans], out, options=RunOptions(jobs=2, deadline=soon(3))) as batch:
        done = {outcome.source.name for outcome in batch.outcomes(read_words)}
        left = batch.finish().left
    assert time.monotonic() - before < 30
    assert "hang.png" not in done
    assert left == 4 - len(done)


def test_a_deadline_that_no_page_is_left_at_changes_nothing(scans: Path, out: Path) -> None:
    with open_batch([scans], out, options=RunOptions(jobs=1, deadline=soon(3600))) as batch:
        assert len(list(batch.outcomes(read_words))) == 3
        assert batch.finish().left == 0
    assert batch.tally.ending == "finished"


def test_a_plan_lists_what_would_be_read_and_writes_nothing(scans: Path, out: Path) -> None:
    assert [source.name for source in plan_batch([scans], out).pending] == ["a.png", "b/c.png", "blank.png"]
    assert not out.exists()
    read(scans, out)
    write_scans(scans, {"new.png": "1"})
    before = files(out)
    assert [source.name for source in plan_batch([scans], out).pending] == ["new.png"]
    assert files(out) == before


def test_no_scans_make_no_output_folder(tmp_path: Path, out: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(NothingToReadError):
        list(scan_batch([tmp_path / "empty"], out))
    assert not out.exists()


def test_a_missing_model_stops_the_run_before_anything_is_made(scans: Path, out: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no\.onnx"):
        list(scan_batch([scans], out, options=RunOptions(model=tmp_path / "no.onnx")))
    assert not out.exists()


def test_an_output_folder_that_is_a_file_is_an_error_in_words(scans: Path, out: Path) -> None:
    out.write_text("not a folder")
    with pytest.raises(OutputError, match="cannot write there"):
        list(scan_batch([scans], out))


def test_an_output_folder_in_use_names_the_run_that_has_it(scans: Path, out: Path) -> None:
    with (
        open_batch([scans], out, options=ONE_JOB),
        pytest.raises(OutputInUseError, match=rf"in use by another run \(process {os.getpid()} on .+, since 20"),
    ):
        list(scan_batch([scans], out))
    with open_batch([scans], out, options=ONE_JOB):
        pass  # it was let go of


def test_a_damaged_database_is_an_error_that_names_the_way_out(scans: Path, out: Path) -> None:
    out.mkdir()
    (out / "docscan.db").write_bytes(b"this is no database, but it is long enough to be looked at" * 50)
    with pytest.raises(OutputError, match=r"is damaged .* --mode force"):
        list(scan_batch([scans], out))
    assert read(scans, out, RunOptions(jobs=1, mode="force")) == ["a.png", "b/c.png", "blank.png"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"jobs": 0}, "jobs is 0"),
        ({"page_timeout_s": 0}, "page_timeout is 0"),
        ({"max_memory_mib": 0}, "max_memory is 0; expected 1 MiB or more"),
        ({"retry_failed": True, "mode": "redo"}, "choose one"),
    ],
)
def test_options_that_cannot_be_are_refused_in_words(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        RunOptions(**wrong)  # type: ignore[arg-type]


def test_a_script_needs_no_main_guard(tmp_path: Path) -> None:
    write_scans(tmp_path / "scans", {"bad.png": "no picture"})
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
            import docscan
            print("once")
            for outcome in docscan.scan_batch(["scans"], "out"):
                print(outcome.source.name, type(outcome.result).__name__)
        """)
    )
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.stdout, done.stderr) == ("once\nbad.png PageFailure\n", "")
