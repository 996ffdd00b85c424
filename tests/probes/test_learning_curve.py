"""The learning curve: what more of the same images would bring, with an interval."""

from __future__ import annotations

import json

import numpy as np
import pytest
from numpy.typing import NDArray

from tlkit.outputs import CLASSIFICATION, REGRESSION
from tlkit.probes.learning_curve import LearningCurve, fit_power_law, measure_learning_curve

SIZES = np.array([25.0, 50.0, 100.0, 200.0, 400.0])
EVEN = np.ones(len(SIZES))


def draw_classes(
    num_images: int, *, width: int = 30, spread: float = 3.0
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Two classes that differ a little in every input; there is more to learn than few images tell."""
    generator = np.random.default_rng(3)
    labels = np.arange(num_images) % 2
    block = generator.normal(size=(num_images, width)) * spread + labels[:, None]
    return np.eye(2, dtype=np.float32)[labels], block


@pytest.fixture(scope="module")
def rising() -> LearningCurve:
    targets, block = draw_classes(160)
    return measure_learning_curve(CLASSIFICATION, targets, block, num_now=160)


def test_the_law_that_made_the_errors_is_found_again() -> None:
    errors = np.stack([0.1 + 2.0 * SIZES**-0.5, 0.3 * SIZES**-0.25])
    law = fit_power_law(SIZES, errors, EVEN)
    assert law.limit == pytest.approx([0.1, 0.0], abs=0.01)
    assert law.exponent == pytest.approx([0.5, 0.25], abs=0.051)
    assert law.predict(1600.0) == pytest.approx([0.15, 0.3 * 1600**-0.25], abs=0.005)


def test_errors_that_rise_or_fall_below_nothing_are_not_carried_on() -> None:
    rising, vanishing = fit_power_law(SIZES, np.stack([SIZES / 1000, 0.5 - SIZES / 800]), EVEN).predict(1e6)
    assert rising == pytest.approx(float((SIZES / 1000).mean()))
    assert vanishing >= 0


def test_points_with_more_weight_count_more() -> None:
    errors = np.array([[0.9, 0.2, 0.2, 0.2, 0.2]])
    first, last = (
        fit_power_law(SIZES, errors, np.array([weight, 1.0, 1, 1, 1])).predict(25.0) for weight in (1e3, 1e-6)
    )
    assert first > 0.8
    assert last == pytest.approx(0.2, abs=0.01)


def test_a_curve_that_rises_promises_more_with_an_interval_that_holds_what_then_comes(rising: LearningCurve) -> None:
    values = [score.value for score in rising.scores]
    assert values[-1] > values[0] + 0.1
    assert rising.sizes.tolist() == sorted(rising.sizes.tolist())
    assert rising.sizes[-1] == 128, "four fifths of the images are learnt from"
    targets, block = draw_classes(320)
    then = measure_learning_curve(CLASSIFICATION, targets, block, num_now=320).scores[-1].value
    promised = rising.predict(256)
    assert promised.low <= then <= promised.high
    assert rising.sentence.startswith(
        "For a head on the frozen backbone, twice as many images of the same kind would gain about +"
    )
    assert not rising.is_flat


def test_random_labels_promise_next_to_nothing() -> None:
    """Nothing can be learnt, however many there are; so no points may be promised."""
    generator = np.random.default_rng(0)
    targets = np.eye(2, dtype=np.float32)[generator.integers(2, size=400)]
    curve = measure_learning_curve(CLASSIFICATION, targets, generator.normal(size=(400, 5)), num_now=400)
    assert curve.gain_of_doubling.low < 0.005
    assert curve.predict(1e6).low < 0.6


def test_where_images_bring_nothing_it_is_said_why() -> None:
    """The first input tells the class of all images; or of three quarters of them, and nothing tells of the others."""
    labels = np.arange(200) % 2
    targets = np.eye(2, dtype=np.float32)[labels]
    known = measure_learning_curve(CLASSIFICATION, targets, targets[:, :1], num_now=200)
    assert known.is_flat
    assert known.sentence.endswith(
        "next to nothing, +0.0 points (95% interval +0.0 to +0.0) of accuracy: hardly anything is left to learn."
    )
    wrong = np.random.default_rng(0).random(200) < 0.25
    half_known = measure_learning_curve(CLASSIFICATION, targets, (labels ^ wrong)[:, None].astype(float), num_now=200)
    assert half_known.sentence.endswith(": the backbone or the labels are the limit.")


def test_values_are_judged_by_r2_and_the_payload_is_fit_for_json() -> None:
    generator = np.random.default_rng(1)
    block = generator.normal(size=(120, 12))
    targets = block[:, :1] + block[:, 1:2] + generator.normal(size=(120, 1))
    curve = measure_learning_curve(REGRESSION, targets, block, num_now=120)
    assert 0.3 < curve.scores[-1].value < 0.8
    assert curve.gain_in_words.endswith(") of R²")
    payload = json.loads(json.dumps(curve.to_payload()))
    assert set(payload) == {"points", "law", "images_now", "now", "gain_of_doubling", "is_flat"}


def test_too_few_images_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 40 images"):
        measure_learning_curve(CLASSIFICATION, np.eye(2)[np.arange(8) % 2], np.ones((8, 2)), num_now=8)
