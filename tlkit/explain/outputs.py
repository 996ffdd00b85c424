"""The outputs of a model that can be explained: its classes, labels or value, and its box; without TensorFlow."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tlkit.errors import SettingError, name_fix
from tlkit.models.spec import BundleSpec
from tlkit.tasks import find_task

MAX_LABELS = 3
"""Labels of a photo that are explained, the most probable first."""
BOX_NAME = "its box"


def box_output(spec: BundleSpec) -> int:
    """Return the number that stands for the box as a whole, after its four coordinates."""
    return spec.outputs.num_answers + 4


def name_output(output: int, spec: BundleSpec) -> str:
    """Return what an output is called."""
    if output >= spec.outputs.num_answers:
        return BOX_NAME
    return spec.class_names[output] if spec.target is None else spec.target.name


def find_output(name: str | None, spec: BundleSpec) -> int | None:
    """Return the number of the class or label that is asked for; None asks for none.

    Raises:
        SettingError: The model has none of that name, or predicts a value.
    """
    if name is None or name in spec.class_names:
        return None if name is None else spec.class_names.index(name)
    if not spec.class_names:
        raise SettingError(
            f"--class {name}: the model predicts a value, {name_output(0, spec)}.",
            expected="--class only with classes or labels",
            fix="leave out --class.",
        )
    raise SettingError(
        f"--class {name}: the model has no such {find_task(spec.task).nouns[0]}.",
        expected=f"one of {', '.join(spec.class_names)}",
        fix=name_fix(name, spec.class_names),
    )


def choose_outputs(row: NDArray[np.float32], spec: BundleSpec) -> list[int]:
    """Return the outputs that are explained where none is asked for: the answer, and the box if there is one.

    Args:
        row: As `Predictor.predict` gives it.
        spec: The model's.
    """
    answers = row[: spec.outputs.num_answers]
    ranked = np.argsort(-answers, kind="stable")
    chosen = [int(ranked[0])]
    if find_task(spec.task).has_labels:
        given = [int(place) for place in ranked if answers[place] >= spec.thresholds[place]]
        chosen = given[:MAX_LABELS] or chosen
    if spec.has_one_class:
        chosen = []
    return [*chosen, box_output(spec)] if spec.has_box else chosen
