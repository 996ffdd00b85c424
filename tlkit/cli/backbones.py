"""`tlkit backbones`: the list of networks, or the layers of one."""

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
    help="Edge of the square input in pixels, for the layer table (default: the backbone's own).",
)
@output_options
def backbones(name: str | None, image_size: int | None, console: Console) -> None:
    """List the backbones, or print the layer table of one: shapes, activations, parameters, layer groups.

    The boundaries at which a backbone can be cut, and what --unfreeze takes, are the names of its layer groups.
    """
    from tlkit import api

    if name is not None:
        console.result(api.describe_backbone(name, image_size=image_size, console=console))
    elif image_size is None:
        console.result(api.list_backbones(console=console))
    else:
        raise click.UsageError("--image-size goes with the NAME of a backbone.")
