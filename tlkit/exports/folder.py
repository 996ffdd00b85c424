"""The folder of an export: files of this and that format, the programs that ask them, and the proof.

    README.md            for people
    model.json           for programs: inputs, outputs, names, thresholds, how images and metadata are read
    readers/             programs that ask a model about image files, without tlkit
    onnx-float32/ …      a folder for each format and precision
    proof.json           how each agrees with the bundle

A model is written to a folder aside, which is renamed once it is proved.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tlkit.exports import EXPORTS
from tlkit.exports.asking import READERS
from tlkit.exports.base import Export, name_folder
from tlkit.exports.model_json import MODEL_JSON, format_document
from tlkit.exports.proof import Proof
from tlkit.exports.readme import README, write_readme
from tlkit.files import write_json, write_text
from tlkit.reports.console import to_json
from tlkit.runtime import read_versions

if TYPE_CHECKING:
    from tlkit.exports.shipped import ShippedModel

PROOF_FILE = "proof.json"
PARTIAL_SUFFIX = ".partial"
_OF_KINDS = {"cpp": "", "tlkit_objects.py": "objects", "tlkit_masks.py": "mask"}
"""Programs for models with one answer for an image, or with a certain part of `model.json`."""
_PROGRAMS = Path(__file__).parent / READERS


class ExportFolder:
    """A folder that an export is written to; an earlier export in it is replaced.

    Args:
        path: The folder, which exists.
        model: The model that is exported.
    """

    def __init__(self, path: Path, model: ShippedModel) -> None:
        self.path = path
        self._model = model
        for name in EXPORTS:
            for earlier in path.glob(f"{name}-*"):
                shutil.rmtree(earlier)
        for name in (README, PROOF_FILE):
            (path / name).unlink(missing_ok=True)
        # The program in C++ knows models with one answer for an image.
        has_one_answer = not model.document["objects"] and not model.document["mask"]
        left_out = [each for each, kind in _OF_KINDS.items() if not (model.document[kind] if kind else has_one_answer)]
        ignored = shutil.ignore_patterns("__pycache__", *left_out)
        shutil.copytree(_PROGRAMS, path / READERS, dirs_exist_ok=True, ignore=ignored)
        write_text(path / MODEL_JSON, format_document(model.document))

    def reserve(self, export: Export, precision: str) -> Path:
        """Return an empty folder for a model, whose name says that it is not proved yet."""
        folder = self.path / f"{name_folder(export, precision)}{PARTIAL_SUFFIX}"
        folder.mkdir()
        return folder

    def keep(self, folder: Path) -> None:
        """Give a proved model its name."""
        folder.rename(folder.with_name(folder.name.removesuffix(PARTIAL_SUFFIX)))

    def remove(self, folder: Path) -> None:
        """Remove a model that is not proved, if it is there."""
        shutil.rmtree(folder, ignore_errors=True)

    def finish(self, proofs: Sequence[Proof], source: str, num_images: int) -> None:
        """Write the proof and the README of what agrees."""
        payload = {
            "bundle_sha256": self._model.document["provenance"]["bundle_sha256"],
            "measured_on": source,
            "images": num_images,
            "versions": read_versions(*(package for proof in proofs for package in proof.export.packages)),
            "files": [proof.to_payload() for proof in proofs],
        }
        write_json(self.path / PROOF_FILE, to_json(payload))
        if kept := [proof for proof in proofs if not proof.fault]:
            write_text(self.path / README, write_readme(self._model.document, kept, source))


def measure_bytes(folder: Path) -> int:
    """Return the size of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
