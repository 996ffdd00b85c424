"""`tlkit run`: all stages of a recipe file, on one data set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tlkit.cli.options import given_sections, output_options, record_command, run_options
from tlkit.reports.console import Console


@click.command(
    epilog="\b\nExample: tlkit run recipes/six_steps.toml photos/ --out runs/six\n         tlkit run runs/six/recipe.toml"
)
@click.argument("recipe", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path), required=False)
@run_options
@output_options
def run(
    recipe: Path,
    data: Path | None,
    out: Path | None,
    start_from: Path | None,
    resume: bool,
    console: Console,
    **options: Any,
) -> None:
    """Run the stages of the file RECIPE on the images in DATA.

    An option that is given replaces the recipe's setting of the same name. The recipe.toml of a run names its data set and
    the run that it started from: without DATA it is that run again, and both are checked to be what they were.
    """
    from tlkit.commands.finetune import run_finetune
    from tlkit.runs.recipe import choose_run_folder, make_recipe_from_file

    chosen = record_command(
        make_recipe_from_file(recipe, data=data, sections=given_sections(options), start_from=start_from)
    )
    data = Path(str(chosen.inputs.data))
    start_from = Path(chosen.inputs.start_from) if chosen.inputs.start_from else None
    out = choose_run_folder(data, out, resume=resume)
    console.result(run_finetune(chosen, data, out, console=console, start_from=start_from, resume=resume))
