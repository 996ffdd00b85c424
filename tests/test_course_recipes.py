"""The recipes of the course notes build the networks of the notes, layer by layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tlkit.backbones.catalogue import find_backbone
from tlkit.models.classifier import Classifier, assemble_classifier
from tlkit.models.spec import BundleSpec
from tlkit.recipes import Recipe, read_recipe, resolve_stages

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
    assert (recipe.training.weight_decay, recipe.data.validation_fraction) == (0, validation)
