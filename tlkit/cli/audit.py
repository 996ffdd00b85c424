"""`tlkit audit`: find wrong labels, copies, outliers and poor pictures in a data set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tlkit.cli.options import PATH_OR_URL, output_options, ray_option, settings_options
from tlkit.recipes import BackboneSettings, DataSettings, TrainingSettings
from tlkit.reports.console import Console

if TYPE_CHECKING:
    from tlkit.api.arguments import Place


@click.command(epilog="\b\nExample: tlkit audit photos --backbone resnet50 --out audits/photos")
@click.argument("data", type=PATH_OR_URL, required=False)
@click.option("--run", type=PATH_OR_URL, help="Audit the images of a run, with its splits and backbone.")
@click.option("--out", type=PATH_OR_URL, help="Folder to create (default: in audits/, after the data).")
@settings_options(BackboneSettings)
@settings_options(TrainingSettings, only=("seed",))
@settings_options(DataSettings)
@ray_option
@output_options
def audit(
    data: Place | None, run: Place | None, out: Place | None, ray: str | None, console: Console, **options: Any
) -> None:
    """Look for what is wrong with the images of DATA: labels, boxes, copies, outliers, poor pictures.

    This compares all images by the features of a pretrained backbone and writes a page to look through, audit.html;
    findings.csv; labels.csv, which ranks all labels by how probably they are wrong; and moves.csv, a list of proposed
    moves that `tlkit apply` carries out. Boxes are judged by detectors that never saw the picture. Nothing of the data is
    changed.
    """
    from tlkit import api

    console.result(api.audit_images(data, run=run, out=out, ray=ray, console=console, **options))
