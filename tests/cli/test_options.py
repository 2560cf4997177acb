import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import Docscan, png
from PIL import Image
from typer.main import get_command

from docscan.cli import app
from docscan.cli.exit_codes import ExitCode

HEAVY = {"cv2", "onnxruntime", "PIL", "numpy", "xlsxwriter", "psutil", "rich.progress", "pypdfium2"}
COMMANDS: dict[str, Any] = getattr(get_command(app), "commands", {})


def options() -> Iterator[Any]:
    for name, command in COMMANDS.items():
        for parameter in command.params:
            if parameter.param_type_name == "option" and parameter.name != "help":
                yield pytest.param(parameter, id=f"{name} {parameter.name}")


def test_the_commands_are_those_that_work() -> None:
    assert list(COMMANDS) == ["run", "watch", "status", "digit", "evaluate", "doctor"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_an_example(command: str) -> None:
    assert f"Example: docscan {command}" in COMMANDS[command].help


@pytest.mark.parametrize("option", list(options()))
def test_every_option_has_help_and_a_variable(option: Any) -> None:
    assert option.help
    assert option.envvar == f"DOCSCAN_{option.name.upper()}"


@pytest.fixture
def booklet(tmp_path: Path) -> Path:
    """A TIFF of four pages: --pages shows in a dry run."""
    path = tmp_path / "booklet.tif"
    first, *others = [Image.new("L", (100, 100), 255) for _ in range(4)]
    first.save(path, save_all=True, append_images=others)
    return path


@pytest.mark.parametrize(
    ("given", "pages"),
    [("", [1, 2, 3, 4]), ("file", [1]), ("file environment", [2]), ("file environment line", [3]), ("file line", [3])],
)
def test_the_command_line_beats_the_environment_beats_the_file(
    docscan: Docscan, booklet: Path, tmp_path: Path, given: str, pages: list[int]
) -> None:
    (tmp_path / "docscan.toml").write_text('dry-run = true\nout = "out"\n' + 'pages = "1"\n' * ("file" in given))
    env = {"DOCSCAN_PAGES": "2"} if "environment" in given else {}
    line = ["--pages", "3"] if "line" in given else []
    done = docscan("run", booklet, "-c", "docscan.toml", *line, env=env)
    assert done.stdout.splitlines() == [f"booklet.tif page {page}" for page in pages], done.stderr


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("job = 2", "unknown setting 'job'; did you mean 'jobs'?"),
        ("[reviews]\nmin_confidence = 1", "unknown setting 'reviews'; did you mean 'review'?"),
        ("[review]\nmin_confidense = 1", "[review] unknown setting 'min_confidense'; did you mean 'min_confidence'?"),
        ('[review]\nmin_confidence = "high"', "[review] min_confidence is 'high'; expected a number"),
        ("[review]\nmin_confidence = 2", "min_confidence is 2; expected 0 to 1"),
        ("[review]\nmax_error = 1", "max_error is 1; expected a share such as 0.001"),
        ('jobs = "two"', "Invalid value for '--jobs'"),
        ("jobs = ", "docscan.toml is not TOML"),
    ],
)
def test_a_mistake_in_the_file_is_named(docscan: Docscan, booklet: Path, tmp_path: Path, toml: str, words: str) -> None:
    (tmp_path / "docscan.toml").write_text(toml)
    done = docscan("run", booklet, "-o", "out", "--dry-run", "--config", "docscan.toml")
    assert (done.returncode, words in done.stderr) == (ExitCode.WRONG_USAGE, True), done.stderr


def test_a_file_that_is_not_there_is_wrong_usage(docscan: Docscan, booklet: Path) -> None:
    done = docscan("run", booklet, "-o", "out", "-c", "gone.toml")
    assert (done.returncode, "gone.toml" in done.stderr) == (ExitCode.WRONG_USAGE, True)


def test_settings_of_the_file_reach_the_pages_and_the_command_line_wins(docscan: Docscan, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(["17"]))
    (tmp_path / "strict.toml").write_text("[review]\nmin_confidence = 1\n")
    strict = docscan("run", "a.png", "-o", "out", "-c", "strict.toml", "--jobs", "1")
    assert "1 number, 1 to review" in strict.stderr
    lenient = docscan("run", "a.png", "-o", "out", "-c", "strict.toml", "--min-confidence", "0", "--jobs", "1")
    assert "1 number, 0 to review" in lenient.stderr


def test_an_error_rate_takes_the_place_of_a_confidence_and_the_other_way_round(
    docscan: Docscan, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(png(["17"]))
    (tmp_path / "never.toml").write_text("[review]\nmax_error = 1e-9\n")  # less than any model was measured for
    (tmp_path / "always.toml").write_text("[review]\nmin_confidence = 0\n")
    strict = docscan("run", "a.png", "-o", "out", "-c", "never.toml", "--jobs", "1")
    assert "1 number, 1 to review" in strict.stderr
    lenient = docscan("run", "a.png", "-o", "out", "-c", "never.toml", "--min-confidence", "0", "--jobs", "1")
    assert "1 number, 0 to review" in lenient.stderr
    bought = docscan("run", "a.png", "-o", "out", "-c", "always.toml", "--max-error", "1e-9", "--jobs", "1")
    assert "1 number, 1 to review" in bought.stderr


def test_one_file_serves_all_commands(docscan: Docscan, tmp_path: Path) -> None:
    (tmp_path / "seven.png").write_bytes(png(["7"], height=200))
    (tmp_path / "docscan.toml").write_text("jobs = 2\nquiet = true\n")
    done = docscan("digit", "seven.png", "-c", "docscan.toml")
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 1), done.stderr


def test_the_version_is_printed(docscan: Docscan) -> None:
    done = docscan("--version")
    assert (done.returncode, done.stdout.split()[0]) == (0, "docscan")


def test_help_imports_nothing_heavy() -> None:
    code = "import docscan.cli, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert HEAVY.isdisjoint(done.stdout.split())


def test_help_appears_in_half_a_second(docscan: Docscan) -> None:
    def seconds() -> float:
        before = time.perf_counter()
        assert docscan("--help").returncode == 0
        return time.perf_counter() - before

    assert min(seconds() for _ in range(5)) < 0.5
