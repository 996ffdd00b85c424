"""What a feature cache is for, and where it lies.

The specification names everything that the value of a feature depends on. Its hash is the cache's key and the name of
its folder, so features that were computed in two ways never meet.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import platformdirs

FOLDER_NAME_LENGTH = 16


@dataclass(frozen=True)
class CacheSpec:
    """One way of computing features; any two rows of a cache were computed in this same way.

    Attributes:
        backbone: Name of the network.
        weights_sha256: Hash of the weights below the boundary.
        boundary: Layer group at whose output the network is cut.
        pooling: What follows at the boundary: avg or none.
        image_size: (height, width) of the input in pixels.
        fit: How a picture is brought to that size.
        loader_version: Version of the image loader.
        engine: What runs the trunk: keras or openvino.
        precision: Number format in which it computes: float32 or bfloat16.
        dtype: Number format of the stored features: float16 or float32.
        feature_shape: Shape of one row.
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

    @property
    def row_bytes(self) -> int:
        """Size of one row."""
        return math.prod(self.feature_shape) * int(self.dtype.removeprefix("float")) // 8

    def key(self) -> str:
        """Return the SHA-256 of the specification, in hexadecimal digits."""
        canonical = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def folder(self, root: Path) -> Path:
        """Return the folder of this cache under the cache root."""
        return root / "features" / self.key()[:FOLDER_NAME_LENGTH]

    def to_json(self) -> str:
        """Return the specification as text."""
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


def default_cache_root() -> Path:
    """Return the folder that $TLKIT_CACHE names, or else the platform's cache folder for tlkit."""
    named = os.environ.get("TLKIT_CACHE", "")
    return Path(named).expanduser().absolute() if named else Path(platformdirs.user_cache_dir("tlkit"))
