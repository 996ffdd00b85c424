"""`tlkit finetune`: train a head, or unfreeze layers and train them, with the stages that the options describe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tlkit.cli.options import PATH_OR_URL, output_options, run_options, settings_options
from tlkit.recipes import Stage
from tlkit.reports.console import Console

if TYPE_CHECKING:
    from tlkit.api.arguments import Place

STAGE_OPTIONS = [name for name in Stage.__dataclass_fields__ if name != "name"]


@click.command(epilog="\b\nExample: tlkit finetune photos/ --backbone resnet50 --out runs/first")
@click.argument("data", type=PATH_OR_URL)
@settings_options(Stage, only=STAGE_OPTIONS)
@run_options
@output_options
def finetune(
    data: Place, out: Place | None, start_from: Place | None, resume: bool, console: Console, **options: Any
) -> None:
    """Train a classifier on the images in DATA: a folder with one subfolder per class, or a table.

    Without --unfreeze, this trains a head on cached features. With it, the named layer group and everything above are
    trained, too. Unless --start-from is given, a first stage then trains the head with default settings: --epochs,
    --lr, --batch-size and so on apply only to the unfreezing, but --views with its --policy applies to both.
    """
    from tlkit import api

    payload = api.finetune(
        data,
        out=out,
        start_from=start_from,
        resume=resume,
        console=console,
        **options,
    )
    console.result(payload)
