"""The classifier: a backbone and a head, built from a bundle's spec.

Training runs it through one compiled function, as do evaluation and prediction without OpenVINO.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tlkit.backbones.build import Backbone, build_backbone
from tlkit.backbones.catalogue import BACKBONE_PREFIX, HEAD_PREFIX, TOP
from tlkit.backbones.maps import MapLayout
from tlkit.backbones.weights import finalize_normalization
from tlkit.devices import on_device
from tlkit.heads import call_head
from tlkit.models.head_parts import build_head_of, check_pooling, list_map_sizes, name_head_weights
from tlkit.models.novelty import Novelty
from tlkit.models.predictor import BATCH_SIZE, MapShape, check_inputs, compute_rows, refuse_maps
from tlkit.models.spec import BundleSpec, Provenance
from tlkit.models.storage import check_spec
from tlkit.version import __version__


class Classifier:
    """A backbone and a head, compiled together.

    Attributes:
        spec: The model's description.
        backbone: RGB float, 0..255, to feature.
        head: Feature to logits.
        engine: Keras.
        batch_size: Batch size; it affects the last bits of TensorFlow's sums.
        num_parallel: 1: a single batch uses all processors. After `spread`, one for each device.
        novelty: Measures the distance from the training images; None if the model does not.
        device: TensorFlow's name of the device that it is on; empty where TensorFlow has put it.
    """

    engine = "Keras"
    num_parallel: int = 1

    def __init__(self, spec: BundleSpec, backbone: Backbone, head: keras.Model, novelty: Novelty | None = None) -> None:
        self.spec = spec
        self.backbone = backbone
        self.head = head
        self.novelty = novelty
        self.batch_size = BATCH_SIZE
        self.device = ""
        self._free: SimpleQueue[Classifier] | None = None
        pictures = tf.TensorSpec((None, *spec.image_size, 3), tf.uint8)
        metadata = tf.TensorSpec((None, spec.metadata.width), tf.float32)
        self._compute = tf.function(self.forward, input_signature=[pictures, metadata])

    def spread(self, devices: Sequence[str]) -> None:
        """Compute batches on several devices, each with a copy of the weights as they are now.

        A row does not depend on their number.

        Args:
            devices: TensorFlow's names.
        """
        self._free = SimpleQueue()
        self.num_parallel = len(devices)
        for device in devices:
            with on_device(device):
                copy = self.at_image_size(self.spec.image_size)
            copy.device = device
            self._free.put(copy)

    def logits(
        self, images: np.ndarray[Any, Any], metadata: np.ndarray[Any, Any] | None = None
    ) -> np.ndarray[Any, Any]:
        """Compute the logits, in inference mode.

        The batch size may affect the last bits of a row.

        Args:
            images: uint8 (n, height, width, 3), RGB, 0..255, n >= 1.
            metadata: float32 (n, width), as `spec.metadata` encodes it; None if the model takes none.

        Returns:
            float32 (n, *answer_shape), any range.

        Raises:
            ValueError: If the images have another type or shape.
        """
        return self._run(images, metadata)["answer"]

    def _run(
        self, images: np.ndarray[Any, Any], metadata: np.ndarray[Any, Any] | None
    ) -> dict[str, np.ndarray[Any, Any]]:
        """Return `answer`, the logits; `feature`, pooled, (n, channels); and, with boxes, `box`, (n, 4), 0..1."""
        return self._compute_somewhere(images, metadata, with_maps=False)

    def _compute_somewhere(
        self, images: np.ndarray[Any, Any], metadata: np.ndarray[Any, Any] | None, *, with_maps: bool
    ) -> dict[str, np.ndarray[Any, Any]]:
        """Return the outputs of a batch, computed by the first copy of the model that is free."""
        metadata = check_inputs(self.spec, images, metadata)
        if self._free is None:
            return self.compute_here(images, metadata, with_maps=with_maps)
        copy = self._free.get()
        try:
            return copy.compute_here(images, metadata, with_maps=with_maps)
        finally:
            self._free.put(copy)

    def compute_here(
        self, images: np.ndarray[Any, Any], metadata: np.ndarray[Any, Any], *, with_maps: bool
    ) -> dict[str, np.ndarray[Any, Any]]:
        """Return the outputs of a batch on this model's own device.

        Args:
            images: uint8 (n, height, width, 3), RGB, 0..255, n >= 1.
            metadata: float32 (n, width).
            with_maps: Whether to return the last feature maps, too.
        """
        compute = self._compute_with_maps if with_maps else self._compute
        with on_device(self.device):
            outputs = compute(tf.constant(images), tf.constant(metadata))
            return {name: value.numpy() for name, value in outputs.items()}

    def predict(
        self, images: np.ndarray[Any, Any], metadata: np.ndarray[Any, Any] | None = None
    ) -> np.ndarray[Any, Any]:
        """Compute one row per image; see `tlkit.models.predictor.Predictor.predict`."""
        return compute_rows(self.spec, self._run(images, metadata), self.novelty)

    def predict_for_comparison(
        self, images: np.ndarray[Any, Any], metadata: np.ndarray[Any, Any] | None = None
    ) -> np.ndarray[Any, Any]:
        """Compute rows for comparisons; see `tlkit.models.predictor.Predictor.predict_for_comparison`."""
        return compute_rows(self.spec, self._run(images, metadata), self.novelty, for_comparison=True)

    def compute_features(self, images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Compute pooled features; see `tlkit.models.predictor.Predictor.compute_features`."""
        return self._run(images, np.zeros((len(images), self.spec.metadata.width), np.float32))["feature"]

    def predict_with_features(
        self, images: np.ndarray[Any, Any], metadata: np.ndarray[Any, Any] | None = None
    ) -> np.ndarray[Any, Any]:
        """Compute answers and pooled features: see `tlkit.models.predictor.Predictor.predict_with_features`."""
        outputs = self._run(images, metadata)
        return np.concatenate([compute_rows(self.spec, outputs, self.novelty), outputs["feature"]], axis=1)

    def compute_maps(self, images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Compute the last feature maps; see `tlkit.models.predictor.Predictor.compute_maps`."""
        if self.map_shape is None:
            raise refuse_maps("its feature is normalised after the mean of the last map")
        return self._run_with_maps(images, np.zeros((len(images), self.spec.metadata.width), np.float32))["map"]

    def predict_with_maps(
        self, images: np.ndarray[Any, Any], metadata: np.ndarray[Any, Any] | None = None
    ) -> np.ndarray[Any, Any]:
        """Compute answers, pooled features and maps: see `tlkit.models.predictor.Predictor.predict_with_maps`."""
        outputs = self._run_with_maps(images, metadata)
        behind = [outputs[name].reshape(len(images), -1) for name in ("feature", "map")]
        return np.concatenate([compute_rows(self.spec, outputs, self.novelty), *behind], axis=1)

    @cached_property
    def map_shape(self) -> MapShape | None:
        """Shape of an image's last feature map; None if the feature is not its mean or the map itself."""
        if self._layout:
            return self._layout.shapes[-1]
        trunk, pooling = self._parts
        if pooling is not None and not isinstance(pooling.layers[-1], keras.layers.GlobalAveragePooling2D):
            return None
        height, width, channels = trunk.output.shape[1:]
        return height, width, channels

    def _run_with_maps(
        self, images: np.ndarray[Any, Any], metadata: np.ndarray[Any, Any] | None
    ) -> dict[str, np.ndarray[Any, Any]]:
        """Return the outputs of `_run` and `map`, (n, h, w, channels)."""
        return self._compute_somewhere(images, metadata, with_maps=True)

    @cached_property
    def _layout(self) -> MapLayout | None:
        """How several maps lie in a feature, if it has several."""
        return self.backbone.map_layout(TOP)

    @cached_property
    def _parts(self) -> tuple[keras.Model, keras.Model | None]:
        return self.backbone.split_at_map(TOP)

    @cached_property
    def _compute_with_maps(self) -> Any:
        trunk, pooling = (self.backbone.model, None) if self._layout else self._parts

        def run(images: tf.Tensor, metadata: tf.Tensor) -> dict[str, tf.Tensor]:
            with on_device(self.device):
                found = trunk(tf.cast(images, tf.float32), training=False)
                features = found if pooling is None else pooling(found, training=False)
                return {**self._answer(features, metadata), "map": self._take_last_map(found)}

        return tf.function(run, input_signature=self._compute.input_signature)

    def _take_last_map(self, features: tf.Tensor) -> tf.Tensor:
        """Return the coarsest map of features, float (n, h, w, channels), or pooled features unchanged."""
        return self._layout.unpack(features)[-1] if self._layout else features

    def named_weights(self) -> dict[str, keras.Variable]:
        """Return every weight by its name in a bundle, `backbone/…` and `head/…`."""
        backbone = {BACKBONE_PREFIX + name: variable for name, variable in self.backbone.named_weights().items()}
        return backbone | name_head_weights(self.head)

    def copy_head_weights(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the weights of the head, as `read_head_weights` reads them from a bundle."""
        named = name_head_weights(self.head)
        return {name.removeprefix(HEAD_PREFIX): np.asarray(variable) for name, variable in named.items()}

    def at_image_size(self, image_size: tuple[int, int]) -> Classifier:
        """Return a copy, with its own weights, for another image size.

        Args:
            image_size: (height, width) in pixels. The head must support any size.
        """
        backbone = build_backbone(
            self.spec.backbone, image_size=image_size, pooling=self.spec.pooling, weights="random"
        )
        spec = dataclasses.replace(self.spec, image_size=image_size, map_sizes=list_map_sizes(backbone))
        resized = Classifier(spec, backbone, build_head_of(spec, backbone), self.novelty)
        resized.take_weights(self)
        return resized

    def take_weights(self, other: Classifier) -> None:
        """Copy all weights from a classifier that differs only in image size."""
        variables = self.named_weights()
        for name, weight in other.named_weights().items():
            variables[name].assign(weight)
        finalize_normalization(self.backbone.model)

    def forward(self, images: tf.Tensor, metadata: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return the tensors of `output_names`, in inference mode: `answer`, logits; `box`; `feature`, pooled.

        Args:
            images: uint8 (n, height, width, 3), RGB, 0..255.
            metadata: float32 (n, width), width >= 0.
        """
        with on_device(self.device):
            return self._answer(self.backbone.model(tf.cast(images, tf.float32), training=False), metadata)

    def _answer(self, features: tf.Tensor, metadata: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs: dict[str, tf.Tensor] = call_head(self.head, features, metadata, training=False)
        last = self._take_last_map(features)
        return {**outputs, "feature": tf.reduce_mean(last, axis=(1, 2)) if len(last.shape) == 4 else last}


def assemble_classifier(
    spec: BundleSpec, *, weights: str | None = None, seed: int, open_backbone: Callable[[], Backbone] | None = None
) -> Classifier:
    """Make a new classifier with an untrained head, ready to be trained.

    Args:
        spec: The model's description; its provenance and the sizes of its maps are filled in.
        weights: Weights of the backbone: imagenet, bundled, random, a path, or None for its default.
        seed: Seed of the head, and of random weights of the backbone.
        open_backbone: Returns the backbone, which need not be built yet, with weights of its own; None to build it.

    Raises:
        BundleError: If the finished model could not be saved, for example because of a class name.
        BackboneError: If the weights are not available, or the image size does not suit backbone and head.
    """
    check_spec(spec)
    check_pooling(spec, place="this model")
    keras.utils.set_random_seed(seed)
    backbone = (
        open_backbone()
        if open_backbone
        else build_backbone(spec.backbone, image_size=spec.image_size, pooling=spec.pooling, weights=weights, seed=seed)
    )
    provenance = Provenance(
        weights_source=Path(backbone.weights.source).name,  # a path could reveal the user's name
        weights_sha256=backbone.weights.sha256,
        tlkit_version=__version__,
        keras_version=keras.__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    spec = dataclasses.replace(spec, provenance=provenance, map_sizes=list_map_sizes(backbone))
    return Classifier(spec, backbone, build_head_of(spec, backbone))
