"""Build a backbone, whole or cut at a boundary.

A `Backbone` is one Keras model with preprocessing inside. Trunks and tails share its layers and weights, so training a
tail trains the backbone. The architecture depends only on name, image size and pooling, so layers and weight names are
the same for all weights. With a note on it, a backbone is only built when something asks for its model.
"""

from __future__ import annotations

import importlib
import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import keras
import numpy as np

from tlkit.backbones.catalogue import MAPS, PIXELS, POOLINGS, TOP, BackboneEntry, find_backbone
from tlkit.backbones.cutting import LayerGroup, Step, find_cuts, find_groups, record_steps, replay_from
from tlkit.backbones.maps import MapLayout, choose_levels, pack_maps
from tlkit.backbones.note import TrunkNote
from tlkit.backbones.preprocessing import IMAGENET_STD_RGB, add_preprocessing
from tlkit.backbones.weights import WeightsInfo, check_weights, hash_arrays, load_weights, stable_names


@dataclass
class Backbone:
    """A network without its classifier.

    Attributes:
        entry: Its entry in the catalogue.
        image_size: (height, width) in pixels.
        pooling: "avg" or "none", as in `keras.applications`; or "maps", see `tlkit.backbones.maps`.
        build: Returns the network, with "maps" up to its last map; called once, when something asks for it.
        weights: Origin of the weights, as they were loaded.
        note: What is known of it before it is built; None if it is built.
    """

    entry: BackboneEntry
    image_size: tuple[int, int]
    pooling: str
    build: Callable[[], keras.Model]
    weights: WeightsInfo
    note: TrunkNote | None = None
    _trunks: dict[str, keras.Model] = field(default_factory=dict, init=False, repr=False)
    _tails: dict[str, keras.Model] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def network(self) -> keras.Model:
        """What `build` returned."""
        return self.build()

    @cached_property
    def model(self) -> keras.Model:
        """RGB, float (n, height, width, 3), 0..255 -> features, float (n, *feature_shape(TOP))."""
        if self.pooling != MAPS:
            return self.network
        pixels, maps = self.take_maps()
        return keras.Model(pixels, pack_maps(maps), name=self.entry.name)

    def take_maps(self) -> tuple[keras.KerasTensor, list[keras.KerasTensor]]:
        """Return the input of a network with several maps, and its maps, as symbols of one graph."""
        return self._graph[0].input, [self.groups[level].output for level in self._levels]

    @property
    def is_built(self) -> bool:
        """Whether the model exists, so that its weights may have changed since they were loaded."""
        return self.note is None or "network" in self.__dict__

    @cached_property
    def _graph(self) -> tuple[keras.Model, tuple[Step, ...]]:
        return record_steps(self.network)

    @cached_property
    def _levels(self) -> list[int]:
        """The positions of the layer groups whose outputs are the maps."""
        outputs = [tuple(group.output.shape[1:]) for group in self.groups]
        return choose_levels(outputs, self.image_size[0])

    @cached_property
    def groups(self) -> tuple[LayerGroup, ...]:
        """The layer groups, from the pixels upwards; together they have every weight once."""
        return find_groups(self.entry, self._graph[1])

    @cached_property
    def _names(self) -> dict[str, keras.Variable]:
        return stable_names(self.network)

    @cached_property
    def _group_names(self) -> dict[int, str]:
        return {id(weight): group.name for group in self.groups for layer in group.layers for weight in layer.weights}

    def map_layout(self, boundary: str) -> MapLayout | None:
        """Return how several maps lie in a feature at a boundary; None where a feature is a single map or no map."""
        boundary = self.entry.boundary(boundary)
        if self.pooling != MAPS or boundary == PIXELS:
            return None
        if boundary == TOP and self.note:
            return self.note.layout
        kept = self._kept_at(boundary)
        if boundary != TOP and len(kept) == 1:
            return None
        return MapLayout(tuple(tuple(self.groups[place].output.shape[1:]) for place in kept))

    def _kept_at(self, boundary: str) -> list[int]:
        """Return the positions of the groups whose outputs are in a feature of several maps: the cut itself is last."""
        position = len(self.groups) - 1 if boundary == TOP else self.entry.groups.index(boundary)
        return [*(level for level in self._levels if level < position), position]

    def feature_shape(self, boundary: str) -> tuple[int, ...]:
        """Return the shape of an image's feature at a boundary: (h, w, channels), (channels,) if pooled, or (width,) of
        several maps.
        """
        boundary = self.entry.boundary(boundary)
        if boundary == PIXELS:
            return (*self.image_size, 3)
        if boundary == TOP and self.note:
            return self.note.feature_shape
        layout = self.map_layout(boundary)
        if layout:
            return (layout.width,)
        output = self.model.output if boundary == TOP else self._group(boundary).output
        return tuple(output.shape[1:])

    def trunk(self, boundary: str) -> keras.Model | None:
        """Return the part below a boundary, from RGB images 0..255 to features; None at `pixels`."""
        boundary = self.entry.boundary(boundary)
        if boundary in (PIXELS, TOP):
            return None if boundary == PIXELS else self.model
        if boundary not in self._trunks:
            output = self._group(boundary).output
            if self.map_layout(boundary):
                output = pack_maps([self.groups[place].output for place in self._kept_at(boundary)])
            self._trunks[boundary] = keras.Model(self._graph[0].input, output)
        return self._trunks[boundary]

    def pooled_trunk(self, boundary: str) -> keras.Model:
        """Return the part below a boundary, followed by the spatial mean: RGB images 0..255 -> (n, channels).

        A backbone with its own pooling uses that at the top. Not for `pixels`.
        """
        boundary = self.entry.boundary(boundary)
        output = self._graph[0].output if boundary == TOP else self._group(boundary).output
        if len(output.shape) == 4:
            output = keras.layers.GlobalAveragePooling2D(name="mean")(output)
        return keras.Model(self._graph[0].input, output)

    def tail(self, boundary: str) -> keras.Model | None:
        """Return the part above a boundary: features -> top features. None at `top`, the whole at `pixels`."""
        boundary = self.entry.boundary(boundary)
        if boundary in (PIXELS, TOP):
            return None if boundary == TOP else self.model
        if boundary not in self._tails:
            cut = self._group(boundary).output
            self._tails[boundary] = self._build_map_tail(boundary) if self.pooling == MAPS else self._build_tail(cut)
        return self._tails[boundary]

    def _build_tail(self, cut: keras.KerasTensor) -> keras.Model:
        """Return what follows a cut as a model of its own on the same layers."""
        tail = keras.Model(cut, self._graph[0].output)
        features = keras.Input(cut.shape[1:], name="boundary")
        return keras.models.clone_model(tail, input_tensors=features, clone_function=lambda layer: layer)

    def _build_map_tail(self, boundary: str) -> keras.Model:
        """Return what follows a boundary, from its feature to the maps at the top, on the same layers."""
        kept = self._kept_at(boundary)
        layout = self.map_layout(boundary)
        features = keras.Input(self.feature_shape(boundary), name="boundary")
        given = dict(zip(kept, layout.unpack(features) if layout else [features], strict=True))
        above = [level for level in self._levels if level > kept[-1]]
        outputs = replay_from(
            self.groups[kept[-1]].output, [self.groups[level].output for level in above], given[kept[-1]]
        )
        maps = given | dict(zip(above, outputs, strict=True))
        return keras.Model(features, pack_maps([maps[level] for level in self._levels]))

    def split_at_map(self, boundary: str) -> tuple[keras.Model, keras.Model | None]:
        """Return the parts below and above the last feature map up to a boundary, which is not `pixels`.

        At the top of a backbone that pools this is the map before the pooling; elsewhere it is the boundary's own. The
        part above is None where nothing follows. With several maps, it gives the last one.
        """
        steps = self._graph[1]
        boundary = self.entry.boundary(boundary)
        end = len(steps) - 1 if boundary == TOP else self._group(boundary).num_steps - 1
        maps = [cut for cut in find_cuts(steps[: end + 1]) if len(steps[cut].output.shape) == 4]
        output = steps[maps[-1]].output
        trunk = keras.Model(self._graph[0].input, output)
        return trunk, None if maps[-1] == len(steps) - 1 else self._build_tail(output)

    def count_by_group(self) -> dict[str, int]:
        """Return the number of weights of each layer group, from the pixels upwards."""
        sizes = self.note.group_sizes if self.note else [group.num_parameters for group in self.groups]
        return dict(zip(self.entry.groups, sizes, strict=True))

    def group_of(self, weight: keras.Variable) -> str:
        """Return the name of the layer group of a weight."""
        return self._group_names[id(weight)]

    def named_weights(self) -> dict[str, keras.Variable]:
        """Return every weight by its stable name; see `weights.stable_names`."""
        return dict(self._names)

    def trunk_sha256(self, boundary: str) -> str:
        """Return the hash of the weights below a boundary, as hex; training the tail does not change it."""
        boundary = self.entry.boundary(boundary)
        if boundary == TOP and not self.is_built:
            return self.weights.sha256
        if boundary == TOP:
            return hash_arrays({name: np.asarray(weight) for name, weight in self._names.items()})
        num_groups = self.entry.boundaries.index(boundary)
        below = {group.name for group in self.groups[:num_groups]}
        return hash_arrays(
            {name: np.asarray(weight) for name, weight in self._names.items() if self.group_of(weight) in below}
        )

    def _group(self, name: str) -> LayerGroup:
        return next(group for group in self.groups if group.name == name)


def build_backbone(
    name: str, *, image_size: tuple[int, int] | None = None, pooling: str, weights: str | None = None, seed: int = 0
) -> Backbone:
    """Build a backbone and load its weights.

    Args:
        name: As in the catalogue.
        image_size: (height, width) of the input in pixels; None for the backbone's own.
        pooling: "avg" for the spatial mean of the last map (which ConvNeXt then normalises), "none" for the map, "maps"
            for the maps of several resolutions in one vector.
        weights: "imagenet", "bundled", "random", the path of a .weights.h5, .h5 or .safetensors file, or None for
            the backbone's own default.
        seed: Seed of random weights and of Dropout; global state does not change.

    Raises:
        BackboneError: unknown name, image too small, or weights that are missing or do not fit.
    """
    entry = find_backbone(name)
    image_size = image_size or entry.choose_image_size(None)
    entry.check_image_size(image_size)
    weights = weights or entry.default_weights
    check_weights(entry, weights)
    with _seeded_initialisation(seed):
        model = build_architecture(entry, image_size=image_size, pooling=pooling)
    return Backbone(entry, image_size, pooling, lambda: model, load_weights(model, entry, weights))


def build_architecture(entry: BackboneEntry, *, image_size: tuple[int, int], pooling: str) -> keras.Model:
    """Build a backbone's network with random weights.

    Args:
        entry: What to build.
        image_size: (height, width) of the input in pixels.
        pooling: "avg", or "none" or "maps" for the last map.

    Returns:
        RGB, float (n, height, width, 3), 0..255 -> features.
    """
    if pooling not in POOLINGS:
        raise ValueError(f"pooling is {pooling!r}, not one of {', '.join(POOLINGS)}")
    images = keras.Input((*image_size, 3), name="image")
    keras_pooling = pooling if pooling == "avg" else None
    if not entry.keras_name:
        return build_own_network(entry, images, pooling=keras_pooling)
    build: Any = getattr(keras.applications, entry.keras_name)
    pixels = add_preprocessing(images, entry.preprocessing)
    features = build(include_top=False, weights=None, input_tensor=pixels, pooling=keras_pooling).output
    model = keras.Model(
        images, features, name=entry.name
    )  # Keras' own model takes a list of one, and warns at every call
    return add_missing_rescaling(model) if entry.family == "efficientnet" else model


def build_own_network(entry: BackboneEntry, images: keras.KerasTensor, *, pooling: str | None) -> keras.Model:
    """Build a network that Keras does not have; see `BackboneEntry.keras_name`.

    Args:
        entry: What to build.
        images: RGB, float (n, height, width, 3), 0..255.
        pooling: "avg" or None.

    Returns:
        A model from images to features.
    """
    return importlib.import_module(f"tlkit.backbones.own.{entry.name}").build(images, pooling=pooling)


def add_missing_rescaling(model: keras.Model) -> keras.Model:
    """Return an EfficientNet B0-B7 with the layer that Keras only adds when it loads the ImageNet weights itself.

    These weights contain ImageNet's standard deviations where the normalisation expects variances; Keras corrects this
    by dividing by √deviation. Without that, the same file loaded by path silently gives wrong features.
    """

    def call(layer: Any, *arguments: Any, **keywords: Any) -> Any:
        output = layer(*arguments, **keywords)
        if isinstance(layer, keras.layers.Normalization):
            scale = [1.0 / math.sqrt(std) for std in IMAGENET_STD_RGB]
            output = keras.layers.Rescaling(scale, name="divide_by_root_of_deviation")(output)
        return output

    return keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=call)


@contextmanager
def _seeded_initialisation(seed: int) -> Iterator[None]:
    """Make Keras draw seeds of initializers and Dropout from `seed`, then restore Python's generator."""
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)
