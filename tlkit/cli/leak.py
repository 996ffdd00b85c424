"""`tlkit leak`: find out which metadata give the answer away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tlkit.cli.options import output_options, settings_options
from tlkit.recipes import BackboneSettings, DataSettings, TrainingSettings
from tlkit.reports.console import Console

DATA_OPTIONS = [name for name in DataSettings.__dataclass_fields__ if name != "boxes"]


@click.command(epilog="\b\nExample: tlkit leak photos.csv --group-by patient --out metadata.png")
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--group-by", help="Column whose groups are held out whole: a boat, a patient, a camera.")
@click.option("--out", type=click.Path(path_type=Path), help="PNG to draw (default: in runs/, after the data's name).")
@settings_options(BackboneSettings)
@settings_options(TrainingSettings, only=("seed",))
@settings_options(DataSettings, only=DATA_OPTIONS)
@output_options
def leak(data: Path, group_by: str | None, out: Path | None, console: Console, **options: Any) -> None:
    """Tell how well metadata alone predict the answer, beside the image and together with it.

    Judged are the columns of the table DATA and the facts of the image files, or those that --metadata names. A column
    that alone explains much of the answer, or makes it certain for a part of the images, gives it away: a model that sees
    it learns nothing else.
    """
    from tlkit import api

    console.result(api.leak(data, group_by=group_by, out=out, console=console, **options))
