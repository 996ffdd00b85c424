"""The network that pictures are made for: a backbone at any size of picture, and the answers of a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from tlkit.backbones.build import Backbone, build_backbone
from tlkit.backbones.catalogue import BackboneEntry
from tlkit.backbones.cutting import record_steps
from tlkit.backbones.weights import finalize_normalization
from tlkit.dreaming.gradients import Gradient, compile_gradient
from tlkit.dreaming.objectives import (
    compare_features,
    compare_grams,
    compute_gram,
    oppose_all,
    oppose_channel,
    oppose_output,
)
from tlkit.errors import SettingError
from tlkit.heads import call_head
from tlkit.runtime import read_free_memory

if TYPE_CHECKING:
    from tlkit.models.classifier import Classifier

BYTES_PER_ACTIVATION = 10
"""Memory of a gradient by the pixels for each output of a layer: measured 8 to 9 with TensorFlow on two processors."""


@dataclass
class DreamNetwork:
    """A trained network, from pixels to feature maps, at any size.

    Attributes:
        backbone: With its weights, built for some size.
        classifier: The run that it is of; None for a backbone alone.
    """

    backbone: Backbone
    classifier: Classifier | None = None
    _at_sizes: dict[tuple[int, int], Backbone] = field(default_factory=dict, init=False, repr=False)

    @property
    def entry(self) -> BackboneEntry:
        """The backbone's entry in the catalogue."""
        return self.backbone.entry

    def read_maps(self, picture: NDArray[Any], boundaries: Sequence[str]) -> list[NDArray[np.float32]]:
        """Return the feature maps of a picture, (height, width, 3), 0..255, each float32 (1, h, w, channels)."""
        size = (picture.shape[0], picture.shape[1])
        found = self._build_maps(size, boundaries)(np.asarray(picture, np.float32)[np.newaxis], training=False)
        return [np.array(ops.convert_to_numpy(each), np.float32) for each in _as_list(found)]

    def oppose_output(self, output: int) -> Gradient:
        """Return the gradient of an answer of the run, numbered from 0. Metadata are as of the mean training image."""
        assert self.classifier is not None
        model, head = self.backbone.model, self.classifier.head
        width = self.classifier.spec.metadata.width

        def lose(pictures: Any) -> Any:
            features = model(pictures, training=False)
            answers = call_head(head, features, ops.zeros((1, width)), training=False)["answer"]
            return oppose_output(answers, output)

        return compile_gradient(lose)

    def oppose_channel(self, size: tuple[int, int], boundary: str, channel: int) -> Gradient:
        """Return the gradient of a channel's mean activation."""
        model = self._build_maps(size, [boundary], is_raw=True)
        return compile_gradient(lambda pictures: oppose_channel(model(pictures, training=False), channel))

    def oppose_all(self, size: tuple[int, int], boundary: str) -> Gradient:
        """Return the gradient of the power of a whole map."""
        model = self._build_maps(size, [boundary], is_raw=True)
        return compile_gradient(lambda pictures: oppose_all(model(pictures, training=False)))

    def compare_features(self, target: NDArray[Any], boundary: str) -> Gradient:
        """Return the gradient of the distance to another picture's map, of a picture of the same size."""
        model = self._build_maps((target.shape[0], target.shape[1]), [boundary])
        (wanted,) = self.read_maps(target, [boundary])
        return compile_gradient(lambda pictures: compare_features(model(pictures, training=False), wanted))

    def compare_style(
        self,
        size: tuple[int, int],
        style: NDArray[Any],
        boundaries: Sequence[str],
        content: NDArray[Any] | None = None,
        content_boundary: str = "",
        strength: float = 1,
    ) -> Gradient:
        """Return the gradient of the distance to a picture's texture, and to another one's content.

        Args:
            size: (height, width) of what is painted; that of `content`, if there is one.
            style: Its Gram matrices are wanted, (height, width, 3), of any size.
            boundaries: Where they are taken.
            content: Its map is wanted, (height, width, 3); None for a texture alone.
            content_boundary: Where that is taken.
            strength: Weight of the style; the content has 1.
        """
        grams = [np.asarray(ops.convert_to_numpy(compute_gram(found))) for found in self.read_maps(style, boundaries)]
        if content is None:
            model = self._build_maps(size, boundaries)
            return compile_gradient(lambda pictures: compare_grams(_as_list(model(pictures, training=False)), grams))
        (wanted,) = self.read_maps(content, [content_boundary])
        model = self._build_maps(size, [*boundaries, content_boundary])

        def lose(pictures: Any) -> Any:
            *maps, seen = model(pictures, training=False)
            return strength * compare_grams(maps, grams) + compare_features(seen, wanted)

        return compile_gradient(lose)

    def read_shape(self, boundary: str) -> tuple[int, int, int]:
        """Return the shape of the map at a boundary, (h, w, channels), for pictures of the backbone's size."""
        height, width, channels = self.backbone.split_at_map(boundary)[0].output.shape[1:]
        return height, width, channels

    def check_memory(self, size: tuple[int, int]) -> None:
        """Check that a gradient of a picture fits into memory.

        Args:
            size: (height, width) in pixels.

        Raises:
            SettingError: It does not.
        """
        own = self.backbone.image_size
        outputs = [step.output.shape[1:] for step in record_steps(self.backbone.network)[1]]
        num_activations = sum(math.prod(shape) for shape in outputs) * math.prod(size) / math.prod(own)
        needed, free = num_activations * BYTES_PER_ACTIVATION, read_free_memory()
        if needed > free:
            edge = int(max(size) * math.sqrt(free / needed) / 32) * 32
            raise SettingError(
                f"A picture of {size[1]} x {size[0]} px takes about {needed / 1e9:,.1f} GB, and {free / 1e9:,.1f} GB are free.",
                expected="a picture whose gradient fits into memory",
                fix=f"--size {max(edge, 32)}",
            )

    def _build_maps(self, size: tuple[int, int], boundaries: Sequence[str], *, is_raw: bool = False) -> keras.Model:
        """Return a model from pixels to the maps at boundaries, on the same weights.

        Args:
            size: (height, width) of the pictures.
            boundaries: Where the maps are taken.
            is_raw: Whether a map is taken before its activation, which has no gradient where it is 0, or has reached 6.
        """
        backbone = self._resize(size)
        trunks = [backbone.split_at_map(boundary)[0] for boundary in boundaries]
        outputs = [_before_activation(backbone, trunk.output) if is_raw else trunk.output for trunk in trunks]
        return keras.Model(trunks[0].input, outputs if len(outputs) > 1 else outputs[0])

    def _resize(self, size: tuple[int, int]) -> Backbone:
        """Return the backbone for another size of picture, with copies of the weights."""
        if size == self.backbone.image_size:
            return self.backbone
        if size not in self._at_sizes:
            self.entry.check_image_size(size)
            resized = build_backbone(self.entry.name, image_size=size, pooling="none", weights="random")
            given = self.backbone.named_weights()
            for name, variable in resized.named_weights().items():
                variable.assign(given[name])
            finalize_normalization(resized.network)
            self._at_sizes = {size: resized}  # one at a time: octaves come one after the other
        return self._at_sizes[size]


def _before_activation(backbone: Backbone, output: keras.KerasTensor) -> keras.KerasTensor:
    """Return what goes into the activation that gives a map; a map of another layer is returned as it is."""
    step = next(step for step in record_steps(backbone.network)[1] if step.output is output)
    return step.inputs[0] if isinstance(step.operation, keras.layers.ReLU | keras.layers.Activation) else output


def _as_list(found: Any) -> list[Any]:
    return list(found) if isinstance(found, list | tuple) else [found]
