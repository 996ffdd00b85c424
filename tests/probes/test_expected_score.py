from __future__ import annotations

import numpy as np
import pytest

from tlkit.probes.expected_score import Lesson, estimate_error, estimate_score, learn_from, list_decisions
from tlkit.probes.rehearsal import Answers, Rehearsal
from tlkit.probes.shift import FeatureShift


def draw_answers(num_images: int, sureness: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return calibrated probabilities of three classes, and whether the most probable is right."""
    rng = np.random.default_rng(seed)
    logits = sureness * rng.normal(size=(num_images, 3))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.array([rng.choice(3, p=row) for row in probabilities])
    return probabilities, probabilities.argmax(axis=1) == labels


def make_answers(probabilities: np.ndarray, is_right: np.ndarray) -> Answers:
    return Answers(list_decisions(probabilities, is_exclusive=True), is_right[:, None])


def test_the_expected_accuracy_falls_with_the_confidence_and_its_interval_holds_the_true_one() -> None:
    known, is_right = draw_answers(800, 3.0, 0)
    new, is_new_right = draw_answers(800, 1.5, 1)
    expected = estimate_score(make_answers(known, is_right), list_decisions(new, is_exclusive=True))
    assert is_new_right.mean() < is_right.mean() - 0.1
    assert expected.value < is_right.mean() - 0.1
    assert expected.low <= is_new_right.mean() <= expected.high


def test_on_images_like_the_known_ones_the_known_accuracy_is_expected() -> None:
    known, is_right = draw_answers(800, 3.0, 0)
    new, is_new_right = draw_answers(800, 3.0, 5)
    expected = estimate_score(make_answers(known, is_right), list_decisions(new, is_exclusive=True))
    assert abs(expected.value - is_new_right.mean()) < 0.04
    assert expected.high - expected.low < 0.2


def test_few_images_have_a_wide_interval() -> None:
    known, is_right = draw_answers(300, 3.0, 0)
    answers = make_answers(known, is_right)
    many, few = (estimate_score(answers, each) for each in (answers.decisions, answers.decisions[:5]))
    assert few.high - few.low > 2 * (many.high - many.low)
    assert 0 <= few.low <= few.value <= few.high <= 1


def test_a_model_that_was_always_right_is_expected_to_be_so_where_it_is_as_sure() -> None:
    known = np.array([[0.9, 0.1], [0.8, 0.2], [0.95, 0.05]])
    new = np.array([[0.85, 0.15], [0.5, 0.5]])
    expected = estimate_score(make_answers(known, np.ones(3, np.bool_)), list_decisions(new, is_exclusive=True))
    assert expected.value == pytest.approx(0.75 * 0.5 + 0.25 * (1 - 0.8833 + 0.675), abs=1e-3)


def answer(sureness: float, right: float | None = None) -> Answers:
    """Return 400 answers, up to so sure; they are right as often as they say, or as given."""
    rng = np.random.default_rng(0)
    first = np.linspace(0.5, sureness, 400)
    return make_answers(np.stack([first, 1 - first], axis=1), rng.random(400) < (first if right is None else right))


def test_rehearsals_teach_how_much_the_accuracy_falls_with_the_confidence() -> None:
    known = answer(1.0)
    assert learn_from([]) == Lesson(1.0, 0.0)
    rehearsals = [Rehearsal(known, answer(0.6)), Rehearsal(known, answer(0.8))]
    new = answer(0.7)
    learned, assumed = (estimate_score(known, new.decisions, rehearsals=each) for each in (rehearsals, []))
    assert abs(learned.value - new.score) < 0.05 < abs(assumed.value - new.score)
    sure = [Rehearsal(known, answer(0.9, right=0.3))]
    assert learn_from(sure).slope > 1.5
    fallen = answer(0.9).decisions
    assert estimate_score(known, fallen, rehearsals=sure).value < estimate_score(known, fallen).value - 0.05


def test_a_model_that_was_sure_and_wrong_in_the_rehearsals_has_a_wide_interval_where_images_clearly_differ() -> None:
    known = answer(1.0)
    rehearsals = [Rehearsal(known, answer(1.0, right=0.3))]
    widths = []
    for separability in (0.5, 1.0):
        expected = estimate_score(known, known.decisions, rehearsals=rehearsals, separability=separability)
        widths.append(expected.high - expected.low)
    assert widths[0] < 0.3
    assert widths[1] > 0.5


def test_each_label_is_a_decision() -> None:
    decisions = list_decisions(np.array([[0.5, 1.0]]), is_exclusive=False)
    np.testing.assert_allclose(decisions, [[[0.5, 0.5], [1.0, 0.0]]])


def test_the_expected_error_of_values_is_that_of_images_like_them() -> None:
    known = np.repeat(np.eye(2), 20, axis=0)
    residuals = np.repeat([1.0, 5.0], 20)
    new = np.tile([0.0, 1.0], (30, 1))
    close, far = (estimate_error(known, residuals, new, FeatureShift(each, 0.5)) for each in (0.5, 1.0))
    assert close.value == far.value == 5.0
    assert far.high - far.low > close.high - close.low
