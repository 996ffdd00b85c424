"""`tlkit compare`: rank backbones and boundaries, or heads and views, on a data set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tlkit.cli.options import PATH_OR_URL, output_options, settings_options
from tlkit.recipes import BackboneSettings, DataSettings, TrainingSettings
from tlkit.reports.console import Console

if TYPE_CHECKING:
    from tlkit.api.arguments import Place

DATA_OPTIONS = [name for name in DataSettings.__dataclass_fields__ if name != "metadata"]
BACKBONE_OPTIONS = [name for name in BackboneSettings.__dataclass_fields__ if name not in ("name", "weights")]


@click.command(
    epilog="\b\nExamples: tlkit compare photos/ --backbones tiny,mobilenet_v2,resnet50\n"
    "          tlkit compare photos/ --heads linear,dense --views 1,4"
)
@click.argument("data", type=PATH_OR_URL)
@click.option(
    "--backbones",
    default=BackboneSettings().name,
    show_default=True,
    help="Comma-separated backbones; NAME:FILE loads your own weights.",
)
@click.option("--boundaries", default="", help="Comma-separated boundaries to cut them at (default: top).")
@click.option(
    "--heads", default="", help="Comma-separated kinds of heads to train; KIND:UNITS sets the number of units."
)
@click.option("--policies", default="", help="Comma-separated augmentation policies (default: standard).")
@click.option("--views", default="", help="Comma-separated numbers of cached views (default: 1).")
@click.option(
    "--whiten",
    default="",
    help="Comma-separated preprocessings of the features: none, centre, standard, pca, zca; pca:FLOOR sets the floor.",
)
@click.option("--out", type=PATH_OR_URL, help="PNG to draw (default: in runs/, named after the data).")
@settings_options(BackboneSettings, only=BACKBONE_OPTIONS)
@settings_options(TrainingSettings, only=("seed",))
@settings_options(DataSettings, only=DATA_OPTIONS)
@output_options
def compare(
    data: Place,
    backbones: str,
    boundaries: str,
    heads: str,
    policies: str,
    views: str,
    whiten: str,
    out: Place | None,
    console: Console,
    **options: Any,
) -> None:
    """Rank backbones and boundaries, or heads and views, by cross-validated score and by cost.

    Backbones and boundaries are scored by a linear probe on their features: of pooled features, or, with --task detection
    or segmentation, of every place of feature maps. With --heads, --policies or --views, heads
    are trained as in `tlkit finetune`, every combination on the same folds. Of the candidates that differ from the best
    only within chance, the cheapest is recommended.
    """
    from tlkit import api

    payload = api.compare(
        data,
        backbones=split_names(backbones),
        boundaries=split_names(boundaries),
        heads=split_names(heads),
        policies=split_names(policies),
        views=split_names(views),
        whiten=split_names(whiten),
        out=out,
        console=console,
        **options,
    )
    console.result(payload)


def split_names(text: str) -> list[str]:
    """Split a comma-separated list of names."""
    return [name.strip() for name in text.split(",") if name.strip()]
