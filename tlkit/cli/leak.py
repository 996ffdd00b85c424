"""`tlkit leak`: find metadata that give the answer away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tlkit.cli.options import PATH_OR_URL, output_options, settings_options
from tlkit.recipes import BackboneSettings, DataSettings, TrainingSettings
from tlkit.reports.console import Console

if TYPE_CHECKING:
    from tlkit.api.arguments import Place

DATA_OPTIONS = [name for name in DataSettings.__dataclass_fields__ if name not in ("boxes", "masks", "group_by")]


@click.command(epilog="\b\nExample: tlkit leak photos.csv --group-by patient --out metadata.png")
@click.argument("data", type=PATH_OR_URL)
@click.option("--group-by", help="Column whose groups are held out whole, such as a boat, patient or camera.")
@click.option("--out", type=PATH_OR_URL, help="PNG to draw (default: in runs/, named after the data).")
@settings_options(BackboneSettings)
@settings_options(TrainingSettings, only=("seed",))
@settings_options(DataSettings, only=DATA_OPTIONS)
@output_options
def leak(data: Place, group_by: str | None, out: Place | None, console: Console, **options: Any) -> None:
    """Measure how well metadata predict the answer: alone, compared with the image, and combined with it.

    This tests the columns of the table DATA and facts of the image files, or those that --metadata names. A column that
    by itself explains much of the answer, or determines it for some of the images, gives it away: a model that sees
    such a column learns nothing else.
    """
    from tlkit import api

    console.result(api.leak(data, group_by=group_by, out=out, console=console, **options))
