"""A model run by a library other than Keras: converted from a classifier or read from a bundle, and checked by its
outputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tlkit.errors import NumericsError
from tlkit.models.golden import GOLDEN_TOLERANCE, check_golden_samples, predict_one_by_one
from tlkit.models.networks.base import KERAS_FIX, Network, NetworkFormat
from tlkit.models.novelty import Novelty
from tlkit.models.predictor import MapShape, check_inputs, compute_rows, output_names, refuse_maps
from tlkit.models.spec import BundleSpec
from tlkit.models.storage import GOLDEN_FILE, NOVELTY_FILE, read_novelty
from tlkit.untrusted import quote, refusal

if TYPE_CHECKING:
    from tlkit.models.classifier import Classifier


class NetworkClassifier:
    """A network of some format; each request has one image, several run in parallel.

    A row depends only on its image. See `tlkit.models.predictor.Predictor` for the other attributes.

    Attributes:
        format: Its format.
        network: The network, as an object of the format's library.
        novelty: Measures the distance from the training images; None if the model does not.
    """

    batch_size = 1

    def __init__(
        self,
        network_format: NetworkFormat,
        spec: BundleSpec,
        network: Network,
        novelty: Novelty | None,
        precision: str = "float32",
    ) -> None:
        self.format = network_format
        self.engine = network_format.title
        self.spec = spec
        self.network = network
        self.novelty = novelty
        self.map_shape: MapShape | None = None
        self._why_no_map = ""
        try:
            network, self.map_shape = network_format.add_map(network)
        except RuntimeError as error:
            self._why_no_map = str(error)
        self._run, self.num_parallel = network_format.compile(network, precision)

    def predict(self, images: NDArray[np.uint8], metadata: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Compute one row per image; see `Predictor.predict`."""
        return self._compute_rows(images, metadata)

    def predict_for_comparison(
        self, images: NDArray[np.uint8], metadata: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Compute rows for comparisons; see `Predictor.predict_for_comparison`."""
        return self._compute_rows(images, metadata, for_comparison=True)

    def compute_features(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute pooled features; see `Predictor.compute_features`."""
        return self._compute_without_metadata(images, "feature")

    def compute_maps(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute the last feature maps; see `Predictor.compute_maps`.

        Raises:
            NumericsError: The network has no such map.
        """
        if self.map_shape is None:
            raise refuse_maps(self._why_no_map)
        return self._compute_without_metadata(images, "map")

    def predict_with_features(
        self, images: NDArray[np.uint8], metadata: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Compute answers and pooled features: see `Predictor.predict_with_features`."""
        return self._compute_rows(images, metadata, "feature")

    def predict_with_maps(
        self, images: NDArray[np.uint8], metadata: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Compute answers, pooled features and maps: see `Predictor.predict_with_maps`."""
        return self._compute_rows(images, metadata, "feature", "map")

    def _compute_rows(
        self,
        images: NDArray[np.uint8],
        metadata: NDArray[np.float32] | None,
        *names: str,
        for_comparison: bool = False,
    ) -> NDArray[np.float32]:
        """Return each image's row with some outputs behind it: float32 (n, width)."""
        metadata = check_inputs(self.spec, images, metadata)
        rows = []
        for image, given in zip(images, metadata, strict=True):
            outputs = self._run_one(image[np.newaxis], given[np.newaxis])
            behind = [outputs[name].reshape(1, -1) for name in names]
            row = compute_rows(self.spec, outputs, self.novelty, for_comparison=for_comparison)
            rows.append(np.concatenate([row, *behind], axis=1))
        return np.concatenate(rows)

    def _compute_without_metadata(self, images: NDArray[np.uint8], name: str) -> NDArray[np.float32]:
        metadata = np.zeros((1, self.spec.metadata.width), np.float32)
        return np.concatenate([self._run_one(image[np.newaxis], metadata)[name] for image in images])

    def _run_one(self, image: NDArray[np.uint8], metadata: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        outputs = self._run([image, metadata] if self.spec.metadata.width else [image])
        names = (*output_names(self.spec), *(("map",) if self.map_shape else ()))
        return dict(zip(names, outputs, strict=True))


def convert_classifier(
    network_format: NetworkFormat, classifier: Classifier, images: NDArray[np.uint8], metadata: NDArray[np.float32]
) -> NetworkClassifier:
    """Convert a classifier to a network. Takes 1 to 20 seconds with OpenVINO.

    Args:
        network_format: An available format.
        classifier: The trained model.
        images: Images on which both are compared: uint8 (n, height, width, 3), RGB, 0..255, n >= 1.
        metadata: Their metadata, float32 (n, width).

    Raises:
        NumericsError: The model cannot be converted, or an output differs by more than 0.001.
    """
    samples: dict[str, NDArray[Any]] = {"images": images, "metadata": metadata}
    try:
        converted = NetworkClassifier(
            network_format, classifier.spec, network_format.convert(classifier), classifier.novelty
        )
        answers = predict_one_by_one(converted, samples)
    except RuntimeError as error:
        raise NumericsError(
            f"{network_format.title} cannot convert or run the model ({error})",
            expected=f"a model that {network_format.title} can run",
            fix="use --engine keras, and please report this as a bug in tlkit.",
        ) from error
    difference = float(np.abs(answers - predict_one_by_one(classifier, samples)).max())
    if not difference <= GOLDEN_TOLERANCE:  # also fails for NaN
        raise NumericsError(
            f"the outputs of {network_format.title} differ from those of Keras by up to {difference:.2g}.",
            expected=f"at most {GOLDEN_TOLERANCE:g}",
            fix="use --engine keras, and please report this as a bug in tlkit.",
        )
    return converted


def read_network_classifier(
    network_format: NetworkFormat, folder: Path, spec: BundleSpec, hashes: Mapping[str, str], *, precision: str
) -> NetworkClassifier:
    """Read a bundle's network, and check it on the golden samples.

    The check uses float32, like the saved samples; then the model is compiled in the requested precision.

    Args:
        network_format: An available format.
        folder: The bundle folder.
        spec: Its description.
        hashes: The sha256 of its files, in hex, by name.
        precision: One of the format's.

    Raises:
        BundleError: A file is missing, damaged or invalid, or the model's outputs differ from the saved ones.
    """
    try:
        network, channels = network_format.read(folder, spec, hashes)
        novelty = read_novelty(folder, hashes[NOVELTY_FILE], channels) if spec.measures_distance else None
        classifier = NetworkClassifier(network_format, spec, network, novelty)
        check_golden_samples(classifier, folder, hashes[GOLDEN_FILE])
        if precision == "float32":
            return classifier
        return NetworkClassifier(network_format, spec, network, novelty, precision)
    except RuntimeError as error:
        from importlib.metadata import version  # takes 40 ms, for a message

        raise refusal(
            f"{folder / network_format.files[0]}: {network_format.title} {version(network_format.package)} cannot read or run it "
            f"({quote(str(error))}).",
            expected="a network as tlkit writes it",
            fix=KERAS_FIX,
        ) from error
