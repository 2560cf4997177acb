import re
from pathlib import Path

from command_line import Docscan, png

from docscan.cli.exit_codes import ExitCode


def test_digit_names_the_digit_and_the_runners_up(docscan: Docscan, tmp_path: Path) -> None:
    (tmp_path / "seven.png").write_bytes(png(["7"], height=200))
    done = docscan("digit", "seven.png")
    first, *others = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"Digit is: 7  Confidence: \d+\.\d %", first)
    assert others
    assert all(re.fullmatch(r"or:       (\d|no digit)  \d+\.\d %", other) for other in others)


def test_digit_without_ink_is_4(docscan: Docscan, tmp_path: Path) -> None:
    (tmp_path / "blank.png").write_bytes(png([]))
    done = docscan("digit", "blank.png")
    assert (done.returncode, done.stdout) == (ExitCode.NOTHING_TO_DO, "")
    assert done.stderr == "docscan: blank.png: there is no ink on the picture; expected one digit\n"


def test_digit_of_a_page_names_the_command_for_pages(docscan: Docscan, tmp_path: Path) -> None:
    (tmp_path / "page.png").write_bytes(png(["1717", "7171"]))
    done = docscan("digit", "page.png")
    assert done.returncode == ExitCode.NOTHING_TO_DO
    assert done.stderr.endswith("many pieces of ink on the picture; expected one digit. For a page: docscan run\n")


def test_doctor_finds_everything_and_reads_a_page(docscan: Docscan) -> None:
    done = docscan("doctor")
    assert (done.returncode, done.stderr) == (0, "")
    assert "test page: 1727 read as 1727" in done.stdout


def test_doctor_says_what_opencv_lacks(docscan: Docscan, tmp_path: Path) -> None:
    (tmp_path / "cv2").mkdir()
    (tmp_path / "cv2" / "__init__.py").write_text(
        "raise ImportError('libGL.so.1: cannot open shared object file: No such file or directory')"
    )
    env = {"PYTHONPATH": str(tmp_path)}
    done = docscan("doctor", env=env)
    assert (done.returncode, "sudo apt install libgl1" in done.stderr) == (ExitCode.BUG, True)
    (tmp_path / "a.png").write_bytes(png(["7"]))
    run = docscan("run", "a.png", "-o", "out", env=env)
    assert (run.returncode, "`docscan doctor` says what to install" in run.stderr) == (ExitCode.BUG, True)
