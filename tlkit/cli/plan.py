"""`tlkit plan`: what a training would take on this machine, and how much of the backbone is worth training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tlkit.cli.options import output_options, settings_options
from tlkit.recipes import BackboneSettings, DataSettings, HeadSettings, Stage, TrainingSettings
from tlkit.reports.console import Console


@click.command(epilog="\b\nExample: tlkit plan photos/ --backbone resnet50")
@click.argument("data", type=click.Path(path_type=Path))
@settings_options(Stage, only=("views", "policy"))
@click.option("--out", type=click.Path(path_type=Path), help="PNG to draw (default: in runs/, after the data's name).")
@settings_options(BackboneSettings)
@settings_options(HeadSettings)
@settings_options(TrainingSettings, only=("seed",))
@settings_options(DataSettings)
@output_options
def plan(data: Path, out: Path | None, console: Console, **options: Any) -> None:
    """Tell what a training on the images in DATA takes on this machine, and how much of the backbone is worth training.

    A little of every step is done, by the code that would do all of it: features, the head, the last layer groups,
    everything. Then a short trial on some of the images tells whether the last groups bring anything beyond the head, and a
    learning curve what more images would bring. The last line is the command to go on with; the options are those of
    finetune, with its defaults.
    """
    from tlkit import api

    console.result(api.plan(data, out=out, console=console, **options))
