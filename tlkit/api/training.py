"""Train: `tlkit finetune`, `tlkit run`, and reading data."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkit.api.arguments import Place, Result, as_path, fetch, fetch_data, quiet_console
from tlkit.recipes.given import check_known, collect_settings, given_sections, given_settings
from tlkit.recipes.settings import (
    SECTIONS,
    DataSettings,
    Recipe,
    Stage,
    TrainingSettings,
)
from tlkit.reports.console import Console

if TYPE_CHECKING:
    from tlkit.data.manifest import Manifest

__all__ = ["finetune", "read_data", "run"]


def read_data(data: Place, **settings: Any) -> Manifest:
    """Read a data set as `finetune` does: usable images with hash, target and split, and skipped files.

    Args:
        data: A folder of class folders, a table, or annotated images.
        settings: Settings of a recipe's `[data]`, and the `seed` of the splits.

    Raises:
        DataError: The data set is not usable.
        SettingError: A setting is wrong, or does not apply.

    Examples:
        >>> manifest = tlkit.read_data("photos", validation_fraction=0.25)
        >>> len(manifest.in_split("train")), len(manifest.in_split("validation"))
        (12, 4)
    """
    check_known(settings, DataSettings, TrainingSettings, of="read_data")
    from tlkit.data.dataset import read_dataset
    from tlkit.data.file_index import FileIndex
    from tlkit.places.cache_root import default_cache_root

    seed = collect_settings(TrainingSettings, settings).seed
    return read_dataset(
        fetch_data(data, None),
        collect_settings(DataSettings, settings),
        seed=seed,
        index=FileIndex(default_cache_root()),
    )


def finetune(
    data: Place,
    *,
    out: Place | None = None,
    start_from: Place | None = None,
    resume: bool = False,
    console: Console | None = None,
    **settings: Any,
) -> Result:
    """Train a classifier on images: `tlkit finetune`.

    Args:
        data: A folder of class folders, a table, or annotated images.
        out: New folder of the run; None for `runs/`, named after the data.
        start_from: An earlier run whose model to train further.
        resume: Continue the interrupted run in `out`.
        console: Prints progress and results; None to print only warnings.
        settings: Settings of the stage, such as `unfreeze`, `epochs` and `lr`, and of a recipe's sections.

    Returns:
        `run`, `validation` (before and after each stage), the scores of the task, `not_made`, `seconds` and `versions`.

    Raises:
        TlkitError: Any problem with settings, data, backbone, cache or folder that the user can solve.

    Examples:
        >>> run = tlkit.finetune("photos", backbone="mobilenet_v2", unfreeze="all")  # doctest: +SKIP
    """
    check_known(settings, Stage, *SECTIONS.values(), of="finetune")
    from tlkit.runs.recipe import describe_reach, make_finetune_recipe

    console = console or quiet_console()
    stage = given_settings(Stage, settings)
    sections, start = given_sections(settings), fetch(start_from, console)
    recipe = make_finetune_recipe(stage=stage, sections=sections, start_from=start)
    if reach := describe_reach(stage, recipe):
        console.say(reach)
    return _train(recipe, fetch_data(data, console), out, start, resume=resume, console=console)


def run(
    recipe: Place,
    data: Place | None = None,
    *,
    out: Place | None = None,
    start_from: Place | None = None,
    resume: bool = False,
    console: Console | None = None,
    **settings: Any,
) -> Result:
    """Run all stages of a recipe file: `tlkit run`.

    Args:
        recipe: A TOML file, such as a run's recipe.toml.
        data: The data set; None for the one in the recipe.
        out: As in `finetune`.
        start_from: As in `finetune`; None for the run in the recipe, if any.
        resume: As in `finetune`.
        console: As in `finetune`.
        settings: Settings that replace the recipe's.

    Returns:
        As `finetune`.

    Raises:
        TlkitError: Any problem that the user can solve.
    """
    check_known(settings, *SECTIONS.values(), of="run")
    from tlkit.runs.recipe import make_recipe_from_file

    chosen = make_recipe_from_file(
        Path(recipe),
        data=fetch_data(data, console),
        sections=given_sections(settings),
        start_from=fetch(start_from, console),
    )
    return _train(
        chosen,
        fetch_data(str(chosen.inputs.data), console),
        out,
        fetch(chosen.inputs.start_from, console),
        resume=resume,
        console=console or quiet_console(),
    )


def _train(
    recipe: Recipe,
    data: Path,
    out: Place | None,
    start_from: Path | None,
    *,
    resume: bool,
    console: Console,
) -> Result:
    from tlkit.commands.finetune import run_finetune
    from tlkit.runs.recipe import choose_run_folder

    folder = choose_run_folder(data, as_path(out), resume=resume)
    recipe = dataclasses.replace(recipe, made_by=dataclasses.replace(recipe.made_by, command=console.command))
    return run_finetune(recipe, data, folder, console=console, start_from=start_from, resume=resume)
