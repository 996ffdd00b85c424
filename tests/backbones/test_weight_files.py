from __future__ import annotations

import functools
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from safetensors.numpy import save_file

from tlkit.backbones.build import Backbone, build_backbone
from tlkit.backbones.catalogue import find_backbone
from tlkit.backbones.weight_files import read_weight_file
from tlkit.backbones.weights import read_arrays
from tlkit.errors import BackboneError

# Keras' own, while it saves
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def source() -> Backbone:
    """A network whose every weight is another number."""
    backbone = build_backbone("tiny", image_size=(32, 32), pooling="avg", weights="random", seed=3)
    rng = np.random.default_rng(0)
    for weight in backbone.named_weights().values():
        weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    return backbone


def load(path: Path) -> Backbone:
    return build_backbone("tiny", image_size=(32, 32), pooling="avg", weights=str(path))


@functools.cache
def build_empty() -> Backbone:
    """Return a network that takes no weights."""
    return build_backbone("tiny", image_size=(32, 32), pooling="avg", weights="random")


def read(path: Path) -> dict[str, np.ndarray]:
    return read_weight_file(path, build_empty().model, find_backbone("tiny"))


def write_legacy(path: Path, model: keras.Model, *, parts: int = 1) -> Path:
    """Write weights as Keras 2 did: layer by layer, the names of the layers in attributes, split where they are long."""
    with h5py.File(path, "w") as file:
        names = [layer.name.encode() for layer in model.layers]
        if parts == 1:
            file.attrs["layer_names"] = names
        else:
            for part, some in enumerate(np.array_split(np.array(names), parts)):
                file.attrs[f"layer_names{part}"] = some
        for layer in model.layers:
            weights = layer.trainable_weights + layer.non_trainable_weights
            group = file.create_group(layer.name)
            group.attrs["weight_names"] = [f"{layer.name}/{weight.name}:0".encode() for weight in weights]
            for weight in weights:
                group[f"{layer.name}/{weight.name}:0"] = np.asarray(weight)
    return path


def add_classifier(model: keras.Model) -> keras.Model:
    return keras.Model(model.input, keras.layers.Dense(10, name="predictions")(model.output))


def save_weights_h5(path: Path, model: keras.Model) -> Path:
    model.save_weights(path)
    return path


def save_safetensors(path: Path, model: keras.Model) -> Path:
    save_file(read_arrays(model), path)
    return path


KINDS: list[tuple[str, Callable[[Path, Any], Path]]] = [
    ("tiny.weights.h5", save_weights_h5),
    ("tiny.h5", write_legacy),
    ("tiny.safetensors", save_safetensors),
]
all_kinds = pytest.mark.parametrize(("name", "write"), KINDS, ids=[name for name, _ in KINDS])


@all_kinds
def test_every_kind_of_file_gives_the_same_weights(
    name: str, write: Callable[[Path, Any], Path], source: Backbone, tmp_path: Path
) -> None:
    path = write(tmp_path / name, source.model)
    loaded = load(path)
    for key, weight in source.named_weights().items():
        np.testing.assert_array_equal(np.asarray(loaded.named_weights()[key]), np.asarray(weight), err_msg=key)
    assert loaded.weights.source == str(path)
    assert loaded.weights.sha256 == source.trunk_sha256("top")


@pytest.mark.parametrize(("name", "write"), KINDS[:2], ids=[name for name, _ in KINDS[:2]])
def test_a_classifier_in_the_file_is_left_out(
    name: str, write: Callable[[Path, Any], Path], source: Backbone, tmp_path: Path
) -> None:
    loaded = load(write(tmp_path / name, add_classifier(source.model)))
    assert loaded.weights.sha256 == source.trunk_sha256("top")


def test_long_lists_of_layer_names_come_in_parts(source: Backbone, tmp_path: Path) -> None:
    loaded = load(write_legacy(tmp_path / "tiny.h5", source.model, parts=3))
    assert loaded.weights.sha256 == source.trunk_sha256("top")


def refuse(path: Path, found: str) -> None:
    """Check that a file is refused as one for another network."""
    with pytest.raises(BackboneError) as caught:
        read(path)
    assert caught.value.found == f"{path} does not fit tiny: {found}."
    assert caught.value.expected == "the weights of this network, with or without its classifier"
    assert caught.value.fix == "give a file for tiny, or name the file's own network with --backbone."


@pytest.fixture(scope="module")
def stranger() -> keras.Model:
    """A network with another number of filters in its second layer."""
    images = keras.Input((32, 32, 3))
    outputs = keras.layers.Conv2D(32, 3, use_bias=False, name="stem_conv")(images)
    outputs = keras.layers.BatchNormalization(name="stem_bn")(outputs)
    return keras.Model(images, keras.layers.Conv2D(8, 3, use_bias=False, name="next_conv")(outputs))


def test_another_networks_legacy_file_is_refused_by_its_first_odd_shape(stranger: keras.Model, tmp_path: Path) -> None:
    path = write_legacy(tmp_path / "stranger.h5", stranger)
    refuse(path, "'block1a_1_conv/kernel' has the shape (3, 3, 32, 32), in the file (3, 3, 32, 8)")


def test_another_networks_weights_h5_is_refused_by_its_first_odd_shape(stranger: keras.Model, tmp_path: Path) -> None:
    path = save_weights_h5(tmp_path / "stranger.weights.h5", stranger)
    refuse(path, "'block1a_1_conv/kernel' has the shape (3, 3, 32, 32), in the file (3, 3, 32, 8)")


def test_a_safetensors_file_must_have_exactly_the_names(source: Backbone, tmp_path: Path) -> None:
    arrays = read_arrays(source.model)
    path = tmp_path / "tiny.safetensors"
    save_file({name: array for name, array in arrays.items() if name != "stem_conv/kernel"}, path)
    refuse(path, "'stem_conv/kernel' is missing")
    save_file({**arrays, "extra/kernel": np.zeros(1, np.float32)}, path)
    refuse(path, "the file has 'extra/kernel', the network has not")
    save_file({**arrays, "stem_bn/beta": np.zeros(31, np.float32)}, path)
    refuse(path, "'stem_bn/beta' has the shape (32,), in the file (31,)")


def test_files_with_too_few_or_too_many_layers_are_refused(source: Backbone, tmp_path: Path) -> None:
    model = source.model
    trunk = source.trunk("block3")
    refuse(write_legacy(tmp_path / "less.h5", trunk), "the file ends before layer 'block4a_1_conv'")
    refuse(
        save_weights_h5(tmp_path / "less.weights.h5", trunk),
        "it has no layer 'conv2d_13', which is 'block4a_1_conv' in the network",
    )
    longer = keras.Model(model.input, keras.layers.Conv2D(4, 1, name="more")(model.layers[-2].output))
    refuse(write_legacy(tmp_path / "more.h5", longer), "the file has a layer 'more' more")
    refuse(save_weights_h5(tmp_path / "more.weights.h5", longer), "the file has a layer 'conv2d_18' more")


def test_a_layer_with_another_number_of_arrays_is_refused(source: Backbone, tmp_path: Path) -> None:
    path = write_legacy(tmp_path / "tiny.h5", source.model)
    with h5py.File(path, "a") as file:
        file["stem_bn"].attrs["weight_names"] = file["stem_bn"].attrs["weight_names"][:3]
    refuse(path, "layer 'stem_bn' takes 4 arrays, the file has 3")


def test_arrays_of_whole_numbers_are_refused(source: Backbone, tmp_path: Path) -> None:
    path = write_legacy(tmp_path / "tiny.h5", source.model)
    with h5py.File(path, "a") as file:
        group = file["stem_bn/stem_bn"]
        del group["beta:0"]
        group["beta:0"] = np.zeros(32, np.int32)
    refuse(path, "'stem_bn/beta' is stored as int32, not as floating point numbers")


@pytest.mark.parametrize("kind", ["external link", "soft link", "external storage", "virtual dataset", "named type"])
def test_a_file_that_points_outside_its_own_arrays_is_refused(kind: str, source: Backbone, tmp_path: Path) -> None:
    path = write_legacy(tmp_path / "tiny.h5", source.model)
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["numbers"] = np.zeros(32, np.float32)
    with h5py.File(path, "a") as file:
        group = file["stem_bn/stem_bn"]
        del group["beta:0"]
        if kind == "external link":
            group["beta:0"] = h5py.ExternalLink(str(secret), "numbers")
        elif kind == "soft link":
            group["beta:0"] = h5py.SoftLink("/stem_bn/stem_bn/gamma:0")
        elif kind == "external storage":
            group.create_dataset("beta:0", (32,), "f4", external=[(str(secret), 0, 128)])
        elif kind == "virtual dataset":
            layout = h5py.VirtualLayout((32,), "f4")
            layout[:] = h5py.VirtualSource(str(secret), "numbers", (32,))
            group.create_virtual_dataset("beta:0", layout)
        else:
            group["beta:0"] = np.dtype("f4")
    with pytest.raises(BackboneError) as caught:
        read(path)
    assert caught.value.found == f"{path} is not safe to read: /stem_bn/stem_bn/beta:0 points elsewhere."
    assert caught.value.expected == "plain arrays, without links and without data kept in other files"
    assert caught.value.fix == "get the weights from a source that you trust."


def test_a_group_that_holds_itself_does_not_hang(source: Backbone, tmp_path: Path) -> None:
    path = write_legacy(tmp_path / "tiny.h5", source.model)
    with h5py.File(path, "a") as file:
        file["stem_bn/again"] = file["stem_bn"]
    assert load(path).weights.sha256 == source.trunk_sha256("top")


@all_kinds
def test_a_cut_off_file_is_refused(
    name: str, write: Callable[[Path, Any], Path], source: Backbone, tmp_path: Path
) -> None:
    path = write(tmp_path / name, source.model)
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(BackboneError) as caught:
        read(path)
    assert caught.value.found.startswith(f"{path} cannot be read as a file of weights (")
    assert caught.value.expected == "a whole .weights.h5, .h5 or .safetensors file"
    assert caught.value.fix == "fetch the file again; a download may have been cut off."


def test_an_hdf5_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.h5"
    with h5py.File(path, "w") as file:
        file["numbers"] = np.zeros(3)
    with pytest.raises(BackboneError) as caught:
        read(path)
    assert caught.value.found == (f"{path} cannot be read as a file of weights (/ has no attribute 'layer_names').")


@all_kinds
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_number_that_is_not_finite_is_named(
    name: str, write: Callable[[Path, Any], Path], value: float, source: Backbone, tmp_path: Path
) -> None:
    bad_name, weight = list(source.named_weights().items())[4]
    sound = np.array(weight)
    values = sound.copy()
    values.flat[:3] = value
    weight.assign(values)
    path = write(tmp_path / name, source.model)
    weight.assign(sound)
    with pytest.raises(BackboneError) as caught:
        read(path)
    assert str(caught.value) == (
        f"{path}: {bad_name!r} holds 3 values that are not finite (NaN or infinite).\n"
        "  Expected: finite numbers within the range of float32\n"
        "  Fix: fetch the file again, or save the weights of a run that did not diverge."
    )


@all_kinds
def test_any_damage_ends_in_a_refusal_or_in_finite_numbers(
    name: str, write: Callable[[Path, Any], Path], source: Backbone, tmp_path: Path
) -> None:
    sound = write(tmp_path / name, source.model).read_bytes()
    dice = random.Random(name)
    damaged = tmp_path / f"damaged-{name}"
    refused = 0
    for trial in range(16):
        content = bytearray(sound)
        for _ in range(dice.choice((1, 2, 20))):
            content[dice.randrange(len(content) if trial % 3 else 6000)] ^= 1 << dice.randrange(8)
        damaged.write_bytes(content)
        try:
            arrays = read(damaged)
        except BackboneError:
            refused += 1
        else:
            assert all(np.isfinite(array).all() for array in arrays.values())
    assert refused


def test_an_endless_list_of_names_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.h5"
    with h5py.File(path, "w") as file:
        file.attrs.create("layer_names", np.zeros(40_000, "S1"))
        for part in range(1, 4):
            file.attrs.create(f"layer_names{part}", np.zeros(40_000, "S1"))
    with pytest.raises(BackboneError) as caught:
        read(path)
    assert caught.value.found == f"{path} cannot be read as a file of weights (/ names more than 100,000 arrays)."
