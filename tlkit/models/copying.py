"""Copy a bundle, the files that it names, each checked against its sha256, and nothing else of its folder; and name it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tlkit.models.spec import BundleSpec
from tlkit.models.storage import GOLDEN_FILE, SPEC_FILE, find_bundle, read_description, write_description
from tlkit.models.tensors import write_tensors
from tlkit.untrusted import open_regular_file, refusal

MAX_FILE_BYTES = 4 * 1024**3
_BLOCK_BYTES = 1024**2


def hash_bundle(path: Path) -> str:
    """Return the sha256, in hex, of a bundle's description, which holds the hashes of all else in it.

    Args:
        path: A run folder, or the bundle folder.

    Raises:
        BundleError: There is no bundle.
    """
    return hashlib.sha256((find_bundle(path) / SPEC_FILE).read_bytes()).hexdigest()


def check_files(folder: Path, hashes: Mapping[str, str]) -> None:
    """Check every file of a bundle against its sha256.

    Args:
        folder: The bundle folder.
        hashes: Its files and their hashes, as `read_description` gives them.

    Raises:
        BundleError: A file is missing, is not a regular file, or has changed.
    """
    for name, sha256 in hashes.items():
        _read_checked(folder / name, sha256, lambda block: None)


def copy_bundle(
    source: Path,
    target: Path,
    *,
    loader_version: int,
    golden: Mapping[str, np.ndarray[Any, Any]] | None = None,
) -> BundleSpec:
    """Copy a bundle to a new folder, and return its description.

    Args:
        source: The bundle folder.
        target: The new folder; its parent exists.
        loader_version: As for `read_spec`.
        golden: Golden samples to put in the place of those of `source`, as for `write_files`.

    Raises:
        BundleError: The bundle is missing, damaged or invalid.
    """
    spec, hashes = read_description(source, loader_version=loader_version)
    target.mkdir()
    for name, sha256 in hashes.items():
        if name == GOLDEN_FILE and golden is not None:
            hashes[name] = write_tensors(target / name, golden)
            continue
        with (target / name).open("xb") as file:
            _read_checked(source / name, sha256, file.write)
    write_description(target, spec, hashes)
    return spec


def _read_checked(path: Path, sha256: str, take: Callable[[bytes], object]) -> None:
    """Pass a file on in blocks, and check its hash at the end."""
    digest = hashlib.sha256()
    with open_regular_file(path, max_bytes=MAX_FILE_BYTES) as stream:
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
            take(block)
    if digest.hexdigest() != sha256:
        raise refusal(
            f"{path} has the sha256 {digest.hexdigest()}.",
            expected=f"{sha256}, as in bundle.json; the file has changed since",
        )
