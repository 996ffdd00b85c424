"""Features of a data set, computed once and cached."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkit.api.arguments import Place, Result, fetch_data, fetch_part, plan_views, quiet_console
from tlkit.backbones.catalogue import TOP
from tlkit.heads import LINEAR
from tlkit.recipes.given import check_known, collect_sections, given_settings
from tlkit.recipes.head_settings import HeadSettings
from tlkit.recipes.settings import (
    BackboneSettings,
    DataSettings,
    Stage,
)
from tlkit.recipes.task_defaults import fill_views
from tlkit.reports.console import Console

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tlkit.commands.precompute import PrecomputeOptions

__all__ = ["compute_features", "precompute"]


def precompute(
    data: Place,
    *,
    boundary: str = TOP,
    part: str | None = None,
    ray: str | None = None,
    console: Console | None = None,
    **settings: Any,
) -> Result:
    """Compute and cache the features of a data set: `tlkit precompute`.

    Args:
        data: As in `finetune`.
        boundary: Layer group after which the network is cut, or top.
        part: `3/8` for the third of eight parts, chosen by the paths of the images; None for all images.
        ray: A Ray cluster that computes: "auto" for a running one, "local" for one on this machine, or HOST:PORT.
        console: As in `finetune`.
        settings: Settings of `[backbone]` and `[data]`; `head`, `views`, `policy` and `seed`.

    Returns:
        `images`, `hits` and `misses` (rows of the cache), `skipped` (files), `seconds`, `images_per_second`, the `part`, and
        the folder of the `cache` with its `engine` and `precision`.

    Raises:
        TlkitError: Any problem that the user can solve.
    """
    from tlkit.commands.precompute import run_precompute
    from tlkit.data.parts import Part

    options, sections = _plan_features("precompute", boundary, settings, ray)
    if part is None:
        path = fetch_data(data, console)
    else:
        chosen = Part.parse(part)
        options = dataclasses.replace(options, part=chosen)
        path = fetch_part(data, chosen, console)
    return run_precompute(path, options, **sections, console=console or quiet_console())


def compute_features(
    data: Place, *, boundary: str = TOP, console: Console | None = None, **settings: Any
) -> tuple[NDArray[np.floating[Any]], list[Path]]:
    """Return the features of a data set's images, computed once and cached.

    Args:
        data: As in `finetune`.
        boundary: As in `precompute`.
        console: As in `finetune`.
        settings: As in `precompute`.

    Returns:
        The features of the images themselves (view 0), float16 or float32, (n, channels) vectors or (n, height, width,
        channels) maps; and the n paths: training, then validation, then test images.

    Raises:
        TlkitError: Any problem that the user can solve.

    Examples:
        >>> features, paths = tlkit.compute_features("photos", backbone="tiny")
        >>> features.shape, len(paths)
        ((16, 224), 16)
    """
    import numpy as np

    from tlkit.commands.precompute import ensure_dataset_features

    if boundary == TOP:
        settings.setdefault("head", LINEAR)
    options, sections = _plan_features("compute_features", boundary, settings)
    _, features = ensure_dataset_features(
        fetch_data(data, console), options, **sections, console=console or quiet_console()
    )
    parts = list(features.splits.values())
    positions = np.concatenate([part.positions[:, 0] for part in parts])
    return features.cache.read(positions), [record.path for part in parts for record in part.records]


def _plan_features(
    of: str, boundary: str, settings: dict[str, Any], ray: str | None = None
) -> tuple[PrecomputeOptions, dict[str, Any]]:
    """Return the arguments of `run_precompute`: the options, and the sections by keyword."""
    from tlkit.commands.precompute import PrecomputeOptions

    names = {"head", "views", "policy", "seed"}
    sections = (BackboneSettings, DataSettings)
    check_known({name: value for name, value in settings.items() if name not in names}, *sections, of=of)
    chosen = collect_sections(settings)
    stage = fill_views(chosen["data"].task, given_settings(Stage, settings))
    head = chosen["head"] if given_settings(HeadSettings, settings) else None
    num_views, policy = stage.get("views", Stage.views), stage.get("policy")
    views = plan_views(num_views, policy, seed=chosen["training"].seed, for_training=True)
    return PrecomputeOptions(boundary, head, views, ray), {
        "data_settings": chosen["data"],
        "backbone_settings": chosen["backbone"],
    }
