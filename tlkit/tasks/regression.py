"""Regression: each image has a value, such as a price."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.metadata.numbers import is_missing, is_numeric, parse_number
from tlkit.outputs import Target
from tlkit.reports.captions import Caption, caption_value
from tlkit.reports.row_file import DOUBLE
from tlkit.tasks.base import OutputSpec, Task
from tlkit.tasks.loss_terms import compute_huber
from tlkit.tasks.predictions import Prediction, shorten_float32
from tlkit.tasks.regression_report import compute_regression_report, find_quarters
from tlkit.tasks.report import Report
from tlkit.tasks.scored_outputs import ScoredValues
from tlkit.tasks.verdicts import ValueVerdicts

HUBER_DELTA = 1.0
_NUM_STRATA = 5
_MAX_PROBE_STRATA, _MIN_IMAGES_OF_A_PROBE_STRATUM = 10, 5


class Regression(Task):
    """See `Task`; the target is a number as text."""

    name = "regression"
    score_name = "r2"
    nouns = ("value", "values")
    answer_noun = "value"
    has_names = False
    target_column = "true_value"
    summed = ("images", "values", "squares", "squared_errors")
    blends_targets = True

    def parse_answer(self, text: str) -> str:
        """Return the number unchanged."""
        if not text or is_missing(text):
            raise ValueError("no value")
        if math.isnan(parse_number(text)):
            raise ValueError(f"the value {text[:40]!r} {'means no data' if is_numeric(text) else 'is not a number'}")
        return text

    def names_of(self, answer: str) -> tuple[str, ...]:
        """Return nothing."""
        return ()

    def make_targets(self, answers: Sequence[str], names: Sequence[str]) -> NDArray[Any]:
        """Return the values, float64 (n, 1)."""
        return np.array([float(answer) for answer in answers], dtype=np.float64).reshape(-1, 1)

    def find_strata(self, answers: Sequence[str]) -> list[str]:
        """Return the quintile of each value."""
        values = self.make_targets(answers, ())[:, 0]
        edges = np.quantile(values, np.linspace(0, 1, _NUM_STRATA + 1)[1:-1]) if len(values) else values
        return [str(stratum) for stratum in np.searchsorted(edges, values, side="right")]

    def stratify(self, targets: NDArray[np.floating[Any]]) -> list[Hashable]:
        """Return the decile of each value, or a coarser quantile if there are fewer than 5 images per range."""
        ranks = targets[:, 0].argsort(kind="stable").argsort(kind="stable")
        num_strata = max(1, min(_MAX_PROBE_STRATA, len(targets) // _MIN_IMAGES_OF_A_PROBE_STRATUM))
        return [int(rank) * num_strata // len(targets) for rank in ranks]

    def score_outputs(
        self, targets: NDArray[np.floating[Any]], outputs: NDArray[np.float64], baseline: NDArray[np.float64]
    ) -> ScoredValues:
        """Return the squared errors; the spread is taken from the baseline."""
        errors, spread = (((targets - each) ** 2).sum(axis=1) for each in (outputs, baseline))
        return ScoredValues(outputs, errors, spread)

    def measure_losses(
        self, targets: NDArray[np.floating[Any]], outputs: NDArray[np.floating[Any]]
    ) -> NDArray[np.float64]:
        """Return the squared errors."""
        losses: NDArray[np.float64] = ((targets - outputs) ** 2).sum(axis=1, dtype=np.float64)
        return losses

    def count_outputs(self, class_names: Sequence[str]) -> int:
        """Return one."""
        return 1

    def fewest_names(self, *, has_box: bool) -> int:
        """Return none."""
        return 0

    def activate(self, logits: NDArray[np.float32], *, temperature: float = 1.0) -> NDArray[np.float32]:
        """Return the value in standard deviations from the mean, unchanged."""
        return logits

    def fit_target(self, name: str, values: NDArray[np.floating[Any]], *, is_log: bool) -> Target:
        """Return mean and deviation: deviations from the mean are learnt."""
        numbers = np.log(values) if is_log else values
        # By rounding, equal numbers may have a deviation that is not quite 0.
        spread = float(numbers.std()) if np.ptp(numbers) > 0 else 0.0
        return Target(name, float(numbers.mean()), spread or 1.0, is_log)

    def compute_losses(self, answers: Any, logits: Any, *, label_smoothing: float = 0.0, focal: float = 0.0) -> Any:
        """Return the Huber loss (1964, doi:10.1214/aoms/1177703732), quadratic up to one standard deviation."""
        from keras import ops

        return ops.mean(compute_huber(answers - logits, HUBER_DELTA), axis=-1)

    def measure(self, answers: Any, logits: Any) -> dict[str, Any]:
        """Return value, square and squared error."""
        from keras import ops

        return {
            "images": ops.ones_like(logits[:, 0]),
            "values": answers[:, 0],
            "squares": answers[:, 0] ** 2,
            "squared_errors": (answers[:, 0] - logits[:, 0]) ** 2,
        }

    def compute_score(self, sums: Mapping[str, float]) -> float:
        """Return R²."""
        spread = sums["squares"] - sums["values"] ** 2 / sums["images"]
        return 1.0 - sums["squared_errors"] / max(spread, 1e-12)

    def compute_outcomes(self, by_image: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """Return the negative squared error of each image."""
        outcomes: NDArray[Any] = -by_image["squared_errors"]
        return outcomes

    def compute_report(
        self, targets: NDArray[Any], outputs: NDArray[Any], spec: OutputSpec, *, top_k: int | None = None
    ) -> Report:
        """Return mean absolute error and R²."""
        assert spec.target is not None
        return compute_regression_report(targets[:, 0], outputs[:, 0], spec.target.name)

    def judge(self, targets: NDArray[Any], outputs: NDArray[Any], spec: OutputSpec) -> ValueVerdicts:
        """Return true and predicted value; the loss is the size of the error."""
        true, predicted = targets[:, 0].astype(np.float64), outputs[:, 0].astype(np.float64)
        return ValueVerdicts(
            losses=np.abs(predicted - true), true=true, predicted=predicted, quarters=find_quarters(true)
        )

    def draw_pictures(
        self, folder: Path, report: Report, targets: NDArray[Any], outputs: NDArray[Any], spec: OutputSpec
    ) -> None:
        """Draw predicted.png."""
        from tlkit.reports.figures import draw_predicted

        assert spec.target is not None
        draw_predicted(folder / "predicted.png", targets[:, 0], outputs[:, 0], spec.target.name)

    def target_columns(self) -> dict[str, str]:
        """Return the true value."""
        return {self.target_column: DOUBLE}

    def prediction_columns(self, *, top_k: int, value_column: str) -> dict[str, str]:
        """Return the value."""
        return {value_column: DOUBLE}

    def predict(
        self, outputs: NDArray[Any], spec: OutputSpec, *, top_k: int, answer: str | None = None
    ) -> dict[str, Any]:
        """Return the value."""
        return {
            "value": shorten_float32(np.float32(outputs[0])),
            "true_value": None if answer is None else float(answer),
        }

    def list_rows(self, prediction: Prediction, *, value_column: str) -> list[dict[str, Any]]:
        """Return the cells of one row."""
        return [{self.target_column: prediction.true_value, value_column: prediction.value}]

    def write_caption(self, prediction: Prediction, spec: OutputSpec) -> Caption:
        """Return one line."""
        assert spec.target is not None
        assert prediction.value is not None
        return caption_value(spec.target.name, prediction.value)


TASK = Regression()
