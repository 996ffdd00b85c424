"""Classification: each image shows one of the classes."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.metrics.intervals import compute_wilson_interval
from tlkit.outputs import normalize_name
from tlkit.reports.captions import Caption, caption_classes
from tlkit.reports.row_file import SINGLE
from tlkit.tasks.base import OutputSpec, Task
from tlkit.tasks.classification_report import ClassificationReport, compute_classification_report
from tlkit.tasks.loss_terms import TINY, weigh_by_focus
from tlkit.tasks.predictions import (
    Prediction,
    list_ranked_values,
    name_ranked_columns,
    rank_classes,
    shorten_float32,
)
from tlkit.tasks.report import Report
from tlkit.tasks.scored_outputs import ScoredClasses
from tlkit.tasks.verdicts import ClassVerdicts

TRUE_PROBABILITY_COLUMN = "true_class_probability"


class Classification(Task):
    """See `Task`; the target is a class name."""

    name = "classification"
    score_name = "accuracy"
    nouns = ("class", "classes")
    answer_noun = "class"
    is_exclusive = True
    conflict = "under more than one class"
    target_column = "true_class_name"

    def parse_answer(self, text: str) -> str:
        """Return the name in Unicode's composed form."""
        if not text:
            raise ValueError("no label")
        return normalize_name(text)

    def names_of(self, answer: str) -> tuple[str, ...]:
        """Return the one class."""
        return (answer,)

    def make_targets(self, answers: Sequence[str], names: Sequence[str]) -> NDArray[Any]:
        """Return the classes' numbers, int32 (n,)."""
        number_of = {name: number for number, name in enumerate(names)}
        return np.array([number_of[answer] for answer in answers], dtype=np.int32)

    def find_strata(self, answers: Sequence[str]) -> list[str]:
        """Return the classes."""
        return list(answers)

    def encode_targets(self, targets: NDArray[Any], num_names: int) -> NDArray[np.floating[Any]]:
        """Return one-hot classes, float32 (n, classes)."""
        one_hot: NDArray[np.floating[Any]] = np.eye(num_names, dtype=np.float32)[targets]
        return one_hot

    def stratify(self, targets: NDArray[np.floating[Any]]) -> list[Hashable]:
        """Return the classes."""
        return [int(label) for label in targets.argmax(axis=1)]

    def score_outputs(
        self, targets: NDArray[np.floating[Any]], outputs: NDArray[np.float64], baseline: NDArray[np.float64]
    ) -> ScoredClasses:
        """Return whether the largest output is the true class."""
        return ScoredClasses(outputs, (outputs.argmax(axis=1) == targets.argmax(axis=1)).astype(np.float64))

    def measure_losses(
        self, targets: NDArray[np.floating[Any]], outputs: NDArray[np.floating[Any]]
    ) -> NDArray[np.float64]:
        """Return the cross-entropy of the class."""
        losses: NDArray[np.float64] = -np.log(np.maximum((targets * outputs).sum(axis=1, dtype=np.float64), TINY))
        return losses

    def fewest_names(self, *, has_box: bool) -> int:
        """Return two, or one if a box is predicted too."""
        return 1 if has_box else 2

    def activate(self, logits: NDArray[np.float32], *, temperature: float = 1.0) -> NDArray[np.float32]:
        """Return the softmax, float32 (n, classes)."""
        scores = np.exp((logits - logits.max(axis=1, keepdims=True)) / np.float32(temperature))
        probabilities: NDArray[np.float32] = scores / scores.sum(axis=1, keepdims=True)
        return probabilities

    def compute_losses(self, answers: Any, logits: Any, *, label_smoothing: float = 0.0, focal: float = 0.0) -> Any:
        """Return the cross-entropy of the softmax, in nats."""
        from keras import ops

        num_classes = logits.shape[-1]
        targets = ops.one_hot(answers, num_classes) * (1.0 - label_smoothing) + label_smoothing / num_classes
        logarithms = ops.log_softmax(logits, axis=-1)
        if focal:
            targets = targets * weigh_by_focus(1.0 - ops.exp(logarithms), focal)
        return -ops.sum(targets * logarithms, axis=-1)

    def measure(self, answers: Any, logits: Any) -> dict[str, Any]:
        """Return whether the most probable class is right, 1 or 0."""
        from keras import ops

        right = ops.equal(ops.argmax(logits, axis=-1), answers)
        return {"images": ops.ones_like(logits[:, 0]), "right": ops.cast(right, "float32")}

    def compute_report(
        self, targets: NDArray[Any], outputs: NDArray[Any], spec: OutputSpec, *, top_k: int | None = None
    ) -> Report:
        """Return accuracy, F1, calibration and the confusion matrix."""
        return compute_classification_report(targets.astype(np.int64), outputs, spec.class_names, top_k=top_k)

    def judge(self, targets: NDArray[Any], outputs: NDArray[Any], spec: OutputSpec) -> ClassVerdicts:
        """Return true and predicted class; the margin is the probability of the predicted one."""
        rows = np.arange(len(outputs))
        predicted = outputs.argmax(axis=1)
        return ClassVerdicts(
            losses=-np.log(np.maximum(outputs[rows, targets].astype(np.float64), TINY)),
            is_right=predicted == targets,
            margins=outputs[rows, predicted].astype(np.float64),
            true=targets,
            predicted=predicted,
            probabilities=outputs,
            class_names=tuple(spec.class_names),
        )

    def draw_pictures(
        self, folder: Path, report: Report, targets: NDArray[Any], outputs: NDArray[Any], spec: OutputSpec
    ) -> None:
        """Draw confusion.png and reliability.png."""
        from tlkit.reports.figures import draw_confusion_matrix, draw_reliability

        assert isinstance(report, ClassificationReport)
        draw_confusion_matrix(folder / "confusion.png", report.confusion, spec.class_names)
        rows = []
        for each in report.calibration.bins:
            interval = compute_wilson_interval(round(each.accuracy * each.num_images), each.num_images)
            rows.append((each.confidence, interval.value, interval.low, interval.high, each.num_images))
        draw_reliability(folder / "reliability.png", rows, error=report.calibration.error)

    def target_columns(self) -> dict[str, str]:
        """Return the columns of the true class and its probability."""
        return {**super().target_columns(), TRUE_PROBABILITY_COLUMN: SINGLE}

    def prediction_columns(self, *, top_k: int, value_column: str) -> dict[str, str]:
        """Return the columns of the most probable classes and their probabilities."""
        return name_ranked_columns(top_k)

    def predict(
        self, outputs: NDArray[Any], spec: OutputSpec, *, top_k: int, answer: str | None = None
    ) -> dict[str, Any]:
        """Return the most probable classes, and the probability of the true one."""
        fields: dict[str, Any] = {"ranked": rank_classes(outputs, spec.class_names, top_k)}
        if answer is not None:
            fields["true_class_name"] = answer
            fields["true_probability"] = shorten_float32(outputs[spec.class_names.index(answer)])
        return fields

    def list_rows(self, prediction: Prediction, *, value_column: str) -> list[dict[str, Any]]:
        """Return the cells of one row."""
        return [
            {
                self.target_column: prediction.true_class_name,
                TRUE_PROBABILITY_COLUMN: prediction.true_probability,
                **list_ranked_values(prediction),
            }
        ]

    def write_caption(self, prediction: Prediction, spec: OutputSpec) -> Caption:
        """Return a line for each class."""
        return caption_classes(prediction.ranked)


TASK = Classification()
