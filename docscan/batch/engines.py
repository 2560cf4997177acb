"""Where pages are read: by processes on this machine. Sources go in, an outcome comes back for every one of them."""

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, replace

from docscan.batch.pool import Lost, PoolLimits, answers
from docscan.batch.worker import Job, read_source
from docscan.records import PageFailure, PageOutcome, PageSource

PageReader = Callable[[PageSource, Job], PageOutcome]
"""A module's function: workers import it by name."""

Engine = Callable[[Iterable[PageSource], Job, PoolLimits, PageReader], Generator[PageOutcome, None, None]]
"""Reads every source; outcomes come as they finish, one for every source. Closing the iterator stops the work.

Raises EngineError where it cannot go on; what it has handed over by then is kept.
"""


def read_locally(
    sources: Iterable[PageSource], job: Job, limits: PoolLimits, read: PageReader = read_source
) -> Generator[PageOutcome, None, None]:
    """The engine for one machine: worker processes.

    A page that takes too long is given up. One that crashes its worker, or takes more memory than it may, is read
    once more, alone, after all the others; if that fails too, a PageFailure says so.
    """
    do = _Reading(read, job)
    suspects: list[PageSource] = []
    for source, answer in answers(sources, do, limits):
        if isinstance(answer, PageOutcome):
            yield answer
        elif answer.again:
            suspects.append(source)
        else:
            yield _failed(source, answer)
    for suspect in suspects:  # each in a process of its own
        for source, answer in answers([suspect], do, replace(limits, workers=1)):
            yield answer if isinstance(answer, PageOutcome) else _failed(source, answer)


@dataclass(frozen=True, slots=True)
class _Reading:
    """What a worker does with a source."""

    read: PageReader
    job: Job

    def __call__(self, source: PageSource) -> PageOutcome:
        return self.read(source, self.job)


def _failed(source: PageSource, lost: Lost) -> PageOutcome:
    return PageOutcome(source, PageFailure(lost.reason))
