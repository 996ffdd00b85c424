"""Open a bundle to predict with: by OpenVINO, where it carries a model for it, or by Keras."""

from __future__ import annotations

from pathlib import Path

from tlkit.backbones.engines.openvino_runtime import has_openvino, require_openvino
from tlkit.errors import SettingError
from tlkit.models.predictor import Predictor
from tlkit.models.storage import OPENVINO_GRAPH_FILE, find_bundle, read_description
from tlkit.runtime import start_keras
from tlkit.untrusted import refusal


def open_classifier(
    path: Path, *, loader_version: int, engine: str = "auto", precision: str = "float32", batch_size: int | None = None
) -> Predictor:
    """Return a bundle's model, ready to predict.

    Args:
        path: A run folder, or the bundle folder.
        loader_version: The version of this tlkit's image loader (`tlkit.data.images.LOADER_VERSION`).
        engine: keras, whose start takes 3 to 9 seconds; openvino, within one; or auto: openvino where the bundle has a
            model for it and OpenVINO is installed. keras never opens what is meant for OpenVINO.
        precision: float32, or bfloat16 with OpenVINO.
        batch_size: Images that Keras is given at a time; None for its default.

    Raises:
        BundleError: If the bundle is missing, damaged, of another version or not as tlkit writes it, or if the model
            does not give the answers that it gave when it was saved; or if it has none for OpenVINO, and that is asked
            for.
        BackboneError: OpenVINO is asked for and not installed.
        SettingError: A setting does not go with the engine.
    """
    folder = find_bundle(path)
    spec, hashes = read_description(folder, loader_version=loader_version)
    if engine == "openvino":
        require_openvino()
        if OPENVINO_GRAPH_FILE not in hashes:
            raise refusal(
                f"--engine openvino: {folder} carries no model for OpenVINO.",
                expected="a bundle that was trained where OpenVINO is installed",
                fix="give --engine keras, or leave --engine out.",
            )
    if engine == "openvino" or (engine == "auto" and OPENVINO_GRAPH_FILE in hashes and has_openvino()):
        if batch_size is not None:
            raise SettingError(
                f"--batch-size {batch_size} has no effect: OpenVINO computes every image by itself.",
                expected="--batch-size only with Keras",
                fix="leave out --batch-size, or give --engine keras.",
            )
        from tlkit.models.exports.openvino import read_openvino_classifier

        return read_openvino_classifier(folder, spec, hashes, precision=precision)
    if precision != "float32":
        raise SettingError(
            f"--precision {precision} has no effect: Keras predicts in float32.",
            expected=f"--precision {precision} only with OpenVINO, and a bundle that carries a model for it",
            fix="leave out --precision.",
        )
    start_keras()
    from tlkit.models.saving import read_bundle

    classifier = read_bundle(path, loader_version=loader_version)
    if batch_size is not None:
        classifier.batch_size = batch_size
    return classifier
