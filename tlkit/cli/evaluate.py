"""`tlkit evaluate`: evaluate a run on labelled images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tlkit.cli.options import (
    PATH_OR_URL,
    devices_option,
    engine_options,
    output_options,
    ray_option,
    settings_options,
    view_options,
)
from tlkit.recipes import DataSettings

if TYPE_CHECKING:
    from tlkit.api.arguments import Place
    from tlkit.reports.console import Console


@click.command(epilog="\b\nExample: tlkit evaluate runs/third photos/test --out evaluations/third")
@click.argument("run", type=PATH_OR_URL)
@click.argument("data", type=PATH_OR_URL, required=False)
@click.option(
    "--split",
    type=click.Choice(["train", "validation", "test"]),
    help="Split to evaluate (default: test; without DATA, validation if there is no test split).",
)
@click.option(
    "--top-k",
    type=click.IntRange(min=1),
    help="Also report how often the true class is among this many most probable ones, and list them in predictions.csv.",
)
@click.option(
    "--out",
    type=PATH_OR_URL,
    help="Folder for a page with the images behind the scores, plots, predictions.csv and report.json.",
)
@settings_options(
    DataSettings, only=("image_column", "label_column", "label_separator", "split_column", "boxes", "masks", "strict")
)
@view_options
@devices_option
@engine_options
@ray_option
@output_options
def evaluate(
    run: Place,
    data: Place | None,
    split: str | None,
    top_k: int | None,
    out: Place | None,
    views: int,
    policy: str | None,
    devices: int | str,
    engine: str,
    precision: str,
    ray: str | None,
    console: Console,
    **settings: Any,
) -> None:
    """Evaluate RUN, a folder created by `tlkit finetune`, on labelled images.

    DATA is a folder with one subfolder per class, a table, or a data set with splits. Without DATA, RUN is evaluated on
    the images that it held out itself. Accuracy comes with its 95% interval. Images that RUN has seen, in training or
    to choose its epoch, are scored separately.
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
        devices=devices,
        engine=engine,
        precision=precision,
        ray=ray,
        console=console,
        **settings,
    )
    console.result(payload)
