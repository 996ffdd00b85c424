from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.explain.conftest import build_classifier, draw_pictures
from tlkit.dreaming.attacks import Attack, find_smallest_change, predict_classes
from tlkit.dreaming.painting import to_pixels

pytestmark = pytest.mark.usefixtures("untraced")
NO_METADATA = np.zeros((2, 0), np.float32)


@pytest.fixture(scope="module")
def classifier():  # type: ignore[no-untyped-def]
    return build_classifier("linear", backbone="mnist_cnn")


@pytest.mark.parametrize("distance", [1, 5])
def test_changes_are_whole_numbers_within_the_distance(classifier, distance: int) -> None:  # type: ignore[no-untyped-def]
    attack, pictures, classes = Attack(classifier), draw_pictures(2), np.array([0, 1])
    rng = np.random.default_rng(0)
    changed = attack.follow_gradient(pictures, classes, NO_METADATA, distance, towards=True, rng=rng)
    assert changed.dtype == np.uint8
    assert 0 < np.abs(changed.astype(int) - pictures).max() <= distance
    assert set(np.unique(attack.find_signs(pictures, classes, NO_METADATA))) <= {-1, 0, 1}


def test_attacks_make_a_class_less_or_more_probable(classifier) -> None:  # type: ignore[no-untyped-def]
    attack, pictures = Attack(classifier), draw_pictures(2)
    classes, rng = np.array([2, 0]), np.random.default_rng(0)

    def probability(changed: NDArray[Any]) -> NDArray[Any]:
        rows: NDArray[Any] = classifier.predict(changed)[np.arange(2), classes]
        return rows

    before, signs = probability(pictures), attack.find_signs(pictures, classes, NO_METADATA)
    assert (probability(to_pixels(pictures + 4 * signs)) < before).all()
    once = probability(to_pixels(pictures - 16 * signs))
    often = probability(attack.follow_gradient(pictures, classes, NO_METADATA, 16, towards=True, rng=rng))
    assert (once > before).all()
    assert (often >= once - 0.02).all()
    assert (
        probability(attack.follow_gradient(pictures, classes, NO_METADATA, 4, towards=False, rng=rng)) < before
    ).all()


@pytest.mark.parametrize("needed", [1, 2, 7, 8, 32])
def test_the_smallest_change_that_is_enough_is_found(needed: int) -> None:
    """A model that goes by the brightness, and an attack that adds it."""
    predictor: Any = SimpleNamespace(
        spec=SimpleNamespace(metadata=SimpleNamespace(width=0), outputs=SimpleNamespace(num_answers=2)),
        predict=lambda pictures, _: (
            np.stack([pictures.max(axis=(1, 2, 3)) < 100 + needed, pictures.min(axis=(1, 2, 3)) > 0], 1) * [2, 1]
        ),
    )
    attack: Any = SimpleNamespace(
        follow_gradient=lambda pictures, classes, metadata, distance, **_: (pictures + distance).astype(np.uint8)
    )
    picture = np.full((4, 4, 3), 100, np.uint8)
    distance, changed = find_smallest_change(attack, predictor, picture, 1) or (None, picture)
    assert distance == needed
    assert (changed == 100 + needed).all()
    unchanged = find_smallest_change(attack, predictor, picture, 0)
    assert unchanged is not None
    assert unchanged[0] == 0


def test_nothing_is_found_where_no_change_is_enough(classifier, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    tried = []

    def give_up(self: Attack, pictures: NDArray[Any], *arguments: object, **_: object) -> NDArray[Any]:
        tried.append(arguments[2])
        return pictures

    monkeypatch.setattr(Attack, "follow_gradient", give_up)
    picture = draw_pictures(1)[0]
    now = int(predict_classes(classifier, picture[np.newaxis], NO_METADATA[:1])[0])
    assert find_smallest_change(Attack(classifier), classifier, picture, (now + 1) % 3) is None
    assert tried == [1, 2, 4, 8, 16, 32]
