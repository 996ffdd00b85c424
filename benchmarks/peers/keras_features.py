"""Stock Keras: the pooled vectors of a folder of images, with `image_dataset_from_directory` and `predict`."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.peers.keras_networks import NETWORKS, build_base, read_images
from benchmarks.side_by_side.job import run_job


def compute_features(data: str, backbone: str) -> dict[str, Any]:
    """Build the network, with random weights, and compute the features of all images."""
    start = time.perf_counter()
    model = build_base(backbone, weights=None, pooling="avg")
    preprocess = NETWORKS[backbone].preprocess
    images = read_images(data, shuffle=False).map(lambda batch, labels: preprocess(batch))
    features = model.predict(images, verbose=0)
    return {"seconds": time.perf_counter() - start, "images": len(features)}


if __name__ == "__main__":
    run_job(compute_features)
