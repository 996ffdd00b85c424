"""`tlkit suggest`: which unlabelled images to label next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tlkit.cli.options import PATH_OR_URL, engine_options, output_options, table_options

if TYPE_CHECKING:
    from tlkit.api.arguments import Place
    from tlkit.reports.console import Console


@click.command(epilog="\b\nExample: tlkit suggest runs/first unlabelled/ --number 20")
@click.argument("run", type=PATH_OR_URL)
@click.argument("sources", nargs=-1, required=True)
@click.option(
    "--number", type=click.IntRange(min=1), default=20, show_default=True, help="Number of images to suggest."
)
@click.option(
    "--out",
    type=PATH_OR_URL,
    help="Folder for suggestions.csv and suggestions.html (default: in suggestions/, named after the images).",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the choice and of the replay.")
@table_options
@engine_options
@output_options
def suggest(
    run: Place,
    sources: tuple[str, ...],
    number: int,
    out: Place | None,
    seed: int,
    table: Place | None,
    image_column: str | None,
    engine: str,
    precision: str,
    console: Console,
) -> None:
    """Suggest which unlabelled images to label next, so that RUN, trained again with them, learns most.

    SOURCES are folders, files or quoted globs. The images chosen are those that the model is unsure of and that are
    unlike each other. A replay on the run's own labelled images measures whether that beats a random choice.
    """
    from tlkit import api

    payload = api.suggest(
        run,
        *sources,
        number=number,
        out=out,
        seed=seed,
        table=table,
        image_column=image_column,
        engine=engine,
        precision=precision,
        console=console,
    )
    console.result(payload)
