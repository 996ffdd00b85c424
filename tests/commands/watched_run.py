"""A run without a network: a model that goes by the colour, on flat pictures, for `tlkit suggest` and `tlkit drift`."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tlkit.data.images import LOADER_VERSION
from tlkit.data.manifest import ImageRecord, Manifest, write_manifest
from tlkit.metadata.encoding import NO_METADATA, MetadataEncoding
from tlkit.models.spec import BundleSpec
from tlkit.outputs import CLASSIFICATION, REGRESSION, Target
from tlkit.recipes import HeadSettings

CLASS_NAMES = ("blue", "red")


class ColourModel:
    """Says how much of a picture is blue and red, or its brightness where values are learnt; features are mean colours."""

    batch_size = 4
    num_parallel = 1

    def __init__(
        self,
        task: str = CLASSIFICATION,
        thresholds: tuple[float, ...] = (),
        metadata: MetadataEncoding = NO_METADATA,
        *,
        measures_distance: bool = True,
    ) -> None:
        self.metadata_seen: list[list[float]] = []
        target = Target("light", 0.0, 1.0, is_log=False) if task == REGRESSION else None
        names = () if task == REGRESSION else CLASS_NAMES
        head = HeadSettings(kind="linear")
        self.spec = BundleSpec(
            "tiny", (8, 8), "squash", LOADER_VERSION, "avg", head, names, task=task, target=target,
            thresholds=thresholds, unknown_above=0.5 if measures_distance else None, metadata=metadata,
        )  # fmt: skip

    def predict(self, images: NDArray[np.uint8], metadata: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        return self.predict_with_features(images)[:, : self.spec.row_width]

    def compute_features(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self.predict_with_features(images)[:, self.spec.row_width :]

    def compute_maps(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self.compute_features(images)[:, np.newaxis, np.newaxis]

    def predict_with_features(
        self, images: NDArray[np.uint8], metadata: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        if metadata is not None:
            self.metadata_seen += metadata.tolist()
        means = images.mean(axis=(1, 2)) / 255
        if self.spec.task == REGRESSION:
            answers = means.mean(axis=1, keepdims=True)
        else:
            answers = means[:, [2, 0]] / np.maximum(means[:, [2, 0]].sum(axis=1, keepdims=True), 1e-6)
        distances = means[:, 1 : 1 + self.spec.measures_distance]
        return np.concatenate([answers, distances, means, 1 - means], axis=1).astype(np.float32)


def draw(path: Path, colour: tuple[int, int, int], *, size: tuple[int, int] = (24, 16)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def write_run(folder: Path, model: ColourModel, num_each: int = 30) -> Path:
    """Draw pictures from red to blue, and write the manifest of a run that has them; every third one is held out."""
    records = []
    for number in range(num_each):
        for name, colour in (("blue", (40 + number, 30, 220 - number)), ("red", (220 - number, 30, 40 + number))):
            path = draw(folder.parent / "photos" / name / f"{number}.png", colour)
            light = sum(colour) / 765 + 0.01 * (number % 3)
            answer = f"{light:.4f}" if model.spec.task == REGRESSION else name
            split = "validation" if number % 3 == 0 else "train"
            texts = ("Heron",) * len(model.spec.metadata.columns)
            records.append(ImageRecord(path, sha256(path.read_bytes()).hexdigest(), 24, 16, split, answer, None, texts))
    folder.mkdir()
    write_manifest(
        Manifest(
            folder.parent / "photos",
            model.spec.class_names,
            tuple(records),
            task=model.spec.task,
            metadata_columns=model.spec.metadata.names,
        ),
        folder,
    )
    return folder


def install(monkeypatch: pytest.MonkeyPatch, model: Any) -> None:
    """Let commands find the model in place of a bundle."""
    monkeypatch.setattr("tlkit.runs.new_images.read_spec", lambda *_, **__: model.spec)
    monkeypatch.setattr("tlkit.runs.new_images.open_classifier", lambda *_, **__: model)
    monkeypatch.setattr("tlkit.runs.evaluation_set.find_bundle", lambda run: run / "bundle")
