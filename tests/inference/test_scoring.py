"""Answers over several views of an image, with a model whose answers are known."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tlkit.features.extract import Loaded, LoadFailure
from tlkit.inference.answering import answer_items
from tlkit.inference.scoring import split_rows
from tlkit.models.spec import BundleSpec
from tlkit.outputs import REGRESSION, Target
from tlkit.recipes import HeadSettings

CLASSES = BundleSpec(
    "tiny", (64, 64), "squash", 1, "none", HeadSettings(), ("cat", "dog"), has_box=True, unknown_above=0.5
)
VALUES = BundleSpec(
    "tiny",
    (64, 64),
    "squash",
    1,
    "none",
    HeadSettings(),
    (),
    task=REGRESSION,
    target=Target("price", 2.0, 1.0, is_log=True),
)


class Echo:
    """Says of an image, which is its row, that row; notes the sizes of the batches."""

    engine = "echo"

    def __init__(self, spec: BundleSpec, *, batch_size: int = 4, num_parallel: int = 1) -> None:
        self.spec, self.batch_size, self.num_parallel, self.map_shape = spec, batch_size, num_parallel, (1, 2, 7)
        self.sizes: list[int] = []
        self._lock = threading.Lock()

    def predict(self, images: Any, metadata: Any = None) -> Any:
        """Return the images."""
        with self._lock:
            self.sizes.append(len(images))
        return images

    predict_for_comparison = predict

    def compute_features(self, images: Any) -> Any:
        """Return the images."""
        return images

    def compute_maps(self, images: Any) -> Any:
        """Return the images."""
        return images

    def predict_with_features(self, images: Any, metadata: Any = None) -> Any:
        """Return the images and, behind each, itself doubled."""
        return np.concatenate([images, 2 * images], axis=1)

    def predict_with_maps(self, images: Any, metadata: Any = None) -> Any:
        """Return the images, each doubled behind itself, and a map of 1 × 2 places behind that."""
        return np.concatenate([images, 2 * images, images, 3 * images], axis=1)


def row_of(item: int, index: int) -> tuple[Any, Any]:
    """Return a row of probabilities, box and distance, other ones for each item and view."""
    first = (item + 1) / (item + index + 2)
    return np.array([first, 1 - first, *[item + index / 10] * 4, index / 10], np.float32), np.zeros(0, np.float32)


def answer(items: Sequence[int], num_views: int, model: Echo) -> list[tuple[int, Any]]:
    """Return what the model says; an odd item below 0 cannot be loaded."""

    def load(item: int) -> Loaded[None]:
        if item < 0:
            raise LoadFailure(f"no item {item}")
        return Loaded([row_of(item, index) for index in range(num_views)])

    return [(item, row) for item, row, _ in answer_items(model, items, load, num_views=num_views)]


def test_probabilities_are_averaged_and_box_and_distance_are_those_of_the_picture_itself() -> None:
    ((_, row),) = answer([2], 3, Echo(CLASSES))
    expected = np.mean([row_of(2, index)[0][:2] for index in range(3)], axis=0)
    np.testing.assert_allclose(row[:2], expected, rtol=1e-6)
    assert row[:2].sum() == pytest.approx(1)
    np.testing.assert_array_equal(row[2:], row_of(2, 0)[0][2:])
    assert row.dtype == np.float32


def test_one_view_gives_the_rows_of_the_model_to_the_bit() -> None:
    for item, row in answer(range(7), 1, Echo(CLASSES)):
        np.testing.assert_array_equal(row, row_of(item, 0)[0])


@pytest.mark.parametrize(("batch_size", "num_parallel"), [(1, 3), (4, 1), (32, 1)])
def test_items_come_in_order_each_once_and_failures_in_their_place(batch_size: int, num_parallel: int) -> None:
    items = [4, -1, 0, 2, -2, 5]
    found = answer(items, 3, Echo(CLASSES, batch_size=batch_size, num_parallel=num_parallel))
    assert [item for item, _ in found] == items
    for item, row in found:
        if item < 0:
            assert row.reason == f"no item {item}"
        else:
            np.testing.assert_array_equal(row, answer([item], 3, Echo(CLASSES))[0][1])


def test_views_fill_the_batches_as_pictures_would() -> None:
    model = Echo(CLASSES, batch_size=4)
    answer(range(6), 3, model)
    assert model.sizes == [4] * 5  # 18 views; the last batch is filled up


def test_values_are_averaged_on_the_scale_on_which_they_were_learnt() -> None:
    def load(item: int) -> Loaded[str]:
        rows = [(np.array([value], np.float32), np.zeros(0, np.float32)) for value in (0.0, 2.0)]
        return Loaded(rows, note=f"of item {item}")

    ((_, row, note),) = answer_items(Echo(VALUES), [0], load, num_views=2)
    assert note == "of item 0"
    assert not isinstance(row, LoadFailure)
    assert split_rows(row[np.newaxis], VALUES).answers[0, 0] == pytest.approx(np.exp(2.0 + 1.0))
