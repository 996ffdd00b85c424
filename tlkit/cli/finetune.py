"""`tlkit finetune`: train a head, or unfreeze and train further, with the stages that the options make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tlkit.cli.options import given_settings, output_options, settings_options
from tlkit.recipes import SECTIONS, Stage
from tlkit.reports.console import Console


@click.command(epilog="\b\nExample: tlkit finetune photos/ --backbone resnet50 --views 4 --out runs/first")
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), help="New folder of the run (default: runs/ and the data's name)."
)
@click.option(
    "--start-from",
    type=click.Path(path_type=Path),
    help="Train the model of an earlier run further; its split is kept.",
)
@click.option("--resume", is_flag=True, help="Go on with the interrupted run in --out; give the same options again.")
@settings_options(Stage, only=[name for name in Stage.__dataclass_fields__ if name != "name"])
@settings_options(SECTIONS["head"])
@settings_options(SECTIONS["backbone"])
@settings_options(SECTIONS["training"])
@settings_options(SECTIONS["data"])
@output_options
def finetune(
    data: Path, out: Path | None, start_from: Path | None, resume: bool, console: Console, **options: Any
) -> None:
    """Train a classifier on the images in DATA: a folder with a folder for each class, or a table.

    Without --unfreeze a head is trained on cached features. With it, the named layer group and all above it are
    trained too; without --start-from a head is trained first.
    """
    from tlkit.workflows.finetune import run_finetune
    from tlkit.workflows.finetune_recipe import choose_run_folder, make_finetune_recipe

    recipe = make_finetune_recipe(
        stage=given_settings(Stage, options),
        sections={name: given_settings(section, options) for name, section in SECTIONS.items()},
        start_from=start_from,
    )
    out = choose_run_folder(data, out, resume=resume)
    console.result(run_finetune(recipe, data, out, console=console, start_from=start_from, resume=resume))
