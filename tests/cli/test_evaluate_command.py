import importlib.util
import json
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from command_line import Docscan

from docscan.cli.exit_codes import ExitCode
from docscan.files.results import CsvFormat, page_csv, write_numbers
from docscan.files.store import PageEntry, open_store
from docscan.records import Box, Number, PageOutcome, PageResult, PageSource

SCORERS = Path(__file__).parents[2].parent / "shared" / "tools"

needs_scorers = pytest.mark.skipif(not SCORERS.is_dir(), reason="../shared is absent")


def number(text: str, box: Box, confidence: float = 0.95) -> Number:
    return Number(text, confidence, box, (), 1, 1, review=confidence < 0.9)


def write_run(out: Path, pages: dict[str, list[Number]]) -> None:
    """An output folder as a run leaves it."""
    out.mkdir()
    sources = [PageSource("", name) for name in pages]
    with open_store(out, create=True) as store:
        store.replace_inputs([PageEntry(source.name, 1, "", page_csv(source).as_posix()) for source in sources])
        for source in sources:
            numbers = pages[source.name]
            store.record(PageOutcome(source, PageResult(tuple(numbers), 1000, 1000)), "", 1.0)
            write_numbers(out / page_csv(source), ((source.name, 1, one) for one in numbers), CsvFormat())


def write_expected(folder: Path, *rows: str) -> None:
    folder.mkdir(parents=True)
    (folder / "expected.csv").write_text("\n".join(["source,page,text,x,y,width,height", *rows]) + "\n")


def test_samples_are_scored_one_by_one_and_together(docscan: Docscan, tmp_path: Path) -> None:
    write_expected(tmp_path / "truth" / "clean", "a.png,1,12,10,10,40,20")
    write_expected(tmp_path / "truth" / "hard", "a.png,1,345,10,10,60,20", "a.png,1,6,100,10,10,20")
    right, wrong = number("12", Box(10, 10, 50, 30)), number("845", Box(10, 10, 70, 30), 0.5)
    write_run(tmp_path / "out", {"clean/a.png": [right], "hard/a.png": [wrong], "hard/b.png": [right]})
    done = docscan("evaluate", "out", "truth")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "clean                digits      2  digit accuracy 1.0000  numbers F1 1.0000  spurious 0",
        "hard                 digits      4  digit accuracy 0.0000  numbers F1 0.0000  spurious 2",
        "ALL                  digits      6  digit accuracy 0.3333  numbers F1 0.3333  spurious 2",
        "accepted at <= 0.1 % wrong: 0.3333 of the numbers",
        "not sent to review: 0.6667 of the numbers read, 0.5000 of them wrong",
    ]


def test_digits_read_on_a_sample_without_numbers_are_spurious(docscan: Docscan, tmp_path: Path) -> None:
    write_expected(tmp_path / "truth" / "blank")
    write_run(tmp_path / "out", {"blank/a.png": [number("12", Box(10, 10, 50, 30))]})
    done = docscan("evaluate", "out", "truth")
    assert done.stdout.startswith("blank                digits      0  digit accuracy -1.0000"), done.stdout
    assert "spurious 2" in done.stdout


def test_one_sample_alone_is_scored(docscan: Docscan, tmp_path: Path) -> None:
    write_expected(tmp_path / "clean", "a.png,1,12,10,10,40,20")
    write_run(tmp_path / "out", {"a.png": [number("12", Box(10, 10, 50, 30))]})
    assert docscan("evaluate", "out", "clean").stdout.startswith(
        "clean                digits      2  digit accuracy 1.0"
    )


def test_a_folder_without_known_numbers_is_wrong_usage(docscan: Docscan, tmp_path: Path) -> None:
    write_run(tmp_path / "out", {})
    done = docscan("evaluate", "out", "out")
    assert (done.returncode, "no known numbers" in done.stderr) == (ExitCode.WRONG_USAGE, True)


@needs_scorers
def test_the_figures_are_those_of_the_shared_scorer(docscan: Docscan, tmp_path: Path) -> None:
    truth, read = random_pages(random.Random(1))
    (tmp_path / "truth.jsonl").write_text("".join(json.dumps(page) + "\n" for page in truth))
    write_run(tmp_path / "out", read)
    scorer: Any = load(SCORERS / "score.py")
    expected = scorer.score(truth, scorer.read_folder(tmp_path / "out"))
    lines = docscan("evaluate", "out", "truth.jsonl").stdout.splitlines()
    for kind in ("even", "odd", "ALL"):
        figures = expected[kind]
        assert (
            f"{kind:20} digits {figures['digits']:6}  digit accuracy {figures['digit_accuracy']:.4f}  "
            f"numbers F1 {figures['number_f1']:.4f}  spurious {figures['spurious']}"
        ) in lines
    assert expected["ALL"]["accepted_at_0.1%_error"] > 0
    assert f"accepted at <= 0.1 % wrong: {expected['ALL']['accepted_at_0.1%_error']:.4f} of the numbers" in lines


@needs_scorers
def test_the_figures_of_lines_are_those_of_the_shared_scorer(docscan: Docscan, tmp_path: Path) -> None:
    dice = random.Random(2)
    _, read = random_pages(dice)
    read = {f"{'ab'[index % 2]}/{name}": numbers for index, (name, numbers) in enumerate(read.items())}
    for name, numbers in read.items():
        path = tmp_path / "truth" / f"{name}.truth.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        texts = [one.text if dice.random() < 0.7 else "?" * len(one.text) for one in numbers]
        path.write_text("# made up\n" + dice.choice([" ", "\n"]).join(texts) + "\n")
    write_run(tmp_path / "out", read)
    command = [sys.executable, *map(str, (SCORERS / "score_real.py", tmp_path / "truth", tmp_path / "out"))]
    expected = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    printed = docscan("evaluate", "out", "truth").stdout
    figures = re.compile(r"[0-9./]+")
    assert [figures.findall(line) for line in printed.splitlines()] == [
        figures.findall(line) for line in expected.splitlines()
    ]


def random_pages(dice: random.Random) -> tuple[list[dict[str, Any]], dict[str, list[Number]]]:
    """Truth and reading of 40 pages: most numbers right, some wrong, cut, moved, missing or made up."""
    truth, read = [], {}
    for page in range(40):
        known, seen = [], []
        for place in range(dice.randrange(12)):
            text = str(dice.randrange(10 ** dice.randint(1, 6)))
            x, y, width = 20 + 150 * (place % 6), 50 + 80 * (place // 6), 20 * len(text)
            known.append({"text": text, "x": x, "y": y, "w": width, "h": 30})
            seen += seen_as(text, Box(x, y, x + width, y + 30), dice)
        truth.append({"file": f"p{page}.png", "kind": ("even", "odd")[page % 2], "numbers": known})
        read[f"p{page}.png"] = seen
    return truth, read


def seen_as(text: str, box: Box, dice: random.Random) -> list[Number]:
    confidence = dice.random() ** 0.1
    chance = dice.random()
    if chance < 0.7:
        return [number(text, box, 1.0 if confidence > 0.97 else confidence)]
    if chance < 0.8:
        return [number(text[:-1] + "0", box, confidence * 0.97)]
    if chance < 0.9 and len(text) > 1:
        middle = (box.left + box.right) // 2
        return [
            number(text[1:], Box(middle, box.top, box.right, box.bottom), confidence * 0.9),
            number(text[0], Box(box.left, box.top, middle, box.bottom), confidence * 0.9),
        ]
    if chance < 0.95:
        return [number(text, Box(box.left, box.top + 400, box.right, box.bottom + 400), confidence * 0.9)]
    return []


def load(path: Path) -> object:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
