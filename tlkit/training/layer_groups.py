"""Learning rates by layer group: the table of rates, and an optimizer that applies it.

Keras has one learning rate per model. Scaling gradients has no effect on Adam, whose update is scale-invariant, so the
rate itself is multiplied per variable inside the update. The updates are in `tlkit.training.optimizers`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from tlkit.backbones.catalogue import HEAD_GROUP
from tlkit.recipes.optimizers import ADAM, ADAMW
from tlkit.training.optimizers import UPDATE_RULES, Update
from tlkit.training.shares import assign_here


@dataclass(frozen=True)
class GroupRate:
    """One row of the table of learning rates: `num_trainable` parameters are trained at `rate`."""

    group: str
    num_parameters: int
    num_trainable: int
    rate: float


def compute_group_rates(
    groups: Sequence[str], *, lr: float, lr_ratio: float, group_lr: Mapping[str, float]
) -> dict[str, float]:
    """Spread learning rates geometrically over the trained layer groups.

    The head gets `lr`, the lowest group `lr / lr_ratio`, and each group between them the same factor more than the one
    below (discriminative fine-tuning: Howard and Ruder 2018, arXiv:1801.06146).

    Args:
        groups: The trained groups from bottom to top, without the head; empty if the head alone is trained.
        lr: Rate of the head, per step, at the schedule's peak.
        lr_ratio: `lr` divided by the lowest group's rate, 1 or more.
        group_lr: Rates that replace the computed ones, by group name (`head` is a group too).

    Returns:
        Rate by group, bottom to top, the head last.
    """
    steps = max(len(groups), 1)
    rates = {group: lr * lr_ratio ** ((height - steps) / steps) for height, group in enumerate(groups)}
    rates[HEAD_GROUP] = lr
    return {group: float(group_lr.get(group, rate)) for group, rate in rates.items()}


class GroupedOptimizer(keras.optimizers.Optimizer):  # type: ignore[misc]  # Keras has no types
    """An optimizer with a separate learning rate for every trainable variable.

    `learning_rate` is the schedule's factor, 0..1; a variable moves at that factor times its own rate. Weight decay is
    decoupled (Loshchilov and Hutter 2019, arXiv:1711.05101), follows the variable's rate, and spares biases and the
    scales and shifts of normalisation, which have fewer than two axes. adam is AdamW without it.

    Args:
        rates: One rate for each trainable variable, in the order in which the variables are given to `apply`.
        weight_decay: Fraction of a weight removed per step at rate 1.
        kind: One of `tlkit.recipes.optimizers.OPTIMIZERS`.
        held: Indices of the variables whose rate is not multiplied by the factor.
    """

    def __init__(
        self, rates: Sequence[float], *, weight_decay: float, kind: str = ADAMW, held: Collection[int] = ()
    ) -> None:
        super().__init__(learning_rate=1.0, name=f"grouped_{kind}")
        self._rates = tuple(rates)
        self._held = frozenset(held)
        self._decay = 0.0 if kind == ADAM else weight_decay
        self._rule = UPDATE_RULES[kind]
        self._state: list[list[Any]] = []

    def build(self, variables: Sequence[Any]) -> None:
        """Create the state, zeros; there must be one rate per variable.

        Raises:
            ValueError: If they are not.
        """
        if len(variables) != len(self._rates):
            raise ValueError(f"{len(self._rates)} rates for {len(variables)} variables")
        super().build(variables)
        self._state = [
            [self.add_variable_from_reference(variable, name=name) for name in self._rule.state]
            for variable in variables
        ]

    def apply(self, gradients: Sequence[Any], variables: Sequence[Any]) -> None:
        """Apply weight decay and the optimizer's step to each variable, both at its own rate.

        Where several devices have copies of the variables, each applies the same gradients to its own.
        """
        step = ops.cast(self.iterations + 1, "float32")
        for number, (gradient, variable) in enumerate(zip(gradients, variables, strict=True)):
            rate = self._rates[number] * (1.0 if number in self._held else self.learning_rate)
            if self._decay and len(variable.shape) > 1:
                assign_here(variable, variable * (1.0 - rate * self._decay))
            self._rule.apply(Update(variable, self._state[number], gradient, rate, step))
        assign_here(self.iterations, self.iterations + 1)
