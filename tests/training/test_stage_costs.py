"""What a trial computes is kept, and is not asked for again."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tlkit.backbones.build import Backbone, build_backbone
from tlkit.data.dataset import read_dataset
from tlkit.data.file_index import FileIndex
from tlkit.data.manifest import Manifest
from tlkit.data.views import ViewPlan
from tlkit.features.ensure import ensure_features
from tlkit.features.request import FeatureRequest
from tlkit.features.trunks import take_trunk
from tlkit.recipes import BackboneSettings, DataSettings, Recipe, ResolvedStage, resolve_backbone
from tlkit.reports.console import Console
from tlkit.runtime import Peak
from tlkit.training.run import Run
from tlkit.training.stage_costs import FeatureCost, measure_features, measure_stage
from tlkit.training.stage_inputs import StageInputs
from tlkit.training.stage_plan import StagePlan

QUIET = Console(verbosity=-1)
SETTINGS = BackboneSettings(name="mnist_cnn", weights="random", image_size=16, engine="keras")
VIEWS = ViewPlan("standard", 8)


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return build_backbone("mnist_cnn", image_size=(16, 16), pooling="none", weights="random")


@pytest.fixture
def manifest(tmp_path: Path, make_image_folder: Callable[..., Path], cache_root: Path) -> Manifest:
    photos = make_image_folder(tmp_path / "photos", {"red": 20, "blue": 20}, size=(16, 16))
    return read_dataset(photos, DataSettings(), seed=0, index=FileIndex(cache_root))


def test_what_was_timed_is_in_the_cache_and_the_rest_is_computed_by_the_same_engine(
    manifest: Manifest, backbone: Backbone, cache_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tlkit.training.stage_costs.SECONDS_OF_A_TRIAL", 0.0)
    monkeypatch.setattr("tlkit.training.stage_costs.SECONDS_OF_STEPS", 0.0)
    monkeypatch.setattr("tlkit.training.stage_costs.watch_peak_memory", lambda: nullcontext(Peak(1000)))
    arguments: dict[str, Any] = {
        "request": FeatureRequest(resolve_backbone(SETTINGS), "conv1", VIEWS),
        "cache_root": cache_root,
        "console": QUIET,
    }
    cost, some = measure_features(manifest, backbone, **arguments)
    assert cost.num_rows == (40, 7 * 32)
    assert cost.num_missing == (0, 7 * 32 - 128), "two stretches of two batches, the first of them not timed"
    assert cost.row_seconds[1] > 0
    assert cost.count_seconds(with_views=True) == pytest.approx(cost.start_seconds + 96 * cost.row_seconds[1])
    assert cost.count_seconds(with_views=False) == 0.0
    assert cost.missing_bytes == 96 * cost.row_bytes
    assert cost.memory_bytes == 1000 + 2 * cost.missing_bytes, (
        "a flush holds the rows, and the file that is made of them"
    )

    features = ensure_features(manifest, take_trunk(backbone, arguments["request"]), **arguments)
    assert (features.hits, features.misses) == (40 + 128, 96)
    assert some.shape == (64, *features.cache.spec.feature_shape)
    assert some.dtype == np.float16

    again, _ = measure_features(manifest, backbone, **arguments)
    assert again == dataclasses.replace(
        cost,
        num_missing=(0, 0),
        row_seconds=(0.0, 0.0),
        choice_seconds=0.0,
        start_seconds=0.0,
        memory_bytes=1000,
    )


def test_the_time_is_that_of_the_missing_rows_of_both_kinds() -> None:
    cost = FeatureCost("top", 4, (100, 300), (50, 200), (0.01, 0.02), 9.0, 3.0, 1000, "", None)
    assert cost.count_seconds(with_views=False) == pytest.approx(3.5)
    assert cost.count_seconds(with_views=True) == pytest.approx(7.5)


def test_the_memory_of_a_stage_at_the_pixels_includes_the_images_that_it_will_hold(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data: Any = None
    replaced = {
        "watch_peak_memory": lambda: nullcontext(Peak(1000)),
        "build_run_model": lambda *_, **__: SimpleNamespace(variables=[], trainable_variables=[]),
        "compute_stage_rates": lambda *_, **__: ((), None),
        "open_stage_inputs": lambda *_: nullcontext(StageInputs(data, num_bytes_to_come=lambda: 500)),
        "time_epoch": lambda *_, **__: SimpleNamespace(start_seconds=1.0, epoch_seconds=2.0),
    }
    for name, stand_in in replaced.items():
        monkeypatch.setattr(f"tlkit.training.stage_costs.{name}", stand_in)
    classifier: Any = SimpleNamespace(backbone=None, head=None)
    run = Run(Recipe(), resolve_backbone(SETTINGS), Manifest(tmp_path, (), ()), tmp_path, QUIET)
    plan = StagePlan(ResolvedStage(name="all", epochs=3), "pixels", 1, keeps_start=False)
    assert measure_stage(classifier, plan, run, None).memory_bytes == 1500
