"""What a trunk's features are called in the cache, remembered from the last time that the network was built.

The key of a cache names the hash of the weights below the boundary and the shape of a feature. Both take a built
network, which takes TensorFlow and seconds. They follow from where the weights come from, so while a weight file is
the same, a second look needs neither. As for images, a file counts as the same while its size and times are.

These notes are a convenience: where they cannot be read or written, the network is built. A damaged
one names a cache that does not exist.
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
    """What decides over a trunk before anything of it is built.

    Attributes:
        backbone: The network, its weights and the size of its pictures.
        pooling: "avg" or "none", as the network is built.
        boundary: Where it is cut.
        seed: Of random weights.
    """

    backbone: ResolvedBackbone
    pooling: str
    boundary: str
    seed: int

    def note(self, cache_root: Path) -> Path | None:
        """Return the file that holds what is known of the trunk; None where its weights cannot be told apart."""
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
    """What the key of a cache says of a trunk: the hash of its weights, and the shape of a feature."""

    weights_sha256: str
    feature_shape: tuple[int, ...]


def find_known_trunk(request: TrunkRequest, cache_root: Path) -> Trunk | None:
    """Return what was noted of a trunk, if anything was."""
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
    """Return what is to be known of a network that has been built."""
    shape = backbone.feature_shape(boundary)
    return Trunk(backbone.trunk_sha256(boundary), shape[-1:] if is_pooled else shape)


def has_one_off_weights(backbone: Backbone) -> bool:
    """Return whether a network's weights come from a run, this one or an earlier one, and exist nowhere else."""
    is_of_a_bundle = Path(backbone.weights.source).is_dir()
    return is_of_a_bundle or backbone.trunk_sha256(TOP) != backbone.weights.sha256


def describe_cache(request: FeatureRequest, trunk: Trunk, pooling: str, image_size: tuple[int, int]) -> CacheSpec:
    """Return what the features are, but for the engine that computes them.

    Args:
        request: Which features are wanted.
        trunk: What computes them.
        pooling: "avg" or "none", as the network is built.
        image_size: (height, width) of its input, which a stage may have of its own.
    """
    if request.is_pooled:
        pooling = "avg"
    elif request.boundary != TOP:
        pooling = "none"  # heads share the features below the top, whatever they do at it
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
