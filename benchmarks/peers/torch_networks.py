"""ResNet50 and VGG16 in plain PyTorch, without their tops: the same layers as in `keras.applications`, random weights."""

from __future__ import annotations

import torch
from torch import nn


class Bottleneck(nn.Module):  # type: ignore[misc]
    """A residual block of ResNet50, its stride in the first convolution as in the paper and in Keras."""

    def __init__(self, num_inputs: int, width: int, stride: int, *, projects: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_convolution(num_inputs, width, 1, stride),
            nn.ReLU(inplace=True),
            *_convolution(width, width, 3),
            nn.ReLU(inplace=True),
            *_convolution(width, 4 * width, 1),
        )
        self.shortcut = nn.Sequential(*_convolution(num_inputs, 4 * width, 1, stride)) if projects else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the block's output for a feature map (n, channels, height, width)."""
        return torch.relu(self.body(x) + self.shortcut(x))


def build_resnet50() -> nn.Module:
    """Return ResNet50 up to its pooled vector: float (n, 3, height, width) to (n, 2048)."""
    parts = [*_convolution(3, 64, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    num_inputs = 64
    for width, depth in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for number in range(depth):
            stride = 2 if number == 0 and width > 64 else 1
            parts.append(Bottleneck(num_inputs, width, stride, projects=number == 0))
            num_inputs = 4 * width
    return nn.Sequential(*parts, *_pool())


def build_vgg16() -> nn.Module:
    """Return VGG16 up to its pooled vector: float (n, 3, height, width) to (n, 512)."""
    parts: list[nn.Module] = []
    num_inputs = 3
    for width, depth in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(depth):
            parts += [nn.Conv2d(num_inputs, width, 3, padding=1), nn.ReLU(inplace=True)]
            num_inputs = width
        parts.append(nn.MaxPool2d(2))
    return nn.Sequential(*parts, *_pool())


BUILDERS = {"resnet50": build_resnet50, "vgg16": build_vgg16}
WIDTHS = {"resnet50": 2048, "vgg16": 512}
"""Numbers in the pooled vector."""
NUM_BLOCKS_OF_CONV5 = 3


def _convolution(num_inputs: int, num_outputs: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(num_inputs, num_outputs, kernel, stride, padding=kernel // 2, bias=False)
    return [convolution, nn.BatchNorm2d(num_outputs)]


def _pool() -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
