"""The summary of `tlkit predict`: the number of predictions per class, or the rows themselves."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from tlkit.models.spec import BundleSpec
from tlkit.tasks import find_task
from tlkit.tasks.found_objects import BACKGROUND
from tlkit.tasks.predictions import BOX_COLUMNS, UNCERTAIN, UNKNOWN, FoundObject, Prediction


class PredictionTally:
    """Counts predictions by class or label and objects by class, or computes the range of values.

    An image flagged as unknown or uncertain does not count for its class; its objects count.

    Attributes:
        num_images: Number of images, including unreadable ones.
    """

    def __init__(self, spec: BundleSpec) -> None:
        self.num_images = 0
        self._spec = spec
        self._counts: Counter[str] = Counter()
        self._flags: Counter[str] = Counter()
        self._values: list[float] = []
        self._num_without = 0
        self._errors = 0

    def add(self, prediction: Prediction) -> None:
        """Count an image."""
        self.num_images += 1
        if prediction.error:
            self._errors += 1
            return
        self._flags[prediction.flag] += 1
        if prediction.value is not None:
            self._values.append(prediction.value)
        elif prediction.objects is not None:
            self._counts.update(each.class_name for each in prediction.objects)
            self._num_without += not prediction.objects
        elif prediction.labels is not None:
            self._counts.update(prediction.labels)
        elif prediction.areas is not None:
            self._counts.update(name for name, share in prediction.areas.items() if share)
        elif not prediction.flag:
            self._counts[prediction.ranked[0][0]] += 1

    def describe(self, *, with_uncertain: bool) -> dict[str, Any]:
        """Return `errors`, `unknown`, `uncertain` if requested, and `classes`, `labels`, `values` or `objects`.

        With objects, `background` is the number of images without any.
        """
        counts: dict[str, Any] = {"errors": self._errors, UNKNOWN: self._flags[UNKNOWN]}
        if with_uncertain:
            counts[UNCERTAIN] = self._flags[UNCERTAIN]
        task = find_task(self._spec.task)
        if not task.has_names:
            quantiles = np.quantile(self._values, [0, 0.5, 1]).tolist() if self._values else [None] * 3
            return {**counts, task.nouns[1]: dict(zip(("lowest", "median", "highest"), quantiles, strict=True))}
        by_name = {name: self._counts[name] for name in self._spec.class_names}
        if task.lists_objects:
            return {**counts, BACKGROUND: self._num_without, "objects": by_name}
        return {**counts, task.nouns[1]: by_name}


class CollectedRows:
    """Keeps the rows for the JSON result."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def write(self, prediction: Prediction) -> None:
        """Add one row."""
        self.rows.append(describe_prediction(prediction))


def _describe_object(found: FoundObject) -> dict[str, Any]:
    return {"class_name": found.class_name, "score": found.score, **dict(zip(BOX_COLUMNS, found.box, strict=True))}


def describe_prediction(prediction: Prediction) -> dict[str, Any]:
    """Return a prediction as a row of JSON."""
    row: dict[str, Any] = {"path": prediction.path}
    if prediction.value is not None:
        row["value"] = prediction.value
    elif prediction.objects is not None:
        row["objects"] = [_describe_object(each) for each in prediction.objects]
    elif prediction.areas is not None:
        row["areas"] = [{"class_name": name, "share": share} for name, share in prediction.areas.items() if share]
    else:
        ranked = prediction.ranked
        row["classes"] = [{"class_name": name, "probability": probability} for name, probability in ranked]
    if prediction.objects is not None or prediction.areas is not None:
        row |= zip(("height", "width"), prediction.upright_size or (None, None), strict=True)
    if prediction.labels is not None:
        row["labels"] = prediction.labels
    row["error"] = prediction.error or None
    if prediction.distance is not None:
        row |= {"unknown": prediction.is_unknown, "distance": prediction.distance}
    if prediction.is_uncertain is not None:
        row["uncertain"] = prediction.is_uncertain
    if prediction.box is not None:
        row["box"] = dict(zip(BOX_COLUMNS, prediction.box, strict=True))
    return row
