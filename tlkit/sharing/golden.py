"""Golden samples without anybody's photos: drawn shapes, and what the model says of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from tlkit.models.golden import predict_one_by_one
from tlkit.models.predictor import Predictor

NUM_SHAPES = 6


def draw_golden_samples(model: Predictor, count: int) -> dict[str, NDArray[Any]]:
    """Return golden samples of drawn pictures, without metadata of anybody.

    Args:
        model: The model, which answers.
        count: Number of pictures, at least 1.

    Returns:
        `images`, uint8 (n, height, width, 3), RGB, 0..255; `metadata`, float32 (n, width), all zeros, if the model takes
        any; and `answers`, float32 (n, comparison_width).
    """
    spec = model.spec
    golden: dict[str, NDArray[Any]] = {
        "images": np.stack([draw_shapes(number, spec.image_size) for number in range(count)])
    }
    if spec.metadata.width:
        golden["metadata"] = np.zeros((count, spec.metadata.width), np.float32)
    golden["answers"] = predict_one_by_one(model, golden)
    return golden


def draw_shapes(seed: int, image_size: tuple[int, int]) -> NDArray[np.uint8]:
    """Draw coloured ellipses and rectangles.

    Args:
        seed: Each gives another picture.
        image_size: (height, width) in pixels.

    Returns:
        uint8 (height, width, 3), RGB, 0..255.
    """
    rng = np.random.default_rng(seed)
    height, width = image_size

    def pick_color() -> tuple[int, ...]:
        return tuple(rng.integers(0, 256, 3).tolist())

    image = Image.new("RGB", (width, height), pick_color())
    draw = ImageDraw.Draw(image)
    for number in range(NUM_SHAPES):
        left, right = sorted(rng.integers(0, width, 2).tolist())
        top, bottom = sorted(rng.integers(0, height, 2).tolist())
        (draw.ellipse if number % 2 else draw.rectangle)((left, top, right, bottom), fill=pick_color())
    return np.asarray(image)
