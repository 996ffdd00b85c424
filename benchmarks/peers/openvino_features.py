"""Stock OpenVINO: the pooled vectors of a folder of images, by a Keras network that it converts, with its asynchronous queue."""

from __future__ import annotations

import tempfile
import time
from typing import Any

import keras
import numpy as np
import openvino

from benchmarks.peers.keras_networks import IMAGE_SIZE, NETWORKS, build_base, read_images
from benchmarks.side_by_side.job import run_job


def compute_features(data: str, backbone: str) -> dict[str, Any]:
    """Build the network, with random weights, convert it, and compute the features of all images."""
    start = time.perf_counter()
    base = build_base(backbone, weights=None, pooling="avg")
    inputs = keras.Input((*IMAGE_SIZE, 3))
    model = keras.Model(inputs, base(NETWORKS[backbone].preprocess(inputs)))
    with tempfile.TemporaryDirectory() as scratch:
        model.export(scratch, verbose=False)
        converted = openvino.convert_model(scratch)
    compiled = openvino.compile_model(converted, "CPU", {"PERFORMANCE_HINT": "THROUGHPUT"})
    queue = openvino.AsyncInferQueue(compiled)
    features: dict[int, np.ndarray] = {}

    def keep(request: Any, number: int) -> None:
        features[number] = request.get_output_tensor(0).data.copy()

    queue.set_callback(keep)
    for number, (images, _) in enumerate(read_images(data, shuffle=False)):
        queue.start_async({0: images.numpy()}, number)
    queue.wait_all()
    return {"seconds": time.perf_counter() - start, "images": sum(map(len, features.values()))}


if __name__ == "__main__":
    run_job(compute_features)
