"""Every trick can be done without; what it is worth is for a longer run."""

import numpy as np
import pytest

from docscan import pipeline
from docscan.scoring import Score
from docscan.stages.classify import load_model
from tests.benchmarks.ablations import Measured, Pages, Trick, measure, row, table, tricks
from training.hand import Writer
from training.layouts import Sheet
from training.pages import draw_page, hand_source

TRICKS = list(tricks())


@pytest.fixture(scope="module")
def pages():
    source = hand_source(Writer.random(np.random.default_rng(1)))
    drawn = [draw_page("comb", np.random.default_rng(2), dpi=150, sheet=Sheet(74, 52), digits_source=source)]
    strip = np.full((60, 34), 200, np.uint8)
    return Pages(drawn, [(strip, "")], [])


@pytest.mark.parametrize("trick", TRICKS, ids=[trick.name for trick in TRICKS])
def test_the_method_reads_on_without_it(trick, pages):
    stages = dict(vars(pipeline))
    assert set(trick.without) <= set(stages)
    measured = measure(pages, load_model(), trick)
    assert measured.total.digits > 0
    assert vars(pipeline) == stages


def test_without_combs_their_numbers_fall_apart(pages):
    [combs] = [trick for trick in TRICKS if trick.name == "combs"]
    whole, without = (measure(pages, load_model(), trick).total for trick in (Trick("nothing"), combs))
    assert without.number_f1 < whole.number_f1 - 0.3


def test_a_row_names_the_kinds_that_lose_most():
    whole = Measured({"table": Score(digits=100), "comb": Score(digits=100)}, 0.9, 0.25)
    without = Measured({"table": Score(digits=100, edits=3), "comb": Score(digits=100)}, 0.8, 1.0)
    assert row("it", without, whole) == "| it | 0.9850 | 0.0000 | 0.800 | 1.00 | table 0.970 |"
    assert list(table(iter([("nothing", whole), ("it", without)])))[2:] == [
        "| nothing | 1.0000 | 0.0000 | 0.900 | 0.25 |  |",
        "| it | 0.9850 | 0.0000 | 0.800 | 1.00 | table 0.970 |",
    ]
