"""`tlkit run`: run all stages of a recipe file on a data set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tlkit.cli.options import PATH_OR_URL, output_options, run_options
from tlkit.reports.console import Console

if TYPE_CHECKING:
    from tlkit.api.arguments import Place


@click.command(
    epilog="\b\nExample: tlkit run recipes/six_steps.toml photos/ --out runs/six\n         tlkit run runs/six/recipe.toml"
)
@click.argument("recipe", type=PATH_OR_URL)
@click.argument("data", type=PATH_OR_URL, required=False)
@run_options
@output_options
def run(
    recipe: Place,
    data: Place | None,
    out: Place | None,
    start_from: Place | None,
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
