"""PyTorch: the pooled vectors of a folder of images, with a Pillow data set, a `DataLoader` and a loop."""

from __future__ import annotations

import time
from typing import Any

import torch

from benchmarks.peers.torch_networks import BUILDERS
from benchmarks.peers.torch_photos import Photos, load_batches
from benchmarks.side_by_side.job import run_job


def compute_features(data: str, backbone: str, bfloat16: bool, compiles: bool) -> dict[str, Any]:
    """Build the network, with random weights, and compute the features of all images.

    Args:
        data: The folder.
        backbone: A key of `BUILDERS`.
        bfloat16: Whether under `autocast` to bfloat16; in float32 otherwise.
        compiles: Whether by `torch.compile`; in eager mode otherwise.
    """
    start = time.perf_counter()
    model = BUILDERS[backbone]().eval().to(memory_format=torch.channels_last)
    model = torch.compile(model, dynamic=False) if compiles else model
    loader = load_batches(Photos(data))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        features = [model(images.to(memory_format=torch.channels_last)).float() for images, _ in loader]
    return {"seconds": time.perf_counter() - start, "images": len(torch.cat(features))}


if __name__ == "__main__":
    run_job(compute_features)
