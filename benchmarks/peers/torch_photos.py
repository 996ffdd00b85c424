"""Folders of images for PyTorch, as its tutorials read them: a Pillow data set and a `DataLoader`."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
DEVIATION = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)


class Photos(Dataset):  # type: ignore[misc]
    """The images below a folder: float32 (3, 224, 224), normalised as PyTorch's pretrained networks want it, and the class.

    The class is the number of the image's folder, in the order of their names.
    """

    def __init__(self, folder: str) -> None:
        self.paths = sorted(path for path in Path(folder).rglob("*") if path.is_file())
        self.names = sorted({path.parent.name for path in self.paths})

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        path = self.paths[index]
        with Image.open(path) as picture:
            pixels = np.array(picture.convert("RGB").resize((224, 224), Image.Resampling.BILINEAR))
        number = self.names.index(path.parent.name)
        return (torch.from_numpy(pixels).permute(2, 0, 1) / 255 - MEAN) / DEVIATION, number


def load_batches(photos: Photos, *, shuffle: bool = False) -> DataLoader:
    """Return batches of 32, read by a worker for each core, which live on from epoch to epoch."""
    return DataLoader(photos, batch_size=32, shuffle=shuffle, num_workers=os.cpu_count() or 1, persistent_workers=True)
