"""The weights of a backbone: sources, stable names and hashes.

Keras' names change from build to build (`conv2d_94`), so weights are stored and compared under stable names. Nothing
heavy is imported until weights are loaded; `check_weights` does not need TensorFlow.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tlkit.backbones.catalogue import BackboneEntry
from tlkit.backbones.imagenet_files import IMAGENET_FILES, fetched_backbones, models_folder
from tlkit.errors import BackboneError

if TYPE_CHECKING:
    import keras
    import numpy as np

IMAGENET = "imagenet"
BUNDLED = "bundled"
RANDOM = "random"
BUNDLED_FILES = {"tiny": Path(__file__).parent / "own" / "tiny.safetensors"}
"""Weights that ship with tlkit, in float16, by stable name."""
SUFFIXES = (".weights.h5", ".h5", ".safetensors")


@dataclass(frozen=True)
class WeightsInfo:
    """The origin of weights.

    Attributes:
        source: "imagenet", "bundled", "random" or the given path.
        sha256: Hash of all weights by stable name, as hex, independent of the file format.
    """

    source: str
    sha256: str


def check_weights(entry: BackboneEntry, source: str) -> None:
    """Check a source of weights, without heavy imports.

    Raises:
        BackboneError: the network has no such weights, or the file is missing, incomplete or of an unknown kind.
    """
    if source == RANDOM:
        return
    for name, backbones in ((IMAGENET, IMAGENET_FILES), (BUNDLED, BUNDLED_FILES)):
        if source == name:
            if entry.name not in backbones:
                raise _no_such_weights(entry, source)
            if not is_to_be_fetched(entry, source):
                _open_weights(locate_weights(entry, source))
            return
    path = Path(source)
    if not path.is_file():
        raise BackboneError(
            f"--weights {source}: {'not a file' if path.exists() else 'there is no such file'}.",
            expected=f"{entry.default_weights}, random, or the path of a {', '.join(SUFFIXES)} file",
            fix=f"correct the path, or give --weights {entry.default_weights}.",
        )
    if not path.name.lower().endswith(SUFFIXES):
        raise BackboneError(
            f"--weights {source}: not a kind of file that tlkit reads.",
            expected=f"a file named {', '.join('*' + suffix for suffix in SUFFIXES)}",
            fix="save the weights with Keras' model.save_weights('NAME.weights.h5').",
        )
    _open_weights(path)


def _open_weights(path: Path) -> None:
    """Open and close a file of weights, which reads only its outermost structure.

    Raises:
        BackboneError: it cannot be opened, is something else, or is truncated.
    """
    import h5py
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") if path.suffix.lower() == ".safetensors" else h5py.File(path, "r"):
            pass
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise unreadable_weights(path, error) from error


def unreadable_weights(path: Path, error: BaseException) -> BackboneError:
    """Return the error for a damaged or invalid file of weights."""
    return BackboneError(
        f"{path} cannot be read as a file of weights ({' '.join(str(error).split()) or type(error).__name__}).",
        expected="a whole .weights.h5, .h5 or .safetensors file",
        fix="fetch the file again; a download may have been cut off.",
    )


def locate_weights(entry: BackboneEntry, source: str) -> Path:
    """Return the file of the weights "imagenet", "bundled" or a path; it need not exist yet."""
    if source == IMAGENET:
        return models_folder() / IMAGENET_FILES[entry.name].name
    return BUNDLED_FILES[entry.name] if source == BUNDLED else Path(source)


def _no_such_weights(entry: BackboneEntry, source: str) -> BackboneError:
    sources = list(dict.fromkeys((entry.default_weights, RANDOM)))
    return BackboneError(
        f"{entry.name} has no {'ImageNet' if source == IMAGENET else source} weights.",
        expected=f"--weights {' or '.join(sources)}, or the path of a file of weights",
        fix=f"give --weights {sources[0]}"
        + (", or choose another backbone, such as mobilenet_v2." if source == IMAGENET else "."),
    )


def load_weights(model: keras.Model, entry: BackboneEntry, source: str) -> WeightsInfo:
    """Set the weights of a freshly built network.

    Args:
        model: A network from `build.build_architecture`, with seeded random weights.
        entry: Its catalogue entry.
        source: "imagenet" (downloaded once by Keras, into its own folder), "bundled", "random", or a path.

    Raises:
        BackboneError: the weights are missing, unsafe to read, or belong to another network.
    """
    if source != RANDOM:
        from tlkit.backbones.weight_files import read_weight_file

        path = fetch_imagenet_file(entry) if source == IMAGENET else locate_weights(entry, source)
        arrays = read_weight_file(path, model, entry)
        for name, weight in stable_names(model).items():
            weight.assign(arrays[name])
        finalize_normalization(model)
    return WeightsInfo(source, hash_arrays(read_arrays(model)))


def finalize_normalization(model: keras.Model) -> None:
    """Make `Normalization` layers use assigned weights.

    Call it after every assignment of weights, before the model is traced.
    """
    import keras

    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()


def stable_names(model: keras.Model) -> dict[str, keras.Variable]:
    """Return every weight of a backbone under a name that is the same in every build and process.

    A name consists of the layers' names and the weight's, joined by slashes. Names that Keras generated from class and
    counter get a new counter. Integer weights are skipped: only `Normalization` has one, an unused count.

    Args:
        model: The full backbone.
    """
    named: dict[str, keras.Variable] = {}
    _name_weights(model, "", {}, named)
    return named


def read_arrays(model: keras.Model) -> dict[str, np.ndarray]:
    """Return copies of all weights by stable name."""
    import numpy as np

    return {name: np.asarray(weight) for name, weight in stable_names(model).items()}


def hash_arrays(arrays: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 of named arrays (names, dtypes, shapes and values), as hex; independent of order."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        digest.update(array.ravel().view("uint8").data)  # without a copy
    return digest.hexdigest()


def _name_weights(model: keras.Model, prefix: str, counters: dict[str, int], named: dict[str, keras.Variable]) -> None:
    """Add the weights of a model's layers to `named`, nested models included."""
    import keras

    for layer in model.layers:
        path = f"{prefix}{_stable_layer_name(layer, counters)}/"
        if isinstance(layer, keras.Model):
            _name_weights(layer, path, counters, named)
            continue
        for position, weight in enumerate(layer.weights):
            if not weight.dtype.startswith("float"):
                continue
            unnamed = re.fullmatch(r"variable(_\d+)?", weight.name)
            named[path + (f"weight_{position}" if unnamed else weight.name)] = weight


def _stable_layer_name(layer: keras.Layer, counters: dict[str, int]) -> str:
    """Return a layer's name, or its class and a new count if Keras generated the name."""
    made_up = snake_case(type(layer).__name__)
    if not re.fullmatch(rf"{made_up}(_\d+)?", layer.name):
        return str(layer.name)
    counters[made_up] = counters.get(made_up, 0) + 1
    return f"{made_up}_{counters[made_up]}"


def snake_case(name: str) -> str:
    """Convert a class name to a layer name as Keras does: BatchNormalization to batch_normalization."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def is_to_be_fetched(entry: BackboneEntry, source: str) -> bool:
    """Return whether weights have to be downloaded."""
    return source == IMAGENET and not locate_weights(entry, source).is_file()


def fetch_imagenet_file(entry: BackboneEntry) -> Path:
    """Return the path of the ImageNet weights in Keras' folder, downloading them if necessary.

    Raises:
        BackboneError: they are missing and cannot be downloaded.
    """
    import keras

    file = IMAGENET_FILES[entry.name]
    try:
        with redirect_stdout(sys.stderr):  # Keras prints a progress bar; standard output is for results
            path = keras.utils.get_file(file.name, file.url, cache_subdir="models", file_hash=file.checksum)
    except Exception as error:
        fetched = ", ".join(fetched_backbones())
        raise BackboneError(
            f"The ImageNet weights of {entry.name} are not on this machine and cannot be downloaded ({error}).",
            expected=f"the file {file.name} in {models_folder()}, or a network connection",
            fix=f"download {file.url} on another machine and put it into that folder, or give its path with --weights; "
            "or choose --backbone tiny, whose weights ship with tlkit"
            + (f", or a backbone whose weights are here: {fetched}." if fetched else "."),
        ) from error
    return Path(path)
