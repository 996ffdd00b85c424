"""Measure the shipped weights of `tiny` on Tiny ImageNet again, with the classifier that is packed beside them.

    .venv/bin/python benchmarks/tiny_top1.py tiny-imagenet/validation

FOLDER holds a folder of images for each of the 200 classes, none of which the network was trained on.
"""

from __future__ import annotations

import json
from pathlib import Path

import click
import numpy as np
from safetensors import safe_open

from tlkit.backbones.weights import BUNDLED_FILES, stable_names
from tlkit.data.image_file import ImageFile
from tlkit.metrics.intervals import compute_wilson_interval
from tlkit.outputs import CLASSIFICATION
from tlkit.runtime import start_keras
from tlkit.tasks import Outputs

IMAGE_SIZE = 64
BATCH_SIZE = 100


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--image-size", default=IMAGE_SIZE, show_default=True, help="Edge of the square input in pixels.")
def main(folder: Path, image_size: int) -> None:
    """Print top-1 and top-5 accuracy with their 95% intervals."""
    start_keras()
    from tlkit.backbones.build import build_backbone
    from tlkit.backbones.catalogue import HEAD_PREFIX
    from tlkit.heads import build_head, call_head

    with safe_open(BUNDLED_FILES["tiny"], framework="numpy") as file:
        class_names = json.loads(file.metadata()["class_names"])
        names = [name for name in file.keys() if name.startswith(HEAD_PREFIX)]  # noqa: SIM118 - not a mapping
        head_weights = {name.removeprefix(HEAD_PREFIX): file.get_tensor(name) for name in names}
    backbone = build_backbone("tiny", image_size=(image_size, image_size), pooling="avg", weights="bundled")
    shape = backbone.feature_shape("top")
    head = build_head(
        "linear", feature_shape=shape, outputs=Outputs(CLASSIFICATION, len(class_names)), dropout=0.0, units=1
    )
    for name, variable in stable_names(head).items():
        variable.assign(head_weights[name])

    paths = sorted(path for path in folder.glob("*/*") if path.is_file())
    ranks = []
    for start in range(0, len(paths), BATCH_SIZE):
        batch = paths[start : start + BATCH_SIZE]
        pixels = [
            ImageFile(path.read_bytes()).render(image_size=(image_size, image_size), fit="squash") for path in batch
        ]
        features = backbone.model(np.stack(pixels).astype(np.float32), training=False)
        logits = np.asarray(call_head(head, features, None, training=False)["answer"])
        truth = np.array([class_names.index(path.parent.name) for path in batch])
        ranks.append((logits > np.take_along_axis(logits, truth[:, None], axis=1)).sum(axis=1))
    rank = np.concatenate(ranks)
    for most, name in ((1, "top-1"), (5, "top-5")):
        right = int((rank < most).sum())
        share = compute_wilson_interval(right, len(rank))
        click.echo(f"{name} {share.value:.3f} (95% interval {share.low:.3f} to {share.high:.3f}), {len(rank):,} images")


if __name__ == "__main__":
    main()
