"""`docscan run`: the main job."""

import sys
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from docscan.cli.deadline import next_moment
from docscan.cli.exit_codes import ExitCode
from docscan.cli.logs import LOG, Say, log_page, logging_to, speaker
from docscan.cli.options import Config, LogFile, LogFormatOption, Quiet, Verbose
from docscan.cli.progress import progress
from docscan.cli.reading_options import (
    Binarise,
    Checksum,
    Delimiter,
    Dpi,
    DropOut,
    Encoding,
    EngineOption,
    Jobs,
    MaxError,
    MaxImageMpixels,
    MaxMemory,
    MinConfidence,
    Out,
    Pages,
    PageTimeout,
    Recursive,
    Scheduler,
    engine_from,
    settings_from,
)

if TYPE_CHECKING:
    from docscan.batch.run import Batch, RunOptions
    from docscan.settings import Settings


def run(  # noqa: PLR0917  its options
    context: typer.Context,
    scans: Annotated[list[str], typer.Argument(help="Folders, files and globs of scans, or URLs.", show_default=False)],
    out: Out,
    jobs: Jobs = None,
    recursive: Recursive = True,
    pages: Pages = None,
    dpi: Dpi = 300,
    mode: Annotated[
        Literal["resume", "redo", "force"],
        typer.Option(
            envvar="DOCSCAN_MODE",
            help="resume: read what is new, changed or failed. redo: read every page again. "
            "force: empty the output folder first.",
        ),
    ] = "resume",
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", envvar="DOCSCAN_RETRY_FAILED", help="Read the pages that failed, alone.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", envvar="DOCSCAN_DRY_RUN", help="List the pages that would be read, and stop.")
    ] = False,
    page_timeout: PageTimeout = 120,
    max_memory: MaxMemory = None,
    max_image_mpixels: MaxImageMpixels = 250,
    drop_out: DropOut = None,
    min_confidence: MinConfidence = None,
    max_error: MaxError = None,
    binarise: Binarise = None,
    checksum: Checksum = False,
    engine: EngineOption = "local",
    scheduler: Scheduler = None,
    encoding: Encoding = "utf-8-sig",
    delimiter: Delimiter = ",",
    deadline: Annotated[
        str | None,
        typer.Option(
            envvar="DOCSCAN_DEADLINE",
            help="Stop reading at this time, such as 06:00 or 2026-11-27T06:00, and write the results of what is read. "
            "The same command goes on from there. The exit code is 3 where pages are left.",
            show_default="when all is read",
        ),
    ] = None,
    no_progress: Annotated[
        bool, typer.Option("--no-progress", envvar="DOCSCAN_NO_PROGRESS", help="Draw no progress bar.")
    ] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    log_file: LogFile = None,
    log_format: LogFormatOption = "text",
    config: Config = None,  # noqa: ARG001  applied by its callback
) -> None:
    r"""Read every page of the scans named into the folder OUT; go on where an earlier run stopped.

    OUT gets results.csv and results.xlsx, a CSV for each page, failures.csv and docscan.db.

    Example: docscan run scans/ more/*.pdf -o out --jobs 4
    """
    from docscan.batch.run import RunOptions  # noqa: PLC0415  heavy
    from docscan.files.results import CsvFormat  # noqa: PLC0415
    from docscan.files.scans import ScanOptions, parse_pages  # noqa: PLC0415

    settings = settings_from(context.obj or {}, min_confidence, max_error, binarise)
    options = RunOptions(
        jobs=jobs,
        mode=mode,
        retry_failed=retry_failed,
        checksum=checksum,
        page_timeout_s=page_timeout,
        max_memory_mib=max_memory,
        engine=engine_from(engine, scheduler),
        scans=ScanOptions(recursive, None if pages is None else parse_pages(pages), dpi, max_image_mpixels, drop_out),
        deadline=None if deadline is None else next_moment(deadline, datetime.now().astimezone()),
        csv=CsvFormat(encoding, "\t" if delimiter == r"\t" else delimiter),
    )
    if dry_run:
        _list_pending(scans, out, settings, options)
        return
    with logging_to(log_file, log_format, verbose=verbose):
        show_bar = not (no_progress or quiet or verbose) and sys.stderr.isatty()
        all_read = _read(scans, out, settings, options, show_bar=show_bar, say=speaker(quiet=quiet or verbose))
    raise typer.Exit(ExitCode.OK if all_read else ExitCode.SOME_PAGES_FAILED)


def _list_pending(scans: list[str], out: str, settings: "Settings", options: "RunOptions") -> None:
    from docscan.batch.run import plan_batch  # noqa: PLC0415

    plan = plan_batch(scans, out, settings=settings, options=options)
    pages = [*(outcome.source for outcome in plan.broken), *plan.pending]
    for page in pages:
        typer.echo(f"{page.name} page {page.page}" if page.paged else page.name)
    typer.echo(f"{len(pages)} of {len(plan.entries)} pages would be read.", err=True)


def _read(scans: list[str], out: str, settings: "Settings", options: "RunOptions", *, show_bar: bool, say: Say) -> bool:
    """Run the batch and say how it ended: whether every page was read."""
    from docscan.batch.mirror import file_in  # noqa: PLC0415
    from docscan.batch.report import closing_words  # noqa: PLC0415
    from docscan.batch.run import open_batch  # noqa: PLC0415

    with open_batch(scans, out, settings=settings, options=options) as batch:
        LOG.info("%d pages found, %d to read, into %s", len(batch.plan.entries), batch.pending, out)
        try:
            _read_pending(batch, show_bar=show_bar)
            counts = batch.finish()
        except BaseException:  # Ctrl-C, or an error that is told in a moment
            pages = batch.tally.pages
            say(f"{pages['left']:,} of {pages['found']:,} pages are still to be read.")
            raise
        for line in closing_words(counts, batch.tally, batch.store.failures(), file_in(out, "failures.csv")):
            say(line)
    return counts.failed == 0 and batch.tally.ending == "finished"


def _read_pending(batch: "Batch", *, show_bar: bool) -> None:
    with closing(batch.outcomes()) as outcomes, progress(batch.pending, shown=show_bar) as advance:
        for outcome in outcomes:
            log_page(outcome)
            advance(outcome)
