import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from docscan import pipeline
from docscan.batch.stopwatch import Cost, Stopwatch
from docscan.batch.worker import Job, read_source
from docscan.errors import PageError
from docscan.files.scans import ScanOptions
from docscan.records import Page, PageFailure, PageSource
from docscan.settings import Settings
from docscan.stages.classify import SHIPPED, load_model

SAMPLE = Path(__file__).parents[2] / "samples" / "clean" / "page.png"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that is a second further on whenever somebody looks."""
    seconds: Iterator[float] = iter(range(100))
    monkeypatch.setattr(time, "perf_counter", lambda: next(seconds))


def test_a_step_inside_another_counts_once(clock: None) -> None:
    watch = Stopwatch()
    with watch.step("page"):  # 0 to 5
        with watch.step("decode"):  # 1 to 2
            pass
        with watch.step("classify"):  # 3 to 4
            pass
    assert watch.seconds == {"decode": 1, "classify": 1, "page": 3}


def test_a_step_met_twice_adds_up_and_one_that_fails_counts(clock: None) -> None:
    watch = Stopwatch()

    def fail(_: int) -> int:
        raise PageError("torn")

    for number in range(2):
        with pytest.raises(PageError):
            watch.timed("decode", fail)(number)
    assert watch.seconds == {"decode": 2}


def test_a_step_costs_wall_time_and_processor_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "perf_counter", iter([2.0, 7.0]).__next__)
    monkeypatch.setattr(time, "process_time", iter([1.0, 4.0]).__next__)
    watch = Stopwatch()
    with watch.step("decode"):
        pass
    assert watch.costs == {"decode": Cost(wall=5, cpu=3)}
    assert watch.seconds == {"decode": 5}


def test_the_stages_of_a_page_add_up_to_its_time_and_the_pipeline_stays_as_it_is() -> None:
    before = dict(vars(pipeline))
    source = PageSource(str(SAMPLE), "page.png")
    outcome = read_source(source, Job(Settings(), ScanOptions(), str(SHIPPED), "0" * 64))
    assert not isinstance(outcome.result, PageFailure)
    assert sum(outcome.stage_seconds.values()) == pytest.approx(outcome.seconds)
    assert {"decode", "load_model", "rest", "binarise", "find_components", "classify", "arrange_numbers"} <= set(
        outcome.stage_seconds
    )
    assert all(seconds >= 0 for seconds in outcome.stage_seconds.values())
    assert vars(pipeline) == before


def test_a_page_that_cannot_be_opened_took_its_time_to_decode(tmp_path: Path) -> None:
    source = PageSource(str(tmp_path / "gone.png"), "gone.png")
    outcome = read_source(source, Job(Settings(), ScanOptions(), str(SHIPPED), "0" * 64))
    assert sorted(outcome.stage_seconds) == ["decode", "rest"]


def test_a_stage_that_a_function_beside_the_method_calls_is_timed_too() -> None:
    watch = Stopwatch()
    page = Page(np.full((60, 80), 255, np.uint8))
    watch.stages_timed(pipeline.read_page)(page, load_model(), Settings())
    assert {"binarise", "arrange_numbers", "weigh_numbers"} <= set(watch.seconds)
