"""The cost of every strategy, step by step: features, stages, and start-up."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.backbones.catalogue import PIXELS, TOP
from tlkit.data.manifest import Manifest
from tlkit.models.classifier import Classifier
from tlkit.probes.int8_cost import Int8Cost, measure_int8
from tlkit.probes.strategies import Strategy
from tlkit.reports.console import format_duration
from tlkit.runs.finalize import MAX_SPANNING_IMAGES
from tlkit.training.run import Run
from tlkit.training.stage_costs import FeatureCost, StageCost, measure_features, measure_stage
from tlkit.training.stage_plan import StagePlan


@dataclass(frozen=True)
class Step:
    """A row of the cost table.

    Attributes:
        name: Name of the step.
        num_rows: Number of cache rows that it needs; None for training.
        num_found: Number of those already cached.
        seconds: Remaining time; for training, up to its last epoch.
        epoch_seconds: Time of one epoch; None for features.
        num_epochs: Maximum number of epochs.
        memory_bytes: Memory of the process; None if the system does not report it.
        disk_bytes: Bytes added to the cache; None for training.
    """

    name: str
    num_rows: int | None
    num_found: int | None
    seconds: float
    epoch_seconds: float | None
    num_epochs: int | None
    memory_bytes: int | None
    disk_bytes: int | None

    def cells(self) -> tuple[str, ...]:
        """Return the cells of the row."""
        return (
            self.name,
            "" if self.num_rows is None else f"{self.num_rows:,}",
            "" if self.num_found is None else f"{self.num_found:,}",
            format_duration(self.seconds),
            "" if self.epoch_seconds is None else f"{self.num_epochs} × {format_duration(self.epoch_seconds)}",
            "-" if self.memory_bytes is None else format_bytes(self.memory_bytes),
            "" if self.disk_bytes is None else format_bytes(self.disk_bytes),
        )


@dataclass(frozen=True)
class StrategyCost:
    """The remaining cost of a strategy.

    Attributes:
        strategy: The strategy.
        parts: Names and seconds of its parts, in order.
        last_epoch_seconds: Time of one epoch of its last stage.
    """

    strategy: Strategy
    parts: tuple[tuple[str, float], ...]
    last_epoch_seconds: float

    @property
    def seconds(self) -> float:
        """The total time."""
        return sum(seconds for _, seconds in self.parts)


@dataclass(frozen=True)
class PlanCosts:
    """The steps, and the strategies that consist of them.

    Attributes:
        steps: In order of execution.
        strategies: Cheapest first.
        notes: Caveats about the numbers.
        int8: What int8 would save and cost; None if it is no choice here.
    """

    steps: tuple[Step, ...]
    strategies: tuple[StrategyCost, ...]
    notes: tuple[str, ...]
    int8: Int8Cost | None

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Return column titles and rows."""
        return ("step", "rows", "found", "time", "epochs", "memory", "disk"), [step.cells() for step in self.steps]

    def to_payload(self) -> dict[str, Any]:
        """Return plain numbers, lists and dicts, fit for JSON."""
        return {
            "steps": [asdict(step) for step in self.steps],
            "strategies": [
                {"unfreeze": each.strategy.unfreeze, "seconds": each.seconds, "parts": dict(each.parts)}
                for each in self.strategies
            ],
            "int8": self.int8.to_payload() if self.int8 else None,
        }


def measure_strategies(
    strategies: Sequence[Strategy],
    classifier: Classifier,
    run: Run,
    *,
    ready_seconds: float,
) -> PlanCosts:
    """Time a small part of every step of every strategy.

    Args:
        strategies: Cheapest first.
        classifier: The model to train; it is not changed.
        run: The data set and the caches.
        ready_seconds: Time of a command until its model is built.
    """
    features: dict[str, tuple[FeatureCost, NDArray[np.floating[Any]]]] = {}
    plans: dict[str, StagePlan] = {}
    stages: dict[str, StageCost] = {}
    for strategy in strategies:
        run = dataclasses.replace(run, recipe=strategy.plan.recipe, backbone=strategy.plan.backbone)
        for plan in strategy.plan.stages:
            if plan.boundary not in (PIXELS, *features):
                features[plan.boundary] = measure_features(
                    run.manifest.for_training(),
                    classifier.backbone,
                    run.request_stage_features(plan),
                    cache_root=run.cache_root,
                    console=run.console,
                )
            if plan.stage.unfreeze not in plans:
                plans[plan.stage.unfreeze] = plan
                stages[plan.stage.unfreeze] = measure_stage(classifier, plan, run, features.get(plan.boundary))
    costs = {boundary: cost for boundary, (cost, _) in features.items()}
    first = strategies[0].plan.stages[0]
    int8 = measure_int8(classifier, first, run, costs[first.boundary]) if first.boundary in costs else None
    steps = []
    for boundary in (*costs, PIXELS):
        if boundary in costs:
            steps += list_feature_steps(costs[boundary])
        steps += [make_stage_step(plan, stages[name]) for name, plan in plans.items() if plan.boundary == boundary]
    way_costs = [
        StrategyCost(
            strategy,
            list_parts(strategy, costs, stages, run.manifest, ready_seconds),
            stages[strategy.plan.stages[-1].stage.unfreeze].epoch_seconds,
        )
        for strategy in strategies
    ]
    free = shutil.disk_usage(run.cache_root).free
    notes = [
        f"The features at {cost.boundary} need {format_bytes(cost.missing_bytes)}; the disk of {run.cache_root} has "
        f"{format_bytes(free)} left."
        for cost in costs.values()
        if cost.missing_bytes > free
    ]
    notes += [
        f"The features at {plans[name].boundary} do not fit into a quarter of the free memory: they are read from the "
        "disk in every epoch, which is not included in its time."
        for name, stage in stages.items()
        if not stage.is_held
    ]
    return PlanCosts(tuple(steps), tuple(way_costs), tuple(notes), int8)


def list_feature_steps(cost: FeatureCost) -> list[Step]:
    """Return the rows for a boundary: the plain images, and their views if requested."""
    steps = []
    for with_views in (False, True) if cost.num_views > 1 else (False,):
        kinds = 2 if with_views else 1
        num_rows, num_missing = sum(cost.num_rows[:kinds]), sum(cost.num_missing[:kinds])
        views = f", {cost.num_views} views" if with_views else ""
        steps.append(
            Step(
                f"features at {cost.boundary}{views}",
                num_rows,
                num_rows - num_missing,
                cost.count_seconds(with_views=with_views),
                None,
                None,
                cost.memory_bytes,
                num_missing * cost.row_bytes,
            )
        )
    return steps


def make_stage_step(plan: StagePlan, cost: StageCost) -> Step:
    """Return the row for training a stage."""
    return Step(
        name_training(plan), None, None, cost.seconds, cost.epoch_seconds, cost.num_epochs, cost.memory_bytes, None
    )


def name_training(plan: StagePlan) -> str:
    """Return the name of a stage: train the head, train group5 and the head, train everything."""
    unfreeze = plan.stage.unfreeze
    return "train " + {"none": "the head", "all": "everything"}.get(unfreeze, f"{unfreeze} and the head")


def list_parts(
    strategy: Strategy,
    features: dict[str, FeatureCost],
    stages: dict[str, StageCost],
    manifest: Manifest,
    ready_seconds: float,
) -> tuple[tuple[str, float], ...]:
    """Return the names and seconds of a strategy's parts, in order."""
    parts = [("start", ready_seconds)]
    for plan in strategy.plan.stages:
        if plan.boundary in features:
            seconds = features[plan.boundary].count_seconds(with_views=True)
            parts.append((f"features at {plan.boundary}", seconds))
        parts.append((name_training(plan), stages[plan.stage.unfreeze].seconds))
    if TOP in features:
        top = features[TOP]
        # At the end the saved model predicts the validation images and some training images again.
        num_spanning = min(MAX_SPANNING_IMAGES, len(manifest.in_split("train"))) if strategy.unfreeze != "none" else 0
        num_images = len(manifest.in_split("validation")) + num_spanning
        parts.append(("end", (1 + bool(num_spanning)) * top.choice_seconds + num_images * top.row_seconds[0]))
    return tuple(parts)


def format_bytes(number: int) -> str:
    """Format a size: 0 MB, 156 MB, 1.2 GB."""
    return f"{number / 1e6:,.0f} MB" if number < 1e9 else f"{number / 1e9:,.1f} GB"
