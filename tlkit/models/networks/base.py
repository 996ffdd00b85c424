"""The interface of formats of networks: one record per format, used for training, saving and opening."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tlkit.backbones.engines.openvino_runtime import Run
from tlkit.errors import BackboneError
from tlkit.models.predictor import MapShape
from tlkit.models.spec import BundleSpec
from tlkit.untrusted import refusal

if TYPE_CHECKING:
    from tlkit.models.classifier import Classifier

KERAS_FIX = "use --engine keras, which does not open this file, or get the bundle from its source again."

Network = Any
"""A network, as an object of the format's library: one image and its metadata in, `output_names` out."""


@dataclass(frozen=True)
class NetworkFormat:
    """A format of networks. Errors of its library are passed on as RuntimeError.

    Attributes:
        name: Name of the format, of its module, and of the engine that runs it.
        title: Name for people.
        package: Package to install.
        files: Its files in a bundle, the network first.
        precisions: Precisions in which it can run, including float32.
        require: Raises `BackboneError` if the format is not available here.
        convert: Converts a classifier to a network. May be slow.
        save: Writes the files to a bundle folder, flushed to disk, given the bundle's weights, which they need not
            repeat; returns their sha256 by name; raises OSError.
        read: Reads an untrusted network from a bundle folder with this description, given the sha256 of the bundle's
            files by name; returns it and the width of its feature. Raises `BundleError` if it is invalid.
        add_map: Returns a network with its last feature map, float32 (1, h, w, channels), as a further output, and the
            map's (h, w, channels); raises RuntimeError if it has none.
        compile: Compiles a network in one of `precisions`; returns a function that runs it, and the number of threads
            that can usefully call it in parallel.
    """

    name: str
    title: str
    package: str
    files: tuple[str, ...]
    precisions: tuple[str, ...]
    require: Callable[[], None]
    convert: Callable[[Classifier], Network]
    save: Callable[[Network, Path, Mapping[str, NDArray[np.float32]]], dict[str, str]]
    read: Callable[[Path, BundleSpec, Mapping[str, str]], tuple[Network, int]]
    add_map: Callable[[Network], tuple[Network, MapShape]]
    compile: Callable[[Network, str], tuple[Run, int]]

    @property
    def is_available(self) -> bool:
        """Whether the format is available here."""
        try:
            self.require()
        except BackboneError:
            return False
        return True

    def is_in(self, hashes: Mapping[str, str]) -> bool:
        """Return whether a bundle with these files has a network of this format."""
        return self.files[0] in hashes


def check_hash(path: Path, content: Any, hashes: Mapping[str, str]) -> None:
    """Check the hash of a file against bundle.json.

    Raises:
        BundleError: They differ.
    """
    found = hashlib.sha256(content).hexdigest()
    if found != hashes[path.name]:
        raise refusal(
            f"{path} has the sha256 {found}.",
            expected=f"{hashes[path.name]}, as in bundle.json; the file has changed since",
            fix=KERAS_FIX,
        )
