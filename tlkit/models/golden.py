"""Golden samples: a few images with the model's outputs when it was saved, to check a loaded model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tlkit.models.predictor import Predictor
from tlkit.models.storage import GOLDEN_FILE, golden_kinds
from tlkit.models.tensors import open_tensors
from tlkit.untrusted import refusal

GOLDEN_TOLERANCE = 1e-3


def check_golden_samples(model: Predictor, folder: Path, sha256: str) -> None:
    """Check that a model's outputs are those saved with it.

    Args:
        model: The loaded model.
        folder: The bundle folder.
        sha256: Hash of the file of golden samples, in hex.

    Raises:
        BundleError: If the file is invalid, or an output differs by more than 0.001.
    """
    path = folder / GOLDEN_FILE
    with open_tensors(path) as file:
        file.check_kinds(golden_kinds(file, model.spec, place=str(path)))
        golden = dict(file.read(sha256))
    difference = float(np.abs(predict_one_by_one(model, golden) - golden["answers"]).max())
    if not difference <= GOLDEN_TOLERANCE:  # also fails for NaN
        raise refusal(
            f"{path}: the model's outputs differ from the saved ones by up to {difference:.2g}.",
            expected=f"at most {GOLDEN_TOLERANCE:g}",
        )


def predict_one_by_one(model: Predictor, golden: Mapping[str, np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    """Return what a model says of `images` with their `metadata`, if any, in batches of one, as when it was saved."""
    images, metadata = golden["images"], golden.get("metadata")
    rows = [None if metadata is None else metadata[number : number + 1] for number in range(len(images))]
    return np.concatenate(
        [model.predict_for_comparison(image[np.newaxis], row) for image, row in zip(images, rows, strict=True)]
    )
