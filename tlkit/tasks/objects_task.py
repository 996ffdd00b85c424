"""Tasks whose answer is the list of an image's objects: how answers are read, named, compared and split."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.errors import SettingError
from tlkit.tasks.base import Task
from tlkit.tasks.finding import find_task
from tlkit.tasks.objects import (
    describe_objects,
    find_rarest_names,
    make_object_targets,
    name_objects,
    read_objects,
    write_objects,
)
from tlkit.tasks.strata import choose_rarest


class ObjectsTask(Task):
    """See `Task`; the target is the text of `tlkit.tasks.objects`."""

    nouns = ("class", "classes")
    answer_noun = "objects"
    conflict = "annotated in two ways"
    has_objects = True

    def parse_answer(self, text: str) -> str:
        """Return the objects in canonical form; an image may have none."""
        return write_objects(read_objects(text))

    def names_of(self, answer: str) -> tuple[str, ...]:
        """Return the classes of the objects that are not ignored."""
        return name_objects(answer)

    def describe_answer(self, answer: str) -> str:
        """Return the number of objects of each class."""
        return describe_objects(answer)

    def make_targets(self, answers: Sequence[str], names: Sequence[str]) -> NDArray[Any]:
        """Return float32 (n, m, 6): left, top, right, bottom in pixels; class + 1, or 0 for padding; ignored 0 or 1."""
        return make_object_targets(answers, names)

    def find_strata(self, answers: Sequence[str]) -> list[str]:
        """Return the rarest class of each image; empty for background."""
        return find_rarest_names(answers)

    def stratify(self, targets: NDArray[np.floating[Any]]) -> list[Hashable]:
        """Return the least frequent class of each image, as a number; 0 for background."""
        is_learnt = (targets[..., 4] > 0) & (targets[..., 5] == 0)
        names = [frozenset(row[learnt, 4].astype(int).tolist()) for row, learnt in zip(targets, is_learnt, strict=True)]
        return [*choose_rarest(names, 0)]

    def fewest_names(self, *, has_box: bool) -> int:
        """Return one."""
        return 1


def refuse_objects(task: str, purpose: str) -> None:
    """Refuse a task whose answer is what is where in an image, objects or a mask, where each image needs one answer.

    Args:
        task: One of `tlkit.outputs.TASKS`.
        purpose: What is refused, as it is called: "tlkit leak", "drift".

    Raises:
        SettingError: It is such a task.
    """
    refuse_masks(task, purpose)
    if find_task(task).has_objects:
        raise SettingError(
            f"{purpose} does not apply to {task} yet.",
            expected="images with one answer each: a class, labels or a value",
            fix="use tlkit evaluate for how well objects are found, and tlkit predict with --overlay to look at them.",
        )


def refuse_masks(task: str, purpose: str) -> None:
    """Refuse a task whose answer is a mask; arguments as for `refuse_objects`.

    Raises:
        SettingError: It is such a task.
    """
    if find_task(task).has_masks:
        raise SettingError(
            f"{purpose} does not apply to {task} yet.",
            expected="a model of another task",
            fix="use tlkit evaluate, and tlkit predict with --masks-out or --overlay.",
        )
