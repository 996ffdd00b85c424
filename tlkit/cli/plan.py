"""`tlkit plan`: estimate the cost of training on this machine, and how much of the backbone is worth training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tlkit.cli.options import PATH_OR_URL, output_options, settings_options
from tlkit.recipes import BackboneSettings, DataSettings, HeadSettings, Stage, TrainingSettings
from tlkit.reports.console import Console

if TYPE_CHECKING:
    from tlkit.api.arguments import Place


@click.command(epilog="\b\nExample: tlkit plan photos/ --backbone resnet50")
@click.argument("data", type=PATH_OR_URL)
@settings_options(Stage, only=("views", "policy"))
@click.option("--out", type=PATH_OR_URL, help="PNG to draw (default: in runs/, named after the data).")
@click.option(
    "--machines", type=int, metavar="N", help="Also print what the features cost on N machines like this one."
)
@click.option("--price", type=float, metavar="X", help="Price of a machine for an hour, for the cost of the features.")
@settings_options(BackboneSettings)
@settings_options(HeadSettings)
@settings_options(TrainingSettings, only=("seed",))
@settings_options(DataSettings)
@output_options
def plan(
    data: Place, out: Place | None, machines: int | None, price: float | None, console: Console, **options: Any
) -> None:
    """Estimate what training on the images in DATA takes on this machine, and how much of the backbone is worth training.

    This times a little of every step with the code of finetune: features, the head, the last layer groups, everything.
    Then a short trial on some of the images shows whether unfreezing the last groups helps, and a learning curve shows
    what more images would bring. The last line is the command to run next. Options and defaults are those of finetune.
    """
    from tlkit import api

    console.result(api.plan(data, out=out, machines=machines, price=price, console=console, **options))
