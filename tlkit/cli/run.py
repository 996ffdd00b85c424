"""`tlkit run`: all stages of a recipe file, on one data set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tlkit.cli.options import command_line, output_options, run_options
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
    from tlkit import api

    payload = api.run(
        recipe,
        data,
        out=out,
        start_from=start_from,
        resume=resume,
        console=console,
        command=command_line(),
        **options,
    )
    console.result(payload)
