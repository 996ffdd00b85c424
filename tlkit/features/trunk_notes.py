"""Notes on trunks: the parts of a cache's key that otherwise need a built network.

The key of a cache contains the hash of the weights below the boundary and the shape of a feature. Both need a built
network, which takes TensorFlow and seconds, but depend only on the weight file. So they are remembered while size and
times of the file stay the same, together with the number of weights of each layer group, which tables show.

If a note cannot be read or written, the network is built.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from tlkit.backbones.note import TrunkNote
from tlkit.backbones.weights import RANDOM, locate_weights
from tlkit.data.file_index import read_settled_stamp
from tlkit.features.pruning import TRUNKS
from tlkit.features.spec import FOLDER_NAME_LENGTH
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
        pooling: One of `POOLINGS`, as the network is built.
        boundary: Where it is cut.
        seed: Seed of random weights.
    """

    backbone: ResolvedBackbone
    pooling: str
    boundary: str
    seed: int

    def locate_note(self, cache_root: Path) -> Path | None:
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


def find_note(request: TrunkRequest, cache_root: Path) -> TrunkNote | None:
    """Return the note on a trunk, if any."""
    path = request.locate_note(cache_root)
    try:
        content = read_json(path) if path else None
        return (
            TrunkNote(
                str(content["weights_sha256"]),
                tuple(map(int, content["feature_shape"])),
                tuple(map(int, content["group_sizes"])),
                tuple(_read_shape(shape) for shape in content["map_shapes"]),
            )
            if content
            else None
        )
    except (OSError, ValueError, TypeError, LookupError):
        return None


def _read_shape(values: list[int]) -> tuple[int, int, int]:
    height, width, channels = map(int, values)
    return height, width, channels


def note_trunk(request: TrunkRequest, note: TrunkNote, cache_root: Path) -> None:
    """Remember a trunk of freshly loaded weights.

    Raises:
        OSError: The note cannot be written.
    """
    path = request.locate_note(cache_root)
    if path:
        write_json(path, asdict(note))


def describe_trunk(backbone: Backbone, boundary: str) -> TrunkNote:
    """Return the note on a trunk of a network; only a trunk below the top needs it built."""
    below = backbone.entry.boundaries.index(boundary)
    sizes = tuple(backbone.count_by_group().values())[:below]
    layout = backbone.map_layout(boundary)
    shapes = layout.shapes if layout else ()
    return TrunkNote(backbone.trunk_sha256(boundary), backbone.feature_shape(boundary), sizes, shapes)
