"""Trunks: the part of a network below a boundary, which is only built where an engine needs it.

Where the note of a trunk, its converted form and the comparison with Keras are kept, an engine starts without TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tlkit.backbones.catalogue import TOP
from tlkit.backbones.note import TrunkNote
from tlkit.data.images import LOADER_VERSION
from tlkit.errors import CacheError
from tlkit.features.pruning import TRUNKS
from tlkit.features.request import FeatureRequest
from tlkit.features.spec import CacheSpec
from tlkit.features.trunk_notes import TrunkRequest, describe_trunk, find_note, note_trunk
from tlkit.reports.console import Console

if TYPE_CHECKING:
    import keras

    from tlkit.backbones.build import Backbone


@dataclass(frozen=True, eq=False)
class Trunk:
    """The part of a network below a boundary.

    Attributes:
        note: What is known of it.
        pooling: One of `POOLINGS`, as the network is built.
        image_size: (height, width) of its input in pixels; a stage may have its own.
        build: Returns it as a model.
        is_one_off: Whether its network's weights were trained in this or an earlier run.
    """

    note: TrunkNote
    pooling: str
    image_size: tuple[int, int]
    build: Callable[[], keras.Model]
    is_one_off: bool = False

    @cached_property
    def model(self) -> keras.Model:
        """RGB, float (n, height, width, 3), 0..255 -> features, float (n, ...); built at the first access."""
        return self.build()


def take_trunk(backbone: Backbone, request: FeatureRequest) -> Trunk:
    """Return the trunk of a built network that computes the requested features."""
    note = describe_trunk(backbone, request.boundary)
    return Trunk(
        note,
        backbone.pooling,
        backbone.image_size,
        lambda: _cut(backbone, request.boundary, is_pooled=request.is_pooled),
        _has_one_off_weights(backbone),
    )


def open_trunk(request: TrunkRequest, cache_root: Path, console: Console, *, is_pooled: bool = False) -> Trunk:
    """Return a trunk of freshly loaded weights; its network is only built here if there is no note on it.

    Building it later raises a CacheError if it differs from its note.

    Args:
        request: The trunk.
        cache_root: Root of the caches and notes.
        console: Prints a warning if the note cannot be written.
        is_pooled: Whether its features are pooled below the top, too.
    """
    note, build = _find_or_build(request, cache_root, console)
    boundary = request.boundary
    return Trunk(
        note,
        request.pooling,
        request.backbone.image_size,
        lambda: _cut(build(), boundary, is_pooled=is_pooled),
    )


def open_backbone(request: TrunkRequest, cache_root: Path, console: Console) -> Backbone:
    """Return a backbone with freshly loaded weights; it is only built here if there is no note on it.

    Building it later raises a CacheError if it differs from its note.

    Args:
        request: The trunk at the top.
        cache_root: Root of the caches and notes.
        console: Prints a warning if the note cannot be written.
    """
    from tlkit.backbones.build import Backbone
    from tlkit.backbones.weights import WeightsInfo

    note, build = _find_or_build(request, cache_root, console)
    backbone = request.backbone
    weights = WeightsInfo(backbone.weights, note.weights_sha256)
    return Backbone(backbone.entry, backbone.image_size, request.pooling, lambda: build().network, weights, note)


def _find_or_build(
    request: TrunkRequest, cache_root: Path, console: Console
) -> tuple[TrunkNote, Callable[[], Backbone]]:
    """Return the note on a trunk, and what returns its network: a new one if it was noted before."""
    note = find_note(request, cache_root)
    if note is not None:
        return note, lambda: _build_noted(request, note, cache_root)
    backbone = _build_backbone(request)
    note = describe_trunk(backbone, request.boundary)
    with console.disk_warning(f"{cache_root}: the hash of the weights cannot be recorded there"):
        note_trunk(request, note, cache_root)
    return note, lambda: backbone


def _build_noted(request: TrunkRequest, note: TrunkNote, cache_root: Path) -> Backbone:
    """Return the network that a note describes.

    Raises:
        CacheError: It is another one.
    """
    backbone = _build_backbone(request)
    if describe_trunk(backbone, request.boundary) != note:
        path = request.locate_note(cache_root) or cache_root / TRUNKS
        raise CacheError(
            f"{path}: this note on the weights of {request.backbone.entry.name} is damaged.",
            expected="the hash of the weights, as tlkit wrote it",
            fix="remove it, and start again.",
        )
    return backbone


def _build_backbone(request: TrunkRequest) -> Backbone:
    """Start Keras and return the network of a trunk."""
    from tlkit.runtime import start_keras

    start_keras()
    from tlkit.backbones.build import build_backbone

    return build_backbone(
        request.backbone.entry.name,
        image_size=request.backbone.image_size,
        pooling=request.pooling,
        weights=request.backbone.weights,
        seed=request.seed,
    )


def _cut(backbone: Backbone, boundary: str, *, is_pooled: bool) -> keras.Model:
    return backbone.pooled_trunk(boundary) if is_pooled else backbone.trunk(boundary)


def _has_one_off_weights(backbone: Backbone) -> bool:
    is_of_a_bundle = Path(backbone.weights.source).is_dir()
    return is_of_a_bundle or backbone.trunk_sha256(TOP) != backbone.weights.sha256


def describe_cache(request: FeatureRequest, trunk: Trunk) -> CacheSpec:
    """Return the specification of a trunk's features, without the engine."""
    pooling, shape = trunk.pooling, trunk.note.feature_shape
    if request.is_pooled:
        pooling, shape = "avg", (trunk.note.map_shapes[-1] if trunk.note.map_shapes else shape)[-1:]
    elif request.boundary != TOP and not trunk.note.map_shapes:
        pooling = "none"  # all heads share the single map below the top
    return CacheSpec(
        backbone=request.backbone.entry.name,
        weights_sha256=trunk.note.weights_sha256,
        boundary=request.boundary,
        pooling=pooling,
        image_size=trunk.image_size,
        fit=request.backbone.fit,
        loader_version=LOADER_VERSION,
        engine="",
        precision="",
        dtype=request.backbone.feature_dtype,
        feature_shape=shape,
    )
