"""`tlkit plan`: what a training would take on this machine, and how much of the backbone is worth training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tlkit.cli.options import given_sections, output_options, settings_options
from tlkit.recipes import BackboneSettings, DataSettings, HeadSettings, Stage, TrainingSettings
from tlkit.reports.console import Console


@click.command(epilog="\b\nExample: tlkit plan photos/ --backbone resnet50")
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "--views", type=click.IntRange(1), default=4, show_default=True, help="Cached views of each training image."
)
@settings_options(Stage, only=("policy",))
@click.option("--out", type=click.Path(path_type=Path), help="PNG to draw (default: in runs/, after the data's name).")
@settings_options(BackboneSettings)
@settings_options(HeadSettings)
@settings_options(TrainingSettings, only=("seed",))
@settings_options(DataSettings)
@output_options
def plan(data: Path, views: int, policy: str | None, out: Path | None, console: Console, **options: Any) -> None:
    """Tell what a training on the images in DATA takes on this machine, and how much of the backbone is worth training.

    A little of every step is done, by the code that would do all of it: features, the head, the last layer groups,
    everything. Then probes on the features of some images tell whether these are few or many, near to what the backbone
    has learnt or far from it, and what more of them would bring. The last line is the command to go on with.
    """
    from tlkit.workflows.plan import run_plan

    sections = given_sections(options)
    payload = run_plan(data, sections=sections, views=views, policy=policy or Stage.policy, out=out, console=console)
    console.result(payload)
