"""`tlkit cache`: list, verify, merge or prune cached features."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from tlkit.cli.options import PATH_OR_URL, output_options
from tlkit.errors import SettingError
from tlkit.reports.console import Console

if TYPE_CHECKING:
    from tlkit.api.arguments import Place

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


class Size(click.ParamType[int]):
    """A size in bytes with its unit, such as 500MB or 1.5 TB."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the size in bytes."""
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)B", str(value).strip().upper())
        if match is None:
            self.fail(f"{value!r} is not a size; use a number with B, KB, MB, GB or TB, such as 20GB.", param, ctx)
        return int(float(match[1]) * _UNITS[match[2]])


key_opt = click.option("--key", "keys", multiple=True, help="Key of a cache, or its first digits; may be repeated.")


@click.group(epilog="\b\nExample: tlkit cache list")
def cache() -> None:
    """List, verify, merge or prune cached features.

    They are in the folder that TLKIT_CACHE names, or else in the platform's cache folder. Removing them is always safe:
    tlkit computes them again when needed.
    """


@cache.command("list", epilog="\b\nExample: tlkit cache list --json")
@output_options
def list_command(console: Console) -> None:
    """List the caches: contents, data set, rows, size and last use; and the copies of places."""
    from tlkit import api

    console.result(api.list_caches(console=console))


@cache.command("verify", epilog="\b\nExample: tlkit cache verify --remove")
@key_opt
@click.option(
    "--remove",
    is_flag=True,
    help="Remove damaged rows and keep the intact ones; removed rows are computed again when needed.",
)
@output_options
@click.pass_context
def verify_command(ctx: click.Context, keys: tuple[str, ...], remove: bool, console: Console) -> None:
    """Check every cached row against its checksum.

    The exit code is 1 if damage remains.
    """
    from tlkit import api

    payload = api.verify_caches(keys=keys, remove=remove, console=console)
    console.result(payload)
    if len(payload["damaged"]) > payload["removed"]:
        ctx.exit(1)


@cache.command("merge", epilog="\b\nExample: tlkit cache merge /mnt/machine-1/cache /mnt/machine-2/cache")
@click.argument("sources", metavar="[SOURCE]...", nargs=-1, type=PATH_OR_URL)
@key_opt
@click.option("--dry-run", is_flag=True, help="Only print what would be copied.")
@output_options
@click.pass_context
def merge_command(
    ctx: click.Context, sources: tuple[Place, ...], keys: tuple[str, ...], dry_run: bool, console: Console
) -> None:
    """Bring the features of other cache folders, SOURCE, into this one, and join small files into large ones.

    Every row is compared with its checksum first; rows that are here already are not copied. Without SOURCE, only small
    files of this cache are joined. The exit code is 1 if a SOURCE has damaged files, of which the intact rows are copied.
    """
    from tlkit import api

    payload = api.merge_caches(*sources, keys=keys, dry_run=dry_run, console=console)
    console.result(payload)
    if payload["damaged"]:
        ctx.exit(1)


@cache.command("prune", epilog="\b\nExample: tlkit cache prune --max-size 20GB")
@key_opt
@click.option(
    "--older-than", type=click.FloatRange(min=0), metavar="DAYS", help="Remove caches unused for this many days."
)
@click.option(
    "--max-size",
    type=Size(),
    help="Remove caches until the rest is below this size, such as 20GB: first those of weights trained in a run, then the "
    "least recently used.",
)
@click.option("--all", "everything", is_flag=True, help="Remove all caches.")
@click.option("--dry-run", is_flag=True, help="Only print what would be removed.")
@output_options
def prune_command(console: Console, *, dry_run: bool, **rules: Any) -> None:
    """Remove caches, copies of places, converted networks that no cache needs, and incomplete files of killed processes.

    Caches and copies in use by another process are kept. --max-size counts both, and removes copies first.
    """
    if not any(rule not in (None, (), False) for rule in rules.values()):
        raise click.UsageError("Specify what to remove: --key KEY, --older-than DAYS, --max-size SIZE or --all.")
    from tlkit import api

    try:
        console.result(api.prune_caches(**rules, dry_run=dry_run, console=console))
    except SettingError as error:
        raise click.UsageError(f"{error.found}; {error.fix}") from error
