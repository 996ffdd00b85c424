"""What detectors find in images that they never saw: each is trained on the other folds, on cached feature maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from tlkit.audit.detector import NUM_FOLDS, DetectorSettings
from tlkit.audit.rows import AuditRows
from tlkit.detection.decoding import MAX_DETECTIONS, NUM_DETECTION_VALUES
from tlkit.devices import read_input_memory
from tlkit.heads import build_head
from tlkit.inference.scoring import recover_detections
from tlkit.models.spec import BundleSpec
from tlkit.probes.folds import make_stratified_folds
from tlkit.recipes import ResolvedStage
from tlkit.reports.console import Console
from tlkit.runtime import graph_precision
from tlkit.tasks.objects import find_rarest_names, make_object_rows
from tlkit.training.batches import Batches, EpochPlan, Inputs, choose_inputs
from tlkit.training.checkpoint import restore, snapshot
from tlkit.training.stage_inputs import count_passes
from tlkit.training.steps import StageModel
from tlkit.training.targets import ObjectTargets, TargetTable, ViewDrawer
from tlkit.training.unvalidated import fit_to_the_end

_IMAGES_AT_ONCE = 16


def detect_held_out(
    rows: AuditRows, groups: NDArray[np.int64], settings: DetectorSettings, spec: BundleSpec, console: Console
) -> NDArray[np.float32]:
    """Return what is found in each image by a detector that was trained on other images.

    One detector is trained for each of three folds, for a number of epochs given beforehand, so that the images it judges
    decide nothing about it. Copies lie in one fold. The same arguments give the same detections.

    Args:
        rows: The images, with their objects, and their feature maps.
        groups: Group of copies of each image, int64 (n,), -1 for none.
        settings: What detector.
        spec: Its description.
        console: Shows progress.

    Returns:
        float32 (n, 100, 6), as in `tlkit.inference.scoring.Scores`.

    Raises:
        NumericsError: The training loss is no longer a number.
    """
    records, layout, training = rows.records, rows.layout, settings.training
    assert layout is not None
    folds = make_stratified_folds(
        find_rarest_names([record.answer for record in records]),
        duplicates=[(-1, place) if group < 0 else (group, 0) for place, group in enumerate(groups.tolist())],
        seed=training.seed,
        most=NUM_FOLDS,
    )
    stage = settings.plan_stage(len(folds[0].train))
    keras.utils.set_random_seed(training.seed)
    head = build_head(
        spec.head.kind,
        feature_shape=layout,
        outputs=spec.outputs,
        dropout=spec.head.dropout,
        units=spec.head.units,
    )
    model = StageModel(tail=None, head=head, tail_trains=False)
    start = snapshot("start", model.variables)
    examples = _Examples.read(rows, stage, spec)
    found = np.zeros((len(records), MAX_DETECTIONS, NUM_DETECTION_VALUES), np.float32)
    total = stage.epochs * sum(len(fold.train) * count_passes(len(fold.train), spec.task) for fold in folds)
    with console.progress("Detectors", total) as advance, graph_precision(settings.precision), model.held():
        for fold in folds:
            restore("start", model.variables, start)
            batches = examples.take(fold.train, stage, training.seed)
            fit_to_the_end(model, batches, outputs=spec.outputs, stage=stage, training=training, advance=advance)
            found[fold.test] = _detect(model, rows, fold.test, spec)
    return found


@dataclass(frozen=True, eq=False)
class _Examples:
    """The maps and objects of all views of all images."""

    inputs: Inputs
    targets: TargetTable
    task: str

    @classmethod
    def read(cls, rows: AuditRows, stage: ResolvedStage, spec: BundleSpec) -> _Examples:
        records = rows.records
        num_images, num_views = rows.positions.shape
        inputs = choose_inputs(
            rows.read,
            num_images=num_images,
            num_views=num_views,
            batch_size=stage.images_per_step,
            row_bytes=rows.cache.spec.row_bytes,
            free_bytes=read_input_memory(),
        )
        most = max(1, *(len(make_object_rows(record.answer, spec.class_names)) for record in records))
        drawer = ViewDrawer(records, spec, rows.views.policy, rows.views.seed)
        table = TargetTable.of(ObjectTargets(drawer, most), num_images=num_images, num_views=num_views)
        return cls(inputs, table, spec.task)

    def take(self, images: NDArray[np.int64], stage: ResolvedStage, seed: int) -> Batches:
        """Return the batches of a training on some images."""
        return Batches(
            EpochPlan(
                len(images), stage.images_per_step, stage.views, seed, num_passes=count_passes(len(images), self.task)
            ),
            _SomeInputs(self.inputs, images),
            lambda places, views: self.targets(images[places], views),
            np.zeros((len(images), 0), np.float32),
            np.ones(len(images), np.float32),
        )


@dataclass(frozen=True, eq=False)
class _SomeInputs:
    """The inputs of some images, `images`, int64 (n,), of those that `inputs` has."""

    inputs: Inputs
    images: NDArray[np.int64]

    @property
    def batches_at_once(self) -> int:
        return self.inputs.batches_at_once

    @property
    def blocks_ahead(self) -> int:
        return self.inputs.blocks_ahead

    def take(self, images: NDArray[np.int64], views: NDArray[np.int64]) -> tuple[Any, NDArray[np.int64]]:
        return self.inputs.take(self.images[images], views)


def _detect(model: StageModel, rows: AuditRows, images: NDArray[np.int64], spec: BundleSpec) -> NDArray[np.float32]:
    """Return what the model finds in some of the images, float32 (n, 100, 6), in pixels."""
    task, found = spec.outputs.find_task(), []
    for start in range(0, len(images), _IMAGES_AT_ONCE):
        some = images[start : start + _IMAGES_AT_ONCE]
        maps = rows.read(some, np.zeros_like(some))
        logits = model(maps, np.zeros((len(some), 0), np.float32), training=False)["answer"]
        sizes = [(rows.records[place].height, rows.records[place].width) for place in some]
        found.append(recover_detections(task.activate(ops.convert_to_numpy(logits)), sizes, spec))
    return np.concatenate(found)
