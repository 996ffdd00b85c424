from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tlkit.backbones.engines.openvino_runtime import open_core
from tlkit.backbones.engines.quantization import compute_pooled, measure, quantize

pytestmark = pytest.mark.usefixtures("openvino")
BATCH_SIZE, EDGE, CHANNELS = 2, 12, 8


def draw_weights(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(0, 0.3, shape).astype(np.float32)


@pytest.fixture
def network(openvino: Any) -> Any:
    """A convolution, a depthwise one without a bias, a sum of two maps and a dense layer: batch, NHWC, out."""
    ops = openvino.opset13
    images = ops.parameter([BATCH_SIZE, EDGE, EDGE, 3], np.uint8, "images")
    scaled = ops.multiply(ops.convert(images, "f32"), ops.constant(np.float32(1 / 127)))
    value = ops.transpose(scaled, ops.constant(np.array([0, 3, 1, 2])))
    common = [np.array([1, 1]), np.array([1, 1]), np.array([1, 1]), np.array([1, 1])]
    value = ops.convolution(value, ops.constant(draw_weights(CHANNELS, 3, 3, 3)), *common)
    first = ops.clamp(ops.add(value, ops.constant(draw_weights(1, CHANNELS, 1, 1))), 0.0, 6.0)
    second = ops.group_convolution(first, ops.constant(draw_weights(CHANNELS, 1, 1, 3, 3)), *common)
    both = ops.add(first, second)
    maps = ops.transpose(both, ops.constant(np.array([0, 2, 3, 1])))
    dense = ops.matmul(maps, ops.constant(draw_weights(CHANNELS, 5)), False, False)
    return openvino.Model([ops.result(dense)], [images])


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (8, EDGE, EDGE, 3), dtype=np.uint8)


def run(openvino: Any, model: Any, images: np.ndarray) -> np.ndarray:
    compiled = open_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    batches = [images[start : start + BATCH_SIZE] for start in range(0, len(images), BATCH_SIZE)]
    return np.concatenate([np.array(compiled([batch])[0]) for batch in batches])


def test_a_quantized_network_gives_nearly_the_same_features(openvino: Any, network: Any, images: np.ndarray) -> None:
    statistics = measure(network, images)
    quantized = quantize(network, statistics, images)
    found, expected = run(openvino, quantized, images), run(openvino, network, images)
    differences = np.abs(found - expected)
    assert 0 < differences.max() < 0.05 * np.abs(expected).max()
    assert np.allclose(statistics.features, expected.mean(axis=(1, 2)), atol=1e-5)
    assert np.allclose(compute_pooled(quantized, images), found.mean(axis=(1, 2)), atol=1e-5)


def test_the_mean_that_rounding_shifts_is_given_back(openvino: Any, network: Any, images: np.ndarray) -> None:
    statistics = measure(network, images)
    means = [{key: 3.0 + mean for key, mean in batch.items()} for batch in statistics.means]
    quantized = quantize(network, statistics, images)
    found, expected = run(openvino, quantized, images), run(openvino, network, images)
    assert np.abs((found - expected).mean(axis=(0, 1, 2))).max() < 2e-3
    lifted = quantize(network, type(statistics)(statistics.ranges, means, statistics.features), images)
    assert np.allclose((run(openvino, lifted, images) - expected).mean(axis=(0, 1, 2)), 3.0, atol=5e-3)


def test_every_layer_and_both_sides_of_a_sum_are_rounded_and_weights_stay_as_they_are(
    network: Any, images: np.ndarray
) -> None:
    quantized = quantize(network, measure(network, images), images)
    rounded = [node for node in quantized.get_ops() if node.get_type_name() == "FakeQuantize"]
    constants = [node for node in rounded if node.input_value(0).get_node().get_type_name() == "Constant"]
    assert sorted(node.input_value(0).get_shape()[0] for node in constants) == [CHANNELS] * 3
    # The input of the first layer, that of the second, which is also a side of the sum, its other side, and the sum.
    assert len(rounded) - len(constants) == 4
    weights = {node.input_value(0).get_node().get_data().tobytes() for node in constants}
    assert draw_weights(CHANNELS, 5).tobytes() in weights
    assert not any(node.get_type_name() == "FakeQuantize" for node in network.get_ops()), (
        "the network itself is as it was"
    )


def test_zero_stays_zero_so_that_padding_adds_nothing(openvino: Any, network: Any, images: np.ndarray) -> None:
    quantized = quantize(network, measure(network, images), images)
    for node in quantized.get_ops():
        if node.get_type_name() == "FakeQuantize" and node.get_attributes()["levels"] == 256:
            low, high = (float(node.input_value(place).get_node().get_data().ravel()[0]) for place in (1, 2))
            steps = -low / ((high - low) / 255)
            assert steps == pytest.approx(round(steps), abs=1e-4)
