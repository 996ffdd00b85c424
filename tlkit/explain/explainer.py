"""A trained classifier cut at a feature map, so that its answers can be traced back to places of the picture.

Everything above the cut is small: a head, or a head and the upper layer groups. An explanation that starts from a cached
feature therefore costs a gradient of that part alone and is the same as one of the whole network.

A map holds signed evidence in the unit of the logit (or of the value, in standard deviations): positive where a place
speaks for the output, negative where it speaks against it. Its mean over the places is what the picture contributes to
the output, exactly so where the head is affine or scores places.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tlkit.backbones.catalogue import TOP
from tlkit.heads import call_head

if TYPE_CHECKING:
    from tlkit.models.classifier import Classifier

ROWS_AT_ONCE = 64
"""Maps that the part above the cut is given at a time."""


class Explainer:
    """A classifier, cut at a feature map.

    Args:
        classifier: The trained model.
        boundary: Where it is cut: a boundary of its backbone above the pixels. At `top` of a backbone that pools, the map
            is the last one before the pooling.
        change: Makes of each part of the network what is explained in its place: see `guide_gradients`.

    Attributes:
        classifier: The model.
        boundary: The boundary's canonical name.
        trunk: RGB, float (n, height, width, 3), 0..255 -> feature maps, float (n, h, w, channels).
        num_outputs: Numbers that can be explained: the answers and, with a box, its cx, cy, w, h, in this order.
    """

    def __init__(
        self, classifier: Classifier, boundary: str = TOP, *, change: Callable[[keras.Model], keras.Model] | None = None
    ) -> None:
        backbone = classifier.backbone
        self.classifier = classifier
        self.boundary = backbone.entry.boundary(boundary)
        self.trunk, self._tail = backbone.split_at_map(self.boundary)
        self.num_outputs = classifier.spec.outputs.num_answers + 4 * classifier.spec.has_box
        self._head = classifier.head
        if change is not None:
            self.trunk, self._head = change(self.trunk), change(self._head)
            self._tail = None if self._tail is None else change(self._tail)
        metadata = tf.TensorSpec((None, classifier.spec.metadata.width), tf.float32)
        features = tf.TensorSpec((None, *self.feature_shape), tf.float32)
        images = tf.TensorSpec((None, *classifier.spec.image_size, 3), tf.uint8)
        self._maps = tf.function(
            lambda pictures: self.trunk(tf.cast(pictures, tf.float32), training=False), input_signature=[images]
        )
        self._outputs = tf.function(self.forward, input_signature=[features, metadata])
        self._gradients = tf.function(
            self._compute_gradients, input_signature=[features, metadata, tf.TensorSpec((None,), tf.int64)]
        )
        pixels = tf.TensorSpec((None, *classifier.spec.image_size, 3), tf.float32)
        self._pixel_gradients = tf.function(
            self._compute_pixel_gradients, input_signature=[pixels, metadata, tf.TensorSpec((), tf.int64)]
        )

    @property
    def feature_shape(self) -> tuple[int, ...]:
        """Shape of one map: (height, width, channels)."""
        return tuple(self.trunk.output.shape[1:])

    @property
    def sums_contributions(self) -> bool:
        """Whether an output is an affine function of the map, so that contributions of places add up to it."""
        is_mean = self._tail is None or all(isinstance(layer, _POOLING) for layer in self._tail.layers)
        return self.classifier.spec.head.record.is_affine and is_mean

    @property
    def scores_places(self) -> bool:
        """Whether the head itself scores every place of this map."""
        return self._tail is None and self.classifier.spec.head.record.scores_places

    def compute_features(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the maps of images, float32 (n, h, w, channels).

        Args:
            images: uint8 (n, height, width, 3), RGB, 0..255.
        """
        found: NDArray[np.float32] = np.asarray(self._maps(tf.constant(images)), np.float32)
        return found

    def forward(self, features: tf.Tensor, metadata: tf.Tensor) -> tf.Tensor:
        """Return the outputs, float32 (n, num_outputs), of maps, in inference mode."""
        if self._tail is not None:
            features = self._tail(features, training=False)
        outputs = call_head(self._head, features, metadata, training=False)
        return tf.concat([tf.cast(outputs[name], tf.float32) for name in ("answer", "box") if name in outputs], axis=1)

    def compute_outputs(
        self, features: NDArray[np.floating[Any]], metadata: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Return what the head says: logits or a value in standard deviations, and with a box cx, cy, w, h, 0..1.

        Args:
            features: Maps, float (n, h, w, channels).
            metadata: float32 (n, width), as `spec.metadata` encodes it; None if the model takes none.

        Returns:
            float32 (n, num_outputs).
        """
        given = self.complete_metadata(metadata, len(features))
        parts = [np.asarray(self._outputs(*rows)) for rows in _in_batches(features, given)]
        return np.concatenate([np.zeros((0, self.num_outputs), np.float32), *parts])

    def compute_gradients(
        self,
        features: NDArray[np.floating[Any]],
        targets: NDArray[np.int64],
        metadata: NDArray[np.float32] | None = None,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the outputs asked for, float32 (n,), and their gradients by the map, float32 (n, h, w, channels).

        Args:
            features: As in `compute_outputs`.
            targets: Which output of each image, int64 (n,), 0..num_outputs - 1.
            metadata: As in `compute_outputs`.
        """
        given = self.complete_metadata(metadata, len(features))
        parts = [self._gradients(*rows) for rows in _in_batches(features, given, targets)]
        outputs = [np.zeros(0, np.float32), *(np.asarray(output) for output, _ in parts)]
        gradients = [np.zeros((0, *self.feature_shape), np.float32), *(np.asarray(gradient) for _, gradient in parts)]
        return np.concatenate(outputs), np.concatenate(gradients)

    def compute_pixel_gradients(
        self, pictures: NDArray[np.float32], target: int, metadata: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return the gradients of one output by the pixels, float32 (n, height, width, 3).

        Args:
            pictures: float32 (n, height, width, 3), RGB, about 0..255.
            target: Which output, 0..num_outputs - 1.
            metadata: float32 (width,), the same for all.
        """
        rows = tf.repeat(tf.constant(metadata)[tf.newaxis], len(pictures), axis=0)
        return np.asarray(self._pixel_gradients(tf.constant(pictures), rows, tf.constant(target, tf.int64)))

    def compute_score_maps(
        self, features: NDArray[np.floating[Any]], targets: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Return the head's own score of each place for one output, float32 (n, h, w); only if it `scores_places`."""
        scores = keras.Model(self._head.input, self._head.get_layer("score_map").output)
        parts = [np.asarray(scores({"feature": rows}, training=False), np.float32) for (rows,) in _in_batches(features)]
        maps = np.concatenate([np.zeros((0, *self.feature_shape[:2], self.num_outputs), np.float32), *parts])
        return maps[np.arange(len(maps)), :, :, targets]

    def complete_metadata(self, metadata: NDArray[np.float32] | None, num_rows: int) -> NDArray[np.float32]:
        """Return metadata as float32 (n, width), also where the model takes none.

        Raises:
            ValueError: The model takes metadata, and there are none.
        """
        width = self.classifier.spec.metadata.width
        if metadata is None:
            metadata = np.zeros((num_rows, 0), np.float32)
        if metadata.shape != (num_rows, width):
            raise ValueError(f"Expected metadata of shape ({num_rows}, {width}). Received: shape={metadata.shape}")
        return metadata

    def _compute_pixel_gradients(self, pictures: tf.Tensor, metadata: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(pictures)
            outputs = self.forward(self.trunk(pictures, training=False), metadata)
            chosen = tf.gather(outputs, target, axis=1)
        return tape.gradient(chosen, pictures)

    def _compute_gradients(
        self, features: tf.Tensor, metadata: tf.Tensor, targets: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(features)
            outputs = tf.gather(self.forward(features, metadata), targets, axis=1, batch_dims=1)
        return outputs, tape.gradient(outputs, features)


_POOLING = (keras.layers.InputLayer, keras.layers.GlobalAveragePooling2D)


def _in_batches(features: NDArray[np.floating[Any]], *others: NDArray[Any]) -> list[tuple[tf.Tensor, ...]]:
    return [
        tuple(
            tf.constant(array[start : start + ROWS_AT_ONCE], tf.float32 if array is features else None)
            for array in (features, *others)
        )
        for start in range(0, len(features), ROWS_AT_ONCE)
    ]
