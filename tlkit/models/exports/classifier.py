"""A model run by a library other than Keras: converted from a classifier or read from a bundle, and checked by its
outputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tlkit.errors import NumericsError
from tlkit.models.exports.base import KERAS_FIX, Export, Network
from tlkit.models.golden import GOLDEN_TOLERANCE, check_golden_samples, predict_one_by_one
from tlkit.models.novelty import Novelty
from tlkit.models.predictor import check_inputs, compute_rows, output_names
from tlkit.models.spec import BundleSpec
from tlkit.models.storage import GOLDEN_FILE, NOVELTY_FILE, read_novelty
from tlkit.untrusted import quote, refusal

if TYPE_CHECKING:
    from tlkit.models.classifier import Classifier


class ExportedClassifier:
    """A network in an export format; each request has one image, several run in parallel.

    A row depends only on its image. See `tlkit.models.predictor.Predictor` for the other attributes.

    Attributes:
        export: The format.
        network: The network, as an object of the format's library.
        novelty: Measures the distance from the training images; None if the model does not.
    """

    batch_size = 1

    def __init__(
        self, export: Export, spec: BundleSpec, network: Network, novelty: Novelty | None, precision: str = "float32"
    ) -> None:
        self.export = export
        self.engine = export.title
        self.spec = spec
        self.network = network
        self.novelty = novelty
        self._run, self.num_parallel = export.compile(network, precision)

    def predict(self, images: NDArray[np.uint8], metadata: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Compute one row per image; see `Predictor.predict`."""
        metadata = check_inputs(self.spec, images, metadata)
        return np.concatenate(
            [self._predict_one(image[np.newaxis], row[np.newaxis]) for image, row in zip(images, metadata, strict=True)]
        )

    def compute_features(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute pooled features; see `Predictor.compute_features`."""
        metadata = np.zeros((1, self.spec.metadata.width), np.float32)
        return np.concatenate([self._run_one(image[np.newaxis], metadata)["feature"] for image in images])

    def predict_with_features(
        self, images: NDArray[np.uint8], metadata: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Compute answers and pooled features: see `Predictor.predict_with_features`."""
        metadata = check_inputs(self.spec, images, metadata)
        rows = []
        for image, row in zip(images, metadata, strict=True):
            outputs = self._run_one(image[np.newaxis], row[np.newaxis])
            rows.append(np.concatenate([compute_rows(self.spec, outputs, self.novelty), outputs["feature"]], axis=1))
        return np.concatenate(rows)

    def _predict_one(self, image: NDArray[np.uint8], metadata: NDArray[np.float32]) -> NDArray[np.float32]:
        return compute_rows(self.spec, self._run_one(image, metadata), self.novelty)

    def _run_one(self, image: NDArray[np.uint8], metadata: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        outputs = self._run([image, metadata] if self.spec.metadata.width else [image])
        return dict(zip(output_names(self.spec), outputs, strict=True))


def convert_classifier(
    export: Export, classifier: Classifier, images: NDArray[np.uint8], metadata: NDArray[np.float32]
) -> ExportedClassifier:
    """Convert a classifier to an export format. Takes 1 to 20 seconds with OpenVINO.

    Args:
        export: An available format.
        classifier: The trained model.
        images: Images on which both are compared: uint8 (n, height, width, 3), RGB, 0..255, n >= 1.
        metadata: Their metadata, float32 (n, width).

    Raises:
        NumericsError: The model cannot be converted, or an output differs by more than 0.001.
    """
    samples: dict[str, NDArray[Any]] = {"images": images, "metadata": metadata}
    try:
        converted = ExportedClassifier(export, classifier.spec, export.convert(classifier), classifier.novelty)
        answers = predict_one_by_one(converted, samples)
    except RuntimeError as error:
        raise NumericsError(
            f"{export.title} cannot convert or run the model ({error})",
            expected=f"a model that {export.title} can run",
            fix="use --engine keras, and please report this as a bug in tlkit.",
        ) from error
    difference = float(np.abs(answers - predict_one_by_one(classifier, samples)).max())
    if not difference <= GOLDEN_TOLERANCE:  # also fails for NaN
        raise NumericsError(
            f"the outputs of {export.title} differ from those of Keras by up to {difference:.2g}.",
            expected=f"at most {GOLDEN_TOLERANCE:g}",
            fix="use --engine keras, and please report this as a bug in tlkit.",
        )
    return converted


def read_exported_classifier(
    export: Export, folder: Path, spec: BundleSpec, hashes: Mapping[str, str], *, precision: str
) -> ExportedClassifier:
    """Read a bundle's model in an export format, and check it on the golden samples.

    The check uses float32, like the saved samples; then the model is compiled in the requested precision.

    Args:
        export: An available format.
        folder: The bundle folder.
        spec: Its description.
        hashes: The sha256 of its files, in hex, by name.
        precision: One of the format's.

    Raises:
        BundleError: A file is missing, damaged or invalid, or the model's outputs differ from the saved ones.
    """
    try:
        network, channels = export.read(folder, spec, hashes)
        novelty = read_novelty(folder, hashes[NOVELTY_FILE], channels) if spec.measures_distance else None
        classifier = ExportedClassifier(export, spec, network, novelty)
        check_golden_samples(classifier, folder, hashes[GOLDEN_FILE])
        return classifier if precision == "float32" else ExportedClassifier(export, spec, network, novelty, precision)
    except RuntimeError as error:
        raise refusal(
            f"{folder / export.files[0]}: {export.title} {version(export.package)} cannot read or run it "
            f"({quote(str(error))}).",
            expected="a network as tlkit writes it",
            fix=KERAS_FIX,
        ) from error
