import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from built_sets import DATA, cheques, keep_set

from docscan.records import NOT_A_DIGIT
from training import evaluate
from training.data import Digits
from training.evaluate import Bar, cheque_digits, load_bars, report_line
from training.stocks import HELD_OUT_ROW

ROOT = Path(__file__).parents[2]


def bar(labels, at_least):
    """A set whose crops say in their first pixel what a reader will read."""
    crops = np.zeros((len(labels), 28, 28), np.uint8)
    crops[:, 0, 0] = labels
    return Bar("some set", Digits(crops, np.array(labels, dtype=np.int64)), at_least)


def reader(*wrong, sure=0.95):
    """Reads each crop as its first pixel says, but those of the rows `wrong` as none."""

    def probabilities(crops):
        read = crops[:, 0, 0].copy()
        read[list(wrong)] = NOT_A_DIGIT
        return np.where(np.arange(11) == read[:, np.newaxis], sure, (1 - sure) / 10).astype(np.float32)

    return probabilities


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ((), "some set                8  100.00% of 87.50% reached  called none 0.00%"),
        ((3,), "some set                8  87.50% of 87.50% reached  called none 12.50%"),
        ((3, 4), "some set                8  75.00% of 87.50% MISSED   called none 25.00%"),
    ],
)
def test_a_line_says_what_was_reached(wrong, words):
    assert report_line(bar([0, 1, 2, 3, 4, 5, 6, 7], 0.875), reader(*wrong)) == words


@pytest.mark.parametrize(
    ("sure", "share"), [(0.95, "25.00% (at most 1 %) MISSED"), (0.85, "0.00% (at most 1 %) reached")]
)
def test_of_what_is_no_digit_only_sure_readings_count(sure, share):
    line = report_line(bar([10, 10, 3, 10], None), reader(sure=sure))
    assert line == f"some set                4  called a digit over 0.9: {share}"


def test_digits_called_none_count_over_all_sets_of_digits():
    bars = [bar([1] * 300, 0.9), bar([2] * 100, 0.9), bar([10] * 50, None)]
    assert evaluate.lost_line(bars, reader()).endswith("400  called none 0.00% (at most 0.3%) reached")
    assert evaluate.lost_line(bars, reader(7)).endswith("400  called none 0.50% (at most 0.3%) MISSED")


def test_of_crops_of_pages_the_surest_and_the_fit_of_confidence_are_told():
    crops = bar([3] * 1000, None).crops
    exact = reader(sure=1.0)

    def one_wrong_but_unsure(images):
        chances = exact(images)
        chances[0] = 0.05
        chances[0, 4] = 0.5
        return chances

    fit, surest = evaluate.page_lines(crops, one_wrong_but_unsure)
    assert "99.90%, called none 0.00%" in fit
    assert "error 0.0005 (at most 0.01) reached" in fit
    assert surest.endswith("999  0 wrong: none (at most 1 in 2,000) reached")

    def one_wrong_and_sure(images):
        chances = exact(images)
        chances[0] = np.eye(11)[4]
        return chances

    _, surest = evaluate.page_lines(crops, one_wrong_and_sure)
    assert surest.endswith("1000  1 wrong: 1 in 1,000 (at most 1 in 2,000) MISSED")


def test_ink_is_white_whichever_way_a_set_was_stored():
    white = np.zeros((3, 12, 12), np.uint8)
    white[:, 3:9, 3:9] = 220
    assert np.array_equal(evaluate._ink(white), white)
    assert np.array_equal(evaluate._ink(255 - white), white)


@pytest.mark.parametrize(("rows", "labels"), [("all", [0, 1, 2, 3, 4]), ("even", [0, 2, 4]), ("odd", [1, 3])])
def test_the_half_that_counts_is_kept_apart(rows, labels):
    images = np.zeros((5, 16, 16), np.uint8)
    images[:, 2:14, 6:10] = 255
    picked = evaluate._picked(images, np.arange(5), rows)
    assert picked.labels.tolist() == labels
    assert picked.images.shape == (len(labels), 28, 28)


def test_only_every_fifth_cheque_measures(tmp_path, monkeypatch):
    keep_set(tmp_path, "cheques", cheques(12), monkeypatch)
    found = cheque_digits(tmp_path)
    assert found.labels.tolist() == [row % 10 for row in range(12) if row % HELD_OUT_ROW == 0]
    assert found.images.reshape(len(found), -1).max(axis=1).min() > 0


def test_every_set_of_the_issue_is_judged():
    if not (DATA / "evaluation").is_dir():
        pytest.skip("the sets are not here")
    bars = {bar.name: bar for bar in load_bars(DATA, "even")}
    assert {name: (len(bar.crops), bar.at_least) for name, bar in bars.items() if name != "cheques"} == {
        "mnist test": (10000, 0.997),
        "usps test": (1004, 0.98),
        "chars74k digits": (275, 0.996),
        "tipe digits": (418, 0.99),
        "printed fonts": (5080, 0.985),
        "chars74k letters": (1100, None),  # 40 of the 52 letters, 55 hands
    }
    assert set(bars["chars74k letters"].crops.labels) == {NOT_A_DIGIT}
    # Ink is the minority: a set the wrong way round would be white all over.
    assert [name for name, bar in bars.items() if bar.crops.images.mean() > 100] == []


def test_the_command_says_what_it_needs():
    command = [sys.executable, "-m", "training.evaluate"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, "--data" in done.stderr) == (2, True)
