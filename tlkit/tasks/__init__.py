"""The tasks: one module per kind of output, with its targets, loss, score, report and prediction columns."""

from tlkit.tasks.base import MapSizes, OutputSpec, Task
from tlkit.tasks.finding import Outputs, find_task

__all__ = ["MapSizes", "OutputSpec", "Outputs", "Task", "find_task"]
