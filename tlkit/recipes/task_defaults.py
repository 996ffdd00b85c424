"""What settings are where nothing is said, if the task decides it; elsewhere the defaults of the fields hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tlkit.heads import DETECTOR, SEGMENTER
from tlkit.outputs import CLASSIFICATION, DETECTION, SEGMENTATION
from tlkit.recipes.settings import SECTIONS

Given = Mapping[str, Any]


@dataclass(frozen=True)
class StageDefaults:
    """What a stage does where it leaves a setting open; see `Stage`."""

    name: str
    epochs: int
    batch_size: int
    lr: float
    lr_ratio: float
    patience: int


HEAD_DEFAULTS = StageDefaults("head", epochs=30, batch_size=64, lr=1e-3, lr_ratio=1.0, patience=8)
UNFROZEN_DEFAULTS = StageDefaults("unfreeze-{}", epochs=15, batch_size=32, lr=1e-4, lr_ratio=10.0, patience=8)
SCRATCH_DEFAULTS = StageDefaults("from-scratch", epochs=60, batch_size=64, lr=2e-3, lr_ratio=1.0, patience=0)


@dataclass(frozen=True)
class TaskDefaults:
    """The defaults of a task.

    Attributes:
        sections: By section of a recipe, settings by field that differ from the field's own default.
        stage: The same of a stage: views and policy, for cached features.
        head: Of a stage that trains the head alone.
        unfrozen: Of a stage that trains layers of the backbone, too.
        scratch: Of a stage that trains random weights.
        least_shown: Images of an epoch: if there are fewer, each is shown several times, in other views.
    """

    sections: Mapping[str, Given] = field(default_factory=dict)
    stage: Given = field(default_factory=dict)
    head: StageDefaults = HEAD_DEFAULTS
    unfrozen: StageDefaults = UNFROZEN_DEFAULTS
    scratch: StageDefaults = SCRATCH_DEFAULTS
    least_shown: int = 0


ONE_ANSWER = TaskDefaults()
_TASK_DEFAULTS = {
    DETECTION: TaskDefaults(
        sections={
            "backbone": {"image_size": 320, "fit": "pad"},
            "head": {"kind": DETECTOR, "dropout": 0.0, "units": 64},
        },
        stage={"views": 9, "policy": "scales"},
        head=StageDefaults("head", epochs=30, batch_size=8, lr=2e-3, lr_ratio=1.0, patience=0),
        unfrozen=StageDefaults("unfreeze-{}", epochs=12, batch_size=8, lr=5e-4, lr_ratio=2.0, patience=0),
        scratch=StageDefaults("from-scratch", epochs=60, batch_size=8, lr=2e-3, lr_ratio=1.0, patience=0),
        least_shown=120,
    ),
    SEGMENTATION: TaskDefaults(
        sections={
            "backbone": {"image_size": 320, "fit": "pad"},
            "head": {"kind": SEGMENTER, "dropout": 0.1, "units": 64},
        },
        stage={"views": 6, "policy": "standard"},
        head=StageDefaults("head", epochs=60, batch_size=8, lr=2e-2, lr_ratio=1.0, patience=0),
        unfrozen=StageDefaults("unfreeze-{}", epochs=15, batch_size=8, lr=2e-4, lr_ratio=10.0, patience=0),
        scratch=StageDefaults("from-scratch", epochs=60, batch_size=8, lr=2e-3, lr_ratio=1.0, patience=0),
    ),
}


def find_task_defaults(task: str | None) -> TaskDefaults:
    """Return the defaults of a task, one of `tlkit.outputs.TASKS`; None: of the default task."""
    return _TASK_DEFAULTS.get(task or CLASSIFICATION, ONE_ANSWER)


def list_other_defaults(name: str) -> dict[str, Any]:
    """Return the default of a field, by task, for the tasks that have another than the field itself."""
    found: dict[str, Any] = {}
    for task, defaults in _TASK_DEFAULTS.items():
        for given in (*defaults.sections.values(), defaults.stage):
            if name in given:
                found[task] = given[name]
    return found


def make_sections(task: str | None) -> dict[str, Any]:
    """Return the settings of each section of a recipe where nothing is given but the task."""
    usual = find_task_defaults(task).sections
    return {name: section(**usual.get(name, {})) for name, section in SECTIONS.items()}


def fill_views(task: str | None, given: Given) -> dict[str, Any]:
    """Return the settings of a stage, by field, with the task's views and policy where nothing is said of them.

    Without augmentation there is one view, and where everything is unfrozen every epoch draws fresh ones.
    """
    usual = dict(find_task_defaults(task).stage)
    if given.get("policy") == "none":
        usual = {}
    if given.get("views") == 1:
        usual.pop("policy", None)
    return {**usual, **given}
