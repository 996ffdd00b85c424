"""The initial model of a run: an earlier one, or a new one for the data."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np
from keras import ops

from tlkit.backbones.weights import fetch_imagenet_file, is_to_be_fetched
from tlkit.data.dataset import check_exists
from tlkit.data.images import LOADER_VERSION
from tlkit.data.manifest import Manifest
from tlkit.errors import SettingError
from tlkit.heads import metadata_part
from tlkit.metadata.columns import parse_metadata
from tlkit.metadata.encoding import describe_columns, fit_encoding
from tlkit.metadata.oddities import describe_odd_training_values, describe_useless_column
from tlkit.models.spec import BundleSpec
from tlkit.recipes import DataSettings, ResolvedBackbone, ResolvedStage, TrainingSettings
from tlkit.reports.console import Console
from tlkit.runtime import start_keras
from tlkit.tasks import find_task
from tlkit.training.batches import Batches, FixedTargets, HeldInputs
from tlkit.training.checkpoint import Progress
from tlkit.training.held_out import fit_unwatched
from tlkit.training.loop import StageData
from tlkit.training.mixing import NO_MIXING
from tlkit.training.run import Run
from tlkit.training.steps import StageModel

if TYPE_CHECKING:
    from tlkit.models.classifier import Classifier


METADATA_STAGE = ResolvedStage(name="metadata", epochs=100, batch_size=32, lr=2e-2, lr_ratio=1.0, patience=15)
MAX_STEPS_OF_AN_EPOCH = 50


def fit_metadata(head: keras.Model, data: StageData, training: TrainingSettings) -> Progress:
    """Train only the metadata weights of a head.

    Takes a few seconds, because no image is read.

    Args:
        head: Untrained, with metadata.
        data: The images of the stage that follows.
        training: Seed, weight decay, label smoothing and focal loss; the box's loss is not used.

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
    return fit_unwatched(model, plain, rates, METADATA_STAGE, training, keeps_start=True)


def _without_images(batches: Batches) -> Batches:
    """Return the same batches with empty images and without mixing."""
    num_images = batches.num_images
    batch_size = max(METADATA_STAGE.batch_size, -(-num_images // MAX_STEPS_OF_AN_EPOCH))
    plan = dataclasses.replace(batches.plan, batch_size=batch_size, num_views=1, mixing=NO_MIXING)
    inputs = HeldInputs(ops.zeros((num_images, 1)), num_views=1)
    answers = batches.read_targets(np.arange(num_images), np.zeros(num_images, np.int64)).answers
    return dataclasses.replace(batches, plan=plan, inputs=inputs, read_targets=FixedTargets(answers))


def fetch_weights(backbone: ResolvedBackbone, data: Path) -> None:
    """Download missing weights before the images are read, which takes longer.

    Raises:
        DataError: The data set does not exist.
        BackboneError: They cannot be downloaded.
    """
    if is_to_be_fetched(backbone.entry, backbone.weights):
        check_exists(data)
        start_keras()
        fetch_imagenet_file(backbone.entry)


def build_classifier(run: Run, start: Path | None) -> Classifier:
    """Return the model of the run or bundle at `start`, or a new one with an untrained head for the data.

    Raises:
        SettingError: The target scale is logarithmic, but some values are not above 0.
    """
    from tlkit.models.classifier import assemble_classifier
    from tlkit.models.saving import read_bundle

    if start:
        return read_bundle(start, loader_version=LOADER_VERSION)

    recipe, backbone, manifest = run.recipe, run.backbone, run.manifest
    data = recipe.data
    train = manifest.in_split("train")
    target = None
    if data.target is not None:
        check_target(manifest, data)
        target = find_task(data.task).fit_target(
            data.target, manifest.targets(train), is_log=data.target_scale == "log"
        )
    spec = BundleSpec(
        backbone=backbone.entry.name,
        image_size=backbone.image_size,
        fit=backbone.fit,
        loader_version=LOADER_VERSION,
        pooling=recipe.head.record.pooling,
        head=recipe.head,
        class_names=manifest.class_names,
        task=data.task,
        target=target,
        metadata=fit_encoding(parse_metadata(data.metadata), [record.metadata for record in train]),
        has_box=bool(data.boxes),
        grey=manifest.grey,
    )
    return assemble_classifier(spec, weights=backbone.weights, seed=recipe.training.seed)


def print_metadata(manifest: Manifest, spec: BundleSpec, console: Console) -> None:
    """Print how the columns are read, and which of them carry no information."""
    rows = [record.metadata for record in manifest.in_split("train")]
    if not spec.metadata.columns:
        return
    console.table("Metadata", ("column", "read as", "missing"), describe_columns(spec.metadata, rows))
    for column, texts in zip(spec.metadata.columns, zip(*rows, strict=True), strict=True):
        useless = describe_useless_column(column, texts)
        if useless:
            console.warn(useless)
    for sentence in describe_odd_training_values(spec.metadata, rows):
        console.warn(sentence)


def check_target(manifest: Manifest, settings: DataSettings) -> None:
    """Check that all values are positive if their logarithm is learned."""
    lowest = float(manifest.targets(manifest.records).min())
    if settings.target_scale == "log" and lowest <= 0:
        raise SettingError(
            f"target_scale is log, but the lowest {settings.target} is {lowest:g}.",
            expected="values above 0 for a logarithmic scale",
            fix="remove --target-scale.",
        )
