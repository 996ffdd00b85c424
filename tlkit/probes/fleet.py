"""What the features cost on several machines, which divide the images by `tlkit precompute --part`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from tlkit.reports.console import format_duration

if TYPE_CHECKING:
    from tlkit.probes.plan_costs import Step

_SECONDS_PER_HOUR = 3600


@dataclass(frozen=True)
class Fleet:
    """The machines.

    Attributes:
        num_machines: How many; each is like this one.
        price: Price of one for an hour, in any currency; None if it is not known.
    """

    num_machines: int
    price: float | None = None

    def divide(self, steps: Sequence[Step], start_seconds: float) -> tuple[FleetCost, ...]:
        """Return what each step of features costs, in order.

        Args:
            steps: The steps of a plan; those that train are left out.
            start_seconds: Time of a command until its model is built.
        """
        return tuple(
            self._divide(step.name, step.seconds, start_seconds) for step in steps if step.num_rows is not None
        )

    def _divide(self, name: str, seconds: float, start_seconds: float) -> FleetCost:
        if not seconds:
            return FleetCost(name, 0.0, 0.0, None if self.price is None else 0.0)
        each = start_seconds + seconds / self.num_machines
        hours = each * self.num_machines / _SECONDS_PER_HOUR
        return FleetCost(name, each, hours, None if self.price is None else hours * self.price)

    def describe(self) -> str:
        """Return what the figures assume, in words."""
        if self.num_machines == 1:
            return "This assumes one machine like this one that is paid by the second, and leaves out the check of the files."
        return (
            f"Run `tlkit precompute` with --part 1/{self.num_machines} to --part {self.num_machines}/{self.num_machines}. "
            "This assumes machines like this one that start at once, read the images as fast, and are paid by the second; "
            "it leaves out copying images and merging caches, and the check of the files, which each does for its part. "
            "Training is not divided."
        )


@dataclass(frozen=True)
class FleetCost:
    """The cost of one step of features.

    Attributes:
        name: Name of the step.
        seconds: Time on each machine.
        machine_hours: Time of all machines together, in hours.
        price: Price of these; None if the price of an hour is not known.
    """

    name: str
    seconds: float
    machine_hours: float
    price: float | None

    def cells(self) -> tuple[str, ...]:
        """Return the cells of a row: step, time, machine-hours, and the price if there is one."""
        cells = (self.name, format_duration(self.seconds), f"{self.machine_hours:,.2f}")
        return cells if self.price is None else (*cells, f"{self.price:,.2f}")

    def to_payload(self) -> dict[str, Any]:
        """Return plain numbers and text, fit for JSON."""
        return asdict(self)
