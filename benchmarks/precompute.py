"""Measure `tlkit precompute` against what a user would write in stock Keras, side by side.

Both sides start from the same JPEG files on disk and end with the backbone's pooled vector of every image:

    stock   keras.utils.image_dataset_from_directory and model.predict, in batches of 32
    tlkit   tlkit precompute with an empty cache: find and check the files, decode, run the backbone, write the cache

Everything after TensorFlow's import is inside the clock, so building the model counts on both sides. The two sides take
turns, the first of a pair alternating, and the table gives the median and the spread (lowest to highest) of the rounds.
The weights are random: they do not change the speed.

    make bench
    make bench ARGS="--photos FOLDER --backbone resnet50 --rounds 5"
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
from PIL import Image

from tlkit.backbones.catalogue import find_backbone
from tlkit.cli.main import main as tlkit
from tlkit.reports.console import Console
from tlkit.runtime import start_keras

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")
BATCH_SIZE = 32


@click.command()
@click.option("--photos", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Use these photos.")
@click.option("--count", default=400, show_default=True, help="Photos to draw, or to use at most.")
@click.option("--backbone", "names", multiple=True, default=("mobilenet_v2", "resnet50"), show_default=True)
@click.option("--rounds", default=3, show_default=True, help="Times that each side runs.")
def main(photos: Path | None, count: int, names: tuple[str, ...], rounds: int) -> None:
    """Print images a second of stock Keras and of tlkit, and their ratio, for each backbone."""
    start_keras(seed=0)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    console = Console()
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "data"
        num_images = link_photos(photos, data, count) if photos else draw_photos(data, count)
        console.say(f"{num_images} photos, {rounds} rounds; images a second, median (lowest to highest)")
        rows = []
        for name in names:
            rates = measure_pairs(name, data, num_images, rounds, scratch=Path(scratch))
            ratios = [fast / slow for slow, fast in zip(rates["stock"], rates["tlkit"], strict=True)]
            rows.append([name, *(summarise(values) for values in (rates["stock"], rates["tlkit"], ratios))])
    console.table("Precompute", ["backbone", "stock Keras", "tlkit", "ratio"], rows)


def draw_photos(data: Path, count: int) -> int:
    """Draw `count` JPEG files of 500 x 375 with smooth colours, edges and grain, in two class folders; return `count`."""
    rng = np.random.default_rng(0)
    for index in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize(
            (500, 375), Image.Resampling.BICUBIC
        )
        pixels = np.asarray(coarse, np.int16) + rng.integers(-12, 13, (375, 500, 3))
        left, top = rng.integers(0, 300, 2)
        pixels[top : top + 75, left : left + 200] = rng.integers(0, 256, 3)
        path = data / f"class_{index % 2}" / f"{index:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path, quality=90)
    return count


def link_photos(photos: Path, data: Path, count: int) -> int:
    """Link at most `count` photos found below `photos` into two class folders and return how many there are."""
    paths = sorted(path for path in photos.rglob("*") if path.suffix.lower() in SUFFIXES)[:count]
    for index, path in enumerate(paths):
        link = data / f"class_{index % 2}" / f"{index:05d}{path.suffix}"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path.resolve())
    return len(paths)


def measure_pairs(name: str, data: Path, num_images: int, rounds: int, *, scratch: Path) -> dict[str, list[float]]:
    """Return the images a second of each side by round; the side that starts alternates."""
    sides: dict[str, Callable[[], None]] = {
        "stock": lambda: predict_with_stock_keras(name, data, num_images),
        "tlkit": lambda: precompute_with_tlkit(name, data, num_images, scratch),
    }
    rates: dict[str, list[float]] = {side: [] for side in sides}
    for number in range(rounds):
        for side in list(sides) if number % 2 == 0 else list(sides)[::-1]:
            start = time.perf_counter()
            sides[side]()
            rates[side].append(num_images / (time.perf_counter() - start))
    return rates


def predict_with_stock_keras(name: str, data: Path, num_images: int) -> None:
    """Compute the pooled vectors as Keras' own guides do."""
    import keras

    entry = find_backbone(name)
    edge = entry.image_size
    builder: Any = getattr(keras.applications, entry.keras_name)
    model = builder(include_top=False, weights=None, pooling="avg", input_shape=(edge, edge, 3))
    preprocess = {
        "caffe": keras.applications.resnet.preprocess_input,
        "tf": keras.applications.mobilenet_v2.preprocess_input,
        "torch": keras.applications.densenet.preprocess_input,
        "inside": lambda images: images,
    }[entry.preprocessing]
    images = keras.utils.image_dataset_from_directory(
        data, labels=None, image_size=(edge, edge), batch_size=BATCH_SIZE, shuffle=False, verbose=False
    )
    features = model.predict(images.map(preprocess), verbose=0)
    assert features.shape[0] == num_images


def precompute_with_tlkit(name: str, data: Path, num_images: int, scratch: Path) -> None:
    """Run the command in this process with a cache folder of its own."""
    output = io.StringIO()
    with tempfile.TemporaryDirectory(dir=scratch) as cache, contextlib.redirect_stdout(output):
        os.environ["TLKIT_CACHE"] = cache
        words = ["precompute", str(data), "--backbone", name, "--head", "linear", "--weights", "random", "--json", "-q"]
        # Random weights can give features too small for float16.
        exit_code = tlkit([*words, "--feature-dtype", "float32"])
    assert exit_code == 0
    assert json.loads(output.getvalue())["misses"] == num_images


def summarise(values: list[float]) -> str:
    """Return `median (lowest to highest)`."""
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


if __name__ == "__main__":
    main()
