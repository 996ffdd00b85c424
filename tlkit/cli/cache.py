"""`tlkit cache`: look after the cached features."""

from __future__ import annotations

import click

from tlkit.cli.options import output_options
from tlkit.reports.console import Console

key_opt = click.option(
    "--key", "keys", multiple=True, help="A cache, by its key or the first digits of it; may be given again."
)


@click.group(epilog="\b\nExample: tlkit cache list")
def cache() -> None:
    """List, verify or prune the cached features.

    They lie in the folder that TLKIT_CACHE names, or else in the platform's cache folder for tlkit. Removing them is
    always safe: what is needed again is computed again.
    """


@cache.command("list", epilog="\b\nExample: tlkit cache list --json")
@output_options
def list_command(console: Console) -> None:
    """List the caches: what each holds, rows, size, last use."""
    from tlkit.workflows.cache import show_caches

    console.result(show_caches(console))


@cache.command("verify", epilog="\b\nExample: tlkit cache verify --remove")
@key_opt
@click.option("--remove", is_flag=True, help="Remove damaged shards; their rows are computed again when needed.")
@output_options
@click.pass_context
def verify_command(ctx: click.Context, keys: tuple[str, ...], remove: bool, console: Console) -> None:
    """Compare every cached row with its checksum.

    The exit code is 1 if damage remains.
    """
    from tlkit.workflows.cache import verify_caches

    payload = verify_caches(keys, remove=remove, console=console)
    console.result(payload)
    if len(payload["damaged"]) > payload["removed"]:
        ctx.exit(1)


@cache.command("prune", epilog="\b\nExample: tlkit cache prune --older-than 30")
@key_opt
@click.option("--older-than", type=click.FloatRange(min=0), metavar="DAYS", help="Caches not used for so many days.")
@click.option("--all", "everything", is_flag=True, help="All caches.")
@click.option("--dry-run", is_flag=True, help="Remove nothing, only say what would go.")
@output_options
def prune_command(
    keys: tuple[str, ...], older_than: float | None, everything: bool, dry_run: bool, console: Console
) -> None:
    """Remove caches, and what killed processes left half written."""
    if not keys and older_than is None and not everything:
        raise click.UsageError("Say what to remove: --key KEY, --older-than DAYS or --all.")
    if everything and (keys or older_than is not None):
        raise click.UsageError("--all removes every cache; leave --key and --older-than out.")
    from tlkit.workflows.cache import prune_caches

    console.result(
        prune_caches(keys=keys, older_than_days=older_than, everything=everything, dry_run=dry_run, console=console)
    )
