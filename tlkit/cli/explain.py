"""`tlkit explain`: show what speaks for a run's answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tlkit.cli.options import PATH_OR_URL, output_options, table_options, window_options

if TYPE_CHECKING:
    from tlkit.api.arguments import Place
    from tlkit.reports.console import Console


@click.command(epilog="\b\nExample: tlkit explain runs/first new-photos/ --out explanations/")
@click.argument("run", type=PATH_OR_URL)
@click.argument("sources", nargs=-1)
@click.option(
    "--out",
    type=PATH_OR_URL,
    required=True,
    help="Folder for explanations.html and the pictures of the maps.",
)
@click.option("--class", "class_name", metavar="NAME", help="Class or label to explain (default: what is predicted).")
@click.option(
    "--method",
    default="auto",
    show_default=True,
    help="auto; from the feature map: exact, gradcam, hirescam, occlusion, rise; from the pixels: pixel-occlusion, "
    "pixel-rise, integrated-gradients, smoothgrad, guided-backprop, saliency.",
)
@click.option("--boundary", help="Boundary whose feature map is explained (default: top).")
@click.option("--number", type=click.IntRange(min=1), default=24, show_default=True, help="Photos to explain, at most.")
@click.option(
    "--neighbours",
    type=click.IntRange(min=0),
    default=3,
    show_default=True,
    help="Nearest training photos to show beside each photo.",
)
@click.option("--filters", is_flag=True, help="Also show the filters of the first layer.")
@click.option(
    "--channels",
    metavar="LIST",
    default="",
    help="Also show the training photos' patches that excite channels of the map at --boundary most, such as 3,17.",
)
@click.option(
    "--scan",
    is_flag=True,
    help="Large pictures: a heat map of --class over each, or the most probable class at each place. Windows, half a window "
    "or --step apart, are cut out and predicted.",
)
@click.option(
    "--one-pass",
    is_flag=True,
    help="With --scan: the backbone runs on the whole picture, and the head slides over its map. Finer and faster; how far the "
    "answers are from those for windows is measured and said.",
)
@window_options
@table_options
@output_options
def explain(
    run: Place,
    sources: tuple[str, ...],
    out: Place,
    class_name: str | None,
    method: str,
    boundary: str | None,
    number: int,
    neighbours: int,
    filters: bool,
    channels: str,
    scan: bool,
    one_pass: bool,
    window: int | None,
    step: int | None,
    table: Place | None,
    image_column: str | None,
    console: Console,
) -> None:
    """Explain what a run answers for photos.

    SOURCES are folders, glob patterns or image files. For each photo the page shows where the evidence for the answer is,
    or for each object or class that is found, how much that map tells beyond a guess, and the training photos that look most
    alike to the network. --filters and --channels show what the network looks for, and need no photos.
    """
    from tlkit import api

    result = api.explain_images(
        run,
        *sources,
        out=out,
        class_name=class_name,
        method=method,
        boundary=boundary,
        number=number,
        neighbours=neighbours,
        filters=filters,
        channels=channels,
        scan=scan,
        one_pass=one_pass,
        window=window,
        step=step,
        table=table,
        image_column=image_column,
        console=console,
    )
    console.result(result)
