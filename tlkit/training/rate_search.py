"""Find the learning rate of a stage: sweep, suggest, draw, and save it for a resumed run."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tlkit.backbones.build import Backbone
from tlkit.recipes import FIND, find_usual_rate
from tlkit.reports.console import Console
from tlkit.reports.figures import draw_sweep
from tlkit.reports.optional_steps import describe_problem
from tlkit.reports.rates import write_rate
from tlkit.training.checkpoint import Checkpoint, Progress
from tlkit.training.loop import StageData
from tlkit.training.rate_finder import CHOSEN, Suggestions, Sweep, suggest_rates, sweep_rates
from tlkit.training.run import Run
from tlkit.training.stage_plan import StagePlan
from tlkit.training.steps import StageModel
from tlkit.training.unfreezing import compute_stage_rates, find_variable_groups


@dataclass(frozen=True)
class FoundRate:
    """The result of a rate search.

    Attributes:
        sweep: Rates and losses.
        suggestions: Suggested rates; None if the loss never fell.
    """

    sweep: Sweep
    suggestions: Suggestions | None


def search_rate(
    model: StageModel,
    backbone: Backbone,
    data: StageData,
    plan: StagePlan,
    run: Run,
    *,
    picture: Path,
) -> FoundRate:
    """Sweep the rate of a stage that is about to start, and draw the losses.

    Args:
        model: The model of the stage; it is not changed.
        backbone: The network, for the layer group of each weight.
        data: The data of the stage.
        plan: The stage.
        run: The settings.
        picture: The PNG to draw.
    """
    rates, _ = compute_stage_rates(model, backbone, plan.stage, boundary=plan.boundary, head_rate=1.0)
    groups = find_variable_groups(model, backbone)
    sweep = sweep_rates(
        model,
        data,
        rates=rates,
        held=[number for number, group in enumerate(groups) if group in plan.stage.group_lr],
        training=run.recipe.training,
        progress=lambda total: run.console.progress("Finding the learning rate", total, "steps", closes=False),
    )
    found = FoundRate(sweep, suggest_rates(sweep))
    marks = found.suggestions.by_rule if found.suggestions else {}
    try:
        draw_sweep(picture, sweep.rates, sweep.losses, sweep.smoothed, marks=marks, chosen=CHOSEN)
    except OSError as error:
        run.console.warn(f"The sweep cannot be drawn ({describe_problem(error)}). Its suggestion is not affected.")
    return found


def print_search(found: FoundRate, picture: Path, console: Console) -> None:
    """Print the range of the sweep, its suggestions, and whether the rules agree."""
    sweep, suggestions = found.sweep, found.suggestions
    ending = "where the loss diverged" if sweep.diverged else "without diverging"
    console.say(
        f"Swept the learning rate from {write_rate(sweep.rates[0])} to {write_rate(sweep.rates[-1])} in "
        f"{len(sweep.rates)} steps, {ending}: {picture}"
    )
    if suggestions is None:
        console.warn(
            "The loss did not clearly fall at any rate, so there is no suggestion: the model may have nothing left to "
            "learn."
        )
        return
    rows = [(rule, write_rate(rate), "taken" if rule == CHOSEN else "") for rule, rate in suggestions.by_rule.items()]
    console.table("Learning rate", ("rule", "suggests", ""), rows)
    if suggestions.are_far_apart:
        console.warn("The rules differ by a factor of ten or more: look at the figure, and try rates between them.")


def find_stage_rate(
    model: StageModel,
    backbone: Backbone,
    data: StageData,
    plan: StagePlan,
    run: Run,
    *,
    picture: Path,
) -> StagePlan:
    """Return the plan with the rate found by a sweep, or the default rate if the sweep suggests none."""
    found = search_rate(model, backbone, data, plan, run, picture=picture)
    print_search(found, picture, run.console)
    if found.suggestions:
        rate = found.suggestions.chosen
    else:
        rate = find_usual_rate(plan.stage, run.recipe)
        run.console.say(f"Stage {plan.stage.name} uses its default rate, {write_rate(rate)}.")
    return _with_rate(plan, rate)


def remember_rate(plan: StagePlan, found_rate: Checkpoint) -> None:
    """Save the found rate, so that a resumed run uses the same."""
    found_rate.write({"rate": np.array(plan.stage.head_rate)}, Progress())


def recall_rate(plan: StagePlan, found_rate: Checkpoint) -> StagePlan:
    """Return the plan with the rate found before the interruption, if any."""
    saved = found_rate.read() if plan.stage.lr is FIND else None
    return _with_rate(plan, float(saved[0]["rate"])) if saved else plan


def describe_search(found: FoundRate) -> dict[str, Any]:
    """Return the JSON values of a sweep."""
    sweep, suggestions = found.sweep, found.suggestions
    return {
        "suggestion": suggestions.chosen if suggestions else None,
        "option": f"--lr {write_rate(suggestions.chosen)}" if suggestions else None,
        "suggestions": dict(suggestions.by_rule) if suggestions else {},
        "rules_agree": suggestions is not None and not suggestions.are_far_apart,
        "diverged": sweep.diverged,
        "rates": sweep.rates,
        "losses": sweep.losses,
        "smoothed": sweep.smoothed,
    }


def _with_rate(plan: StagePlan, rate: float) -> StagePlan:
    return dataclasses.replace(plan, stage=dataclasses.replace(plan.stage, lr=rate))
