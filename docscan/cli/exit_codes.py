"""What the exit code of a command means."""

from enum import IntEnum


class ExitCode(IntEnum):
    """1, 2 and 130 are Typer's own; those between are docscan's."""

    OK = 0
    BUG = 1
    WRONG_USAGE = 2
    SOME_PAGES_FAILED = 3
    NOTHING_TO_DO = 4
    """Nothing to read, nobody to read it, or the output folder cannot be written."""
    BAD_MODEL = 5
    OUT_IN_USE = 6
    INTERRUPTED = 130
    TERMINATED = 143
