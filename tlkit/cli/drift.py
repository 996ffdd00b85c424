"""`tlkit drift`: compare new images with those of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tlkit.cli.options import PATH_OR_URL, engine_options, output_options, table_options

if TYPE_CHECKING:
    from tlkit.api.arguments import Place
    from tlkit.reports.console import Console


@click.command(epilog="\b\nExample: tlkit drift runs/first november/")
@click.argument("run", type=PATH_OR_URL)
@click.argument("sources", nargs=-1, required=True)
@click.option(
    "--out",
    type=PATH_OR_URL,
    help="Folder for drift.csv and drift.html (default: in drift/, named after the images).",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of samples, permutations and resamples.")
@table_options
@engine_options
@output_options
def drift(
    run: Place,
    sources: tuple[str, ...],
    out: Place | None,
    seed: int,
    table: Place | None,
    image_column: str | None,
    engine: str,
    precision: str,
    console: Console,
) -> None:
    """Compare new, unlabelled images with those that RUN held out, and estimate the score on them.

    SOURCES are folders, files or quoted globs. The result says what is new: features, brightness, contrast, sharpness,
    sizes, cameras, unknown pictures and the mix of answers; and which images to look at first.
    """
    from tlkit import api

    console.result(
        api.drift(
            run,
            *sources,
            out=out,
            seed=seed,
            table=table,
            image_column=image_column,
            engine=engine,
            precision=precision,
            console=console,
        )
    )
