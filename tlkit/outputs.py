"""What a model says of an image: a class, several labels or a value, and a box beside it."""

from __future__ import annotations

from dataclasses import dataclass

Box = tuple[float, float, float, float]
"""left, top, right, bottom."""

CLASSIFICATION, MULTILABEL, REGRESSION = "classification", "multilabel", "regression"
TASKS = (CLASSIFICATION, MULTILABEL, REGRESSION)

SCORES = {CLASSIFICATION: "accuracy", MULTILABEL: "label_accuracy", REGRESSION: "r2"}
"""The figure by which each task is judged, as it is called in a history: higher is better."""


@dataclass(frozen=True)
class Target:
    """A value that is learnt: (value - mean) / scale, of the value or of its logarithm.

    Attributes:
        name: The column's.
        mean: Of the training values, or of their logarithms.
        scale: Their standard deviation, above 0.
        is_log: Whether the logarithm is learnt.
    """

    name: str
    mean: float
    scale: float
    is_log: bool


@dataclass(frozen=True)
class Outputs:
    """The outputs of a head.

    Attributes:
        task: One of TASKS.
        num_answers: Numbers in the answer: logits of classes or of labels; 1 for a value.
        has_box: Whether a box is learnt beside the answer.
    """

    task: str
    num_answers: int
    has_box: bool = False

    @property
    def score_name(self) -> str:
        """The name of the task's score in a history."""
        return SCORES[self.task]
