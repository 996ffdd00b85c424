"""Estimate what the steps of a training cost on this machine, by doing a little of each.

A few batches of features are computed and cached, and a few training steps are taken, by the same code as in a full
run. Features that are already cached cost nothing.
"""

from __future__ import annotations

import dataclasses
import math
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from tlkit.backbones.build import Backbone
from tlkit.backbones.engines.base import Engine
from tlkit.data.manifest import Manifest
from tlkit.devices import read_input_memory
from tlkit.features.cache import FeatureCache
from tlkit.features.ensure import FeatureRows
from tlkit.features.request import FeatureRequest
from tlkit.features.trunks import take_trunk
from tlkit.features.writer import SHARD_BYTES, SHARD_COPIES
from tlkit.models.classifier import Classifier
from tlkit.reports.console import Console
from tlkit.runtime import graph_precision, release_memory, watch_peak_memory
from tlkit.training.batches import SHARE_OF_MEMORY
from tlkit.training.run import Run
from tlkit.training.stage_inputs import StageInputs, join_stage_data, open_stage_inputs
from tlkit.training.stage_plan import StagePlan
from tlkit.training.steps import StageModel
from tlkit.training.timing import StandInInputs, time_epoch
from tlkit.training.unfreezing import build_run_model, compute_stage_rates

SECONDS_OF_A_TRIAL = 3.0
"""For the rows of a cache, which are kept."""
SECONDS_OF_STEPS = 1.0
"""For training steps, beside their compilation."""
NUM_STAND_INS = 64
COPIES_WHILE_FILLED = 2
"""While features are read into memory, two copies exist."""
QUIET = Console(verbosity=-1)


@dataclass(frozen=True)
class FeatureCost:
    """The cost of computing the features at a boundary.

    Pairs hold the figures for the images themselves and for their other views.

    Attributes:
        boundary: Where the backbone is cut.
        num_views: Views of each training image.
        num_rows: Number of requested rows.
        num_missing: Number of rows that the cache still lacks after the measurement.
        row_seconds: Time per row, from file to cache; 0 if none were missing.
        choice_seconds: Time to choose an engine, convert the network and compare the two; 0 if nothing was missing.
        start_seconds: Time until the first missing row is computed, once an engine is chosen; 0 if none is missing.
        row_bytes: Size of a row.
        calibration: Hash of the quantized trunk; empty unless the precision is int8.
        memory_bytes: Peak memory of the process; None if the system does not report it.
    """

    boundary: str
    num_views: int
    num_rows: tuple[int, int]
    num_missing: tuple[int, int]
    row_seconds: tuple[float, float]
    choice_seconds: float
    start_seconds: float
    row_bytes: int
    calibration: str
    memory_bytes: int | None

    @property
    def missing_bytes(self) -> int:
        """Size of the missing rows."""
        return sum(self.num_missing) * self.row_bytes

    def count_seconds(self, *, with_views: bool) -> float:
        """Return the time that the missing rows take."""
        kinds = 2 if with_views else 1
        if not sum(self.num_missing[:kinds]):
            return 0.0
        return self.start_seconds + sum(
            number * seconds for number, seconds in zip(self.num_missing[:kinds], self.row_seconds, strict=False)
        )


@dataclass(frozen=True)
class StageCost:
    """The cost of training a stage whose features are cached.

    Attributes:
        start_seconds: Time until the first epoch.
        epoch_seconds: Time of an epoch.
        num_epochs: Maximum number of epochs; early stopping may end the stage sooner.
        memory_bytes: Peak memory of the process; None if the system does not report it.
        is_held: Whether the features fit in memory; if not, they are read again in every epoch.
    """

    start_seconds: float
    epoch_seconds: float
    num_epochs: int
    memory_bytes: int | None
    is_held: bool

    @property
    def seconds(self) -> float:
        """Time of the whole stage."""
        return self.start_seconds + self.num_epochs * self.epoch_seconds


def measure_features(
    manifest: Manifest,
    backbone: Backbone,
    request: FeatureRequest,
    *,
    cache_root: Path,
    console: Console,
) -> tuple[FeatureCost, NDArray[np.floating]]:
    """Compute and cache some of the missing features, and estimate the cost of the others.

    Args:
        manifest: The data set.
        backbone: The network; only the part below the boundary is used.
        request: The features to compute.
        cache_root: Root of the caches.
        console: Prints which engine was chosen.

    Returns:
        The cost, and some features, float16 or float32 (m, *feature_shape), 1 <= m <= 64.

    Raises:
        NumericsError: No engine gives the features of float32 Keras.
        CacheError: The cache cannot be written.
    """
    rows = FeatureRows(manifest, take_trunk(backbone, request), request, cache_root)
    row_seconds, choice_seconds, start_seconds = [0.0, 0.0], 0.0, 0.0
    release_memory()  # as before a stage
    with watch_peak_memory() as peak:
        if len(rows.missing):
            console.say(f"Computing a few of the features at {request.boundary}.")
            started = time.perf_counter()
            engine, cache = rows.open_engine(console)
            choice_seconds = time.perf_counter() - started
            for kind in (0, 1):
                row_seconds[kind] = _time_rows(rows, kind, engine, cache)
        if len(rows.missing):  # a later start finds the engine chosen, converted and compared
            started = time.perf_counter()
            rows.open_engine(QUIET)
            start_seconds = time.perf_counter() - started
    assert rows.cache is not None, "rows were found, or have been computed"
    found = rows.positions[rows.positions >= 0][:NUM_STAND_INS]
    all_views = rows.requested.list_missing(np.full_like(rows.positions, -1))
    missing_bytes = len(rows.missing) * rows.spec.row_bytes
    cost = FeatureCost(
        request.boundary,
        request.views.num_views,
        _count_kinds(all_views),
        _count_kinds(rows.missing),
        (row_seconds[0], row_seconds[1]),
        choice_seconds,
        start_seconds,
        rows.spec.row_bytes,
        rows.cache.spec.calibration,
        None if peak.value is None else peak.value + SHARD_COPIES * min(SHARD_BYTES, missing_bytes),
    )
    return cost, rows.cache.read(found)


def _time_rows(rows: FeatureRows, kind: int, engine: Engine, cache: FeatureCache) -> float:
    """Compute some rows of a kind (0: the image itself, 1: another view) and return the seconds per row."""
    warm_up = (engine.num_parallel + 1) * engine.batch_size
    seconds = 0.0
    for is_timed in (False, True):
        missing = rows.missing[(rows.missing[:, 1] > 0) == bool(kind)]
        if not len(missing):
            break
        number = warm_up
        if is_timed:
            number = max(number, int(SECONDS_OF_A_TRIAL / seconds / engine.batch_size) * engine.batch_size)
        chosen = missing[np.unique(np.linspace(0, len(missing) - 1, number).astype(np.int64))]
        report = rows.compute(chosen, engine, cache, lambda count: None)
        seconds = report.seconds / max(report.computed, 1)
    return seconds


def _count_kinds(rows: NDArray[np.int64]) -> tuple[int, int]:
    """Return how many rows, (file, view), are the images themselves, and how many are other views."""
    num_views = int((rows[:, 1] > 0).sum())
    return len(rows) - num_views, num_views


def measure_stage(
    classifier: Classifier,
    plan: StagePlan,
    run: Run,
    features: tuple[FeatureCost, NDArray[np.floating]] | None,
) -> StageCost:
    """Take some steps of a stage and estimate its cost. The model does not change.

    Args:
        classifier: The model.
        plan: The stage.
        run: The run that the stage belongs to.
        features: The result of `measure_features` for its boundary; None at the pixels.
    """
    model = build_run_model(classifier, plan, run)
    rates, _ = compute_stage_rates(model, classifier.backbone, plan.stage, boundary=plan.boundary)
    release_memory()  # as before a stage
    with watch_peak_memory() as peak, ExitStack() as stack:
        if features is None:
            inputs = stack.enter_context(open_stage_inputs(classifier, plan, dataclasses.replace(run, console=QUIET)))
        else:
            splits = ("train", "validation")
            stand_in = StandInInputs(keras.ops.convert_to_tensor(features[1]))
            data = join_stage_data(
                {split: run.manifest.in_split(split) for split in splits},
                dict.fromkeys(splits, stand_in),
                plan,
                run,
                spec=classifier.spec,
                num_views=plan.stage.views,
            )
            inputs = StageInputs(data)
        stack.enter_context(graph_precision(run.recipe.training_precision))
        taken = time_epoch(
            model,
            inputs.data,
            rates=rates,
            training=run.recipe.training,
            num_epochs=plan.stage.epochs,
            seconds=SECONDS_OF_STEPS,
        )
        num_bytes_to_come = inputs.num_bytes_to_come()
    table_bytes = sum(features[0].num_rows) * features[0].row_bytes if features else 0
    allowed = read_input_memory() // SHARE_OF_MEMORY
    memory = None
    if peak.value is not None:
        memory = peak.value + COPIES_WHILE_FILLED * min(table_bytes, allowed) + num_bytes_to_come
        memory += _count_state_bytes(model)
    return StageCost(
        taken.start_seconds, taken.epoch_seconds, plan.stage.epochs, memory, is_held=table_bytes <= allowed
    )


def _count_state_bytes(model: StageModel) -> int:
    """Return the size of what a stage keeps in addition to the model: initial weights, best weights, and optimizer
    state.
    """
    weights: int = sum(math.prod(variable.shape) for variable in model.variables)
    trained: int = sum(math.prod(variable.shape) for variable in model.trainable_variables)
    return 4 * (3 * weights + 2 * trained)
