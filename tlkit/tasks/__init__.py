"""The tasks: one module per kind of output, with its targets, loss, score, report and prediction columns."""

from tlkit.tasks.base import Outputs, OutputSpec, Task, find_task

__all__ = ["OutputSpec", "Outputs", "Task", "find_task"]
