"""Fixtures: a bundle whose files are sound but were never a model."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tlkit.backbones.catalogue import BACKBONES
from tlkit.models.spec import BundleSpec, Provenance
from tlkit.models.storage import hash_description, write_files
from tlkit.recipes import HeadSettings


@pytest.fixture
def spec() -> BundleSpec:
    """A description in which every value differs from its default."""
    return BundleSpec(
        backbone="tiny",
        image_size=(48, 48),
        fit="pad",
        loader_version=3,
        pooling="none",
        head=HeadSettings(kind="dense", dropout=0.5, units=64),
        class_names=("cat", "dog", "../../etc/passwd"),
        temperature=1.5,
        unknown_above=0.625,
        unfrozen="block4",
        provenance=Provenance("imagenet", "ab" * 32, "0.1.0", "3.15.1", "2026-01-31T12:00:00+00:00"),
    )


@pytest.fixture(scope="session")
def written_files(tmp_path_factory: pytest.TempPathFactory) -> Callable[[BundleSpec], Path]:
    """Write the files of a bundle once: right names and sizes, but zeros for weights."""
    folder = tmp_path_factory.mktemp("written") / "bundle"

    def write(spec: BundleSpec) -> Path:
        if not folder.exists():
            weights = {
                "backbone/stem/kernel": np.zeros(BACKBONES["tiny"].num_parameters, np.float32),
                "head/logits/bias": np.zeros(3, np.float32),
            }
            golden: dict[str, np.ndarray[Any, Any]] = {
                "images": np.zeros((2, 48, 48, 3), np.uint8),
                "answers": np.full((2, spec.row_width), 1 / 3, np.float32),
            }
            novelty = {"mean": np.zeros(4, np.float32), "directions": np.zeros((1, 4), np.float32)}
            write_files(folder, spec, weights=weights, golden=golden, novelty=novelty)
        return folder

    return write


@pytest.fixture
def bundle(tmp_path: Path, spec: BundleSpec, written_files: Callable[[BundleSpec], Path]) -> Path:
    """A bundle folder of the test's own, to be spoilt."""
    return Path(shutil.copytree(written_files(spec), tmp_path / "run" / "bundle"))


@pytest.fixture
def edit_description() -> Callable[[Path, Callable[[dict[str, Any]], object]], None]:
    """`edit_description(folder, change)`: apply `change` to the object in bundle.json, and seal it anew."""

    def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
        path = folder / "bundle.json"
        document = json.loads(path.read_text())
        seal = document.pop("sha256")
        change(document)
        document.setdefault("sha256", hash_description(document) if isinstance(document.get("files"), dict) else seal)
        path.write_text(json.dumps(document))

    return edit


@pytest.fixture
def rehash(edit_description: Callable[..., None]) -> Callable[[Path], None]:
    """`rehash(folder)`: name the present hashes in bundle.json, as somebody would who alters a bundle on purpose."""

    def update(folder: Path) -> None:
        files = [path for path in folder.iterdir() if path.name not in ("bundle.json", "README.md")]
        hashes = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
        edit_description(folder, lambda document: document.update(files=hashes))

    return update
