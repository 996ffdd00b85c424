"""`tlkit precompute`: compute the features of a data set and cache them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tlkit.backbones.catalogue import TOP
from tlkit.cli.options import PATH_OR_URL, output_options, ray_option, settings_options
from tlkit.recipes import BackboneSettings, DataSettings, HeadSettings, Stage, TrainingSettings
from tlkit.reports.console import Console

if TYPE_CHECKING:
    from tlkit.api.arguments import Place


@click.command(epilog="\b\nExample: tlkit precompute photos/ --backbone resnet50 --views 4")
@click.argument("data", type=PATH_OR_URL)
@settings_options(BackboneSettings)
@click.option("--boundary", default=TOP, show_default=True, help="Layer group after which the network is cut, or top.")
@settings_options(HeadSettings, only=("kind",))
@settings_options(Stage, only=("views", "policy"))
@settings_options(TrainingSettings, only=("seed",))
@settings_options(DataSettings)
@click.option("--part", metavar="I/N", help="Only part I of N of the images, such as 3/8, for several machines.")
@ray_option
@output_options
def precompute(data: Place, boundary: str, part: str | None, ray: str | None, console: Console, **options: Any) -> None:
    """Compute the features of the images in DATA once and cache them.

    DATA is a folder with train, validation and test folders of classes, a folder of classes, or a table (.csv,
    .parquet). This only warms the cache; `tlkit finetune` computes missing features by itself. Cached images are not
    computed again, even if their files were moved or renamed.

    With --part, processes on one or several machines share the work without knowing of each other. A part that was
    killed goes on where it was.
    """
    from tlkit import api

    console.result(api.precompute(data, boundary=boundary, part=part, ray=ray, console=console, **options))
