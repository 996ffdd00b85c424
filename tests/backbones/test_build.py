from __future__ import annotations

import random

import keras
import numpy as np
import pytest

from tlkit.backbones.build import Backbone, add_missing_rescaling, build_architecture, build_backbone
from tlkit.backbones.catalogue import find_backbone
from tlkit.backbones.note import TrunkNote
from tlkit.backbones.weights import finalize_normalization
from tlkit.errors import BackboneError


@pytest.fixture(scope="module")
def tiny() -> Backbone:
    return build_backbone("tiny", image_size=(64, 64), pooling="avg", weights="random", seed=1)


def draw_pixels(count: int = 2, edge: int = 64) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, edge, edge, 3)).astype(np.float32)


def test_tiny_is_small_and_takes_its_own_size_by_default() -> None:
    backbone = build_backbone("tiny", pooling="none", weights="random")
    assert backbone.image_size == (96, 96)
    assert backbone.feature_shape("top") == (6, 6, 224)
    assert backbone.model.count_params() == backbone.entry.num_parameters <= 2_500_000


def test_the_shape_of_a_feature_is_known_at_every_boundary(tiny: Backbone) -> None:
    shapes = {boundary: tiny.feature_shape(boundary) for boundary in tiny.entry.boundaries}
    assert shapes == {
        "pixels": (64, 64, 3),
        "stem": (32, 32, 32),
        "block1": (32, 32, 32),
        "block2": (16, 16, 64),
        "block3": (8, 8, 128),
        "top": (224,),
    }


def test_pooling_is_the_mean_of_the_map() -> None:
    images = draw_pixels()
    whole_map = build_backbone("tiny", image_size=(64, 64), pooling="none", weights="random", seed=1).model(images)
    pooled = build_backbone("tiny", image_size=(64, 64), pooling="avg", weights="random", seed=1).model(images)
    np.testing.assert_allclose(np.asarray(whole_map).mean((1, 2)), np.asarray(pooled), rtol=1e-4, atol=1e-5)


def test_there_is_no_trunk_below_the_pixels_and_no_tail_above_the_top(tiny: Backbone) -> None:
    assert tiny.trunk("pixels") is None
    assert tiny.tail("top") is None
    assert tiny.trunk("top") is tiny.model
    assert tiny.tail("pixels") is tiny.model
    assert tiny.trunk("block4") is tiny.model


def test_training_a_tail_trains_the_backbone(tiny: Backbone) -> None:
    tail, images = tiny.tail("block3"), draw_pixels()
    assert tail is not None
    before = np.asarray(tiny.model(images))
    weight = tail.get_layer("block4b_2_conv").kernel
    kept = np.asarray(weight)
    weight.assign(kept + 0.1)
    assert np.abs(np.asarray(tiny.model(images)) - before).max() > 0.01
    weight.assign(kept)


def test_every_weight_of_a_tail_knows_its_group(tiny: Backbone) -> None:
    tail = tiny.tail("block2")
    assert tail is not None
    assert {tiny.group_of(weight) for weight in tail.weights} == {"block3", "block4"}
    assert {tiny.group_of(weight) for weight in tiny.model.weights} == set(tiny.entry.groups)


def test_a_tail_calls_its_input_boundary(tiny: Backbone) -> None:
    tail = tiny.tail("block1")
    assert tail is not None
    assert tail.input.name == "boundary"
    assert tiny.tail("block1") is tail


def test_the_hash_of_a_trunk_changes_with_the_weights_below_only() -> None:
    backbone = build_backbone("tiny", image_size=(32, 32), pooling="avg", weights="random")
    before = {boundary: backbone.trunk_sha256(boundary) for boundary in backbone.entry.boundaries}
    assert len(set(before.values())) == 6
    assert before["top"] == backbone.weights.sha256
    weight = backbone.named_weights()["block3a_1_conv/kernel"]
    weight.assign(weight + 1)
    after = {boundary: backbone.trunk_sha256(boundary) for boundary in backbone.entry.boundaries}
    assert [boundary for boundary in before if before[boundary] != after[boundary]] == ["block3", "top"]


def test_the_seed_decides_random_weights_and_nothing_else_is_seeded() -> None:
    random.seed(7)
    expected = random.random()
    random.seed(7)
    hashes = [
        build_backbone("tiny", image_size=(32, 32), pooling="avg", weights="random", seed=seed).weights.sha256
        for seed in (3, 3, 4)
    ]
    assert random.random() == expected
    assert hashes[0] == hashes[1] != hashes[2]


def test_names_are_the_same_in_two_builds(tiny: Backbone) -> None:
    again = build_backbone("tiny", image_size=(32, 32), pooling="none", weights="random")
    assert list(again.named_weights()) == list(tiny.named_weights())


def test_an_image_too_small_is_refused() -> None:
    with pytest.raises(BackboneError) as caught:
        build_backbone("tiny", image_size=(16, 16), pooling="avg", weights="random")
    assert caught.value.found == "An image size of 16 px is too small for tiny."
    assert caught.value.expected == "32 px or more; its own is 96 px"
    assert caught.value.fix == "give --image-size 96, or leave it out."


def test_an_unknown_boundary_is_refused_by_every_part(tiny: Backbone) -> None:
    for ask in (tiny.feature_shape, tiny.trunk, tiny.tail, tiny.trunk_sha256):
        with pytest.raises(BackboneError, match=r"^tiny has no boundary 'block9'\."):
            ask("block9")


def test_an_unknown_pooling_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"^pooling is 'max', not one of avg, none, maps$"):
        build_architecture(find_backbone("tiny"), image_size=(32, 32), pooling="max")


def test_a_normalisation_by_deviations_in_the_variances_place_is_put_right() -> None:
    pixels = keras.Input((4, 4, 3))
    scaled = keras.layers.Rescaling(1 / 255)(pixels)
    normalization = keras.layers.Normalization()
    model = add_missing_rescaling(keras.Model(pixels, normalization(scaled)))
    mean, deviation = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    normalization.adapt_mean.assign(mean)
    normalization.adapt_variance.assign(deviation)  # as in the files that Keras offers
    finalize_normalization(model)
    images = draw_pixels(1, 4)
    np.testing.assert_allclose(np.asarray(model(images)), (images / 255 - mean) / deviation, atol=1e-5)


def test_with_a_note_a_backbone_is_built_when_something_asks_for_its_model(tiny: Backbone) -> None:
    sizes = tuple(group.num_parameters for group in tiny.groups)
    note = TrunkNote(tiny.weights.sha256, tiny.feature_shape("top"), sizes)
    built: list[str] = []

    def build() -> keras.Model:
        built.append("tiny")
        return tiny.model

    noted = Backbone(tiny.entry, tiny.image_size, tiny.pooling, build, tiny.weights, note)
    known = (noted.feature_shape("top"), noted.trunk_sha256("top"), noted.count_by_group(), noted.tail("top"))
    assert known == (tiny.feature_shape("top"), tiny.trunk_sha256("top"), tiny.count_by_group(), None)
    assert note.num_parameters == tiny.model.count_params()
    states = [noted.is_built, len(built)]
    assert noted.model is noted.model is tiny.model
    assert [*states, noted.is_built, len(built)] == [False, 0, True, 1]


def test_the_hash_of_a_noted_backbone_is_that_of_its_weights_once_it_is_built() -> None:
    backbone = build_backbone("tiny", image_size=(32, 32), pooling="avg", weights="random")
    note = TrunkNote(backbone.weights.sha256, backbone.feature_shape("top"), ())
    noted = Backbone(backbone.entry, (32, 32), "avg", lambda: backbone.model, backbone.weights, note)
    weight = noted.named_weights()["block3a_1_conv/kernel"]
    weight.assign(weight + 1)
    assert noted.trunk_sha256("top") == backbone.trunk_sha256("top") != backbone.weights.sha256
