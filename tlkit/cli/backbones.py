"""`tlkit backbones`: list the backbones, or print the layers of one."""

from __future__ import annotations

import click

from tlkit.cli.options import output_options
from tlkit.reports.console import Console


@click.command(epilog="\b\nExample: tlkit backbones vgg16")
@click.argument("name", required=False)
@click.option(
    "--image-size",
    type=click.IntRange(min=1),
    default=None,
    help="Side of the square input in pixels, for the layer table (default: the backbone's).",
)
@output_options
def backbones(name: str | None, image_size: int | None, console: Console) -> None:
    """List the backbones, or print the layers of one: shapes, activations, parameters, layer groups.

    The names of the layer groups are the boundaries at which a backbone can be cut, and the values of --unfreeze.
    """
    from tlkit import api

    if name is not None:
        console.result(api.describe_backbone(name, image_size=image_size, console=console))
    elif image_size is None:
        console.result(api.list_backbones(console=console))
    else:
        raise click.UsageError("--image-size requires the NAME of a backbone.")
