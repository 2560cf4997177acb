import cv2
import numpy as np
import pytest

from docscan.records import Page
from docscan.stages.classify import load_model
from tests.benchmarks.retaken import WAYS, main, measure, row
from training.acceptance import gray_of
from training.mistakes import Scan
from training.pages import draw_page


@pytest.fixture(scope="module")
def scan():
    page = draw_page("clean", np.random.default_rng(5), dpi=150)
    return Scan("drawn", Page(gray_of(page)), tuple(number.text for number in page.numbers))


@pytest.mark.parametrize("way", WAYS)
def test_every_way_gives_another_picture_of_the_same_page(way, scan):
    taken = np.ascontiguousarray(WAYS[way](scan.page.gray))
    assert taken.dtype == np.uint8
    assert taken.ndim == 2
    assert np.array_equal(taken, scan.page.gray) == (way == "as they are")


def test_a_page_on_its_side_is_found_as_it_stands(scan):
    model = load_model()
    as_it_is, on_its_side = (measure([scan], WAYS[way], model) for way in ("as they are", "on their left side"))
    assert as_it_is.share == on_its_side.share > 0.95
    assert row("x", as_it_is).startswith(f"| x | {as_it_is.share:.3f} | {as_it_is.share:.2f} (drawn) | ")


def test_a_way_is_measured_on_all_pages_of_a_folder(scan, tmp_path, capsys):
    cv2.imencode(".png", scan.page.gray[:400])[1].tofile(tmp_path / "a.png")
    (tmp_path / "a.png.truth.txt").write_text("123\n")
    main(["--pages", str(tmp_path), "--ways", "pale"])
    head, _, found = capsys.readouterr().out.splitlines()
    assert head.startswith("| taken | numbers found |")
    assert found.startswith("| pale | 0.000 | 0.00 (")
