"""Preprocessing of each family as layers of the model, so that every backbone takes RGB, 0..255.

The arithmetic is that of `keras.applications.imagenet_utils.preprocess_input`, mode by mode.
"""

from __future__ import annotations

import keras

IMAGENET_MEAN_RGB = (0.485, 0.456, 0.406)
IMAGENET_STD_RGB = (0.229, 0.224, 0.225)
CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)


def add_preprocessing(images: keras.KerasTensor, mode: str) -> keras.KerasTensor:
    """Preprocess images for a network.

    Args:
        images: RGB, float (n, height, width, 3), 0..255.
        mode: caffe (BGR, mean subtracted), tf (-1..1), torch (mean 0 and deviation 1 over ImageNet), or inside
            (unchanged, because the network preprocesses).

    Returns:
        Float (n, height, width, 3), in the range of the mode.
    """
    if mode == "inside":
        return images
    if mode == "caffe":
        flipped = keras.ops.flip(images, axis=-1)
        return keras.layers.Rescaling(1.0, offset=[-mean for mean in CAFFE_MEAN_BGR], name="subtract_mean")(flipped)
    if mode == "tf":
        return keras.layers.Rescaling(1.0 / 127.5, offset=-1.0, name="rescale_pixels")(images)
    if mode == "torch":
        scale = [1.0 / (255.0 * std) for std in IMAGENET_STD_RGB]
        offset = [-mean / std for mean, std in zip(IMAGENET_MEAN_RGB, IMAGENET_STD_RGB, strict=True)]
        return keras.layers.Rescaling(scale, offset=offset, name="standardise_pixels")(images)
    raise ValueError(f"unknown preprocessing mode {mode!r}")
