import sys
from pathlib import Path

import numpy as np
import pytest

from docscan.stages.classify import load_string_model
from docscan.stages.strings import BLANK, STRIP_CONTRACT
from training.strings import LabelledStrip

pytest.importorskip("tensorflow")
train_strings = pytest.importorskip("training.train_strings")
string_mixture = pytest.importorskip("training.string_mixture")
string_network = pytest.importorskip("training.string_network")
DATA = Path(__file__).parents[3] / "shared" / "data"
pytestmark = pytest.mark.training


def strip(text, width=None):
    """A strip with a bar for every digit, the higher the larger the digit."""
    pixels = np.zeros((32, width or 16 * max(1, len(text)) + 16, 2), np.uint8)
    for place, digit in enumerate(text):
        pixels[4 : 8 + 2 * int(digit), 12 + 16 * place : 18 + 16 * place] = 255
    return LabelledStrip(pixels, text)


def pools(cheques=()):
    strips = [strip(text) for text in ("1", "25", "907", "", "4444")]
    return string_mixture.StringPools(strips, cheques, {"bars": strips})


def recipe(folder, steps=8):
    return train_strings.Recipe(folder, folder, steps=steps, composed=5, seed=1)


def test_strips_are_stacked_with_paper_after_them():
    batch = string_mixture.stacked([strip("12").pixels, strip("1").pixels])
    assert batch.shape == (2, 32, 64, 2)
    assert (batch[0, :, :48] == strip("12").pixels).all()
    assert not batch[1, :, 32:].any()


def test_bending_keeps_the_height_and_most_of_the_ink():
    for seed in range(20):
        bent = string_mixture.bend(strip("5858").pixels, np.random.default_rng(seed))
        assert bent.shape[0] == 32
        assert 40 < bent.shape[1] < 160
        assert bent[..., 0].sum() > 0.3 * strip("5858").pixels[..., 0].sum()


def test_every_step_shows_a_batch_and_the_shares_are_kept():
    real = [[strip("99"), strip("99")], [strip("88"), strip("88")]]
    batches = list(string_mixture.shown(pools(real), string_mixture.Showing(steps=20, seed=1)))
    assert len(batches) == 20
    texts = [text for batch in batches for text in batch.texts]
    assert len(texts) == 20 * string_mixture.BATCH
    from_cheques = sum(text in ("99", "88") for text in texts) / len(texts)
    assert string_mixture.REAL_AT_FIRST < from_cheques < string_mixture.REAL_AT_LAST


def test_what_is_shown_does_not_depend_on_how_many_processes_draw():
    real = [[strip("99"), strip("12")]]
    few, many = (
        list(string_mixture.shown(pools(real), string_mixture.Showing(steps=17, seed=3, jobs=jobs))) for jobs in (1, 2)
    )
    assert [batch.texts for batch in few] == [batch.texts for batch in many]
    assert all((one.pixels == other.pixels).all() for one, other in zip(few, many, strict=True))
    assert not (few[0].pixels.shape == few[9].pixels.shape and (few[0].pixels == few[9].pixels).all())


def test_widths_are_rounded_where_every_width_is_compiled():
    showing = string_mixture.Showing(steps=2, seed=1, round_px=64)
    assert all(batch.pixels.shape[2] % 64 == 0 for batch in string_mixture.shown(pools(), showing))


def test_the_likeliest_path_is_read_without_repeats_and_blanks():
    path = [BLANK, 3, 3, BLANK, 3, 7]
    assert train_strings.likeliest(np.eye(BLANK + 1, dtype=np.float32)[path]) == "337"


def test_the_twin_without_batch_normalisation_says_the_same():
    model = string_network.build_string_network()
    rng = np.random.default_rng(0)
    model.set_weights([weights + 0.1 * rng.random(weights.shape, np.float32) for weights in model.get_weights()])
    strips = rng.random((2, 32, 48, 2), np.float32)
    expected, found = (np.asarray(one(strips, training=False)) for one in (model, string_network.fold_strings(model)))
    assert expected.shape == (2, 12, BLANK + 1)
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-3)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras, as it saves
def test_a_reader_is_trained_and_shipped_with_its_contract(tmp_path, capsys):
    trained = train_strings.fit(pools(), recipe(tmp_path))
    shipped = train_strings.ship_strings(trained, pools(), recipe(tmp_path), "bars")
    printed = capsys.readouterr().out
    assert "averaged weights: bars" in printed
    assert "Keras and ONNX Runtime agree to" in printed
    reader = load_string_model(shipped)
    assert reader.temperature in train_strings.TEMPERATURES
    metadata = reader.session.get_modelmeta().custom_metadata_map
    assert metadata["docscan.strip"] == STRIP_CONTRACT
    assert metadata["docscan.training_data"] == "bars"
    assert metadata["docscan.recipe"] == "python -m training.train_strings --steps 8 --composed 5 --seed 1"
    assert metadata["docscan.accuracy"].startswith("whole strings right: bars ")
    assert [path.name for path in tmp_path.iterdir()] == ["strings.onnx"]


def test_an_export_that_reads_otherwise_is_refused(tmp_path):
    model = string_network.build_string_network()
    shipped = train_strings.ship_strings(model, pools(), recipe(tmp_path), "nothing")
    other = string_network.build_string_network()
    with pytest.raises(ValueError, match="Keras and ONNX Runtime disagree"):
        train_strings.prove_same_steps(other, load_string_model(shipped), pools().composed)


@pytest.mark.skipif(not (DATA / "train").is_dir(), reason="the sets to train on are not here")
def test_the_command_names_what_it_needs(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["train_strings", "--data", str(DATA)])
    with pytest.raises(SystemExit):
        train_strings.main()
    assert "--out" in capsys.readouterr().err
