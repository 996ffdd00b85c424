"""The engines that may compute the features of a backbone, and those of them that run here."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Self

from tlkit.backbones.catalogue import INT8
from tlkit.backbones.engines.base import limit_batch
from tlkit.features.spec import CacheSpec
from tlkit.recipes import ResolvedBackbone

BATCH_SIZES = {"keras": 32, "openvino": 8}
"""Batch size of each engine. OpenVINO, which computes a batch on one core, is fastest with 8 (MobileNetV2: 959
images/s, 784 with 32; ResNet50: 127 and 122); Keras with 32 (ResNet50: 105 images/s, 96 with 8)."""


@dataclass(frozen=True)
class Choice:
    """An engine and its precision; in int8 also the quantized trunk, once there is one."""

    engine: str
    precision: str
    calibration: str = ""

    def __str__(self) -> str:
        return f"{self.engine} in {self.precision}"

    @classmethod
    def of(cls, spec: CacheSpec) -> Self:
        """Return the choice of a cache."""
        return cls(spec.engine, spec.precision, spec.calibration)

    def describe(self, spec: CacheSpec) -> CacheSpec:
        """Return the specification of a cache with this choice."""
        return dataclasses.replace(spec, **asdict(self))


def iterate_choices(backbone: ResolvedBackbone) -> Iterator[Choice]:
    """Yield the allowed engines that run here: first at their native precision, then in float32.

    Keras' native precision needs TensorFlow, so take no more of them than needed.

    Raises:
        BackboneError: OpenVINO is asked for, and is not installed.
    """
    from tlkit.devices import native_precision

    engines = list_engines(backbone)
    if backbone.precision != "auto":
        yield from (Choice(engine, backbone.precision) for engine in engines)
        return
    native = []
    for engine in engines:
        native.append(Choice(engine, native_precision(engine)))
        yield native[-1]
    yield from (choice for choice in (Choice(engine, "float32") for engine in engines) if choice not in native)


def list_engines(backbone: ResolvedBackbone) -> list[str]:
    """Return the allowed engines that run here, the one that is faster as a rule first.

    Raises:
        BackboneError: OpenVINO is asked for, and is not installed.
    """
    from tlkit.backbones.engines.openvino_runtime import has_openvino, require_openvino

    if backbone.engine == "openvino" or backbone.precision == INT8:
        require_openvino()
        return ["openvino"]
    if backbone.engine != "auto":
        return [backbone.engine]
    if backbone.devices != 1:  # which only Keras divides its work among
        return ["keras"]
    return ["openvino", "keras"] if has_openvino() else ["keras"]


def can_run(choice: Choice, backbone: ResolvedBackbone) -> bool:
    """Return whether a choice among the allowed ones runs here.

    Raises:
        BackboneError: OpenVINO is asked for, and is not installed.
    """
    from tlkit.devices import native_precision

    if choice.engine not in list_engines(backbone):
        return False
    is_native = backbone.precision == "auto" and choice.precision != "float32"
    return not is_native or choice.precision == native_precision(choice.engine)


def choose_batch_size(engine: str, image_size: tuple[int, int]) -> int:
    """Return the batch size of an engine, which depends on nothing but the size of the images, (height, width)."""
    return limit_batch(BATCH_SIZES[engine], image_size)
