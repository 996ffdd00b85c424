"""Statistics that lag behind what is trained below them are measured anew; others are left alone."""

from __future__ import annotations

import dataclasses
from itertools import count
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from tlkit.heads import build_head
from tlkit.outputs import CLASSIFICATION
from tlkit.recipes import ResolvedStage, TrainingSettings
from tlkit.tasks import Outputs
from tlkit.training.batches import Batches, Block, EpochPlan, HeldInputs, ReadInputs
from tlkit.training.held_out import fit_unwatched
from tlkit.training.layer_groups import GroupedOptimizer
from tlkit.training.loop import StageData
from tlkit.training.mixing import Mixing
from tlkit.training.moving_statistics import NUM_MEASURED, LastBatches, catch_up, measure, measure_first
from tlkit.training.steps import StageModel, Steps, compile_steps
from tlkit.training.targets import FixedTargets

NUM_IMAGES, BATCH_SIZE, WIDTH = 24, 6, 5
STALE = 1e6
TWO_CLASSES = Outputs(CLASSIFICATION, 2)


@pytest.fixture
def model() -> StageModel:
    """A tail that doubles what it is given, and a linear head that standardises it."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((WIDTH,))
    tail = keras.Model(inputs, keras.layers.Dense(WIDTH, kernel_initializer=keras.initializers.Identity(2))(inputs))
    head = build_head("linear", feature_shape=(WIDTH,), outputs=TWO_CLASSES, dropout=0.0, units=1)
    return StageModel(tail=tail, head=head, tail_trains=True)


@pytest.fixture
def inputs() -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(3, 2, size=(NUM_IMAGES, WIDTH)).astype(np.float32)


def make_batches(inputs: NDArray[np.float32], *, mixup: float = 0.0, batches_at_once: int = 0) -> Batches:
    """Return batches of which the first column tells the class."""
    labels = (inputs[:, 0] > 3).astype(np.int32)
    plan = EpochPlan(NUM_IMAGES, BATCH_SIZE, num_views=1, seed=0, mixing=Mixing(mixup, 0.0))
    held = HeldInputs(keras.ops.convert_to_tensor(inputs), 1)
    source = ReadInputs(lambda images, views: inputs[images], batches_at_once) if batches_at_once else held
    metadata, ones = np.zeros((NUM_IMAGES, 0), np.float32), np.ones(NUM_IMAGES, np.float32)
    return Batches(plan, source, FixedTargets(labels), metadata, ones)


def compile_for(model: StageModel) -> Steps:
    optimizer = GroupedOptimizer([1e-3] * len(model.trainable_variables), weight_decay=0.0)
    optimizer.build(model.trainable_variables)
    return compile_steps(model, optimizer, outputs=TWO_CLASSES, training=TrainingSettings())


def read_epoch(batches: Batches) -> LastBatches:
    last = LastBatches()
    for block in batches.epoch(0):
        last.add(block)
    return last


def find_norm(model: StageModel) -> keras.layers.BatchNormalization:
    return model.head.get_layer("standardise")


def make_block(number: int, num_batches: int) -> Block:
    """Return an empty block that its inputs name."""
    nothing: Any = None
    return Block(number, nothing, nothing, nothing, nothing, np.arange(num_batches + 1, dtype=np.int32))


@pytest.mark.parametrize(
    ("sizes", "kept", "taken"),
    [
        ([40], [0], [(0, 32, 40)]),
        ([20, 20, 3], [1, 2], [(1, 15, 20), (2, 0, 3)]),
        ([1] * 12, [*range(4, 12)], [(number, 0, 1) for number in range(4, 12)]),
        ([3], [0], [(0, 0, 3)]),
    ],
)
def test_the_last_batches_of_an_epoch_are_kept_and_no_others(
    sizes: list[int], kept: list[int], taken: list[tuple[int, int, int]]
) -> None:
    last = LastBatches()
    for number, size in enumerate(sizes):
        last.add(make_block(number, size))
    assert [block.inputs for block in last.blocks] == kept
    assert [(block.inputs, part.start, part.stop) for block, part in last.take(NUM_MEASURED)] == taken


@pytest.mark.parametrize("batches_at_once", [0, 1])
def test_measured_statistics_are_the_means_of_the_batches_and_nothing_else_changes(
    batches_at_once: int, model: StageModel, inputs: NDArray[np.float32]
) -> None:
    norm, steps = find_norm(model), compile_for(model)
    norm.moving_variance.assign(np.full(WIDTH, STALE))
    weights = [np.array(variable.numpy()) for variable in model.trainable_variables]
    batches = make_batches(inputs, batches_at_once=batches_at_once)
    assert steps.measure
    measure(steps.measure, read_epoch(batches).take(NUM_MEASURED))
    parts = [2 * inputs[images] for images in batches.plan.draw(0)[0]]
    np.testing.assert_allclose(norm.moving_mean.numpy(), np.mean([part.mean(axis=0) for part in parts], axis=0), 1e-5)
    np.testing.assert_allclose(
        norm.moving_variance.numpy(), np.mean([part.var(axis=0) for part in parts], axis=0), 1e-4
    )
    assert norm.momentum == 0.9
    for before, variable in zip(weights, model.trainable_variables, strict=True):
        np.testing.assert_array_equal(before, variable.numpy())


@pytest.mark.parametrize("mixup", [0.0, 0.4])
def test_only_statistics_that_make_the_model_answer_worse_than_in_training_are_measured(
    mixup: float, model: StageModel, inputs: NDArray[np.float32]
) -> None:
    steps, norm, batches = compile_for(model), find_norm(model), make_batches(inputs, mixup=mixup)
    model.head.trainable_variables[0].assign(np.outer(np.eye(WIDTH)[0], [-4, 4]))  # the first column tells the class
    last = read_epoch(batches)
    assert steps.measure
    measure(steps.measure, last.take(NUM_MEASURED))
    right = norm.moving_variance.numpy()
    assert not catch_up(steps, last, train_loss=0.5, outputs=TWO_CLASSES)
    np.testing.assert_array_equal(norm.moving_variance.numpy(), right)

    norm.moving_variance.assign(np.full(WIDTH, STALE))
    assert catch_up(steps, last, train_loss=0.5, outputs=TWO_CLASSES)
    np.testing.assert_allclose(norm.moving_variance.numpy(), right, rtol=1e-5)


def test_of_an_epoch_no_more_than_the_first_batches_are_read(model: StageModel, inputs: NDArray[np.float32]) -> None:
    steps, numbers = compile_for(model), count()
    (block,) = make_batches(inputs).epoch(0)
    half = dataclasses.replace(block, edges=block.edges[:3])
    measure_first(steps, (half for _ in numbers))
    assert next(numbers) == NUM_MEASURED // 2


def test_a_head_alone_keeps_its_moving_statistics(model: StageModel) -> None:
    assert compile_for(dataclasses.replace(model, tail=None)).measure is None


def test_norms_of_a_tail_in_inference_mode_are_left_alone(model: StageModel) -> None:
    tail = keras.Sequential([model.tail, keras.layers.BatchNormalization(name="tail_bn")])
    for tail_trains, expected in ((True, {"tail_bn", "standardise"}), (False, {"standardise"})):
        joined = dataclasses.replace(model, tail=tail, tail_trains=tail_trains)
        assert {norm.name for norm in joined.norms_above_trained} == expected
    tail.layers[1].trainable = False
    assert {norm.name for norm in dataclasses.replace(model, tail=tail).norms_above_trained} == {"standardise"}


@pytest.mark.parametrize("average", [0, 2])
def test_a_stage_is_validated_with_statistics_of_its_own_weights(
    average: int, model: StageModel, inputs: NDArray[np.float32]
) -> None:
    norm = find_norm(model)
    norm.moving_variance.assign(np.full(WIDTH, STALE))
    batches = make_batches(inputs)
    in_order = dataclasses.replace(batches, plan=dataclasses.replace(batches.plan, seed=None))
    progress = fit_unwatched(
        model,
        StageData(batches, in_order, TWO_CLASSES),
        [0.1] * len(model.trainable_variables),
        ResolvedStage(name="s", unfreeze="all", epochs=3, lr=0.1, average=average, patience=0, warmup=0),
        TrainingSettings(),
    )
    assert progress.best["accuracy"] > 0.9
    assert float(norm.moving_variance.numpy().max()) < 1e3, "0.9 to the power of 12 steps would have left 280,000"
