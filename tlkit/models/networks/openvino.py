"""The OpenVINO format: read and run without TensorFlow, ready within a second.

`openvino.xml` is the whole network, from pixels to logits. Its constants are rebuilt from the bundle's weights and
`openvino.safetensors` (`shared_weights`). OpenVINO's own parser reads them, so it only gets bytes with the hash in
bundle.json and a graph that was checked (`openvino_graph`). The result is compared with the description before it is
compiled, and with the golden samples before it is used.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tlkit.backbones.catalogue import BACKBONES
from tlkit.backbones.engines.openvino_runtime import (
    PRECISIONS,
    compile_model,
    constant_vectors,
    import_converter,
    import_openvino,
    open_core,
    require_openvino,
    save_network,
)
from tlkit.models.networks.base import NetworkFormat, check_hash
from tlkit.models.networks.openvino_graph import check_graph_size, check_graph_text, not_ours
from tlkit.models.networks.shared_weights import read_constants, share_constants
from tlkit.models.predictor import MapShape, output_names
from tlkit.models.spec import BundleSpec
from tlkit.models.storage import WEIGHTS_FILE, check_weight_names
from tlkit.models.tensors import TensorFile, open_tensors
from tlkit.untrusted import open_regular_file, quote

if TYPE_CHECKING:
    import openvino

    from tlkit.models.classifier import Classifier

GRAPH_FILE, CONSTANTS_FILE = "openvino.xml", "openvino.safetensors"
MAX_GRAPH_BYTES = 4 * 1024**2
MAX_HEAD_BYTES = 2**30
ROOM_FOR_SHAPES = 2**20
"""Size limit of small constants that are not weights."""


def convert(classifier: Classifier) -> openvino.Model:
    """Convert a classifier to a network. Takes 1 to 20 seconds."""
    import tensorflow as tf

    spec = classifier.spec
    names = output_names(spec)
    signature = [tf.TensorSpec((1, *spec.image_size, 3), tf.uint8)]
    if spec.metadata.width:
        signature.append(tf.TensorSpec((1, spec.metadata.width), tf.float32))

    @tf.function(input_signature=signature, autograph=False)  # type: ignore[untyped-decorator]
    def run(images: tf.Tensor, metadata: tf.Tensor = None) -> list[tf.Tensor]:
        with constant_vectors(classifier.backbone.model, classifier.head):
            outputs = classifier.forward(images, tf.zeros((1, 0)) if metadata is None else metadata)
        return [outputs[name] for name in names]

    model = import_converter()(run.get_concrete_function())
    # EfficientNets' activations have custom gradients and become extra outputs, at a quarter of the speed.
    model = import_openvino().Model(model.outputs[: len(names)], model.get_parameters())
    for port, name in zip((*model.inputs, *model.outputs), describe_ports(spec), strict=True):
        port.get_tensor().set_names({name})
    return model


def read(folder: Path, spec: BundleSpec, hashes: Mapping[str, str]) -> tuple[openvino.Model, int]:
    """Read a bundle's network, and the width of its feature.

    Raises:
        BundleError: A file is missing, damaged or invalid.
        RuntimeError: OpenVINO cannot read it.
    """
    place = folder / GRAPH_FILE
    graph = _read_graph(place, hashes)
    with open_tensors(folder / WEIGHTS_FILE) as file:
        num_weight_bytes = _limit_weights(file, spec, place=str(folder / WEIGHTS_FILE))
        check_graph_text(graph, place, num_weight_bytes=num_weight_bytes)
        entries = {entry.name: entry for entry in file.entries}
        constants, num_bytes = read_constants(
            folder / CONSTANTS_FILE, hashes[CONSTANTS_FILE], entries, max_bytes=num_weight_bytes
        )
        openvino = import_openvino()
        block = openvino.Tensor(openvino.Type.u8, [num_bytes])
        constants.rebuild(block.data, file.read(hashes[WEIGHTS_FILE]))
    model = open_core().read_model(model=graph, weights=block)
    channels = _check_model(model, spec, place)
    check_graph_size(model, place, num_pixels=math.prod(spec.image_size), num_weight_bytes=num_weight_bytes)
    return model, channels


def describe_ports(spec: BundleSpec) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return type and shape of a network's inputs and outputs by name, in order; the unknown width of a feature is
    0.
    """
    ports: dict[str, tuple[str, tuple[int, ...]]] = {"images": ("u8", (1, *spec.image_size, 3))}
    if spec.metadata.width:
        ports["metadata"] = ("f32", (1, spec.metadata.width))
    shapes = {"answer": spec.outputs.answer_shape, "box": (4,), "feature": (0,)}
    return ports | {name: ("f32", (1, *shapes[name])) for name in output_names(spec)}


def save(model: openvino.Model, folder: Path, weights: Mapping[str, NDArray[np.float32]]) -> dict[str, str]:
    """Write a network's files to a bundle folder, flushed to disk, and return their sha256 by name.

    Raises:
        OSError: They cannot be written.
    """
    place = folder / GRAPH_FILE
    block_file = place.with_suffix(".bin")
    hashes = save_network(model, place)
    layers = ElementTree.parse(place).getroot().iterfind("layers/layer[@type='Const']/data[@element_type='f32']")  # noqa: S314 - OpenVINO has just written it
    constants = [
        (int(data.attrib["offset"]), tuple(int(edge) for edge in data.attrib["shape"].split(",") if edge))
        for data in layers
    ]
    shared = share_constants(np.fromfile(block_file, np.uint8), constants, weights)
    block_file.unlink()
    return {GRAPH_FILE: hashes[GRAPH_FILE], CONSTANTS_FILE: shared.write(folder / CONSTANTS_FILE)}


def add_map(model: openvino.Model) -> tuple[openvino.Model, MapShape]:
    """Return a network with the map whose mean is its feature as a further output, and the map's shape.

    Raises:
        RuntimeError: The feature is no mean of a map.
    """
    openvino = import_openvino()
    mean = model.output("feature").get_node().input_value(0).get_node()
    if mean.get_type_name() != "ReduceMean" or len(mean.get_input_shape(0)) != 4:
        raise RuntimeError(f"the feature comes from {mean.get_type_name()}, not from the mean of a map")
    features = mean.input_value(0)
    axes = {int(axis) % 4 for axis in mean.input_value(1).get_node().get_data()}
    if axes not in ({1, 2}, {2, 3}) or features.get_shape()[0] != 1:
        raise RuntimeError(f"the feature is the mean over the axes {sorted(axes)} of {list(features.get_shape())}")
    if axes == {2, 3}:
        features = openvino.opset13.transpose(features, np.array([0, 2, 3, 1])).output(0)
    outputs = [*(port.get_node() for port in model.outputs), openvino.opset13.result(features)]
    _, height, width, channels = features.get_shape()
    return openvino.Model(outputs, model.get_parameters()), (height, width, channels)


def _limit_weights(file: TensorFile, spec: BundleSpec, *, place: str) -> int:
    """Return the size limit of OpenVINO's constants: the size of the bundle's weights, whose header is checked.

    Raises:
        BundleError: The header is invalid.
    """
    check_weight_names(file, spec, place=place)
    num_bytes = max(entry.end for entry in file.entries)
    return min(num_bytes, 8 * BACKBONES[spec.backbone].num_parameters + MAX_HEAD_BYTES) + ROOM_FOR_SHAPES


def _read_graph(path: Path, hashes: Mapping[str, str]) -> bytes:
    """Return the bytes of the graph, after checking their hash against bundle.json."""
    with open_regular_file(path, max_bytes=MAX_GRAPH_BYTES) as stream:
        content = stream.read(MAX_GRAPH_BYTES)
    check_hash(path, content, hashes)
    return content


def _check_model(model: openvino.Model, spec: BundleSpec, place: Path) -> int:
    """Check a network's inputs and outputs against the description; return the width of a feature."""
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


NETWORK_FORMAT = NetworkFormat(
    name="openvino",
    title="OpenVINO",
    package="openvino",
    files=(GRAPH_FILE, CONSTANTS_FILE),
    precisions=tuple(PRECISIONS),
    require=require_openvino,
    convert=convert,
    save=save,
    read=read,
    add_map=add_map,
    compile=compile_model,
)
