"""Gradual unfreezing: one stage that stands for several, each of which unfreezes one layer group more."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from tlkit.recipes.settings import Recipe, Stage


def expand_gradual(recipe: Recipe, groups: Sequence[str]) -> Recipe:
    """Return the recipe with a stage for each layer group in the place of every gradual stage.

    The highest group comes first, the one that `unfreeze` names last (Howard and Ruder 2018, arXiv:1801.06146). Each
    stage has the settings of the one that it comes from; where everything is unfrozen no views are cached, so they are
    left out there.

    Args:
        recipe: As given or read, checked.
        groups: The backbone's layer groups, from the pixels upwards. A name that is none of them is left for the check
            of names to refuse.
    """
    stages = [each for stage in recipe.stages for each in (_list_steps(stage, groups) if stage.gradual else (stage,))]
    return dataclasses.replace(recipe, stages=tuple(stages))


def _list_steps(stage: Stage, groups: Sequence[str]) -> Iterator[Stage]:
    """Yield the stages that a gradual one stands for, which all trained groups but the highest join one by one."""
    if stage.unfreeze not in (*groups, "all"):
        yield dataclasses.replace(stage, gradual=False)
        return
    lowest = 0 if stage.unfreeze == "all" else groups.index(stage.unfreeze)
    for height in reversed(range(lowest, len(groups))):
        unfreeze = stage.unfreeze if height == lowest else groups[height]
        trained_later = groups[lowest:height]
        yield dataclasses.replace(
            stage,
            name=f"{stage.name}-{unfreeze}" if stage.name else None,
            unfreeze=unfreeze,
            gradual=False,
            views=1 if unfreeze == "all" else stage.views,
            group_lr={group: rate for group, rate in stage.group_lr.items() if group not in trained_later},
        )
