from __future__ import annotations

import keras
import pytest

from tlkit.backbones.catalogue import find_backbone
from tlkit.backbones.layer_table import LayerTable, build_layer_table
from tlkit.errors import BackboneError


@pytest.fixture(scope="module")
def vgg16() -> LayerTable:
    return build_layer_table(find_backbone("vgg16"))


def test_vgg16_has_the_totals_of_the_course_notes(vgg16: LayerTable) -> None:
    assert vgg16.num_parameters == 138_357_544
    assert vgg16.num_backbone_parameters == 14_714_688
    assert vgg16.num_activations == 15_262_696
    assert vgg16.num_activations_with_relus == 28_818_408
    assert vgg16.activation_bytes == 61_050_784


def test_vgg16_has_the_layers_of_the_course_notes(vgg16: LayerTable) -> None:
    rows = {row.layer: (row.group, row.output_shape, row.num_activations, row.num_parameters) for row in vgg16.rows}
    assert len(rows) == 23
    assert rows["image"] == ("input", (224, 224, 3), 150_528, 0)
    assert rows["block1_conv1"] == ("block1", (224, 224, 64), 3_211_264, 1_792)
    assert rows["block3_conv2"] == ("block3", (56, 56, 256), 802_816, 590_080)
    assert rows["block5_pool"] == ("block5", (7, 7, 512), 25_088, 0)
    assert rows["fc1"] == ("classifier", (4096,), 4_096, 102_764_544)
    assert rows["predictions"] == ("classifier", (1000,), 1_000, 4_097_000)


def test_vgg16_has_its_groups_at_full_size(vgg16: LayerTable) -> None:
    groups = {group: (vgg16.boundary_shape(group), vgg16.group_parameters(group)) for group in vgg16.entry.groups}
    assert groups == {
        "block1": ((112, 112, 64), 38_720),
        "block2": ((56, 56, 128), 221_440),
        "block3": ((28, 28, 256), 1_475_328),
        "block4": ((14, 14, 512), 5_899_776),
        "block5": ((7, 7, 512), 7_079_424),
    }


def test_vgg16_costs_what_is_published(vgg16: LayerTable) -> None:
    assert vgg16.num_multiply_adds == 15_470_264_320
    rows = {row.layer: (row.num_multiply_adds, row.field.size_px) for row in vgg16.rows}
    assert rows["image"] == (0, (1, 1))
    assert rows["block1_conv1"] == (224 * 224 * 64 * 27, (3, 3))
    assert rows["block1_pool"] == (0, (6, 6))
    assert rows["fc1"][0] == 25_088 * 4_096
    assert vgg16.training_bytes == 16 * 138_357_544


@pytest.mark.parametrize(
    ("backbone", "layer", "size_px", "num_multiply_adds"),
    [
        # Receptive fields as in Araujo et al. 2019, where ResNets are of the first version.
        ("vgg16", "block5_pool", 212, 15_470_264_320),
        ("resnet50", "conv5_block3_out", 483, 3_857_973_248),
        ("mobilenet", "conv_pw_13_relu", 315, 568_740_352),
        ("inception_v3", "mixed10", 1311, 5_713_216_096),
    ],
)
def test_receptive_fields_are_those_that_are_published(
    backbone: str, layer: str, size_px: int, num_multiply_adds: int
) -> None:
    table = build_layer_table(find_backbone(backbone))
    assert next(row.field.size_px for row in table.rows if row.layer == layer) == (size_px, size_px)
    assert table.num_multiply_adds == num_multiply_adds
    assert table.rows[-1].sees_everything


def test_a_classifier_made_of_convolutions_is_told_from_the_backbone() -> None:
    table = build_layer_table(find_backbone("mobilenet"), image_size=(32, 32))
    assert table.num_backbone_parameters == table.entry.num_parameters
    assert table.num_parameters == 4_253_864
    assert table.boundary_shape("group5") == (1, 1, 1024)


def test_convnexts_last_normalisation_belongs_to_the_backbone() -> None:
    table = build_layer_table(find_backbone("convnext_tiny"), image_size=(32, 32))
    assert table.num_backbone_parameters == table.entry.num_parameters
    assert table.boundary_shape("group4") == (1, 1, 768)


def test_tlkits_own_network_has_no_classifier() -> None:
    table = build_layer_table(find_backbone("tiny"))
    assert table.num_parameters == table.num_backbone_parameters == table.entry.num_parameters
    assert "classifier" not in {row.group for row in table.rows}


def test_the_graph_leaves_nothing_behind() -> None:
    build_layer_table(find_backbone("tiny"), image_size=(32, 32))
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2), keras.layers.Dropout(0.5)])
    assert model(keras.ops.ones((1, 4)), training=True).shape == (1, 2)


def test_an_image_too_small_is_refused() -> None:
    with pytest.raises(BackboneError, match=r"^An image size of 8 px is too small for vgg16\."):
        build_layer_table(find_backbone("vgg16"), image_size=(8, 8))
