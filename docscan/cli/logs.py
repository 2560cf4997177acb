"""Where the log goes: stderr for --verbose, a file for --log-file; a line for each page, as text or as JSON."""

import json
import logging
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from docscan.errors import OutputError

if TYPE_CHECKING:
    from docscan.records import PageOutcome

LOG = logging.getLogger("docscan")
Say = Callable[[str], None]
LogFormat = Literal["text", "json"]
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@contextmanager
def logging_to(log_file: Path | None, log_format: LogFormat = "text", *, verbose: bool) -> Iterator[None]:
    """Send the log there while the block runs. Raises OutputError where the file cannot be opened."""
    handlers: list[logging.Handler] = [logging.StreamHandler() if verbose else logging.NullHandler()]
    if log_file is not None:
        try:
            log_file.parent.mkdir(parents=True, exist_ok=True)
            file = _LogFile(log_file, encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise OutputError(f"{log_file}: the log cannot be written ({error.strerror})") from error
        file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        handlers.append(file)
    LOG.setLevel(logging.INFO)
    LOG.propagate = False
    for handler in handlers:
        if log_format == "json":
            handler.setFormatter(_JsonLines())
        LOG.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            LOG.removeHandler(handler)
            with suppress(OSError):  # it has been said
                handler.close()


def log_page(outcome: "PageOutcome") -> None:
    """A line for a page: its file and page, how long it took, its numbers, and how many of them are to review."""
    from docscan.records import PageFailure  # noqa: PLC0415  heavy

    source, result = outcome.source, outcome.result
    page = {"file": source.name, "page": source.page, "ms": round(outcome.seconds * 1000)}
    where, took = f"{printable(source.name)} page {source.page}", f"{page['ms']} ms"
    if isinstance(result, PageFailure):
        reason = printable(result.reason)
        words = "\n".join(part for part in (f"{where}: failed: {reason}, {took}", result.detail) if part)
        LOG.warning(words, extra={"page": {**page, "state": "failed", "reason": result.reason}})
        return
    review = sum(number.review for number in result.numbers)
    found = "blank" if result.blank else f"{len(result.numbers)} numbers, {review} to review"
    fields = {**page, "state": "blank" if result.blank else "read", "numbers": len(result.numbers), "review": review}
    LOG.info(f"{where}: {found}, {took}", extra={"page": fields})


def speaker(*, quiet: bool, timed: bool = False) -> Say:
    """What logs a line and, unless `quiet`, prints it on stderr, where `timed` with the time before it."""

    def say(line: str) -> None:
        LOG.info(printable(line))
        if not quiet:
            now = f"{datetime.now():%Y-%m-%d %H:%M:%S} " if timed else ""
            typer.echo(f"{now}{printable(line)}", err=True)

    return say


def printable(text: str) -> str:
    r"""`text` on one line and without commands to the terminal, `\n` as two signs: a file may be called anything."""
    return _CONTROL.sub(lambda match: repr(match[0])[1:-1], text)


class _JsonLines(logging.Formatter):
    """An object a line: time, level, message, and for a page its file, page, state, ms, numbers, review or reason."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")
        entry = {"time": time, "level": record.levelname.lower(), "message": record.getMessage()}
        return json.dumps(entry | getattr(record, "page", {}))


class _LogFile(logging.FileHandler):
    """A log that a full disk does not stop the run for: that is said once, and later lines are tried again."""

    _has_failed = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  its name in logging
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._has_failed:
            self._has_failed = True
            reason = error.strerror or error
            typer.echo(f"docscan: {self.baseFilename}: the log cannot be written ({reason})", err=True)
