"""PyTorch: the pooled vectors of a folder of images, with a Pillow data set, a `DataLoader` and a loop in eager mode."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from benchmarks.peers.torch_networks import BUILDERS
from benchmarks.side_by_side.job import run_job

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
DEVIATION = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)


class Photos(Dataset):  # type: ignore[misc]
    """The images below a folder: float32 (3, 224, 224), normalised as PyTorch's pretrained networks want it."""

    def __init__(self, folder: str) -> None:
        self.paths = sorted(path for path in Path(folder).rglob("*") if path.is_file())

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        with Image.open(self.paths[index]) as picture:
            pixels = np.array(picture.convert("RGB").resize((224, 224), Image.Resampling.BILINEAR))
        return (torch.from_numpy(pixels).permute(2, 0, 1) / 255 - MEAN) / DEVIATION


def compute_features(data: str, backbone: str, bfloat16: bool) -> dict[str, Any]:
    """Build the network, with random weights, and compute the features of all images.

    Args:
        data: The folder.
        backbone: A key of `BUILDERS`.
        bfloat16: Whether under `autocast` to bfloat16; in float32 otherwise.
    """
    start = time.perf_counter()
    model = BUILDERS[backbone]().eval().to(memory_format=torch.channels_last)
    loader = DataLoader(Photos(data), batch_size=32, num_workers=os.cpu_count() or 1)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        features = [model(images.to(memory_format=torch.channels_last)).float() for images in loader]
    return {"seconds": time.perf_counter() - start, "images": len(torch.cat(features))}


if __name__ == "__main__":
    run_job(compute_features)
