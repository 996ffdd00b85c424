"""Open a bundle for prediction, with an engine for which it has a network, or with Keras."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tlkit.errors import SettingError, name_fix
from tlkit.models.exports import EXPORTS, PREDICTION_ENGINES, find_export
from tlkit.models.exports.base import Export
from tlkit.models.predictor import Predictor
from tlkit.models.storage import find_bundle, read_description
from tlkit.runtime import start_keras
from tlkit.untrusted import refusal


def open_classifier(
    path: Path, *, loader_version: int, engine: str = "auto", precision: str = "float32", batch_size: int | None = None
) -> Predictor:
    """Return a bundle's model, ready to predict.

    Args:
        path: A run folder, or the bundle folder.
        loader_version: The version of this tlkit's image loader (`tlkit.data.images.LOADER_VERSION`).
        engine: One of `PREDICTION_ENGINES`: keras, which takes 3 to 9 seconds to start; openvino, less than one; or
            auto: the first of `EXPORTS` that runs here and for which the bundle has a network, else keras.
        precision: float32, or bfloat16 with OpenVINO.
        batch_size: Batch size of Keras; None for its default.

    Raises:
        BundleError: If the bundle is missing, damaged, invalid or of another version; if the model's outputs differ
            from the saved ones; or if it has no network for the requested engine.
        BackboneError: The requested engine is not installed.
        SettingError: The engine is unknown, or does not support a setting.
    """
    folder = find_bundle(path)
    spec, hashes = read_description(folder, loader_version=loader_version)
    export = _choose_export(engine, folder, hashes)
    _check_precision(precision, export)
    if export is not None:
        if batch_size is not None:
            raise SettingError(
                f"--batch-size {batch_size} has no effect: {export.title} computes one image at a time.",
                expected="--batch-size only with Keras",
                fix="leave out --batch-size, or use --engine keras.",
            )
        from tlkit.models.exports.classifier import read_exported_classifier

        return read_exported_classifier(export, folder, spec, hashes, precision=precision)
    start_keras()
    from tlkit.models.saving import read_bundle

    classifier = read_bundle(path, loader_version=loader_version)
    if batch_size is not None:
        classifier.batch_size = batch_size
    return classifier


def _choose_export(engine: str, folder: Path, hashes: Mapping[str, str]) -> Export | None:
    """Return the format to run the model in; None for Keras."""
    if engine not in PREDICTION_ENGINES:
        raise SettingError(
            f"--engine {engine}: unknown engine.",
            expected=f"one of {', '.join(PREDICTION_ENGINES)}",
            fix=name_fix(engine, PREDICTION_ENGINES),
        )
    if engine not in EXPORTS:
        candidates = map(find_export, EXPORTS if engine == "auto" else ())
        return next((export for export in candidates if export.is_in(hashes) and export.is_available), None)
    export = find_export(engine)
    export.require()
    if not export.is_in(hashes):
        raise refusal(
            f"--engine {engine}: {folder} has no model for {export.title}.",
            expected=f"a bundle saved with {export.title} installed",
            fix="use --engine keras, or leave out --engine.",
        )
    return export


def _check_precision(precision: str, export: Export | None) -> None:
    title, precisions = (export.title, export.precisions) if export else ("Keras", ("float32",))
    if precision in precisions:
        return
    capable = [each.title for each in map(find_export, EXPORTS) if precision in each.precisions]
    raise SettingError(
        f"--precision {precision} has no effect: {title} predicts in {' or '.join(precisions)}.",
        expected=f"--precision {precision} only with {' or '.join(capable)}, and a bundle that has a model for it"
        if capable
        else "a precision that an engine supports",
        fix="leave out --precision.",
    )
