from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from tlkit.backbones.build import Backbone, build_backbone
from tlkit.backbones.engines.base import Engine, make_keras_engine
from tlkit.backbones.engines.parcels import EngineParcel


@pytest.fixture(scope="module")
def tiny() -> Backbone:
    return build_backbone("tiny", image_size=(32, 32), pooling="avg", weights="random")


def send(engine: Engine) -> Engine:
    """Return the engine as another process would get it."""
    parcel: EngineParcel = pickle.loads(pickle.dumps(EngineParcel.pack(engine)))
    return parcel.open()


def check_same(engine: Engine, batch_size: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (batch_size, 32, 32, 3), dtype=np.uint8)
    sent = send(engine)
    assert (sent.name, sent.precision, sent.batch_size) == (engine.name, engine.precision, batch_size)
    features = engine.compute(images)
    np.testing.assert_array_equal(sent.compute(images), features)
    assert np.ptp(features) > 0
    again = send(sent) if sent.save else sent
    np.testing.assert_array_equal(again.compute(images), features)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_keras_gives_the_same_bits_in_another_process(tiny: Backbone, precision: str) -> None:
    check_same(make_keras_engine(tiny.model, precision=precision, batch_size=4), 4)


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_openvino_gives_the_same_bits_in_another_process(tiny: Backbone, openvino: Any, precision: str) -> None:
    from tlkit.backbones.engines.openvino import convert_trunk, make_openvino_engine
    from tlkit.backbones.engines.quantization import measure, quantize

    model = convert_trunk(tiny.model, 4)
    if precision == "int8":
        images = np.random.default_rng(1).integers(0, 256, (16, 32, 32, 3), dtype=np.uint8)
        model = quantize(model, measure(model, images), images)
    check_same(make_openvino_engine(model, precision=precision, batch_size=4), 4)
