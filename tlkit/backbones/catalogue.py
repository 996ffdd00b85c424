"""The catalogue of backbones: names, image sizes and layer groups.

Uses only the standard library, so that names are checked and listed before TensorFlow is loaded. A backbone is a chain
of layer groups; a **boundary** is the output of a group. Every backbone also has the boundaries `pixels` (below the
lowest group) and `top` (above the highest). Groups have the names of Keras' blocks, if there are any; otherwise blocks
of the same resolution form `group1`, `group2` ….
"""

from __future__ import annotations

from dataclasses import dataclass

from tlkit.errors import BackboneError, name_fix

INT8 = "int8"
"""Precision of a quantized trunk; what is not quantized in it is computed in float32."""
PIXELS = "pixels"
TOP = "top"
BACKBONE_PREFIX, HEAD_PREFIX = "backbone/", "head/"
"""Prefixes of names of weights in a bundle."""
HEAD_GROUP = "head"
"""The head's name in tables of learning rates by layer group."""
MAPS = "maps"
POOLINGS = ("avg", "none", MAPS)
"""The output of a backbone at its top: the spatial mean of its last feature map, the map, or its maps of several
resolutions in one vector."""


@dataclass(frozen=True)
class BackboneEntry:
    """The facts about a backbone that are known before it is built.

    Attributes:
        name: Its name in options and recipes.
        keras_name: Function of `keras.applications`; empty for tlkit's own networks, each the `build` of a module of
            `tlkit.backbones.own` that has its name.
        default_weights: Default weights: imagenet, bundled (shipped with tlkit) or random.
        family: Networks of a family are cut in the same way.
        preprocessing: Preprocessing of pixels: caffe, tf or torch, or `inside` if its own first layers take RGB 0..255.
        default_edge_px: Default edge of the square input.
        smallest_edge_px: Minimum edge of the input.
        groups: Names of the layer groups, from the pixels upwards.
        num_parameters: Number of weights without the classifier, including moving statistics.
        block_pattern: Regular expression whose first group is the block of a layer; None if Keras does not name blocks.
        merge_by_resolution: Whether blocks with maps of the same size form one layer group.
        weights_license: SPDX identifier of the licence of its published weights; empty if unknown, or if there are none.
    """

    name: str
    keras_name: str
    default_weights: str
    family: str
    preprocessing: str
    default_edge_px: int
    smallest_edge_px: int
    groups: tuple[str, ...]
    num_parameters: int
    block_pattern: str | None
    merge_by_resolution: bool
    weights_license: str

    @property
    def boundaries(self) -> tuple[str, ...]:
        """The boundaries of this backbone, from the pixels upwards."""
        return (PIXELS, *self.groups[:-1], TOP)

    def choose_image_size(self, edge_px: int | None) -> tuple[int, int]:
        """Return (height, width) of the square input in pixels; None for the default edge.

        Raises:
            BackboneError: the network cannot work on images so small.
        """
        edge = self.default_edge_px if edge_px is None else edge_px
        self.check_image_size((edge, edge))
        return edge, edge

    def check_image_size(self, image_size: tuple[int, int]) -> None:
        """Check that an input, (height, width) in pixels, is not too small.

        Raises:
            BackboneError: the network cannot work on images so small.
        """
        if min(image_size) < self.smallest_edge_px:
            raise BackboneError(
                f"An image size of {min(image_size)} px is too small for {self.name}.",
                expected=f"{self.smallest_edge_px} px or more; its own is {self.default_edge_px} px",
                fix=f"give --image-size {self.default_edge_px}, or leave it out.",
            )

    def boundary(self, name: str) -> str:
        """Return the canonical name of a boundary: `top` for the highest group.

        Raises:
            BackboneError: the backbone has no such boundary.
        """
        if name == self.groups[-1]:
            return TOP
        if name not in self.boundaries:
            raise BackboneError(
                f"{self.name} has no boundary {name!r}.",
                expected=f"one of {', '.join(self.boundaries)}",
                fix=name_fix(name, self.boundaries),
            )
        return name

    def groups_above(self, boundary: str) -> tuple[str, ...]:
        """Return the layer groups above a boundary, from the pixels upwards."""
        return self.groups[self.boundaries.index(boundary) :] if boundary != TOP else ()

    def boundary_below(self, unfreeze: str) -> str:
        """Return the boundary below the lowest trained group.

        Args:
            unfreeze: `none` (only the head is trained), the name of a layer group, or `all`.

        Raises:
            BackboneError: the backbone has no such group.
        """
        if unfreeze == "none":
            return TOP
        if unfreeze == "all":
            return PIXELS
        if unfreeze not in self.groups:
            valid = ("none", *self.groups, "all")
            raise BackboneError(
                f"{self.name} has no layer group {unfreeze!r} to unfreeze.",
                expected=f"one of {', '.join(valid)}",
                fix=name_fix(unfreeze, valid),
            )
        return self.boundaries[self.groups.index(unfreeze)]


@dataclass(frozen=True)
class _Family:
    """The common fields of a family; see `BackboneEntry`."""

    name: str
    preprocessing: str
    smallest_edge_px: int
    groups: tuple[str, ...]
    block_pattern: str | None
    merge_by_resolution: bool = False
    default_weights: str = "imagenet"
    weights_license: str = ""


def _numbered(word: str, count: int) -> tuple[str, ...]:
    """Return `word1`, `word2` … up to `count`."""
    return tuple(f"{word}{number}" for number in range(1, count + 1))


# Licences of published weights, looked up in 2026, but for MobileNet V3 and EfficientNet. The pages of Keras'
# applications (keras.io, release 2.2) name them for VGG (robots.ox.ac.uk/~vgg/research/very_deep), ResNet (KaimingHe/deep-residual-networks), ResNet V2
# (facebook/fb.resnet.torch, with a grant of patents), Xception (trained for Keras), Inception, Inception-ResNet,
# MobileNet, MobileNet V2, NASNet (all tensorflow/models) and DenseNet (liuzhuang13/DenseNet). For later families it is the
# licence of the project that they were converted from: tensorflow/models (MobileNet V3), tensorflow/tpu (EfficientNet),
# google/automl (EfficientNet V2), facebookresearch/ConvNeXt.
_APACHE = "Apache-2.0"

_TINY = _Family(
    "tiny",
    "inside",
    32,
    ("stem", *_numbered("block", 4)),
    r"^(stem|block\d)",
    default_weights="bundled",
    weights_license=_APACHE,
)
_MNIST_CNN = _Family("mnist_cnn", "inside", 10, _numbered("conv", 2), r"^(conv\d)_", default_weights="random")
_MNIST_GREY = _Family("mnist_grey", "inside", 10, _numbered("conv", 2), r"^(conv\d)_", default_weights="random")
_VGG = _Family("vgg", "caffe", 32, _numbered("block", 5), r"^(block\d)_", weights_license="CC-BY-4.0")
_RESNET = _Family("resnet", "caffe", 32, _numbered("conv", 5), r"^(conv\d)_", weights_license="MIT")
_RESNET_V2 = _Family("resnet_v2", "tf", 32, _numbered("conv", 5), r"^(conv\d)_", weights_license="BSD-3-Clause")
_MOBILENET = _Family(
    "mobilenet", "tf", 32, _numbered("group", 5), r"^conv_(?:dw|pw)_(\d+)", True, weights_license=_APACHE
)
_MOBILENET_V2 = _Family(
    "mobilenet_v2",
    "tf",
    32,
    _numbered("group", 5),
    r"^(Conv1|bn_Conv1|expanded_conv|block_\d+|Conv_1)(?:_|$)",
    True,
    weights_license=_APACHE,
)
_MOBILENET_V3 = _Family(
    "mobilenet_v3",
    "inside",
    32,
    _numbered("group", 5),
    r"^(expanded_conv(?:_\d+)?|conv(?:_1)?)(?:_[a-z]|$)",
    True,
    weights_license=_APACHE,
)
_EFFICIENTNET = _Family(
    "efficientnet",
    "inside",
    32,
    ("stem", *_numbered("block", 7), "top"),
    r"^(stem|block\d|top)",
    weights_license=_APACHE,
)
_EFFICIENTNET_V2_B = _Family(
    "efficientnet_v2",
    "inside",
    32,
    ("stem", *_numbered("block", 6), "top"),
    r"^(stem|block\d|top)",
    weights_license=_APACHE,
)
_EFFICIENTNET_V2_ML = _Family(
    "efficientnet_v2",
    "inside",
    32,
    ("stem", *_numbered("block", 7), "top"),
    r"^(stem|block\d|top)",
    weights_license=_APACHE,
)
_DENSENET = _Family(
    "densenet", "torch", 32, _numbered("conv", 5), r"^(?:conv|pool)(\d)[_/]", weights_license="BSD-3-Clause"
)
_XCEPTION = _Family("xception", "tf", 71, _numbered("block", 14), r"^(block\d+)_", weights_license="MIT")
_CONVNEXT = _Family(
    "convnext",
    "inside",
    32,
    _numbered("group", 4),
    r"_(stem|downsampling_block_\d|stage_\d_block_\d+)(?:_|$)",
    True,
    weights_license="MIT",
)
_INCEPTION = _Family("inception", "tf", 75, _numbered("group", 5), None, True, weights_license=_APACHE)
_INCEPTION_RESNET = _Family("inception_resnet", "tf", 75, _numbered("group", 5), None, True, weights_license=_APACHE)
_NASNET = _Family("nasnet", "tf", 32, ("stem", "cells"), None, True, weights_license=_APACHE)

# name, function of keras.applications, family, default edge in pixels, parameters without the classifier
_MEMBERS: tuple[tuple[str, str, _Family, int, int], ...] = (
    ("tiny", "", _TINY, 96, 2_324_832),
    ("mnist_cnn", "", _MNIST_CNN, 28, 19_392),
    ("mnist_keras", "", _MNIST_GREY, 28, 18_816),
    ("mnist_torch", "", _MNIST_GREY, 28, 8_576),
    ("mnist_norm", "", _MNIST_GREY, 28, 9_572),
    ("vgg16", "VGG16", _VGG, 224, 14_714_688),
    ("vgg19", "VGG19", _VGG, 224, 20_024_384),
    ("resnet50", "ResNet50", _RESNET, 224, 23_587_712),
    ("resnet101", "ResNet101", _RESNET, 224, 42_658_176),
    ("resnet152", "ResNet152", _RESNET, 224, 58_370_944),
    ("resnet50_v2", "ResNet50V2", _RESNET_V2, 224, 23_564_800),
    ("resnet101_v2", "ResNet101V2", _RESNET_V2, 224, 42_626_560),
    ("resnet152_v2", "ResNet152V2", _RESNET_V2, 224, 58_331_648),
    ("mobilenet", "MobileNet", _MOBILENET, 224, 3_228_864),
    ("mobilenet_v2", "MobileNetV2", _MOBILENET_V2, 224, 2_257_984),
    ("mobilenet_v3_small", "MobileNetV3Small", _MOBILENET_V3, 224, 939_120),
    ("mobilenet_v3_large", "MobileNetV3Large", _MOBILENET_V3, 224, 2_996_352),
    ("efficientnet_b0", "EfficientNetB0", _EFFICIENTNET, 224, 4_049_571),
    ("efficientnet_b1", "EfficientNetB1", _EFFICIENTNET, 240, 6_575_239),
    ("efficientnet_b2", "EfficientNetB2", _EFFICIENTNET, 260, 7_768_569),
    ("efficientnet_b3", "EfficientNetB3", _EFFICIENTNET, 300, 10_783_535),
    ("efficientnet_b4", "EfficientNetB4", _EFFICIENTNET, 380, 17_673_823),
    ("efficientnet_b5", "EfficientNetB5", _EFFICIENTNET, 456, 28_513_527),
    ("efficientnet_b6", "EfficientNetB6", _EFFICIENTNET, 528, 40_960_143),
    ("efficientnet_b7", "EfficientNetB7", _EFFICIENTNET, 600, 64_097_687),
    ("efficientnet_v2_b0", "EfficientNetV2B0", _EFFICIENTNET_V2_B, 224, 5_919_312),
    ("efficientnet_v2_b1", "EfficientNetV2B1", _EFFICIENTNET_V2_B, 240, 6_931_124),
    ("efficientnet_v2_b2", "EfficientNetV2B2", _EFFICIENTNET_V2_B, 260, 8_769_374),
    ("efficientnet_v2_b3", "EfficientNetV2B3", _EFFICIENTNET_V2_B, 300, 12_930_622),
    ("efficientnet_v2_s", "EfficientNetV2S", _EFFICIENTNET_V2_B, 384, 20_331_360),
    ("efficientnet_v2_m", "EfficientNetV2M", _EFFICIENTNET_V2_ML, 480, 53_150_388),
    ("efficientnet_v2_l", "EfficientNetV2L", _EFFICIENTNET_V2_ML, 480, 117_746_848),
    ("densenet121", "DenseNet121", _DENSENET, 224, 7_037_504),
    ("densenet169", "DenseNet169", _DENSENET, 224, 12_642_880),
    ("densenet201", "DenseNet201", _DENSENET, 224, 18_321_984),
    ("xception", "Xception", _XCEPTION, 299, 20_861_480),
    ("convnext_tiny", "ConvNeXtTiny", _CONVNEXT, 224, 27_820_128),
    ("convnext_small", "ConvNeXtSmall", _CONVNEXT, 224, 49_454_688),
    ("convnext_base", "ConvNeXtBase", _CONVNEXT, 224, 87_566_464),
    ("convnext_large", "ConvNeXtLarge", _CONVNEXT, 224, 196_230_336),
    ("convnext_xlarge", "ConvNeXtXLarge", _CONVNEXT, 224, 348_147_968),
    ("inception_v3", "InceptionV3", _INCEPTION, 299, 21_802_784),
    ("inception_resnet_v2", "InceptionResNetV2", _INCEPTION_RESNET, 299, 54_336_736),
    ("nasnet_mobile", "NASNetMobile", _NASNET, 224, 4_269_716),
    ("nasnet_large", "NASNetLarge", _NASNET, 331, 84_916_818),
)

BACKBONES: dict[str, BackboneEntry] = {
    name: BackboneEntry(
        name=name,
        keras_name=keras_name,
        default_weights=family.default_weights,
        family=family.name,
        preprocessing=family.preprocessing,
        default_edge_px=edge_px,
        smallest_edge_px=family.smallest_edge_px,
        groups=family.groups,
        num_parameters=num_parameters,
        block_pattern=family.block_pattern,
        merge_by_resolution=family.merge_by_resolution,
        weights_license=family.weights_license,
    )
    for name, keras_name, family, edge_px, num_parameters in _MEMBERS
}


def find_backbone(name: str) -> BackboneEntry:
    """Return the entry of a backbone.

    Raises:
        BackboneError: no backbone has this name.
    """
    if name not in BACKBONES:
        raise BackboneError(
            f"There is no backbone {name!r}.",
            expected=f"one of {', '.join(BACKBONES)}",
            fix=name_fix(name, BACKBONES),
        )
    return BACKBONES[name]
