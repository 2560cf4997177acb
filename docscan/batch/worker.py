"""One page in, one outcome out: the only code that runs in other processes. Writes nothing."""

import functools
import hashlib
import traceback
from dataclasses import dataclass

from docscan.batch.stopwatch import Stopwatch
from docscan.errors import PageError
from docscan.files.scans import ScanOptions, open_page
from docscan.files.storage import opened
from docscan.pipeline import read_page
from docscan.records import PageFailure, PageOutcome, PageResult, PageSource
from docscan.settings import Settings
from docscan.stages.classify import DigitModel, load_model

RESULT_FORMAT = "1"  # raise it where old results would no longer be right
_HASH_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Job:
    """What every page of a run has in common; small, it travels with each page."""

    settings: Settings
    scans: ScanOptions
    model: str
    """Path of the model file."""
    model_sha256: str
    checksum: bool = False
    """True: a file has changed where its content has, not its size or time."""

    def key_for(self, source: PageSource) -> str:
        """Same key, same numbers: everything that can change this page's result goes in."""
        file = _sha256(source.path, source.size, source.mtime_ns) if self.checksum else ""
        stamp = (file,) if file else (source.size, source.mtime_ns)
        dropped = () if self.scans.drop_out is None else (self.scans.drop_out,)
        parts = RESULT_FORMAT, stamp, self.model_sha256, _digest(self.settings), self.scans.dpi, *dropped
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def read_source(source: PageSource, job: Job) -> PageOutcome:
    """Open and read one page; whatever goes wrong with it is its outcome, never an exception."""
    watch = Stopwatch()
    with watch.step("rest"):
        result = read_timed(source, job, watch)
    return PageOutcome(source, result, sum(watch.seconds.values()), watch.seconds)


def read_timed(source: PageSource, job: Job, watch: Stopwatch) -> PageResult | PageFailure:
    """What `read_source` reads; opening the page, `load_model` and every stage are steps on the watch."""
    try:
        with watch.step("decode"):
            page = open_page(source, job.scans)
        with watch.step("load_model"):
            model = _model(job.model)
        return watch.stages_timed(read_page)(page, watch.model_timed(model), job.settings)
    except PageError as error:
        return PageFailure(str(error))
    except MemoryError:
        return PageFailure("the page needs more memory than there is; try a smaller --dpi or fewer --jobs")
    except Exception as error:  # a bug costs its page, not the ten thousand others
        reason = f"docscan met a fault of its own ({type(error).__name__}: {error}); please report it"
        return PageFailure(reason, traceback.format_exc())


@functools.lru_cache(maxsize=1)
def _model(path: str) -> DigitModel:
    return load_model(path)


@functools.lru_cache(maxsize=1)  # one for all pages
def _digest(settings: Settings) -> str:
    return settings.digest()


@functools.lru_cache(maxsize=1024)  # a PDF is hashed once, not once a page
def _sha256(path: str, size: int, mtime_ns: int) -> str:  # noqa: ARG001  part of the cache's key
    digest = hashlib.sha256()
    try:
        with opened(path) as file:
            while chunk := file.read(_HASH_CHUNK):
                digest.update(chunk)
    except OSError:
        return ""  # opening the page will say why
    return digest.hexdigest()
