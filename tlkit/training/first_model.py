"""The initial model of a run: an earlier one, or a new one for the data; without Keras until it is built."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tlkit.backbones.catalogue import TOP
from tlkit.backbones.weights import fetch_imagenet_file, is_to_be_fetched
from tlkit.data.dataset import check_exists
from tlkit.data.images import LOADER_VERSION
from tlkit.data.manifest import Manifest
from tlkit.errors import SettingError
from tlkit.features.trunk_notes import TrunkRequest
from tlkit.features.trunks import open_backbone
from tlkit.metadata.columns import parse_metadata
from tlkit.metadata.encoding import describe_columns, fit_encoding
from tlkit.metadata.oddities import describe_odd_training_values, describe_useless_column
from tlkit.models.spec import BundleSpec
from tlkit.recipes import DataSettings, ResolvedBackbone, has_single_box
from tlkit.reports.console import Console
from tlkit.runtime import start_keras
from tlkit.tasks import find_task
from tlkit.training.run import Run

if TYPE_CHECKING:
    from tlkit.models.classifier import Classifier


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

    The backbone of a new one is not built here if its weights were loaded before: a head that learns from cached features
    does not need it.

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
        has_box=has_single_box(data),
        grey=manifest.grey,
    )
    request = TrunkRequest(backbone, spec.pooling, TOP, recipe.training.seed)
    return assemble_classifier(
        spec,
        seed=recipe.training.seed,
        open_backbone=partial(open_backbone, request, run.cache_root, run.console),
    )


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
