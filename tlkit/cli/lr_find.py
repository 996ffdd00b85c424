"""`tlkit lr-find`: find a learning rate before training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tlkit.cli.options import PATH_OR_URL, output_options, settings_options, start_from_option
from tlkit.recipes import BackboneSettings, DataSettings, HeadSettings, Stage, TrainingSettings
from tlkit.reports.console import Console

if TYPE_CHECKING:
    from tlkit.api.arguments import Place

STAGE_OPTIONS = ("unfreeze", "batch_size", "lr_ratio", "group_lr", "views", "policy", "resize_to")
TRAINING_OPTIONS = [name for name in TrainingSettings.__dataclass_fields__ if name != "false_alarms"]


@click.command(epilog="\b\nExample: tlkit lr-find photos/ --start-from runs/first --unfreeze conv5 --out lr.png")
@click.argument("data", type=PATH_OR_URL)
@settings_options(Stage, only=STAGE_OPTIONS)
@click.option("--out", type=PATH_OR_URL, help="PNG to draw (default: in runs/, named after the data).")
@start_from_option
@settings_options(DataSettings)
@settings_options(BackboneSettings)
@settings_options(HeadSettings)
@settings_options(TrainingSettings, only=TRAINING_OPTIONS)
@output_options
def lr_find(data: Place, out: Place | None, start_from: Place | None, console: Console, **options: Any) -> None:
    """Find a learning rate for training on the images in DATA.

    The rate rises from nearly 0 to far too high over a few steps of the stage that `tlkit finetune` would train with the
    same options; the loss curve suggests a rate. No model is written, and an earlier run does not change.
    """
    from tlkit import api

    console.result(api.lr_find(data, out=out, start_from=start_from, console=console, **options))
