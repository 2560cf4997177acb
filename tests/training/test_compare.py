import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from docscan.records import NOT_A_DIGIT
from training import acceptance
from training.data import Digits
from training.layouts import Sheet
from training.pages import draw_page

pytest.importorskip("tensorflow")
pytest.importorskip("sklearn")
compare = pytest.importorskip("training.compare")
ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
pytestmark = pytest.mark.training


def bar(name, labels):
    labels = np.array(labels, dtype=np.int64)
    crops = np.zeros((len(labels), 28, 28), np.uint8)
    crops[:, 0, 0] = labels
    return compare.Bar(name, Digits(crops, labels), None)


def reader(scores, **more):
    return compare.Reader("one", scores, "10", 3, 2_000_000, **more)


def reads_the_corner(crops):
    """Reads each crop as its first pixel, surely."""
    return np.eye(11, dtype=np.float32)[crops[:, 0, 0]]


def test_boxes_match_where_they_overlap_by_three_quarters():
    found = np.array([[0, 0, 10, 20], [50, 0, 60, 20], [0, 0, 10, 8]])
    truth = np.array([[100, 0, 110, 20], [0, 1, 10, 20], [50, 0, 60, 12]])
    assert acceptance.matching(found, truth).tolist() == [[0, 1]]


@pytest.mark.parametrize(("found", "truth"), [(0, 0), (0, 2), (2, 0)])
def test_no_boxes_match_none(found, truth):
    pairs = acceptance.matching(np.ones((found, 4), np.int64), np.ones((truth, 4), np.int64))
    assert pairs.shape == (0, 2)


def test_digits_are_cut_from_a_page_with_their_labels():
    # A 3 is a wide bar and an 8 a high one, so each label can be told from its crop.
    def source(digit, rng, height_px):
        size = (round(height_px), round(height_px)) if digit == 3 else (round(height_px), round(height_px / 4))
        return np.full(size, 255, np.uint8)

    sheet = Sheet(width=80, height=50, margin=5, digit=4.5)
    page = draw_page("clean", np.random.default_rng(4), dpi=200, sheet=sheet, digits_source=source)
    cut = acceptance.page_crops_of([page])
    written = "".join(number.text for number in page.numbers)
    assert sorted(cut.labels.tolist()) == sorted(map(int, written))
    widths = (cut.images > 127).any(axis=1).sum(axis=1)
    assert set(widths[cut.labels == 3].tolist()) == {20}
    assert set(widths[cut.labels != 3].tolist()) == {5}


def test_the_table_has_a_line_a_method_and_a_column_a_set():
    bars = [bar("digits", [1, 2, 3, 4]), bar("letters", [NOT_A_DIGIT] * 2)]
    line = compare.Row("one", "60,000", (0.99748, None), 1_234_567, 750_183, 11_349.0)
    assert compare.table([line], bars).splitlines() == [
        "| method | trained on | digits (4) | letters (2) | parameters | file, MB | digits a second |",
        "| --- | --- | --: | --: | --: | --: | --: |",
        "| one | 60,000 | 99.75 | – | 1,234,567 | 0.75 | 11,300 |",
    ]


def test_digits_count_when_read_right_and_letters_when_called_a_digit_for_sure():
    digits = bar("digits", [1, 2, 3, 4])
    digits.crops.images[3, 0, 0] = 9
    letters = bar("letters", [NOT_A_DIGIT] * 4)
    letters.crops.images[0, 0, 0] = 7
    row = compare.measured(reader(reads_the_corner), [digits, letters], 0.01)
    assert row.shares == (0.75, 0.25)
    assert row.speed > 0
    assert compare.measured(reader(reads_the_corner, has_confidence=False), [digits, letters], 0).shares == (0.75, None)


def test_half_sure_is_not_sure():
    unsure = reader(lambda crops: np.full((len(crops), 11), 1 / 11, np.float32))
    assert compare.measured(unsure, [bar("letters", [NOT_A_DIGIT] * 4)], 0).shares == (0.0,)


def test_a_reader_that_waits_is_as_fast_as_one_that_does_not():
    # Processor time: what else the machine does is not the reader's fault.
    crops = np.zeros((1, 28, 28), np.uint8)

    def busy(crops):
        until = time.process_time() + 0.05
        while time.process_time() < until:
            pass
        return np.zeros((len(crops), 10), np.float32)

    def idle_and_busy(crops):
        time.sleep(0.2)
        return busy(crops)

    speeds = [compare.digits_per_second(scores, crops, 0.2) for scores in (busy, idle_and_busy)]
    assert speeds == pytest.approx([256 / 0.05] * 2, rel=0.4)  # Windows counts in steps of 1/64 s


@pytest.mark.parametrize("make", [compare.nearest_neighbours, lambda digits: compare.support_vectors(digits, seed=0)])
def test_a_digit_never_shown_is_never_read(make):
    rng = np.random.default_rng(0)
    labels = np.repeat([1, 4, 7], 20)
    images = np.zeros((60, 28, 28), np.uint8)
    images[np.arange(60), :, labels * 3] = rng.integers(150, 255, (60, 28))
    made = make(Digits(images, labels))
    scores = made.scores(images)
    assert scores.shape == (60, 10)
    assert scores.argmax(axis=1).tolist() == labels.tolist()


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("MLP, 784 hidden", 784 * 784 + 784 + 7850),
        ("classic CNN", 832 + 4608 * 128 + 128 + 1290),
        ("two-conv CNN, Adadelta", 320 + 18_496 + 9216 * 256 + 256 + 2570),
        ("stacked CNN", 740 + 3620 + 1810 + 910 + 330 + 310),
    ],
)
def test_each_network_is_the_one_described(name, parameters):
    [network] = [network for network in compare.NETWORKS if network.name == name]
    model = network.build()
    assert model.count_params() == parameters
    assert model.output_shape == (None, 10)


def test_an_exported_network_reads_as_keras_does_and_another_is_refused():
    model = compare.ours_plain()
    scores = compare.onnx_scores(compare.exported(model))
    crops = np.random.default_rng(0).integers(0, 256, (300, 28, 28), dtype=np.uint8)
    compare.prove_same(model, scores, crops)
    assert scores(crops).sum(axis=1) == pytest.approx(np.ones(300), abs=1e-5)
    with pytest.raises(ValueError, match="Keras and ONNX Runtime differ by"):
        compare.prove_same(compare.ours_plain(), scores, crops)


@pytest.mark.skipif(not (DATA / "evaluation").is_dir(), reason="the data sets are not here")
def test_one_command_trains_and_compares_all(tmp_path):
    command = ["-m", "training.compare", "--data", str(DATA), "--rows", "even", "--limit", "600", "--epochs", "1"]
    done = subprocess.run(
        [sys.executable, *command, "--report", str(tmp_path)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONIOENCODING": "utf-8"},
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line for line in done.stdout.splitlines() if line.startswith("|")]
    assert len(lines) == 2 + 8
    assert "**ours, shipped**" in lines[-1]
    shipped = float(lines[-1].split("|")[3])
    assert shipped > 98, lines[-1]
    assert (tmp_path / "table.md").read_text(encoding="utf-8").splitlines()[:10] == lines
    pictures = {
        "learning",
        "confusion",
        "reliability",
        "error-reject",
        "drawn",
        "mistakes-mnist-test",
        "mistakes-pages",
    }
    assert pictures <= {path.stem for path in tmp_path.glob("*.png")}
