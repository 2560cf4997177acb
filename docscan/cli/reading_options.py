"""The options of the commands that read scans."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from docscan.errors import SettingsError
from docscan.settings import BinariseMethod, Colour, Settings

if TYPE_CHECKING:
    from docscan.batch.engines import Engine

Out = Annotated[
    str,
    typer.Option(
        "--out",
        "-o",
        envvar="DOCSCAN_OUT",
        help="Folder for the results, made if need be; or a URL such as s3://bucket/out.",
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option("--jobs", "-j", envvar="DOCSCAN_JOBS", min=1, help="Worker processes.", show_default="cores"),
]
Recursive = Annotated[
    bool, typer.Option("--recursive/--no-recursive", envvar="DOCSCAN_RECURSIVE", help="Read folders in folders too.")
]
Pages = Annotated[
    str | None,
    typer.Option(envvar="DOCSCAN_PAGES", help="Pages of each PDF and TIFF, such as 1,3-5.", show_default="all"),
]
Dpi = Annotated[
    float, typer.Option(envvar="DOCSCAN_DPI", help="Resolution for PDF pages that are not one embedded scan.")
]
PageTimeout = Annotated[
    float, typer.Option(envvar="DOCSCAN_PAGE_TIMEOUT", help="Give a page up after this many seconds.")
]
MaxMemory = Annotated[
    int | None,
    typer.Option(
        envvar="DOCSCAN_MAX_MEMORY",
        min=1,
        help="Stop a worker process that takes more MiB than this; its page is tried once more, alone.",
        show_default="4096, or less where memory is short",
    ),
]
MaxImageMpixels = Annotated[
    float, typer.Option(envvar="DOCSCAN_MAX_IMAGE_MPIXELS", help="Refuse pages of more million pixels than this.")
]
DropOut = Annotated[
    Colour | None,
    typer.Option(
        envvar="DOCSCAN_DROP_OUT",
        help="Leave out what is printed in this colour: a form's boxes and words, where people write in another.",
        show_default="read every colour",
    ),
]
MinConfidence = Annotated[
    float | None,
    typer.Option(
        envvar="DOCSCAN_MIN_CONFIDENCE",
        min=0,
        max=1,
        help="Numbers read with less go to review.",
        show_default=str(Settings().review.min_confidence),
    ),
]
MaxError = Annotated[
    float | None,
    typer.Option(
        envvar="DOCSCAN_MAX_ERROR",
        min=0,
        max=1,
        help="Accept unseen only so many that at most this share of them is wrong, such as 0.001; "
        "instead of --min-confidence.",
    ),
]
Binarise = Annotated[
    BinariseMethod | None,
    typer.Option(
        envvar="DOCSCAN_BINARISE",
        help="What is ink: a threshold that follows paper and pen (local), the paper (adaptive, wolf, sauvola), "
        "or one for the page (otsu).",
        show_default=Settings().binarise.method,
    ),
]
Checksum = Annotated[
    bool,
    typer.Option("--checksum", envvar="DOCSCAN_CHECKSUM", help="Know a changed file by its content, not its time."),
]
EngineOption = Annotated[
    Literal["local", "dask"],
    typer.Option(envvar="DOCSCAN_ENGINE", help="Where pages are read: on this machine, or by the workers of Dask."),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        envvar="DOCSCAN_SCHEDULER",
        help="Address of the Dask scheduler for --engine dask, such as tcp://192.168.1.10:8786.",
        show_default=False,
    ),
]
Encoding = Annotated[str, typer.Option(envvar="DOCSCAN_ENCODING", help="Of the CSV files.")]
Delimiter = Annotated[
    str, typer.Option(envvar="DOCSCAN_DELIMITER", help=r"Between the columns of the CSV files; \t is a tab.")
]


def settings_from(
    tables: Mapping[str, Any], min_confidence: float | None, max_error: float | None, binarise: str | None
) -> Settings:
    """The settings of the configuration file, with those of the command line in their places."""
    if min_confidence is not None and max_error is not None:
        raise SettingsError("--min-confidence and --max-error both say what goes to review: give one of them")
    chosen = {name: dict(table) for name, table in tables.items()}
    if min_confidence is not None:
        chosen.setdefault("review", {}).update(min_confidence=min_confidence, max_error=0.0)
    if max_error is not None:
        chosen.setdefault("review", {})["max_error"] = max_error
    if binarise is not None:
        chosen.setdefault("binarise", {})["method"] = binarise
    return Settings.from_mapping(chosen)


def engine_from(engine: str, scheduler: str | None) -> "Engine":
    """What reads the pages. Raises SettingsError where it is not installed, or cannot be found."""
    from docscan.batch.engines import read_locally  # noqa: PLC0415  heavy

    if engine == "local" and scheduler is None:
        return read_locally
    if engine == "local":
        raise SettingsError("--scheduler is for --engine dask: give both, or neither")
    if scheduler is None:
        raise SettingsError(
            "--engine dask needs --scheduler with the address of a Dask scheduler, such as tcp://192.168.1.10:8786; "
            "start one with: dask scheduler"
        )
    try:
        from docscan.batch.cluster import DaskEngine  # noqa: PLC0415
    except ImportError as error:
        raise SettingsError(
            f"--engine dask needs Dask ({error}); install it: python -m pip install 'docscan-digits[dask]'"
        ) from error
    return DaskEngine(scheduler)
