import csv
from pathlib import Path

import pytest

import docscan
from docscan.files.scans import ScanOptions, find_pages, open_page
from docscan.files.truth import TruePage, read_truth
from docscan.pipeline import read_page
from docscan.records import PageSource
from docscan.scoring import ReadNumber, Score, score_page
from training.sample_pages import SAMPLES, draw_sample, expected

FOLDER = Path(__file__).parent.parent / "samples"
LARGEST_BYTES = 3_000_000
LOWEST_ACCURACY = 0.97


def score_sample(name, model):
    """Every page of a sample against its expected.csv."""
    truth = {page.page: page.numbers for page in read_truth(FOLDER / name) if isinstance(page, TruePage)}
    score = Score()
    for source in find_pages([FOLDER / name], ScanOptions()):
        assert isinstance(source, PageSource), source
        page = read_page(open_page(source, ScanOptions()), model, docscan.Settings())
        read = [
            ReadNumber(number.text, number.box.left, number.box.top, number.box.width, number.box.height)
            for number in page.numbers
        ]
        score += score_page(truth.pop(source.page), read)[0]
    assert truth == {}, "pages that were expected but not found"
    return score


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_a_sample_is_a_page_with_its_truth_and_a_note(sample):
    files = sorted(file.name for file in (FOLDER / sample.name).iterdir())
    assert files == sorted([sample.file, "expected.csv", "note.md"])


def test_every_folder_of_samples_is_drawn_by_the_recipe():
    folders = {path.name for path in FOLDER.iterdir() if path.is_dir()}
    assert folders == {sample.name for sample in SAMPLES}


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_a_sample_is_drawn_again_with_the_same_truth(sample):
    # The pixels may differ from one version of OpenCV or Pillow to the next, the boxes by the rounding of an edge.
    kept = list(csv.DictReader((FOLDER / sample.name / "expected.csv").read_text(encoding="utf-8").splitlines()))
    drawn = list(csv.DictReader(expected(sample, draw_sample(sample)).splitlines()))
    named = ("source", "page", "text")
    assert [[row[name] for name in named] for row in drawn] == [[row[name] for name in named] for row in kept]
    for before, after in zip(kept, drawn, strict=True):
        places = [[int(row[name]) for name in ("x", "y", "width", "height")] for row in (before, after)]
        assert places[0] == pytest.approx(places[1], abs=2), before


def test_the_samples_stay_small():
    assert sum(file.stat().st_size for file in FOLDER.rglob("*") if file.is_file()) <= LARGEST_BYTES


def test_the_samples_are_read():
    model = docscan.load_model()
    scores = {sample.name: score_sample(sample.name, model) for sample in SAMPLES}
    total = sum(scores.values(), Score())
    report = {name: round(score.digit_accuracy, 3) for name, score in scores.items()}
    assert total.digit_accuracy >= LOWEST_ACCURACY, report
