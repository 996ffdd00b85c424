"""The recipes of the course notes build the networks of the notes, layer by layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tlkit.backbones.catalogue import find_backbone
from tlkit.heads import build_head
from tlkit.models.classifier import Classifier, assemble_classifier
from tlkit.models.spec import BundleSpec
from tlkit.outputs import CLASSIFICATION
from tlkit.recipes import Recipe, read_recipe, resolve_stages
from tlkit.tasks import Outputs
from tlkit.training.losses import compute_box_losses

RECIPES = Path(__file__).parent.parent / "recipes"
DIGITS = tuple("0123456789")
Layers = list[tuple[Any, ...]]


def read(name: str) -> Recipe:
    """Return a recipe that ships."""
    return read_recipe(RECIPES / f"{name}.toml")


def build(recipe: Recipe, class_names: tuple[str, ...]) -> Classifier:
    """Return the untrained model that a recipe asks for."""
    entry = find_backbone(recipe.backbone.name)
    spec = BundleSpec(
        backbone=entry.name,
        image_size=entry.choose_image_size(recipe.backbone.image_size),
        fit=recipe.backbone.fit,
        loader_version=1,
        pooling=recipe.head.record.pooling,
        head=recipe.head,
        class_names=class_names,
    )
    return assemble_classifier(spec, weights="random", seed=0)


def list_layers(model: Any) -> Layers:
    """Return kind, parameters and what else describes each layer of a model, without inputs and dropout that drops nothing."""
    found: Layers = []
    for layer in model.layers:
        kind = type(layer).__name__
        activation = getattr(getattr(layer, "activation", None), "__name__", "linear")
        if kind == "Conv2D":
            found.append((kind, layer.filters, layer.kernel_size, layer.padding, activation, layer.count_params()))
        elif kind == "Dense":
            found.append((kind, layer.units, activation, layer.count_params()))
        elif kind == "MaxPooling2D":
            found.append((kind, layer.pool_size, layer.strides))
        elif kind == "BatchNormalization":
            found.append((kind, layer.axis % len(layer.input.shape), layer.count_params()))
        elif kind == "Dropout" and layer.rate:
            found.append((kind, round(layer.rate, 3)))
        elif kind in ("Flatten", "Rescaling", "Concatenate"):
            found.append((kind,))
    return found


POOL: tuple[Any, ...] = ("MaxPooling2D", (2, 2), (2, 2))
MNIST: dict[str, Layers] = {
    "mnist_keras": [
        ("Conv2D", 32, (3, 3), "valid", "relu", 320), POOL, ("Conv2D", 64, (3, 3), "valid", "relu", 18_496), POOL,
        ("Flatten",), ("Dense", 10, "linear", 16_010),
    ],
    "mnist_torch": [
        ("Conv2D", 32, (3, 3), "valid", "relu", 320), POOL, ("Conv2D", 64, (2, 2), "valid", "relu", 8_256), POOL,
        ("Flatten",), ("Dense", 10, "linear", 64 * 6 * 6 * 10 + 10),
    ],
    "mnist_norm": [
        ("BatchNormalization", 3, 4), ("Conv2D", 32, (3, 3), "same", "relu", 320),
        ("Conv2D", 32, (3, 3), "same", "relu", 9_248), POOL, ("Flatten",), ("Dense", 10, "linear", 62_730),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", MNIST)
def test_the_mnist_networks_are_those_of_the_notes(name: str) -> None:
    classifier = build(read(name), DIGITS)
    assert [*list_layers(classifier.backbone.model), *list_layers(classifier.head)] == [("Rescaling",), *MNIST[name]]
    num_parameters = sum(layer[-1] for layer in MNIST[name] if layer[0] not in ("MaxPooling2D", "Flatten"))
    assert classifier.backbone.entry.num_parameters + classifier.head.count_params() == num_parameters
    assert f" {num_parameters:,} parameters" in (RECIPES / f"{name}.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "epochs", "batch_size", "validation"), [("mnist_keras", 15, 128, 0.1), ("mnist_torch", 20, 64, 0.1)]
)
def test_the_mnist_networks_learn_as_in_the_notes(name: str, epochs: int, batch_size: int, validation: float) -> None:
    recipe = read(name)
    (stage,) = resolve_stages(recipe)
    assert (stage.epochs, stage.batch_size, stage.lr, stage.schedule) == (epochs, batch_size, 1e-3, "constant")
    assert (stage.unfreeze, stage.policy, stage.patience) == ("all", "none", 0)
    assert (recipe.training.optimizer, recipe.data.validation_fraction) == ("adam", validation)


NUM_FISH = 8
FISHERIES: Layers = [
    POOL, ("BatchNormalization", 3, 4 * 512), ("Dropout", 0.125), ("Flatten",),
    ("Dense", 512, "relu", 12_845_568), ("BatchNormalization", 1, 4 * 512), ("Dropout", 0.5),
    ("Dense", 512, "relu", 262_656), ("BatchNormalization", 1, 4 * 512), ("Dropout", 0.25),
]  # fmt: skip


def build_fisheries_head(recipe: Recipe, *, has_box: bool = False, num_sizes: int = 0) -> Any:
    """Return the head of a recipe on VGG16's map at its image size."""
    assert (recipe.backbone.name, recipe.backbone.image_size) == ("vgg16", 448)
    edge = 448 // 2**5
    return build_head(
        recipe.head.kind,
        feature_shape=(edge, edge, 512),
        outputs=Outputs(CLASSIFICATION, NUM_FISH, has_box=has_box),
        metadata_width=num_sizes,
        dropout=recipe.head.dropout,
        units=recipe.head.units,
    )


def test_the_fisheries_model_merges_sizes_before_its_last_layer() -> None:
    recipe = read("fisheries_size")
    assert recipe.data.metadata == "image-shape"
    num_sizes = 5
    head = build_fisheries_head(recipe, num_sizes=num_sizes)
    last = ("Dense", NUM_FISH, "linear", (512 + num_sizes) * NUM_FISH + NUM_FISH)
    of_sizes = ("BatchNormalization", 1, 4 * num_sizes)
    found = list_layers(head)
    found.remove(of_sizes)
    assert found == [*FISHERIES, ("Concatenate",), last]
    join = head.get_layer("join")
    assert [each._keras_history.operation.name for each in join.input] == ["dropout_2", "metadata_norm"]
    assert head.get_layer("logits").input is join.output


def test_the_fisheries_model_with_boxes_has_two_outputs_on_the_same_layers() -> None:
    recipe = read("fisheries_boxes")
    assert recipe.data.boxes == "photos.csv"
    head = build_fisheries_head(recipe, has_box=True)
    found = list_layers(head)
    assert found[:-2] == FISHERIES
    assert sorted(found[-2:]) == [("Dense", 4, "sigmoid", 512 * 4 + 4), ("Dense", NUM_FISH, "linear", 512 * 8 + 8)]
    assert head.get_layer("box").input is head.get_layer("logits").input is head.get_layer("dropout_2").output


def test_the_box_counts_a_thousandth_of_its_error_in_pixels() -> None:
    training = read("fisheries_boxes").training
    boxes, predicted = np.random.default_rng(0).uniform(size=(2, 6, 4)).astype(np.float32)
    in_pixels = 0.001 * np.mean(np.square(224 * boxes - 224 * predicted), axis=-1)
    loss = training.box_weight * np.asarray(compute_box_losses(training.box_loss, boxes, predicted))
    np.testing.assert_allclose(loss, in_pixels, rtol=1e-4)


@pytest.mark.parametrize("name", ["fisheries_size", "fisheries_boxes"])
def test_the_fisheries_models_learn_as_in_the_notes(name: str) -> None:
    recipe = read(name)
    (stage,) = resolve_stages(recipe)
    assert (stage.epochs, stage.lr, stage.schedule, stage.unfreeze) == (3, 1e-3, "constant", "none")
    assert recipe.training.optimizer == "adam"


def test_vgg16_has_the_dense_layers_of_the_notes() -> None:
    recipe, units = read("vgg16_dense_layers"), 16
    assert (recipe.backbone.name, recipe.head.units, recipe.head.dropout) == ("vgg16", 4096, 0.5)
    head = build_head(
        recipe.head.kind,
        feature_shape=(7, 7, 512),
        outputs=Outputs(CLASSIFICATION, NUM_FISH),
        dropout=0.5,
        units=units,  # those of the recipe would need half a gigabyte
    )
    assert list_layers(head) == [
        ("Flatten",), ("Dense", units, "relu", 7 * 7 * 512 * units + units), ("Dropout", 0.5),
        ("Dense", units, "relu", units * units + units), ("Dropout", 0.5),
        ("Dense", NUM_FISH, "linear", units * NUM_FISH + NUM_FISH),
    ]  # fmt: skip
