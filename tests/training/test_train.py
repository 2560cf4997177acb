import functools
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from docscan.errors import ModelError
from docscan.stages.classify import SHIPPED, load_model
from training import mixture, network, stocks
from training.augment import Augmentation
from training.crops import Stock
from training.data import MNIST_FILES, Digits
from training.network import build_network, fold

pytest.importorskip("tensorflow")
export = pytest.importorskip("training.export")
train = pytest.importorskip("training.train")
ROOT = Path(__file__).parents[2]
NOWHERE = np.array([], np.uint8)  # in no pool
pytestmark = pytest.mark.training


@pytest.fixture
def mnist_folder():
    folder = ROOT.parent / "shared" / "data"
    if not all((folder / "mnist" / name).is_file() for name in MNIST_FILES):
        pytest.skip("MNIST's idx files are not here")
    return folder


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras, as it saves
def test_one_command_trains_exports_and_proves_a_model(mnist_folder, tmp_path, monkeypatch, capsys):
    # The whole recipe with few hands and few crops: in this process, where that can be said.
    for module, name, few in (
        (stocks, "DRAWN_WRITERS", 60),
        (stocks, "LETTER_WRITERS", 12),
        (mixture, "CHUNK", 8192),
        (train, "CHUNK", 8192),
    ):
        monkeypatch.setattr(module, name, few)
    taught = ["--teachers", "2", "--lessons", "1"]
    options = ["--chunks", "1", "--pages", "4", *taught, "--bfloat16", "--no-fonts"]
    command = ["train", "--data", str(mnist_folder), "--out", str(tmp_path), *options]
    monkeypatch.setattr(sys, "argv", command)
    train.main()
    printed = capsys.readouterr().out
    assert "cheques 32,750 crops, small sets 5,425 crops" in printed
    assert "Keras and ONNX Runtime agree on 1000 crops" in printed
    assert re.search(r"averaged weights: held-out writers [\d.]+%, held-out pages [\d.]+%", printed)
    model = load_model(tmp_path / "digits.onnx")
    assert model.probabilities(np.zeros((3, 28, 28), np.uint8)).shape == (3, 11)
    metadata = model.session.get_modelmeta().custom_metadata_map
    for networks, times in ((2, 1), (1, 3)):  # of every hand together, two natives, and what is shipped
        assert printed.count(f"{networks} x 188,203 parameters") == times
    assert metadata["docscan.recipe"] == (
        "python -m training.train --chunks 1 --pages 4 --teachers 2 --lessons 1 --seed 1 --bfloat16 --no-fonts"
    )
    assert metadata["docscan.training_data"].startswith("mnist 54908, drawn 1200, drawn letters ")
    assert float(re.search(r"test digits ([\d.]+)%", metadata["docscan.accuracy"])[1]) > 50
    assert sorted(path.name for path in tmp_path.iterdir()) == ["digits.json", "digits.keras", "digits.onnx"]


def test_with_mnist_alone_the_other_sets_are_done_without(mnist_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(stocks, "DRAWN_WRITERS", 12)
    monkeypatch.setattr(stocks, "LETTER_WRITERS", 12)
    split, pools, judged = train.prepare(train.Recipe(mnist_folder / "mnist", tmp_path, fonts=None, pages=2))
    assert [pool.name for pool in pools] == ["mnist", "mnist bent", "pages", "others"]
    assert len(pools[0].crops) == len(pools[1].crops) == len(split.mnist.train)
    assert set(judged.labels) == set(range(11))


def test_a_cheque_is_drawn_without_the_crumbs_of_its_security_print():
    ink = np.zeros((50, 40), np.uint8)
    ink[5:45, 5:13] = 255
    ink[20:23, 30:33] = 255
    cheques, others = train.as_written([Stock(name, [ink], np.array([1]), 0.1) for name in ("cheques", "drawn")])
    assert cheques.inks[0].shape == (40, 8)
    assert others.inks[0].shape == (50, 40)


def test_leaning_from_none_lowers_its_logit_and_no_other():
    model = build_network()
    crops = np.random.default_rng(0).integers(0, 256, (4, 28, 28), dtype=np.uint8)
    before = export.logits_of(model, crops)
    train.lean_from_none(model, 0.5)
    after = export.logits_of(model, crops)
    assert after - before == pytest.approx(np.tile([0.0] * 10 + [-0.5], (4, 1)), abs=1e-5)


@pytest.mark.parametrize(("fonts", "ending"), [(Path("fonts"), "--seed 3"), (None, "--seed 3 --no-fonts")])
def test_the_recipe_is_the_command_without_its_paths(fonts, ending):
    recipe = train.Recipe(Path("data"), Path("out"), fonts, chunks=7, pages=9, teachers=0, seed=3, jobs=2)
    assert recipe.command() == f"python -m training.train --chunks 7 --pages 9 --teachers 0 {ending}"
    assert recipe.of_elders().chunks == recipe.lessons == 110
    assert recipe.of_native(1).chunks == 28
    assert len({one.seed for one in (recipe, recipe.of_elders(), recipe.of_native(0), recipe.of_native(1))}) == 4


def test_a_network_that_begins_as_an_elder_says_so(tmp_path):
    recipe = train.Recipe(None, Path("out"), chunks=7, pages=9, elder=tmp_path / "digits.keras")
    assert recipe.command() == (
        "python -m training.train --chunks 7 --pages 9 --elder digits.keras --lessons 110 --seed 1"
    )
    assert train.after(None) == ""
    assert train.after(recipe.elder) == f"; before that: {recipe.elder}"
    export.Origin("ink", "python -m training.train --seed 7", 1.0).write(tmp_path)
    assert train.after(recipe.elder) == "; before that: python -m training.train --seed 7"
    with pytest.raises(ValueError, match=r"no such file; --elder wants a digits\.keras"):
        train.network_at(recipe.elder)


def test_a_network_begins_as_its_start_and_goes_on_at_its_rate(tmp_path, monkeypatch):
    for module in (mixture, train):
        monkeypatch.setattr(module, "CHUNK", 512)
    elder = build_network()
    crops = Digits(np.random.default_rng(1).integers(0, 256, (40, 28, 28), np.uint8), np.arange(40) % 10)
    pools = [mixture.Pool("mnist", crops, 1.0, Augmentation())]
    recipe = train.Recipe(None, tmp_path, chunks=1)
    [kept] = train.fit(pools, {"crops": crops}, recipe, start=train.Start(elder, 1e-3))
    [forgot] = train.fit(pools, {"crops": crops}, recipe)
    begun, one, another = (model.get_layer("stem").get_weights()[0] for model in (elder, kept, forgot))
    assert 0 < np.abs(one - begun).max() < 0.01  # two steps on
    assert np.abs(another - begun).max() > 0.1


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("is_elder_given", [False, True])
def test_all_begin_as_elders_and_listen_to_them(is_elder_given, tmp_path, monkeypatch):
    elders = [build_network() for _ in range(1 if is_elder_given else 2)]
    elders[0].save(tmp_path / "digits.keras")
    begun = []

    def fitted(pools, judged, recipe, *, networks=1, start=None, teachers=None):
        begun.append((networks, recipe.chunks, start and (start.network, start.peak)))
        return elders if start is None else [start.network]

    monkeypatch.setattr(train, "fit", fitted)
    monkeypatch.setattr(train, "quick", lambda model, _: model)
    crops = Digits(np.zeros((4, 28, 28), np.uint8), np.arange(4))
    pools = [mixture.Pool(name, crops, share, Augmentation()) for name, share in train.SHARES.items()]
    recipe = train.Recipe(None, tmp_path, elder=tmp_path / "digits.keras" if is_elder_given else None)
    found = train.elders_of(pools, {"crops": crops}, recipe)
    teachers = train.teachers_of(pools, {"crops": crops}, recipe, found)
    assert begun[:-2] == ([] if is_elder_given else [(2, 110, None)])
    assert begun[-2:] == [(1, 28, (elder, train.NATIVE_RATE)) for elder in (found[0], found[-1])]
    assert teachers.of_every_hand == found
    assert teachers.natives == [found[0], found[-1]]
    assert teachers.home.tolist() == [0, 1]
    assert teachers.certain.tolist() == [3, 4]
    said = [export.logits_of(model, np.zeros((1, 28, 28), np.uint8) + 9) for model in (elders[0], found[0])]
    assert said[0] == pytest.approx(said[1], abs=1e-6)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize(("is_taught", "expected"), [(False, [0.0]), (True, [train.BROKEN_SHARE])])
def test_who_learns_from_labels_sees_nothing_broken(is_taught, expected, tmp_path, monkeypatch):
    for module in (mixture, train):
        monkeypatch.setattr(module, "CHUNK", 512)
    shares = []

    def unbroken(crops, rng, share):
        shares.append(np.max(share))
        return crops.copy()

    monkeypatch.setattr(train, "broken", unbroken)
    crops = Digits(np.random.default_rng(1).integers(0, 256, (40, 28, 28), np.uint8), np.arange(40) % 10)
    pools = [mixture.Pool("mnist", crops, 1.0, Augmentation())]
    silent = train.Teachers([lambda crops: np.zeros((len(crops), 11), np.float32)], [], NOWHERE, NOWHERE)
    teachers = silent if is_taught else None
    train.fit(pools, {"crops": crops}, train.Recipe(None, tmp_path, chunks=1), teachers=teachers)
    assert shares == expected


def test_what_several_teachers_say_is_their_mean_at_the_softness():
    one, other = build_network(), build_network()
    crops = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)
    logits = [export.logits_of(teacher, crops) for teacher in (one, other)]
    chances = [np.exp(own / train.SOFTNESS) for own in logits]
    expected = np.mean([own / own.sum(axis=1, keepdims=True) for own in chances], axis=0)
    speaking = [functools.partial(export.logits_of, teacher) for teacher in (one, other)]
    assert train.said_by(speaking, crops) == pytest.approx(expected, abs=1e-5)


def saying(label):
    """A teacher that says the same of every crop."""
    return lambda crops: np.tile(np.where(np.arange(11) == label, 1e3, 0.0), (len(crops), 1)).astype(np.float32)


def test_of_what_is_written_at_home_natives_say_half():
    digits = Digits(np.zeros((4, 28, 28), np.uint8), np.zeros(4, np.int64))
    chunk = mixture.Chunk(digits, np.array([0, 2, 1, 3], np.uint8))
    teachers = train.Teachers([saying(9), saying(9)], [saying(4)], np.array([0, 1], np.uint8), NOWHERE)
    said = teachers.answers(chunk, digits.images)
    assert said[:, 9] == pytest.approx([0.5, 1, 0.5, 1])
    assert said[:, 4] == pytest.approx([0.5, 0, 0.5, 0])


def test_where_labels_are_certain_they_say_half():
    digits = Digits(np.zeros((3, 28, 28), np.uint8), np.array([10, 10, 7]))
    chunk = mixture.Chunk(digits, np.array([2, 3, 0], np.uint8))
    said = train.Teachers([saying(9)], [], NOWHERE, np.array([2, 3], np.uint8)).answers(chunk, digits.images)
    assert said[:, 10] == pytest.approx([0.5, 0.5, 0])
    assert said[:, 9] == pytest.approx([0.5, 0.5, 1])


def test_of_a_broken_crop_half_is_what_teachers_say_of_it_whole():
    def saying_how_many_are_dark(crops):
        return 1e3 * np.eye(11, dtype=np.float32)[np.count_nonzero(crops, axis=(1, 2))]

    whole = np.zeros((2, 28, 28), np.uint8)
    whole[:, 0, :5] = 255
    torn = whole.copy()
    torn[1, 0, 0] = 0
    chunk = mixture.Chunk(Digits(whole, np.zeros(2, np.int64)), np.zeros(2, np.uint8))
    said = train.Teachers([saying_how_many_are_dark], [], NOWHERE, NOWHERE).answers(chunk, torn)
    assert said[:, 5] == pytest.approx([1, 0.5])
    assert said[:, 4] == pytest.approx([0, 0.5])


@pytest.mark.parametrize("training", [False, True])
def test_the_network_that_is_trained_normalises_as_keras_does(training, monkeypatch):
    crops = np.random.default_rng(0).random((64, 28, 28, 1), dtype=np.float32)
    quick = build_network(rounded=True)
    import keras

    monkeypatch.setattr(network, "quick_normalisation", lambda: keras.layers.BatchNormalization)
    plain = build_network(rounded=True)
    plain.set_weights(quick.get_weights())
    assert type(quick.get_layer("stem_norm")) is not type(plain.get_layer("stem_norm"))
    # Up to where pieces of the network are dropped at random.
    ours, keras_own = (keras.Model(one.input, one.get_layer("average").output) for one in (quick, plain))
    for _ in range(3):
        said, exact = (np.asarray(one(crops, training=training)) for one in (ours, keras_own))
    assert said == pytest.approx(exact, abs=1e-4)
    for weights, expected in zip(quick.get_weights(), plain.get_weights(), strict=True):
        assert weights == pytest.approx(expected, abs=2e-3)


def test_a_teacher_says_the_same_in_integers():
    teacher = build_network()
    crops = np.random.default_rng(0).integers(0, 256, (600, 28, 28), dtype=np.uint8)
    said, exact = export.quick(teacher, crops)(crops), export.logits_of(teacher, crops)
    assert said.shape == (600, 11)
    assert 0 < np.abs(said - exact).max() < 0.05 * np.abs(exact).max()


def test_the_folded_network_computes_the_same():
    rng = np.random.default_rng(0)
    model = build_network()
    for layer in model.layers:
        if layer.name.endswith("_norm"):
            layer.set_weights([rng.uniform(0.5, 1.5, weights.shape) for weights in layer.get_weights()])
    crops = rng.random((16, 28, 28, 1), dtype=np.float32)
    expected, folded = (np.asarray(network(crops, training=False)) for network in (model, fold(model)))
    assert np.abs(expected - folded).max() < 1e-4


def test_a_file_that_disagrees_with_keras_is_refused():
    crops = np.random.default_rng(0).integers(0, 256, (20, 28, 28), dtype=np.uint8)
    model = build_network()
    proto = export.convert(model)
    assert export.prove_agreement(model, proto, crops) < 1e-4
    model.get_layer("logits").set_weights([weights + 0.01 for weights in model.get_layer("logits").get_weights()])
    with pytest.raises(ValueError, match="disagree"):
        export.prove_agreement(model, proto, crops)


def test_nothing_of_the_machine_is_in_the_shipped_file():
    content = SHIPPED.read_bytes()
    assert not any(
        word in content for word in (b"/home/", b"/root/", b"/work", b"/tmp", b"site-packages", b"\\Users\\")
    )


def test_a_model_without_its_contract_is_refused(tmp_path):
    export.write_model(export.convert(build_network()), {"docscan.format": "0"}, tmp_path / "digits.onnx")
    with pytest.raises(ModelError, match=r"docscan\.format is '0'"):
        load_model(tmp_path / "digits.onnx")
