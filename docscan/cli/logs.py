"""Where the log goes: stderr for --verbose, a file for --log-file."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from docscan.errors import OutputError

LOG = logging.getLogger("docscan")


@contextmanager
def logging_to(log_file: Path | None, *, verbose: bool) -> Iterator[None]:
    """Send the log there while the block runs. Raises OutputError where the file cannot be opened."""
    handlers: list[logging.Handler] = [logging.StreamHandler() if verbose else logging.NullHandler()]
    if log_file is not None:
        try:
            log_file.parent.mkdir(parents=True, exist_ok=True)
            file = logging.FileHandler(log_file, encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise OutputError(f"{log_file}: the log cannot be written ({error.strerror})") from error
        file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        handlers.append(file)
    LOG.setLevel(logging.INFO)
    LOG.propagate = False
    for handler in handlers:
        LOG.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            LOG.removeHandler(handler)
            handler.close()
