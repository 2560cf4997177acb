"""`docscan status`: how far the run in an output folder is."""

from pathlib import Path
from typing import Annotated

import typer

from docscan.cli.logs import LOG, logging_to
from docscan.cli.options import Config, LogFile, LogFormatOption, Quiet, Verbose


def status(
    out: Annotated[Path, typer.Argument(help="The output folder of a run, finished or not.")],
    quiet: Quiet = False,  # noqa: ARG001  what it prints is its result
    verbose: Verbose = False,
    log_file: LogFile = None,
    log_format: LogFormatOption = "text",
    config: Config = None,  # noqa: ARG001  applied by its callback
) -> None:
    """Say how many pages are read, failed and left, how fast it goes, and how many numbers to review.

    Example: docscan status out
    """
    from docscan.files.store import open_store  # noqa: PLC0415  heavy

    with logging_to(log_file, log_format, verbose=verbose), open_store(out) as store:
        counts = store.counts()
        LOG.info("%s: %s", out, counts)
        started = float(store.meta("started") or 0)
        finished, last = store.finished_since(started)
    lines = {
        "pages found": counts.found,
        "read": counts.read,
        "blank": counts.blank,
        "failed": counts.failed,
        "left": counts.left,
        "numbers": counts.numbers,
        "to review": counts.review,
    }
    for name, count in lines.items():
        typer.echo(f"{name:12} {count}")
    if finished and last > started:
        rate = finished / (last - started)
        typer.echo(f"{'speed':12} {rate:.1f} pages/s")
        if counts.left:
            typer.echo(f"{'time left':12} {_duration(counts.left / rate)}")


def _duration(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
