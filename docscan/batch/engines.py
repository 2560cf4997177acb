"""Where files are opened and pages read: in processes on this machine. For every source something comes back."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass

from docscan.batch.pool import PoolLimits, answers
from docscan.batch.worker import Job, read_source
from docscan.files.scans import Contents, glance_inside, look_inside
from docscan.records import PageFailure, PageOutcome, PageSource

PageReader = Callable[[PageSource, Job], PageOutcome]
"""A module's function: workers import it by name."""

Engine = Callable[[Iterable[PageSource], Job, PoolLimits, PageReader], Generator[PageOutcome, None, None]]
"""Reads every source; outcomes come as they finish, one for every source. Closing the iterator stops the work, and so
does the end of the time there is: the limits' `stop_at`.

Raises EngineError where it cannot go on; what it has handed over by then is kept.
"""


def read_locally(
    sources: Iterable[PageSource], job: Job, limits: PoolLimits, read: PageReader = read_source
) -> Generator[PageOutcome, None, None]:
    """The engine for one machine: worker processes; see `answers` for pages that hang, crash or eat the memory."""
    for source, answer in answers(sources, Reading(read, job), limits):
        yield answer if isinstance(answer, PageOutcome) else PageOutcome(source, PageFailure(answer.reason))


def look_locally(sources: Sequence[PageSource], limits: PoolLimits) -> Iterator[Contents]:
    """What each of these files holds, in their order. Workers count the pages of PDFs and TIFFs."""
    contents: dict[str, Contents] = {}
    to_count: list[PageSource] = []
    for source in sources:
        seen = glance_inside(source)
        if seen is None:
            to_count.append(source)
        else:
            contents[source.path] = seen
    for source, answer in answers(to_count, look_inside, limits):
        contents[source.path] = (
            answer if isinstance(answer, Contents) else Contents(0, paged=True, failure=answer.reason)
        )
    return (contents[source.path] for source in sources)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a worker does with a source."""

    read: PageReader
    job: Job

    def __call__(self, source: PageSource) -> PageOutcome:
        """Read it."""
        return self.read(source, self.job)
