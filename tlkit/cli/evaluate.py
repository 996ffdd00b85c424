"""`tlkit evaluate`: measure a run on labelled images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tlkit.cli.options import engine_options, output_options, settings_options, view_options
from tlkit.recipes import DataSettings

if TYPE_CHECKING:
    from tlkit.reports.console import Console


@click.command(epilog="\b\nExample: tlkit evaluate runs/third photos/test --out evaluations/third")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path), required=False)
@click.option(
    "--split",
    type=click.Choice(["train", "validation", "test"]),
    help="Part of the data to measure on (default: test; without DATA validation if there is no test).",
)
@click.option(
    "--top-k",
    type=click.IntRange(min=1),
    help="Also measure how often the true class is among so many most probable ones, which predictions.csv then ranks.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder for pictures, scores of each class or label, predictions.csv and report.json.",
)
@settings_options(
    DataSettings, only=("image_column", "label_column", "label_separator", "split_column", "boxes", "strict")
)
@view_options
@engine_options
@output_options
def evaluate(
    run: Path,
    data: Path | None,
    split: str | None,
    top_k: int | None,
    out: Path | None,
    views: int,
    policy: str | None,
    engine: str,
    precision: str,
    console: Console,
    **settings: Any,
) -> None:
    """Measure RUN, a folder that `tlkit finetune` made, on labelled images.

    DATA is a folder with one folder per class, a table, or a data set with splits. Without DATA, RUN is measured on the
    images that it held back itself. Accuracy comes with its 95% interval. Images that RUN was trained on, or that chose its
    epoch, are told apart.
    """
    from tlkit import api

    payload = api.evaluate(
        run,
        data,
        split=split,
        top_k=top_k,
        out=out,
        views=views,
        policy=policy,
        engine=engine,
        precision=precision,
        console=console,
        **settings,
    )
    console.result(payload)
