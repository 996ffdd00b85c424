"""What a format is that a model is exported to: one frozen record, which training, saving and opening ask."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkit.backbones.engines.openvino_runtime import Run
from tlkit.errors import BackboneError
from tlkit.models.spec import BundleSpec
from tlkit.untrusted import refusal

if TYPE_CHECKING:
    from tlkit.models.classifier import Classifier

KERAS_FIX = "use --engine keras, which does not open this file, or get the bundle from its source again."

Network = Any
"""A whole network as the library of its format holds it: one image and its metadata in, `output_names` out."""


@dataclass(frozen=True)
class Export:
    """What a format is. Whatever its library refuses, these functions let through as a RuntimeError.

    Attributes:
        name: Of the format, of its module, and of the engine that runs it.
        title: The name as people write it.
        package: The package that is installed for it.
        files: Those that a bundle carries for it; the network itself comes first.
        precisions: Number formats in which it can run; float32 is one of them.
        require: Raises `BackboneError` where networks of this format cannot be made and run.
        convert: Makes the network of a classifier. May take long.
        save: Writes the files into a folder, down to the disk, and returns their sha256 by name; raises OSError.
        read: Reads a stranger's network from a bundle folder with this description, given the sha256 of the bundle's
            files by name; returns it and the width of its feature. Raises `BundleError` unless it is as tlkit writes it.
        compile: Makes a network ready to run in one of `precisions`; returns what runs it, and how many threads are
            worth calling that at the same time.
    """

    name: str
    title: str
    package: str
    files: tuple[str, ...]
    precisions: tuple[str, ...]
    require: Callable[[], None]
    convert: Callable[[Classifier], Network]
    save: Callable[[Network, Path], dict[str, str]]
    read: Callable[[Path, BundleSpec, Mapping[str, str]], tuple[Network, int]]
    compile: Callable[[Network, str], tuple[Run, int]]

    @property
    def is_available(self) -> bool:
        """Whether networks of this format can be made and run here."""
        try:
            self.require()
        except BackboneError:
            return False
        return True

    def is_in(self, hashes: Mapping[str, str]) -> bool:
        """Return whether a bundle with these files carries a network of this format."""
        return self.files[0] in hashes


def check_hash(path: Path, content: Any, hashes: Mapping[str, str]) -> None:
    """Refuse a file whose bytes are not those that bundle.json names.

    Raises:
        BundleError: They are not.
    """
    found = hashlib.sha256(content).hexdigest()
    if found != hashes[path.name]:
        raise refusal(
            f"{path} has the sha256 {found}.",
            expected=f"{hashes[path.name]}, as in bundle.json; the file has changed since",
            fix=KERAS_FIX,
        )
