"""The examples with numbers in the course notes, by the reference in numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tlkit.reference.activations import softmax
from tlkit.reference.convolution import convolve, convolve_backward
from tlkit.reference.layers import Convolution, Dense
from tlkit.reference.network import INPUT, Network, Node
from tlkit.reference.operations import Elementwise, Product, Sum
from tlkit.reference.patches import Window, cut_patches
from tlkit.reference.pooling import pool_max

RNG = np.random.default_rng(0)


def convolve_one(places: list[list[float]], kernel: list[list[float]], window: Window) -> list[list[float]]:
    """Return the result for a single map and kernel."""
    maps, columns = np.array(places), np.array(kernel)
    result: list[list[float]] = convolve(
        maps[np.newaxis, ..., np.newaxis], columns[..., np.newaxis, np.newaxis], window
    )[0, ..., 0].tolist()
    return result


def find_field(*windows: Window) -> tuple[int, int]:
    """Return how large a patch of the input one place in the middle depends on after convolutions, by the gradient."""
    maps: list[NDArray[Any]] = [np.zeros((1, 31, 31, 1))]
    kernels = [np.ones((*window.size, 1, 1)) for window in windows]
    for window, kernel in zip(windows, kernels, strict=True):
        maps.append(convolve(maps[-1], kernel, window))
    above: NDArray[Any] = np.zeros_like(maps[-1])
    above[0, above.shape[1] // 2, above.shape[2] // 2] = 1
    for place in reversed(range(len(windows))):
        above = convolve_backward(maps[place], kernels[place], above, windows[place])[0]
    rows, columns = np.nonzero(above[0, :, :, 0])
    return int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1


def test_a_correlation_weighs_a_patch_and_a_convolution_turns_the_kernel_first() -> None:
    patch: list[list[float]] = RNG.normal(size=(3, 3)).tolist()
    kernel: list[list[float]] = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    numbers = np.arange(1, 10)
    assert convolve_one(patch, kernel, Window((3, 3))) == pytest.approx(np.array([[np.ravel(patch) @ numbers]]))
    turned = np.rot90(kernel, 2).tolist()
    assert convolve_one(patch, turned, Window((3, 3))) == pytest.approx(np.array([[np.ravel(patch) @ numbers[::-1]]]))


def test_the_sizes_of_outputs_are_those_of_the_notes() -> None:
    assert Window((4, 4)).positions((32, 32)) == (29, 29)
    padded = (32 + 2, 32 + 2)  # a border of 1 on each side
    assert Window((4, 4), (3, 3)).positions(padded) == (11, 11)
    assert Window((1, 1)).positions((32, 32)) == (32, 32)
    assert Window((11, 11), (4, 4)).positions((227, 227)) == (55, 55)
    for edge in (1, 3, 5):
        border = (edge - 1) // 2
        assert Window((edge, edge), padding="same").borders((32, 32)) == ((border, border),) * 2


def test_a_convolution_of_other_height_than_width_has_the_shape_of_the_notes() -> None:
    assert convolve(RNG.normal(size=(2, 7, 3, 1)), RNG.normal(size=(2, 3, 1, 8)), Window((2, 3))).shape == (2, 6, 1, 8)


def test_the_patches_of_alexnet_are_the_matrix_of_the_notes() -> None:
    patches = cut_patches(np.zeros((1, 227, 227, 3), np.float32), Window((11, 11), (4, 4)))
    assert patches.reshape(-1, 11 * 11 * 3).shape == (3025, 363)
    assert np.zeros((11, 11, 3, 96)).reshape(-1, 96).shape == (363, 96)


@pytest.mark.parametrize(
    ("kernel", "outputs", "expected"),
    [((5, 5, 3), 1, 76), ((5, 5, 3), 6, 456), ((3, 3, 20), 1, 180 + 1), ((3, 3, 1), 32, 320), ((3, 3, 32), 32, 9_248)],
)
def test_a_convolution_has_the_parameters_of_the_notes(
    kernel: tuple[int, int, int], outputs: int, expected: int
) -> None:
    layer = Convolution({"kernel": np.zeros((*kernel, outputs)), "bias": np.zeros(outputs)}, Window(kernel[:2]))
    assert layer.forward(np.zeros((1, 5, 5, kernel[2]))).shape[-1] == outputs
    assert sum(weights.size for weights in layer.weights.values()) == expected


def test_a_kernel_with_a_single_1_reads_one_corner_of_every_patch() -> None:
    places = np.arange(16.0).reshape(4, 4).tolist()
    assert convolve_one(places, [[1, 0], [0, 0]], Window((2, 2), (2, 2))) == [[0, 2], [8, 10]]


def test_a_convolution_of_1_x_1_mixes_the_channels_of_each_place() -> None:
    maps, kernel = RNG.normal(size=(2, 4, 5, 3)), RNG.normal(size=(1, 1, 3, 7))
    np.testing.assert_allclose(convolve(maps, kernel, Window((1, 1))), maps @ kernel[0, 0])


def test_small_kernels_see_as_far_as_a_large_one_with_fewer_weights() -> None:
    three = Window((3, 3))
    assert [find_field(*[three] * number) for number in (1, 2, 3)] == [(3, 3), (5, 5), (7, 7)]
    assert find_field(Window((7, 7))) == (7, 7)
    assert find_field(three, Window((3, 3), dilation=(2, 2))) == (7, 7)
    channels = 10
    assert 3 * np.zeros((3, 3, channels, channels)).size == 27 * channels**2 < 49 * channels**2


def test_a_dense_layer_on_a_map_is_a_convolution_as_large_as_the_map() -> None:
    maps, kernel = RNG.normal(size=(2, 7, 7, 4)), RNG.normal(size=(7 * 7 * 4, 6))
    dense = Dense({"kernel": kernel}).forward(maps.reshape(2, -1))
    as_convolution = convolve(maps, kernel.reshape(7, 7, 4, 6), Window((7, 7)))
    assert as_convolution.shape == (2, 1, 1, 6)
    np.testing.assert_allclose(as_convolution[:, 0, 0], dense)
    assert 7 * 7 * 512 * 4096 == 102_760_448  # the weights of VGG16's first, without bias


def test_the_gradient_of_a_strided_convolution_is_the_transposed_convolution_of_the_notes() -> None:
    a, b, x, y, z = 2.0, 3.0, 5.0, 7.0, 11.0
    kernel, above = np.array([x, y, z]).reshape(1, 3, 1, 1), np.array([a, b]).reshape(1, 1, 2, 1)
    larger, _ = convolve_backward(np.zeros((1, 1, 5, 1)), kernel, above, Window((1, 3), (1, 2)))
    assert larger.ravel().tolist() == [a * x, a * y, a * z + b * x, b * y, b * z]


def test_the_gradient_at_a_stride_is_that_at_stride_1_with_zeros_between() -> None:
    maps, kernel = RNG.normal(size=(1, 7, 7, 2)), RNG.normal(size=(3, 3, 2, 4))
    above = RNG.normal(size=(1, 3, 3, 4))
    spread = np.zeros((1, 5, 5, 4))
    spread[:, ::2, ::2] = above
    found = convolve_backward(maps, kernel, above, Window((3, 3), (2, 2)))
    for one, other in zip(found, convolve_backward(maps, kernel, spread, Window((3, 3))), strict=True):
        np.testing.assert_allclose(one, other)


def test_pooling_keeps_the_largest_of_each_window_and_drops_three_quarters() -> None:
    places = np.array([[1.0, 3, 2, 1], [4, 6, 5, 0], [7, 1, 0, 2], [3, 2, 8, 4]]).reshape(1, 4, 4, 1)
    pooled = pool_max(places, Window((2, 2), (2, 2)))
    assert pooled[0, :, :, 0].tolist() == [[6, 5], [7, 8]]
    assert pooled.size * 4 == places.size


def test_probabilities_of_softmax_are_those_of_the_formula_and_take_negative_numbers() -> None:
    logits = np.array([[2.0, -1.0, 0.0]])
    np.testing.assert_allclose(softmax(logits), np.exp(logits) / np.exp(logits).sum())


def test_the_graph_of_a_product_and_a_sum_has_the_gradients_of_the_notes() -> None:
    # a = x * y, b = a + z, c = the sum of b: the gradients are y, x and 1.
    x, y, z = RNG.normal(size=(3, 3, 4))
    product, total = Product(), Sum()
    a = product.forward(x, y)
    b = total.forward(a, z)
    of_a, of_z = total.backward((a, z), b, np.ones_like(b)).inputs
    of_x, of_y = product.backward((x, y), a, of_a).inputs
    for found, expected in ((of_x, y), (of_y, x), (of_z, np.ones_like(z))):
        np.testing.assert_array_equal(found, expected)


def test_two_dense_layers_learn_by_the_gradients_of_the_notes() -> None:
    rng = np.random.default_rng(0)
    number, inputs, hidden, outputs = 64, 1000, 100, 10
    x, y = rng.normal(size=(number, inputs)), rng.normal(size=(number, outputs))
    first, second = (
        Dense({"kernel": rng.normal(size=(inputs, hidden))}),
        Dense({"kernel": rng.normal(size=(hidden, outputs))}),
    )
    network = Network([
        Node("first", first, (INPUT,)), Node("relu", Elementwise("relu"), ("first",)), Node("second", second, ("relu",)),
    ])  # fmt: skip
    losses = []
    for _ in range(50):
        predicted = network.forward(x)
        losses.append(np.square(predicted - y).sum())
        of_predicted = 2 * (predicted - y)
        of_hidden = (of_predicted @ second.weights["kernel"].T) * (network.outputs["first"] > 0)
        gradients = network.backward(of_predicted)[1]
        np.testing.assert_allclose(gradients["second", "kernel"], network.outputs["relu"].T @ of_predicted)
        np.testing.assert_allclose(gradients["first", "kernel"], x.T @ of_hidden)
        for name, layer in (("first", first), ("second", second)):
            layer.weights = {"kernel": layer.weights["kernel"] - 1e-6 * gradients[name, "kernel"]}
    assert losses[-1] < 0.1 * losses[0]


def test_a_residual_block_adds_its_input_and_so_hands_its_gradient_down_unchanged() -> None:
    kernel = RNG.normal(size=(3, 3, 2, 2)) * 1e-9
    block = Network([
        Node("conv_1", Convolution({"kernel": kernel}, Window((3, 3), padding="same")), (INPUT,)),
        Node("relu", Elementwise("relu"), ("conv_1",)),
        Node("conv_2", Convolution({"kernel": kernel}, Window((3, 3), padding="same")), ("relu",)),
        Node("sum", Sum(), ("conv_2", INPUT)),
    ])  # fmt: skip
    maps, above = RNG.normal(size=(1, 5, 5, 2)), RNG.normal(size=(1, 5, 5, 2))
    output = block.forward(maps)
    np.testing.assert_allclose(output, maps + block.outputs["conv_2"])
    np.testing.assert_allclose(block.backward(above)[0], above, atol=1e-6)
