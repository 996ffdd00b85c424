from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.explain.conftest import build_backbone_once, build_classifier
from tlkit.backbones.build import Backbone, build_backbone
from tlkit.backbones.cutting import record_steps
from tlkit.dreaming import network
from tlkit.dreaming.network import DreamNetwork, _before_activation
from tlkit.errors import SettingError

pytestmark = pytest.mark.usefixtures("untraced")
SIZE = (32, 32)


def open_network() -> DreamNetwork:
    return DreamNetwork(build_backbone_once("mnist_cnn", image_size=SIZE, pooling="none", weights="random", seed=1))


def draw_picture(size: tuple[int, int] = SIZE, seed: int = 0) -> NDArray[Any]:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3)).astype(np.float32)


def test_another_size_has_the_same_weights() -> None:
    picture = draw_picture((64, 32))
    found = open_network().read_maps(picture, ["conv1", "top"])
    expected = build_backbone("mnist_cnn", image_size=(64, 32), pooling="none", weights="random", seed=1)
    assert np.allclose(found[0], expected.split_at_map("conv1")[0](picture[np.newaxis]), rtol=1e-5)
    assert np.allclose(found[1], expected.model(picture[np.newaxis]), rtol=1e-5)


def test_a_channel_is_the_mean_of_what_its_activation_is_given() -> None:
    dreamer, picture = open_network(), draw_picture()
    channel = int(dreamer.read_maps(picture, ["conv1"])[0].mean(axis=(0, 1, 2)).argmax())
    gradient = dreamer.oppose_channel(SIZE, "conv1", channel)
    loss, slopes = gradient(picture[np.newaxis])
    step = 0.5 * slopes / np.abs(slopes).max()
    closer, _ = gradient(picture[np.newaxis] - step)
    assert closer[0] < loss[0]
    assert closer[0] - loss[0] == pytest.approx(-(slopes * step).sum(), rel=0.05)


def test_a_map_is_taken_before_the_activation_that_would_end_its_gradient() -> None:
    """ReLU6 is flat where it has reached 6."""
    pixels = keras.Input((8, 8, 3))
    before = keras.layers.Conv2D(2, 3)(pixels)
    after = keras.layers.ReLU(6)(before)
    backbone = cast("Backbone", SimpleNamespace(network=keras.Model(pixels, after)))
    steps = record_steps(backbone.network)[1]
    assert _before_activation(backbone, steps[-1].output) is steps[-2].output
    assert _before_activation(backbone, steps[-2].output) is steps[-2].output


def test_the_answer_of_a_run_is_what_rises() -> None:
    classifier = build_classifier("linear", backbone="mnist_cnn")
    picture = draw_picture().astype(np.uint8)[np.newaxis]
    loss, slopes = DreamNetwork(classifier.backbone, classifier).oppose_output(1)(picture)
    logits = classifier.logits(picture)[0]
    assert loss[0] == pytest.approx(logits.mean() - logits[1], abs=1e-4)
    assert np.abs(slopes).max() > 0


def test_a_run_with_metadata_answers_as_for_its_mean_image() -> None:
    classifier = build_classifier("linear", backbone="mnist_cnn", has_metadata=True)
    picture = draw_picture().astype(np.uint8)[np.newaxis]
    loss, _ = DreamNetwork(classifier.backbone, classifier).oppose_output(0)(picture)
    logits = classifier.logits(picture, np.zeros((1, classifier.spec.metadata.width), np.float32))[0]
    assert loss[0] == pytest.approx(logits.mean() - logits[0], abs=1e-4)


def test_features_and_styles_are_nearest_to_their_own_picture() -> None:
    dreamer, picture, other = open_network(), draw_picture(), draw_picture(seed=1)
    same, different = (dreamer.compare_features(picture, "conv1")(each[np.newaxis])[0] for each in (picture, other))
    assert same[0] < 1e-6 < different[0]
    style = dreamer.compare_style(SIZE, picture, ["conv1", "top"])
    assert style(picture[np.newaxis])[0][0] < 1e-6 < style(other[np.newaxis])[0][0]
    both = dreamer.compare_style(SIZE, picture, ["conv1"], other, "top", strength=3)
    assert both(picture[np.newaxis])[0][0] == pytest.approx(
        dreamer.compare_features(other, "top")(picture[np.newaxis])[0][0], rel=1e-3
    )
    assert both(other[np.newaxis])[0][0] == pytest.approx(
        3 * dreamer.compare_style(SIZE, picture, ["conv1"])(other[np.newaxis])[0][0], rel=1e-3
    )


def test_a_picture_that_does_not_fit_into_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    dreamer = open_network()
    dreamer.check_memory((320, 320))
    monkeypatch.setattr(network, "read_free_memory", lambda: 20_000_000)
    with pytest.raises(
        SettingError, match=r"A picture of 640 x 320 px takes about 0\.\d GB, and 0\.0 GB are free\."
    ) as caught:
        dreamer.check_memory((320, 640))
    edge = int(str(caught.value).split("--size ")[1])
    assert 32 <= edge < 640
    dreamer.check_memory((edge // 2, edge))
