"""Both depths answer for the same images, and the backbone is as it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tlkit.backbones.build import Backbone, build_backbone
from tlkit.outputs import CLASSIFICATION, REGRESSION
from tlkit.recipes import HeadSettings, Recipe, Stage, TrainingSettings, resolve_stages
from tlkit.tasks import Outputs
from tlkit.training.depths import Deeper, answer_at_two_depths
from tlkit.training.held_out import FeatureSource, HeadTraining, Parts

pytestmark = pytest.mark.usefixtures("untraced")

NUM_IMAGES = 24


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return build_backbone("mnist_cnn", image_size=(16, 16), pooling="none", weights="random")


def make_source(rows: np.ndarray) -> FeatureSource:
    return FeatureSource(lambda images, views: rows[images], 1, rows.shape[1:], rows[0].nbytes)


def answer(backbone: Backbone, answers: np.ndarray, outputs: Outputs, *, epochs: int) -> list[np.ndarray]:
    images = np.random.default_rng(0).integers(0, 256, (NUM_IMAGES, 16, 16, 3)).astype(np.float32)
    trunk, whole = backbone.trunk("conv1"), backbone.trunk("top")
    assert trunk is not None
    assert whole is not None
    head, last = resolve_stages(
        Recipe(stages=(Stage(epochs=2, batch_size=8), Stage(unfreeze="conv2", lr=1e-2, epochs=epochs, batch_size=8)))
    )
    everything = np.arange(NUM_IMAGES)
    return list(
        answer_at_two_depths(
            make_source(np.asarray(whole(images))),
            answers,
            Parts(everything[:14], everything[14:18], everything[18:]),
            HeadTraining(outputs=outputs, head=HeadSettings(units=4), stage=head, training=TrainingSettings()),
            deeper=Deeper(backbone, "conv1", make_source(np.asarray(trunk(images))), last, "frozen"),
        )
    )


def read_weights(backbone: Backbone) -> list[Any]:
    return [np.array(weight) for weight in backbone.model.get_weights()]


def test_both_depths_answer_for_the_images_held_out_and_the_backbone_is_as_it_was(backbone: Backbone) -> None:
    before = read_weights(backbone)
    labels = (np.arange(NUM_IMAGES) % 2).astype(np.int32)
    alone, deeper = answer(backbone, labels, Outputs(CLASSIFICATION, 2), epochs=2)
    assert alone.shape == deeper.shape == (6, 2)
    np.testing.assert_allclose(alone.sum(axis=1), 1.0, rtol=1e-5)
    for old, new in zip(before, read_weights(backbone), strict=True):
        np.testing.assert_array_equal(old, new)
    again = answer(backbone, labels, Outputs(CLASSIFICATION, 2), epochs=2)
    np.testing.assert_array_equal(alone, again[0])
    np.testing.assert_array_equal(deeper, again[1])


def test_values_are_said_in_their_own_unit_at_both_depths(backbone: Backbone) -> None:
    values = np.linspace(1000.0, 1100.0, NUM_IMAGES)[:, None]
    for outputs in answer(backbone, values, Outputs(REGRESSION, 1), epochs=1):
        assert outputs.shape == (6, 1)
        assert (np.abs(outputs - 1050) < 200).all()
