"""What each kind of output is: one module a task, which holds all that it is read, trained, scored and written by."""

from tlkit.tasks.base import Outputs, OutputSpec, Task, find_task

__all__ = ["OutputSpec", "Outputs", "Task", "find_task"]
