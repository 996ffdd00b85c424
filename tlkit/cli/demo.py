"""`tlkit demo`: draw a small picture set, then train and predict on it."""

from __future__ import annotations

from pathlib import Path

import click

from tlkit.cli.options import output_options
from tlkit.reports.console import Console


@click.command(epilog="\b\nExample: tlkit demo")
@click.argument("folder", metavar="[DIR]", type=click.Path(path_type=Path), default=Path("tlkit-demo"))
@output_options
def demo(folder: Path, console: Console) -> None:
    """Draw pictures of fish in DIR (default: ./tlkit-demo), then train and predict on them, all offline.

    The pictures are drawn once and are the same on every machine; a second demo in the same folder reuses them and adds
    its results to the first. A folder that contains anything else is refused.
    """
    from tlkit import api

    console.result(api.demo(folder, console=console))
