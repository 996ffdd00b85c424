"""What a feature cache is for, and where it lies.

The specification names everything that the value of a feature depends on. Its hash is the cache's key and the name of
its folder, so features that were computed in two ways never meet.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import platformdirs

from tlkit.errors import CacheError
from tlkit.files import write_json, write_text

SPEC_FILE = "cache.json"
ENGINES = "engines"
"""Folder under the cache root in which converted trunks lie."""
TRUNK_FILES = ("trunk.xml", "trunk.bin", "trunk.json")
AGREEMENT_FILE = "agreement.json"
TAG_FILE = "CACHEDIR.TAG"
FOLDER_NAME_LENGTH = 16
_CACHEDIR_TAG = (
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# This folder is a cache of tlkit; backups may leave it out, and `tlkit cache prune` empties it.\n"
)


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

    def key(self) -> str:
        """Return the SHA-256 of the specification, in hexadecimal digits."""
        canonical = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def folder(self, root: Path) -> Path:
        """Return the folder of this cache under the cache root."""
        return root / "features" / self.key()[:FOLDER_NAME_LENGTH]


def default_cache_root() -> Path:
    """Return the folder that $TLKIT_CACHE names, or else the platform's cache folder for tlkit."""
    named = os.environ.get("TLKIT_CACHE", "")
    return Path(named).expanduser().absolute() if named else Path(platformdirs.user_cache_dir("tlkit"))


def read_spec(folder: Path) -> CacheSpec:
    """Return the specification of the cache in `folder`.

    Raises:
        CacheError: `cache.json` is missing, unreadable, or does not belong to the folder.
    """
    path = folder / SPEC_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        content["image_size"] = tuple(content["image_size"])
        content["feature_shape"] = tuple(content["feature_shape"])
        spec = CacheSpec(**content)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise _foreign_spec(path, f"cannot be read: {error}") from error
    if folder.name != spec.key()[:FOLDER_NAME_LENGTH]:
        raise _foreign_spec(path, "describes another cache than its folder's name says")
    return spec


def _foreign_spec(path: Path, problem: str) -> CacheError:
    return CacheError(
        f"{path} {problem}.",
        expected="the description that tlkit wrote when it made the cache",
        fix="remove it with `tlkit cache prune --key " + path.parent.name + "`; it is computed again when needed.",
    )


def create_folder(root: Path, spec: CacheSpec) -> Path:
    """Make the folder of a cache, with its description, unless it is there; return it.

    Raises:
        CacheError: The folder cannot be made, or its description is damaged.
    """
    folder = spec.folder(root)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not (root / TAG_FILE).exists():
            write_text(root / TAG_FILE, _CACHEDIR_TAG)
        if not (folder / SPEC_FILE).exists():
            write_json(folder / SPEC_FILE, asdict(spec))
    except OSError as error:
        raise unwritable_cache(folder, error) from error
    read_spec(folder)
    return folder


def unwritable_cache(folder: Path, error: OSError) -> CacheError:
    """Return the error for a cache that the system refuses to write."""
    return CacheError(
        f"The feature cache {folder} cannot be written: {error.strerror or error}.",
        expected="a folder with enough free space that may be written to",
        fix="make room with `tlkit cache prune`, or set TLKIT_CACHE to another folder.",
    )
