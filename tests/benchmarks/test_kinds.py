"""The table by kind works; what it says is for a quiet machine and MNIST's digits."""

import numpy as np
import pytest

from docscan.scoring import Judged, Score
from docscan.settings import Settings
from docscan.stages.classify import load_model
from tests.benchmarks.kinds import Measured, accepted_unseen, draw_kind, lost_at, main, measure, table
from training.hand import Writer
from training.pages import hand_source

SURE, DOUBTED = (Judged(0.99, review, right=True) for review in (False, True))
WRONG = Judged(0.99, review=False, right=False)


def measured(edits=0, judged=()):
    return Measured(Score(digits=100, edits=edits, numbers=4, read=4, right=3), tuple(judged), seconds=0.2, pages=2)


def test_a_row_a_kind_and_three_columns_a_resolution():
    assert table({"clean": {150: measured(edits=3), 300: measured()}})[2:] == [
        "| clean | 0.9700 | 0.7500 | 100 | 1.0000 | 0.7500 | 100 |"
    ]


def test_what_is_lost_at_another_resolution_is_named():
    clean = {150: measured(edits=3), 300: measured(edits=1), 600: measured(edits=1)}
    assert lost_at({"clean": clean}) == ["clean at 150 dpi: 0.0200 lower"]
    assert lost_at({"clean": {150: measured(edits=9)}}) == []


def test_accepted_is_what_nobody_looks_at():
    total = measured(judged=[SURE, DOUBTED]) + measured(judged=[SURE, WRONG])
    assert accepted_unseen(total) == "accepted unseen 0.2500 of 8, of 3 wrong 1"


def test_drawn_pages_are_measured_the_same_numbers_at_every_resolution():
    model, source = load_model(), hand_source(Writer.random(np.random.default_rng(1)))
    at_150, at_300 = ([*draw_kind("table", 1, dpi, source)] for dpi in (150, 300))
    first_digits = [[number.text[0] for number in drawn[0].numbers] for drawn in (at_150, at_300)]
    assert first_digits[0] == first_digits[1]  # a last one may find no room
    found = measure(at_150, model, Settings())
    assert found.pages == 1
    assert found.score.digits == sum(len(number.text) for number in at_150[0].numbers)
    assert found.score.digit_accuracy > 0.9
    assert found.seconds > 0


def test_an_unknown_kind_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["--data", "nowhere", "--kinds", "parchment"])
    assert "parchment" in capsys.readouterr().err
