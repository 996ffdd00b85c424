"""`tlkit drift`: compare new images with those of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tlkit.cli.options import engine_options, output_options, table_options

if TYPE_CHECKING:
    from tlkit.reports.console import Console


@click.command(epilog="\b\nExample: tlkit drift runs/first november/")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("sources", nargs=-1, required=True)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder for drift.csv and drift.html (default: in drift/, named after the images).",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of samples, permutations and resamples.")
@table_options
@engine_options
@output_options
def drift(
    run: Path,
    sources: tuple[str, ...],
    out: Path | None,
    seed: int,
    table: Path | None,
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
