"""The specification of a feature cache, and its folder.

The specification contains everything that the value of a feature depends on. Its hash is the cache's key and the name
of its folder, so features computed in different ways are never mixed.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

FOLDER_NAME_LENGTH = 16


@dataclass(frozen=True)
class CacheSpec:
    """How features are computed; the same for all rows of a cache.

    Attributes:
        backbone: Name of the network.
        weights_sha256: Hash of the weights below the boundary.
        boundary: Layer group at whose output the network is cut.
        pooling: Pooling at the boundary: avg or none.
        image_size: (height, width) of the input in pixels.
        fit: How an image is resized to it.
        loader_version: Version of the image loader.
        engine: Engine that runs the trunk: keras or openvino.
        precision: Precision of the computation: float32, bfloat16 or int8.
        dtype: dtype of the stored features: float16 or float32.
        feature_shape: Shape of one row.
        calibration: Hash of the quantized trunk; empty unless the precision is int8.
    """

    backbone: str
    weights_sha256: str
    boundary: str
    pooling: str
    image_size: tuple[int, int]
    fit: str
    loader_version: int
    engine: str
    precision: str
    dtype: str
    feature_shape: tuple[int, ...]
    calibration: str = ""

    @property
    def row_bytes(self) -> int:
        """Size of one row."""
        return math.prod(self.feature_shape) * int(self.dtype.removeprefix("float")) // 8

    def key(self) -> str:
        """Return the SHA-256 of the specification as hex."""
        canonical = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def folder(self, root: Path) -> Path:
        """Return the folder of this cache under the cache root."""
        return root / "features" / self.key()[:FOLDER_NAME_LENGTH]

    def to_json(self) -> str:
        """Return the specification as JSON."""
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Return the specification that `to_json` wrote.

        Raises:
            ValueError: It is something else.
        """
        try:
            content = json.loads(text)
            for name in ("image_size", "feature_shape"):
                content[name] = tuple(content[name])
            return cls(**content)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise ValueError("not the description of a cache") from error
