"""One training of the study, from cached features to the accuracy on test images."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from benchmarks.views.cells import BELOW, ONLINE, TOP, Cell
from benchmarks.views.features import CachedViews, Sets
from tlkit.backbones.build import build_backbone
from tlkit.data.manifest import Manifest
from tlkit.heads import build_head
from tlkit.outputs import CLASSIFICATION
from tlkit.recipes import HeadSettings, Recipe, Stage, TrainingSettings, resolve_stages
from tlkit.runtime import graph_precision
from tlkit.tasks import Outputs
from tlkit.training.batches import InputReader, ReadInputs
from tlkit.training.held_out import FeatureSource, Parts, compute_logits, fit_unwatched, make_stage_data
from tlkit.training.loop import StageData
from tlkit.training.steps import StageModel
from tlkit.training.unfreezing import build_stage_model, compute_stage_rates

DEEPER = Stage(unfreeze="group5", epochs=8, lr=1e-4, lr_ratio=10)


def measure(sets: Sets, cell: Cell) -> dict[str, Any]:
    """Train what a cell says; return test accuracy, epochs and seconds, without those of the features."""
    cached = sets.features(cell.data, cell.policy, TOP)
    below = sets.features(cell.data, cell.policy, BELOW) if cell.boundary == BELOW else None
    answers, parts, outputs = make_parts(sets.read_manifest(cell.data, cell.seed), cached)
    head, training = HeadSettings(kind=cell.head), TrainingSettings(seed=cell.seed)
    stage, deeper = resolve_stages(Recipe(stages=(Stage(patience=cell.patience), DEEPER)))
    num_cached = max(1, cell.views)  # with a fresh view in every epoch only the image itself counts as cached
    source = make_source(cached, num_cached, head)
    wall, processor = time.perf_counter(), time.process_time()
    keras.utils.set_random_seed(cell.seed)
    network = build_head(head.kind, feature_shape=source.shape, outputs=outputs, dropout=head.dropout, units=head.units)
    model = StageModel(tail=None, head=network, tail_trains=False)
    data = make_stage_data(source, answers, parts, outputs=outputs, stage=stage, training=training)
    if cell.views == ONLINE:
        data = draw_afresh(data, source.read, parts.train)
    with graph_precision(sets.backbone.precision):
        progress = fit_unwatched(model, data, [stage.head_rate] * len(model.trainable_variables), stage, training)
        if below:
            source = make_source(below, num_cached, head, [below.place_of[sha256] for sha256 in cached.place_of])
            backbone = build_backbone(sets.backbone.name, pooling="none", weights=sets.backbone.weights, seed=0)
            model = build_stage_model(backbone, network, boundary=BELOW, bn="frozen")
            rates, _ = compute_stage_rates(model, backbone, deeper, boundary=BELOW)
            data = make_stage_data(source, answers, parts, outputs=outputs, stage=deeper, training=training)
            progress = fit_unwatched(model, data, rates, deeper, training, keeps_start=True)
    right = compute_logits(model, source.read, parts.test).argmax(axis=1) == answers[parts.test]
    return {
        "accuracy": float(right.mean()),
        "images": len(parts.test),
        "epochs": progress.epochs_done,
        "best_epoch": progress.best_epoch,
        "validation": progress.best["accuracy"],
        "processor_seconds": round(time.process_time() - processor, 1),
        "wall_seconds": round(time.perf_counter() - wall, 1),
    }


def make_parts(manifest: Manifest, cached: CachedViews) -> tuple[NDArray[np.int32], Parts, Outputs]:
    """Return the answers by place of the image, the places of each split, and what a head says."""
    answers = np.zeros(len(cached.positions), np.int32)
    places = {}
    for split in ("train", "validation", "test"):
        records = manifest.in_split(split)
        places[split] = np.array([cached.place_of[record.sha256] for record in records], np.int64)
        answers[places[split]] = manifest.targets(records)
    return answers, Parts(**places), Outputs(CLASSIFICATION, len(manifest.class_names))


def make_source(
    cached: CachedViews, num_views: int, head: HeadSettings, order: list[int] | None = None
) -> FeatureSource:
    """Return the features that a head is trained on.

    Args:
        cached: All of them.
        num_views: Views that an epoch draws from.
        head: Says whether pooled.
        order: Where in `cached` each image lies, if not in its own order.
    """
    is_pooled = head.record.pooling == "avg"
    read = cached.read_pooled if is_pooled else cached.read
    shape = cached.shape[-1:] if is_pooled else cached.shape
    places = np.arange(len(cached.positions)) if order is None else np.array(order)
    row_bytes = int(np.prod(shape)) * np.dtype(np.float16).itemsize
    return FeatureSource(lambda images, views: read(places[images], views), num_views, shape, row_bytes)


def draw_afresh(data: StageData, read: InputReader, train: NDArray[np.int64]) -> StageData:
    """Return the data of a stage with view number epoch + 1 of every image in every epoch, as training at the pixels."""
    fresh = dataclasses.replace(
        data.train,
        plan=dataclasses.replace(data.train.plan, num_views=0),
        inputs=ReadInputs(lambda images, views: read(train[images], views), batches_at_once=8, blocks_ahead=1),
    )
    return dataclasses.replace(data, train=fresh)
