"""What a run says of itself: run.json, so that a result can be traced to what made it, and the closing words."""

import hashlib
import importlib.metadata
import itertools
import json
import os
import platform
import socket
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from docscan import __version__
from docscan.errors import OutputError
from docscan.files.results import published
from docscan.files.store import Counts, State
from docscan.records import PageFailure, PageOutcome

NAME = "run.json"
FORMAT = 1
Ending = Literal["running", "finished", "deadline", "stopped", "failed"]
_LIBRARIES = ("numpy", "opencv-python", "onnxruntime", "pillow", "pypdfium2", "xlsxwriter")  # that shape a result
_MOST_EARLIER = 100  # runs kept in the file
_KEPT = ("docscan", "ending", "started", "ended", "this_run", "host", "libraries", "models", "settings_digest")
_FAILURES_SHOWN = 5


@dataclass(slots=True)
class Tally:
    """What a run has done so far; it counts along with the outcomes."""

    states: dict[tuple[str, int], State] = field(default_factory=dict)
    """Of every page of the inputs, by source and page."""
    read: int = 0
    """Pages this run has read, blank and failed ones among them."""
    numbers: int = 0
    review: int = 0
    stage_seconds: Counter[str] = field(default_factory=Counter)
    """Summed over the pages of this run, and over its processes: more than went by on the clock."""
    started: float = field(default_factory=time.time)
    """Seconds since 1970, as `last`."""
    last: float = 0.0
    """When the last page was written."""
    ending: Ending = "running"

    def add(self, outcome: PageOutcome, write_seconds: float) -> None:
        """Count a page that has just been written."""
        result = outcome.result
        self.read += 1
        self.last = time.time()
        self.stage_seconds.update({**outcome.stage_seconds, "write": write_seconds})
        if isinstance(result, PageFailure):
            state: State = "failed"
        else:
            state = "blank" if result.blank else "read"
            self.numbers += len(result.numbers)
            self.review += sum(number.review for number in result.numbers)
        self.states[outcome.source.name, outcome.source.page] = state

    @property
    def seconds(self) -> float:
        """From the start to the last page."""
        return max(0.0, self.last - self.started)

    @property
    def pages(self) -> dict[str, int]:
        """Pages of the inputs by state."""
        count = Counter(self.states.values())
        return {
            "found": len(self.states), "read": count["read"], "blank": count["blank"], "failed": count["failed"],
            "left": count["found"],
        }  # fmt: skip


@contextmanager
def reported(out: Path, tally: Tally, facts: Mapping[str, Any]) -> Iterator[None]:
    """Write run.json as the block begins and as it ends, with how it ended; `facts` are known from the start.

    A block left without a word in `tally.ending` was stopped. Raises OutputError where the file cannot be written.
    """
    earlier = _earlier(out)
    _write(out, tally, facts, earlier)
    try:
        yield
    except BaseException as error:
        is_trouble = isinstance(error, Exception)
        tally.ending = "failed" if is_trouble else "stopped"
        reason = {"reason": f"{type(error).__name__}: {error}"} if is_trouble else {}
        with suppress(OutputError):  # the first error is the one to hear of
            _write(out, tally, {**facts, **reason}, earlier)
        raise
    if tally.ending == "running":
        tally.ending = "stopped"
    _write(out, tally, facts, earlier)


def read_report(out: Path) -> dict[str, Any]:
    """What run.json of an output folder says; empty where there is none that can be read."""
    try:
        report = json.loads((out / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return report if isinstance(report, dict) and report.get("format") == FORMAT else {}


def facts_of(scans: Sequence[str | Path], models: Sequence[Path], settings: Any, options: Any) -> dict[str, Any]:
    """Where and with what a run reads: `settings` and `options` are dataclasses."""
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "libraries": {name: importlib.metadata.version(name) for name in _LIBRARIES},
        "models": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in models},
        "settings_digest": settings.digest(),
        "settings": asdict(settings),
        "working_folder": str(Path.cwd()),
        "scans": [str(scan) for scan in scans],
        "options": asdict(options) | {"workers": options.workers},
    }


def words(counts: Counts) -> str:
    """The counts as a sentence or two."""
    left = f", {counts.left:,} still to be read" if counts.left else ""
    pages = f"{counts.read:,} read, {counts.blank:,} blank, {counts.failed:,} failed{left}"
    return f"{_some(counts.found, 'page')} in: {pages}. {_some(counts.numbers, 'number')}, {counts.review:,} to review."


def closing_words(
    counts: Counts, tally: Tally, failures: Iterable[tuple[str, int, str]], failures_csv: str
) -> list[str]:
    """What a run has come to, line by line: its pages, the first that failed, what is left, and how long it took."""
    lines = [words(counts)]
    if counts.failed:
        lines.append("Failed:")
        first = itertools.islice(failures, _FAILURES_SHOWN)
        lines += [f"  {source} page {page}: {reason}" for source, page, reason in first]
        more = counts.failed - _FAILURES_SHOWN
        lines.append(
            f"  and {more:,} more. All are listed in {failures_csv}" if more > 0 else f"  Listed in {failures_csv}"
        )
    if tally.ending == "deadline":
        lines.append("Stopped at the deadline.")
    if counts.left:
        lines.append(f"{_some(counts.left, 'page')} still to be read; the same command goes on from here.")
    return [*lines, _effort(counts, tally)]


def duration(seconds: float) -> str:
    """As 0:09:31."""
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}"


def _effort(counts: Counts, tally: Tally) -> str:
    if not tally.read:
        return "Nothing was read." if counts.left else "Nothing new to read."
    before = counts.found - counts.left - tally.read
    earlier = f" {before:,} {'was' if before == 1 else 'were'} read by an earlier run." if before > 0 else ""
    speed = tally.read / max(tally.seconds, 1e-3)
    return f"{_some(tally.read, 'page')} in {duration(tally.seconds)}, {speed:.1f} pages/s.{earlier}"


def _some(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _write(out: Path, tally: Tally, facts: Mapping[str, Any], earlier: Sequence[Mapping[str, Any]]) -> None:
    report = {
        "format": FORMAT,
        "docscan": __version__,
        "ending": tally.ending,
        "started": _moment(tally.started),
        "ended": None if tally.ending == "running" else _moment(time.time()),
        "pages": tally.pages,
        "this_run": {"pages": tally.read, "numbers": tally.numbers, "review": tally.review},
        "stage_seconds": {name: round(seconds, 3) for name, seconds in tally.stage_seconds.items()},
        **facts,
        "earlier": earlier,
    }
    with published(out / NAME) as draft:
        draft.write_text(json.dumps(report, indent=2, default=_plain) + "\n", encoding="utf-8")


def _earlier(out: Path) -> list[dict[str, Any]]:
    """The runs before this one that have read anything, the last one last, in short."""
    last = read_report(out)
    if not last:
        return []
    before = last.get("earlier", [])
    kept = {name: value for name, value in last.items() if name in _KEPT}
    has_read = last.get("this_run", {}).get("pages", 0) > 0 or last.get("ending") == "running"
    return [*before, *([kept] if has_read else [])][-_MOST_EARLIER:]


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")


def _plain(value: object) -> str:
    """What JSON has no form for: a path, a function."""
    return str(getattr(value, "__name__", value))
