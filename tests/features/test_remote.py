"""Rows that workers compute, without Ray; `tests/distribution/test_ray_pool.py` has real clusters."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.distribution.local_pool import LocalCluster
from tlkit.backbones.engines.base import Engine
from tlkit.backbones.engines.parcels import EngineParcel
from tlkit.data.manifest import ImageRecord, Manifest
from tlkit.data.views import ViewPlan
from tlkit.distribution.pool import Unusable
from tlkit.errors import DataError, NumericsError
from tlkit.features.cache import FeatureCache, RowKey
from tlkit.features.extract import FillReport, LoadFailure, fill_cache
from tlkit.features.remote import FeatureJob, FeatureWorkers, FileRows
from tlkit.features.requested_rows import RequestedRows, ViewLoader
from tlkit.features.spec import CacheSpec

FACTOR = 1.0


def compute(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the mean, least and greatest of each colour: float32 (n, 3, 3)."""
    assert images.shape == (4, 8, 8, 3)
    numbers = images.astype(np.float32).reshape(4, -1, 3) * np.float32(FACTOR)
    return np.stack([numbers.mean(axis=1), numbers.min(axis=1), numbers.max(axis=1)], axis=1)


@dataclass(frozen=True, eq=False)
class PlayedParcel(EngineParcel):
    def open(self) -> Engine:
        return Engine("keras", "float32", 4, 1, compute)


@pytest.fixture(autouse=True)
def played_parcel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlkit.features.remote.EngineParcel", PlayedParcel)
    monkeypatch.setattr(PlayedParcel, "pack", classmethod(lambda cls, engine: cls("keras", "float32", 4, {})))


@pytest.fixture
def manifest(tmp_path: Path, make_image_folder: Callable[..., Path]) -> Manifest:
    photos = make_image_folder(tmp_path / "photos", {"train/red": 41, "test/blue": 6})
    (photos / "train" / "red" / "broken.png").write_bytes(b"not an image")
    records = tuple(
        ImageRecord(path, hashlib.sha256(path.read_bytes()).hexdigest(), 40, 32, path.parts[-3], path.parts[-2])
        for path in sorted(photos.glob("*/*/*"))
    )
    return Manifest(root=photos, class_names=("blue", "red"), records=records)


@pytest.fixture
def cache(tmp_path: Path) -> FeatureCache:
    return FeatureCache.open(tmp_path / "cache", describe("float32"))


def describe(dtype: str) -> CacheSpec:
    return CacheSpec(
        backbone="tiny",
        weights_sha256="0" * 64,
        boundary="top",
        pooling="none",
        image_size=(8, 8),
        fit="squash",
        loader_version=1,
        engine="keras",
        precision="float32",
        dtype=dtype,
        feature_shape=(3, 3),
    )


def fill(
    cache: FeatureCache, requested: RequestedRows, monkeypatch: pytest.MonkeyPatch, advanced: list[int] | None = None
) -> tuple[FillReport, LocalCluster]:
    cluster = LocalCluster(monkeypatch)
    workers = FeatureWorkers(cluster, lambda text: pytest.fail(text))
    rows = requested.list_missing(requested.find(cache))
    engine = Engine("keras", "float32", 4, 2, compute)
    count = (advanced if advanced is not None else []).append
    return workers.fill_cache(cache, requested, rows, engine, count), cluster


@pytest.mark.parametrize("views", [ViewPlan(), ViewPlan("standard", 3, seed=5)], ids=["one view", "three views"])
def test_workers_give_the_rows_that_this_process_would(
    tmp_path: Path, cache: FeatureCache, manifest: Manifest, monkeypatch: pytest.MonkeyPatch, views: ViewPlan
) -> None:
    requested = RequestedRows(manifest, views)
    advanced: list[int] = []
    report, cluster = fill(cache, requested, monkeypatch, advanced)
    here = FeatureCache.open(tmp_path / "here", cache.spec)
    expected = fill_cache(
        here,
        requested.list_files(requested.list_missing(requested.find(here))),
        lambda keys: requested.load(keys, image_size=(8, 8), fit="squash"),
        Engine("keras", "float32", 4, 2, compute),
        rows_of_file=views.num_views,
        advance=lambda count: None,
    )
    assert (report.computed, report.failures) == (expected.computed, expected.failures)
    assert {reason for _, reason in report.failures} == {"not an image"}
    assert sum(advanced) == requested.num_rows
    positions = requested.find(cache)
    np.testing.assert_array_equal(positions >= 0, requested.find(here) >= 0)
    stored = cache.read(positions[positions >= 0])
    np.testing.assert_array_equal(stored, here.read(requested.find(here)[positions >= 0]))
    assert len(np.unique(stored)) > 20
    assert cluster.pool.num_batches > 1


def test_only_missing_rows_are_sent(cache: FeatureCache, manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    requested = RequestedRows(manifest, ViewPlan())
    fill(cache, requested, monkeypatch)
    again, _ = fill(cache, requested, monkeypatch)
    assert (again.computed, len(again.failures)) == (0, 1)
    more, _ = fill(cache, RequestedRows(manifest, ViewPlan("standard", 2)), monkeypatch)
    assert (more.computed, len(more.failures)) == (41, 2)


def test_a_file_that_only_a_node_cannot_read_is_no_bad_image(
    cache: FeatureCache, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = manifest.records[-1].path

    def load(self: ViewLoader, wanted: Path, *arguments: Any) -> list[NDArray[np.uint8]]:
        if wanted == path:
            raise LoadFailure("no such file")
        return original(self, wanted, *arguments)

    original = ViewLoader.load
    monkeypatch.setattr(ViewLoader, "load", load)
    monkeypatch.setattr("tlkit.features.remote.can_read", lambda wanted, sha256: wanted != path)
    with pytest.raises(DataError) as refusal:
        fill(cache, RequestedRows(manifest, ViewPlan()), monkeypatch)
    assert str(refusal.value) == (
        f"{socket.gethostname()} does not see {path} as this machine does: no such file.\n"
        "  Expected: images in a folder that all nodes share, at the same path\n"
        "  Fix: put the images on a file system that every node has mounted. What is computed is kept."
    )


def test_a_file_that_is_gone_everywhere_is_a_row_with_a_reason(
    cache: FeatureCache, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = manifest.records[-1]
    record.path.unlink()
    report, _ = fill(cache, RequestedRows(manifest, ViewPlan()), monkeypatch)
    assert (RowKey(record.sha256, "0"), "no such file") in report.failures
    assert report.computed == 46


def test_a_job_tells_files_that_cannot_be_read_from_those_that_are_no_images(tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"not an image")
    answer, rows_at_a_time = FeatureJob(
        PlayedParcel("keras", "float32", 4, {}), ViewLoader(ViewPlan(), (), (8, 8), "squash"), "float16", 1
    ).open()
    sha256 = hashlib.sha256(b"not an image").hexdigest()
    unusable = answer([FileRows(bad, sha256, (0,)), FileRows(tmp_path / "gone.png", "0" * 64, (0,))])
    assert [type(each) for each in unusable] == [Unusable, Unusable]
    assert [each.host for each in unusable] == ["", socket.gethostname()]
    assert rows_at_a_time == 4


def test_features_that_do_not_fit_are_refused_as_in_this_process(
    tmp_path: Path, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.features.test_remote.FACTOR", 1e6)
    cache = FeatureCache.open(tmp_path / "half", describe("float16"))
    with pytest.raises(NumericsError, match="do not fit into float16"):
        fill(cache, RequestedRows(manifest, ViewPlan()), monkeypatch)
