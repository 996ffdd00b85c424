"""Networks of `keras.applications` with the preprocessing that belongs to each, as Keras' guides put them together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras

IMAGE_SIZE = (224, 224)


@dataclass(frozen=True)
class Network:
    """A network and its preprocessing.

    Attributes:
        build: Builder in `keras.applications`.
        preprocess: Takes RGB, 0..255, float32 (n, height, width, 3).
    """

    build: Any
    preprocess: Any


NETWORKS = {
    "resnet50": Network(keras.applications.ResNet50, keras.applications.resnet.preprocess_input),
    "vgg16": Network(keras.applications.VGG16, keras.applications.vgg16.preprocess_input),
    "mobilenet_v2": Network(keras.applications.MobileNetV2, keras.applications.mobilenet_v2.preprocess_input),
}


def build_base(name: str, *, weights: str | None, pooling: str | None = None) -> keras.Model:
    """Build a network without its top; `weights` as Keras takes them: None for random, imagenet, or a file."""
    base: keras.Model = NETWORKS[name].build(
        include_top=False, weights=weights, input_shape=(*IMAGE_SIZE, 3), pooling=pooling
    )
    return base


def build_guide_model(name: str, base: keras.Model, num_classes: int) -> keras.Model:
    """Put the head of Keras' transfer-learning guide on a network: average, dropout 0.2, one dense layer (logits)."""
    inputs = keras.Input((*IMAGE_SIZE, 3))
    x = base(NETWORKS[name].preprocess(inputs), training=False)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dropout(0.2)(x)
    return keras.Model(inputs, keras.layers.Dense(num_classes)(x))


def read_images(folder: str, *, shuffle: bool) -> Any:
    """Return batches of 32 images and labels from a folder of class folders, as the guide reads them."""
    return keras.utils.image_dataset_from_directory(
        folder, image_size=IMAGE_SIZE, batch_size=32, shuffle=shuffle, seed=0, verbose=False
    )
