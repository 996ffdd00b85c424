"""`tlkit run`: run all stages of a recipe file on a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tlkit.cli.options import output_options, run_options
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

    Options override the recipe's settings of the same name. The recipe.toml of a run names its data set and the run
    that it started from: without DATA, this repeats that run, after checking that neither has changed.
    """
    from tlkit import api

    payload = api.run(
        recipe,
        data,
        out=out,
        start_from=start_from,
        resume=resume,
        console=console,
        **options,
    )
    console.result(payload)
