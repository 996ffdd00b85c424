"""Open a bundle for prediction, with an engine for which it has a network, or with Keras."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tlkit.devices import AllDevices, as_word, choose_devices
from tlkit.errors import SettingError, name_fix
from tlkit.models.networks import NETWORK_FORMATS, PREDICTION_ENGINES, find_network_format
from tlkit.models.networks.base import NetworkFormat
from tlkit.models.predictor import Predictor
from tlkit.models.storage import find_bundle, read_description
from tlkit.runtime import start_keras
from tlkit.untrusted import refusal


def open_classifier(
    path: Path,
    *,
    loader_version: int,
    engine: str = "auto",
    precision: str = "float32",
    batch_size: int | None = None,
    devices: int | AllDevices = 1,
) -> Predictor:
    """Return a bundle's model, ready to predict.

    Args:
        path: A run folder, or the bundle folder.
        loader_version: The version of this tlkit's image loader (`tlkit.data.images.LOADER_VERSION`).
        engine: One of `PREDICTION_ENGINES`: keras, which takes 3 to 9 seconds to start; openvino, less than one; or
            auto: the first of `NETWORK_FORMATS` that runs here and for which the bundle has a network, else keras.
        precision: float32, or bfloat16 with OpenVINO.
        batch_size: Batch size of Keras; None for its default.
        devices: How many GPUs Keras computes on, each in turn.

    Raises:
        BundleError: If the bundle is missing, damaged, invalid or of another version; if the model's outputs differ
            from the saved ones; or if it has no network for the requested engine.
        BackboneError: The requested engine is not installed.
        SettingError: The engine is unknown, or does not support a setting, or there are not as many devices.
    """
    folder = find_bundle(path)
    spec, hashes = read_description(folder, loader_version=loader_version)
    network_format = _choose_format(engine, folder, hashes)
    _check_precision(precision, network_format)
    if network_format is not None:
        _check_keras_settings(network_format, batch_size, devices)
        from tlkit.models.networks.classifier import read_network_classifier

        return read_network_classifier(network_format, folder, spec, hashes, precision=precision)
    chosen = choose_devices(devices)
    start_keras()
    from tlkit.models.saving import read_bundle

    classifier = read_bundle(path, loader_version=loader_version)
    if batch_size is not None:
        classifier.batch_size = batch_size
    if chosen:
        classifier.spread(chosen)
    return classifier


def _check_keras_settings(network_format: NetworkFormat, batch_size: int | None, devices: int | AllDevices) -> None:
    """Raise SettingError if a setting is given that only Keras has."""
    title = network_format.title
    for option, value, is_given, reason in (
        ("--batch-size", batch_size, batch_size is not None, "computes one image at a time"),
        ("--devices", as_word(devices), devices != 1, "uses all cores of the processor as one device"),
    ):
        if is_given:
            raise SettingError(
                f"{option} {value} has no effect: {title} {reason}.",
                expected=f"{option} only with Keras",
                fix=f"leave out {option}, or use --engine keras.",
            )


def _choose_format(engine: str, folder: Path, hashes: Mapping[str, str]) -> NetworkFormat | None:
    """Return the format to run the model in; None for Keras."""
    if engine not in PREDICTION_ENGINES:
        raise SettingError(
            f"--engine {engine}: unknown engine.",
            expected=f"one of {', '.join(PREDICTION_ENGINES)}",
            fix=name_fix(engine, PREDICTION_ENGINES),
        )
    if engine not in NETWORK_FORMATS:
        candidates = map(find_network_format, NETWORK_FORMATS if engine == "auto" else ())
        return next((each for each in candidates if each.is_in(hashes) and each.is_available), None)
    network_format = find_network_format(engine)
    network_format.require()
    if not network_format.is_in(hashes):
        raise refusal(
            f"--engine {engine}: {folder} has no model for {network_format.title}.",
            expected=f"a bundle saved with {network_format.title} installed",
            fix="use --engine keras, or leave out --engine.",
        )
    return network_format


def _check_precision(precision: str, network_format: NetworkFormat | None) -> None:
    title, precisions = (network_format.title, network_format.precisions) if network_format else ("Keras", ("float32",))
    if precision in precisions:
        return
    capable = [each.title for each in map(find_network_format, NETWORK_FORMATS) if precision in each.precisions]
    raise SettingError(
        f"--precision {precision} has no effect: {title} predicts in {' or '.join(precisions)}.",
        expected=f"--precision {precision} only with {' or '.join(capable)}, and a bundle that has a model for it"
        if capable
        else "a precision that an engine supports",
        fix="leave out --precision.",
    )
