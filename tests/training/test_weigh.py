import json
import shutil
from dataclasses import replace

import numpy as np
import onnx
import pytest

from docscan.records import Box, Digit, Number, Page
from docscan.scoring import Score, TrueNumber
from docscan.stages.classify import SHIPPED, load_model
from docscan.stages.trust import CONSTANT, Evidence, trust
from training import weigh
from training.acceptance import gray_of, truth_of
from training.layouts import Sheet
from training.pages import draw_page
from training.weigh import (
    NAMES,
    Course,
    Lesson,
    Truth,
    add_metadata,
    fit_weights,
    held_out_chances,
    judge,
    read,
    settle_trust,
)

SMALL = Sheet(width=80, height=50, margin=5, digit=4.5)


def made_up(rng, count, **weights):
    """A page of numbers that are right as often as the weights say."""
    columns = {name: rng.normal(0, 1, count) for name in NAMES}
    evidence = Evidence(**columns)
    return Lesson(evidence, rng.random(count) < trust(evidence, weights), Score(numbers=count))


def a_number(text, left):
    digits = tuple(Digit(letter, 0.9, Box(left + 20 * k, 0, left + 20 * k + 15, 30)) for k, letter in enumerate(text))
    return Number(text, 0.9, Box(left, 0, digits[-1].box.right, 30), digits, 1, 1)


def test_the_weights_that_made_a_number_right_are_found_again():
    made = {"alone": 1.5, "string": -2.0, CONSTANT: 1.0}
    lesson = made_up(np.random.default_rng(1), 40_000, **made)
    found = fit_weights(np.column_stack([getattr(lesson.evidence, name) for name in NAMES]), lesson.right)
    assert set(found) == {*NAMES, CONSTANT}
    assert all(weight == pytest.approx(made.get(name, 0.0), abs=0.08) for name, weight in found.items())


def test_what_never_varies_or_always_is_right_has_finite_weights():
    found = fit_weights(np.ones((50, len(NAMES))), np.ones(50, np.bool_))
    assert np.isfinite(list(found.values())).all()


def test_a_page_is_not_weighed_by_what_it_taught_itself():
    rng = np.random.default_rng(2)
    lessons = [made_up(rng, 4, alone=0.0) for _ in range(12)]  # right and wrong by chance alone
    chances, right = held_out_chances(lessons, 4), np.concatenate([lesson.right for lesson in lessons])
    evidence = np.concatenate([np.column_stack([getattr(one.evidence, n) for n in NAMES]) for one in lessons])
    weights = fit_weights(evidence, right)
    own = np.concatenate([trust(lesson.evidence, weights) for lesson in lessons])
    fits, fits_own = (np.mean(np.where(right, one, 1 - one)) for one in (chances, own))
    assert len(chances) == 48
    assert fits < 0.6 < fits_own


def test_each_number_is_right_or_wrong_in_its_own_row():
    truth = (TrueNumber("12", 100, 0, 35, 30), TrueNumber("3", 300, 0, 15, 30))
    numbers = (a_number("9", 500), a_number("3", 300), a_number("13", 100))
    score, right = judge(numbers, truth)
    assert right.tolist() == [False, True, False]
    assert (score.numbers, score.right) == (2, 1)


def test_a_drawn_page_is_read_into_a_lesson():
    page = draw_page("clean", np.random.default_rng(1), dpi=200, sheet=SMALL)
    lesson = read(Truth(Page(gray_of(page), 200.0), truth_of(page)), load_model())
    assert len(lesson.evidence) == len(lesson.right) > 0
    assert lesson.right.mean() > 0.8


def test_a_course_is_taken_page_by_page(monkeypatch):
    monkeypatch.setattr(weigh, "KINDS", {"clean": None, "table": None})
    seen = []
    monkeypatch.setattr(weigh, "_read_drawn", seen.append)
    weigh.take(Course(None, 2), SHIPPED)
    assert seen == [("clean", 0), ("table", 0), ("clean", 1), ("table", 1)]


def test_what_is_learnt_goes_into_the_model_and_its_network_stays(tmp_path):
    path = tmp_path / "digits.onnx"
    shutil.copy(SHIPPED, path)
    rng = np.random.default_rng(3)
    settle_trust(path, [made_up(rng, 400, alone=2.0, **{CONSTANT: 4.0}) for _ in range(10)])
    model, shipped = load_model(path), onnx.load(SHIPPED)
    assert model.trust["alone"] == pytest.approx(2.0, abs=0.5)
    assert model.thresholds
    assert onnx.load(path).graph == shipped.graph
    kept = {entry.key: entry.value for entry in shipped.metadata_props}
    now = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert {key for key in now if now[key] != kept.get(key)} <= {"docscan.trust", "docscan.thresholds"}


def test_how_sure_is_sure_enough_is_measured_on_what_people_wrote(tmp_path):
    path = tmp_path / "digits.onnx"
    shutil.copy(SHIPPED, path)
    rng = np.random.default_rng(4)
    written = [made_up(rng, 400, alone=2.0, **{CONSTANT: 4.0}) for _ in range(10)]
    drawn = [replace(made_up(rng, 400, **{CONSTANT: 12.0}), is_written=False) for _ in range(10)]
    settle_trust(path, [*written, *drawn])
    with_drawn = load_model(path)
    settle_trust(path, [replace(one, is_written=True) for one in [*written, *drawn]])
    assert load_model(path).trust == with_drawn.trust
    assert load_model(path).thresholds[0.02] < with_drawn.thresholds[0.02]


def test_metadata_is_added_to_what_is_there(tmp_path):
    path = tmp_path / "digits.onnx"
    shutil.copy(SHIPPED, path)
    add_metadata(path, {"docscan.trust": json.dumps({"alone": 1.0})})
    assert load_model(path).trust == {"alone": 1.0}
    assert load_model(path).temperature == load_model().temperature
