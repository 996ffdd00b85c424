"""The interface of models for prediction, whatever the engine: pixels and metadata in, one row per image out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tlkit.errors import NumericsError
from tlkit.models.novelty import Novelty
from tlkit.models.spec import BundleSpec
from tlkit.outputs import CLASSIFICATION, Target
from tlkit.tasks import find_task


def cool(probabilities: NDArray[np.floating[Any]], temperature: float) -> NDArray[np.float32]:
    """Apply a temperature to class probabilities, float (n, classes), 0..1; return float32."""
    logits = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny)).astype(np.float32)
    return find_task(CLASSIFICATION).activate(logits, temperature=temperature)


def to_deviations(target: Target, values: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Return values in standard deviations from the mean, as a model learns them: float32, the same shape."""
    numbers = np.log(values) if target.is_log else values
    return ((numbers - target.mean) / target.scale).astype(np.float32)


def to_values(target: Target, deviations: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return deviations as values in the target's own unit: float64, the same shape."""
    numbers = deviations.astype(np.float64) * target.scale + target.mean
    return np.exp(numbers) if target.is_log else numbers


MapShape = tuple[int, int, int]
"""Of a feature map: height, width, channels."""
BATCH_SIZE = 32
"""Batch size of Keras, for prediction and for features."""


class Predictor(Protocol):
    """A model, ready to predict.

    Attributes:
        spec: Its description.
        engine: What runs it, in words.
        batch_size: Number of images per call. It may affect the last bits of a row; the other images never do.
        num_parallel: Number of threads that can usefully call `predict` in parallel.
    """

    spec: BundleSpec
    engine: str
    batch_size: int
    num_parallel: int

    @property
    def map_shape(self) -> MapShape | None:
        """Shape of an image's last feature map; None if the feature is not its mean, as in ConvNeXt, or the map itself."""

    def predict(self, images: NDArray[np.uint8], metadata: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Compute the outputs, and box and distance if the model has them, in one row per image.

        Args:
            images: uint8 (n, height, width, 3), RGB, 0..255, n >= 1.
            metadata: float32 (n, width), as `spec.metadata` encodes it; None if the model takes none.

        Returns:
            float32 (n, row_width): probabilities of classes (with sum 1) or labels, 0..1, or a value in standard
            deviations from the mean (see `to_values`), or 100 objects, the best first: left, top, right, bottom as
            fractions of the input, score and class, zeros where there are fewer; then, with boxes, cx, cy, w, h as
            fractions of the input; then, if measured, the distance from the training images, 0..1.

        Raises:
            ValueError: If images or metadata have another type or shape.
        """

    def predict_for_comparison(
        self, images: NDArray[np.uint8], metadata: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Compute what `predict` does, but with answers that differ little where those of networks do.

        For objects that is the box and the scores at every location, since a list of the best changes its order with
        the last bit.

        Returns:
            float32 (n, comparison_width).
        """

    def compute_features(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute the pooled features that the head sees, float32 (n, channels), of images as in `predict`."""

    def compute_maps(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute the backbone's last feature maps, before any pooling, of images as in `predict`.

        Returns:
            float32 (n, h, w, channels).

        Raises:
            NumericsError: The model has no `map_shape`.
        """

    def predict_with_features(
        self, images: NDArray[np.uint8], metadata: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Compute the rows of `predict` with those of `compute_features` behind them, in one pass of the network.

        Returns:
            float32 (n, row_width + channels).
        """

    def predict_with_maps(
        self, images: NDArray[np.uint8], metadata: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Compute the rows of `predict_with_features` with the maps of `compute_maps` behind them, in one pass.

        Only a model with a `map_shape` can.

        Returns:
            float32 (n, row_width + channels + h * w * channels).
        """


def refuse_maps(reason: str) -> NumericsError:
    """Return the error of a network without feature maps from which its answers can be explained."""
    return NumericsError(
        f"there are no heat maps of this network: {reason}",
        expected="a network whose feature is the mean of its last map, or the map itself",
        fix="`tlkit explain`, which asks Keras for gradients, or a head that sees places, such as dense.",
    )


def output_names(spec: BundleSpec) -> tuple[str, ...]:
    """Return the names of a network's outputs, in order: `answer`, logits (n, *answer_shape); `box`, if predicted; `feature`, pooled."""
    return ("answer", "box", "feature") if spec.has_box else ("answer", "feature")


def check_inputs(
    spec: BundleSpec, images: NDArray[np.uint8], metadata: NDArray[np.float32] | None
) -> NDArray[np.float32]:
    """Check a model's inputs, and return the metadata, float32 (n, width); width 0 without metadata.

    Raises:
        ValueError: If images or metadata have another type or shape.
    """
    (height, width), metadata_width = spec.image_size, spec.metadata.width
    if metadata is None:
        metadata = np.zeros((len(images), 0), np.float32)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (height, width, 3):
        raise ValueError(
            f"Expected uint8 images of shape (n, {height}, {width}, 3), 0..255. "
            f"Received: dtype={images.dtype}, shape={images.shape}"
        )
    if metadata.dtype != np.float32 or metadata.shape != (len(images), metadata_width):
        raise ValueError(
            f"Expected float32 metadata of shape ({len(images)}, {metadata_width}). "
            f"Received: dtype={metadata.dtype}, shape={metadata.shape}"
        )
    return metadata


def compute_rows(
    spec: BundleSpec,
    outputs: Mapping[str, NDArray[np.float32]],
    novelty: Novelty | None,
    *,
    for_comparison: bool = False,
) -> NDArray[np.float32]:
    """Convert network outputs to the rows of `Predictor.predict`, or of `Predictor.predict_for_comparison`.

    Args:
        spec: The model's description.
        outputs: By the names of `output_names`: float32 (n, *answer_shape), (n, 4) in 0..1, and (n, channels).
        novelty: Measures the distance; None if the model does not.
        for_comparison: Which of them.
    """
    task = spec.outputs.find_task()
    convert = task.make_comparable if for_comparison else task.activate
    columns: list[NDArray[Any]] = [convert(outputs["answer"], temperature=spec.temperature)]
    if spec.has_box:
        columns.append(outputs["box"])
    if spec.measures_distance:
        assert novelty is not None, "the spec says that distances are measured"
        columns.append(novelty.measure(outputs["feature"])[:, np.newaxis])
    return np.concatenate(columns, axis=1)
