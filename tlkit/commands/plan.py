"""Estimate the cost of a training on this machine, and how much of the backbone to train.

The steps: read the images and print the class table; time a little of every step of a training; on at most about 1,000
images, fit a probe, extrapolate the learning curve, and try training the last groups; print the advice with its
command. Where objects or masks are wanted, only a probe is fitted, to the places of feature maps.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkit.backbones.weights import RANDOM
from tlkit.places.cache_root import default_cache_root
from tlkit.probes.advice import Advice, Evidence, advise, advise_without_evidence
from tlkit.probes.strategies import find_last_groups, make_strategy, take_head
from tlkit.recipes import Recipe
from tlkit.reports.console import Console, format_duration
from tlkit.reports.figures import PlanScores, draw_plan
from tlkit.reports.output_folder import choose_picture
from tlkit.runs.preparation import fetch_inputs, print_images
from tlkit.runtime import start_keras
from tlkit.tasks import find_task
from tlkit.training.first_model import build_classifier
from tlkit.training.run import Run

if TYPE_CHECKING:
    from tlkit.models.classifier import Classifier
    from tlkit.probes.fleet import Fleet
    from tlkit.probes.plan_costs import PlanCosts, StrategyCost
    from tlkit.probes.plan_places import PlaceEvidence


def run_plan(
    data: Path,
    *,
    sections: Mapping[str, Mapping[str, Any]],
    views: Mapping[str, Any],
    out: Path | None,
    console: Console,
    fleet: Fleet | None = None,
) -> dict[str, Any]:
    """Plan a training.

    Args:
        data: A folder of images or a table.
        sections: Given settings of each section of a recipe, by field name, as for `tlkit finetune`.
        views: Given settings of the views, `views` and `policy`, by field name.
        out: The PNG to draw; None for `runs/`, named after the data.
        console: Prints progress and results.
        fleet: Machines to divide the features among; None to say nothing of them.

    Returns:
        The JSON result: `images` by split, `steps` and `strategies` with their cost, what `int8` would save and
        cost (None if it is no choice), the `machines` that divide the features (None if not asked), the `evidence` with the
        `learning_curve`, the `advice` with its `reasons` and `command`, the `picture` and the `seconds`.

    Raises:
        TlkitError: Any problem with settings, data, backbone, cache or picture that the user can fix.
    """
    started = time.perf_counter()
    strategies = [make_strategy(unfreeze, views=views, sections=sections) for unfreeze in ("none", "all")]
    plan = strategies[0].plan
    recipe = plan.recipe
    picture = choose_picture(out, data, "plan")
    cache_root = default_cache_root()
    manifest = fetch_inputs(data, plan, cache_root, console)
    print_images(manifest, console)
    run = Run(recipe, plan.backbone, manifest, cache_root, console)

    read_at = time.perf_counter()
    start_keras(recipe.training.seed)
    classifier = build_classifier(run, None)
    ready_seconds = time.perf_counter() - read_at
    last_groups = find_last_groups(classifier.backbone)
    strategies.insert(1, make_strategy(last_groups, views=views, sections=sections))
    from tlkit.probes.plan_costs import measure_strategies

    costs = measure_strategies(strategies, classifier, run, ready_seconds=ready_seconds)
    _print_costs(costs, console)
    divided = _divide(costs, fleet, ready_seconds, console)
    if find_task(recipe.data.task).has_objects:
        places = _gather_place_evidence(classifier, run)
        advice, scores = places.advise() if places else _advise_unseen(recipe), None
        seen = places.to_payload() if places else None
    else:
        evidence = _gather_evidence(classifier, run, costs.strategies[1])
        advice = advise(evidence) if evidence else _advise_unseen(recipe)
        scores = PlanScores(**evidence.chart()) if evidence else None
        seen = evidence.to_payload() if evidence else None
    _draw(picture, costs, scores, advice, console)
    advised = make_strategy(
        strategies[advice.depth].unfreeze, views=views, sections=take_head(sections, advice.head_kind)
    )
    command = advised.format_command(data)
    in_words = advised.describe()
    _print_advice(advice, in_words, command, console)
    return {
        "images": {split: len(manifest.in_split(split)) for split in ("train", "validation", "test")},
        **costs.to_payload(),
        "machines": divided,
        "evidence": seen,
        "advice": {
            "train": in_words,
            "head": advised.plan.recipe.head.kind,
            "unfreeze": advised.unfreeze,
            "reasons": advice.reasons,
            "command": command,
        },
        "picture": picture,
        "seconds": round(time.perf_counter() - started, 2),
    }


def _print_costs(costs: PlanCosts, console: Console) -> None:
    console.table("Cost of each step from here, on this machine", *costs.table())
    for note in costs.notes:
        console.say(note)
    if costs.int8:
        console.say(costs.int8.describe())
    console.table(
        "Time to a trained model, if no stage stops early",
        ("trained", "time"),
        [(each.strategy.name, format_duration(each.seconds)) for each in costs.strategies],
    )


def _divide(costs: PlanCosts, fleet: Fleet | None, start_seconds: float, console: Console) -> dict[str, Any] | None:
    """Print and return what the features cost on several machines."""
    if fleet is None:
        return None
    divided = fleet.divide(costs.steps, start_seconds)
    machines = "1 machine" if fleet.num_machines == 1 else f"{fleet.num_machines:,} machines"
    columns = ("step", "time on each", "machine-hours", *(() if fleet.price is None else ("price",)))
    console.table(f"Features on {machines} like this one", columns, [cost.cells() for cost in divided])
    console.say(fleet.describe())
    return {"number": fleet.num_machines, "price": fleet.price, "steps": [cost.to_payload() for cost in divided]}


def _gather_evidence(classifier: Classifier, run: Run, cost: StrategyCost) -> Evidence | None:
    """Gather and print the evidence from the images; None for random weights."""
    from tlkit.probes.plan_evidence import gather_evidence

    recipe, console = cost.strategy.plan.recipe, run.console
    if recipe.backbone.weights == RANDOM:
        return None
    evidence = gather_evidence(run, classifier, cost.strategy, epoch_seconds=cost.last_epoch_seconds)
    if evidence:
        console.table(*evidence.table())
        if evidence.trial:
            console.say(
                f"The trial trained on {evidence.trial.num_trained:,} images at a time "
                f"and took {format_duration(evidence.trial.seconds)}."
            )
            if evidence.trial.stopped_early:
                console.say(
                    f"The last groups held out {evidence.trial.num_images:,} of {len(evidence.trial.head.each):,} images: "
                    "the others would hardly have changed the advice."
                )
        console.say(evidence.curve.sentence)
        for name, is_given in (("Boxes", recipe.data.boxes), ("Metadata", recipe.data.metadata)):
            if is_given:
                console.say(f"{name} are included in the costs, but not in the probe and the trial.")
    return evidence


def _gather_place_evidence(classifier: Classifier, run: Run) -> PlaceEvidence | None:
    """Gather and print the evidence for objects or masks; None for random weights."""
    from tlkit.probes.plan_places import gather_place_evidence

    if run.recipe.backbone.weights == RANDOM:
        return None
    evidence = gather_place_evidence(run, classifier)
    if evidence:
        run.console.table(*evidence.table())
        for sentence in evidence.sentences:
            run.console.say(sentence)
    return evidence


def _advise_unseen(recipe: Recipe) -> Advice:
    return advise_without_evidence(is_random=recipe.backbone.weights == RANDOM)


def _draw(picture: Path, costs: PlanCosts, scores: PlanScores | None, advice: Advice, console: Console) -> None:
    picture.parent.mkdir(parents=True, exist_ok=True)
    draw_plan(
        picture,
        strategies=[(each.strategy.name, each.parts) for each in costs.strategies],
        advised=advice.depth,
        scores=scores,
    )
    console.say(f"Picture: {picture}")


def _print_advice(advice: Advice, in_words: str, command: str, console: Console) -> None:
    console.say("")
    for reason in advice.reasons:
        console.say(reason)
    console.say(f"Advice: train {in_words}.\n  {command}")
