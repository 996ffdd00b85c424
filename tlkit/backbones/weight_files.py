"""Read a file of weights for one network, checked against it array by array.

Supported are Keras' `.weights.h5` and the older `.h5` of `keras.applications`, whose weights are found by position (the
n-th layer of its class; the n-th layer), and `.safetensors` with tlkit's stable names, such as
`RUN/bundle/weights.safetensors`. HDF5 files that refer to other files are refused. A classifier on top of the network
is skipped.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from pathlib import Path

import h5py
import keras
import numpy as np
from safetensors import SafetensorError, safe_open

from tlkit.backbones.catalogue import BACKBONE_PREFIX, HEAD_PREFIX, BackboneEntry
from tlkit.backbones.weights import snake_case, stable_names, unreadable_weights
from tlkit.errors import BackboneError

MAX_NAMES = 100_000
_DAMAGE = (
    *(OSError, SafetensorError, MemoryError, RuntimeError),  # RuntimeError: broken structures in HDF5
    *(KeyError, IndexError, ValueError, TypeError, AttributeError),  # a part of the wrong kind
)


class _MisfitError(Exception):
    """The file belongs to another network; the message says what does not fit."""


def read_weight_file(path: Path, model: keras.Model, entry: BackboneEntry) -> dict[str, np.ndarray]:
    """Return the arrays of a file for every weight of a network.

    Args:
        path: A .weights.h5, .h5 or .safetensors file.
        model: The network, as built.
        entry: Its catalogue entry, for messages.

    Returns:
        Float32 arrays under the stable names of the model's weights, in their shapes.

    Raises:
        BackboneError: the file is damaged, refers to other files, belongs to another network, or has a value that is
            not finite.
    """
    weights = stable_names(model)
    try:
        if path.suffix.lower() == ".safetensors":
            arrays = _read_safetensors(path, weights)
        else:
            with h5py.File(path, "r") as file:
                _refuse_pointers(path, file)
                pairs = dict(_pair_by_layer(file, model) if _is_legacy(file) else _pair_by_class(file, model))
                arrays = {name: _read_dataset(pairs[id(weight)], name) for name, weight in weights.items()}
    except _MisfitError as misfit:
        raise BackboneError(
            f"{path} does not fit {entry.name}: {misfit}.",
            expected="the weights of this network, with or without its classifier",
            fix=f"give a file for {entry.name}, or name the file's own network with --backbone.",
        ) from misfit
    except _DAMAGE as error:
        raise unreadable_weights(path, error) from error
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise BackboneError(
                f"{path}: {name!r} holds {np.count_nonzero(~np.isfinite(array)):,} values that are not finite (NaN or infinite).",
                expected="finite numbers within the range of float32",
                fix="fetch the file again, or save the weights of a run that did not diverge.",
            )
    return arrays


def _read_safetensors(path: Path, weights: dict[str, keras.Variable]) -> dict[str, np.ndarray]:
    """Return the arrays of a file with stable names; of a bundle's file, those of the backbone."""
    with safe_open(path, framework="numpy") as file:
        names = file.keys()
        stored = {name.removeprefix(BACKBONE_PREFIX): name for name in names if not name.startswith(HEAD_PREFIX)}
        for name in sorted(stored.keys() ^ weights):
            raise _MisfitError(
                f"the file has {name!r}, the network has not" if name in stored else f"{name!r} is missing"
            )
        for name, weight in weights.items():
            described = file.get_slice(stored[name])
            _check_shape(name, tuple(described.get_shape()), weight)
            if described.get_dtype() not in ("F16", "F32", "F64"):
                raise _not_floats(name, described.get_dtype())
        return {name: _to_float32(file.get_tensor(stored[name])) for name in weights}


def _refuse_pointers(path: Path, file: h5py.File) -> None:
    """Refuse a file whose groups or arrays refer to anything but its own plain data.

    Raises:
        BackboneError: For the first such reference.
    """
    groups, seen = [file["/"]], set()
    while groups:
        group = groups.pop()
        address = h5py.h5o.get_info(group.id).addr
        if address in seen:
            continue
        seen.add(address)
        for name in group:
            kind = group.get(name, getlink=True)
            child = group[name] if isinstance(kind, h5py.HardLink) else None
            plain = isinstance(child, h5py.Group) or (
                isinstance(child, h5py.Dataset) and not child.is_virtual and not child.external
            )
            if not plain:
                raise BackboneError(
                    f"{path} is not safe to read: {group.name.rstrip('/')}/{name} points elsewhere.",
                    expected="plain arrays, without links and without data kept in other files",
                    fix="get the weights from a source that you trust.",
                )
            if isinstance(child, h5py.Group):
                groups.append(child)


def _is_legacy(file: h5py.File) -> bool:
    return "layers" not in file


def _pair_by_class(file: h5py.File, model: keras.Model) -> Iterator[tuple[int, h5py.Dataset]]:
    """Pair weights (by identity) with the arrays of a `.weights.h5`, where conv2d_3 is the fourth Conv2D."""
    used = yield from _pair_layers_by_class(file["layers"], model)
    for name, group in file["layers"].items():
        if name not in used and "vars" in group and len(group["vars"]) and not name.startswith("dense"):
            raise _MisfitError(f"the file has a layer {name!r} more")


def _pair_layers_by_class(group: h5py.Group, model: keras.Model) -> Generator[tuple[int, h5py.Dataset], None, set[str]]:
    """Yield the pairs of one level of nested models; return the names of the file's layers that were used."""
    counts: dict[str, int] = {}
    used = set()
    for layer in model.layers:
        name = snake_case(type(layer).__name__)
        counts[name] = counts.get(name, -1) + 1
        name = f"{name}_{counts[name]}" if counts[name] else name
        used.add(name)
        if not layer.weights:
            continue
        if name not in group:
            raise _MisfitError(f"it has no layer {name!r}, which is {layer.name!r} in the network")
        if isinstance(layer, keras.Model):
            yield from _pair_layers_by_class(group[name]["layers"], layer)
            continue
        yield from _pair_weights(
            layer, layer.weights, [group[name]["vars"][key] for key in _numbers(group[name]["vars"])]
        )
    return used


def _numbers(group: h5py.Group) -> list[str]:
    """Return the names of a group's arrays, which are numbers, in numerical order."""
    return sorted(group, key=int)


def _pair_by_layer(file: h5py.File, model: keras.Model) -> Iterator[tuple[int, h5py.Dataset]]:
    """Pair weights (by identity) with the arrays of a legacy `.h5`, layer by layer in order."""
    root = file.get("model_weights", file)
    stored = [(name, _read_names(root[name], "weight_names")) for name in _read_names(root, "layer_names")]
    stored = [(name, weights) for name, weights in stored if weights]
    layers = [layer for layer in model.layers if layer.weights]
    for layer, (name, weight_names) in zip(layers, stored, strict=False):
        weights = layer.trainable_weights + layer.non_trainable_weights
        yield from _pair_weights(layer, weights, [root[name][weight_name] for weight_name in weight_names])
    if len(stored) < len(layers):
        raise _MisfitError(f"the file ends before layer {layers[len(stored)].name!r}")
    for name, weight_names in stored[len(layers) :]:
        if root[name][weight_names[0]].ndim != 2:
            raise _MisfitError(f"the file has a layer {name!r} more")


def _read_names(group: h5py.Group, attribute: str) -> list[str]:
    """Return a list of names from an attribute, which Keras splits into numbered parts if it is long."""
    parts = [attribute] if attribute in group.attrs else []
    while f"{attribute}{len(parts)}" in group.attrs:
        parts.append(f"{attribute}{len(parts)}")
    if not parts:
        raise ValueError(f"{group.name} has no attribute {attribute!r}")
    if sum(math.prod(group.attrs.get_id(part).shape) for part in parts) > MAX_NAMES:
        raise ValueError(f"{group.name} names more than {MAX_NAMES:,} arrays")
    names = [name for part in parts for name in group.attrs[part]]
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]


def _pair_weights(
    layer: keras.Layer, weights: list[keras.Variable], arrays: list[h5py.Dataset]
) -> Iterator[tuple[int, h5py.Dataset]]:
    """Yield the pairs of one layer."""
    if len(weights) != len(arrays):
        raise _MisfitError(f"layer {layer.name!r} takes {len(weights)} arrays, the file has {len(arrays)}")
    for weight, array in zip(weights, arrays, strict=True):
        _check_shape(f"{layer.name}/{weight.name}", array.shape, weight)
        yield id(weight), array


def _check_shape(name: str, shape: tuple[int, ...], weight: keras.Variable) -> None:
    if tuple(shape) != tuple(weight.shape):
        raise _MisfitError(f"{name!r} has the shape {tuple(weight.shape)}, in the file {tuple(shape)}")


def _read_dataset(dataset: h5py.Dataset, name: str) -> np.ndarray:
    """Return a dataset as float32."""
    if dataset.dtype.kind != "f":
        raise _not_floats(name, str(dataset.dtype))
    return _to_float32(dataset[()])


def _not_floats(name: str, dtype: str) -> _MisfitError:
    return _MisfitError(f"{name!r} is stored as {dtype}, not as floating point numbers")


def _to_float32(array: np.ndarray) -> np.ndarray:
    """Return an array as float32; values beyond its range become infinite."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(array, np.float32)
