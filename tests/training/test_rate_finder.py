"""The sweep of the learning rate: it leaves no trace, ends where the loss diverges, and small sets get enough steps."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable

import keras
import numpy as np
import pytest

from tlkit.heads import build_head
from tlkit.outputs import CLASSIFICATION
from tlkit.recipes import TrainingSettings
from tlkit.tasks import Outputs
from tlkit.training.batches import Batches, EpochPlan, HeldInputs, Inputs, ReadInputs
from tlkit.training.checkpoint import snapshot
from tlkit.training.loop import StageData
from tlkit.training.rate_finder import (
    CHOSEN,
    HIGHEST_RATE,
    LOWEST_RATE,
    NUM_STEPS,
    SMOOTHING,
    STEEPEST,
    TENTH,
    VALLEY,
    Sweep,
    find_divergence,
    smooth,
    suggest_rates,
    sweep_rates,
)
from tlkit.training.steps import StageModel
from tlkit.training.targets import FixedTargets

NUM_IMAGES = 10
OUTPUTS = Outputs(CLASSIFICATION, 2)


def make_data(shape: tuple[int, ...], *, batches_at_once: int = 0) -> StageData:
    """Return 10 inputs in batches of 5, of which the brighter half is class 1; held, or read some batches at a time."""
    labels = np.arange(NUM_IMAGES, dtype=np.int32) % 2
    noise = np.random.default_rng(0).uniform(0, 40, size=(NUM_IMAGES, *shape))
    inputs = (noise + 150 * labels.reshape(-1, *(1 for _ in shape))).astype(np.float32)
    source: Inputs = HeldInputs(keras.ops.convert_to_tensor(inputs), 1)
    if batches_at_once:
        source = ReadInputs(lambda images, views: inputs[images], batches_at_once)
    metadata, ones = np.zeros((NUM_IMAGES, 0), np.float32), np.ones(NUM_IMAGES, np.float32)
    batches = Batches(EpochPlan(NUM_IMAGES, 5, num_views=1, seed=0), source, FixedTargets(labels), metadata, ones)
    return StageData(train=batches, validation=batches, outputs=OUTPUTS)


def sweep(model: StageModel, data: StageData) -> Sweep:
    return sweep_rates(
        model,
        data,
        rates=[1.0] * len(model.trainable_variables),
        held=(),
        training=TrainingSettings(),
        progress=lambda total: contextlib.nullcontext(lambda count: None),
    )


def make_head_alone() -> StageModel:
    keras.utils.set_random_seed(0)
    head = build_head("linear", feature_shape=(8,), outputs=OUTPUTS, dropout=0.5, units=1)
    return StageModel(tail=None, head=head, tail_trains=False)


def make_tail_and_head() -> StageModel:
    """Return a tail with batch norm that follows the batches, and a head with dropout."""
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Input((8,)), keras.layers.Dense(8), keras.layers.BatchNormalization(momentum=0.5)]
    head = build_head("linear", feature_shape=(8,), outputs=OUTPUTS, dropout=0.5, units=1)
    return StageModel(tail=keras.Sequential(layers), head=head, tail_trains=True)


def test_weights_batch_norm_and_dropout_seeds_come_back_to_the_bit() -> None:
    model = make_tail_and_head()
    assert {"kernel", "moving_mean", "seed_generator_state"} <= {each.path.split("/")[-1] for each in model.variables}
    before = snapshot("model", model.variables)
    swept = sweep(model, make_data((8,)))
    assert min(swept.losses) < 0.9 * swept.losses[0], "it did train"
    after = snapshot("model", model.variables)
    for name, array in before.items():
        np.testing.assert_array_equal(after[name], array)


def test_the_rate_rises_evenly_in_its_logarithm_however_few_images_there_are() -> None:
    swept = sweep(make_head_alone(), make_data((8,)))
    assert 0.5 * NUM_STEPS < len(swept.rates) == len(swept.losses) == len(swept.smoothed) <= NUM_STEPS
    assert swept.rates[0] == pytest.approx(LOWEST_RATE)
    factor = (HIGHEST_RATE / LOWEST_RATE) ** (1 / (NUM_STEPS - 1))
    np.testing.assert_allclose(np.divide(swept.rates[1:], swept.rates[:-1]), factor)


def test_inputs_that_are_read_in_parts_give_the_same_sweep() -> None:
    held = sweep(make_head_alone(), make_data((8,)))
    assert sweep(make_head_alone(), make_data((8,), batches_at_once=1)) == held


def test_a_rate_set_by_hand_stays_where_it_is() -> None:
    model = make_head_alone()
    swept = sweep_rates(
        model,
        make_data((8,)),
        rates=[1.0] * len(model.trainable_variables),
        held=range(len(model.trainable_variables)),
        training=TrainingSettings(),
        progress=lambda total: contextlib.nullcontext(lambda count: None),
    )
    assert swept.losses[0] == pytest.approx(math.log(2), abs=1e-5)
    assert abs(swept.losses[1] - math.log(2)) > 0.1, "at the lowest rate of the sweep nothing would have moved"


def test_the_smoothed_loss_of_a_constant_is_that_constant_from_the_first_step_on() -> None:
    assert smooth([2.0] * 30) == pytest.approx([2.0] * 30)
    assert smooth([1.0, 3.0]) == pytest.approx([1.0, (SMOOTHING * 1 + 3) / (SMOOTHING + 1)])


@pytest.mark.parametrize(
    ("losses", "end"),
    [
        ([1.0, 1.0, 0.5], None),
        ([1.0, 1.0, math.nan, 1.0], 2),
        ([1.0, math.inf], 1),
        ([1.0, 1.0, 1000.0, 1.0], 2),
    ],
)
def test_a_sweep_ends_where_the_loss_diverges(losses: list[float], end: int | None) -> None:
    assert find_divergence(losses) == end


RATES = np.geomspace(LOWEST_RATE, HIGHEST_RATE, NUM_STEPS)


def make_sweep(loss: Callable[[float], float], *, noise: float = 0.0) -> Sweep:
    """Return a sweep whose loss is a function of the rate's logarithm to base 10."""
    generator = np.random.default_rng(0)
    smoothed = np.array([loss(math.log10(rate)) for rate in RATES])
    losses = smoothed + noise * generator.normal(size=NUM_STEPS)
    return Sweep(tuple(RATES.tolist()), tuple(losses.tolist()), tuple(smoothed.tolist()), diverged=False)


def fall_once(place: float) -> float:
    """Return a loss that falls from 1e-5 to 1e-1, fastest at 1e-3, and rises after that."""
    if place <= -5:
        return 2.0
    return 1 + math.cos(math.pi * (place + 5) / 4) if place < -1 else 2 * (place + 1)


def test_each_rule_finds_its_place() -> None:
    found = suggest_rates(make_sweep(fall_once))
    assert found is not None
    assert {rule: math.log10(rate) for rule, rate in found.by_rule.items()} == {
        STEEPEST: pytest.approx(-3, abs=0.06),
        VALLEY: pytest.approx(-3, abs=0.06),
        TENTH: pytest.approx(-2, abs=0.06),
    }
    assert found.chosen == float(f"{found.by_rule[CHOSEN]:.1e}")


def test_rules_that_differ_by_ten_times_are_said_to() -> None:
    agreed = suggest_rates(make_sweep(lambda place: fall_once(place) if place < -2 else fall_once(-2) + place + 2))
    apart = suggest_rates(make_sweep(lambda place: fall_once(place) - place / 100))
    assert agreed is not None
    assert apart is not None
    assert (agreed.are_far_apart, apart.are_far_apart) == (False, True)


@pytest.mark.parametrize(
    "sweep",
    [
        make_sweep(lambda place: 2.0, noise=0.1),
        make_sweep(lambda place: 2.0 - 0.01 * (place > -4), noise=0.5),
        make_sweep(lambda place: 2.0 + max(0.0, place + 4), noise=0.1),
        Sweep((1e-7,), (2.0,), (2.0,), diverged=True),
    ],
    ids=["flat", "a fall smaller than the noise", "it only rises", "one step"],
)
def test_where_the_loss_falls_at_no_rate_none_is_suggested(sweep: Sweep) -> None:
    assert suggest_rates(sweep) is None
