from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.explain.conftest import draw_pictures
from tlkit.errors import SettingError
from tlkit.explain.explainer import Explainer
from tlkit.explain.methods import PIXEL_METHODS, explain_pictures

pytestmark = pytest.mark.usefixtures("untraced")
Make = Callable[..., Any]


@pytest.mark.parametrize("method", PIXEL_METHODS)
def test_every_method_gives_a_map_of_the_picture(method: str, make_classifier: Make) -> None:
    explainer = Explainer(make_classifier("linear", backbone="mnist_cnn", has_metadata=True))
    rows = explainer.classifier.spec.metadata.encode([("1",), ("4",)])
    maps = explain_pictures(explainer, draw_pictures(2), np.array([1, 2]), rows, method=method)
    assert maps.dtype == np.float32
    assert len(maps) == 2
    assert np.isfinite(maps).all()
    assert np.ptp(maps, axis=(1, 2)).min() > 0
    assert not np.allclose(maps[0], maps[1])


def test_integrated_gradients_add_up_to_the_change_from_grey(make_classifier: Make) -> None:
    classifier = make_classifier("linear")
    pictures = draw_pictures(2)
    maps = explain_pictures(Explainer(classifier), pictures, np.array([0, 2]), method="integrated-gradients")
    change = classifier.logits(pictures) - classifier.logits(np.full_like(pictures, 128))
    expected = change[np.arange(2), [0, 2]]
    assert np.abs(maps.mean(axis=(1, 2)) - expected).max() < 0.1 * np.abs(expected).max()


def test_occlusion_finds_the_only_part_that_is_not_grey(make_classifier: Make) -> None:
    picture = np.full((1, 32, 32, 3), 128, np.uint8)
    picture[0, 20:30, 2:12] = np.random.default_rng(0).integers(0, 256, (10, 10, 3))
    explainer = Explainer(make_classifier("linear", backbone="mnist_cnn"))
    evidence = np.abs(explain_pictures(explainer, picture, np.array([0]), method="pixel-occlusion")[0])
    row, column = np.unravel_index(evidence.argmax(), evidence.shape)
    assert row / len(evidence) > 0.5
    assert column / len(evidence) < 0.5


def test_guided_backprop_is_refused_without_relu(make_classifier: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlkit.explain.pixel_maps.guide_gradients", lambda model: model)
    explainer = Explainer(make_classifier("linear"))
    with pytest.raises(SettingError) as caught:
        explain_pictures(explainer, draw_pictures(1), np.array([0]), method="guided-backprop")
    assert str(caught.value) == (
        "guided-backprop needs ReLU, which tiny does not have.\n"
        "  Expected: a backbone with ReLU, such as vgg16, resnet50 or mobilenet_v2\n"
        "  Fix: --method smoothgrad"
    )
