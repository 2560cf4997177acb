"""The progress bar on stderr: pages, rate, time left, numbers to review."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from docscan.records import PageOutcome


@contextmanager
def progress(total: int, *, shown: bool) -> Iterator[Callable[["PageOutcome"], None]]:
    """Yield what to call with every outcome; it draws where `shown`."""
    if not shown or total == 0:
        yield lambda _outcome: None
        return
    from rich.console import Console  # noqa: PLC0415  40 ms that --help need not pay
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    from docscan.records import PageFailure  # noqa: PLC0415

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("pages  {task.fields[rate]}"),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[review]} to review  {task.fields[failed]} failed"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total, rate="", review=0, failed=0)
        review = failed = 0

        def advance(outcome: "PageOutcome") -> None:
            nonlocal review, failed
            if isinstance(outcome.result, PageFailure):
                failed += 1
            else:
                review += sum(number.review for number in outcome.result.numbers)
            speed = bar.tasks[0].speed
            rate = "" if speed is None else f"{speed:.1f}/s"
            bar.update(task, advance=1, rate=rate, review=review, failed=failed)

        yield advance
