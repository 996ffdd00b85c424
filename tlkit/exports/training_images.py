"""Read the training images from which a quantised network takes the ranges of its numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tlkit.data.manifest import read_manifest
from tlkit.errors import DataError
from tlkit.exports.base import MAX_CALIBRATION_IMAGES, CalibrationImages
from tlkit.inference.scoring import read_usable
from tlkit.models.spec import BundleSpec
from tlkit.runs.evaluation_set import find_run_folder


def read_calibration_images(run: Path, spec: BundleSpec) -> CalibrationImages:
    """Read up to 100 training images of a run, evenly spread over its manifest.

    Args:
        run: A run folder, or the bundle folder in it.
        spec: The model's description.

    Raises:
        DataError: There is no run, or none of its training images can be read.
    """
    folder = find_run_folder(run)
    records = () if folder is None else read_manifest(folder).in_split("train")
    step = max(1, -(-len(records) // MAX_CALIBRATION_IMAGES))
    found = list(read_usable(records[::step], spec))
    if not found:
        raise DataError(
            f"{run} has no training images from which a quantised model could take the ranges of its numbers.",
            expected="a run folder whose training images are where they were",
            fix="restore them, or leave out --precision int8.",
        )
    images = np.stack([image for _, image in found])
    return CalibrationImages(images, spec.metadata.encode([record.metadata for record, _ in found]))
