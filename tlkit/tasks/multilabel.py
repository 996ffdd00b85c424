"""Multilabel classification: each image has any number of labels, or none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.outputs import LABEL_SEPARATOR, normalize_name
from tlkit.reports.captions import Caption, caption_labels
from tlkit.reports.row_file import TEXT
from tlkit.tasks.base import OutputSpec, Task
from tlkit.tasks.loss_terms import TINY, weigh_by_focus
from tlkit.tasks.multilabel_report import MultilabelReport, compute_multilabel_report
from tlkit.tasks.predictions import Prediction, join_names, list_ranked_values, name_ranked_columns, rank_classes
from tlkit.tasks.report import Report
from tlkit.tasks.scored_outputs import ScoredOutputs
from tlkit.tasks.strata import choose_rarest
from tlkit.tasks.thresholds import apply_thresholds, choose_thresholds
from tlkit.tasks.verdicts import LabelVerdicts

LABELS_COLUMN = "labels"
MIN_IMAGES_OF_A_SET = 5


class Multilabel(Task):
    """See `Task`; the target is the sorted label names, joined by `|`."""

    name = "multilabel"
    score_name = "label_accuracy"
    nouns = ("label", "labels")
    answer_noun = "labels"
    target_column = "true_labels"

    def parse_answer(self, text: str) -> str:
        """Return the distinct labels, sorted; an empty target is valid."""
        names = {normalize_name(name.strip()) for name in text.split(LABEL_SEPARATOR)}
        return LABEL_SEPARATOR.join(sorted(names - {""}))

    def names_of(self, answer: str) -> tuple[str, ...]:
        """Return the labels."""
        return tuple(answer.split(LABEL_SEPARATOR)) if answer else ()

    def make_targets(self, answers: Sequence[str], names: Sequence[str]) -> NDArray[Any]:
        """Return 0 and 1 for each label, float32 (n, labels)."""
        number_of = {name: number for number, name in enumerate(names)}
        targets = np.zeros((len(answers), len(names)), np.float32)
        for row, answer in enumerate(answers):
            targets[row, [number_of[name] for name in self.names_of(answer)]] = 1.0
        return targets

    def find_strata(self, answers: Sequence[str]) -> list[str]:
        """Return the rarest label of each image."""
        return choose_rarest([self.names_of(answer) for answer in answers], "")

    def stratify(self, targets: NDArray[np.floating[Any]]) -> list[Hashable]:
        """Return the set of labels; sets of fewer than 5 images count as the most frequent one."""
        sets = [tuple(row) for row in (targets > 0.5).tolist()]
        counts = Counter(sets)
        usual = counts.most_common(1)[0][0]
        return [each if counts[each] >= MIN_IMAGES_OF_A_SET else usual for each in sets]

    def score_outputs(
        self, targets: NDArray[np.floating[Any]], outputs: NDArray[np.float64], baseline: NDArray[np.float64]
    ) -> ScoredOutputs:
        """Return the fraction of the labels whose outputs are on the right side of 0.5."""
        return ScoredOutputs(outputs, ((outputs > 0.5) == (targets > 0.5)).mean(axis=1))

    def measure_losses(
        self, targets: NDArray[np.floating[Any]], outputs: NDArray[np.floating[Any]]
    ) -> NDArray[np.float64]:
        """Return the mean binary cross-entropy of the labels."""
        likelihoods = np.where(targets > 0.5, outputs, 1.0 - outputs).astype(np.float64)
        losses: NDArray[np.float64] = -np.log(np.maximum(likelihoods, TINY)).mean(axis=1)
        return losses

    def fewest_names(self, *, has_box: bool) -> int:
        """Return one."""
        return 1

    def activate(self, logits: NDArray[np.float32], *, temperature: float = 1.0) -> NDArray[np.float32]:
        """Return the sigmoid, float32 (n, labels)."""
        return (1.0 / (1.0 + np.exp(-np.clip(logits, -80, 80)))).astype(np.float32)

    def compute_losses(self, answers: Any, logits: Any, *, label_smoothing: float = 0.0, focal: float = 0.0) -> Any:
        """Return the binary cross-entropy of the sigmoid, averaged over the labels, in nats."""
        from keras import ops

        targets = answers * (1.0 - label_smoothing) + label_smoothing / 2
        if focal:
            present = targets * weigh_by_focus(ops.sigmoid(-logits), focal) * ops.softplus(-logits)
            absent = (1.0 - targets) * weigh_by_focus(ops.sigmoid(logits), focal) * ops.softplus(logits)
            return ops.mean(present + absent, axis=-1)
        return ops.mean(ops.softplus(logits) - targets * logits, axis=-1)

    def measure(self, answers: Any, logits: Any) -> dict[str, Any]:
        """Return the fraction of the labels that are right at a threshold of 0.5."""
        from keras import ops

        right = ops.equal(logits > 0, answers > 0.5)
        return {"images": ops.ones_like(logits[:, 0]), "right": ops.mean(ops.cast(right, "float32"), axis=-1)}

    def compute_report(
        self, targets: NDArray[Any], outputs: NDArray[Any], spec: OutputSpec, *, top_k: int | None = None
    ) -> Report:
        """Return mean average precision, F1, and the scores of each label."""
        return compute_multilabel_report(targets, outputs, spec.class_names, np.array(spec.thresholds))

    def judge(self, targets: NDArray[Any], outputs: NDArray[Any], spec: OutputSpec) -> LabelVerdicts:
        """Return true and predicted labels; the margin is the least distance of a label from its threshold."""
        thresholds, true = np.array(spec.thresholds), targets > 0.5
        predicted = apply_thresholds(outputs, thresholds)
        return LabelVerdicts(
            losses=self.measure_losses(targets, outputs),
            is_right=(predicted == true).all(axis=1),
            margins=np.abs(outputs.astype(np.float64) - thresholds).min(axis=1),
            true=true,
            predicted=predicted,
            probabilities=outputs,
            label_names=tuple(spec.class_names),
        )

    def draw_pictures(
        self, folder: Path, report: Report, targets: NDArray[Any], outputs: NDArray[Any], spec: OutputSpec
    ) -> None:
        """Draw labels.png."""
        from tlkit.reports.figures import draw_labels

        assert isinstance(report, MultilabelReport)
        draw_labels(
            folder / "labels.png",
            spec.class_names,
            [score.average_precision for score in report.labels],
            [score.support for score in report.labels],
            [score.precision for score in report.labels],
            [score.recall for score in report.labels],
        )

    def choose_thresholds(self, targets: NDArray[Any], outputs: NDArray[Any], num_names: int) -> tuple[float, ...]:
        """Return the threshold with the highest F1 for each label."""
        return tuple(float(str(threshold)) for threshold in choose_thresholds(targets, outputs))

    def prediction_columns(self, *, top_k: int, value_column: str) -> dict[str, str]:
        """Return the columns of the predicted labels, and of the most probable ones with their probabilities."""
        return {LABELS_COLUMN: TEXT, **name_ranked_columns(top_k)}

    def predict(
        self, outputs: NDArray[Any], spec: OutputSpec, *, top_k: int, answer: str | None = None
    ) -> dict[str, Any]:
        """Return the labels at or above their thresholds, and the most probable ones."""
        is_present = apply_thresholds(outputs, np.array(spec.thresholds))
        return {
            "ranked": rank_classes(outputs, spec.class_names, top_k),
            "labels": tuple(name for name, present in zip(spec.class_names, is_present, strict=True) if present),
            "true_labels": None if answer is None else self.names_of(answer),
        }

    def list_rows(self, prediction: Prediction, *, value_column: str) -> list[dict[str, Any]]:
        """Return the cells of one row."""
        return [
            {
                self.target_column: join_names(prediction.true_labels),
                LABELS_COLUMN: join_names(prediction.labels),
                **list_ranked_values(prediction),
            }
        ]

    def write_caption(self, prediction: Prediction, spec: OutputSpec) -> Caption:
        """Return a line for each label, with the predicted ones highlighted."""
        return caption_labels(prediction.ranked, prediction.labels or ())


TASK = Multilabel()
