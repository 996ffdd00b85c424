"""`tlkit run`: all stages of a recipe file, on one data set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tlkit.cli.options import given_settings, output_options, settings_options
from tlkit.recipes import SECTIONS
from tlkit.reports.console import Console


@click.command(epilog="\b\nExample: tlkit run recipes/six_steps.toml photos/ --out runs/six")
@click.argument("recipe", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), help="New folder of the run (default: runs/ and the data's name)."
)
@click.option(
    "--start-from",
    type=click.Path(path_type=Path),
    help="Train the model of an earlier run further; its split is kept.",
)
@click.option("--resume", is_flag=True, help="Go on with the interrupted run in --out; give the same options again.")
@settings_options(SECTIONS["head"])
@settings_options(SECTIONS["backbone"])
@settings_options(SECTIONS["training"])
@settings_options(SECTIONS["data"])
@output_options
def run(
    recipe: Path,
    data: Path,
    out: Path | None,
    start_from: Path | None,
    resume: bool,
    console: Console,
    **options: Any,
) -> None:
    """Run the stages of the file RECIPE on the images in DATA.

    An option that is given replaces the recipe's setting of the same name.
    """
    from tlkit.workflows.finetune import run_finetune
    from tlkit.workflows.finetune_recipe import choose_run_folder, make_recipe_from_file

    chosen = make_recipe_from_file(
        recipe,
        sections={name: given_settings(section, options) for name, section in SECTIONS.items()},
        start_from=start_from,
    )
    out = choose_run_folder(data, out, resume=resume)
    console.result(run_finetune(chosen, data, out, console=console, start_from=start_from, resume=resume))
