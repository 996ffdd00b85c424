"""Save a classifier as a bundle, and build it again from one.

Nothing is deserialised: layers come from tlkit's own code, and weights are set by name after their shapes are checked.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tlkit.backbones.build import Backbone, build_backbone
from tlkit.backbones.catalogue import BACKBONE_PREFIX, TOP
from tlkit.backbones.weights import WeightsInfo, finalize_normalization, hash_arrays, read_arrays
from tlkit.errors import BackboneError, BundleError, NumericsError
from tlkit.models.classifier import Classifier
from tlkit.models.golden import check_golden_samples, predict_one_by_one
from tlkit.models.head_parts import build_head_of, check_pooling, name_head_weights
from tlkit.models.networks.base import Network
from tlkit.models.spec import BundleSpec
from tlkit.models.storage import (
    GOLDEN_FILE,
    MAX_GOLDEN_IMAGES,
    NOVELTY_FILE,
    SPEC_FILE,
    WEIGHTS_FILE,
    check_weight_names,
    find_bundle,
    read_description,
    read_novelty,
    write_files,
)
from tlkit.models.tensors import TensorKind, hash_tensors, open_tensors
from tlkit.untrusted import refusal


def write_bundle(
    folder: Path,
    classifier: Classifier,
    spec: BundleSpec,
    golden_images: np.ndarray[Any, Any],
    golden_metadata: np.ndarray[Any, Any] | None = None,
    networks: Mapping[str, Network] | None = None,
) -> None:
    """Save a classifier; an earlier bundle at `folder` is replaced atomically at the end.

    Args:
        folder: The bundle folder, usually `RUN/bundle`.
        classifier: The model.
        spec: Its spec; may differ from `classifier.spec` in provenance and `unfrozen` only.
        golden_images: uint8 (n, height, width, 3), RGB, 0..255, 1 <= n <= 32. They are part of the bundle, so its
            recipients can see them.
        golden_metadata: Metadata of the images, float32 (n, width); None if the model takes none.
        networks: The same model in other formats, by the names in `NETWORK_FORMATS`.

    Raises:
        BundleError: If `folder` is something else.
        NumericsError: If a weight or an output is not finite.
        ValueError: If the spec describes another model, or the number of golden images is out of range.
    """
    provenance = {name: getattr(classifier.spec, name) for name in ("unfrozen", "provenance")}
    if dataclasses.replace(spec, **provenance) != classifier.spec:
        raise ValueError(f"The spec describes a different model. Expected: {classifier.spec}. Received: {spec}")
    if not 1 <= len(golden_images) <= MAX_GOLDEN_IMAGES:
        raise ValueError(f"Expected 1 to {MAX_GOLDEN_IMAGES} golden images. Received: {len(golden_images)}")
    weights = _read_weights(classifier)
    novelty = classifier.novelty if spec.measures_distance else None
    measure = {} if novelty is None else {"mean": novelty.mean, "directions": novelty.directions}
    golden = {"images": golden_images}
    if golden_metadata is not None and spec.metadata.width:
        golden["metadata"] = golden_metadata
    golden["answers"] = predict_one_by_one(classifier, golden)
    for name, array in [*weights.items(), *measure.items(), *golden.items()]:
        if not np.isfinite(array).all():
            raise NumericsError(
                f"{name} has values that are not finite: the model cannot be saved.",
                expected="finite weights and outputs",
                fix="train again with a lower learning rate (--lr).",
            )
    write_files(folder, spec, weights=weights, golden=golden, novelty=measure, networks=networks)


def holds_weights(folder: Path, classifier: Classifier) -> bool:
    """Return whether `folder` is a valid bundle with exactly the weights of a classifier."""
    try:
        _, hashes = read_description(folder, loader_version=classifier.spec.loader_version)
        with open_tensors(folder / WEIGHTS_FILE):
            pass
    except BundleError:
        return False
    return hashes[WEIGHTS_FILE] == hash_tensors(_read_weights(classifier))


def _read_weights(classifier: Classifier) -> dict[str, np.ndarray[Any, Any]]:
    return {name: np.asarray(variable) for name, variable in classifier.named_weights().items()}


def read_bundle(path: Path, *, loader_version: int) -> Classifier:
    """Build the classifier that a bundle describes, and check it on the golden samples.

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
        check_pooling(spec, place=str(folder / SPEC_FILE))
        backbone = build_backbone(spec.backbone, image_size=spec.image_size, pooling=spec.pooling, weights="random")
        expected = _kinds({BACKBONE_PREFIX + name: value for name, value in backbone.named_weights().items()})
        expected |= _plan_head(spec, backbone, place=str(folder / SPEC_FILE))
        file.check_kinds(expected)
        classifier = Classifier(spec, backbone, build_head_of(spec, backbone))
        variables = classifier.named_weights()
        for name, array in file.read(hashes[WEIGHTS_FILE]):
            variables[name].assign(array)
    if spec.measures_distance:
        layout = backbone.map_layout(TOP)
        channels = (layout.shapes[-1] if layout else backbone.feature_shape(TOP))[-1]
        classifier.novelty = read_novelty(folder, hashes[NOVELTY_FILE], channels)
    finalize_normalization(backbone.model)
    backbone.weights = WeightsInfo(str(folder), hash_arrays(read_arrays(backbone.model)))
    check_golden_samples(classifier, folder, hashes[GOLDEN_FILE])
    return classifier


def _plan_head(spec: BundleSpec, backbone: Backbone, *, place: str) -> dict[str, TensorKind]:
    """Return the kind of every weight that the head will have, without taking memory for any.

    A few bytes of bundle.json can ask for a head of many gigabytes. In a stateless scope Keras only notes what it
    would have to initialise; the note is kept by thread, so a thread of its own takes the note along when it ends.
    """

    def plan() -> dict[str, TensorKind]:
        with keras.StatelessScope(initialize_variables=False):
            return _kinds(name_head_weights(build_head_of(spec, backbone)))

    with ThreadPoolExecutor(max_workers=1) as executor:
        try:
            return executor.submit(plan).result()
        except BackboneError as error:
            raise refusal(f"{place}: {error.found}", expected=error.expected) from error


def _kinds(variables: Mapping[str, keras.Variable]) -> dict[str, TensorKind]:
    return {name: ("F32", tuple(variable.shape)) for name, variable in variables.items()}
