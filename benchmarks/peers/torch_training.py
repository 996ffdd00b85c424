"""PyTorch: fine-tuning as fastai and timm do it, in a plain loop: channels last, AdamW, frozen layers without gradients."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import nn

from benchmarks.peers.torch_networks import BUILDERS, NUM_BLOCKS_OF_CONV5, WIDTHS, Bottleneck
from benchmarks.peers.torch_photos import Photos, load_batches
from benchmarks.side_by_side.job import run_job


def train(
    data: str, backbone: str, trained: str, learning_rate: float, epochs: int, bfloat16: bool, compiles: bool
) -> dict[str, Any]:
    """Train on the folders train and validation in `data`, from random weights.

    Args:
        data: The folder.
        backbone: A key of `BUILDERS`.
        trained: `conv5_`, or `all`. Batch norm is not trained, and its statistics stand still.
        learning_rate: AdamW's.
        epochs: Passes over the training images.
        bfloat16: Whether under `autocast` to bfloat16; in float32 otherwise.
        compiles: Whether by `torch.compile`; in eager mode otherwise.

    Returns:
        `seconds` of an epoch after the first, validation included.
    """
    photos = {split: Photos(f"{data}/{split}") for split in ("train", "validation")}
    loaders = {split: load_batches(each, shuffle=split == "train") for split, each in photos.items()}
    model = nn.Sequential(
        BUILDERS[backbone](), nn.Dropout(0.2), nn.Linear(WIDTHS[backbone], len(photos["train"].names))
    )
    model = model.to(memory_format=torch.channels_last)
    _freeze(model, trained)
    optimizer = torch.optim.AdamW([each for each in model.parameters() if each.requires_grad], learning_rate)
    run = torch.compile(model, dynamic=False) if compiles else model

    def compute_loss(images: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            outputs = run(images.to(memory_format=torch.channels_last))
        return nn.functional.cross_entropy(outputs.float(), classes)

    ends = []
    for _ in range(epochs):
        _set_mode(model, is_training=True)
        for images, classes in loaders["train"]:
            optimizer.zero_grad(set_to_none=True)
            compute_loss(images, classes).backward()
            optimizer.step()
        _set_mode(model, is_training=False)
        with torch.no_grad():
            for images, classes in loaders["validation"]:
                compute_loss(images, classes)
        ends.append(time.perf_counter())
    return {"seconds": (ends[-1] - ends[0]) / (len(ends) - 1)}


def _freeze(model: nn.Module, trained: str) -> None:
    """Leave gradients to the layers that are trained, none of batch norm."""
    blocks = [each for each in model.modules() if isinstance(each, Bottleneck)]
    unfrozen = [model] if trained == "all" else [*blocks[-NUM_BLOCKS_OF_CONV5:], model[-1]]
    model.requires_grad_(False)
    for part in unfrozen:
        part.requires_grad_(True)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.requires_grad_(False)


def _set_mode(model: nn.Module, *, is_training: bool) -> None:
    model.train(is_training)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


if __name__ == "__main__":
    run_job(train)
