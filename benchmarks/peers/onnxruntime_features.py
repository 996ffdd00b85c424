"""ONNX Runtime: the pooled vectors of a folder of images, by a network that PyTorch exports, in float32 or quantized to int8.

Its own tools quantize, as its documentation tells: static quantization, a scale for each channel of the weights.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from benchmarks.peers.torch_networks import BUILDERS
from benchmarks.peers.torch_photos import Photos, load_batches
from benchmarks.side_by_side.job import run_job

NUM_CALIBRATION_IMAGES = 64


class Batches(CalibrationDataReader):  # type: ignore[misc]
    """The first images, for calibration."""

    def __init__(self, photos: Photos) -> None:
        self._images: Iterator[np.ndarray] = (
            photos[index][0].numpy()[None] for index in range(min(NUM_CALIBRATION_IMAGES, len(photos)))
        )

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Return the next image; None when there are no more."""
        image = next(self._images, None)
        return None if image is None else {"images": image}


def compute_features(data: str, backbone: str, int8: bool) -> dict[str, Any]:
    """Build the network, with random weights, export it, and compute the features of all images.

    Args:
        data: The folder.
        backbone: A key of `BUILDERS`.
        int8: Whether the network is quantized first.
    """
    start = time.perf_counter()
    photos = Photos(data)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "network.onnx"
        torch.onnx.export(
            BUILDERS[backbone]().eval(),
            (torch.zeros(2, 3, 224, 224),),
            file,
            input_names=["images"],
            dynamic_shapes={"input": {0: torch.export.Dim("n")}},
            verbose=False,
        )
        if int8:
            prepared, quantized = Path(scratch) / "prepared.onnx", Path(scratch) / "int8.onnx"
            quant_pre_process(file, prepared)
            quantize_static(
                prepared,
                quantized,
                Batches(photos),
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
            file = quantized
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    features = [session.run(None, {"images": images.numpy()})[0] for images, _ in load_batches(photos)]
    return {"seconds": time.perf_counter() - start, "images": len(np.concatenate(features))}


if __name__ == "__main__":
    run_job(compute_features)
