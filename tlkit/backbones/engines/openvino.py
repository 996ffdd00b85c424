"""Trunks run by OpenVINO: converted from Keras once, saved, and loaded in a fraction of a second.

A converted trunk is a folder, written atomically: `trunk.xml` (the graph), `trunk.bin` (the weights) and `trunk.json`
(description and checksums; a folder that does not match them is written again). A quantized trunk is named by its
checksums, since its images cannot be had again for certain.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkit.backbones.catalogue import INT8
from tlkit.backbones.engines.base import Engine
from tlkit.backbones.engines.openvino_runtime import (
    FOLDER_NAME_LENGTH,
    TRUNK_GRAPH,
    TRUNK_NOTE,
    TRUNK_WEIGHTS,
    compile_model,
    constant_vectors,
    hash_file,
    import_converter,
    import_openvino,
    name_quantized_trunk,
    open_core,
    save_network,
)
from tlkit.errors import BackboneError
from tlkit.files import flush_folder, read_json, write_json
from tlkit.version import __version__
from tlkit.waiting import waiting_for

if TYPE_CHECKING:
    import keras
    import openvino


def make_openvino_engine(model: openvino.Model, *, precision: str, batch_size: int) -> Engine:
    """Return a converted trunk compiled by OpenVINO for this processor.

    Args:
        model: From `load_trunk`, or a quantized one.
        precision: float32; bfloat16, which is only fast with hardware support; or int8 of a quantized trunk.
        batch_size: Batch size with which it was converted.
    """
    run, num_parallel = compile_model(model, "float32" if precision == INT8 else precision)

    def save(folder: Path) -> None:
        save_network(model, folder / TRUNK_GRAPH)

    return Engine("openvino", precision, batch_size, num_parallel, lambda images: run([images])[0], save)


def load_trunk(
    build: Callable[[], keras.Model],
    *,
    batch_size: int,
    description: dict[str, Any],
    root: Path,
    warn: Callable[[str], None],
) -> openvino.Model:
    """Return a trunk as an OpenVINO model.

    Conversion takes 1 to 20 seconds. The result is saved in `root`, and loads without TensorFlow in a fraction of a second.

    Args:
        build: Returns the trunk, RGB, float (n, height, width, 3), 0..255 -> features; called to convert it.
        batch_size: Batch size.
        description: Identifies the trunk; its hash is the folder's name.
        root: Root of converted trunks.
        warn: Called with a sentence if the converted trunk cannot be saved.
    """
    openvino = import_openvino()
    versions = {"tlkit": __version__, "openvino": openvino.__version__, "keras": version("keras")}
    folder = root / _hash({**description, "batch_size": batch_size, **versions})[:FOLDER_NAME_LENGTH]
    model = _read_trunk(open_core(), folder)
    if model is not None:
        return model
    model = convert_trunk(build(), batch_size)
    try:
        _write_trunk(model, root, description, name=folder.name)
    except OSError as error:
        warn(f"{folder}: the network converted for OpenVINO cannot be kept there ({error.strerror or error}).")
    return model


def save_quantized_trunk(model: openvino.Model, root: Path, description: dict[str, Any]) -> str:
    """Save a quantized trunk, and return the hash that names it, as hex.

    Args:
        model: From `tlkit.backbones.engines.quantization`.
        root: Root of converted trunks.
        description: The trunk, and how it was calibrated.

    Raises:
        OSError: A file cannot be written.
    """
    return _write_trunk(model, root, description)


def make_quantized_engine(root: Path, calibration: str, *, batch_size: int) -> Engine:
    """Return a quantized trunk compiled by OpenVINO for this processor.

    Args:
        root: Root of converted trunks.
        calibration: The hash that names the trunk.
        batch_size: Batch size with which it was converted.

    Raises:
        BackboneError: The trunk is damaged.
    """
    folder = name_quantized_trunk(root, calibration)
    model = _read_trunk(open_core(), folder)
    if model is None:
        raise BackboneError(
            f"{folder}: the network in int8 is damaged.",
            expected="the files that tlkit wrote",
            fix="remove this folder, and the network is calibrated again.",
        )
    return make_openvino_engine(model, precision=INT8, batch_size=batch_size)


def convert_trunk(trunk: keras.Model, batch_size: int) -> openvino.Model:
    """Return a trunk as an OpenVINO model of one static shape that takes uint8 images. Takes 1 to 20 seconds."""
    import tensorflow as tf

    openvino = import_openvino()

    signature = [tf.TensorSpec((batch_size, *trunk.input.shape[1:]), tf.uint8)]

    @tf.function(input_signature=signature, autograph=False)  # type: ignore[untyped-decorator]
    def run(images: tf.Tensor) -> tf.Tensor:
        with constant_vectors(trunk):
            return trunk(tf.cast(images, tf.float32), training=False)

    with waiting_for("OpenVINO to convert the network"):
        model = import_converter()(run.get_concrete_function())
    # EfficientNets' activations have custom gradients and become 49 extra outputs, at a quarter of the speed.
    return openvino.Model([model.output(0)], model.get_parameters())


def _read_trunk(core: openvino.Core, folder: Path) -> openvino.Model | None:
    """Return a converted trunk; None if it is missing or damaged."""
    try:
        kept = read_json(folder / TRUNK_NOTE)
        if kept["sha256"] != {name: hash_file(folder / name) for name in (TRUNK_GRAPH, TRUNK_WEIGHTS)}:
            return None
        with suppress(OSError):  # a read-only disk
            os.utime(folder)
        return core.read_model(folder / TRUNK_GRAPH)
    except (OSError, ValueError, TypeError, LookupError, RuntimeError):
        return None


def _write_trunk(model: openvino.Model, root: Path, description: dict[str, Any], name: str = "") -> str:
    """Write a converted trunk atomically, in place of one that is damaged.

    Args:
        model: The trunk.
        root: Root of converted trunks.
        description: Identifies it.
        name: Name of its folder; empty for the first characters of the hash of its checksums.

    Returns:
        That hash, as hex.

    Raises:
        OSError: A file cannot be written.
    """
    root.mkdir(parents=True, exist_ok=True)
    aside = root / f"{name or uuid.uuid4().hex[:FOLDER_NAME_LENGTH]}.{uuid.uuid4().hex}"
    aside.mkdir()
    try:
        hashes = save_network(model, aside / TRUNK_GRAPH)
        checksum = _hash(hashes)
        write_json(aside / TRUNK_NOTE, {"description": description, "sha256": hashes})
        folder = root / (name or checksum[:FOLDER_NAME_LENGTH])
        if folder.exists():  # damaged, since it could not be read
            shutil.rmtree(folder)
        aside.rename(folder)
        flush_folder(root)
        return checksum
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _hash(description: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()
