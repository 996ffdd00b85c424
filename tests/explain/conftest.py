"""Small models of every kind that tlkit builds, with heads that have opinions."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tlkit.data.file_index import FileIndex
from tlkit.data.manifest import ImageRecord
from tlkit.heads import HEADS
from tlkit.metadata.columns import ColumnRequest
from tlkit.metadata.encoding import NO_METADATA, fit_encoding
from tlkit.models.spec import BundleSpec
from tlkit.outputs import CLASSIFICATION, DETECTION, MULTILABEL, REGRESSION, Target
from tlkit.recipes import HeadSettings

EDGE = 32


def draw_pictures(count: int, *, seed: int = 0) -> NDArray[np.uint8]:
    """Return pictures of noise with a bright square somewhere: uint8 (count, 32, 32, 3)."""
    rng = np.random.default_rng(seed)
    pictures = rng.integers(0, 120, (count, EDGE, EDGE, 3), np.uint8)
    for picture, (top, left) in zip(pictures, rng.integers(0, EDGE - 12, (count, 2)), strict=True):
        picture[top : top + 12, left : left + 12] = 230
    return pictures


def write_pictures(folder: Path, index: Path) -> tuple[ImageRecord, ...]:
    """Write three of these pictures to files, and return their records."""
    for number, picture in enumerate(draw_pictures(3)):
        Image.fromarray(picture).save(folder / f"{number}.png")
    facts = FileIndex(index).look(sorted(folder.glob("*.png")))
    return tuple(ImageRecord(fact.path, fact.sha256, fact.width, fact.height, "test", "cat") for fact in facts)


def read_weights(classifier: Any) -> dict[str, NDArray[np.float32]]:
    """Return the weights of a classifier's head, as `read_head_weights` gives them."""
    named = classifier.named_weights()
    return {name.removeprefix("head/"): np.asarray(named[name]) for name in named if name.startswith("head/")}


@cache
def build_backbone_once(name: str, **settings: Any) -> Any:
    """Return the same backbone, which no test changes, to all classifiers of the same size."""
    from tlkit.backbones.build import build_backbone

    return build_backbone(name, **settings)


@cache
def build_classifier(
    head: str = "linear",
    *,
    task: str = CLASSIFICATION,
    has_box: bool = False,
    has_metadata: bool = False,
    backbone: str = "tiny",
    edge: int = EDGE,
    whiten: str = "none",
) -> Any:
    """Return an untrained classifier whose head's weights are drawn at random."""
    from tlkit.models.classifier import assemble_classifier

    encoding = (
        fit_encoding([ColumnRequest("weight", "number")], [("1",), ("2",), ("4",)]) if has_metadata else NO_METADATA
    )
    names = () if task == REGRESSION else ("cat", "dog", "owl")
    spec = BundleSpec(
        backbone,
        (edge, edge),
        "squash",
        1,
        HEADS[head].pooling,
        HeadSettings(head, units=8, whiten=whiten),
        names,
        task=task,
        target=Target("price", 100.0, 10.0, is_log=False) if task == REGRESSION else None,
        thresholds=(0.5,) * 3 if task in (MULTILABEL, DETECTION) else (),
        has_box=has_box,
        metadata=encoding,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tlkit.models.classifier.build_backbone", build_backbone_once)
        classifier = assemble_classifier(spec, weights="random", seed=1)
    rng = np.random.default_rng(0)
    for name, variable in classifier.named_weights().items():
        if name.startswith("head/"):
            noise = rng.normal(0, 1 / np.sqrt(max(1, np.prod(variable.shape[:-1]))), variable.shape)
            variable.assign(np.abs(noise) + 0.5 if "variance" in name else noise)
    return classifier


@pytest.fixture(scope="session")
def make_classifier() -> Callable[..., Any]:
    """`make_classifier(head, task=…, has_box=…, has_metadata=…, backbone=…)`: see `build_classifier`."""
    return build_classifier
