"""Notes on trunks: the parts of a cache's key that otherwise need a built network.

The key of a cache contains the hash of the weights below the boundary and the shape of a feature. Both need a built
network, which takes TensorFlow and seconds, but depend only on the weight file. So they are remembered while size and
times of the file stay the same.

If a note cannot be read or written, the network is built. A damaged note leads to a cache that does not exist.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from tlkit.backbones.catalogue import TOP
from tlkit.backbones.weights import RANDOM, locate_weights
from tlkit.data.file_index import read_settled_stamp
from tlkit.data.images import LOADER_VERSION
from tlkit.features.pruning import TRUNKS
from tlkit.features.request import FeatureRequest
from tlkit.features.spec import FOLDER_NAME_LENGTH, CacheSpec
from tlkit.files import read_json, write_json
from tlkit.recipes import ResolvedBackbone
from tlkit.version import __version__

if TYPE_CHECKING:
    from tlkit.backbones.build import Backbone


@dataclass(frozen=True)
class TrunkRequest:
    """Everything that determines a trunk, known before it is built.

    Attributes:
        backbone: The network, its weights and its image size.
        pooling: "avg" or "none", as the network is built.
        boundary: Where it is cut.
        seed: Seed of random weights.
    """

    backbone: ResolvedBackbone
    pooling: str
    boundary: str
    seed: int

    def note(self, cache_root: Path) -> Path | None:
        """Return the path of the note; None if the weight file may still be changing."""
        entry, source = self.backbone.entry, self.backbone.weights
        origin: object = ["random", self.seed]
        if source != RANDOM:
            path = locate_weights(entry, source)
            stamp = read_settled_stamp(path)
            if stamp is None:
                return None
            origin = [str(path.absolute()), *stamp]
        document = json.dumps(
            [
                *(entry.name, self.backbone.image_size, self.pooling, self.boundary, origin),
                *(__version__, version("keras")),
            ]
        )
        return cache_root / TRUNKS / f"{hashlib.sha256(document.encode()).hexdigest()[:FOLDER_NAME_LENGTH]}.json"


@dataclass(frozen=True)
class Trunk:
    """A trunk in the key of a cache: the hash of its weights, and the shape of a feature."""

    weights_sha256: str
    feature_shape: tuple[int, ...]


def find_known_trunk(request: TrunkRequest, cache_root: Path) -> Trunk | None:
    """Return the note on a trunk, if any."""
    note = request.note(cache_root)
    try:
        content = read_json(note) if note else None
        return Trunk(str(content["weights_sha256"]), tuple(map(int, content["feature_shape"]))) if content else None
    except (OSError, ValueError, TypeError, LookupError):
        return None


def note_trunk(request: TrunkRequest, trunk: Trunk, cache_root: Path) -> None:
    """Remember a trunk of freshly loaded weights.

    Raises:
        OSError: The note cannot be written.
    """
    note = request.note(cache_root)
    if note:
        write_json(note, asdict(trunk))


def describe_trunk(backbone: Backbone, boundary: str, *, is_pooled: bool = False) -> Trunk:
    """Return the note on a built network."""
    shape = backbone.feature_shape(boundary)
    return Trunk(backbone.trunk_sha256(boundary), shape[-1:] if is_pooled else shape)


def has_one_off_weights(backbone: Backbone) -> bool:
    """Return whether a network's weights were trained in this or an earlier run."""
    is_of_a_bundle = Path(backbone.weights.source).is_dir()
    return is_of_a_bundle or backbone.trunk_sha256(TOP) != backbone.weights.sha256


def describe_cache(request: FeatureRequest, trunk: Trunk, pooling: str, image_size: tuple[int, int]) -> CacheSpec:
    """Return the specification of features, without the engine.

    Args:
        request: The requested features.
        trunk: The trunk.
        pooling: "avg" or "none", as the network is built.
        image_size: (height, width) of its input; a stage may have its own.
    """
    if request.is_pooled:
        pooling = "avg"
    elif request.boundary != TOP:
        pooling = "none"  # all heads share the features below the top
    return CacheSpec(
        backbone=request.backbone.entry.name,
        weights_sha256=trunk.weights_sha256,
        boundary=request.boundary,
        pooling=pooling,
        image_size=image_size,
        fit=request.backbone.fit,
        loader_version=LOADER_VERSION,
        engine="",
        precision="",
        dtype=request.backbone.feature_dtype,
        feature_shape=trunk.feature_shape,
    )
