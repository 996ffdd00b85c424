"""Stock Keras: write what a later program needs, a file of weights or a saved classifier, both random."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

from benchmarks.peers.keras_networks import build_base, build_guide_model
from benchmarks.side_by_side.job import run_job


def write_file(backbone: str, path: str) -> dict[str, Any]:
    """Write to `path`, a `.weights.h5` of the network without its top, or a `.keras` of a classifier of two classes."""
    keras.utils.set_random_seed(0)
    base = build_base(backbone, weights=None)
    if Path(path).suffix == ".keras":
        build_guide_model(backbone, base, num_classes=2).save(path)
    else:
        base.save_weights(path)
    return {}


if __name__ == "__main__":
    run_job(write_file)
