"""The format of OpenVINO: read and run without TensorFlow, so the model is ready within a second.

`openvino.xml` is the whole network, from pixels to logits, and `openvino.bin` its weights. OpenVINO's own parser reads
them, which tlkit has not written. So it is given only bytes whose hash bundle.json names, of a graph that has been
looked through (`openvino_graph`); what it makes of them is held against the description before it is compiled, and has
to prove itself on the golden samples before it answers.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tlkit.backbones.catalogue import BACKBONES
from tlkit.backbones.engines.openvino_runtime import (
    PRECISIONS,
    compile_model,
    import_converter,
    import_openvino,
    require_openvino,
    save_network,
)
from tlkit.models.exports.base import Export, check_hash
from tlkit.models.exports.openvino_graph import check_graph_size, check_graph_text, not_ours
from tlkit.models.predictor import output_names
from tlkit.models.spec import BundleSpec
from tlkit.models.storage import WEIGHTS_FILE, check_weight_names
from tlkit.models.tensors import open_tensors
from tlkit.untrusted import open_regular_file, quote

if TYPE_CHECKING:
    import openvino

    from tlkit.models.classifier import Classifier

GRAPH_FILE = "openvino.xml"
MAX_GRAPH_BYTES = 4 * 1024**2
MAX_HEAD_BYTES = 2**30
ROOM_FOR_SHAPES = 2**20
"""Bytes that the few small constants take which are no weights."""


def convert(classifier: Classifier) -> openvino.Model:
    """Make the network of a classifier. Takes 1 to 20 seconds."""
    import tensorflow as tf

    spec = classifier.spec
    names = output_names(spec)
    signature = [tf.TensorSpec((1, *spec.image_size, 3), tf.uint8)]
    if spec.metadata.width:
        signature.append(tf.TensorSpec((1, spec.metadata.width), tf.float32))

    @tf.function(input_signature=signature)  # type: ignore[untyped-decorator]
    def run(images: tf.Tensor, metadata: tf.Tensor = None) -> list[tf.Tensor]:
        outputs = classifier.forward(images, tf.zeros((1, 0)) if metadata is None else metadata)
        return [outputs[name] for name in names]

    model = import_converter()(run.get_concrete_function())
    # EfficientNets' activations, which have gradients of their own, come out as more outputs: a quarter of the speed.
    model = import_openvino().Model(model.outputs[: len(names)], model.get_parameters())
    for port, name in zip((*model.inputs, *model.outputs), describe_ports(spec), strict=True):
        port.get_tensor().set_names({name})
    return model


def read(folder: Path, spec: BundleSpec, hashes: Mapping[str, str]) -> tuple[openvino.Model, int]:
    """Read the network that a bundle carries, and the width of its feature.

    Raises:
        BundleError: A file is missing, damaged or not as tlkit writes it.
        RuntimeError: OpenVINO cannot read it.
    """
    place = folder / GRAPH_FILE
    num_weight_bytes = _limit_weights(folder, spec)
    graph = _read_checked(place, hashes, max_bytes=MAX_GRAPH_BYTES).data.tobytes()
    check_graph_text(graph, place, num_weight_bytes=num_weight_bytes)
    weights = _read_checked(folder / EXPORT.files[1], hashes, max_bytes=num_weight_bytes)
    model = import_openvino().Core().read_model(model=graph, weights=weights)
    channels = _check_model(model, spec, place)
    check_graph_size(model, place, num_pixels=math.prod(spec.image_size), num_weight_bytes=num_weight_bytes)
    return model, channels


def describe_ports(spec: BundleSpec) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return type and shape of a network's inputs and outputs by name, in order; a feature's width is not known: 0."""
    ports: dict[str, tuple[str, tuple[int, ...]]] = {"images": ("u8", (1, *spec.image_size, 3))}
    if spec.metadata.width:
        ports["metadata"] = ("f32", (1, spec.metadata.width))
    widths = {"answer": spec.outputs.num_answers, "box": 4, "feature": 0}
    return ports | {name: ("f32", (1, widths[name])) for name in output_names(spec)}


def save(model: openvino.Model, folder: Path) -> dict[str, str]:
    """Write a network's two files into a folder, down to the disk, and return their sha256 by name.

    Raises:
        OSError: The disk does not take them.
    """
    place = folder / GRAPH_FILE
    try:
        return save_network(model, place)
    except RuntimeError as error:
        raise OSError(f"OpenVINO cannot write {place}: {error}") from error


def _limit_weights(folder: Path, spec: BundleSpec) -> int:
    """Return the most bytes that OpenVINO's weights can have: those of Keras', whose header is held against the spec.

    Raises:
        BundleError: The header of Keras' weights is not as it should be.
    """
    place = folder / WEIGHTS_FILE
    with open_tensors(place) as file:
        check_weight_names(file, spec, place=str(place))
        num_bytes = max(entry.end for entry in file.entries)
    return min(num_bytes, 8 * BACKBONES[spec.backbone].num_parameters + MAX_HEAD_BYTES) + ROOM_FOR_SHAPES


def _read_checked(path: Path, hashes: Mapping[str, str], *, max_bytes: int) -> openvino.Tensor:
    """Return a file's bytes, in memory that OpenVINO owns, if they have the hash that bundle.json names."""
    openvino = import_openvino()
    with open_regular_file(path, max_bytes=max_bytes) as stream:
        content = openvino.Tensor(openvino.Type.u8, [os.fstat(stream.fileno()).st_size])
        stream.readinto(content.data)  # type: ignore[attr-defined]
    check_hash(path, content.data, hashes)
    return content


def _check_model(model: openvino.Model, spec: BundleSpec, place: Path) -> int:
    """Refuse a network whose inputs and outputs are not those of this description; return a feature's width."""
    found: list[tuple[str, tuple[str, tuple[int, ...]]]] = []
    for port in (*model.inputs, *model.outputs):
        if port.get_partial_shape().is_dynamic:
            raise not_ours(place, f"{quote(str(port))} has no fixed shape", "fixed shapes")
        kind = port.get_element_type().get_type_name(), tuple(port.get_shape())
        found.append((" ".join(sorted(port.get_names())), kind))
    channels = math.prod(found[-1][1][1]) if found else 0
    expected = list({**describe_ports(spec), "feature": ("f32", (1, channels))}.items())
    if found != expected:
        raise not_ours(place, f"its inputs and outputs are {quote(found)}", str(expected))
    return channels


EXPORT = Export(
    name="openvino",
    title="OpenVINO",
    package="openvino",
    files=(GRAPH_FILE, "openvino.bin"),
    precisions=tuple(PRECISIONS),
    require=require_openvino,
    convert=convert,
    save=save,
    read=read,
    compile=compile_model,
)
