import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from docscan.stages.classify import load_model
from training.hand import Writer, draw_digit
from training.network import build_network

pytest.importorskip("tensorflow")
finetune = pytest.importorskip("training.finetune")
ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "docscan" / "models" / "digits.keras"
pytestmark = [
    pytest.mark.training,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # Keras, as it saves
]


def bar(paper, ink):
    """A picture of a 1."""
    gray = np.full((60, 40), paper, np.uint8)
    gray[10:50, 16:24] = ink
    return gray


def keep(image, folder, name="a.png"):
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(folder / name)


@pytest.fixture
def project(tmp_path):
    """Eight hands' digits, three of each, as pictures."""
    folder = tmp_path / "crops"
    for seed in range(8):
        rng = np.random.default_rng(1000 + seed)
        writer = Writer.random(rng).tidied(rng)
        for digit in range(10):
            for number in range(3):
                ink = draw_digit(digit, writer, rng, 50)
                keep(255 - np.pad(ink, 8), folder / str(digit), f"{seed}-{number}.png")
    return folder


def test_a_fifth_of_the_crops_is_held_out_by_name(project):
    own = finetune.load_crops(project)
    assert len(own.train) + len(own.held_out) == 240
    assert len(own.held_out) == pytest.approx(48, abs=15)
    assert set(own.train.labels) == set(own.held_out.labels) == set(range(10))
    moved = project.rename(project.parent / "elsewhere")
    assert np.array_equal(finetune.load_crops(moved).held_out.images, own.held_out.images)


def test_folders_0_to_9_and_other_are_read_and_nothing_else(tmp_path):
    for number in range(30):
        keep(bar(255, 0), tmp_path / "1", f"{number}.png")
        keep(bar(255, 0), tmp_path / "other", f"{number}.jpg")
        keep(bar(255, 0), tmp_path / "11", f"{number}.png")
    (tmp_path / "1" / "notes.txt").write_text("seven of them are doubtful")
    own = finetune.load_crops(tmp_path)
    labels = np.concatenate([own.train.labels, own.held_out.labels])
    assert np.bincount(labels, minlength=11).tolist() == [0, 30, *[0] * 8, 30]


def test_too_few_crops_are_refused(tmp_path):
    for number in range(49):
        keep(bar(255, 0), tmp_path / "1", f"{number}.png")
    with pytest.raises(ValueError, match="49 crops in folders 0 to 9 and other; expected at least 50"):
        finetune.load_crops(tmp_path)


def test_a_folder_without_crops_is_refused(tmp_path):
    with pytest.raises(ValueError, match="0 crops in folders"):
        finetune.load_crops(tmp_path / "nowhere")


@pytest.mark.parametrize(("paper", "ink"), [(255, 0), (0, 255), (200, 60), (110, 30), (60, 200), (150, 250)])
def test_ink_and_paper_may_have_any_colour(tmp_path, paper, ink):
    keep(bar(paper, ink), tmp_path)
    expected = np.zeros((60, 40), np.uint8)
    expected[10:50, 16:24] = 255
    assert np.array_equal(finetune._ink(tmp_path / "a.png"), expected)


def test_the_grain_of_the_paper_is_no_ink(tmp_path):
    grain = np.random.default_rng(0).integers(-8, 9, (60, 40))
    keep((bar(200, 60) + grain).astype(np.uint8), tmp_path)
    ink = finetune._ink(tmp_path / "a.png")
    assert ink[10:50, 16:24].min() > 200
    assert np.count_nonzero(ink) == 40 * 8


def test_a_picture_of_paper_alone_has_no_ink(tmp_path):
    keep(np.full((30, 20), 180, np.uint8), tmp_path)
    assert not finetune._ink(tmp_path / "a.png").any()


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(finetune, "REHEARSED_PAGES", 4)
    monkeypatch.setattr(finetune, "CHECK_PAGES", 2)
    monkeypatch.setattr(finetune, "ROUNDS", 6)


@pytest.fixture
def start(tmp_path):
    """An untrained model: whatever it is taught makes it better."""
    import keras

    keras.utils.set_random_seed(0)
    build_network().save(tmp_path / "digits.keras")
    return tmp_path / "digits.keras"


def test_a_model_that_reads_the_project_better_is_written(project, start, tmp_path, quick, monkeypatch, capsys):
    monkeypatch.setattr(finetune, "RATE", 3e-3)
    assert finetune.finetune(start, project, tmp_path / "mine") == 0
    printed = capsys.readouterr().out
    assert "held-out crops: " in printed
    assert "drawn hands: " in printed
    model = load_model(tmp_path / "mine" / "digits.onnx")
    held_out = finetune.load_crops(project).held_out
    assert np.mean(model.probabilities(held_out.images).argmax(axis=1) == held_out.labels) > 0.3
    metadata = model.session.get_modelmeta().custom_metadata_map
    assert metadata["docscan.recipe"] == "python -m training.train --from digits.keras --seed 1"
    assert metadata["docscan.training_data"].startswith("digits.keras, then ")
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == ["digits.json", "digits.keras", "digits.onnx"]


def test_a_model_that_reads_the_project_worse_is_not(project, tmp_path, quick, monkeypatch, capsys):
    monkeypatch.setattr(finetune, "ROUNDS", 1)
    monkeypatch.setattr(finetune, "RATE", 3.0)  # so large a step undoes what was learnt
    monkeypatch.setattr(finetune, "MAY_FORGET", 1.0)
    assert finetune.finetune(SHIPPED, project, tmp_path / "mine") == 1
    assert "The model got worse: nothing is written." in capsys.readouterr().out
    assert not (tmp_path / "mine").exists()


def test_a_model_that_forgot_other_hands_is_not(project, tmp_path, quick, monkeypatch, capsys):
    # Every digit in the folder of the next: hardly one was read "right" before, and no other page says so.
    monkeypatch.setattr(finetune, "ROUNDS", 1)
    swapped = tmp_path / "swapped"
    swapped.mkdir()
    for digit in range(10):
        (project / str(digit)).rename(swapped / str((digit + 1) % 10))
    monkeypatch.setattr(finetune, "RATE", 3e-3)
    assert finetune.finetune(SHIPPED, swapped, tmp_path / "mine") == 1
    before, after = re.findall(r"held-out crops: ([\d.]+)% before, ([\d.]+)% after", capsys.readouterr().out)[0]
    assert float(after) >= float(before)
    assert not (tmp_path / "mine").exists()


def test_from_needs_data(tmp_path):
    command = [sys.executable, "-m", "training.train", "--from", "digits.keras", "--out", str(tmp_path / "mine")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 2
    assert "--from needs --data: a folder of crops in folders 0 to 9 and other" in done.stderr
    assert not (tmp_path / "mine").exists()
