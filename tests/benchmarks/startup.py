"""How long `docscan --help` takes, from nothing to the prompt.

python -m tests.benchmarks.startup [--repeats 20] [--check]
"""

# ruff: noqa: T201  what is measured is printed

import argparse
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

BAR_S = 0.5


def time_help() -> float:
    """Seconds of wall time; the command is the one installed beside this Python."""
    command = shutil.which("docscan", path=Path(sys.executable).parent)
    if command is None:
        raise FileNotFoundError(f"no docscan beside {sys.executable}; install it there: sh .ci/setup --dev")
    started = time.perf_counter()
    subprocess.run([command, "--help"], capture_output=True, check=True)
    return time.perf_counter() - started


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.startup", description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=20, help="how often it is started (20)")
    parser.add_argument("--check", action="store_true", help=f"exit with 1 where the median is {BAR_S} s or more")
    options = parser.parse_args()
    seconds = [time_help() for _ in range(options.repeats)]
    median = statistics.median(seconds)
    print(
        f"docscan --help: median {median:.3f} s, best {min(seconds):.3f} s of {options.repeats}; the bar is {BAR_S} s"
    )
    sys.exit(1 if median >= BAR_S and options.check else 0)


if __name__ == "__main__":
    main()
