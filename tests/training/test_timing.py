"""A few steps tell how long an epoch takes, and leave no trace."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest

from tlkit.backbones.build import build_backbone
from tlkit.heads import build_head
from tlkit.outputs import CLASSIFICATION
from tlkit.recipes import TrainingSettings
from tlkit.tasks import Outputs
from tlkit.training.batches import Batches, EpochPlan, ReadInputs
from tlkit.training.checkpoint import snapshot
from tlkit.training.loop import StageData
from tlkit.training.steps import StageModel
from tlkit.training.targets import FixedTargets
from tlkit.training.timing import StandInInputs, time_epoch
from tlkit.training.unfreezing import build_stage_model

NUM_IMAGES = 24
OUTPUTS = Outputs(CLASSIFICATION, 2)


@pytest.fixture(scope="module")
def model() -> StageModel:
    """The digits' network, all of it trained, with dropout and a batch norm that follows the batches."""
    backbone = build_backbone("mnist_cnn", image_size=(16, 16), pooling="none", weights="random")
    head = build_head("dense", feature_shape=backbone.feature_shape("top"), outputs=OUTPUTS, dropout=0.5, units=4)
    return build_stage_model(backbone, head, boundary="pixels", bn="train")


def make_data(inputs: StandInInputs | ReadInputs, *, batch_size: int = 6) -> StageData:
    """Labels without meaning, of which the inputs know nothing."""
    batches = Batches(
        EpochPlan(NUM_IMAGES, batch_size, num_views=2, seed=0),
        inputs,
        FixedTargets(np.arange(NUM_IMAGES, dtype=np.int32) % 2),
        np.zeros((NUM_IMAGES, 0), np.float32),
        np.ones(NUM_IMAGES, np.float32),
    )
    return StageData(batches, dataclasses.replace(batches, plan=EpochPlan(NUM_IMAGES, 6, 1, None)), OUTPUTS)


def test_the_model_is_to_the_bit_as_it_was(model: StageModel) -> None:
    before = snapshot("model", model.variables)
    pictures = keras.ops.convert_to_tensor(np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8))
    rates = [0.1] * len(model.trainable_variables)
    taken = time_epoch(
        model, make_data(StandInInputs(pictures)), rates=rates, training=TrainingSettings(), num_epochs=1, seconds=0.05
    )
    assert taken.start_seconds > 0
    assert taken.epoch_seconds > 0
    after = snapshot("model", model.variables)
    assert all(np.array_equal(array, after[name]) for name, array in before.items())


def test_an_epoch_takes_as_long_as_its_batches_do() -> None:
    """Reading takes a fixed time a batch here, far more than a step; what was read ahead must not count as free."""
    import time

    head = build_head("linear", feature_shape=(3,), outputs=OUTPUTS, dropout=0.0, units=1)
    model = StageModel(tail=None, head=head, tail_trains=True)

    def read(images: np.ndarray, views: np.ndarray) -> np.ndarray:
        time.sleep(0.03)
        return np.ones((len(images), 3), np.float32)

    taken = time_epoch(
        model,
        make_data(ReadInputs(read), batch_size=1),
        rates=[0.1] * len(model.trainable_variables),
        training=TrainingSettings(),
        num_epochs=1,
        seconds=0.3,
    )
    num_batches = 24 + 4
    assert taken.epoch_seconds == pytest.approx(num_batches * 0.03, rel=0.3)


def test_a_few_inputs_stand_for_all() -> None:
    table, rows = StandInInputs(np.zeros((5, 3))).take(np.arange(12), np.ones(12, np.int64))
    assert len(table) == 5
    assert set(rows.tolist()) == set(range(5))
