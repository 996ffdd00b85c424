"""Sides that take turns: what disturbs the machine for a while disturbs all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Outcome = TypeVar("Outcome")


@dataclass(frozen=True)
class Side(Generic[Outcome]):
    """One of those that do the same work.

    Attributes:
        name: What the table calls it.
        run: Does the work once.
        most_rounds: Rounds in which it takes part, the first ones; all if None.
    """

    name: str
    run: Callable[[], Outcome]
    most_rounds: int | None = None


def take_turns(
    sides: Sequence[Side[Outcome]], rounds: int, report: Callable[[str, Outcome], None]
) -> dict[str, list[Outcome]]:
    """Run every side in every round, and return the outcomes by side, in order of the rounds.

    Args:
        sides: In the order of the first round; every other round goes backwards.
        rounds: How often.
        report: Told the side's name and the outcome, each time.
    """
    outcomes: dict[str, list[Outcome]] = {side.name: [] for side in sides}
    for number in range(rounds):
        for side in sides if number % 2 == 0 else reversed(sides):
            if side.most_rounds is None or number < side.most_rounds:
                outcome = side.run()
                report(side.name, outcome)
                outcomes[side.name].append(outcome)
    return outcomes
