"""Tasks by name, and the outputs of a head."""

from __future__ import annotations

import importlib
import math
from dataclasses import dataclass
from functools import cache

from tlkit.outputs import SOFT
from tlkit.tasks.base import MapSizes, Task


@cache
def find_task(name: str) -> Task:
    """Return a task by name, one of `tlkit.outputs.TASKS`; each is a module of this package."""
    task: Task = importlib.import_module(f"tlkit.tasks.{name}").TASK
    return task


@dataclass(frozen=True)
class Outputs:
    """The outputs of a head.

    Attributes:
        task: One of `tlkit.outputs.TASKS`.
        num_answers: Width of the last layer: the number of class or label logits; 1 for a value; with objects, the
            numbers at each location.
        has_box: Whether a box is predicted too.
        map_sizes: (height, width) of the maps at whose cells there are answers, the finest first; empty for one answer
            per image.
        nms: The suppression of overlapping objects, one of `tlkit.outputs.SUPPRESSIONS`.
    """

    task: str
    num_answers: int
    has_box: bool = False
    map_sizes: MapSizes = ()
    nms: str = SOFT

    @property
    def score_name(self) -> str:
        """The name of the task's score in a history."""
        return find_task(self.task).score_name

    @property
    def answer_shape(self) -> tuple[int, ...]:
        """Shape of the network's answer for an image: (num_answers,), or (locations, num_answers)."""
        return self.find_task().shape_answer(self.num_answers)

    @property
    def num_compared(self) -> int:
        """Number of values that `Task.make_comparable` gives for an image."""
        return math.prod(self.answer_shape)

    @property
    def num_row_values(self) -> int:
        """Number of values of an answer in a row of `tlkit.models.predictor.Predictor.predict`."""
        return self.find_task().count_row_values(self.num_answers)

    def find_task(self) -> Task:
        """Return the task, for answers at the cells of these maps."""
        return find_task(self.task).on_maps(self.map_sizes, self.nms)
