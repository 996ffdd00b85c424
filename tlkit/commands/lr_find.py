"""Find the learning rate of a stage by a sweep, after running everything before it as in a training."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkit.outputs import QUANTITIES
from tlkit.places.cache_root import default_cache_root
from tlkit.recipes import Recipe
from tlkit.reports.console import Console
from tlkit.reports.output_folder import choose_picture
from tlkit.runs.preparation import fetch_inputs, plan_run
from tlkit.runtime import start_keras
from tlkit.training.first_model import build_classifier
from tlkit.training.run import Run
from tlkit.training.stage_plan import StagePlan, check_batch_norm

if TYPE_CHECKING:
    from tlkit.models.classifier import Classifier


def run_lr_find(
    recipe: Recipe,
    data: Path,
    *,
    out: Path | None,
    start_from: Path | None,
    console: Console,
    cache_root: Path | None = None,
) -> dict[str, Any]:
    """Sweep the learning rate of a recipe's last stage; earlier stages are trained first.

    Args:
        recipe: The settings; the rate of the last stage is searched.
        data: A folder of images or a table.
        out: The PNG to draw; None for `runs/`, named after the data.
        start_from: An earlier run, or a bundle, whose model to train further.
        console: Prints progress and results.
        cache_root: Root of the feature caches; None for the user's cache folder.

    Returns:
        The JSON result: the `suggestion` and the `option` to paste (null if the loss never fell), `suggestions` by
        rule, the sweep's `rates`, `losses` and `smoothed` losses, the `picture` and the `seconds`.

    Raises:
        TlkitError: Any problem with settings, data, backbone or cache that the user can fix.
    """
    started = time.perf_counter()
    cache_root = cache_root or default_cache_root()
    plan = plan_run(recipe, start_from)
    picture = choose_picture(out, data, "lr")
    manifest = fetch_inputs(data, plan, cache_root, console)
    run = Run(plan.recipe, plan.backbone, manifest, cache_root, console)

    start_keras(run.recipe.training.seed)
    classifier = build_classifier(run, plan.earlier.path if plan.earlier else None)
    check_batch_norm(classifier, plan.stages, run.recipe, console)
    _train_before(classifier, plan.stages[:-1], run)
    found = _search(classifier, plan.stages[-1], run, picture)
    return {**found, "picture": picture, "seconds": round(time.perf_counter() - started, 2)}


def _train_before(classifier: Classifier, plans: Sequence[StagePlan], run: Run) -> None:
    """Train the earlier stages; only their features are kept on disk."""
    from tlkit.training.stage import run_stage

    with tempfile.TemporaryDirectory() as folder:
        for plan in plans:
            outcome = run_stage(classifier, plan, run, state=Path(folder), on_epoch=lambda rows: None)
            progress, score = outcome.progress, classifier.spec.outputs.score_name
            run.console.say(
                f"Trained first: {progress.epochs_done} epochs, validation {QUANTITIES[score]} {progress.best[score]:.3f}."
            )


def _search(classifier: Classifier, plan: StagePlan, run: Run, picture: Path) -> dict[str, Any]:
    """Sweep the rate of a stage, print the result, and return its JSON values."""
    from tlkit.training.rate_search import describe_search, print_search, search_rate
    from tlkit.training.stage import at_stage_size, begin_with_metadata, open_stage
    from tlkit.training.unfreezing import build_run_model

    console = run.console
    console.say(f"\nSweeping the learning rate of stage {plan.stage.name}, above boundary {plan.boundary}.")
    with at_stage_size(classifier, plan.stage) as sized:
        model = build_run_model(sized, plan, run)
        with open_stage(sized, model, plan, run) as inputs:
            begin_with_metadata(sized, plan, inputs, run)
            found = search_rate(model, sized.backbone, inputs.data, plan, run, picture=picture)
    print_search(found, picture, console)
    payload = describe_search(found)
    if payload["option"]:
        console.say(f"To use it: {payload['option']}")
    return payload
