from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tlkit.backbones.build import Backbone, build_backbone
from tlkit.data.dataset import read_dataset
from tlkit.data.file_index import FileIndex
from tlkit.data.manifest import Manifest
from tlkit.errors import BackboneError, NumericsError, SettingError
from tlkit.features import calibration
from tlkit.features.allowed_engines import iterate_choices
from tlkit.features.ensure import DatasetFeatures, ensure_features
from tlkit.features.request import FeatureRequest
from tlkit.features.trunks import take_trunk
from tlkit.recipes import BackboneSettings, DataSettings, resolve_backbone
from tlkit.reports.console import Console

INT8 = BackboneSettings(name="tiny", weights="random", feature_dtype="float32", precision="int8")
FLOAT32 = dataclasses.replace(INT8, precision="float32", engine="openvino")

pytestmark = pytest.mark.usefixtures("openvino")


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return build_backbone("tiny", image_size=(32, 32), pooling="avg", weights="random")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    from tests.conftest import draw_image_folder

    def show_nothing(total: int) -> contextlib.AbstractContextManager[Callable[[int], None]]:
        return contextlib.nullcontext(lambda count: None)

    photos = draw_image_folder(tmp_path_factory.mktemp("photos"), {"red": 10, "striped": 10})
    return read_dataset(photos, DataSettings(), seed=0, index=FileIndex(photos.parent), progress=show_nothing)


def ensure(
    manifest: Manifest, backbone: Backbone, root: Path, settings: BackboneSettings = INT8
) -> tuple[DatasetFeatures, np.ndarray]:
    request = FeatureRequest(resolve_backbone(settings), "top")
    features = ensure_features(manifest, take_trunk(backbone, request), request, cache_root=root, console=Console())
    return features, features.cache.read(features.locate(manifest.records)[:, 0])


def test_features_in_int8_are_close_to_float32_and_go_on_with_their_own_trunk(
    manifest: Manifest, backbone: Backbone, cache_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    part = dataclasses.replace(manifest, records=manifest.records[:12])
    first, rows = ensure(part, backbone, cache_root)
    assert "Calibrated in int8 on " in capsys.readouterr().out
    assert first.cache.spec.precision == "int8"
    assert first.cache.spec.calibration

    whole, all_rows = ensure(manifest, backbone, cache_root)
    assert "Engine: openvino in int8, as in the cache." in capsys.readouterr().out
    assert whole.cache.spec == first.cache.spec, "the images that came later did not calibrate it anew"
    assert (whole.hits, whole.misses) == (12, len(manifest.records) - 12)
    assert np.array_equal(all_rows[:12], rows)

    again, _ = ensure(manifest, backbone, cache_root)
    assert again.misses == 0
    exact, exact_rows = ensure(manifest, backbone, cache_root, FLOAT32)
    assert exact.hits == 0, "precisions never mix"
    cosine = (all_rows * exact_rows).sum(axis=1) / np.linalg.norm(all_rows, axis=1) / np.linalg.norm(exact_rows, axis=1)
    assert 0.98 < cosine.min() < cosine.max() < 1


def test_other_images_are_calibrated_anew(manifest: Manifest, backbone: Backbone, cache_root: Path) -> None:
    halves = [dataclasses.replace(manifest, records=manifest.records[place::2]) for place in range(2)]
    specs = [ensure(half, backbone, cache_root)[0].cache.spec for half in halves]
    assert specs[0].calibration != specs[1].calibration


def test_a_network_that_loses_too_much_is_refused_and_nothing_is_kept(
    manifest: Manifest, backbone: Backbone, cache_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "LOWEST_SIMILARITY", 1.1)
    with pytest.raises(NumericsError, match=r"^int8 costs too much here: median cosine similarity"):
        ensure(manifest, backbone, cache_root)
    (trunk,) = (cache_root / "engines").iterdir()
    assert "calibrated" not in json.loads((trunk / "trunk.json").read_text())["description"], "the one in float32"
    assert not list((cache_root / "features").glob("*"))


def test_a_lost_trunk_is_calibrated_anew(manifest: Manifest, backbone: Backbone, cache_root: Path) -> None:
    part = dataclasses.replace(manifest, records=manifest.records[:12])
    ensure(part, backbone, cache_root)
    for file in (cache_root / "engines").glob("*/*"):
        file.unlink()
    features, _ = ensure(manifest, backbone, cache_root)
    assert features.misses == len(manifest.records)


def test_int8_needs_openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingError, match=r"^--precision int8 does not go with --engine keras"):
        resolve_backbone(dataclasses.replace(INT8, engine="keras"))
    monkeypatch.setattr("tlkit.backbones.engines.openvino_runtime.has_openvino", lambda: False)
    with pytest.raises(BackboneError, match="OpenVINO cannot be imported"):
        next(iterate_choices(resolve_backbone(INT8)))
