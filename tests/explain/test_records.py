from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.explain.conftest import draw_pictures
from tlkit.backbones.catalogue import find_backbone
from tlkit.data.file_index import FileIndex
from tlkit.data.manifest import ImageRecord, Manifest
from tlkit.explain.explainer import Explainer
from tlkit.explain.methods import explain_features
from tlkit.explain.records import MapSource, explain_records, place_map
from tlkit.recipes import ResolvedBackbone
from tlkit.reports.console import Console

pytestmark = pytest.mark.usefixtures("untraced")
TARGETS = np.array([0, 1, 2])


@pytest.fixture
def manifest(tmp_path: Path, cache_root: Path) -> Manifest:
    for number, picture in enumerate(draw_pictures(3)):
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
    facts = FileIndex(cache_root).look(sorted(tmp_path.glob("*.png")))
    records = [ImageRecord(fact.path, fact.sha256, fact.width, fact.height, "test", "cat") for fact in facts]
    return Manifest(tmp_path, ("cat", "dog", "owl"), tuple(records))


@pytest.fixture
def source(cache_root: Path) -> MapSource:
    backbone = ResolvedBackbone(find_backbone("tiny"), "random", (32, 32), "squash", "float32", "keras", "float32")
    return MapSource(backbone, cache_root, Console(verbosity=-1))


@pytest.mark.parametrize("unfrozen", ["none", "block3"])
def test_images_of_a_manifest_are_explained_like_their_pixels(
    unfrozen: str, make_classifier: Callable[..., Any], manifest: Manifest, source: MapSource, monkeypatch: Any
) -> None:
    classifier = make_classifier("linear")
    monkeypatch.setattr(classifier, "spec", dataclasses.replace(classifier.spec, unfrozen=unfrozen))
    explainer = Explainer(classifier)
    found = explain_records(explainer, manifest, TARGETS, source)
    expected = explain_features(explainer, explainer.compute_features(draw_pictures(3)), TARGETS)
    assert found.records == manifest.records
    assert np.abs(found.maps - expected).max() < 1e-3
    assert np.array_equal(found.targets, TARGETS)
    assert np.abs(found.outputs - classifier.logits(draw_pictures(3))).max() < 1e-3
    has_cache = any((source.cache_root / "features").glob("*"))
    assert has_cache == (unfrozen == "none")


def test_the_likeliest_class_is_explained_where_none_is_named_and_lost_files_are_listed(
    make_classifier: Callable[..., Any], manifest: Manifest, source: MapSource
) -> None:
    lost = manifest.records[1].path
    lost.unlink()
    explainer = Explainer(make_classifier("conv"))
    found = explain_records(explainer, manifest, None, source)
    assert [record.path.name for record in found.records] == ["0.png", "2.png"]
    assert [item.path for item in found.failures] == [lost]
    assert np.array_equal(found.targets, found.outputs.argmax(axis=1))


def test_a_map_lies_where_the_network_saw_the_picture() -> None:
    evidence = np.zeros((4, 4), np.float32)
    evidence[0, 0] = 1
    sizes: dict[str, Any] = {"picture_size": (100, 200), "image_size": (64, 64)}
    assert np.array_equal(place_map(evidence, fit="squash", **sizes), evidence)
    cropped = place_map(evidence, fit="crop", **sizes)
    assert np.isnan(cropped[:, :24]).all()
    assert not np.isnan(cropped[:, 24:72]).any()
    assert cropped[0, 24] == 1
    padded = place_map(evidence, fit="pad", **sizes)
    assert not np.isnan(padded).any()
    assert padded.max() < 0.6
