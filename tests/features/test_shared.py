"""A cache at a place: machines see each other's rows, and nothing computed is lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.features.conftest import Rows
from tests.s3_server import Faults, S3Server, s3  # noqa: F401 - a fixture
from tlkit.errors import PlaceError, SettingError
from tlkit.features.cache import FeatureCache
from tlkit.features.spec import CacheSpec
from tlkit.places.cache_root import default_cache_root
from tlkit.places.retries import MAX_TRIES


@pytest.fixture(autouse=True)
def shared_cache(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setenv("TLKIT_CACHE", "s3://bucket/cache")


def write(root: Path, spec: CacheSpec, rows: Rows, start: int, count: int = 10) -> FeatureCache:
    cache = FeatureCache.open(root, spec)
    keys = rows.keys(count, start=start)
    with cache.writer() as writer:
        writer.append(keys, rows.features(keys))
    return cache


def test_two_machines_see_each_others_rows(
    s3: S3Server,  # noqa: F811
    spec: CacheSpec,
    rows: Rows,
    tmp_path: Path,
) -> None:
    write(tmp_path / "one", spec, rows, 0)
    write(tmp_path / "two", spec, rows, 10)
    cache = FeatureCache.open(tmp_path / "one", spec)
    keys = rows.keys(20)
    np.testing.assert_array_equal(cache.read(cache.find(keys)), rows.features(keys))
    names = sorted(s3.buckets["bucket"])
    assert len(names) == 3
    assert names[0] == f"cache/features/{spec.key()[:16]}/cache.json"
    assert CacheSpec.from_json(s3.buckets["bucket"][names[0]]) == spec
    s3.requests.clear()
    FeatureCache.open(tmp_path / "one", spec)
    assert s3.requests == {"GET": 1}, "the list"


def test_a_server_that_fails_loses_and_doubles_no_shard(
    s3: S3Server,  # noqa: F811
    spec: CacheSpec,
    rows: Rows,
    tmp_path: Path,
) -> None:
    s3.fail(Faults(errors=0.2, cuts=0.1, seed=2))
    for number in range(12):
        write(tmp_path / str(number % 3), spec, rows, number * 10)
    s3.fail(Faults())
    cache = FeatureCache.open(tmp_path / "new", spec)
    assert len(cache) == 120
    assert (cache.find(rows.keys(120)) >= 0).all()
    assert max(s3.tries.values()) <= MAX_TRIES * 13


def test_shards_that_cannot_be_put_are_kept_and_put_the_next_time(
    s3: S3Server,  # noqa: F811
    spec: CacheSpec,
    rows: Rows,
    tmp_path: Path,
) -> None:
    cache = FeatureCache.open(tmp_path / "one", spec)
    keys = rows.keys(10)
    with cache.writer() as writer:
        s3.fail(Faults(errors=1.0))
        writer.append(keys, rows.features(keys))
    assert (cache.find(keys) >= 0).all()
    assert cache.shared is not None
    (problem,) = cache.shared.take_problems()
    assert problem.startswith(
        f"1 of 1 files could not be put at s3://bucket/cache/features/{cache.folder.name}/, such as shard-"
    )
    assert problem.endswith(f"They are kept in {cache.folder}, and tried again the next time that this cache is used.")
    s3.fail(Faults())
    FeatureCache.open(tmp_path / "one", spec)
    assert len(FeatureCache.open(tmp_path / "two", spec)) == 10


def test_foreign_and_damaged_shards_are_checked_like_any_other(
    s3: S3Server,  # noqa: F811
    spec: CacheSpec,
    rows: Rows,
    tmp_path: Path,
) -> None:
    write(tmp_path / "one", spec, rows, 0)
    objects = s3.buckets["bucket"]
    (name,) = (key for key in objects if "shard-" in key)
    folder = name.rpartition("/")[0]
    objects[f"{folder}/shard-{'0' * 32}.h5"] = b"no shard"
    objects[f"{folder}/shard-{'1' * 32}.h5"] = objects[name][:-200]
    objects[f"{folder}/other.h5"] = b"of somebody else"
    cache = FeatureCache.open(tmp_path / "two", spec)
    assert len(cache.damaged) == 2
    assert (cache.find(rows.keys(10)) >= 0).all()
    assert not (cache.folder / "other.h5").exists()


def test_a_cache_at_a_place_that_cannot_be_read_is_an_error_before_anything_is_computed(
    s3: S3Server,  # noqa: F811
    spec: CacheSpec,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TLKIT_CACHE", "s3://other/cache")
    with pytest.raises(PlaceError, match="there is no bucket other"):
        FeatureCache.open(tmp_path, spec)


def test_the_working_copy_lies_below_the_users_cache_folder() -> None:
    root = default_cache_root()
    assert root.parent.name == "shared"
    assert root.name.startswith("cache-")


def test_a_web_server_cannot_be_a_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TLKIT_CACHE", "https://example.org/cache")
    with pytest.raises(SettingError) as caught:
        default_cache_root()
    assert str(caught.value) == (
        "TLKIT_CACHE is https://example.org/cache/: nothing can be written to a web server.\n"
        "  Expected: a folder, or s3://, gs:// or az:// with a bucket\n"
        "  Fix: set TLKIT_CACHE to one of them."
    )
