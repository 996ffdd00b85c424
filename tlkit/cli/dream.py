"""`tlkit dream`: run a network backwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tlkit.cli.options import PATH_OR_URL, output_options

if TYPE_CHECKING:
    from tlkit.api.arguments import Place
    from tlkit.reports.console import Console


@click.command(
    epilog="\b\nExamples:\n  tlkit dream runs/first --class cat --out dreams/\n"
    "  tlkit dream mobilenet_v2 photo.jpg --amplify group4 --out dreams/\n"
    "  tlkit dream vgg16 photo.jpg --style painting.jpg --out dreams/\n"
    "  tlkit dream runs/first --report --out robustness/"
)
@click.argument("model", type=PATH_OR_URL)
@click.argument("pictures", nargs=-1)
@click.option("--out", type=PATH_OR_URL, required=True, help="Folder for the pictures and dreams.html.")
@click.option(
    "--class", "class_names", metavar="NAME", multiple=True, help="Make what a run takes for this class; repeatable."
)
@click.option(
    "--channel",
    "channels",
    metavar="BOUNDARY:NUMBER",
    multiple=True,
    help="Make what excites a channel, such as group3:17; repeatable.",
)
@click.option(
    "--amplify", metavar="BOUNDARY", default="", help="Make what a map sees in a picture stronger (DeepDream)."
)
@click.option("--invert", metavar="BOUNDARY", multiple=True, help="Make a picture again from its features; repeatable.")
@click.option("--texture", is_flag=True, help="Make a picture's texture anew.")
@click.option("--style", metavar="PICTURE", default="", help="Give a picture the style of this one.")
@click.option(
    "--fool",
    metavar="NAME",
    default="",
    help="Change pictures as little as makes a run take them for this class.",
)
@click.option(
    "--report", is_flag=True, help="Attack a run's held-out images, and measure what is left of its accuracy."
)
@click.option(
    "--boundary",
    default="",
    help="Boundary at which --style takes the content (default: the coarsest of the style's).",
)
@click.option(
    "--strength",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    show_default=True,
    help="Weight of the style; the content has 1.",
)
@click.option("--weights", metavar="SOURCE", help="Weights of a backbone: imagenet, random, or a file.")
@click.option("--size", "size_px", type=int, metavar="PIXELS", help="Longer edge of the pictures.")
@click.option("--steps", "num_steps", type=click.IntRange(min=1), help="Steps of each picture.")
@click.option(
    "--blur",
    "blur_px",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    metavar="PIXELS",
    help="Blur the picture every 32 steps but the last ones, by this standard deviation, against fine patterns.",
)
@click.option(
    "--number",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="Images to attack with --report, at most.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of noise and shifts.")
@output_options
def dream(model: Place, pictures: tuple[str, ...], console: Console, **options: Any) -> None:
    """Run a network backwards, to see what it has learnt.

    MODEL is a run or the name of a backbone. One option says what to make of it, and of the PICTURES: --class, --channel,
    --amplify, --invert, --texture, --style or --fool; --report measures how easily a run is fooled. Pictures are saved
    while they grow, and dreams.html shows the steps.
    """
    from tlkit import api

    console.result(api.dream(model, *pictures, **options, console=console))
