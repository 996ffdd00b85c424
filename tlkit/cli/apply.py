"""`tlkit apply`: carry out the moves of an audit, or undo them."""

from __future__ import annotations

from pathlib import Path

import click

from tlkit.cli.options import output_options
from tlkit.reports.console import Console


@click.command(epilog="\b\nExample: tlkit apply audits/photos/moves.csv photos --dry-run")
@click.argument("moves", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--undo", is_flag=True, help="Move everything back that this list has moved.")
@click.option("--dry-run", is_flag=True, help="Show what would move, and change nothing.")
@click.option(
    "--removed", type=click.Path(path_type=Path), help="Folder for removed files (default: beside DATA, DATA.removed)."
)
@output_options
def apply(moves: Path, data: Path, undo: bool, dry_run: bool, removed: Path | None, console: Console) -> None:
    """Move files of the folder DATA to other class folders, or out of it, as the list MOVES says.

    MOVES is the moves.csv of `tlkit audit`, or the one that its page saves. Every file is checked first; if one has
    changed, nothing moves. No file is ever overwritten or deleted. A journal beside MOVES makes it possible to go on
    after an interruption, and to undo everything.
    """
    from tlkit import api

    console.result(api.apply_moves(moves, data, undo=undo, dry_run=dry_run, removed=removed, console=console))
