"""`docscan status`: how far the run in an output folder is."""

import time
from dataclasses import asdict, dataclass
from datetime import datetime
from json import dumps
from typing import TYPE_CHECKING, Annotated, Any

import typer

from docscan.cli.logs import LOG, logging_to
from docscan.cli.options import Config, LogFile, LogFormatOption, Quiet, Verbose

if TYPE_CHECKING:
    from docscan.batch.lock import Holder
    from docscan.files.store import Counts

_RUNNING = "running"
_BROKE_OFF = "broke off"
_ENDINGS = {
    "finished": "finished",
    "deadline": "stopped at its deadline; the same command goes on from there",
    "stopped": "stopped; the same command goes on from there",
    "failed": "ended on an error; the same command goes on from there",
    _BROKE_OFF: "broke off: it was killed, or the computer went down; the same command goes on from there",
}


@dataclass(frozen=True, slots=True)
class _Progress:
    """How far a run is."""

    counts: "Counts"
    holder: "Holder | None"
    """Who is at it now."""
    report: dict[str, Any]
    """run.json of the run that is on, or was last."""
    done: int
    """Pages it has finished so far."""
    started: float
    last: float
    """When the last page was finished; seconds since 1970, as `started`."""

    @property
    def pages_per_s(self) -> float:
        """0 where no page is finished."""
        until = time.time() if self.holder and self.counts.left else self.last  # a watch may wait for hours
        return self.done / (until - self.started) if self.done and until > self.started else 0.0

    @property
    def seconds_left(self) -> float | None:
        """None where nothing is on, or nobody can tell yet."""
        return self.counts.left / self.pages_per_s if self.holder and self.pages_per_s else None

    @property
    def ending(self) -> str:
        """How it ended: one of _ENDINGS, or empty where that is not known; `running` while it is on."""
        ending = str(self.report.get("ending", ""))
        return _RUNNING if self.holder else _BROKE_OFF if ending == _RUNNING else ending


def status(  # noqa: PLR0917  its options
    out: Annotated[str, typer.Argument(help="The output folder of a run, finished or not; or its URL.")],
    json: Annotated[
        bool, typer.Option("--json", envvar="DOCSCAN_JSON", help="Print one JSON object, for programs.")
    ] = False,
    quiet: Quiet = False,  # noqa: ARG001  what it prints is its result
    verbose: Verbose = False,
    log_file: LogFile = None,
    log_format: LogFormatOption = "text",
    config: Config = None,  # noqa: ARG001  applied by its callback
) -> None:
    """Say how many pages are read, failed and left, how fast it goes, whether a run is on, and who runs it.

    It reads only, and may be asked at any time, from any computer that sees OUT.

    Example: docscan status out
    """
    with logging_to(log_file, log_format, verbose=verbose):
        progress = _look_at(out)
        LOG.info("%s: %s", out, progress.counts)
    if json:
        typer.echo(dumps(_facts(progress), indent=2))
        return
    for name, value in _lines(progress):
        typer.echo(f"{name:12} {value}")


def _look_at(out: str) -> _Progress:
    from docscan.batch.mirror import holder_of, readable_folder  # noqa: PLC0415  heavy
    from docscan.batch.report import read_report  # noqa: PLC0415
    from docscan.files.store import open_store  # noqa: PLC0415

    with readable_folder(out) as folder, open_store(folder) as store:
        started = float(store.meta("started") or 0)
        done, last = store.finished_since(started)
        return _Progress(store.counts(), holder_of(out), read_report(folder), done, started, last)


def _lines(progress: _Progress) -> list[tuple[str, str]]:
    from docscan.batch.report import duration  # noqa: PLC0415

    counts = progress.counts
    figures = {
        "pages found": counts.found,
        "read": counts.read,
        "blank": counts.blank,
        "failed": counts.failed,
        "left": counts.left,
        "numbers": counts.numbers,
        "to review": counts.review,
    }
    lines = [(name, f"{count:,}") for name, count in figures.items()]
    if progress.done:
        lines.append(("speed", f"{progress.pages_per_s:.1f} pages/s"))
        lines.append(("last page", _moment(progress.last)))
    if progress.seconds_left is not None and counts.left:
        lines.append(("time left", duration(progress.seconds_left)))
    if progress.holder:
        return [*lines, ("run", f"on now: {progress.holder}")]
    ended = str(progress.report.get("ended") or "").replace("T", " ")
    how = _ENDINGS.get(progress.ending, "not known how it ended")
    return [*lines, ("run", f"{how}{f' ({ended})' if ended else ''}")]


def _facts(progress: _Progress) -> dict[str, Any]:
    counts = progress.counts
    return {
        "found": counts.found,
        **asdict(counts),
        "running": progress.holder is not None,
        "holder": None if progress.holder is None else asdict(progress.holder),
        "ending": progress.ending,
        "pages_per_s": round(progress.pages_per_s, 2),
        "seconds_left": None if progress.seconds_left is None else round(progress.seconds_left),
        "last_page": _moment(progress.last) if progress.done else None,
    }


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat(sep=" ", timespec="seconds")
