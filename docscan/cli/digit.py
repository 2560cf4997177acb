"""`docscan digit`: one picture of one digit."""

from pathlib import Path
from typing import Annotated

import typer

from docscan.cli.logs import LOG, logging_to
from docscan.cli.options import Config, LogFile, LogFormatOption, Quiet, Verbose
from docscan.errors import PageError


def digit(
    image: Annotated[
        Path,
        typer.Argument(
            help="A picture of one digit, of any size, dark on light or light on dark.", exists=True, readable=False
        ),
    ],
    quiet: Quiet = False,
    verbose: Verbose = False,
    log_file: LogFile = None,
    log_format: LogFormatOption = "text",
    config: Config = None,  # noqa: ARG001  applied by its callback
) -> None:
    """Read a picture of a single digit, and say what else it might be.

    Example: docscan digit five.png
    """
    from docscan.reading import read_digit  # noqa: PLC0415  heavy

    with logging_to(log_file, log_format, verbose=verbose):
        try:
            read = read_digit(image)
        except PageError as error:
            raise PageError(f"{image}: {error}") from error
        LOG.info("%s: %s, confidence %.4f", image, read.text, read.confidence)
    typer.echo(f"Digit is: {read.text}  Confidence: {read.confidence:.1%}".replace("%", " %"))
    if not quiet:
        for other in read.alternatives:
            typer.echo(f"or:       {other.text or 'no digit'}  {other.probability:.1%}".replace("%", " %"))
