"""The classifier: a backbone and a head, built from a bundle's spec, with everything that a prediction needs.

Training, evaluation and prediction all run this one model through this one compiled function, so a number that one of
them reports is the number that the others see. Nothing is deserialised: the layers come from tlkit's own code, and the
weights are set one by one, by name, after their shapes have been compared.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tlkit import __version__
from tlkit.backbones.build import Backbone, build_backbone
from tlkit.backbones.weight_files import BACKBONE_PREFIX, HEAD_PREFIX
from tlkit.backbones.weights import WeightsInfo, finalize_normalization, hash_arrays, read_arrays, stable_names
from tlkit.bundle.answers import compute_answers
from tlkit.bundle.spec import BundleSpec, Provenance
from tlkit.bundle.storage import (
    GOLDEN_FILE,
    MAX_GOLDEN_IMAGES,
    SPEC_FILE,
    WEIGHTS_FILE,
    check_spec,
    check_weight_names,
    find_bundle,
    golden_kinds,
    read_description,
    write_files,
)
from tlkit.bundle.tensors import TensorKind, open_tensors
from tlkit.bundle.untrusted import refusal
from tlkit.errors import BackboneError, NumericsError
from tlkit.heads import build_head, call_head

GOLDEN_TOLERANCE = 1e-3


class Classifier:
    """A backbone with a head, and the compiled way through both.

    Attributes:
        spec: What the model is.
        backbone: RGB float, 0..255, to feature.
        head: Feature to logits.
    """

    def __init__(self, spec: BundleSpec, backbone: Backbone, head: keras.Model) -> None:
        self.spec = spec
        self.backbone = backbone
        self.head = head
        pictures = tf.TensorSpec((None, spec.image_size, spec.image_size, 3), tf.uint8)
        metadata = tf.TensorSpec((None, spec.metadata.width), tf.float32)
        self._compute = tf.function(self._forward, input_signature=[pictures, metadata])

    def logits(
        self, images: np.ndarray[Any, Any], metadata: np.ndarray[Any, Any] | None = None
    ) -> np.ndarray[Any, Any]:
        """Compute the logits, in inference mode.

        A row may differ in its last bits between batches of different sizes: compare only equal sizes to the bit.

        Args:
            images: uint8 (n, image_size, image_size, 3), RGB, 0..255, n >= 1.
            metadata: float32 (n, width), as `spec.metadata` encodes it; None if the model takes none.

        Returns:
            float32 (n, num_answers), any range.

        Raises:
            ValueError: If the images have another type or shape.
        """
        return self._run(images, metadata)["answer"]

    def _run(
        self, images: np.ndarray[Any, Any], metadata: np.ndarray[Any, Any] | None
    ) -> dict[str, np.ndarray[Any, Any]]:
        """Return `answer`, the logits, and, if the model has learnt boxes, `box`, float32 (n, 4), 0..1."""
        size, width = self.spec.image_size, self.spec.metadata.width
        if metadata is None:
            metadata = np.zeros((len(images), 0), np.float32)
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (size, size, 3):
            raise ValueError(
                f"Expected uint8 images of shape (n, {size}, {size}, 3), 0..255. "
                f"Received: dtype={images.dtype}, shape={images.shape}"
            )
        if metadata.dtype != np.float32 or metadata.shape != (len(images), width):
            raise ValueError(
                f"Expected float32 metadata of shape ({len(images)}, {width}). "
                f"Received: dtype={metadata.dtype}, shape={metadata.shape}"
            )
        return {name: value.numpy() for name, value in self._compute(tf.constant(images), metadata).items()}

    def predict(
        self, images: np.ndarray[Any, Any], metadata: np.ndarray[Any, Any] | None = None
    ) -> np.ndarray[Any, Any]:
        """Compute the answer and, if the model has learnt boxes, the box, in one row an image.

        Args:
            images: uint8 (n, image_size, image_size, 3), RGB, 0..255, n >= 1.
            metadata: float32 (n, width), as `spec.metadata` encodes it; None if the model takes none.

        Returns:
            float32 (n, num_answers): probabilities of classes (adding up to 1) or of labels, 0..1, or a value in
            deviations from the mean (`tlkit.bundle.to_values` tells it in its own unit); with boxes (n, num_answers + 4),
            cx, cy, w, h in fractions of the input at the end.

        Raises:
            ValueError: If images or metadata have another type or shape.
        """
        said = self._run(images, metadata)
        columns = [compute_answers(self.spec.task, said["answer"]), *([said["box"]] if self.spec.has_box else [])]
        return np.concatenate(columns, axis=1)

    def named_weights(self) -> dict[str, keras.Variable]:
        """Return every weight by the name that it has in the bundle, `backbone/…` and `head/…`."""
        backbone = {BACKBONE_PREFIX + name: variable for name, variable in self.backbone.named_weights().items()}
        return backbone | _named_head_weights(self.head)

    def at_image_size(self, image_size: int) -> Classifier:
        """Return a copy, with weights of its own, that takes images of another size.

        Args:
            image_size: Edge of the square input in pixels. The head must pool what it gets (linear, conv).
        """
        spec = dataclasses.replace(self.spec, image_size=image_size)
        backbone = build_backbone(spec.backbone, image_size=image_size, pooling=spec.pooling, weights="random")
        resized = Classifier(spec, backbone, _build_head(spec, backbone))
        resized.take_weights(self)
        return resized

    def take_weights(self, other: Classifier) -> None:
        """Set all weights to those of a classifier that differs in nothing but its image size."""
        variables = self.named_weights()
        for name, weight in other.named_weights().items():
            variables[name].assign(weight)
        finalize_normalization(self.backbone.model)

    def _forward(self, images: tf.Tensor, metadata: tf.Tensor) -> dict[str, tf.Tensor]:
        features = self.backbone.model(tf.cast(images, tf.float32), training=False)
        return call_head(self.head, features, metadata, training=False)


def assemble_classifier(spec: BundleSpec, *, weights: str, seed: int) -> Classifier:
    """Build a new classifier with an untrained head, ready to be trained.

    Args:
        spec: What to build; its provenance is filled in.
        weights: Weights of the backbone: imagenet, bundled, random, a path, or "" for its own default.
        seed: Seeds the head, and the backbone if its weights are random.

    Raises:
        BundleError: If the finished model could not be saved, for a class name for example.
        BackboneError: If the weights cannot be had, or the image size does not suit backbone and head.
    """
    check_spec(spec)
    _check_pooling(spec, place="this model")
    keras.utils.set_random_seed(seed)
    backbone = build_backbone(
        spec.backbone, image_size=spec.image_size, pooling=spec.pooling, weights=weights, seed=seed
    )
    provenance = Provenance(
        weights_source=Path(backbone.weights.source).name,  # a path would carry the name of somebody's home folder
        weights_sha256=backbone.weights.sha256,
        tlkit_version=__version__,
        keras_version=keras.__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return Classifier(dataclasses.replace(spec, provenance=provenance), backbone, _build_head(spec, backbone))


def write_bundle(
    folder: Path,
    classifier: Classifier,
    spec: BundleSpec,
    golden_images: np.ndarray[Any, Any],
    golden_metadata: np.ndarray[Any, Any] | None = None,
) -> None:
    """Save a classifier; an earlier bundle at `folder` is replaced at the end, in one step.

    Args:
        folder: The bundle folder, usually `RUN/bundle`.
        classifier: The model.
        spec: Its spec; it may tell another story of the training than `classifier.spec`, but no other model.
        golden_images: uint8 (n, image_size, image_size, 3), RGB, 0..255, 1 <= n <= 32. They travel with the bundle,
            so whoever gets the bundle can look at them.
        golden_metadata: Their metadata, float32 (n, width); None if the model takes none.

    Raises:
        BundleError: If something else lies at `folder`.
        NumericsError: If a weight or an answer is not finite.
        ValueError: If the spec describes another model, or the number of golden images is out of range.
    """
    told = {name: getattr(classifier.spec, name) for name in ("unfrozen", "provenance", "thresholds")}
    if dataclasses.replace(spec, **told) != classifier.spec:
        raise ValueError(f"The spec describes another model. Expected: {classifier.spec}. Received: {spec}")
    if not 1 <= len(golden_images) <= MAX_GOLDEN_IMAGES:
        raise ValueError(f"Expected 1 to {MAX_GOLDEN_IMAGES} golden images. Received: {len(golden_images)}")
    weights = {name: np.asarray(variable) for name, variable in classifier.named_weights().items()}
    golden = {"images": golden_images}
    if golden_metadata is not None and spec.metadata.width:
        golden["metadata"] = golden_metadata
    golden["answers"] = _predict_one_by_one(classifier, golden)
    for name, array in [*weights.items(), *golden.items()]:
        if not np.isfinite(array).all():
            raise NumericsError(
                f"{name} holds values that are not finite: the model cannot be saved.",
                expected="finite numbers in every weight and answer",
                fix="train again with a lower learning rate (--lr).",
            )
    write_files(folder, spec, weights=weights, golden=golden)


def read_bundle(path: Path, *, loader_version: int) -> Classifier:
    """Build the classifier that a bundle describes, and let it prove itself on the golden samples.

    Args:
        path: A run folder, or the bundle folder.
        loader_version: The version of this tlkit's image loader (`tlkit.data.images.LOADER_VERSION`).

    Raises:
        BundleError: If the bundle is missing, damaged, of another version or not as tlkit writes it, or if the model
            does not give the answers that it gave when it was saved.
    """
    folder = find_bundle(path)
    spec, hashes = read_description(folder, loader_version=loader_version)
    with open_tensors(folder / WEIGHTS_FILE) as file:
        check_weight_names(file, spec, place=str(folder / WEIGHTS_FILE))
        _check_pooling(spec, place=str(folder / SPEC_FILE))
        backbone = build_backbone(spec.backbone, image_size=spec.image_size, pooling=spec.pooling, weights="random")
        expected = _kinds({BACKBONE_PREFIX + name: value for name, value in backbone.named_weights().items()})
        file.check_kinds(expected | _plan_head(spec, backbone, place=str(folder / SPEC_FILE)))
        classifier = Classifier(spec, backbone, _build_head(spec, backbone))
        variables = classifier.named_weights()
        for name, array in file.read(hashes[WEIGHTS_FILE]):
            variables[name].assign(array)
    finalize_normalization(backbone.model)
    backbone.weights = WeightsInfo(str(folder), hash_arrays(read_arrays(backbone.model)))
    _check_golden_samples(classifier, folder / GOLDEN_FILE, hashes[GOLDEN_FILE])
    return classifier


def _check_pooling(spec: BundleSpec, *, place: str) -> None:
    if spec.pooling != spec.head.pooling:
        raise refusal(
            f"{place}: pooling is {spec.pooling!r}.",
            expected=f"{spec.head.pooling!r}, which the {spec.head.kind} head needs",
        )


def _build_head(spec: BundleSpec, backbone: Backbone) -> keras.Model:
    return build_head(
        spec.head.kind,
        feature_shape=backbone.feature_shape("top"),
        outputs=spec.outputs,
        metadata_width=spec.metadata.width,
        dropout=spec.head.dropout,
        units=spec.head.units,
    )


def _plan_head(spec: BundleSpec, backbone: Backbone, *, place: str) -> dict[str, TensorKind]:
    """Return the kind of every weight that the head will have, without taking memory for any.

    A few bytes of bundle.json can ask for a head of many gigabytes. In a stateless scope Keras only notes what it
    would have to initialise; the note is kept by thread, so a thread of its own takes the note along when it ends.
    """

    def plan() -> dict[str, TensorKind]:
        with keras.StatelessScope(initialize_variables=False):
            return _kinds(_named_head_weights(_build_head(spec, backbone)))

    with ThreadPoolExecutor(max_workers=1) as executor:
        try:
            return executor.submit(plan).result()
        except BackboneError as error:
            raise refusal(f"{place}: {error.found}", expected=error.expected) from error


def _check_golden_samples(classifier: Classifier, path: Path, sha256: str) -> None:
    with open_tensors(path) as file:
        file.check_kinds(golden_kinds(file, classifier.spec, place=str(path)))
        golden = dict(file.read(sha256))
    difference = float(np.abs(_predict_one_by_one(classifier, golden) - golden["answers"]).max())
    if not difference <= GOLDEN_TOLERANCE:  # the comparison is written so that NaN fails it
        raise refusal(
            f"{path}: the model's answers differ from the saved ones by up to {difference:.2g}.",
            expected=f"at most {GOLDEN_TOLERANCE:g}: the model that was saved, on the images it was saved with",
        )


def _predict_one_by_one(classifier: Classifier, golden: Mapping[str, np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    """Predict in batches of one: memory stays small, and saving and loading see equal batches."""
    images, metadata = golden["images"], golden.get("metadata")
    rows = [None if metadata is None else metadata[number : number + 1] for number in range(len(images))]
    return np.concatenate([classifier.predict(image[np.newaxis], row) for image, row in zip(images, rows, strict=True)])


def _named_head_weights(head: keras.Model) -> dict[str, keras.Variable]:
    return {HEAD_PREFIX + name: variable for name, variable in stable_names(head).items()}


def _kinds(variables: Mapping[str, keras.Variable]) -> dict[str, TensorKind]:
    return {name: ("F32", tuple(variable.shape)) for name, variable in variables.items()}
