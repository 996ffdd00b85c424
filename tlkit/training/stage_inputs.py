"""The inputs of a stage: cached features or fresh views of the images, with targets and metadata."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.backbones.catalogue import PIXELS
from tlkit.data.manifest import ImageRecord, Manifest, SkippedFile
from tlkit.data.mosaics import NUM_TILES, list_companions
from tlkit.devices import read_input_memory
from tlkit.features.ensure import DatasetFeatures, ensure_features
from tlkit.features.trunks import take_trunk
from tlkit.models.classifier import Classifier
from tlkit.models.predictor import to_deviations
from tlkit.models.spec import BundleSpec
from tlkit.recipes import ResolvedStage
from tlkit.recipes.task_defaults import find_task_defaults
from tlkit.runtime import read_free_memory
from tlkit.tasks import find_task
from tlkit.training.batches import (
    SHARE_OF_MEMORY,
    Batches,
    EpochPlan,
    InputReader,
    Inputs,
    ReadInputs,
    choose_inputs,
)
from tlkit.training.held_images import HeldImages
from tlkit.training.loop import StageData
from tlkit.training.losses import compute_class_weights, compute_object_weights
from tlkit.training.mixing import Mixing
from tlkit.training.run import Run
from tlkit.training.stage_plan import StagePlan
from tlkit.training.targets import (
    BoxTargets,
    FixedTargets,
    MaskTargets,
    ObjectTargets,
    TargetReader,
    TargetTable,
    ViewDrawer,
)


@dataclass(frozen=True)
class StageInputs:
    """The inputs of a stage.

    Attributes:
        data: The batches.
        skipped: Images that could not be read.
        engine: The engine and precision that computed the features; None at the pixels.
        num_bytes_to_come: Returns the memory that images at the pixels will take once all have been read.
    """

    data: StageData
    skipped: tuple[SkippedFile, ...] = ()
    engine: tuple[str, str] | None = None
    num_bytes_to_come: Callable[[], int] = lambda: 0


@contextlib.contextmanager
def open_stage_inputs(classifier: Classifier, plan: StagePlan, run: Run) -> Iterator[StageInputs]:
    """Provide the batches: cached features, or fresh views of the images if the boundary is at the pixels.

    Args:
        classifier: The model, at the image size of the stage.
        plan: The stage.
        run: Images, settings and caches.
    """
    stage, training = plan.stage, run.recipe.training
    if plan.boundary == PIXELS:
        records = {split: run.manifest.in_split(split) for split in ("train", "validation")}
        companions = list_companions(run.manifest, stage.policy)
        held = _share_memory(classifier.spec, num_validation_images=len(records["validation"]))
        with ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="decode") as pool:
            inputs: dict[str, Inputs] = {
                split: ReadInputs(
                    _make_pixel_reader(
                        ViewDrawer(chosen, classifier.spec, stage.policy, training.seed, companions), held[split], pool
                    )
                )
                for split, chosen in records.items()
            }
            yield StageInputs(
                join_stage_data(records, inputs, plan, run, spec=classifier.spec, num_views=0),
                num_bytes_to_come=lambda: sum(held[split].estimate_growth(len(records[split])) for split in records),
            )
        return
    request = run.request_stage_features(plan)
    features = ensure_features(
        run.manifest.for_training(),
        take_trunk(classifier.backbone, request),
        request,
        cache_root=run.cache_root,
        console=run.console,
    )
    if run.recipe.data.strict:
        features.refuse_skipped()
    for item in features.skipped:
        run.console.warn(f"{item.path} is skipped in this stage: {item.reason}.")
    records = {split: features.splits[split].records for split in ("train", "validation")}
    inputs = {split: _choose_feature_inputs(features, split, stage) for split in records}
    data = join_stage_data(records, inputs, plan, run, spec=classifier.spec, num_views=stage.views)
    spec = features.cache.spec
    yield StageInputs(data, features.skipped, (spec.engine, spec.precision))


def join_stage_data(
    records: dict[str, tuple[ImageRecord, ...]],
    inputs: dict[str, Inputs],
    plan: StagePlan,
    run: Run,
    *,
    spec: BundleSpec,
    num_views: int,
) -> StageData:
    """Make the training and validation batches of a stage; each stage draws its own order from the run's seed.

    Args:
        records: The training and validation images.
        inputs: The source of each split's inputs.
        plan: The stage.
        run: The data set and the settings.
        spec: Description of the model.
        num_views: Number of cached views per training image; 0 for a fresh view in every epoch.
    """
    manifest, training = run.manifest, run.recipe.training
    answers = {split: _make_answers(manifest, chosen, spec) for split, chosen in records.items()}
    seed = training.seed * 1000 + plan.number
    has_boxes = find_task(spec.task).lists_objects
    companions = list_companions(manifest, plan.stage.policy)
    most_objects = max(each.shape[1] for each in answers.values()) if has_boxes else 0
    most_objects *= NUM_TILES if companions else 1
    weigh = compute_object_weights if has_boxes else compute_class_weights
    target_readers: dict[str, TargetReader] = {}
    for split, chosen in records.items():
        drawer = ViewDrawer(chosen, spec, plan.stage.policy, training.seed, companions)
        cached = (num_views if split == "train" else 1) if num_views else 0
        target_readers[split] = _make_targets(answers[split], drawer, most_objects, num_cached=cached)
    metadata = {
        split: spec.metadata.encode([record.metadata for record in chosen]) for split, chosen in records.items()
    }
    return StageData(
        train=Batches(
            EpochPlan(
                len(records["train"]),
                plan.stage.images_per_step,
                num_views,
                seed,
                mixing=Mixing(plan.stage.mixup, plan.stage.cutmix),
                num_passes=count_passes(len(records["train"]), spec.task),
            ),
            inputs["train"],
            target_readers["train"],
            metadata["train"],
            weigh(answers["train"], num_classes=len(manifest.class_names), mode=training.class_weight),
        ),
        validation=Batches(
            EpochPlan(len(records["validation"]), plan.stage.images_per_step, 1, seed=None),
            inputs["validation"],
            target_readers["validation"],
            metadata["validation"],
            np.ones(len(records["validation"]), np.float32),
        ),
        outputs=spec.outputs,
    )


def count_passes(num_images: int, task: str) -> int:
    """Return how often each training image is shown in an epoch, so that an epoch of few images has enough steps."""
    return max(1, -(-find_task_defaults(task).least_shown // max(1, num_images)))


def _make_targets(answers: NDArray[Any], views: ViewDrawer, most_objects: int, *, num_cached: int) -> TargetReader:
    """Return what reads the targets of a split: those of cached views are computed at once."""
    placed: TargetReader
    if find_task(views.spec.task).has_masks:
        placed = MaskTargets(answers, views)
    elif most_objects:
        placed = ObjectTargets(views, most_objects)
    elif views.spec.has_box:
        placed = BoxTargets(answers, views)
    else:
        return FixedTargets(answers)
    return TargetTable.of(placed, num_images=len(views.records), num_views=num_cached) if num_cached else placed


def _make_answers(manifest: Manifest, records: Sequence[ImageRecord], spec: BundleSpec) -> NDArray[Any]:
    """Return the targets of images as the model learns them: values in standard deviations from the mean."""
    targets = manifest.targets(records)
    return targets if spec.target is None else to_deviations(spec.target, targets)


def _choose_feature_inputs(features: DatasetFeatures, split: str, stage: ResolvedStage) -> Inputs:
    """Hold the features of a split in memory, or read them during training if they do not fit."""
    positions = features.splits[split].positions
    return choose_inputs(
        lambda images, views: features.cache.read(positions[images, views]),
        num_images=positions.shape[0],
        num_views=positions.shape[1],
        batch_size=stage.images_per_step,
        row_bytes=features.cache.spec.row_bytes,
        free_bytes=read_input_memory(),
    )


def _share_memory(spec: BundleSpec, *, num_validation_images: int) -> dict[str, HeldImages]:
    """Return what holds the images of each split; those of validation come first, since they are small and need no view."""
    allowed = read_free_memory() // SHARE_OF_MEMORY
    needed = min(allowed, num_validation_images * 3 * math.prod(spec.image_size))
    return {"train": HeldImages(spec, allowed - needed), "validation": HeldImages(spec, needed)}


def _make_pixel_reader(drawer: ViewDrawer, held: HeldImages, pool: ThreadPoolExecutor) -> InputReader:
    """Return a reader of images, uint8 (n, height, width, 3), 0..255, each in the requested view."""

    def read(images: NDArray[np.int64], views: NDArray[np.int64]) -> NDArray[np.generic]:
        load = partial(held.load_view, drawer)
        return np.stack(list(pool.map(load, images.tolist(), views.tolist())))

    return read
