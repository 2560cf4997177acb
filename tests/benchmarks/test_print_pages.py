"""The count of false numbers on print works; what it says is for the fonts that train nothing."""

import numpy as np
from PIL import ImageFont

from docscan.records import Box, Number
from tests.benchmarks.print_pages import SIZE_PX, page_of_print, summary, words_of

NUMBER = Number("1", 0.95, Box(0, 0, 9, 9), (), 1, 1)


def test_only_words_without_digits_are_printed():
    text = "# A *page* of 250 digits\n\n```sh\nrun it\n```\nreads (well), `--all` [of it](http://x.y).\n| a | table |\n"
    assert words_of(text) == ["A", "page", "of", "digits", "reads", "(well),", "of", "it"]


def test_a_page_of_print_is_full_of_ink_and_the_same_seed_prints_the_same():
    face = ImageFont.load_default(40)
    pages = [page_of_print(["so", "many", "words."], face, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert (pages[0].shape, pages[0].dtype) == (SIZE_PX[::-1], np.uint8)
    assert np.array_equal(pages[0], pages[1])
    assert not np.array_equal(pages[0], pages[2])
    rows = (pages[0] < 128).any(axis=1)
    assert rows[200:2200:100].any()
    assert 0.005 < np.mean(pages[0] < 128) < 0.2


def test_false_numbers_are_counted_by_page():
    doubted = Number("7", 0.3, Box(0, 0, 9, 9), (), 1, 1, review=True)
    assert summary([[NUMBER, doubted, doubted], [], [NUMBER]]) == (
        "3 pages of print: 1.33 false numbers a page, 0.67 of them accepted unseen; 3 on the worst page, none on 1"
    )
