"""What a stage trains on follows from its settings; no network runs here."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tlkit.data.images import LOADER_VERSION
from tlkit.data.manifest import ImageRecord, Manifest, SkippedFile
from tlkit.errors import DataError
from tlkit.features.ensure import DatasetFeatures
from tlkit.models.spec import BundleSpec
from tlkit.outputs import DETECTION
from tlkit.recipes import (
    BackboneSettings,
    DataSettings,
    HeadSettings,
    Recipe,
    ResolvedStage,
    TrainingSettings,
    resolve_backbone,
)
from tlkit.reports.console import Console
from tlkit.tasks.objects import SceneObject, write_objects
from tlkit.training.batches import Inputs, ReadInputs
from tlkit.training.held_images import HeldImages
from tlkit.training.loop import StageData
from tlkit.training.mixing import NO_MIXING, Mixing
from tlkit.training.run import Run
from tlkit.training.stage_inputs import join_stage_data, open_stage_inputs
from tlkit.training.stage_plan import StagePlan

CLASSES = ("carp", "eel")
SPEC = BundleSpec("mnist_cnn", (32, 32), "squash", LOADER_VERSION, "avg", HeadSettings("linear"), CLASSES)
TINY = BackboneSettings(name="mnist_cnn", weights="random", image_size=32)


def make_run(folder: Path, **data: Any) -> Run:
    """Return a run on five images in the split train, and two in the split validation."""
    records = tuple(
        ImageRecord(folder / f"{number}.png", f"{number:064}", 32, 32, split, CLASSES[number % 2])
        for number, split in enumerate(["train"] * 5 + ["validation"] * 2)
    )
    recipe = Recipe(data=DataSettings(**data), backbone=TINY)
    return Run(recipe, resolve_backbone(TINY), Manifest(folder, CLASSES, records), folder, Console(verbosity=-1))


def test_training_images_are_mixed_as_the_stage_says_and_validation_images_are_not(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    plan = StagePlan(ResolvedStage(name="s", mixup=0.3, cutmix=0.7), "pixels", 1, keeps_start=False)
    records = {split: run.manifest.in_split(split) for split in ("train", "validation")}
    inputs: dict[str, Inputs] = {
        split: ReadInputs(lambda images, views: np.zeros((len(images), 32, 32, 3))) for split in records
    }
    data = join_stage_data(records, inputs, plan, run, spec=SPEC, num_views=0)
    assert data.train.plan.mixing == Mixing(0.3, 0.7)
    assert data.validation.plan.mixing == NO_MIXING


def make_detection(folder: Path, *, num_images: int, class_weight: str) -> StageData:
    """Return the data of a stage on images of a carp each, but for the first, which shows an eel, too."""
    carp, eel = SceneObject("carp", 1, 1, 9, 9), SceneObject("eel", 2, 2, 9, 9)
    answers = [write_objects([carp, eel] if number == 0 else [carp]) for number in range(num_images)]
    records = {
        split: tuple(
            ImageRecord(folder / f"{number}.png", f"{number:064}", 32, 32, split, answer)
            for number, answer in enumerate(answers)
        )
        for split in ("train", "validation")
    }
    manifest = Manifest(folder, CLASSES, (*records["train"], *records["validation"]), task=DETECTION)
    recipe = Recipe(backbone=TINY, training=TrainingSettings(class_weight=class_weight))
    run = Run(recipe, resolve_backbone(TINY), manifest, folder, Console(verbosity=-1))
    spec = dataclasses.replace(SPEC, pooling="maps", head=HeadSettings("detector"), task=DETECTION)
    inputs: dict[str, Inputs] = {
        split: ReadInputs(lambda images, views: np.zeros((len(images), 1))) for split in records
    }
    plan = StagePlan(ResolvedStage(name="s", batch_size=8), "top", 1, keeps_start=False)
    return join_stage_data(records, inputs, plan, run, spec=spec, num_views=2)


def test_a_detector_sees_few_images_several_times_in_an_epoch(tmp_path: Path) -> None:
    few = make_detection(tmp_path, num_images=50, class_weight="none")
    assert few.train.plan.num_passes == 3
    assert few.train.num_batches == 19
    assert few.validation.plan.num_passes == 1
    assert make_detection(tmp_path, num_images=120, class_weight="none").train.plan.num_passes == 1


def test_a_detector_weighs_images_of_rare_classes_where_that_is_asked_for(tmp_path: Path) -> None:
    assert set(make_detection(tmp_path, num_images=16, class_weight="none").train.weights) == {1.0}
    data = make_detection(tmp_path, num_images=16, class_weight="balanced")
    np.testing.assert_allclose(data.train.weights * 19 / 16, [4.0] + [1.0] * 15, rtol=1e-6)
    assert set(data.validation.weights) == {1.0}


def test_a_strict_stage_refuses_an_image_that_became_unusable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache: Any = None
    gone = SkippedFile(tmp_path / "3.png", "no such file")
    features = DatasetFeatures(cache, {}, (gone,), hits=0, misses=7, seconds=0.0)
    monkeypatch.setattr("tlkit.training.stage_inputs.ensure_features", lambda *_, **__: features)
    monkeypatch.setattr("tlkit.training.stage_inputs.take_trunk", lambda *_: None)

    class Model:
        spec, backbone = SPEC, None

    plan = StagePlan(ResolvedStage(name="s"), "top", 1, keeps_start=False)
    model: Any = Model()
    with pytest.raises(DataError) as problem, open_stage_inputs(model, plan, make_run(tmp_path, strict=True)):
        pass
    assert str(problem.value) == (
        f"{tmp_path}/3.png: no such file.\n"
        "  Expected: only usable images, because of --strict\n"
        "  Fix: fix or remove the file, or remove --strict to skip it."
    )


def test_images_at_the_pixels_stay_in_a_quarter_of_the_free_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path)
    records = []
    for number, record in enumerate(run.manifest.records):
        Image.new("RGB", (32, 32), (30 * number, 0, 0)).save(record.path)
        records.append(dataclasses.replace(record, sha256=hashlib.sha256(record.path.read_bytes()).hexdigest()))
    run = dataclasses.replace(run, manifest=dataclasses.replace(run.manifest, records=tuple(records)))

    class Model:
        spec = SPEC

    model: Any = Model
    plan = StagePlan(ResolvedStage(name="s", batch_size=4), "pixels", 1, keeps_start=False)
    validation_bytes = 2 * 3 * 32 * 32

    def train_without_validation_files(*, free_bytes: int) -> bool:
        monkeypatch.setattr("tlkit.training.stage_inputs.read_free_memory", lambda: free_bytes)
        with open_stage_inputs(model, plan, run) as inputs:
            first = [np.asarray(block.inputs) for block in inputs.data.validation.epoch(0)]
            hidden = [record.path.rename(record.path.with_suffix(".away")) for record in records[5:]]
            try:
                second = [np.asarray(block.inputs) for block in inputs.data.validation.epoch(1)]
            except DataError:
                return False
            finally:
                for path in hidden:
                    path.rename(path.with_suffix(".png"))
        return all(map(np.array_equal, first, second))

    monkeypatch.setattr(HeldImages, "estimate_growth", lambda self, num_images: num_images)
    with open_stage_inputs(model, plan, run) as inputs:
        assert inputs.num_bytes_to_come() == 5 + 2
    assert train_without_validation_files(free_bytes=4 * validation_bytes)
    assert not train_without_validation_files(free_bytes=4 * validation_bytes - 4)
