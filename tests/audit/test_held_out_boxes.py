"""Detectors of folds, with a training that only notes what it is given."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from tlkit.audit import held_out_boxes
from tlkit.audit.detector import MAX_EPOCHS, NUM_FOLDS, NUM_VIEWS, DetectorSettings
from tlkit.audit.rows import AuditRows
from tlkit.backbones.maps import MapLayout
from tlkit.data.manifest import ImageRecord
from tlkit.outputs import DETECTION
from tlkit.recipes import BackboneSettings, HeadSettings, TrainingSettings, resolve_backbone
from tlkit.reports.console import Console

LAYOUT = MapLayout(((4, 4, 2), (2, 2, 3)))
NUM_IMAGES = 12
GROUPS = np.array([0, 0, 0, 1, 1, *[-1] * 7])


@pytest.fixture
def rows() -> AuditRows:
    """Rows whose first value is the number of the image."""
    records = [
        ImageRecord(Path(f"/{number}.jpg"), f"{number:064}", 200, 100, "train", '[["cat",10,10,60,60]]')
        for number in range(NUM_IMAGES)
    ]
    values = np.random.default_rng(0).normal(size=(NUM_IMAGES, NUM_VIEWS, LAYOUT.width)).astype(np.float32)
    values[..., 0] = np.arange(NUM_IMAGES)[:, None]
    spec = SimpleNamespace(row_bytes=4 * LAYOUT.width)
    cache = SimpleNamespace(spec=spec, read=lambda places: values.reshape(-1, LAYOUT.width)[places])
    positions = np.arange(NUM_IMAGES * NUM_VIEWS).reshape(NUM_IMAGES, NUM_VIEWS)
    return AuditRows(records, cast("Any", cache), positions, make_settings().views, LAYOUT)


def make_settings() -> DetectorSettings:
    backbone = resolve_backbone(BackboneSettings("tiny", image_size=32, fit="pad"))
    head = HeadSettings(kind="detector", units=8, dropout=0.0)
    return DetectorSettings(backbone, head, TrainingSettings(seed=2), DETECTION)


def detect(rows: AuditRows, monkeypatch: pytest.MonkeyPatch) -> tuple[NDArray[np.float32], list[list[int]], list[Any]]:
    """Return the detections, the images that each detector was trained on, and its first weights."""
    trained: list[list[int]] = []
    weights: list[Any] = []

    def note(model: Any, batches: Any, *, stage: Any, advance: Any, **others: Any) -> None:
        assert stage.epochs == MAX_EPOCHS
        table, places = batches.inputs.take(np.arange(batches.num_images), np.ones(batches.num_images, np.int64))
        trained.append(np.asarray(table)[places, 0].astype(int).tolist())
        assert batches.read_targets(np.array([0]), np.array([0])).answers.shape == (1, 1, 6)
        weights.append([np.asarray(variable) for variable in model.variables])
        bias = next(each for each in model.variables if each.path.endswith("class_logits/bias"))
        bias.assign([float(len(trained))])  # so that each detector answers otherwise

    monkeypatch.setattr(held_out_boxes, "fit_to_the_end", note)
    settings = make_settings()
    spec = settings.describe_model(("cat",), LAYOUT)
    found = held_out_boxes.detect_held_out(rows, GROUPS, settings, spec, Console(verbosity=-1))
    return found, trained, weights


def test_each_image_is_judged_by_the_detector_that_never_saw_it_or_its_copies(
    rows: AuditRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, trained, weights = detect(rows, monkeypatch)
    assert found.shape == (NUM_IMAGES, 100, 6)
    assert len(trained) == NUM_FOLDS
    scores = 1 / (1 + np.exp(-np.arange(1.0, NUM_FOLDS + 1)))
    for image in range(NUM_IMAGES):
        detector = int(np.abs(scores - found[image, 0, 4]).argmin())
        copies = np.flatnonzero(GROUPS[image] == GROUPS) if GROUPS[image] >= 0 else [image]
        assert not set(trained[detector]) & set(np.array(copies).tolist())
    for first, second in zip(weights[0], weights[1], strict=True):
        np.testing.assert_array_equal(first, second)


def test_detections_are_in_pixels_of_the_picture(rows: AuditRows, monkeypatch: pytest.MonkeyPatch) -> None:
    found, _, _ = detect(rows, monkeypatch)
    assert (found[..., 2].max(), found[..., 3].max()) <= (200, 100)
    assert found[..., 2].max() > 100


def test_detectors_of_many_images_are_trained_for_fewer_epochs() -> None:
    settings = make_settings()
    assert [settings.plan_stage(number).epochs for number in (100, 1000, 100_000)] == [30, 20, 8]
    assert settings.plan_stage(100).views == settings.views.num_views == NUM_VIEWS
