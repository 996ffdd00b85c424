"""What steps need of memory: what is trained counts, for each image of a batch, and too much is refused."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tlkit.backbones.build import build_backbone
from tlkit.data.manifest import Manifest
from tlkit.errors import SettingError
from tlkit.heads import build_head
from tlkit.outputs import CLASSIFICATION
from tlkit.recipes import BackboneSettings, Recipe, ResolvedStage, resolve_backbone
from tlkit.reports.console import Console
from tlkit.tasks import Outputs
from tlkit.training.run import Run
from tlkit.training.stage_plan import StagePlan
from tlkit.training.step_memory import check_step_memory, estimate_image_bytes

SETTINGS = BackboneSettings(name="mnist_cnn", weights="random", image_size=16)


@pytest.fixture(scope="module")
def classifier() -> Any:
    backbone = build_backbone("mnist_cnn", image_size=(16, 16), pooling="avg", weights="random")
    shape = backbone.feature_shape("top")
    head = build_head("linear", feature_shape=shape, outputs=Outputs(CLASSIFICATION, 3), dropout=0.0, units=1)
    return SimpleNamespace(backbone=backbone, head=head, spec=SimpleNamespace(image_size=(16, 16)))


def make_plan(boundary: str, **settings: Any) -> StagePlan:
    return StagePlan(ResolvedStage(name="1-all", batch_size=10, **settings), boundary, 1, keeps_start=False)


def count_bytes(model: Any) -> int:
    """Return 4 bytes for each value that a convolution or a dense layer gives."""
    kinds = [layer for layer in model.layers if hasattr(layer, "kernel")]
    num_values: int = sum(math.prod(layer.output.shape[1:]) for layer in kinds)
    return 4 * num_values


def test_an_image_needs_what_the_layers_above_the_boundary_give(classifier: Any) -> None:
    head, everything = count_bytes(classifier.head), count_bytes(classifier.backbone.model)
    assert everything > 1000 > head > 0
    assert estimate_image_bytes(classifier, make_plan("top")) == head
    assert estimate_image_bytes(classifier, make_plan("pixels")) == head + everything
    assert estimate_image_bytes(classifier, make_plan("pixels"), value_bytes=2) == head + everything // 2
    assert head < estimate_image_bytes(classifier, make_plan("conv1")) < head + everything
    twice = estimate_image_bytes(classifier, make_plan("pixels", resize_to=32))
    assert twice == 4 * (head + everything)


def check(classifier: Any, *plans: StagePlan, folder: Path) -> None:
    manifest, backbone = Manifest(folder, (), ()), dataclasses.replace(SETTINGS, precision="float32")
    check_step_memory(
        classifier,
        plans,
        Run(Recipe(backbone=backbone), resolve_backbone(SETTINGS), manifest, folder, Console(verbosity=-1)),
    )


@pytest.mark.parametrize(
    ("images_that_fit", "fix"),
    [
        (3.5, "use --batch-size 3 or less, or a smaller --image-size."),
        (0.5, "use a smaller --image-size, or unfreeze fewer layer groups."),
    ],
)
def test_steps_that_cannot_fit_are_refused(
    classifier: Any, images_that_fit: float, fix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = estimate_image_bytes(classifier, make_plan("pixels"))
    free = int(images_that_fit * needed)
    monkeypatch.setattr("tlkit.training.step_memory.read_input_memory", lambda: free)
    with pytest.raises(SettingError) as refusal:
        check(classifier, make_plan("top"), make_plan("pixels"), folder=tmp_path)
    assert str(refusal.value) == (
        f"Stage 1-all: a step on 10 images of 16 pixels needs at least {10 * needed / 1e3:.3g} kB of memory; "
        f"{free / 1e3:.3g} kB are free.\n"
        "  Expected: steps that fit into the free memory\n"
        f"  Fix: {fix}"
    )


def test_steps_that_fit_are_not_refused(classifier: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = 10 * estimate_image_bytes(classifier, make_plan("pixels"))
    monkeypatch.setattr("tlkit.training.step_memory.read_input_memory", lambda: free)
    check(classifier, make_plan("pixels"), folder=tmp_path)
