from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tlkit import devices, runtime
from tlkit.backbones.build import Backbone, build_backbone
from tlkit.backbones.engines.base import Engine, compute_agreement, make_keras_engine
from tlkit.data.dataset import read_dataset
from tlkit.data.file_index import FileIndex
from tlkit.data.manifest import Manifest
from tlkit.data.views import ViewPlan
from tlkit.errors import BackboneError, NumericsError
from tlkit.features import engine_choice
from tlkit.features.allowed_engines import Choice, choose_batch_size, iterate_choices
from tlkit.features.engine_choice import Work
from tlkit.features.ensure import DatasetFeatures, ensure_features
from tlkit.features.request import FeatureRequest
from tlkit.features.trunks import take_trunk
from tlkit.recipes import BackboneSettings, DataSettings, resolve_backbone
from tlkit.reports.console import Console

KERAS, OPENVINO = Choice("keras", "float32"), Choice("openvino", "float32")
KERAS_BF16, OPENVINO_BF16 = Choice("keras", "bfloat16"), Choice("openvino", "bfloat16")
AUTO = BackboneSettings(name="mnist_cnn", weights="random", feature_dtype="float32")


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return build_backbone("mnist_cnn", image_size=(32, 32), pooling="avg", weights="random")


def show_nothing(total: int) -> contextlib.AbstractContextManager[Callable[[int], None]]:
    return contextlib.nullcontext(lambda count: None)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    from tests.conftest import draw_image_folder

    photos = draw_image_folder(tmp_path_factory.mktemp("photos"), {"red": 10, "striped": 10})
    return read_dataset(photos, DataSettings(), seed=0, index=FileIndex(photos.parent), progress=show_nothing)


@dataclasses.dataclass
class Bench:
    """Engines that are made of Keras' own, with rates and faults as a test wants them, and what became of them."""

    made: list[Choice] = dataclasses.field(default_factory=list)
    faulty: set[Choice] = dataclasses.field(default_factory=set)
    rates: dict[str, float] = dataclasses.field(default_factory=dict)
    timed: list[str] = dataclasses.field(default_factory=list)
    num_images: int = 0


@pytest.fixture(scope="module")
def plain(backbone: Backbone) -> Engine:
    """Keras' own engine."""
    return make_keras_engine(backbone.model, precision="float32", batch_size=32)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, plain: Engine) -> Bench:
    """OpenVINO is there, the processor has bfloat16, and 20 images are worth a trial."""
    bench = Bench()

    def make_engine(self: Work, choice: Choice, *, warn: object) -> Engine:
        def compute(images: np.ndarray) -> np.ndarray:
            bench.num_images += len(images)
            features = plain.compute(images)
            return -features if choice in bench.faulty else features

        bench.made.append(choice)
        return Engine(choice.engine, choice.precision, 32, 1, compute)

    def measure(engine: Engine, images: np.ndarray, *, num_images: int) -> float:
        bench.timed.append(engine.name)
        return bench.rates[engine.name]

    monkeypatch.setattr(Work, "make_engine", make_engine)
    monkeypatch.setattr(engine_choice, "_measure_rate", measure)
    monkeypatch.setattr(engine_choice, "MIN_ROWS_TO_TIME", 10)
    monkeypatch.setattr("tlkit.backbones.engines.openvino_runtime.has_openvino", lambda: True)
    monkeypatch.setattr(devices, "has_bfloat16", lambda: True)
    return bench


def ensure(
    manifest: Manifest, backbone: Backbone, cache_root: Path, settings: BackboneSettings = AUTO, **keywords: Any
) -> DatasetFeatures:
    request = FeatureRequest(resolve_backbone(settings), "top", **keywords)
    return ensure_features(
        manifest,
        take_trunk(backbone, request),
        request,
        cache_root=cache_root,
        console=Console(),
    )


def chosen(features: DatasetFeatures) -> Choice:
    return Choice(features.cache.spec.engine, features.cache.spec.precision)


@pytest.mark.parametrize(
    ("given", "has_bfloat16", "expected"),
    [
        ({}, True, [OPENVINO_BF16, KERAS_BF16, OPENVINO, KERAS]),
        ({}, False, [OPENVINO, KERAS]),
        ({"engine": "keras"}, True, [KERAS_BF16, KERAS]),
        ({"precision": "bfloat16"}, False, [OPENVINO_BF16, KERAS_BF16]),
        ({"engine": "openvino", "precision": "float32"}, True, [OPENVINO]),
    ],
)
def test_what_is_fastest_as_a_rule_comes_first_and_what_is_sure_to_be_right_last(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], has_bfloat16: bool, expected: list[Choice]
) -> None:
    monkeypatch.setattr(devices, "has_bfloat16", lambda: has_bfloat16)
    assert list(iterate_choices(resolve_backbone(dataclasses.replace(AUTO, **given)))) == expected


@pytest.mark.parametrize(
    ("edge_px", "keras", "openvino"), [(32, 32, 8), (320, 32, 8), (321, 31, 7), (640, 8, 2), (2000, 1, 1)]
)
def test_larger_images_come_in_smaller_batches(edge_px: int, keras: int, openvino: int) -> None:
    assert [choose_batch_size(name, (edge_px, edge_px)) for name in ("keras", "openvino")] == [keras, openvino]


def test_an_engine_with_a_small_batch_is_compared_on_all_images(backbone: Backbone) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, *backbone.image_size, 3)).astype(np.uint8)
    engine = make_keras_engine(backbone.model, precision="float32", batch_size=2)
    agreement = compute_agreement(engine, backbone.model, images)
    assert agreement.lowest > 0.9999


def test_only_keras_computes_on_several_devices(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlkit.recipes.defaults.choose_devices", lambda requested: ("GPU:0", "GPU:1"))
    assert list(iterate_choices(resolve_backbone(dataclasses.replace(AUTO, devices=2)))) == [KERAS_BF16, KERAS]


def test_without_openvino_there_is_keras(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "has_bfloat16", lambda: False)
    assert list(iterate_choices(resolve_backbone(AUTO))) == [KERAS]
    with pytest.raises(BackboneError, match="--engine openvino: OpenVINO cannot be imported"):
        next(iterate_choices(resolve_backbone(dataclasses.replace(AUTO, engine="openvino"))))


@pytest.mark.parametrize("faster", ["openvino", "keras"])
def test_the_faster_engine_is_picked_and_named(
    bench: Bench,
    manifest: Manifest,
    backbone: Backbone,
    cache_root: Path,
    capsys: pytest.CaptureFixture[str],
    faster: str,
) -> None:
    bench.rates = {"openvino": 0.5, "keras": 0.25 if faster == "openvino" else 0.75}
    features = ensure(manifest, backbone, cache_root)
    assert bench.made == [OPENVINO_BF16, KERAS_BF16], "each engine once, at the precision that is native"
    assert chosen(features) == Choice(faster, "bfloat16")
    assert (
        f"Engine: {faster} in bfloat16 (openvino in bfloat16 0.5 images/s, keras in bfloat16 {bench.rates['keras']:.1f} "
        "images/s)."
    ) in capsys.readouterr().out
    assert len(list((cache_root / "features").iterdir())) == 1, "an engine that was not picked has no cache"


def test_work_that_is_soon_done_is_not_worth_a_second_trial(
    bench: Bench, manifest: Manifest, backbone: Backbone, cache_root: Path
) -> None:
    bench.rates = {"openvino": 20.0}
    assert chosen(ensure(manifest, backbone, cache_root)) == OPENVINO_BF16
    assert bench.made == [OPENVINO_BF16]
    assert bench.timed == ["openvino"], "once, and roughly"


def test_a_handful_of_rows_is_not_worth_any_trial(
    bench: Bench,
    manifest: Manifest,
    backbone: Backbone,
    cache_root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(engine_choice, "MIN_ROWS_TO_TIME", 20)
    assert chosen(ensure(manifest, backbone, cache_root)) == OPENVINO_BF16
    assert not bench.timed
    assert "Engine: openvino in bfloat16.\n" in capsys.readouterr().out


def test_the_cache_that_was_begun_goes_on_without_a_trial(
    bench: Bench, manifest: Manifest, backbone: Backbone, cache_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ensure(manifest, backbone, cache_root, dataclasses.replace(AUTO, engine="keras", precision="float32"))
    bench.made.clear()
    again = ensure(manifest, backbone, cache_root)
    assert (chosen(again), again.misses, bench.made) == (KERAS, 0, [])
    capsys.readouterr()
    more = ensure(manifest, backbone, cache_root, views=ViewPlan("standard", 3))
    assert chosen(more) == KERAS
    assert (more.hits, more.misses) == (20, 32)
    assert bench.made == [KERAS]
    assert not bench.timed
    assert "Engine: keras in float32, as in the cache.\n" in capsys.readouterr().out


def test_the_cache_with_most_of_the_rows_goes_on(
    bench: Bench, manifest: Manifest, backbone: Backbone, cache_root: Path
) -> None:
    few = dataclasses.replace(manifest, records=manifest.records[:3])
    most = dataclasses.replace(manifest, records=manifest.records[:12])
    ensure(few, backbone, cache_root, dataclasses.replace(AUTO, engine="openvino"))
    ensure(most, backbone, cache_root, dataclasses.replace(AUTO, engine="keras"))
    features = ensure(manifest, backbone, cache_root)
    assert (chosen(features), features.hits) == (KERAS_BF16, 12)


def test_a_whole_cache_is_used_even_if_its_engine_is_not_there(
    bench: Bench, manifest: Manifest, backbone: Backbone, cache_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure(manifest, backbone, cache_root, dataclasses.replace(AUTO, engine="openvino"))
    monkeypatch.undo()
    monkeypatch.setenv("TLKIT_CACHE", str(cache_root))
    features = ensure(manifest, backbone, cache_root)
    assert (chosen(features), features.misses) == (OPENVINO_BF16, 0)
    more = ensure(manifest, backbone, cache_root, views=ViewPlan("standard", 2))
    assert (chosen(more).engine, more.hits) == ("keras", 0)


def test_what_is_asked_for_is_done_whatever_caches_there_are(
    bench: Bench, manifest: Manifest, backbone: Backbone, cache_root: Path
) -> None:
    bench.rates = {"openvino": 20.0}
    ensure(manifest, backbone, cache_root, dataclasses.replace(AUTO, engine="openvino"))
    features = ensure(manifest, backbone, cache_root, dataclasses.replace(AUTO, engine="keras"))
    assert (chosen(features), features.misses) == (KERAS_BF16, 20)
    features = ensure(manifest, backbone, cache_root, dataclasses.replace(AUTO, precision="float32"))
    assert chosen(features).precision == "float32"


def test_auto_passes_over_engines_that_compute_something_else(
    bench: Bench, manifest: Manifest, backbone: Backbone, cache_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.faulty = {OPENVINO_BF16, KERAS_BF16, OPENVINO}
    bench.rates = {"keras": 1.0}
    features = ensure(manifest, backbone, cache_root)
    assert chosen(features) == KERAS
    warnings = capsys.readouterr().err.splitlines()
    assert [line.split(" gives")[0] for line in warnings if line.startswith("Warning")] == [
        "Warning: The engine openvino in bfloat16",
        "Warning: The engine keras in bfloat16",
        "Warning: The engine openvino in float32",
    ]
    bench.made.clear()
    assert chosen(ensure(manifest, backbone, cache_root, views=ViewPlan("standard", 2))) == KERAS
    assert bench.made == [KERAS], "the next run goes on where this one ended"


def test_an_engine_that_was_asked_for_is_refused_if_it_computes_something_else(
    bench: Bench, manifest: Manifest, backbone: Backbone, cache_root: Path
) -> None:
    bench.faulty = {OPENVINO_BF16}
    with pytest.raises(NumericsError) as caught:
        ensure(manifest, backbone, cache_root, dataclasses.replace(AUTO, engine="openvino", precision="bfloat16"))
    assert str(caught.value) == (
        "The engine openvino in bfloat16 gives other features than Keras in float32: cosine similarity -1.0000 in the "
        "median, -1.0000 at the lowest.\n"
        "  Expected: at least 0.998 and 0.99\n"
        "  Fix: give --engine keras --precision float32."
    )
    assert not list((cache_root / "features").glob("*/shard-*"))


def test_the_comparison_is_written_down_and_not_made_twice(
    bench: Bench, manifest: Manifest, backbone: Backbone, cache_root: Path
) -> None:
    settings = dataclasses.replace(AUTO, engine="keras")
    cache = ensure(manifest, backbone, cache_root, settings).cache
    record = json.loads((cache.folder / "agreement.json").read_text())
    assert record["lowest"] == pytest.approx(1)
    assert record["median"] == pytest.approx(1)
    assert record["versions"] == runtime.read_versions()
    bench.num_images = 0
    ensure(manifest, backbone, cache_root, settings, views=ViewPlan("standard", 2))
    assert bench.num_images == 32, "one batch of new rows, none to compare"
    (cache.folder / "agreement.json").write_text('{"versions": {"keras": "2"}}')
    bench.num_images = 0
    ensure(manifest, backbone, cache_root, settings, views=ViewPlan("standard", 3))
    assert bench.num_images == 64


def test_openvino_and_keras_fill_caches_with_the_same_features(
    openvino: Any, manifest: Manifest, backbone: Backbone, cache_root: Path
) -> None:
    rows = []
    for engine in ("keras", "openvino"):
        features = ensure(manifest, backbone, cache_root, dataclasses.replace(AUTO, engine=engine, precision="float32"))
        rows.append(features.cache.read(features.splits["train"].positions.ravel()))
    assert [path.name for path in sorted(cache_root.iterdir())] == ["CACHEDIR.TAG", "engines", "features"]
    assert np.abs(rows[0] - rows[1]).max() < 1e-5 * np.abs(rows[0]).max()
