"""The metadata weights of a head, trained alone before the images join."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
from keras import ops

from tlkit.heads import metadata_part
from tlkit.recipes import ResolvedStage, TrainingSettings
from tlkit.recipes.optimizers import ADAMW
from tlkit.training.batches import Batches, HeldInputs
from tlkit.training.checkpoint import Progress
from tlkit.training.held_out import fit_unwatched
from tlkit.training.loop import StageData
from tlkit.training.mixing import NO_MIXING
from tlkit.training.steps import StageModel
from tlkit.training.targets import FixedTargets

METADATA_STAGE = ResolvedStage(name="metadata", epochs=100, batch_size=32, lr=2e-2, lr_ratio=1.0, patience=15)
MAX_STEPS_OF_AN_EPOCH = 50


def fit_metadata(head: keras.Model, data: StageData, training: TrainingSettings) -> Progress:
    """Train only the metadata weights of a head.

    Takes a few seconds, because no image is read.

    Args:
        head: Untrained, with metadata.
        data: The images of the stage that follows.
        training: Seed, weight decay, label smoothing and focal loss; the box's loss is not used, and neither is the
            optimizer: the rate is AdamW's.

    Returns:
        The progress: `start` has the figures before, `best` those of metadata alone.
    """
    norm = head.get_layer("metadata_norm")
    norm.moving_mean.assign(data.train.metadata.mean(axis=0))
    norm.moving_variance.assign(data.train.metadata.var(axis=0))
    plain = StageData(
        _without_images(data.train), _without_images(data.validation), dataclasses.replace(data.outputs, has_box=False)
    )
    model = StageModel(tail=None, head=metadata_part(head), tail_trains=False)
    rates = [METADATA_STAGE.head_rate] * len(model.trainable_variables)
    training = dataclasses.replace(training, optimizer=ADAMW)
    return fit_unwatched(model, plain, rates, METADATA_STAGE, training, keeps_start=True)


def _without_images(batches: Batches) -> Batches:
    """Return the same batches with empty images and without mixing."""
    num_images = batches.num_images
    batch_size = max(METADATA_STAGE.images_per_step, -(-num_images // MAX_STEPS_OF_AN_EPOCH))
    plan = dataclasses.replace(batches.plan, batch_size=batch_size, num_views=1, mixing=NO_MIXING)
    inputs = HeldInputs(ops.zeros((num_images, 1)), num_views=1)
    answers = batches.read_targets(np.arange(num_images), np.zeros(num_images, np.int64)).answers
    return dataclasses.replace(batches, plan=plan, inputs=inputs, read_targets=FixedTargets(answers))
