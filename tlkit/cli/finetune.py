"""`tlkit finetune`: train a head, or unfreeze and train further, with the stages that the options make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tlkit.cli.options import command_line, output_options, run_options, settings_options
from tlkit.recipes import Stage
from tlkit.reports.console import Console

STAGE_OPTIONS = [name for name in Stage.__dataclass_fields__ if name != "name"]


@click.command(epilog="\b\nExample: tlkit finetune photos/ --backbone resnet50 --out runs/first")
@click.argument("data", type=click.Path(path_type=Path))
@settings_options(Stage, only=STAGE_OPTIONS)
@run_options
@output_options
def finetune(
    data: Path, out: Path | None, start_from: Path | None, resume: bool, console: Console, **options: Any
) -> None:
    """Train a classifier on the images in DATA: a folder with a folder for each class, or a table.

    Without --unfreeze a head is trained on cached features. With it, the named layer group and all above it are
    trained too; without --start-from a head is trained first, by default settings: --epochs, --lr, --batch-size and the
    like govern only the unfreezing, --views and the --policy beside it the head as well.
    """
    from tlkit import api

    payload = api.finetune(
        data,
        out=out,
        start_from=start_from,
        resume=resume,
        console=console,
        command=command_line(),
        **options,
    )
    console.result(payload)
