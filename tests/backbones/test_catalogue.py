from __future__ import annotations

import subprocess
import sys

import pytest

from tlkit.backbones.catalogue import BACKBONES, find_backbone
from tlkit.errors import BackboneError


def test_boundaries_run_from_the_pixels_to_the_top() -> None:
    assert find_backbone("vgg16").boundaries == ("pixels", "block1", "block2", "block3", "block4", "top")
    assert find_backbone("resnet50").boundaries == ("pixels", "conv1", "conv2", "conv3", "conv4", "top")
    assert find_backbone("nasnet_mobile").boundaries == ("pixels", "stem", "top")


def test_the_last_group_ends_at_the_top() -> None:
    assert find_backbone("vgg16").boundary("block5") == "top"
    assert find_backbone("efficientnet_b0").boundary("top") == "top"
    assert find_backbone("resnet50").boundary("conv4") == "conv4"
    assert find_backbone("resnet50").boundary("pixels") == "pixels"


@pytest.mark.parametrize(
    ("unfreeze", "boundary"),
    [("none", "top"), ("conv5", "conv4"), ("conv2", "conv1"), ("conv1", "pixels"), ("all", "pixels")],
)
def test_what_is_unfrozen_says_where_the_boundary_lies(unfreeze: str, boundary: str) -> None:
    assert find_backbone("resnet50").boundary_below(unfreeze) == boundary


def test_every_group_of_every_backbone_has_a_boundary_below_and_above() -> None:
    for entry in BACKBONES.values():
        below = [entry.boundary_below(group) for group in entry.groups]
        assert below == list(entry.boundaries[:-1])
        assert [entry.boundary(group) for group in entry.groups] == list(entry.boundaries[1:])


def test_an_unknown_backbone_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(BackboneError) as caught:
        find_backbone("resnet5O")
    assert caught.value.found == "There is no backbone 'resnet5O'."
    assert caught.value.expected == f"one of {', '.join(BACKBONES)}"
    assert caught.value.fix == "did you mean 'resnet50'?"


def test_an_inner_boundary_of_nasnet_is_refused_with_the_valid_ones() -> None:
    with pytest.raises(BackboneError) as caught:
        find_backbone("nasnet_large").boundary("group3")
    assert caught.value.found == "nasnet_large has no boundary 'group3'."
    assert caught.value.expected == "one of pixels, stem, top"
    assert caught.value.fix == "choose one of these."


def test_a_group_that_the_backbone_lacks_cannot_be_unfrozen() -> None:
    with pytest.raises(BackboneError) as caught:
        find_backbone("vgg16").boundary_below("block6")
    assert caught.value.found == "vgg16 has no layer group 'block6' to unfreeze."
    assert caught.value.expected == "one of none, block1, block2, block3, block4, block5, all"
    assert caught.value.fix == "did you mean 'block5'?"


def test_an_image_too_small_for_the_network_is_refused() -> None:
    with pytest.raises(BackboneError) as caught:
        find_backbone("xception").choose_image_size(64)
    assert caught.value.found == "An image size of 64 px is too small for xception."
    assert caught.value.expected == "71 px or more; its own is 299 px"
    assert caught.value.fix == "give --image-size 299, or leave it out."


def test_no_image_size_is_the_backbones_own() -> None:
    assert find_backbone("inception_v3").choose_image_size(None) == (299, 299)
    assert find_backbone("inception_v3").choose_image_size(128) == (128, 128)


def test_the_catalogue_and_the_checks_of_weights_need_no_third_party_package() -> None:
    script = (
        "import sys\n"
        "import tlkit.backbones.catalogue, tlkit.backbones.weights\n"
        "print(sorted({'numpy', 'keras', 'tensorflow', 'h5py', 'safetensors'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout == "[]\n"
