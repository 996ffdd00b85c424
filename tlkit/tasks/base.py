"""What a task is: how its targets are read, what the last layer gives, and how that is trained, scored and written.

One module holds one task, as the only instance of a subclass of `Task`. Everything else asks the task and compares no
names. Keras is imported when a loss is computed, so that reading data and predicting by another engine stay light.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from tlkit.outputs import Target
from tlkit.reports.row_writers import TEXT

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tlkit.reports.captions import Caption
    from tlkit.tasks.predictions import Prediction
    from tlkit.tasks.report import Report
    from tlkit.tasks.scored_outputs import ScoredOutputs


class OutputSpec(Protocol):
    """What a task has to know of a model to read its outputs; the description of a bundle has all of it."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes or labels, in the order of the outputs; none for a value."""

    @property
    def thresholds(self) -> tuple[float, ...]:
        """The probability from which on each label is said to be there; none but for labels."""

    @property
    def target(self) -> Target | None:
        """The value that is learnt, if one is."""


class Task(ABC):
    """One kind of output beside which a box may be learnt.

    Attributes:
        name: What a recipe calls it.
        score_name: The figure by which it is judged, as a history calls it: higher is better.
        nouns: What its targets are called, one and several.
        answer_noun: What all that is to be said of one image is called.
        has_names: Whether its targets are names, of classes or labels, and not numbers.
        is_exclusive: Whether an image has exactly one of the names.
        conflict: How a file is described that has two targets.
        truth_column: The column of a file of predictions that holds what is true.
        summed: What `measure` gives of each image: the sums that the score is computed from.
        blends_targets: Whether the target of a mixture of two images is the mixture of theirs; otherwise both count.
    """

    name: ClassVar[str]
    score_name: ClassVar[str]
    nouns: ClassVar[tuple[str, str]]
    answer_noun: ClassVar[str]
    has_names: ClassVar[bool] = True
    is_exclusive: ClassVar[bool] = False
    conflict: ClassVar[str] = "with more than one answer"
    truth_column: ClassVar[str]
    summed: ClassVar[tuple[str, ...]] = ("images", "right")
    blends_targets: ClassVar[bool] = False

    @property
    def has_labels(self) -> bool:
        """Whether an image may bear several of the names, or none."""
        return self.has_names and not self.is_exclusive

    # From the text of a data set to arrays

    @abstractmethod
    def parse_answer(self, text: str) -> str:
        """Return a cell's answer in its one spelling.

        Raises:
            ValueError: With the reason why there is none in the cell.
        """

    @abstractmethod
    def names_of(self, answer: str) -> tuple[str, ...]:
        """Return the classes or labels that an answer names; a value names none."""

    @abstractmethod
    def make_targets(self, answers: Sequence[str], names: Sequence[str]) -> NDArray[Any]:
        """Return the answers as arrays, one row an image.

        Args:
            answers: One an image, as `parse_answer` spells them.
            names: Classes or labels in the order of their numbers; not needed for values.

        Returns:
            int32 (n,) classes; float32 (n, labels) of 0 and 1; or float64 (n, 1) values.
        """

    @abstractmethod
    def find_strata(self, answers: Sequence[str]) -> list[str]:
        """Return the group of each image whose members are shared out among the splits in proportion."""

    def find_names(self, answers: Sequence[str]) -> list[str]:
        """Return all classes or labels, sorted; none for values."""
        return sorted({name for answer in answers for name in self.names_of(answer)})

    # Probes: linear models that learn float targets of shape (n, outputs)

    def encode_targets(self, targets: NDArray[Any], num_names: int) -> NDArray[np.floating[Any]]:
        """Return targets as probes learn them, float (n, outputs): one-hot classes, 0 and 1 for each label, or values.

        Args:
            targets: As `make_targets` gives them.
            num_names: Classes or labels that there are.
        """
        return targets

    @abstractmethod
    def stratify(self, targets: NDArray[np.floating[Any]]) -> list[Hashable]:
        """Return the group of each image of which every fold gets its share; targets are encoded."""

    @abstractmethod
    def score_outputs(
        self, targets: NDArray[np.floating[Any]], outputs: NDArray[np.float64], baseline: NDArray[np.float64]
    ) -> ScoredOutputs:
        """Return how the outputs for images fare.

        Args:
            targets: Encoded, float (n, outputs).
            outputs: Float64 (n, outputs).
            baseline: What would be said without looking at the image, float64 (n, outputs).
        """

    @abstractmethod
    def measure_losses(
        self, targets: NDArray[np.floating[Any]], outputs: NDArray[np.floating[Any]]
    ) -> NDArray[np.float64]:
        """Return the loss of each image, float64 (n,): cross-entropy in nats, or the squared error.

        Args:
            targets: Encoded, float (n, outputs).
            outputs: Probabilities, 0..1, or values, float (n, outputs).
        """

    # The last layer

    def count_outputs(self, class_names: Sequence[str]) -> int:
        """Return the width of the last layer."""
        return len(class_names)

    @abstractmethod
    def fewest_names(self, *, has_box: bool) -> int:
        """Return how many classes or labels there must be."""

    @abstractmethod
    def activate(self, logits: NDArray[np.float32], *, temperature: float = 1.0) -> NDArray[np.float32]:
        """Return what logits, float32 (n, outputs), say: probabilities, 0..1, or a value in deviations from the mean.

        Args:
            logits: float32 (n, outputs).
            temperature: By which the logits of classes are divided.
        """

    # Training; arrays are tensors of Keras' backend here

    @abstractmethod
    def compute_losses(self, answers: Any, logits: Any, *, label_smoothing: float = 0.0, focal: float = 0.0) -> Any:
        """Return the loss of each image, float32 (n,).

        Args:
            answers: As `make_targets` gives them; values in deviations from their mean.
            logits: float (n, outputs).
            label_smoothing: Part of each label that is spread over all classes, or towards an undecided label,
                0 <= x < 1. No effect on values.
            focal: The focal loss's gamma, >= 0: what each class or label adds to the cross-entropy is multiplied by
                (1 - p) ** gamma, p the probability given to it, so that what is right and sure already counts for little
                (Lin et al. 2017, arXiv:1708.02002). 0: cross-entropy. No effect on values.
        """

    @abstractmethod
    def measure(self, answers: Any, logits: Any) -> dict[str, Any]:
        """Return what the score is made of, for each image: float (n,) by the names in `summed`."""

    def compute_score(self, sums: Mapping[str, float]) -> float:
        """Return the score from sums over images: unless the task says otherwise, the part that is right."""
        return sums["right"] / sums["images"]

    def compute_outcomes(self, by_image: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """Return how well each image fared, (n,), higher is better, so that the higher mean is the better score."""
        return by_image["right"]

    # Scores and pictures of a finished model

    @abstractmethod
    def compute_report(
        self, targets: NDArray[Any], outputs: NDArray[Any], spec: OutputSpec, *, top_k: int | None = None
    ) -> Report:
        """Hold a model's outputs against the truth.

        Args:
            targets: As `make_targets` gives them.
            outputs: Float (n, outputs): probabilities, 0..1, or values in their own unit.
            spec: The model's.
            top_k: How many of the most probable classes count for the top-k accuracy; None measures none.
        """

    @abstractmethod
    def draw_pictures(
        self, folder: Path, report: Report, targets: NDArray[Any], outputs: NDArray[Any], spec: OutputSpec
    ) -> None:
        """Draw what shows how the outputs fare, as PNG files into a folder."""

    def choose_thresholds(self, targets: NDArray[Any], outputs: NDArray[Any]) -> tuple[float, ...]:
        """Return the thresholds of labels by these images; none where there are no labels."""
        return ()

    # Predictions

    @abstractmethod
    def prediction_columns(self, *, top_k: int, value_column: str) -> dict[str, str]:
        """Return the columns of the outputs, by name in order, each with its kind (`tlkit.reports.row_writers`)."""

    def truth_columns(self) -> dict[str, str]:
        """Return the columns of what is true, likewise."""
        return {self.truth_column: TEXT}

    @abstractmethod
    def predict(
        self, outputs: NDArray[Any], spec: OutputSpec, *, top_k: int, answer: str | None = None
    ) -> dict[str, Any]:
        """Return the fields of a `Prediction` that an image's outputs, (outputs,), decide.

        Args:
            outputs: Probabilities, 0..1, or a value in its own unit.
            spec: The model's.
            top_k: Classes or labels that are ranked.
            answer: What is true, where that is known.
        """

    @abstractmethod
    def row_values(self, prediction: Prediction, *, value_column: str) -> dict[str, Any]:
        """Return the cells of the outputs and of what is true, by column; those without a value may be missing."""

    @abstractmethod
    def write_caption(self, prediction: Prediction, spec: OutputSpec) -> Caption:
        """Return the lines that stand beneath a picture."""


@dataclass(frozen=True)
class Outputs:
    """The outputs of a head.

    Attributes:
        task: One of `tlkit.outputs.TASKS`.
        num_answers: Width of the last layer: logits of classes or of labels; 1 for a value.
        has_box: Whether a box is learnt beside them.
    """

    task: str
    num_answers: int
    has_box: bool = False

    @property
    def score_name(self) -> str:
        """The name of the task's score in a history."""
        return find_task(self.task).score_name


@cache
def find_task(name: str) -> Task:
    """Return a task by one of the names in `tlkit.outputs.TASKS`, each of which is a module of this package."""
    task: Task = importlib.import_module(f"tlkit.tasks.{name}").TASK
    return task
