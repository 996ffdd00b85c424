"""Shared arguments: paths, consoles and views."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkit.recipes.given import check_policy
from tlkit.recipes.settings import Stage
from tlkit.reports.console import Console

if TYPE_CHECKING:
    from tlkit.data.views import ViewPlan

Place = str | Path
Result = dict[str, Any]
"""What a command prints with `--json`."""


def quiet_console() -> Console:
    """Return a console that prints only warnings."""
    return Console(verbosity=-1)


def as_path(place: Place | None) -> Path | None:
    """Return a path, or None."""
    return None if place is None else Path(place)


def plan_views(num_views: int, policy: str | None, *, seed: int = 0) -> ViewPlan:
    """Return the requested views of each image.

    Raises:
        SettingError: The policy has no effect with a single view.
    """
    check_policy(num_views, policy)
    from tlkit.data.views import ViewPlan

    return ViewPlan(policy or Stage.policy, num_views, seed)
