"""`docscan evaluate`: a run held against known numbers."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from docscan.cli.logs import LOG, logging_to
from docscan.cli.options import Config, LogFile, LogFormatOption, Quiet, Verbose

if TYPE_CHECKING:
    from docscan.files.truth import TrueLines, TruePage
    from docscan.scoring import ReadNumber

Pages = Mapping[str, Mapping[int, "Sequence[ReadNumber]"]]
"""What was read, by the scan's path and page."""
_ALL = "ALL"


def evaluate(  # noqa: PLR0917  its options
    out: Annotated[str, typer.Argument(help="The output folder of a run, or its URL.")],
    truth: Annotated[
        Path,
        typer.Argument(
            help="Known numbers: a .jsonl of {file, kind, numbers: [{text, x, y, w, h}]}, a folder of */expected.csv, "
            "or a folder of <image>.truth.txt."
        ),
    ],
    quiet: Quiet = False,
    verbose: Verbose = False,
    log_file: LogFile = None,
    log_format: LogFormatOption = "text",
    config: Config = None,  # noqa: ARG001  applied by its callback
) -> None:
    """Say how right a run is: digits, whole numbers, and what could be accepted without a look.

    Digit accuracy is 1 less the digits to put right, those read where there are none included. A number counts for F1
    where its text is exactly right and its centre lies in the true box.

    Example: docscan evaluate out samples
    """
    from docscan.files.truth import TruePage, read_truth  # noqa: PLC0415  heavy

    with logging_to(log_file, log_format, verbose=verbose):
        known = read_truth(truth)
        pages = _read_numbers(out)
        boxed = [page for page in known if isinstance(page, TruePage)]
        unboxed = [page for page in known if not isinstance(page, TruePage)]
        lines = (
            _report_pages([*boxed, *_pages_without_truth(boxed, pages)], _by_name(pages))
            if boxed
            else _report_lines(unboxed, _by_name(pages))
        )
        for line in lines[-2:] if quiet else lines:
            LOG.info(line)
            typer.echo(line)


def _read_numbers(out: str) -> Pages:
    from docscan.batch.mirror import readable_folder  # noqa: PLC0415
    from docscan.files.results import CONFIDENCE_DECIMALS  # noqa: PLC0415
    from docscan.files.store import open_store  # noqa: PLC0415
    from docscan.scoring import ReadNumber  # noqa: PLC0415

    pages: dict[str, dict[int, list[ReadNumber]]] = defaultdict(dict)
    with readable_folder(out) as folder, open_store(folder) as store:
        for entry in store.entries():
            pages[entry.source][entry.page] = []
        for source, page, number in store.numbers():
            box = number.box
            confidence = round(number.confidence, CONFIDENCE_DECIMALS)  # as the CSV has it
            read = ReadNumber(number.text, box.left, box.top, box.width, box.height, confidence, number.review)
            pages[source][page].append(read)
    return pages


def _numbers_on(source: str, page: int | None, pages: Pages) -> "list[ReadNumber]":
    """What was read on a page, or on all pages of a file where `page` is None."""
    read = pages.get(source, {})
    return [number for index, numbers in read.items() if page in {None, index} for number in numbers]


def _by_name(pages: Pages) -> Pages:
    """The scans under their bare names as well, where a name is one scan's alone: truth need not know the folder."""
    names = Counter(_name(source) for source in pages)
    return {_name(source): read for source, read in pages.items() if names[_name(source)] == 1} | dict(pages)


def _name(source: str) -> str:
    return source.rsplit("/", 1)[-1]


def _pages_without_truth(known: "Sequence[TruePage]", pages: Pages) -> "list[TruePage]":
    """Pages of samples of which no number is expected: whatever was read there is wrong."""
    from docscan.files.truth import TruePage  # noqa: PLC0415

    claimed = {(true.source, true.page) for true in known}
    samples = {true.source.rpartition("/")[0]: true.kind for true in known if true.page is not None}
    folders = ((source, page, source.rpartition("/")[0]) for source, read in pages.items() for page in read)
    return [
        TruePage(source, samples[folder], (), page)
        for source, page, folder in folders
        if folder in samples and (source, page) not in claimed
    ]


def _report_pages(known: "Sequence[TruePage]", pages: Pages) -> list[str]:
    from docscan.scoring import Judged, Score, accepted_share, score_page  # noqa: PLC0415

    totals: dict[str, Score] = defaultdict(Score)
    judged: list[Judged] = []
    for true in known:
        score, answers = score_page(true.numbers, _numbers_on(true.source, true.page, pages))
        totals[true.kind] += score
        judged += answers
    total = totals[_ALL] = sum(totals.values(), Score())
    accepted = [one for one in judged if not one.review]
    wrong = sum(not one.right for one in accepted)
    return [
        *(
            f"{kind:20} digits {score.digits:6}  digit accuracy {score.digit_accuracy:.4f}  "
            f"numbers F1 {score.number_f1:.4f}  spurious {score.spurious}"
            for kind, score in totals.items()
        ),
        f"accepted at <= 0.1 % wrong: {accepted_share(judged, total.numbers):.4f} of the numbers",
        f"not sent to review: {len(accepted) / max(1, len(judged)):.4f} of the numbers read, "
        f"{wrong / max(1, len(accepted)):.4f} of them wrong",
    ]


def _report_lines(known: "Sequence[TrueLines]", pages: Pages) -> list[str]:
    from docscan.scoring import LineScore, score_lines  # noqa: PLC0415

    totals: dict[str, LineScore] = defaultdict(LineScore)
    for true in known:
        totals[true.kind] += score_lines(true.lines, _numbers_on(true.source, None, pages))
    mean = sum(score.found_share for score in totals.values()) / max(1, len(totals))
    return [
        *(
            f"{kind:44} images {score.images:4}  numbers {score.numbers:5}  found {score.found_share:.3f}  "
            f"extra {score.extra_share:.2f}"
            + (f"  strings {score.strings_right}/{score.strings}" * bool(score.strings))
            for kind, score in sorted(totals.items())
        ),
        f"mean over folders: numbers found {mean:.4f}",
    ]
