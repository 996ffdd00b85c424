"""From items to a model's rows, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from tlkit.errors import SettingError
from tlkit.features.extract import Loaded, LoadFailure, run_batches
from tlkit.models.predictor import Predictor
from tlkit.models.spec import BundleSpec
from tlkit.tasks import find_task

Item = TypeVar("Item")
Note = TypeVar("Note")

Method = Literal["predict", "predict_with_features", "predict_with_maps"]
"""The method of a model that computes rows."""


def check_views(num_views: int, spec: BundleSpec) -> None:
    """Check that the answers to several views of an image can be averaged.

    Args:
        num_views: Number of views of each image.
        spec: The model's description.

    Raises:
        SettingError: They are lists of objects, or masks.
    """
    task = find_task(spec.task)
    if num_views > 1 and task.has_objects:
        raise SettingError(
            f"--views {num_views}: the {'masks' if task.has_masks else 'objects'} that are found in several views of an image "
            "cannot be averaged.",
            expected=f"one view with a model of the task {spec.task}",
            fix="leave out --views.",
        )


def compute_items(
    classifier: Predictor,
    items: Iterable[Item],
    load: Callable[[Item], Loaded[Note]],
    *,
    num_views: int,
    method: Method,
) -> Iterator[tuple[Item, NDArray[np.float32] | LoadFailure, Note | None]]:
    """Yield each item, in order, with the model's row, or the reason why it cannot be loaded, and its note.

    With several views, the row has their mean probabilities, or the mean of values on the learnt scale; box and
    distance are those of view 0, the image itself. Each view counts as an image in a batch, so views cost as much as
    images.

    Args:
        classifier: The model.
        items: The items; may be empty.
        load: Returns pixels and metadata of each view of an item, or raises `LoadFailure`.
        num_views: Number of views of each item, at least 1.
        method: Method of the model that computes the rows.
    """
    for results in run_batches(
        items,
        load,
        getattr(classifier, method),
        batch_size=classifier.batch_size,
        rows_of_item=num_views,
        num_parallel=classifier.num_parallel,
    ):
        for result in results:
            row = _average(result.outputs, classifier.spec) if result.failure is None else LoadFailure(result.failure)
            yield result.item, row, result.note


def _average(rows: Sequence[NDArray[np.float32]], spec: BundleSpec) -> NDArray[np.float32]:
    """Return the row of view 0 with the mean output of all views."""
    if len(rows) == 1:
        return rows[0]
    num_answers = spec.outputs.num_row_values
    answers = np.stack([row[:num_answers] for row in rows])
    return np.concatenate([answers.mean(axis=0), rows[0][num_answers:]])
