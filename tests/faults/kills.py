"""kill -9 at random moments, of the run or of one of its workers, until the batch is done; is anything lost?

    python -m tests.faults.kills --times 200

Every run goes on where the one before was killed. When the batch is done its results must be, byte for byte, those
of a run that nothing disturbed; and at every kill, whatever file stands in the output folder must be whole.
"""

import argparse
import random
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parent))
from drills import make_scans, results_of, start_run, unlike

PAGES = 60
_RUN_TIMEOUT_S = 300


@dataclass
class Tally:
    """What was done, and what came of it."""

    of_runs: int = 0
    of_workers: int = 0
    batches: int = 0
    """Finished after at least one kill."""
    torn: int = 0
    """Files under their final name that were not whole."""
    lost: int = 0
    """Results that differed from the undisturbed run's."""

    @property
    def kills(self) -> int:
        return self.of_runs + self.of_workers

    def __str__(self) -> str:
        return (
            f"{self.kills} kills ({self.of_runs} of the run, {self.of_workers} of a worker) in {self.batches} batches "
            f"of {PAGES} pages: {self.torn} files torn, {self.lost} results lost"
        )


def kill_at_random(folder: Path, times: int, seed: int) -> Tally:
    """Kill and resume at least `times` times, and finish."""
    dice, tally = random.Random(seed), Tally()
    make_scans(folder / "scans", PAGES)
    started = time.monotonic()
    _finish(folder / "scans", folder / "undisturbed")
    usual_s = time.monotonic() - started
    expected = results_of(folder / "undisturbed")
    while tally.kills < times:
        out = folder / f"out{tally.batches}"
        while tally.kills < times and _disturb(folder / "scans", out, dice, usual_s, tally):
            tally.torn += _torn(out, expected)
        _finish(folder / "scans", out)
        tally.lost += len(unlike(results_of(out), expected))
        tally.batches += 1
    return tally


def _disturb(scans: Path, out: Path, dice: random.Random, usual_s: float, tally: Tally) -> bool:
    """One run that loses some workers and is then killed itself; False where it came to its end before that."""
    run = start_run(scans, out)
    while True:
        ends = time.monotonic() + dice.uniform(0, usual_s / 2)
        while time.monotonic() < ends and run.poll() is None:
            time.sleep(0.002)
        if run.poll() is not None:
            run.communicate()
            return False
        workers = _workers(run.pid)
        if workers and dice.random() < 0.5:
            with suppress(psutil.NoSuchProcess):  # it has just ended
                dice.choice(workers).kill()
            tally.of_workers += 1
        else:
            run.kill()
            run.communicate()
            tally.of_runs += 1
            return True


def _workers(run: int) -> list[psutil.Process]:
    try:
        return [child for child in psutil.Process(run).children() if "spawn_main" in " ".join(child.cmdline())]
    except psutil.Error:  # one of them has just ended
        return []


def _torn(out: Path, expected: dict[str, bytes]) -> int:
    """Page CSVs that stand there and are not what they should be; the other files may be of another moment."""
    made = {path.relative_to(out).as_posix(): path.read_bytes() for path in (out / "pages").rglob("*.csv")}
    return sum(content != expected[name] for name, content in made.items())


def _finish(scans: Path, out: Path) -> None:
    """Run to the end; pages whose worker was killed twice are failures, which the next run reads."""
    for _ in range(3):
        run = start_run(scans, out)
        said, complained = run.communicate(timeout=_RUN_TIMEOUT_S)
        if run.returncode == 0:
            return
        assert run.returncode == 3, f"exit code {run.returncode}\n{said}{complained}"
    raise AssertionError(f"pages still fail: {said}{complained}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=200, help="kills, at least")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tally = kill_at_random(Path(folder), options.times, options.seed)
    print(tally)
    sys.exit(1 if tally.torn or tally.lost else 0)


if __name__ == "__main__":
    main()
