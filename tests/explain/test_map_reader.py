"""Feature maps of a data set's images, from the cache or computed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.explain.conftest import draw_pictures, write_pictures
from tlkit.backbones.catalogue import find_backbone
from tlkit.data.manifest import Manifest
from tlkit.explain.explainer import Explainer
from tlkit.explain.map_reader import MapReader, MapSource
from tlkit.recipes import ResolvedBackbone
from tlkit.reports.console import Console

pytestmark = pytest.mark.usefixtures("untraced")


@pytest.mark.parametrize("unfrozen", ["none", "block3"])
def test_maps_come_from_the_cache_where_other_runs_share_the_weights(
    unfrozen: str, make_classifier: Callable[..., Any], tmp_path: Path, cache_root: Path, monkeypatch: Any
) -> None:
    manifest = Manifest(tmp_path, ("cat", "dog", "owl"), write_pictures(tmp_path, cache_root))
    lost = manifest.records[1].path
    lost.unlink()
    backbone = ResolvedBackbone(find_backbone("tiny"), "random", (32, 32), "squash", "float32", "keras", "float32")
    classifier = make_classifier("linear")
    monkeypatch.setattr(classifier, "spec", dataclasses.replace(classifier.spec, unfrozen=unfrozen))
    explainer = Explainer(classifier)
    reader = MapReader(explainer, manifest, MapSource(backbone, cache_root, Console(verbosity=-1)))
    expected = explainer.compute_features(draw_pictures(3))
    found = {place: row for places, rows in reader for place, row in zip(places.tolist(), rows, strict=True)}
    assert list(found) == [0, 2]
    assert max(np.abs(row - expected[place]).max() for place, row in found.items()) < 1e-3
    assert [item.path for item in reader.failures] == [lost]
    has_cache = any((cache_root / "features").glob("*"))
    assert has_cache == (unfrozen == "none")
