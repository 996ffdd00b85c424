"""Find the cuts and layer groups of a network.

A tensor is a **cut** if everything after it depends on it alone. The operations between two neighbouring cuts are a
segment; segments with weights are merged into blocks by the family's name pattern, and blocks into layer groups. Only
the graph is read, nothing is computed.
"""

from __future__ import annotations

import math
import re
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from tlkit.backbones.catalogue import BackboneEntry
from tlkit.backbones.maps import SAME_RESOLUTION_RATIO


@dataclass(frozen=True)
class Step:
    """A call of an operation: its input tensors and its output."""

    operation: Any
    inputs: tuple[keras.KerasTensor, ...]
    output: keras.KerasTensor


@dataclass(frozen=True)
class LayerGroup:
    """Neighbouring layers that are frozen or trained together, at one learning rate.

    Attributes:
        name: As in the catalogue.
        layers: Its layers with weights, in running order.
        num_parameters: Number of their weights, including moving statistics.
        output: The output tensor, which is the boundary above the group.
        num_steps: Number of operations from the input to `output`.
    """

    name: str
    layers: tuple[keras.Layer, ...]
    num_parameters: int
    output: keras.KerasTensor
    num_steps: int


@dataclass
class _Block:
    """Layers collected so far, their last step, and the edge of their last map before any pooling."""

    key: str | None
    layers: list[keras.Layer]
    end: int
    edge: int | None


Recording = tuple[keras.Model, tuple[Step, ...]]
"""A model with the same layers and weights as another on its own graph, and the steps of that graph."""

_recordings: weakref.WeakKeyDictionary[keras.Model, Recording] = weakref.WeakKeyDictionary()


def record_steps(model: keras.Model) -> Recording:
    """Replay a functional model's graph and record every call, in order; once per model, since that takes long.

    Nested models (ConvNeXt's stem) count as one operation.
    """
    if model not in _recordings:
        _recordings[model] = _replay(model)
    return _recordings[model]


def _replay(model: keras.Model) -> Recording:
    steps: list[Step] = []

    def call(operation: Any, *arguments: Any, **keywords: Any) -> Any:
        output = operation(*arguments, **keywords)
        read = keras.tree.flatten((arguments, keywords))
        steps.append(Step(operation, tuple(x for x in read if isinstance(x, keras.KerasTensor)), output))
        return output

    replay = keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=call)
    return replay, tuple(steps)


def replay_from(
    start: keras.KerasTensor, ends: Sequence[keras.KerasTensor], given: keras.KerasTensor
) -> list[keras.KerasTensor]:
    """Call the operations between tensors of a graph again, on another tensor.

    Args:
        start: A tensor on which all `ends` depend alone.
        ends: Tensors of its graph; may be none.
        given: What takes the place of `start`.

    Returns:
        What takes the place of `ends`.
    """
    if not ends:
        return []
    replaced: dict[int, keras.KerasTensor] = {}

    def call(operation: Any, *arguments: Any, **keywords: Any) -> Any:
        output = operation(*arguments, **keywords)
        arguments, keywords = keras.tree.map_structure(lambda x: replaced.get(id(x), x), (arguments, keywords))
        replaced[id(output)] = operation(*arguments, **keywords)
        return output

    begin = keras.Input(start.shape[1:])
    replaced[id(begin)] = given
    part = keras.Model(start, list(ends))
    replay = keras.models.clone_model(part, input_tensors=begin, clone_function=lambda layer: layer, call_function=call)
    return [replaced[id(end)] for end in replay.outputs]


def find_groups(entry: BackboneEntry, steps: Sequence[Step]) -> tuple[LayerGroup, ...]:
    """Return the layer groups of a backbone, from the pixels upwards; the last one ends with the last step.

    Args:
        entry: The catalogue entry, with names of groups and the pattern of blocks.
        steps: The graph up to the backbone's output, from `record_steps`.

    Raises:
        RuntimeError: the number of groups differs from the catalogue, because Keras has changed.
    """
    blocks = _gather_blocks(steps, entry.block_pattern)
    if entry.merge_by_resolution:
        blocks = _merge_by_resolution(blocks)
    if len(blocks) != len(entry.groups):
        raise RuntimeError(
            f"{entry.name}: {len(blocks)} layer groups in the graph, {len(entry.groups)} in the catalogue"
        )
    blocks[-1].end = len(steps) - 1
    return tuple(
        LayerGroup(
            name=name,
            layers=tuple(block.layers),
            num_parameters=sum(layer.count_params() for layer in block.layers),
            output=steps[block.end].output,
            num_steps=block.end + 1,
        )
        for name, block in zip(entry.groups, blocks, strict=True)
    )


def find_cuts(steps: Sequence[Step]) -> list[int]:
    """Return the positions of the steps whose output is a cut, including the last step."""
    last_read: dict[int, int] = {}
    for position, step in enumerate(steps):
        for tensor in step.inputs:
            last_read[id(tensor)] = position
    made: set[int] = {id(step.output) for step in steps}
    furthest = max((position for tensor, position in last_read.items() if tensor not in made), default=0)
    cuts = []
    for position, step in enumerate(steps):
        if furthest <= position:
            cuts.append(position)
        furthest = max(furthest, last_read.get(id(step.output), position))
    return cuts


def _gather_blocks(steps: Sequence[Step], pattern: str | None) -> list[_Block]:
    """Return the blocks of a graph; without a pattern, every segment with weights is a block."""
    blocks: list[_Block] = []
    start = 0
    for end in find_cuts(steps):
        layers = _weighted_layers(steps[start : end + 1])
        start = end + 1
        if not layers:
            # Activation, padding or pooling: below the boundary if that does not enlarge the cached map.
            if blocks and _tensor_size(steps[end]) <= _tensor_size(steps[blocks[-1].end]):
                blocks[-1].end = end
            continue
        key = _block_key(layers, pattern)
        if blocks and pattern and (key is None or blocks[-1].key is None or key == blocks[-1].key):
            block = blocks[-1]
            block.key = key or block.key
            block.layers.extend(layers)
        else:
            block = _Block(key, layers, end, None)
            blocks.append(block)
        block.end, block.edge = end, _map_edge(steps[end])
    return blocks


def _merge_by_resolution(blocks: Iterable[_Block]) -> list[_Block]:
    """Merge neighbouring blocks of the same resolution; blocks without a map join the one below."""
    merged: list[_Block] = []
    for block in blocks:
        if merged and (block.edge is None or block.edge > SAME_RESOLUTION_RATIO * (merged[-1].edge or 0)):
            merged[-1].layers.extend(block.layers)
            merged[-1].end = block.end
        else:
            merged.append(block)
    return merged


def _weighted_layers(steps: Iterable[Step]) -> list[keras.Layer]:
    return [step.operation for step in steps if isinstance(step.operation, keras.Layer) and step.operation.weights]


def _block_key(layers: Iterable[keras.Layer], pattern: str | None) -> str | None:
    """Return the block of the first layer whose name matches the pattern."""
    if pattern is None:
        return None
    matches = (re.search(pattern, layer.name) for layer in layers)
    return next((match.group(1) for match in matches if match), None)


def _tensor_size(step: Step) -> int:
    """Return the number of values per image in the output of a step."""
    return math.prod(step.output.shape[1:])


def _map_edge(step: Step) -> int | None:
    """Return the height of a step's output map; None if it is not a map."""
    return step.output.shape[1] if len(step.output.shape) == 4 else None
