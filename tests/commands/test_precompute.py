from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from safetensors.numpy import save_file

from tlkit.commands.precompute import PrecomputeOptions, run_precompute
from tlkit.data.image_file import ImageFile
from tlkit.data.manifest import ImageRecord, Manifest, SkippedFile
from tlkit.data.parts import Part
from tlkit.data.views import ViewPlan, draw_view
from tlkit.errors import CacheError, DataError, SettingError
from tlkit.features.ensure import DatasetFeatures, ensure_features
from tlkit.features.request import FeatureRequest
from tlkit.features.requested_rows import RequestedRows
from tlkit.features.trunks import take_trunk
from tlkit.recipes import BackboneSettings, DataSettings, HeadSettings, resolve_backbone
from tlkit.reports.console import Console

if TYPE_CHECKING:
    from tlkit.backbones.build import Backbone

QUIET = Console(verbosity=-1)
SIZE = 32
SMALLEST = BackboneSettings(name="mnist_cnn", weights="random", image_size=SIZE, engine="keras")
SETTINGS = BackboneSettings(name="mnist_cnn", fit="crop", feature_dtype="float32", engine="keras", precision="float32")
THREE_VIEWS = ViewPlan("standard", 3, seed=5)


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    from tlkit.backbones.build import build_backbone

    return build_backbone("mnist_cnn", image_size=(SIZE, SIZE), pooling="avg", weights="random", seed=0)


@pytest.fixture
def photos(tmp_path: Path, make_image_folder: Callable[..., Path]) -> Path:
    layout = {
        f"{split}/{name}": count for split, count in (("train", 5), ("validation", 2)) for name in ("red", "blue")
    }
    return make_image_folder(tmp_path / "photos", layout)


def read_manifest_of(photos: Path) -> Manifest:
    records = tuple(
        ImageRecord(path, hashlib.sha256(path.read_bytes()).hexdigest(), 40, 32, path.parts[-3], path.parts[-2])
        for path in sorted(photos.glob("*/*/*"))
    )
    return Manifest(root=photos, class_names=("blue", "red"), records=records, skipped=(), notices=())


def ensure(
    manifest: Manifest,
    backbone: Backbone,
    cache_root: Path,
    *,
    boundary: str = "top",
    views: ViewPlan = THREE_VIEWS,
    settings: BackboneSettings = SETTINGS,
) -> DatasetFeatures:
    request = FeatureRequest(resolve_backbone(settings), boundary, views)
    return ensure_features(
        manifest,
        take_trunk(backbone, request),
        request,
        cache_root=cache_root,
        console=QUIET,
    )


@pytest.mark.parametrize("boundary", ["conv1", "top"])
def test_every_row_is_the_feature_of_its_image_and_view(
    photos: Path, backbone: Backbone, cache_root: Path, boundary: str
) -> None:
    features = ensure(read_manifest_of(photos), backbone, cache_root, boundary=boundary)
    trunk = backbone.trunk(boundary)
    assert trunk is not None
    for split, num_views in (("train", 3), ("validation", 1), ("test", 1)):
        rows = features.splits[split]
        assert rows.positions.shape == (len(rows.records), num_views)
        assert rows.positions.dtype == np.int64
        drawn = [
            ImageFile(record.path.read_bytes()).render(
                image_size=(SIZE, SIZE),
                fit="crop",
                view=draw_view("standard", seed=5, sha256=record.sha256, index=index),
            )
            for record in rows.records
            for index in range(num_views)
        ]
        if drawn:
            expected = np.asarray(trunk(np.stack(drawn).astype(np.float32), training=False))
            stored = features.cache.read(rows.positions.ravel())
            np.testing.assert_allclose(stored, expected, rtol=1e-4, atol=1e-5)
    assert len(features.splits["train"].records) == 10
    assert len(features.splits["validation"].records) == 4


def test_a_second_run_computes_nothing_and_more_views_only_what_is_new(
    photos: Path, backbone: Backbone, cache_root: Path
) -> None:
    manifest = read_manifest_of(photos)
    counts = [
        (features.hits, features.misses)
        for features in (
            ensure(manifest, backbone, cache_root, views=ViewPlan()),
            ensure(manifest, backbone, cache_root, views=ViewPlan()),
            ensure(manifest, backbone, cache_root, views=THREE_VIEWS),
            ensure(manifest, backbone, cache_root, views=ViewPlan("strong", 3, seed=5)),
            ensure(manifest, backbone, cache_root, views=ViewPlan("strong", 3, seed=6)),
            ensure(manifest, backbone, cache_root, views=ViewPlan("strong", 2, seed=5)),
        )
    ]
    assert counts == [(0, 14), (14, 0), (14, 20), (14, 20), (14, 20), (24, 0)]


def test_a_moved_image_is_found_and_a_changed_one_computed(photos: Path, backbone: Backbone, cache_root: Path) -> None:
    ensure(read_manifest_of(photos), backbone, cache_root, views=ViewPlan())
    first, second, *_ = sorted((photos / "train" / "red").iterdir())
    first.rename(photos / "train" / "blue" / "moved.png")
    second.write_bytes(second.read_bytes() + b"\0")
    features = ensure(read_manifest_of(photos), backbone, cache_root, views=ViewPlan())
    assert (features.hits, features.misses) == (13, 1)


def test_rows_do_not_depend_on_how_the_work_was_divided(
    photos: Path, backbone: Backbone, cache_root: Path, tmp_path: Path
) -> None:
    manifest = read_manifest_of(photos)
    whole = ensure(manifest, backbone, tmp_path / "whole")
    for count in (1, 3, 9, len(manifest.records)):
        part = dataclasses.replace(manifest, records=manifest.records[-count:])
        pieces = ensure(part, backbone, cache_root)
    for split in ("train", "validation"):
        positions = [features.splits[split].positions.ravel() for features in (whole, pieces)]
        assert np.array_equal(whole.cache.read(positions[0]), pieces.cache.read(positions[1]))


def test_equal_files_are_computed_once_and_with_the_views_of_the_training_split(
    photos: Path, backbone: Backbone, cache_root: Path
) -> None:
    original = next((photos / "train" / "red").iterdir())
    for copy in (photos / "validation" / "red" / "copy.png", photos / "train" / "red" / "copy.png"):
        copy.write_bytes(original.read_bytes())
    features = ensure(read_manifest_of(photos), backbone, cache_root)
    assert (features.hits, features.misses) == (0, 10 * 3 + 4)
    assert len(features.splits["train"].records) == 11
    position_of = {
        record.path: features.splits[split].positions[number].tolist()
        for split in ("train", "validation")
        for number, record in enumerate(features.splits[split].records)
    }
    assert position_of[photos / "train" / "red" / "copy.png"] == position_of[original]
    assert position_of[photos / "validation" / "red" / "copy.png"] == position_of[original][:1]


def test_files_that_changed_since_they_were_checked_are_skipped(
    photos: Path, backbone: Backbone, cache_root: Path
) -> None:
    manifest = read_manifest_of(photos)
    changed, gone, *_ = (record.path for record in manifest.in_split("train"))
    changed.write_bytes(changed.read_bytes() + b"\0")
    gone.unlink()
    features = ensure(manifest, backbone, cache_root)
    assert features.skipped == (SkippedFile(changed, "changed since it was checked"), SkippedFile(gone, "no such file"))
    assert (features.hits, features.misses) == (0, 34)
    records = features.splits["train"].records
    assert [record.path for record in records] == [record.path for record in manifest.in_split("train")[2:]]
    assert features.splits["train"].positions.shape == (8, 3)
    assert (features.splits["train"].positions >= 0).all()


def test_an_empty_split_has_no_rows(backbone: Backbone, cache_root: Path) -> None:
    manifest = Manifest(root=cache_root, class_names=("blue", "red"), records=(), skipped=(), notices=())
    features = ensure(manifest, backbone, cache_root)
    assert {split: rows.positions.shape for split, rows in features.splits.items()} == {
        "train": (0, 3),
        "validation": (0, 1),
        "test": (0, 1),
    }


def test_a_disk_that_is_too_small_is_told_before_anything_is_computed(
    photos: Path, backbone: Backbone, cache_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1_000})())
    with pytest.raises(CacheError) as refusal:
        ensure(read_manifest_of(photos), backbone, cache_root)
    assert not (cache_root / "features").exists()
    assert str(refusal.value) == (
        f"The features need 0.0 GB; the disk of {cache_root} has 0.0 GB left.\n"
        "  Expected: a disk with room for all of them\n"
        "  Fix: make room with `tlkit cache prune`, set TLKIT_CACHE to a folder on another disk, or ask for fewer "
        "--views."
    )


def test_a_damaged_shard_is_warned_of_and_computed_again(
    photos: Path, backbone: Backbone, cache_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = read_manifest_of(photos)
    folder = ensure(manifest, backbone, cache_root).cache.folder
    (shard,) = folder.glob("shard-*")
    shard.write_bytes(b"")
    features = ensure(manifest, backbone, cache_root)
    assert (features.hits, features.misses) == (0, 34)
    warning = capsys.readouterr().err
    assert warning.startswith(f"Warning: {shard}: HDF5 cannot read it: ")
    assert warning.endswith(". What was needed of it is computed again; `tlkit cache verify --remove` cleans up.\n")


def test_memory_for_a_wanted_image_is_a_few_hundred_bytes() -> None:
    records = tuple(
        ImageRecord(Path("a.png"), hashlib.sha256(b"%d" % number).hexdigest(), 1, 1, "train", "red")
        for number in range(20_000)
    )
    manifest = Manifest(root=Path(), class_names=("red",), records=records, skipped=(), notices=())
    tracemalloc.start()
    requested = RequestedRows(manifest, ViewPlan("standard", 4))
    missing = requested.list_missing(np.full((20_000, 4), -1))
    for _ in requested.list_files(missing):
        pass
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert requested.num_rows == 80_000
    assert peak_bytes < 20_000 * 500


def test_several_views_need_a_policy_that_makes_them() -> None:
    with pytest.raises(SettingError) as refusal:
        ViewPlan("none", 4)
    assert str(refusal.value) == (
        "--views 4 has no effect with --policy none.\n"
        "  Expected: a policy that makes different views of an image: standard or strong\n"
        "  Fix: add --policy standard, or remove --views."
    )


@pytest.mark.parametrize(
    ("task", "part", "message"),
    [
        (
            "classification",
            None,
            "--policy: policy = mosaic with task = classification: a mosaic shows four images, each with its own answer.\n"
            "  Expected: policy = mosaic only with task = detection\n"
            "  Fix: use policy = scales, or standard.",
        ),
        (
            "detection",
            Part(1, 2),
            "--policy mosaic with --part: a mosaic shows images of other parts.\n"
            "  Expected: views of one image with --part\n"
            "  Fix: use --policy scales, or leave out --part.",
        ),
    ],
)
def test_mosaics_are_made_of_all_images_of_a_detector(task: str, part: Part | None, message: str) -> None:
    options = PrecomputeOptions(views=ViewPlan("mosaic", 3), part=part)
    settings = DataSettings(task=task, boxes="boxes" if task == "detection" else None)
    with pytest.raises(SettingError) as refusal:
        run_precompute(Path("photos"), options, data_settings=settings, backbone_settings=SMALLEST, console=QUIET)
    assert str(refusal.value) == message


def precompute(photos: Path, **changes: object) -> dict[str, object]:
    names = ("boundary", "head", "views", "ray")
    options = {"views": THREE_VIEWS, **{name: changes.pop(name) for name in names if name in changes}}
    arguments: dict[str, object] = {"data_settings": DataSettings(), "backbone_settings": SMALLEST, "console": QUIET}
    return run_precompute(photos, PrecomputeOptions(**options), **{**arguments, **changes})  # type: ignore[arg-type]


def test_a_run_accounts_for_every_file(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "train" / "red" / "broken.png").write_bytes(b"not an image")
    payload = precompute(photos, console=Console(verbosity=1))
    assert {name: payload[name] for name in ("images", "hits", "misses", "skipped")} == {
        "images": 14,
        "hits": 0,
        "misses": 34,
        "skipped": 1,
    }
    output = capsys.readouterr().out
    assert "Features of mnist_cnn at top: 0 rows found, 34 to compute." in output
    assert f"Skipped: {photos / 'train' / 'red' / 'broken.png'}: " in output
    again = precompute(photos)
    assert (again["hits"], again["misses"], again["images_per_second"]) == (34, 0, 0.0)


def test_strict_stops_at_a_file_that_changes_while_it_is_needed(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def change_a_file(*arguments: object, **keywords: object) -> Manifest:
        manifest = read_manifest_of(photos)
        manifest.records[0].path.unlink()
        return manifest

    monkeypatch.setattr("tlkit.commands.precompute.read_dataset", change_a_file)
    with pytest.raises(DataError) as refusal:
        precompute(photos, data_settings=DataSettings(strict=True))
    first = min(photos.glob("*/*"))
    assert str(refusal.value) == (
        f"{first / 'blue_000.png'}: no such file.\n"
        "  Expected: only usable images, because of --strict\n"
        "  Fix: fix or remove the file, or remove --strict to skip it."
    )


def test_the_pixels_boundary_is_refused(photos: Path) -> None:
    with pytest.raises(SettingError) as refusal:
        precompute(photos, boundary="pixels")
    assert str(refusal.value) == (
        "--boundary pixels leaves nothing to compute: images are augmented afresh in every epoch there.\n"
        "  Expected: one of conv1, top\n"
        "  Fix: leave --boundary out for the backbone's last features."
    )


def test_a_head_is_refused_where_it_makes_no_difference(photos: Path) -> None:
    with pytest.raises(SettingError) as refusal:
        precompute(photos, boundary="conv1", head=HeadSettings(kind="linear"))
    assert str(refusal.value) == (
        "--head linear has no effect at --boundary conv1: all heads share the features below the top.\n"
        "  Expected: --head with --boundary top only\n"
        "  Fix: leave out --head."
    )


def test_the_head_decides_whether_the_top_is_pooled(photos: Path, cache_root: Path) -> None:
    for head in (None, HeadSettings(kind="linear")):
        precompute(photos, head=head)
    specs = [json.loads(path.read_text()) for path in cache_root.glob("features/*/cache.json")]
    assert sorted(spec["pooling"] for spec in specs) == ["avg", "none"]


def test_both_poolings_share_the_features_of_an_inner_boundary(
    photos: Path, backbone: Backbone, cache_root: Path
) -> None:
    from tlkit.backbones.build import build_backbone

    unpooled = build_backbone("mnist_cnn", image_size=(SIZE, SIZE), pooling="none", weights="random", seed=0)
    manifest = read_manifest_of(photos)
    ensure(manifest, backbone, cache_root, boundary="conv1", views=ViewPlan())
    assert ensure(manifest, unpooled, cache_root, boundary="conv1", views=ViewPlan()).misses == 0
    ensure(manifest, backbone, cache_root, views=ViewPlan())
    assert ensure(manifest, unpooled, cache_root, views=ViewPlan()).misses == 14


def test_where_nothing_is_missing_the_network_is_not_built(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = precompute(photos)

    def build(*arguments: object) -> object:
        raise AssertionError("the network is built although its features are known")

    monkeypatch.setattr("tlkit.features.trunks._build_backbone", build)
    second = precompute(photos)
    assert (second["hits"], second["misses"], second["cache"]) == (34, 0, first["cache"])
    for change in ({"boundary": "conv1"}, {"views": dataclasses.replace(THREE_VIEWS, seed=1)}):
        with pytest.raises(AssertionError, match="is built"):
            precompute(photos, **change)


def test_other_weights_under_the_same_name_are_other_features(photos: Path, tmp_path: Path) -> None:
    from tlkit.backbones.build import build_backbone

    def save(seed: int) -> BackboneSettings:
        path = tmp_path / "own.safetensors"
        built = build_backbone("mnist_cnn", image_size=(SIZE, SIZE), pooling="avg", weights="random", seed=seed)
        save_file({f"backbone/{name}": np.asarray(weight) for name, weight in built.named_weights().items()}, path)
        os.utime(path, (1_000_000_000 + seed, 1_000_000_000 + seed))
        return dataclasses.replace(SMALLEST, weights=str(path))

    first = precompute(photos, backbone_settings=save(1))
    again = precompute(photos, backbone_settings=save(2))
    assert (first["misses"], again["misses"]) == (34, 34)
    assert first["cache"] != again["cache"]
