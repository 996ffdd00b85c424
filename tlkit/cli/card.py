"""`tlkit card`: write a model card."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tlkit.cli.options import card_options, output_options

if TYPE_CHECKING:
    from tlkit.reports.console import Console


@click.command(epilog="\b\nExample: tlkit card runs/third --license mit --evaluation runs/third-test")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="File to write (default: README.md in RUN).")
@card_options
@output_options
def card(
    run: Path,
    out: Path | None,
    license: str | None,
    dataset: str | None,
    evaluation: Path | None,
    console: Console,
) -> None:
    """Write a model card for RUN: a README.md for people, with a header for model hubs.

    It says what the run records: data, splits, scores with intervals, calibration, mistakes, limits, and where the model
    comes from. Folders are left out, since they may name a user.
    """
    from tlkit import api

    console.result(api.card(run, out=out, license=license, dataset=dataset, evaluation=evaluation, console=console))
