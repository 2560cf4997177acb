import numpy as np
import pytest

from docscan.scoring import Score
from docscan.stages.classify import load_model
from tests.benchmarks.blemishes import BLEMISHES, Measured, draw, main, measure, row

MM = 200 / 25.4


@pytest.mark.parametrize("name", [name for name in BLEMISHES if name not in {"none", "bare paper"}])
def test_every_blemish_changes_the_page_and_is_the_same_again(name):
    [page] = draw(1)
    gray = page.image
    one, other = (BLEMISHES[name](gray, np.random.default_rng(1), MM, 1, page.numbers) for _ in range(2))
    assert one.shape == gray.shape
    assert one.dtype == np.uint8
    assert np.array_equal(one, other)
    assert not np.array_equal(one, gray)
    # What is dropped out is paper again, or a little lighter than it.
    assert one.mean() < gray.mean() + (0.5 if name == "red form, dropped out" else 0)


def test_a_number_where_nothing_is_written_is_false():
    [page] = draw(1)
    clean = measure([page], BLEMISHES["none"], load_model())
    assert clean.score.digit_accuracy > 0.9
    assert (clean.false_numbers, clean.unseen) == (0, 0)

    def written_over(gray, *_):
        first = page.numbers[0].box
        copied, top = gray[first.top : first.bottom, first.left : first.right], gray.shape[0] - first.height - 40
        gray = gray.copy()
        gray[top : top + first.height, 20 : 20 + first.width] = copied
        return gray

    assert measure([page], written_over, load_model()).false_numbers >= 1


def test_a_row_says_what_was_measured():
    assert row("holes", Measured(Score(), 1.25, 0.5)).startswith("| holes | ")
    assert row("holes", Measured(Score(), 1.25, 0.5)).endswith(" | 1.2 | 0.5 |")


def test_the_table_has_a_row_a_blemish(capsys):
    main(["--pages", "1", "--kinds", "none", "holes"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[0] for line in lines] == ["| blemish", "|---|--:|--:|--:|--:|", "| none", "| holes"]
