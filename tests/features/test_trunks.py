"""Trunks are built only where an engine needs them: a further folder is computed without TensorFlow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tlkit
from tlkit.backbones.catalogue import MAPS
from tlkit.backbones.engines import base
from tlkit.errors import CacheError
from tlkit.features import engine_choice, trunks
from tlkit.features.request import FeatureRequest
from tlkit.features.trunk_notes import TrunkRequest
from tlkit.features.trunks import describe_cache, open_trunk
from tlkit.recipes import BackboneSettings, resolve_backbone
from tlkit.reports.console import Console

pytestmark = pytest.mark.usefixtures("openvino")

SETTINGS: dict[str, Any] = {
    "backbone": "tiny",
    "image_size": 32,
    "precision": "float32",
    "feature_dtype": "float32",
    "head": "linear",
}
WITHOUT_KERAS = """
import json, sys
for name in ("tensorflow", "keras"):
    sys.modules[name] = None
import tlkit
for name, arguments, settings in json.loads(sys.argv[1]):
    getattr(tlkit, name)(*arguments, **settings)
"""


@pytest.fixture
def folders(tmp_path: Path, make_image_folder: Callable[..., Path], cache_root: Path) -> list[str]:
    """Three folders of images; the last one has those of the first and more."""
    first, second = (make_image_folder(tmp_path / f"{n}", {"red": 12, "blue": 12}, start=20 * n) for n in (0, 1))
    return [str(first), str(second), str(make_image_folder(tmp_path / "2", {"red": 16, "blue": 14}))]


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The networks that were built from now on."""
    names: list[str] = []
    build = trunks._build_backbone

    def note_and_build(request: Any) -> Any:
        names.append(request.backbone.entry.name)
        return build(request)

    monkeypatch.setattr(trunks, "_build_backbone", note_and_build)
    return names


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The engines that were compared with Keras from now on."""
    names: list[str] = []
    compare = base.compute_agreement

    def note_and_compare(engine: base.Engine, *arguments: Any) -> base.Agreement:
        names.append(engine.name)
        return compare(engine, *arguments)

    monkeypatch.setattr(base, "compute_agreement", note_and_compare)
    return names


def run_without_keras(*calls: tuple[str, list[str], dict[str, Any]], cache_root: Path) -> None:
    environment = {**os.environ, "TLKIT_CACHE": str(cache_root)}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_KERAS, json.dumps(calls)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_further_folders_are_computed_without_tensorflow_and_give_the_same_rows(
    folders: list[str], cache_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, both = folders
    int8 = {**SETTINGS, "precision": "int8"}
    probe: dict[str, Any] = {"backbones": ["tiny"], "boundaries": ["block2", "top"], "out": str(tmp_path / "c.png")}
    probe |= {"image_size": 32, "precision": "float32"}
    tlkit.precompute(first, **SETTINGS)
    tlkit.precompute(first, **int8)
    tlkit.compare(first, **probe)

    run_without_keras(
        ("precompute", [second], SETTINGS),
        ("precompute", [both], int8),
        ("compare", [second], probe),
        cache_root=cache_root,
    )
    assert tlkit.precompute(both, **int8)["misses"] == 0
    assert tlkit.precompute(second, **SETTINGS)["misses"] == 0
    rows, paths = tlkit.compute_features(second, **SETTINGS)
    monkeypatch.setenv("TLKIT_CACHE", str(tmp_path / "another"))
    expected, same_paths = tlkit.compute_features(second, **SETTINGS)
    assert paths == same_paths
    np.testing.assert_array_equal(rows, expected)


@pytest.mark.parametrize("name", ["trunk.bin", "trunk.json"])
def test_a_damaged_converted_trunk_is_built_and_converted_anew(
    folders: list[str], cache_root: Path, built: list[str], compared: list[str], name: str
) -> None:
    tlkit.precompute(folders[0], **SETTINGS)
    assert (built, compared) == (["tiny"], ["openvino"])
    expected, _ = tlkit.compute_features(folders[0], **SETTINGS)
    (trunk,) = (cache_root / "engines").iterdir()
    whole = (trunk / "trunk.bin").read_bytes()
    (trunk / name).write_bytes((trunk / name).read_bytes()[:-9])

    assert tlkit.precompute(folders[2], **SETTINGS)["misses"] == 6
    assert (built, compared) == (["tiny"] * 2, ["openvino"])
    assert (trunk / "trunk.bin").read_bytes() == whole
    rows, _ = tlkit.compute_features(folders[0], **SETTINGS)
    np.testing.assert_array_equal(rows, expected)


def test_another_cache_of_the_same_trunk_needs_no_second_comparison_until_a_version_changes(
    folders: list[str], cache_root: Path, built: list[str], compared: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Path(tlkit.precompute(folders[0], **SETTINGS)["cache"])
    other = Path(tlkit.precompute(folders[0], **{**SETTINGS, "fit": "crop"})["cache"])
    assert (built, compared) == (["tiny"], ["openvino"])
    records = [json.loads((cache / "agreement.json").read_text()) for cache in (first, other)]
    assert records[0] == records[1]

    monkeypatch.setattr(engine_choice, "read_versions", lambda: {"openvino": "another"})
    tlkit.precompute(folders[1], **SETTINGS)
    assert (built, compared) == (["tiny"] * 2, ["openvino"] * 2)
    tlkit.precompute(folders[1], **{**SETTINGS, "fit": "crop"})
    assert (built, compared) == (["tiny"] * 2, ["openvino"] * 2)
    assert json.loads((other / "agreement.json").read_text())["versions"] == {"openvino": "another"}


def test_another_network_than_the_note_says_is_not_computed_with(folders: list[str], cache_root: Path) -> None:
    tlkit.precompute(folders[0], **SETTINGS)
    (note,) = (cache_root / "trunks").iterdir()
    note.write_text(json.dumps({**json.loads(note.read_text()), "weights_sha256": "0" * 64}))
    with pytest.raises(CacheError) as caught:
        tlkit.precompute(folders[0], **SETTINGS)
    assert str(caught.value) == (
        f"{note}: this note on the weights of tiny is damaged.\n"
        "  Expected: the hash of the weights, as tlkit wrote it\n"
        "  Fix: remove it, and start again."
    )
    note.unlink()
    assert tlkit.precompute(folders[0], **SETTINGS)["misses"] == 0


@pytest.mark.parametrize(
    ("boundary", "pooling", "shape", "pooled_shape"),
    [
        ("top", "maps", (8 * 8 * 128 + 4 * 4 * 224,), (224,)),
        ("block3", "none", (8, 8, 128), (128,)),  # the cut is the first of the maps: as for every other head
        ("block2", "none", (16, 16, 64), (64,)),
    ],
)
def test_features_of_several_maps_have_a_cache_of_their_own_where_they_differ_from_a_single_one(
    boundary: str, pooling: str, shape: tuple[int, ...], pooled_shape: tuple[int, ...], cache_root: Path
) -> None:
    backbone = resolve_backbone(BackboneSettings("tiny", image_size=64))
    request = TrunkRequest(backbone, MAPS, boundary, seed=0)
    built = open_trunk(request, cache_root, Console())
    noted = open_trunk(request, cache_root, Console())
    assert noted.note == built.note
    for is_pooled, expected in ((False, (pooling, shape)), (True, ("avg", pooled_shape))):
        spec = describe_cache(FeatureRequest(backbone, boundary, is_pooled=is_pooled), noted)
        assert (spec.pooling, spec.feature_shape) == expected
