"""`tlkit pull`: download a model from a model hub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tlkit.cli.options import output_options

if TYPE_CHECKING:
    from tlkit.reports.console import Console


@click.command(epilog="\b\nExample: tlkit pull anna/clothing --out models/clothing")
@click.argument("repository")
@click.option(
    "--out", type=click.Path(path_type=Path), help="New folder for the model (default: in models/, by its name)."
)
@click.option("--revision", metavar="NAME", help="Branch, tag or commit (default: the newest).")
@click.option(
    "--max-size",
    type=click.IntRange(min=1),
    default=2000,
    show_default=True,
    metavar="MB",
    help="The most to download, in megabytes.",
)
@output_options
def pull(repository: str, out: Path | None, revision: str | None, max_size: int, console: Console) -> None:
    """Download the model in REPOSITORY of a model hub, and check it.

    It needs the extra packages of `pip install 'tlkit[hub]'`. Only the files that a model of tlkit has are downloaded, and
    none of them is code. The folder appears when all hashes and the golden samples agree.
    """
    from tlkit import api

    console.result(api.pull(repository, out=out, revision=revision, max_size=max_size, console=console))
