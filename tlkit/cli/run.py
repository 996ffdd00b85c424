"""`tlkit run`: all stages of a recipe file, on one data set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tlkit.cli.options import given_sections, output_options, run_options
from tlkit.reports.console import Console


@click.command(epilog="\b\nExample: tlkit run recipes/six_steps.toml photos/ --out runs/six")
@click.argument("recipe", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@run_options
@output_options
def run(
    recipe: Path, data: Path, out: Path | None, start_from: Path | None, resume: bool, console: Console, **options: Any
) -> None:
    """Run the stages of the file RECIPE on the images in DATA.

    An option that is given replaces the recipe's setting of the same name.
    """
    from tlkit.workflows.finetune import run_finetune
    from tlkit.workflows.finetune_recipe import choose_run_folder, make_recipe_from_file

    chosen = make_recipe_from_file(recipe, sections=given_sections(options), start_from=start_from)
    out = choose_run_folder(data, out, resume=resume)
    console.result(run_finetune(chosen, data, out, console=console, start_from=start_from, resume=resume))
