"""What a stage learns from and is judged by: its figures are computed again, image by image.

The rates are so small that no weight moves, so each loss is that of the model which the run starts from: of the training
images in the views that were drawn, of the validation images as they are.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from tlkit.cli.main import main
from tlkit.data.box_views import place_box
from tlkit.data.image_file import ImageFile
from tlkit.data.images import LOADER_VERSION
from tlkit.data.manifest import ImageRecord, read_manifest
from tlkit.data.views import View, draw_view
from tlkit.models.classifier import Classifier, assemble_classifier
from tlkit.models.saving import write_bundle
from tlkit.models.spec import BundleSpec
from tlkit.recipes import HeadSettings
from tlkit.tasks import find_task
from tlkit.training.batches import EpochPlan
from tlkit.training.losses import compute_box_losses, compute_class_weights, compute_iou

pytestmark = pytest.mark.usefixtures("untraced_module")

SIZE = (32, 32)
CLASSES = ("carp", "eel")
NUM_TRAIN = {"carp": 9, "eel": 3}
RECIPE = """
[data]
boxes = "photos.csv"

[backbone]
feature_dtype = "float32"

[training]
seed = 3
class_weight = "balanced"
label_smoothing = 0.1
focal = 1.5
box_loss = "huber"
box_weight = 3.0

[[stage]]
unfreeze = "conv2"
epochs = 1
batch_size = 5
lr = 1e-12
views = 3
policy = "strong"

[[stage]]
unfreeze = "all"
epochs = 2
batch_size = 5
lr = 1e-12
policy = "crops"
patience = 0
"""


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    """A model of random weights that says a class and a box."""
    spec = BundleSpec(
        "mnist_cnn", SIZE, "crop", LOADER_VERSION, "none", HeadSettings("flat", dropout=0.0), CLASSES, has_box=True
    )
    classifier = assemble_classifier(spec, weights="random", seed=1)
    rng = np.random.default_rng(0)
    for weight in classifier.head.trainable_weights:
        weight.assign(rng.normal(size=weight.shape, scale=0.3))
    return classifier


@pytest.fixture(scope="module")
def run(classifier: Classifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose stages move nothing, on a table of coloured patterns; the first picture has no box."""
    root = tmp_path_factory.mktemp("stages")
    rng = np.random.default_rng(5)
    rows: list[tuple[object, ...]] = []
    for split, counts in (("train", NUM_TRAIN), ("validation", {"carp": 4, "eel": 4})):
        for class_name, count in counts.items():
            for number in range(count):
                path = root / f"{split}-{class_name}-{number}.png"
                small = Image.fromarray(rng.integers(0, 256, (4, 5, 3), np.uint8))
                small.resize((60, 48), Image.Resampling.BILINEAR).save(path)
                left, top = (int(edge) for edge in rng.integers(0, (36, 24)))
                box = (left, top, left + 24, top + 20) if rows else ("", "", "", "")
                rows.append((path.name, class_name, split, *box))
    with (root / "photos.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label", "split", "xmin", "ymin", "xmax", "ymax"), *rows])
    (root / "recipe.toml").write_text(RECIPE)
    write_bundle(root / "bundle", classifier, classifier.spec, np.zeros((1, *SIZE, 3), np.uint8))
    words = ["run", root / "recipe.toml", root / "photos.csv", "--start-from", root / "bundle", "--out", root / "run"]
    assert main([*map(str, words), "-q"]) == 0
    return root / "run"


def compute_figures(
    classifier: Classifier, records: Sequence[ImageRecord], views: Sequence[View | None], *, is_training: bool
) -> dict[str, float]:
    """Return the loss and the mean IoU of a model, of each image in its view."""
    images, boxes, box_weights = [], [], []
    for record, view in zip(records, views, strict=True):
        images.append(ImageFile(record.path.read_bytes()).render(image_size=SIZE, fit="crop", view=view))
        box, weight = np.zeros(4, np.float32), 0.0
        if record.box is not None:
            picture_size = (record.height, record.width)
            box, weight = place_box(record.box, view or View(), picture_size=picture_size, image_size=SIZE, fit="crop")
        boxes.append(box)
        box_weights.append(weight)
    outputs = classifier.forward(np.stack(images), np.zeros((len(images), 0), np.float32))
    labels = np.array([CLASSES.index(record.answer) for record in records], np.int32)
    shaping = {"label_smoothing": 0.1, "focal": 1.5} if is_training else {}
    answer_losses = keras.ops.convert_to_numpy(
        find_task("classification").compute_losses(labels, outputs["answer"], **shaping)
    )
    if is_training:
        answer_losses = answer_losses * compute_class_weights(labels, num_classes=2, mode="balanced")
    truth, weights = np.stack(boxes).astype(np.float32), np.array(box_weights, np.float32)
    box_losses = weights * keras.ops.convert_to_numpy(compute_box_losses("huber", truth, outputs["box"]))
    ious = weights * keras.ops.convert_to_numpy(compute_iou(truth, outputs["box"]))
    return {"loss": float(np.mean(answer_losses + 3.0 * box_losses)), "iou": float(ious.sum() / weights.sum())}


def read_figures(run: Path, row: int, split: str) -> dict[str, float]:
    with (run / "history.csv").open(newline="") as file:
        figures = list(csv.DictReader(file))[row]
    return {name: float(figures[f"{split}_{name}"]) for name in ("loss", "iou")}


def test_a_stage_on_cached_features_learns_from_the_views_drawn_for_it(run: Path, classifier: Classifier) -> None:
    records = read_manifest(run).in_split("train")
    images, drawn = map(np.concatenate, EpochPlan(len(records), 5, 3, seed=3001).draw(0))
    numbers = drawn[np.argsort(images)]
    views = [
        draw_view("strong", seed=3, sha256=record.sha256, index=int(number))
        for record, number in zip(records, numbers, strict=True)
    ]
    expected = compute_figures(classifier, records, views, is_training=True)
    assert read_figures(run, 0, "train") == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("epoch", [0, 1])
def test_a_stage_on_pictures_learns_from_fresh_views_of_them(run: Path, classifier: Classifier, epoch: int) -> None:
    records = read_manifest(run).in_split("train")
    views = [draw_view("crops", seed=3, sha256=record.sha256, index=epoch + 1) for record in records]
    expected = compute_figures(classifier, records, views, is_training=True)
    assert read_figures(run, 1 + epoch, "train") == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("row", [0, 1, 2])
def test_a_stage_is_judged_by_the_validation_images_as_they_are(run: Path, classifier: Classifier, row: int) -> None:
    records = read_manifest(run).in_split("validation")
    expected = compute_figures(classifier, records, [None] * len(records), is_training=False)
    assert read_figures(run, row, "validation") == pytest.approx(expected, rel=1e-4)
