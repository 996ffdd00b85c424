"""`tlkit export`: write a trained model for people and devices without tlkit, and prove each file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tlkit.cli.options import output_options, settings_options
from tlkit.recipes import DataSettings

if TYPE_CHECKING:
    from tlkit.reports.console import Console


@click.command(epilog="\b\nExample: tlkit export runs/third --format onnx,litert --precision float32,int8 --out ship/")
@click.argument("run", type=click.Path(path_type=Path), required=False)
@click.option("--format", "formats", metavar="LIST", default="openvino", show_default=True, help="Formats; see --list.")
@click.option(
    "--precision",
    "precisions",
    metavar="LIST",
    default="float32",
    show_default=True,
    help="Precisions of the weights: float32, float16, dynamic, int8; each for the formats that have it.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder to create (default: in exports/, after the run).")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Labelled images to prove the files on (default: those that RUN held out).",
)
@click.option(
    "--allow",
    type=click.FloatRange(0, 1),
    help="How much lower the score of dynamic and int8 may be (default: not beyond chance).",
)
@click.option("--list", "lists", is_flag=True, help="List the formats, what each is for, and what is installed.")
@click.option(
    "--docker",
    is_flag=True,
    help="Instead write a Dockerfile that serves RUN, with a copy of its bundle (default folder: exports/RUN-docker).",
)
@settings_options(
    DataSettings, only=("image_column", "label_column", "label_separator", "split_column", "boxes", "masks")
)
@output_options
def export(
    run: Path | None,
    formats: str,
    precisions: str,
    out: Path | None,
    data: Path | None,
    allow: float | None,
    lists: bool,
    docker: bool,
    console: Console,
    **settings: Any,
) -> None:
    """Export RUN for people and devices without tlkit.

    The folder runs by itself: models in the chosen formats, programs that ask them, model.json and a README. Every file
    is then opened in its own runtime and asked about the images that RUN held out, from the raw files. One that does not
    answer as RUN does is removed, and the command fails.
    """
    from tlkit import api

    if lists:
        console.result(api.list_export_formats(console=console))
        return
    if run is None:
        raise click.UsageError("Missing argument 'RUN'.")
    if docker:
        console.result(api.export_container(run, out=out, console=console))
        return
    console.result(
        api.export(
            run,
            formats=_split(formats),
            precisions=_split(precisions),
            out=out,
            data=data,
            allow=allow,
            console=console,
            **settings,
        )
    )


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
