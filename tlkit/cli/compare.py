"""`tlkit compare`: which backbone, or which boundary of it, suits the images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tlkit.cli.options import output_options, settings_options
from tlkit.recipes import BackboneSettings, DataSettings, TrainingSettings
from tlkit.reports.console import Console

DATA_OPTIONS = [name for name in DataSettings.__dataclass_fields__ if name not in ("boxes", "metadata")]
BACKBONE_OPTIONS = [name for name in BackboneSettings.__dataclass_fields__ if name not in ("name", "weights")]


@click.command(
    epilog="\b\nExamples: tlkit compare photos/ --backbones tiny,mobilenet_v2,resnet50\n"
    "          tlkit compare photos/ --heads linear,dense --views 1,4"
)
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "--backbones",
    default=BackboneSettings().name,
    show_default=True,
    help="Names, separated by commas; NAME:FILE for weights of your own.",
)
@click.option("--boundaries", default="", help="Where they are cut, separated by commas (default: top).")
@click.option(
    "--heads", default="", help="Kinds of heads to train, separated by commas; KIND:UNITS for a width of your own."
)
@click.option("--policies", default="", help="How views are made, separated by commas (default: standard).")
@click.option("--views", default="", help="Numbers of cached views to train with, separated by commas (default: 1).")
@click.option("--out", type=click.Path(path_type=Path), help="PNG to draw (default: in runs/, after the data's name).")
@settings_options(BackboneSettings, only=BACKBONE_OPTIONS)
@settings_options(TrainingSettings, only=("seed",))
@settings_options(DataSettings, only=DATA_OPTIONS)
@output_options
def compare(
    data: Path,
    backbones: str,
    boundaries: str,
    heads: str,
    policies: str,
    views: str,
    out: Path | None,
    console: Console,
    **options: Any,
) -> None:
    """Rank backbones and boundaries, or heads and views, by what they make of images left out, and by their cost.

    Each image is predicted once, by what has learnt from others: backbones and boundaries by a linear probe on their
    features; with --heads, --policies or --views by heads that are trained as `tlkit finetune` trains them, every
    combination on the same folds. Candidates that differ by no more than chance explains are said not to differ; of those
    the cheapest is advised.
    """
    from tlkit import api

    payload = api.compare(
        data,
        backbones=split_names(backbones),
        boundaries=split_names(boundaries),
        heads=split_names(heads),
        policies=split_names(policies),
        views=split_names(views),
        out=out,
        console=console,
        **options,
    )
    console.result(payload)


def split_names(text: str) -> list[str]:
    """Return the names in a list that is separated by commas."""
    return [name.strip() for name in text.split(",") if name.strip()]
