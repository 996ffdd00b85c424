"""Before a model is saved it learns how sure it may be, and what it does not know."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tlkit.commands.predict import run_predict
from tlkit.data.dataset import read_dataset
from tlkit.data.file_index import FileIndex
from tlkit.data.images import LOADER_VERSION
from tlkit.data.manifest import ImageRecord, Manifest
from tlkit.errors import DataError
from tlkit.inference.destinations import PredictOutputs
from tlkit.inference.scoring import Scores
from tlkit.models.classifier import Classifier, assemble_classifier
from tlkit.models.novelty import NEVER
from tlkit.models.saving import read_bundle, write_bundle
from tlkit.models.spec import BundleSpec
from tlkit.recipes import (
    BackboneSettings,
    DataSettings,
    HeadSettings,
    Recipe,
    Stage,
    TrainingSettings,
    resolve_backbone,
)
from tlkit.reports.console import Console
from tlkit.reports.optional_steps import OptionalSteps
from tlkit.runs.finalize import finish_model
from tlkit.training.run import Run

QUIET = Console(verbosity=-1)
RECIPE = Recipe(backbone=BackboneSettings(name="tiny", image_size=64))


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory, make_image_folder: Callable[..., Path]) -> Manifest:
    folder = tmp_path_factory.mktemp("data")
    photos = make_image_folder(folder / "photos", {"green": 40, "red": 40})
    settings = DataSettings(validation_fraction=0.3)
    return read_dataset(photos, settings, seed=0, index=FileIndex(folder / "cache"))


def finish(
    classifier: Classifier,
    manifest: Manifest,
    *,
    cache_root: Path,
    steps: OptionalSteps | None = None,
    recipe: Recipe = RECIPE,
) -> Scores | None:
    """Finish a model as a run does, by default one that has trained nothing but the head."""
    scores, converted = finish_model(
        classifier,
        Run(recipe, resolve_backbone(recipe.backbone), manifest, cache_root, Console()),
        steps or OptionalSteps(Console()),
    )
    assert converted == []
    return scores


@pytest.fixture(scope="module")
def finished(manifest: Manifest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Classifier, Scores]:
    spec = BundleSpec(
        "tiny",
        (64, 64),
        "squash",
        LOADER_VERSION,
        "avg",
        HeadSettings(kind="linear"),
        ("green", "red"),
        temperature=7.0,
    )
    classifier = assemble_classifier(spec, weights="bundled", seed=0)
    kernel = classifier.head.trainable_weights[-2]
    kernel.assign(np.random.default_rng(0).normal(size=kernel.shape, scale=0.1))
    cache_root = tmp_path_factory.mktemp("cache")
    scores = finish(classifier, manifest, cache_root=cache_root)
    assert scores is not None
    return classifier, scores


def test_the_scores_are_those_of_the_calibrated_model(
    finished: tuple[Classifier, Scores], manifest: Manifest, tmp_path: Path
) -> None:
    classifier, scores = finished
    assert classifier.spec.temperature != 7.0
    records = manifest.in_split("validation")
    pictures = np.stack([np.array(Image.open(record.path).convert("RGB").resize((64, 64))) for record in records[:1]])
    write_bundle(tmp_path / "bundle", classifier, classifier.spec, pictures)
    again = read_bundle(tmp_path, loader_version=LOADER_VERSION)
    assert again.spec == classifier.spec
    assert scores.distances is not None
    assert again.spec.unknown_above is not None
    assert (scores.distances <= again.spec.unknown_above).sum() >= 0.9 * len(scores.distances)


def test_pictures_of_other_things_are_called_unknown(
    finished: tuple[Classifier, Scores], manifest: Manifest, tmp_path: Path
) -> None:
    classifier, _ = finished
    write_bundle(tmp_path / "bundle", classifier, classifier.spec, np.zeros((1, 64, 64, 3), np.uint8))
    others = tmp_path / "others"
    others.mkdir()
    rng = np.random.default_rng(0)
    for number in range(20):
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8)).save(others / f"{number}.png")
    out = io.BytesIO()
    known = [str(record.path) for record in manifest.in_split("train")[:20]]
    payload = run_predict(tmp_path, [str(others), *known], PredictOutputs(), console=QUIET, stdin=None, stdout=out)
    rows = list(csv.DictReader(io.StringIO(out.getvalue().decode())))
    unknown = {Path(row["path"]).parent.name == "others" for row in rows if row["unknown"] == "yes"}
    assert unknown == {True}
    assert payload["unknown"] == sum(row["unknown"] == "yes" for row in rows) >= 16
    assert all(0 <= float(row["distance"]) <= 1 for row in rows)


def test_features_of_a_backbone_that_was_trained_are_not_kept(
    finished: tuple[Classifier, Scores], manifest: Manifest, tmp_path: Path
) -> None:
    classifier, scores = finished
    read = classifier.novelty
    assert read is not None
    again = finish(
        classifier,
        manifest,
        cache_root=tmp_path / "cache",
        recipe=dataclasses.replace(RECIPE, stages=(Stage(name="deep", unfreeze="all"),)),
    )
    assert not (tmp_path / "cache").exists()
    computed = classifier.novelty
    assert computed is not None
    assert np.allclose(computed.mean, read.mean, rtol=1e-2, atol=1e-2)
    assert again is not None
    assert again.distances is not None
    assert scores.distances is not None
    assert np.allclose(again.distances, scores.distances, atol=0.05)


def test_a_trained_backbone_that_gives_no_numbers_is_named(
    finished: tuple[Classifier, Scores], manifest: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classifier = assemble_classifier(finished[0].spec, weights="bundled", seed=0)
    last = classifier.backbone.model.trainable_weights[-1]
    last.assign(np.full(last.shape, np.inf))
    finish(
        classifier,
        manifest,
        cache_root=tmp_path,
        recipe=dataclasses.replace(RECIPE, stages=(Stage(name="deep", unfreeze="all"),)),
    )
    assert classifier.novelty is None
    assert "The trained backbone gives features that are not finite." in capsys.readouterr().err


def test_few_validation_images_make_nothing_unknown(
    finished: tuple[Classifier, Scores], manifest: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classifier, _ = finished
    few = [record for record in manifest.records if record.split == "train"]
    few += manifest.in_split("validation")[:10]
    small = dataclasses.replace(manifest, records=tuple(few))
    finish(classifier, small, cache_root=tmp_path)
    assert classifier.spec.unknown_above == NEVER
    assert "With 10 validation images, no picture will be flagged as unknown" in capsys.readouterr().out


@pytest.mark.parametrize("seed", [0, 1])
def test_where_there_are_more_training_images_than_needed_the_seed_chooses_them(
    finished: tuple[Classifier, Scores], manifest: Manifest, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen: list[ImageRecord] = []

    def note(classifier: Classifier, some: Manifest, run: Run) -> None:
        chosen.extend(some.records)
        raise DataError("Enough is known.", expected="no more", fix="none.")

    monkeypatch.setattr("tlkit.runs.finalize.MAX_SPANNING_IMAGES", 8)
    monkeypatch.setattr("tlkit.runs.finalize._read_features", note)
    monkeypatch.setattr("tlkit.runs.finalize.score_validation", lambda *_: Scores((), np.zeros((0, 2)), None, ()))
    recipe = dataclasses.replace(RECIPE, training=TrainingSettings(seed=seed))
    finish(finished[0], manifest, cache_root=tmp_path, recipe=recipe)
    train = manifest.in_split("train")
    places = np.sort(np.random.default_rng(seed).permutation(len(train))[:8])
    assert chosen == [train[place] for place in places]
