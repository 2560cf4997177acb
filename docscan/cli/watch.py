"""`docscan watch`: a folder that scans keep arriving in."""

from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from docscan.cli.exit_codes import ExitCode
from docscan.cli.logs import log_page, logging_to, speaker
from docscan.cli.options import Config, LogFile, LogFormatOption, Quiet, Verbose
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
    from collections.abc import Iterable

    from docscan.batch.watch import Event
    from docscan.cli.logs import Say


def watch(  # noqa: PLR0917  its options
    context: typer.Context,
    folder: Annotated[
        str, typer.Argument(help="The folder the scans arrive in, and folders in it.", show_default=False)
    ],
    out: Out,
    interval: Annotated[
        float, typer.Option(envvar="DOCSCAN_INTERVAL", help="Seconds from one look at the folder to the next.")
    ] = 10,
    stable_for: Annotated[
        float,
        typer.Option(
            envvar="DOCSCAN_STABLE_FOR",
            help="Read a file when its size and time have not changed for this many seconds.",
        ),
    ] = 5,
    once: Annotated[
        bool,
        typer.Option("--once", envvar="DOCSCAN_ONCE", help="Stop when everything there is read, rather than wait."),
    ] = False,
    jobs: Jobs = None,
    recursive: Recursive = True,
    pages: Pages = None,
    dpi: Dpi = 300,
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
    quiet: Quiet = False,
    verbose: Verbose = False,
    log_file: LogFile = None,
    log_format: LogFormatOption = "text",
    config: Config = None,  # noqa: ARG001  applied by its callback
) -> None:
    r"""Read scans into the folder OUT as they arrive in FOLDER, until Ctrl-C; go on where an earlier watch stopped.

    OUT gets what `docscan run` writes: each page's CSV and docscan.db at once, the results of all pages whenever
    nothing is left to read. A scan that is taken away after it was read keeps its numbers. A file that changes is read
    again, and so is another one by the same name: let the scanner number its files. A share that drops is waited for.

    Example: docscan watch incoming/ -o out
    """
    from docscan.batch.run import RunOptions  # noqa: PLC0415  heavy
    from docscan.batch.watch import WatchOptions  # noqa: PLC0415
    from docscan.batch.watch import watch as events_of  # noqa: PLC0415
    from docscan.files.results import CsvFormat  # noqa: PLC0415
    from docscan.files.scans import ScanOptions, parse_pages  # noqa: PLC0415

    settings = settings_from(context.obj or {}, min_confidence, max_error, binarise)
    options = RunOptions(
        jobs=jobs,
        checksum=checksum,
        page_timeout_s=page_timeout,
        max_memory_mib=max_memory,
        engine=engine_from(engine, scheduler),
        scans=ScanOptions(recursive, None if pages is None else parse_pages(pages), dpi, max_image_mpixels, drop_out),
        csv=CsvFormat(encoding, "\t" if delimiter == r"\t" else delimiter),
    )
    watching = WatchOptions(interval, stable_for, once)
    with logging_to(log_file, log_format, verbose=verbose):
        say = speaker(quiet=quiet or verbose, timed=True)
        if not once:
            say(f"watching {folder}, every {interval:g} s; Ctrl-C ends it")
        with closing(events_of(folder, out, watching, settings=settings, options=options)) as events:
            all_read = _tell(events, say)
    raise typer.Exit(ExitCode.OK if all_read else ExitCode.SOME_PAGES_FAILED)


def _tell(events: "Iterable[Event]", say: "Say") -> bool:
    """Log what happens as it does; whether everything was read in the end."""
    from docscan.batch.watch import Notice  # noqa: PLC0415
    from docscan.records import PageFailure  # noqa: PLC0415

    unread: set[object] = set()
    for event in events:
        if isinstance(event, Notice):
            say(event.text)
            unread |= {event.text} if event.is_unread else set()
        else:
            log_page(event)
            page = event.source.name, event.source.page
            unread = unread | {page} if isinstance(event.result, PageFailure) else unread - {page}
    return not unread
