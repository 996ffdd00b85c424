"""Training strategies: the head alone, the last layer groups too, or everything; each is a finetune command.

The cost of a strategy is the sum of its steps: the missing features of each stage, and the epochs.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkit.backbones.weights import RANDOM
from tlkit.recipes import SECTIONS, Stage
from tlkit.recipes.given import list_words
from tlkit.reports.output_folder import name_after
from tlkit.runs.preparation import RunPlan, plan_run
from tlkit.runs.recipe import make_finetune_recipe

if TYPE_CHECKING:
    from tlkit.backbones.build import Backbone

MIN_SHARE_OF_LAST_GROUPS = 0.25


@dataclass(frozen=True)
class Strategy:
    """A training strategy and its finetune command.

    Attributes:
        unfreeze: none, the lowest of the last groups, or all.
        plan: Its settings and stages.
        command: The command line without the data and the run folder.
    """

    unfreeze: str
    plan: RunPlan
    command: tuple[str, ...]

    @property
    def name(self) -> str:
        """What is trained, in words."""
        if self.unfreeze == "none":
            return "the head alone"
        return "everything" if self.unfreeze == "all" else f"the head and {self.unfreeze} upwards"

    def describe(self) -> str:
        """Describe what is trained, including the head: "the dense head alone", "the dense head and group5 upwards"."""
        head = f"the {self.plan.recipe.head.kind} head"
        ends = {"none": f"{head} alone", "all": f"everything, under a {self.plan.recipe.head.kind} head"}
        return ends.get(self.unfreeze, f"{head} and {self.unfreeze} upwards")

    def format_command(self, data: Path) -> str:
        """Return the command line for a data set."""
        kind = "head" if self.unfreeze == "none" else self.unfreeze
        run = Path("runs") / f"{name_after(data)}-{kind}"
        return shlex.join(["tlkit", "finetune", str(data), *self.command, "--out", str(run)])


def make_strategy(unfreeze: str, *, views: Mapping[str, Any], sections: Mapping[str, Mapping[str, Any]]) -> Strategy:
    """Return the strategy that trains the head and everything from a layer group upwards.

    Args:
        unfreeze: none, a layer group, or all.
        views: User settings of the views, `views` and `policy`, by field name.
        sections: User settings of each section of a recipe, by field name.

    Raises:
        BackboneError: The backbone, layer group or weights do not exist.
        SettingError: Settings contradict each other.
    """
    stage: dict[str, Any] = {**views, "unfreeze": unfreeze}
    backbone = dict(sections["backbone"])
    if is_from_scratch := unfreeze == "all" and backbone.get("weights") == RANDOM:
        backbone.pop("engine", None)  # no frozen layers for an engine to run
    if is_from_scratch:
        stage.pop("views", None)  # nothing is cached
    if unfreeze != "all" and stage.get("views", 1) == 1:
        stage.pop("policy", None)  # a single view is the image itself
    sections = {**sections, "backbone": backbone}
    plan = plan_run(make_finetune_recipe(stage=stage, sections=sections, start_from=None), None)
    words = [word for name, section in SECTIONS.items() for word in list_words(section(**sections[name]))]
    return Strategy(unfreeze, plan, (*words, *list_words(Stage(**stage))))


def take_head(sections: Mapping[str, Mapping[str, Any]], kind: str | None) -> Mapping[str, Mapping[str, Any]]:
    """Return the sections with a recommended head, unless the user chose a head or its width."""
    if kind is None or sections["head"].keys() - {"dropout"}:
        return sections
    return {**sections, "head": {**sections["head"], "kind": kind}}


def find_last_groups(backbone: Backbone) -> str:
    """Return the lowest of the last groups: the fewest with a quarter of the weights, and never all groups."""
    sizes = list(backbone.count_by_group().values())
    lowest = next(
        place for place in reversed(range(len(sizes))) if sum(sizes[place:]) >= MIN_SHARE_OF_LAST_GROUPS * sum(sizes)
    )
    return backbone.entry.groups[max(1, lowest)]
