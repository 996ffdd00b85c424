"""Manage caches, list backbones, and run the demo.

tlkit cache list, verify, merge, prune    `list_caches`, `verify_caches`, `merge_caches`, `prune_caches`
tlkit backbones [NAME]             `list_backbones`, `describe_backbone`
tlkit demo                         `demo`
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tlkit.api.arguments import Place, Result, fetch, quiet_console
from tlkit.reports.console import Console

__all__ = [
    "demo",
    "describe_backbone",
    "list_backbones",
    "list_caches",
    "merge_caches",
    "prune_caches",
    "verify_caches",
]


def list_caches(*, console: Console | None = None) -> Result:
    """List the feature caches, most recently used first: `tlkit cache list`.

    Args:
        console: As in `finetune`.

    Returns:
        The `root` of the caches, `caches` (specification, data, rows, bytes, last use) and their total `bytes`; and the
        `copies` of places (place, files, bytes, last use).
    """
    from tlkit.commands.cache import show_caches

    return show_caches(console or quiet_console())


def verify_caches(*, keys: Sequence[str] = (), remove: bool = False, console: Console | None = None) -> Result:
    """Compare every cached row with its checksum: `tlkit cache verify`.

    Args:
        keys: Keys of caches, or prefixes of keys; all caches if empty.
        remove: Whether to remove damaged shards, keeping their sound rows.
        console: As in `finetune`.

    Returns:
        Numbers of sound `rows`, checked `shards` and `removed` files, and the `damaged` files (path and reason).

    Raises:
        CacheError: A key matches no cache.
    """
    from tlkit.commands.cache import verify_caches as run_verify

    return run_verify(keys, remove=remove, console=console or quiet_console())


def merge_caches(
    *sources: Place, keys: Sequence[str] = (), dry_run: bool = False, console: Console | None = None
) -> Result:
    """Bring the features of other cache folders into this one, and join small files: `tlkit cache merge`.

    Every row is compared with its checksum first, and rows that are here already are not copied. Take caches only from
    whom you trust: a checksum tells damage, not whether a feature is the image's.

    Args:
        sources: Cache folders of other machines; without one, only small files of this cache are joined.
        keys: Keys of caches, or prefixes of keys; all caches if empty.
        dry_run: Copy nothing, only return what would be copied.
        console: As in `finetune`.

    Returns:
        `merged` (source, key, shards, and rows that were `copied` and `known` here), the `damaged` files of the sources (path
        and reason), `joined` (key, shards `before` and `after`, `doubled` rows), and `dry_run`.

    Raises:
        CacheError: A source is no cache folder, a key matches no cache of it, or the disk refuses.
        PlaceError: A source or this cache is at a place that cannot be read.
        SettingError: A source is this cache itself.
    """
    from tlkit.commands.cache_merge import merge_caches as run_merge

    folders = [fetch(source, console) for source in sources]
    return run_merge(folders, keys, dry_run=dry_run, console=console or quiet_console())


def prune_caches(
    *,
    keys: Sequence[str] = (),
    older_than: float | None = None,
    max_size: int | None = None,
    everything: bool = False,
    dry_run: bool = False,
    console: Console | None = None,
) -> Result:
    """Remove caches, copies of places, converted networks without a cache, and partial files: `tlkit cache prune`.

    A cache in use is kept. Without a rule, no cache is removed, only files that no cache needs.

    Args:
        keys: Remove caches with these keys, or prefixes of keys.
        older_than: Remove caches not used for this many days.
        max_size: Remove caches until all together are below this many bytes.
        everything: Remove all caches.
        dry_run: Remove nothing, only return what would be removed.
        console: As in `finetune`.

    Returns:
        The `removed` keys, the keys kept because they are `in_use`, the numbers of removed `trunks`, `notes` and
        `partial_files`, their total `bytes`, the `bytes_left`, `dry_run`, and the keys of removed `copies` of places, which
        count in the bytes.

    Raises:
        CacheError: A key matches no cache, or a file cannot be removed.
        SettingError: The rules conflict.
    """
    from tlkit.commands.cache import prune_caches as run_prune
    from tlkit.features.pruning import PruneRules

    rules = PruneRules(keys, older_than, max_size, everything)
    return run_prune(rules, dry_run=dry_run, console=console or quiet_console())


def list_backbones(*, console: Console | None = None) -> Result:
    """List the backbones, without importing TensorFlow: `tlkit backbones`.

    Args:
        console: As in `finetune`.

    Returns:
        `backbones`: name, family, image sizes, parameters, layer groups, boundaries and location of the weights of
        each.

    Examples:
        >>> entries = {entry["name"]: entry for entry in tlkit.list_backbones()["backbones"]}
        >>> entries["resnet50"]["groups"]
        ['conv1', 'conv2', 'conv3', 'conv4', 'conv5']
    """
    from tlkit.commands.backbones import list_backbones as run_list

    return run_list(console or quiet_console())


def describe_backbone(name: str, *, image_size: int | None = None, console: Console | None = None) -> Result:
    """Describe a backbone layer by layer: `tlkit backbones NAME`.

    Args:
        name: Name, as in `list_backbones`.
        image_size: Edge of the square input in pixels; None for the backbone's default.
        console: As in `finetune`.

    Returns:
        Its entry of `list_backbones`, its `layers`, its `layer_groups` and the totals.

    Raises:
        BackboneError: There is no such backbone, or the images are too small for it.
    """
    from tlkit.commands.backbones import describe_backbone as run_describe

    return run_describe(name, console or quiet_console(), edge_px=image_size)


def demo(folder: Place = "tlkit-demo", *, console: Console | None = None) -> Result:
    """Draw a data set of fish in a pond and run all steps on it, offline: `tlkit demo`.

    Args:
        folder: Folder for images and results; a second demo reuses the images.
        console: As in `finetune`.

    Returns:
        `folder`, `photos`, `run`, `validation`, `test` (scores), `verdicts` (on metadata), `fisheries` (the second model),
        `predictions` and `previews`.

    Raises:
        DataError: The folder contains other files.
    """
    from tlkit.commands.demo import run_demo

    return run_demo(Path(folder), console=console or quiet_console())
