"""The `docscan` command: parse, compose, print, and map what went wrong to exit codes."""

import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Annotated, NoReturn

import typer

import docscan
from docscan.cli.digit import digit
from docscan.cli.doctor import doctor
from docscan.cli.evaluate import evaluate
from docscan.cli.exit_codes import ExitCode
from docscan.cli.run import run
from docscan.cli.status import status
from docscan.cli.watch import watch
from docscan.errors import (
    DocscanError,
    EngineError,
    ModelError,
    NothingToReadError,
    OutputError,
    OutputInUseError,
    PageError,
    SettingsError,
)

app = typer.Typer(
    name="docscan",
    help="Reads the handwritten numbers on folders of scanned pages into spreadsheets.",
    epilog="Example: docscan run scans/ -o out",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for _command in (run, watch, status, digit, evaluate, doctor):
    app.command()(_command)

_CODES: tuple[tuple[type[DocscanError], ExitCode], ...] = (
    (SettingsError, ExitCode.WRONG_USAGE),
    (ModelError, ExitCode.BAD_MODEL),
    (OutputInUseError, ExitCode.OUT_IN_USE),
    (OutputError, ExitCode.NOTHING_TO_DO),
    (EngineError, ExitCode.NOTHING_TO_DO),
    (NothingToReadError, ExitCode.NOTHING_TO_DO),
    (PageError, ExitCode.NOTHING_TO_DO),
    (DocscanError, ExitCode.BUG),
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"docscan {docscan.__version__}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    pass


class _Stopped(BaseException):
    """Ctrl-C or SIGTERM; carries the exit code."""

    def __init__(self, code: ExitCode) -> None:
        super().__init__(code)
        self.code = code


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit; the only place where errors become words and codes."""
    for name, code in ((signal.SIGINT, ExitCode.INTERRUPTED), (signal.SIGTERM, ExitCode.TERMINATED)):
        signal.signal(name, _stopper(code))
    try:
        app(arguments, prog_name="docscan")
    except DocscanError as error:
        _say(str(error))
        sys.exit(next(code for kind, code in _CODES if isinstance(error, kind)))
    except _Stopped as stopped:
        _say("stopped; the same command goes on from here")
        sys.exit(stopped.code)
    except ImportError as error:
        _say(f"a library cannot be loaded ({error}); `docscan doctor` says what to install")
        sys.exit(ExitCode.BUG)
    sys.exit(ExitCode.OK)


def _stopper(code: ExitCode) -> Callable[[int, FrameType | None], None]:
    def stop(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)  # once is enough: the second would cut the tidying short
        raise _Stopped(code)

    return stop


def _say(message: str) -> None:
    typer.echo(f"docscan: {message}", err=True)
