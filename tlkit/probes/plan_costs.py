"""What every way to a model costs, step by step: features, stages, and what a command needs around them."""

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
from tlkit.data.views import ViewPlan
from tlkit.models.classifier import Classifier
from tlkit.probes.strategies import Strategy
from tlkit.reports.console import format_duration
from tlkit.runs.finalize import MAX_SPANNING_IMAGES
from tlkit.training.run import Run
from tlkit.training.stage_costs import FeatureCost, StageCost, measure_features, measure_stage
from tlkit.training.stage_plan import StagePlan


@dataclass(frozen=True)
class Step:
    """A line of the table of costs.

    Attributes:
        name: What is done.
        num_rows: Rows of the cache that it needs; None for training.
        num_found: Those that are there.
        seconds: Time that it takes from here; for training, if it runs to its last epoch.
        epoch_seconds: Of one epoch; None for features.
        num_epochs: The most epochs.
        memory_bytes: Of the process; None where the system does not tell.
        disk_bytes: What is added to the cache; None for training.
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
        """Return the line's texts."""
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
    """What a way takes from here.

    Attributes:
        way: The way.
        parts: They follow each other: names and seconds.
        last_epoch_seconds: What an epoch of its last stage takes.
    """

    way: Strategy
    parts: tuple[tuple[str, float], ...]
    last_epoch_seconds: float

    @property
    def seconds(self) -> float:
        """All of it."""
        return sum(seconds for _, seconds in self.parts)


@dataclass(frozen=True)
class PlanCosts:
    """The steps, and the ways that are made of them.

    Attributes:
        steps: In the order of the work.
        ways: The cheapest first.
        notes: What the figures leave out.
    """

    steps: tuple[Step, ...]
    ways: tuple[StrategyCost, ...]
    notes: tuple[str, ...]

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Return titles of columns, and rows."""
        return ("step", "rows", "found", "time", "epochs", "memory", "disk"), [step.cells() for step in self.steps]

    def to_payload(self) -> dict[str, Any]:
        """Return plain numbers, lists and dicts, fit for JSON."""
        return {
            "steps": [asdict(step) for step in self.steps],
            "ways": [
                {"unfreeze": each.way.unfreeze, "seconds": each.seconds, "parts": dict(each.parts)}
                for each in self.ways
            ],
        }


def measure_strategies(
    ways: Sequence[Strategy],
    classifier: Classifier,
    run: Run,
    *,
    ready_seconds: float,
) -> PlanCosts:
    """Time a little of every step of every way.

    Args:
        ways: The cheapest first.
        classifier: The model that they train; it stays as it is.
        run: The data set and the caches.
        ready_seconds: What a command takes until its model is built.
    """
    features: dict[str, tuple[FeatureCost, NDArray[np.floating[Any]]]] = {}
    plans: dict[str, StagePlan] = {}
    stages: dict[str, StageCost] = {}
    for way in ways:
        run = dataclasses.replace(run, recipe=way.plan.recipe, backbone=way.plan.backbone)
        for plan in way.plan.stages:
            if plan.boundary not in (PIXELS, *features):
                features[plan.boundary] = measure_features(
                    run.manifest.for_training(),
                    classifier.backbone,
                    run.request_features(
                        plan.boundary, ViewPlan(plan.stage.policy, plan.stage.views, run.recipe.training.seed)
                    ),
                    cache_root=run.cache_root,
                    console=run.console,
                )
            if plan.stage.unfreeze not in plans:
                plans[plan.stage.unfreeze] = plan
                stages[plan.stage.unfreeze] = measure_stage(classifier, plan, run, features.get(plan.boundary))
    costs = {boundary: cost for boundary, (cost, _) in features.items()}
    steps = []
    for boundary in (*costs, PIXELS):
        if boundary in costs:
            steps += list_feature_steps(costs[boundary])
        steps += [make_stage_step(plan, stages[name]) for name, plan in plans.items() if plan.boundary == boundary]
    way_costs = [
        StrategyCost(
            way,
            list_parts(way, costs, stages, run.manifest, ready_seconds),
            stages[way.plan.stages[-1].stage.unfreeze].epoch_seconds,
        )
        for way in ways
    ]
    free = shutil.disk_usage(run.cache_root).free
    notes = [
        f"The features at {cost.boundary} need {format_bytes(cost.missing_bytes)}; the disk of {run.cache_root} has "
        f"{format_bytes(free)} left."
        for cost in costs.values()
        if cost.missing_bytes > free
    ]
    notes += [
        f"The features at {plans[name].boundary} do not fit into a quarter of the free memory: they are read from the disk "
        "in every epoch, which is not in its time."
        for name, stage in stages.items()
        if not stage.is_held
    ]
    return PlanCosts(tuple(steps), tuple(way_costs), tuple(notes))


def list_feature_steps(cost: FeatureCost) -> list[Step]:
    """Return the lines for a boundary: the images as they are, and with their views where some are wanted."""
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
    """Return the line for training a stage."""
    return Step(
        name_training(plan), None, None, cost.seconds, cost.epoch_seconds, cost.num_epochs, cost.memory_bytes, None
    )


def name_training(plan: StagePlan) -> str:
    """Return what a stage does: train the head, group5 and the head, everything."""
    unfreeze = plan.stage.unfreeze
    return "train " + {"none": "the head", "all": "everything"}.get(unfreeze, f"{unfreeze} and the head")


def list_parts(
    way: Strategy,
    features: dict[str, FeatureCost],
    stages: dict[str, StageCost],
    manifest: Manifest,
    ready_seconds: float,
) -> tuple[tuple[str, float], ...]:
    """Return what a way's command does, one after the other: names and seconds."""
    parts = [("start", ready_seconds)]
    for plan in way.plan.stages:
        if plan.boundary in features:
            seconds = features[plan.boundary].count_seconds(with_views=True)
            parts.append((f"features at {plan.boundary}", seconds))
        parts.append((name_training(plan), stages[plan.stage.unfreeze].seconds))
    if TOP in features:
        top = features[TOP]
        # The saved model is measured on the validation images, and on some training images what it knows; both anew.
        num_spanning = min(MAX_SPANNING_IMAGES, len(manifest.in_split("train"))) if way.unfreeze != "none" else 0
        num_images = len(manifest.in_split("validation")) + num_spanning
        parts.append(("end", (1 + bool(num_spanning)) * top.choice_seconds + num_images * top.row_seconds[0]))
    return tuple(parts)


def format_bytes(number: int) -> str:
    """Return a size as people say it: 0 MB, 156 MB, 1.2 GB."""
    return f"{number / 1e6:,.0f} MB" if number < 1e9 else f"{number / 1e9:,.1f} GB"
