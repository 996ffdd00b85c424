from __future__ import annotations

import dataclasses

import keras
import pytest
from keras import layers

from tlkit.backbones.catalogue import find_backbone
from tlkit.backbones.cutting import find_cuts, find_groups, record_steps


def build_residual_network() -> keras.Model:
    """conv a → conv b, added to a → pool, padded first → conv c."""
    images = keras.Input((16, 16, 3))
    first = layers.Conv2D(4, 3, padding="same", name="a_conv")(images)
    second = layers.Conv2D(4, 3, padding="same", name="b_conv")(first)
    added = layers.Add(name="b_add")([first, second])
    padded = layers.ZeroPadding2D(1, name="pad")(added)
    pooled = layers.MaxPooling2D(2, name="pool")(padded)
    return keras.Model(images, layers.Conv2D(8, 3, name="c_conv")(pooled))


def test_a_tensor_that_a_shortcut_bypasses_is_no_cut() -> None:
    _, steps = record_steps(build_residual_network())
    cuts = [steps[position].operation.name for position in find_cuts(steps)]
    assert cuts == ["a_conv", "b_add", "pad", "pool", "c_conv"]


def test_a_shortcut_from_the_input_itself_leaves_only_the_end() -> None:
    images = keras.Input((8, 8, 3))
    outputs = layers.Add()([images, layers.Conv2D(3, 3, padding="same")(layers.ReLU()(images))])
    _, steps = record_steps(keras.Model(images, outputs))
    assert find_cuts(steps) == [2]


def test_a_replay_shares_the_layers() -> None:
    model = build_residual_network()
    replay, _ = record_steps(model)
    assert {id(layer) for layer in replay.layers if layer.weights} == {
        id(layer) for layer in model.layers if layer.weights
    }


def test_a_boundary_moves_past_the_pooling_but_does_not_end_at_the_padding() -> None:
    entry = dataclasses.replace(find_backbone("tiny"), groups=("a", "b", "c"), block_pattern=r"^([abc])_")
    groups = find_groups(entry, record_steps(build_residual_network())[1])
    assert [group.name for group in groups] == ["a", "b", "c"]
    assert [group.output.shape[1:] for group in groups] == [(16, 16, 4), (9, 9, 4), (7, 7, 8)]
    assert [[layer.name for layer in group.layers] for group in groups] == [["a_conv"], ["b_conv"], ["c_conv"]]
    assert [group.num_parameters for group in groups] == [112, 148, 296]


def test_without_names_blocks_of_one_resolution_are_one_group() -> None:
    entry = dataclasses.replace(
        find_backbone("tiny"), groups=("group1", "group2"), block_pattern=None, merge_by_resolution=True
    )
    groups = find_groups(entry, record_steps(build_residual_network())[1])
    assert [group.output.shape[1:] for group in groups] == [(9, 9, 4), (7, 7, 8)]
    assert [[layer.name for layer in group.layers] for group in groups] == [["a_conv", "b_conv"], ["c_conv"]]


def test_a_graph_that_does_not_match_the_catalogue_is_an_error() -> None:
    entry = dataclasses.replace(find_backbone("tiny"), groups=("a", "b"), block_pattern=r"^([abc])_")
    with pytest.raises(RuntimeError, match=r"^tiny: 3 layer groups in the graph, 2 in the catalogue$"):
        find_groups(entry, record_steps(build_residual_network())[1])
