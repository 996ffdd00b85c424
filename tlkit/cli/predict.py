"""`tlkit predict`: classify images, or find objects in them, with a run."""

from __future__ import annotations

import sys
from io import BufferedReader
from typing import TYPE_CHECKING

import click

from tlkit.cli.options import (
    PATH_OR_URL,
    devices_option,
    engine_options,
    output_options,
    ray_option,
    table_options,
    view_options,
    window_options,
)
from tlkit.outputs import OBJECT_FORMATS

if TYPE_CHECKING:
    from tlkit.api.arguments import Place
    from tlkit.reports.console import Console


@click.command(
    epilog="\b\nExample: tlkit predict runs/first new-photos/ --out predictions.csv --overlay previews/",
)
@click.argument("run", type=PATH_OR_URL)
@click.argument("sources", nargs=-1)
@click.option(
    "--watch",
    type=PATH_OR_URL,
    metavar="FOLDER",
    help="Folder to watch instead of SOURCES: predict its files, then each that arrives, until Ctrl-C. A CSV or JSON "
    "lines file of --out grows; what it has is skipped.",
)
@click.option(
    "--out",
    type=PATH_OR_URL,
    help="File for the rows: .csv, .jsonl or .parquet (default: CSV on standard output); of found objects also .json (COCO), "
    "or a folder with --format. May be at s3://, gs:// or az://.",
)
@click.option(
    "--format",
    type=click.Choice(OBJECT_FORMATS),
    help="Format of found objects: coco, one file; yolo or voc, a folder with a file for each image.",
)
@click.option(
    "--top-k", type=click.IntRange(min=1), default=3, show_default=True, help="Classes to list for each image."
)
@click.option(
    "--min-probability",
    type=click.FloatRange(0, 1),
    metavar="P",
    help="Mark predictions with a lower probability as uncertain: in rows, on overlays and among sorted copies.",
)
@click.option(
    "--min-score",
    type=click.FloatRange(0, 1),
    metavar="S",
    help="Objects with lower scores are left out; 0 shows all (default: the thresholds that the model has for its classes).",
)
@click.option("--overlay", type=PATH_OR_URL, help="Folder for copies with the prediction drawn on them.")
@click.option(
    "--sort-into",
    type=PATH_OR_URL,
    help="Folder for copies sorted into one subfolder per class, and into unknown and uncertain; with objects, into the "
    "subfolder of each class found, or into background.",
)
@click.option(
    "--masks-out",
    type=PATH_OR_URL,
    help="Folder for the masks of a segmentation model: a PNG for each image, and classes.txt.",
)
@click.option(
    "--tiles",
    is_flag=True,
    help="Cut each picture into windows, side by side or --step apart, and predict each: a row for each window.",
)
@window_options
@click.option(
    "--counts",
    type=PATH_OR_URL,
    help="With --tiles, file for the number of windows of each class in each picture: .csv, .jsonl or .parquet.",
)
@table_options
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    help="Batch size with Keras (default: 32). Another size may change the last digits.",
)
@view_options
@devices_option
@engine_options
@ray_option
@output_options
def predict(
    run: Place,
    sources: tuple[str, ...],
    watch: Place | None,
    out: Place | None,
    format: str | None,
    top_k: int,
    min_probability: float | None,
    min_score: float | None,
    overlay: Place | None,
    sort_into: Place | None,
    masks_out: Place | None,
    tiles: bool,
    window: int | None,
    step: int | None,
    counts: Place | None,
    table: Place | None,
    image_column: str | None,
    batch_size: int | None,
    views: int,
    policy: str | None,
    devices: int | str,
    engine: str,
    precision: str,
    ray: str | None,
    console: Console,
) -> None:
    """Classify images, or find objects in them, with RUN, a folder created by `tlkit finetune`, or the bundle in it.

    SOURCES are folders, files or quoted globs such as 'photos/**/*.jpg'; - reads paths from standard input, one per line,
    and answers each line as it arrives. Each file gets one row, or one for each object, in the order of the sources; if a
    file cannot be read, its row gives the reason instead.
    """
    if not sources and watch is None:
        raise click.UsageError("Missing argument 'SOURCES...', or --watch.")
    from tlkit import api

    payload = api.predict(
        run,
        *sources,
        watch=watch,
        out=out,
        format=format,
        overlay=overlay,
        sort_into=sort_into,
        masks_out=masks_out,
        tiles=tiles,
        window=window,
        step=step,
        counts=counts,
        top_k=top_k,
        min_probability=min_probability,
        min_score=min_score,
        views=views,
        policy=policy,
        devices=devices,
        engine=engine,
        precision=precision,
        ray=ray,
        batch_size=batch_size,
        table=table,
        image_column=image_column,
        console=console,
        # The raw stream returns what is available; a buffered one would wait for more. There may be none at all (<&-).
        stdin=sys.stdin.buffer.raw if sys.stdin and isinstance(sys.stdin.buffer, BufferedReader) else None,
        stdout=sys.stdout.buffer,
    )
    console.result(payload)
