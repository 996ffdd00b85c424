"""One of two caches is pruned: the other stays whole, and what is left of the one is no damage."""

from __future__ import annotations

import dataclasses
from contextlib import suppress
from pathlib import Path

from tests.faults.scenarios.feature_cache import OLD, SPEC, fill
from tlkit.errors import CacheError
from tlkit.features.cache import FeatureCache
from tlkit.features.pruning import PruneRules, prune
from tlkit.features.upkeep import list_caches, verify_cache

OTHER = dataclasses.replace(SPEC, fit="crop")


def prepare(folder: Path) -> None:
    fill(folder, OLD)
    FeatureCache.open(folder, OTHER)


def act(folder: Path) -> None:
    with suppress(CacheError):
        prune(folder, PruneRules(keys=[SPEC.folder(folder).name]))


def check(folder: Path) -> None:
    for summary in list_caches(folder):
        assert not verify_cache(summary.folder, advance=lambda count: None).damaged
    assert OTHER.folder(folder).is_dir()
    fill(folder, OLD)
    assert len(FeatureCache.open(folder, SPEC)) >= len(OLD)
