from pathlib import Path

from soak import soak


def test_memory_stays_flat_and_every_page_is_accounted_for(tmp_path: Path) -> None:
    """`python -m tests.faults.soak --pages 10000` is the long form."""
    course = soak(tmp_path, 250, tell=lambda _line: None)
    assert (course.counts.found, course.counts.left) == (course.pages, 0)
    assert course.growth(course.parent) < 20
    assert course.growth(course.workers) < 50
