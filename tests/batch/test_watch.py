import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from page_readers import read_words, write_scans
from PIL import Image

from docscan.batch.run import RunOptions, open_batch, scan_batch
from docscan.batch.watch import Files, Notice, WatchOptions, watch
from docscan.errors import NothingToReadError, OutputInUseError, SettingsError
from docscan.files.store import open_store
from docscan.records import PageFailure, PageSource

ONE_JOB = RunOptions(jobs=1)
ONCE = WatchOptions(interval_s=0.1, stable_for_s=0, once=True)
ALWAYS = WatchOptions(interval_s=0.1, stable_for_s=0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "incoming"
    write_scans(path, {"a.png": "12 007", "b/c.png": "345", "blank.png": ""})
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def told(folder: Path, out: Path, watching: WatchOptions = ONCE) -> Iterator[str]:
    """What a watch tells: the names of pages as they are read, failed ones with a !, and notices."""
    for event in watch(folder, out, watching, options=ONE_JOB, read=read_words):
        if isinstance(event, Notice):
            yield event.text
        else:
            yield f"{'!' if isinstance(event.result, PageFailure) else ''}{event.source.name}"


def results(out: Path) -> dict[str, bytes]:
    made = {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    return {name: content for name, content in made.items() if name.endswith((".csv", ".xlsx"))}


def test_a_watch_writes_what_a_run_writes_and_publishes_once(folder: Path, out: Path, tmp_path: Path) -> None:
    assert list(told(folder, out)) == [
        "a.png",
        "b/c.png",
        "blank.png",
        "3 pages in: 2 read, 1 blank, 0 failed. 3 numbers, 3 to review.",
    ]
    list(scan_batch([folder], tmp_path / "run", options=ONE_JOB, read=read_words))
    assert results(out) == results(tmp_path / "run")


def test_a_watch_begun_again_reads_what_is_new_changed_or_failed(folder: Path, out: Path) -> None:
    write_scans(folder, {"bad.png": "fail"})
    list(told(folder, out))
    write_scans(folder, {"new.png": "9", "b/c.png": "3456"})
    assert list(told(folder, out)) == [
        "b/c.png",
        "!bad.png",
        "new.png",
        "5 pages in: 3 read, 1 blank, 1 failed. 4 numbers, 4 to review.",
    ]


def test_a_watch_with_nothing_new_writes_nothing(folder: Path, out: Path) -> None:
    list(told(folder, out))
    written = {path: path.stat().st_mtime_ns for path in out.rglob("*.csv")}
    assert list(told(folder, out)) == ["3 pages in: 2 read, 1 blank, 0 failed. 3 numbers, 3 to review."]
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.csv")} == written


def test_pages_that_arrive_out_of_order_are_published_in_order(tmp_path: Path, out: Path) -> None:
    folder = tmp_path / "incoming"
    for name in ("p10.png", "p2.png", "a/p1.png"):
        write_scans(folder, {name: "7"})
        list(told(folder, out))
    list(scan_batch([folder], tmp_path / "run", options=ONE_JOB, read=read_words))
    assert results(out) == results(tmp_path / "run")


def test_scans_are_read_as_they_arrive(folder: Path, out: Path) -> None:
    events = told(folder, out, ALWAYS)
    first = [next(events) for _ in range(4)]
    assert first[3].startswith("3 pages in: ")
    write_scans(folder, {"new.png": "9"})
    assert (next(events), next(events)) == ("new.png", "4 pages in: 3 read, 1 blank, 0 failed. 4 numbers, 4 to review.")
    write_scans(folder, {"new.png": "10 11"})
    assert (next(events), next(events)) == ("new.png", "4 pages in: 3 read, 1 blank, 0 failed. 5 numbers, 5 to review.")
    events.close()  # type: ignore[attr-defined]


def test_an_empty_folder_is_watched_and_everything_taken_away_again_keeps_its_numbers(
    tmp_path: Path, out: Path
) -> None:
    folder = tmp_path / "incoming"
    folder.mkdir()
    assert list(told(folder, out)) == ["0 pages in: 0 read, 0 blank, 0 failed. 0 numbers, 0 to review."]
    write_scans(folder, {"a.png": "12"})
    list(told(folder, out))
    before = results(out)
    (folder / "a.png").unlink()
    assert list(told(folder, out)) == ["1 page in: 1 read, 0 blank, 0 failed. 1 number, 1 to review."]
    assert results(out) == before


def test_a_page_that_failed_is_forgotten_with_its_file_and_read_when_another_comes(folder: Path, out: Path) -> None:
    write_scans(folder, {"bad.png": "fail"})
    events = told(folder, out, ALWAYS)
    assert [next(events) for _ in range(5)][4].startswith("4 pages in: 2 read, 1 blank, 1 failed.")
    (folder / "bad.png").unlink()
    assert next(events).startswith("3 pages in: 2 read, 1 blank, 0 failed.")
    write_scans(folder, {"bad.png": "77"})
    assert (next(events), next(events)[:38]) == ("bad.png", "4 pages in: 3 read, 1 blank, 0 failed.")
    events.close()  # type: ignore[attr-defined]


def test_a_file_with_fewer_pages_than_before_loses_those(tmp_path: Path, out: Path) -> None:
    folder = tmp_path / "incoming"
    folder.mkdir()
    pages = [Image.new("L", (100, 100), 255) for _ in range(3)]
    for count in (3, 2):
        pages[0].save(folder / "a.tif", save_all=True, append_images=pages[1:count])
        list(watch(folder, out, ONCE, options=ONE_JOB))
    with open_store(out) as store:
        assert [(entry.page, entry.state) for entry in store.entries()] == [(1, "blank"), (2, "blank")]
    assert sorted(path.name for path in (out / "pages").iterdir()) == ["a.tif.p0001.csv", "a.tif.p0002.csv"]


def test_a_folder_that_drops_is_waited_for(folder: Path, out: Path, tmp_path: Path) -> None:
    events = told(folder, out, ALWAYS)
    assert len([next(events) for _ in range(4)]) == 4
    before = results(out)
    folder.rename(tmp_path / "gone")
    assert next(events).startswith(f"{folder} cannot be reached (")
    assert results(out) == before
    write_scans(tmp_path / "gone", {"new.png": "9"})
    (tmp_path / "gone").rename(folder)
    assert [next(events) for _ in range(3)] == [
        f"{folder} can be reached again",
        "new.png",
        "4 pages in: 3 read, 1 blank, 0 failed. 4 numbers, 4 to review.",
    ]
    events.close()  # type: ignore[attr-defined]


def test_an_output_folder_that_cannot_be_written_for_a_while_is_waited_for(folder: Path, out: Path) -> None:
    events = told(folder, out, ALWAYS)
    assert len([next(events) for _ in range(4)]) == 4
    (out / "pages").rename(out / "aside")
    (out / "pages").write_text("in the way")
    write_scans(folder, {"new.png": "9"})
    assert f"waiting for {out}" in next(events)
    (out / "pages").unlink()
    (out / "aside").rename(out / "pages")
    assert (next(events), next(events)) == ("new.png", "4 pages in: 3 read, 1 blank, 0 failed. 4 numbers, 4 to review.")
    events.close()  # type: ignore[attr-defined]


def test_results_in_the_folder_itself_are_no_scans(folder: Path, tmp_path: Path) -> None:
    out = folder / "results"
    list(told(folder, out))
    (out / "overlays").mkdir()
    write_scans(out / "overlays", {"a.png": "12"})
    assert list(told(folder, out)) == ["3 pages in: 2 read, 1 blank, 0 failed. 3 numbers, 3 to review."]


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes among files")
def test_what_is_no_file_is_told_once_and_never_read(folder: Path, out: Path) -> None:
    os.mkfifo(folder / "pipe.png")
    notices = [
        event for event in watch(folder, out, ONCE, options=ONE_JOB, read=read_words) if isinstance(event, Notice)
    ]
    assert [(notice.text, notice.is_unread) for notice in notices] == [
        ("pipe.png: not a file but a device or pipe", True),
        ("3 pages in: 2 read, 1 blank, 0 failed. 3 numbers, 3 to review.", False),
    ]


def test_a_watch_holds_its_output_folder(folder: Path, out: Path) -> None:
    events = told(folder, out, ALWAYS)
    next(events)
    with pytest.raises(OutputInUseError), open_batch([folder], out, options=ONE_JOB):
        pass
    events.close()  # type: ignore[attr-defined]
    with open_batch([folder], out, options=ONE_JOB):
        pass  # it was let go of


def test_folders_that_cannot_be_watched_are_refused_in_words(folder: Path, out: Path, tmp_path: Path) -> None:
    with pytest.raises(NothingToReadError, match="nowhere is no folder that can be reached"):
        next(told(tmp_path / "nowhere", out))
    with pytest.raises(NothingToReadError, match=r"a\.png is no folder that can be reached"):
        next(told(folder / "a.png", out))
    with pytest.raises(SettingsError, match="is the folder to watch; give another one for the results"):
        next(told(folder, folder))
    with pytest.raises(SettingsError, match="interval is 0"):
        WatchOptions(interval_s=0)
    assert not out.exists()


def scan(size: int, name: str = "a.png") -> PageSource:
    return PageSource(f"/s/{name}", name, size=size, mtime_ns=1)


def test_a_file_is_ready_when_it_has_not_changed_for_long_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    files = Files(stable_for_s=5)

    def ready_at(moment: float, *listed: PageSource) -> list[int]:
        clock[0] = moment
        return [source.size for source in files.ready(listed)]

    assert ready_at(100, scan(1)) == []
    assert files.wait_s == 5
    assert ready_at(104, scan(2)) == []  # it grows
    assert ready_at(108, scan(2)) == []
    assert ready_at(108.5) == []  # gone, and there again
    assert ready_at(109, scan(2)) == []
    assert ready_at(114, scan(2), scan(7, "b.png")) == [2]
    files.done["/s/a.png"] = 2, 1
    assert ready_at(119, scan(2), scan(7, "b.png")) == [7]
    assert ready_at(130, scan(3)) == []  # done, and changed since
    assert ready_at(135, scan(3)) == [3]
