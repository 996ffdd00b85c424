"""One pass over a picture against windows that are cut out of it."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tlkit.data.images import LOADER_VERSION
from tlkit.explain.one_pass import OnePass, ScaledPicture
from tlkit.explain.scan import scan_in_one_pass, scan_windows
from tlkit.inference.tiles import WindowOptions, plan_windows_for
from tlkit.models.classifier import Classifier, assemble_classifier
from tlkit.models.spec import BundleSpec
from tlkit.recipes import HeadSettings

pytestmark = pytest.mark.usefixtures("untraced_module")


def make_classifier(kind: str) -> Classifier:
    spec = BundleSpec(
        "mnist_cnn",
        (28, 28),
        "squash",
        LOADER_VERSION,
        "avg" if kind == "linear" else "none",
        HeadSettings(kind=kind, units=6),
        ("carp", "eel", "pike"),
    )
    classifier = assemble_classifier(spec, weights="random", seed=1)
    for weight in classifier.head.trainable_weights:
        weight.assign(np.random.default_rng(5).normal(size=weight.shape, scale=0.5))
    if kind == "dense":  # features differ little before they are normalised
        classifier.head.get_layer("norm_0").moving_variance.assign(np.full(64, 1e-4))
    return classifier


def draw(height: int, width: int) -> Image.Image:
    """Return a picture that differs from place to place."""
    rng = np.random.default_rng(height)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8)).resize((width, height))
    return Image.fromarray((np.asarray(coarse) // 2 + rng.integers(0, 128, (height, width, 3))).astype(np.uint8))


@pytest.mark.parametrize("kind", ["linear", "dense"])
def test_without_padding_one_pass_is_the_answer_to_each_window(kind: str) -> None:
    classifier = make_classifier(kind)
    one_pass = OnePass(classifier, core_px=24)
    assert one_pass.is_exact
    picture = draw(70, 93)
    found = np.concatenate(list(one_pass.scan(ScaledPicture(picture, 70, 93))))
    assert found.shape == (11, 17, 3) == (*one_pass.count_places(ScaledPicture(picture, 70, 93)), 3)
    windows = np.stack(
        [np.asarray(picture)[top : top + 28, left : left + 28] for top in range(0, 43, 4) for left in range(0, 66, 4)]
    )
    expected = np.concatenate([classifier.predict(windows[start : start + 32]) for start in range(0, len(windows), 32)])
    np.testing.assert_allclose(found.reshape(-1, 3), expected, atol=1e-5)
    assert np.ptp(expected, axis=0).min() > 0.01


def test_a_scan_in_one_pass_is_that_of_the_same_windows_cut_out() -> None:
    classifier, picture = make_classifier("flat"), draw(58, 82)
    plan = plan_windows_for(classifier.spec, WindowOptions(step_px=4), purpose="--scan")
    cut = scan_windows(classifier, picture, plan.cover((58, 82)), (58, 82), chosen=2, advance=lambda _: None)
    scan, difference = scan_in_one_pass(
        classifier, OnePass(classifier), picture, plan, (58, 82), chosen=2, advance=lambda _: None
    )
    rows, columns = scan.labels.shape
    assert (rows, columns) == (8, 14)
    np.testing.assert_allclose(scan.down, cut.down[:rows])  # the last row ends where the picture does
    np.testing.assert_allclose(scan.across, cut.across[:columns])
    np.testing.assert_array_equal(scan.labels, cut.labels[:rows, :columns])
    assert scan.chosen is not None
    assert cut.chosen is not None
    np.testing.assert_allclose(scan.chosen, cut.chosen[:rows, :columns], atol=1e-5)
    assert (difference.num_windows, difference.same) == (64, 1.0)
    assert difference.mean < 1e-5
    assert scan.find_window(1, 2) == (8, 4, 36, 32)


def test_a_conv_head_pads_its_map_so_that_it_is_not_exact() -> None:
    assert not OnePass(make_classifier("conv")).is_exact


def test_a_picture_at_another_scale_is_read_block_by_block_as_it_is_as_a_whole() -> None:
    picture = draw(90, 130)
    scaled = ScaledPicture(picture, 45, 65)
    whole = scaled.read(0, 0, 45, 65).astype(int)
    part = scaled.read(8, 16, 20, 24).astype(int)
    assert np.abs(part - whole[8:28, 16:40]).max() <= 1
    beyond = scaled.read(40, 60, 10, 10)
    np.testing.assert_array_equal(beyond[5:, :5], np.repeat(beyond[4:5, :5], 5, axis=0))


def test_windows_of_another_size_are_scaled_to_the_image_size() -> None:
    classifier = make_classifier("linear")
    plan = plan_windows_for(classifier.spec, WindowOptions(window_px=56), purpose="--scan")
    scan, _ = scan_in_one_pass(
        classifier, OnePass(classifier), draw(84, 112), plan, (84, 112), chosen=None, advance=lambda _: None
    )
    assert scan.labels.shape == (4, 8)  # a step is 4 px at half the scale
    np.testing.assert_allclose(scan.down, [28, 36, 44, 52])
    assert scan.find_window(0, 1) == (8, 0, 64, 56)
