"""Look after tlkit: its caches, its backbones, its demo.

tlkit cache list, verify, prune    `list_caches`, `verify_caches`, `prune_caches`
tlkit backbones [NAME]             `list_backbones`, `describe_backbone`
tlkit demo                         `demo`
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tlkit.api.arguments import Place, Result, quiet_console
from tlkit.reports.console import Console

__all__ = ["demo", "describe_backbone", "list_backbones", "list_caches", "prune_caches", "verify_caches"]


def list_caches(*, console: Console | None = None) -> Result:
    """List the feature caches, the most recently used first: `tlkit cache list`.

    Args:
        console: As in `finetune`.

    Returns:
        The `root` of the caches, `caches` (what each holds and for which data, rows, bytes, last use) and `bytes` in all.
    """
    from tlkit.commands.cache import show_caches

    return show_caches(console or quiet_console())


def verify_caches(*, keys: Sequence[str] = (), remove: bool = False, console: Console | None = None) -> Result:
    """Compare every cached row with its checksum: `tlkit cache verify`.

    Args:
        keys: Keys of caches, or their first digits; all caches if there are none.
        remove: Whether damaged shards are removed, but for their sound rows.
        console: As in `finetune`.

    Returns:
        Sound `rows`, checked `shards`, `damaged` files (path and reason), and how many of them were `removed`.

    Raises:
        CacheError: A key fits no cache.
    """
    from tlkit.commands.cache import verify_caches as run_verify

    return run_verify(keys, remove=remove, console=console or quiet_console())


def prune_caches(
    *,
    keys: Sequence[str] = (),
    older_than: float | None = None,
    max_size: int | None = None,
    everything: bool = False,
    dry_run: bool = False,
    console: Console | None = None,
) -> Result:
    """Remove caches, converted networks that no cache needs, and what killed processes left: `tlkit cache prune`.

    A cache that another process uses stays. Without a rule no cache goes, only what is of no use to any.

    Args:
        keys: Caches with these keys, or first digits of them.
        older_than: Caches not used for so many days.
        max_size: As many caches as it takes to keep all together under so many bytes.
        everything: All caches.
        dry_run: Remove nothing, only return what would go.
        console: As in `finetune`.

    Returns:
        The `removed` keys and those that stay because they are `in_use`, the numbers of `trunks`, `notes` and
        `partial_files` removed, the `bytes` of all that and the `bytes_left`, and whether it was a `dry_run`.

    Raises:
        CacheError: A key fits no cache, or the disk refuses.
        SettingError: The rules exclude each other.
    """
    from tlkit.commands.cache import prune_caches as run_prune
    from tlkit.features.pruning import PruneRules

    rules = PruneRules(keys, older_than, max_size, everything)
    return run_prune(rules, dry_run=dry_run, console=console or quiet_console())


def list_backbones(*, console: Console | None = None) -> Result:
    """List the backbones, without TensorFlow: `tlkit backbones`.

    Args:
        console: As in `finetune`.

    Returns:
        `backbones`: of each its name, family, image sizes, parameters, layer groups, boundaries and where its weights are.

    Examples:
        >>> entries = {entry["name"]: entry for entry in tlkit.list_backbones()["backbones"]}
        >>> entries["resnet50"]["groups"]
        ['conv1', 'conv2', 'conv3', 'conv4', 'conv5']
    """
    from tlkit.commands.backbones import list_backbones as run_list

    return run_list(console or quiet_console())


def describe_backbone(name: str, *, image_size: int | None = None, console: Console | None = None) -> Result:
    """Tell what a backbone is made of: `tlkit backbones NAME`.

    Args:
        name: As `list_backbones` gives it.
        image_size: Edge of the square input in pixels; None for the backbone's own.
        console: As in `finetune`.

    Returns:
        What `list_backbones` says of it, its `layers`, its `layer_groups` and the totals.

    Raises:
        BackboneError: There is no such backbone, or the images are too small for it.
    """
    from tlkit.commands.backbones import describe_backbone as run_describe

    return run_describe(name, console or quiet_console(), edge_px=image_size)


def demo(folder: Place = "tlkit-demo", *, console: Console | None = None) -> Result:
    """Draw a pond full of fish and run the whole job on it, without network: `tlkit demo`.

    Args:
        folder: Where pictures and results go; a second demo finds its pictures there.
        console: As in `finetune`.

    Returns:
        `folder`, `photos`, `run`, `validation`, `test` (scores), `verdicts` (on metadata), `fisheries` (the second model),
        `predictions` and `previews`.

    Raises:
        DataError: The folder holds something else.
    """
    from tlkit.commands.demo import run_demo

    return run_demo(Path(folder), console=console or quiet_console())
