"""The model in a bundle as OpenVINO runs it: no TensorFlow, so it is ready within a second.

`openvino.xml` is the whole network, from pixels to logits, and `openvino.bin` its weights. OpenVINO's own parser reads
them, which tlkit has not written. So it is given only bytes whose hash bundle.json names, of a graph that has been
looked through (`openvino_graph`); what it makes of them is held against the description before it is compiled, and has
to prove itself on the golden samples before it answers.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tlkit.backbones.catalogue import BACKBONES
from tlkit.backbones.engines.openvino_runtime import compile_model, import_openvino, save_network
from tlkit.models.exports.openvino_graph import KERAS_FIX, check_graph_size, check_graph_text, not_ours
from tlkit.models.golden import check_golden_samples
from tlkit.models.novelty import Novelty
from tlkit.models.predictor import check_inputs, compute_rows, output_names
from tlkit.models.spec import BundleSpec
from tlkit.models.storage import (
    GOLDEN_FILE,
    NOVELTY_FILE,
    OPENVINO_GRAPH_FILE,
    OPENVINO_WEIGHTS_FILE,
    WEIGHTS_FILE,
    check_weight_names,
    read_novelty,
)
from tlkit.models.tensors import open_tensors
from tlkit.untrusted import open_regular_file, quote, refusal

if TYPE_CHECKING:
    import openvino

MAX_GRAPH_BYTES = 4 * 1024**2
MAX_HEAD_BYTES = 2**30
ROOM_FOR_SHAPES = 2**20
"""Bytes that the few small constants take which are no weights."""


class OpenvinoClassifier:
    """A network run by OpenVINO, one image at a time and several at the same time.

    A row depends on its image alone. See `tlkit.models.predictor.Predictor` for the attributes.

    Attributes:
        model: The network; inputs and outputs as `describe_ports` says.
        novelty: What the distance from the training images is measured by, if the spec says that it is.
    """

    batch_size = 1

    def __init__(
        self, spec: BundleSpec, model: openvino.Model, novelty: Novelty | None, *, precision: str = "float32"
    ) -> None:
        self.spec = spec
        self.model = model
        self.novelty = novelty
        self._run, self.num_parallel = compile_model(model, precision=precision)

    def predict(self, images: NDArray[np.uint8], metadata: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Compute one row an image: see `Predictor.predict`."""
        metadata = check_inputs(self.spec, images, metadata)
        return np.concatenate(
            [self._predict_one(image[np.newaxis], row[np.newaxis]) for image, row in zip(images, metadata, strict=True)]
        )

    def compute_features(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute pooled features: see `Predictor.compute_features`."""
        metadata = np.zeros((1, self.spec.metadata.width), np.float32)
        return np.concatenate([self._run_one(image[np.newaxis], metadata)["feature"] for image in images])

    def _predict_one(self, image: NDArray[np.uint8], metadata: NDArray[np.float32]) -> NDArray[np.float32]:
        return compute_rows(self.spec, self._run_one(image, metadata), self.novelty)

    def _run_one(self, image: NDArray[np.uint8], metadata: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        outputs = self._run([image, metadata] if self.spec.metadata.width else [image])
        return dict(zip(output_names(self.spec), outputs, strict=True))


def read_openvino_classifier(
    folder: Path, spec: BundleSpec, hashes: Mapping[str, str], *, precision: str
) -> OpenvinoClassifier:
    """Read the model that a bundle carries for OpenVINO, and let it prove itself on the golden samples.

    The proof is in float32, in which the samples were saved; another precision is compiled after it.

    Args:
        folder: The bundle folder.
        spec: Its description.
        hashes: The sha256 of its files, in hex, by name.
        precision: float32 or bfloat16.

    Raises:
        BundleError: A file is missing, damaged or not as tlkit writes it, or the model gives other answers than it gave
            when it was saved.
    """
    openvino = import_openvino()
    place = folder / OPENVINO_GRAPH_FILE
    num_weight_bytes = _limit_weights(folder, spec)
    graph = _read_checked(place, hashes, max_bytes=MAX_GRAPH_BYTES).data.tobytes()
    check_graph_text(graph, place, num_weight_bytes=num_weight_bytes)
    weights = _read_checked(folder / OPENVINO_WEIGHTS_FILE, hashes, max_bytes=num_weight_bytes)
    try:
        model = openvino.Core().read_model(model=graph, weights=weights)
        channels = _check_model(model, spec, place)
        check_graph_size(model, place, num_pixels=spec.image_size**2, num_weight_bytes=num_weight_bytes)
        novelty = read_novelty(folder, hashes[NOVELTY_FILE], channels) if spec.measures_distance else None
        classifier = OpenvinoClassifier(spec, model, novelty)
        check_golden_samples(classifier, folder, hashes[GOLDEN_FILE])
        return classifier if precision == "float32" else OpenvinoClassifier(spec, model, novelty, precision=precision)
    except RuntimeError as error:
        raise refusal(
            f"{place}: OpenVINO {openvino.__version__} cannot read or run it ({quote(str(error))}).",
            expected="a network as tlkit writes it",
            fix=KERAS_FIX,
        ) from error


def describe_ports(spec: BundleSpec) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return type and shape of a network's inputs and outputs by name, in order; a feature's width is not known: 0."""
    ports: dict[str, tuple[str, tuple[int, ...]]] = {"images": ("u8", (1, spec.image_size, spec.image_size, 3))}
    if spec.metadata.width:
        ports["metadata"] = ("f32", (1, spec.metadata.width))
    widths = {"answer": spec.outputs.num_answers, "box": 4, "feature": 0}
    return ports | {name: ("f32", (1, widths[name])) for name in output_names(spec)}


def save_model(model: openvino.Model, folder: Path) -> dict[str, str]:
    """Write a network's two files into a folder, down to the disk, and return their sha256 by name.

    Raises:
        OSError: The disk does not take them.
    """
    try:
        return save_network(model, folder / OPENVINO_GRAPH_FILE)
    except RuntimeError as error:
        raise OSError(f"OpenVINO cannot write {folder / OPENVINO_GRAPH_FILE}: {error}") from error


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
    found = hashlib.sha256(content.data).hexdigest()
    if found != hashes[path.name]:
        raise refusal(
            f"{path} has the sha256 {found}.",
            expected=f"{hashes[path.name]}, which bundle.json names; the file has changed since",
            fix=KERAS_FIX,
        )
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
