"""A trained model cut at a feature map, so that its answers can be traced back to places of the picture.

Everything above the cut is small: a head, or a head and the upper layer groups. An explanation that starts from a cached
feature therefore costs a gradient of that part alone and is the same as one of the whole network.

A map holds signed evidence in the unit of the logit (or of the value, in standard deviations): positive where a place
speaks for the output, negative where it speaks against it. Its mean over the places is what the picture contributes to
the output, exactly so where the head is affine or scores places.

A head that answers at places has an output for each number at each place, row by row. What is explained may be the mean
of several outputs, such as those of a region. A mask's outputs are explained as log-odds: its logits say only how the
classes of a place compare.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tlkit.backbones.catalogue import TOP
from tlkit.explain.perturbations import resize_masks
from tlkit.heads import call_head
from tlkit.tasks import find_task

if TYPE_CHECKING:
    from tlkit.models.classifier import Classifier

ROWS_AT_ONCE = 64
"""Maps that the part above the cut is given at a time."""
NEVER = -1e9
"""A logit that leaves a class out."""


class Explainer:
    """A classifier, cut at a feature map, or at the maps of several resolutions on which a dense head stands.

    Args:
        classifier: The trained model.
        boundary: Where it is cut: a boundary of its backbone above the pixels. At `top` of a backbone that pools, the map
            is the last one before the pooling. Several maps are one vector; see `take_maps`.
        change: Makes of each part of the network what is explained in its place: see `guide_gradients`.

    Attributes:
        classifier: The model.
        boundary: The boundary's canonical name.
        trunk: RGB, float (n, height, width, 3), 0..255 -> features, float (n, *feature_shape).
        map_shapes: (height, width, channels) of each map in a feature, the finest first.
        num_outputs: Numbers that can be explained: the answers and, with a box, its cx, cy, w, h, in this order; or the
            numbers at all places.
    """

    def __init__(
        self, classifier: Classifier, boundary: str = TOP, *, change: Callable[[keras.Model], keras.Model] | None = None
    ) -> None:
        backbone = classifier.backbone
        self.classifier = classifier
        self.boundary = backbone.entry.boundary(boundary)
        trunk = backbone.trunk(self.boundary) if self.finds_objects else None
        if trunk is not None:
            self.trunk, self._tail = trunk, backbone.tail(self.boundary)
        else:
            self.trunk, self._tail = backbone.split_at_map(self.boundary)
        self._layout = backbone.map_layout(self.boundary) if self.finds_objects else None
        self.map_shapes = self._layout.shapes if self._layout else (tuple(self.trunk.output.shape[1:]),)
        self.num_outputs = math.prod(classifier.spec.outputs.answer_shape) + 4 * classifier.spec.has_box
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
        targets = tf.TensorSpec((None, None), tf.int64)
        self._explained = tf.function(self._compute_explained, input_signature=[features, metadata, targets])
        self._gradients = tf.function(self._compute_gradients, input_signature=[features, metadata, targets])
        pixels = tf.TensorSpec((None, *classifier.spec.image_size, 3), tf.float32)
        self._pixel_gradients = tf.function(self._compute_pixel_gradients, input_signature=[pixels, metadata, targets])

    @property
    def feature_shape(self) -> tuple[int, ...]:
        """Shape of a feature: (height, width, channels), or (width,) of several maps."""
        return tuple(self.trunk.output.shape[1:])

    @property
    def map_size(self) -> tuple[int, int]:
        """(height, width) of the finest map, which maps of evidence have."""
        return self.map_shapes[0][0], self.map_shapes[0][1]

    @property
    def finds_objects(self) -> bool:
        """Whether the head answers at places."""
        return self.classifier.spec.head.record.finds_objects

    @property
    def sums_contributions(self) -> bool:
        """Whether an output is an affine function of the map, so that contributions of places add up to it."""
        is_mean = self._tail is None or all(isinstance(layer, _POOLING) for layer in self._tail.layers)
        return self.classifier.spec.head.record.is_affine and is_mean

    @property
    def scores_places(self) -> bool:
        """Whether the head itself scores every place of this map, or, for a mask, of its answer."""
        if find_task(self.classifier.spec.task).has_masks:
            return True
        return self._tail is None and self.classifier.spec.head.record.scores_places

    def compute_features(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the features of images, float32 (n, *feature_shape).

        Args:
            images: uint8 (n, height, width, 3), RGB, 0..255.
        """
        found: NDArray[np.float32] = np.asarray(self._maps(tf.constant(images)), np.float32)
        return found

    def take_maps(self, features: NDArray[np.floating[Any]]) -> list[NDArray[np.floating[Any]]]:
        """Return the maps in features, or in something of their shape, float (n, h, w, channels) each, the finest first."""
        if self._layout is None:
            return [features]
        parts = zip(self._layout.parts, self._layout.shapes, strict=True)
        return [features[:, part].reshape(-1, *shape) for part, shape in parts]

    def spread_masks(self, masks: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Return masks over the picture, float (m, rows, columns), as weights by which features are multiplied."""
        weights = [resize_masks(masks, shape[:2])[..., np.newaxis] for shape in self.map_shapes]
        if self._layout is None:
            return weights[0]
        flat = [
            np.repeat(part, shape[2], axis=3).reshape(len(masks), -1)
            for part, shape in zip(weights, self.map_shapes, strict=True)
        ]
        return np.concatenate(flat, axis=1)

    def forward(self, features: tf.Tensor, metadata: tf.Tensor) -> tf.Tensor:
        """Return the outputs, float32 (n, num_outputs), of features, in inference mode."""
        if self._tail is not None:
            features = self._tail(features, training=False)
        outputs = call_head(self._head, features, metadata, training=False)
        parts = [tf.cast(outputs[name], tf.float32) for name in ("answer", "box") if name in outputs]
        return tf.concat([tf.reshape(part, (-1, math.prod(part.shape[1:]))) for part in parts], axis=1)

    def compute_outputs(
        self, features: NDArray[np.floating[Any]], metadata: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Return what the head says: logits or a value in standard deviations, and with a box cx, cy, w, h, 0..1.

        Args:
            features: float (n, *feature_shape).
            metadata: float32 (n, width), as `spec.metadata` encodes it; None if the model takes none.

        Returns:
            float32 (n, num_outputs).
        """
        given = self.complete_metadata(metadata, len(features))
        parts = [np.asarray(self._outputs(*rows)) for rows in _in_batches(features, given)]
        return np.concatenate([np.zeros((0, self.num_outputs), np.float32), *parts])

    def compute_explained(
        self,
        features: NDArray[np.floating[Any]],
        targets: NDArray[np.int64],
        metadata: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Return what is explained of each image, float32 (n,); arguments as for `compute_gradients`."""
        given = self.complete_metadata(metadata, len(features))
        parts = [np.asarray(self._explained(*rows)) for rows in _in_batches(features, given, _list_outputs(targets))]
        return np.concatenate([np.zeros(0, np.float32), *parts])

    def compute_gradients(
        self,
        features: NDArray[np.floating[Any]],
        targets: NDArray[np.int64],
        metadata: NDArray[np.float32] | None = None,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the outputs asked for, float32 (n,), and their gradients by the features, float32 (n, *feature_shape).

        Args:
            features: As in `compute_outputs`.
            targets: Which output of each image, int64 (n,), 0..num_outputs - 1; or the outputs whose mean is explained,
                (n, k). Those of a mask are of one class and have the unit of log-odds.
            metadata: As in `compute_outputs`.
        """
        given = self.complete_metadata(metadata, len(features))
        parts = [self._gradients(*rows) for rows in _in_batches(features, given, _list_outputs(targets))]
        outputs = [np.zeros(0, np.float32), *(np.asarray(output) for output, _ in parts)]
        gradients = [np.zeros((0, *self.feature_shape), np.float32), *(np.asarray(gradient) for _, gradient in parts)]
        return np.concatenate(outputs), np.concatenate(gradients)

    def compute_pixel_gradients(
        self, pictures: NDArray[np.float32], targets: NDArray[np.int64], metadata: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return the gradients of an output by the pixels, float32 (n, height, width, 3).

        Args:
            pictures: float32 (n, height, width, 3), RGB, about 0..255.
            targets: The outputs whose mean is explained, int64 (k,), the same for all; see `compute_gradients`.
            metadata: float32 (width,), the same for all.
        """
        rows, chosen = (tf.repeat(tf.constant(each)[tf.newaxis], len(pictures), axis=0) for each in (metadata, targets))
        return np.asarray(self._pixel_gradients(tf.constant(pictures), rows, chosen))

    def compute_score_maps(
        self, features: NDArray[np.floating[Any]], targets: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Return the head's own score of each place for one output, float32 (n, h, w); only if it `scores_places`.

        Of a mask these are the log-odds of the class of the outputs asked for, at all places.
        """
        targets = _list_outputs(targets)
        if self.finds_objects:
            return self._compute_mask_scores(features, targets)
        scores = keras.Model(self._head.input, self._head.get_layer("score_map").output)
        parts = [np.asarray(scores({"feature": rows}, training=False), np.float32) for (rows,) in _in_batches(features)]
        maps = np.concatenate([np.zeros((0, *self.feature_shape[:2], self.num_outputs), np.float32), *parts])
        found: NDArray[np.float32] = np.take_along_axis(maps, targets[:, np.newaxis, np.newaxis], axis=3).mean(axis=3)
        return found

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

    def _compute_mask_scores(
        self, features: NDArray[np.floating[Any]], targets: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        rows, columns, num_classes = self.classifier.spec.outputs.answer_shape
        labels = targets[:, :1] % num_classes
        logits = self.compute_outputs(features).reshape(len(features), rows * columns, num_classes)
        odds = _compute_log_odds(tf.constant(logits), tf.constant(labels[:, 0]))
        return np.asarray(odds).reshape(len(features), rows, columns)

    def _compute_explained(self, features: tf.Tensor, metadata: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Return the mean of the outputs asked for, (n,)."""
        outputs = self.forward(features, metadata)
        if find_task(self.classifier.spec.task).has_masks:
            num_classes = self.classifier.spec.outputs.num_answers
            places = tf.reshape(outputs, (-1, self.num_outputs // num_classes, num_classes))
            odds = _compute_log_odds(places, targets[:, 0] % num_classes)
            return tf.reduce_mean(tf.gather(odds, targets // num_classes, axis=1, batch_dims=1), axis=1)
        return tf.reduce_mean(tf.gather(outputs, targets, axis=1, batch_dims=1), axis=1)

    def _compute_pixel_gradients(self, pictures: tf.Tensor, metadata: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(pictures)
            chosen = self._compute_explained(self.trunk(pictures, training=False), metadata, targets)
        return tape.gradient(chosen, pictures)

    def _compute_gradients(
        self, features: tf.Tensor, metadata: tf.Tensor, targets: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(features)
            outputs = self._compute_explained(features, metadata, targets)
        return outputs, tape.gradient(outputs, features)


_POOLING = (keras.layers.InputLayer, keras.layers.GlobalAveragePooling2D)


def _list_outputs(targets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return which outputs are explained as int64 (n, k)."""
    return targets.reshape(len(targets), -1)


def _compute_log_odds(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Return log p / (1 - p) of one class at each place, (n, places), from logits (n, places, classes).

    Args:
        logits: Of all classes.
        labels: The class in each image, int64 (n,).
    """
    chosen = tf.one_hot(labels, logits.shape[-1])[:, tf.newaxis]
    own = tf.reduce_sum(logits * chosen, axis=-1)
    return own - tf.reduce_logsumexp(logits + NEVER * chosen, axis=-1)


def _in_batches(features: NDArray[np.floating[Any]], *others: NDArray[Any]) -> list[tuple[tf.Tensor, ...]]:
    return [
        tuple(
            tf.constant(array[start : start + ROWS_AT_ONCE], tf.float32 if array is features else None)
            for array in (features, *others)
        )
        for start in range(0, len(features), ROWS_AT_ONCE)
    ]
