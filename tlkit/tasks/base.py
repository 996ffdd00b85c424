"""The base class of tasks: how targets are read, trained, scored and written.

Each task is one module with a single instance of a subclass of `Task`. All other code asks the task instead of
comparing names. Keras is imported only to compute a loss, so that reading data and predicting with another engine stay
light.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from tlkit.outputs import SOFT, Target
from tlkit.reports.row_file import TEXT

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tlkit.reports.captions import Caption
    from tlkit.tasks.predictions import Prediction
    from tlkit.tasks.report import Report
    from tlkit.tasks.scored_outputs import ScoredOutputs
    from tlkit.tasks.verdicts import Verdicts


MapSizes = tuple[tuple[int, int], ...]
"""(height, width) of several feature maps, in cells, the finest first."""


class OutputSpec(Protocol):
    """What a task needs to know about a model to interpret its outputs; a bundle's description has it."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes or labels, in the order of the outputs; empty for values."""

    @property
    def thresholds(self) -> tuple[float, ...]:
        """The threshold of each label, or of objects by class; empty for other tasks."""

    @property
    def target(self) -> Target | None:
        """The target value, if values are predicted."""


class Task(ABC):
    """One kind of output, optionally combined with a box.

    Attributes:
        name: Its name in a recipe.
        score_name: The name of its main score in a history; higher is better.
        nouns: Names of its targets, singular and plural.
        answer_noun: Name of the whole target of one image.
        has_names: Whether its targets are class or label names rather than numbers.
        is_exclusive: Whether an image has exactly one of the names.
        has_objects: Whether its target is what is where in an image: objects, each with a box of its own, or a mask.
        has_masks: Whether that is a mask, with a class at every place.
        conflict: Description of a file with two targets.
        target_column: The column of true targets in a file of predictions.
        summed: Keys of `measure`; the score is computed from their sums.
        blends_targets: Whether mixing two images mixes their targets; otherwise their losses are mixed.
        listed: Keys of `list_found`, with the number of values for each image; if there are any, `score_found` computes
            the score instead of `compute_score`, and there is no score of training images.
    """

    name: ClassVar[str]
    score_name: ClassVar[str]
    nouns: ClassVar[tuple[str, str]]
    answer_noun: ClassVar[str]
    has_names: ClassVar[bool] = True
    is_exclusive: ClassVar[bool] = False
    has_objects: ClassVar[bool] = False
    has_masks: ClassVar[bool] = False
    conflict: ClassVar[str] = "with more than one answer"
    target_column: ClassVar[str]
    summed: ClassVar[tuple[str, ...]] = ("images", "right")
    blends_targets: ClassVar[bool] = False
    listed: ClassVar[Mapping[str, int]] = {}

    lists_objects = property(lambda self: bool(self.has_objects and not self.has_masks), doc="Objects, but no mask.")

    @property
    def has_labels(self) -> bool:
        """Whether an image may have several of the names, or none, and nothing else."""
        return self.has_names and not self.is_exclusive and not self.has_objects

    @property
    def has_thresholds(self) -> bool:
        """Whether each name has a threshold, above which it is predicted."""
        return self.has_names and not self.is_exclusive and not self.has_masks

    # Targets, from text to arrays

    @abstractmethod
    def parse_answer(self, text: str) -> str:
        """Return a cell's target in normalized form.

        Raises:
            ValueError: With the reason why the cell has no target.
        """

    @abstractmethod
    def names_of(self, answer: str) -> tuple[str, ...]:
        """Return the classes or labels in a target; empty for a value."""

    def describe_answer(self, answer: str) -> str:
        """Return a target as people read it."""
        return repr(answer)

    @abstractmethod
    def make_targets(self, answers: Sequence[str], names: Sequence[str]) -> NDArray[Any]:
        """Return the targets as an array, one row per image.

        Args:
            answers: One per image, as returned by `parse_answer`.
            names: Classes or labels in label order; not needed for values.

        Returns:
            int32 (n,) classes; float32 (n, labels) of 0 and 1; or float64 (n, 1) values.
        """

    @abstractmethod
    def find_strata(self, answers: Sequence[str]) -> list[str]:
        """Return the stratum of each image for stratified splits."""

    def find_names(self, answers: Sequence[str]) -> list[str]:
        """Return all classes or labels, sorted; empty for values."""
        return sorted({name for answer in answers for name in self.names_of(answer)})

    # Probes: linear models with float targets of shape (n, outputs)

    def encode_targets(self, targets: NDArray[Any], num_names: int) -> NDArray[np.floating[Any]]:
        """Return targets for probes, float (n, outputs): one-hot classes, 0 and 1 for each label, or values.

        Args:
            targets: As returned by `make_targets`.
            num_names: Number of classes or labels.
        """
        return targets

    @abstractmethod
    def stratify(self, targets: NDArray[np.floating[Any]]) -> list[Hashable]:
        """Return the stratum of each image for stratified folds; targets are encoded."""

    @abstractmethod
    def score_outputs(
        self, targets: NDArray[np.floating[Any]], outputs: NDArray[np.float64], baseline: NDArray[np.float64]
    ) -> ScoredOutputs:
        """Score outputs, image by image.

        Args:
            targets: Encoded, float (n, outputs).
            outputs: Float64 (n, outputs).
            baseline: Predictions made without looking at the image, float64 (n, outputs).
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

    def on_maps(self, map_sizes: MapSizes, nms: str = SOFT) -> Task:
        """Return the task for answers at every cell of some maps; itself if an image has one answer."""
        return self

    def shape_answer(self, num_answers: int) -> tuple[int, ...]:
        """Return the shape of the network's answer for an image, given the width of the last layer."""
        return (num_answers,)

    def count_row_values(self, num_answers: int) -> int:
        """Return the number of values that `activate` gives for an image, given the width of the last layer."""
        return num_answers

    def make_comparable(self, logits: NDArray[np.float32], *, temperature: float = 1.0) -> NDArray[np.float32]:
        """Return values that differ little where logits do, to compare engines by: float32 (n, values); see `activate`."""
        return self.activate(logits, temperature=temperature)

    def count_outputs(self, class_names: Sequence[str]) -> int:
        """Return the width of the last layer."""
        return len(class_names)

    @abstractmethod
    def fewest_names(self, *, has_box: bool) -> int:
        """Return the minimum number of classes or labels."""

    @abstractmethod
    def activate(self, logits: NDArray[np.float32], *, temperature: float = 1.0) -> NDArray[np.float32]:
        """Convert logits to probabilities, 0..1, or to a value in standard deviations from the mean.

        Args:
            logits: float32 (n, outputs).
            temperature: Divisor of class logits.

        Returns:
            float32 (n, `count_row_values`).
        """

    def fit_target(self, name: str, values: NDArray[np.floating[Any]], *, is_log: bool) -> Target | None:
        """Return how values are scaled to be learnt; None where names are learnt.

        Args:
            name: The column's.
            values: Those of the training images, float (n, 1) or (n,), above 0 if `is_log`.
            is_log: Whether their logarithm is learnt.
        """
        return None

    # Training; arrays here are tensors of the Keras backend

    @abstractmethod
    def compute_losses(self, answers: Any, logits: Any, *, label_smoothing: float = 0.0, focal: float = 0.0) -> Any:
        """Return the loss of each image, float32 (n,).

        Args:
            answers: As returned by `make_targets`; values in standard deviations from their mean.
            logits: float (n, outputs).
            label_smoothing: Fraction of each label spread over all classes, or towards 0.5 for a label, 0 <= x < 1.
                Ignored for values.
            focal: The focal loss's gamma, >= 0: each term of the cross-entropy is multiplied by (1 - p) ** gamma, where
                p is the probability of the true class or label, so that easy images count less (Lin et al. 2017,
                arXiv:1708.02002). 0 is plain cross-entropy. Ignored for values.
        """

    @abstractmethod
    def measure(self, answers: Any, logits: Any) -> dict[str, Any]:
        """Return the terms of the score for each image: float (n,) by the names in `summed`."""

    def compute_score(self, sums: Mapping[str, float]) -> float:
        """Compute the score from sums over images; by default, the fraction that is right."""
        return sums["right"] / sums["images"]

    def compute_outcomes(self, by_image: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """Return a score for each image, (n,); a higher mean is a better score."""
        return by_image["right"]

    def list_found(self, logits: Any) -> dict[str, Any]:
        """Return arrays from which the score is computed: float32 (n, values) by the names in `listed`."""
        return {}

    def score_found(
        self, by_image: Mapping[str, NDArray[Any]], answers: NDArray[Any]
    ) -> tuple[float, NDArray[np.floating[Any]]]:
        """Return the score, and a score of each image, (n,); a higher mean is better.

        Args:
            by_image: As returned by `list_found`, in numpy.
            answers: What is true of the same images, as learnt.
        """
        raise NotImplementedError(f"{self.name} lists nothing")

    # Scores and figures of a finished model

    @abstractmethod
    def compute_report(
        self, targets: NDArray[Any], outputs: NDArray[Any], spec: OutputSpec, *, top_k: int | None = None
    ) -> Report:
        """Compare a model's outputs with the targets.

        Args:
            targets: As returned by `make_targets`.
            outputs: Float (n, outputs): probabilities, 0..1, or values in their own unit.
            spec: The model's output spec.
            top_k: k of the top-k accuracy; None to skip it.
        """

    @abstractmethod
    def judge(self, targets: NDArray[Any], outputs: NDArray[Any], spec: OutputSpec) -> Verdicts:
        """Return what became of each image; arguments as for `compute_report`."""

    @abstractmethod
    def draw_pictures(
        self, folder: Path, report: Report, targets: NDArray[Any], outputs: NDArray[Any], spec: OutputSpec
    ) -> None:
        """Draw the figures of a report as PNG files in a folder."""

    def choose_thresholds(self, targets: NDArray[Any], outputs: NDArray[Any], num_names: int) -> tuple[float, ...]:
        """Return the thresholds of labels, or of objects by class, chosen on these images; empty for other tasks."""
        return ()

    # Predictions

    @abstractmethod
    def prediction_columns(self, *, top_k: int, value_column: str) -> dict[str, str]:
        """Return the output columns, by name in order, with their kinds (`tlkit.reports.row_file`)."""

    def target_columns(self) -> dict[str, str]:
        """Return the columns of true targets, likewise."""
        return {self.target_column: TEXT}

    @abstractmethod
    def predict(
        self, outputs: NDArray[Any], spec: OutputSpec, *, top_k: int, answer: str | None = None
    ) -> dict[str, Any]:
        """Return the fields of a `Prediction` given by one image's outputs, (outputs,).

        Args:
            outputs: Probabilities, 0..1, or a value in its own unit.
            spec: The model's output spec.
            top_k: Number of ranked classes or labels.
            answer: The true target, if known.
        """

    @abstractmethod
    def list_rows(self, prediction: Prediction, *, value_column: str) -> list[dict[str, Any]]:
        """Return the cells of each row of an image by column, with true targets; empty cells may be missing."""

    @abstractmethod
    def write_caption(self, prediction: Prediction, spec: OutputSpec) -> Caption:
        """Return the caption for an image."""
