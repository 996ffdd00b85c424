"""What an optimizer makes of the gradient of one variable, in TensorFlow's own kernels where there is one.

With the gradient g, the rate r and the step t, counted from 1:

    sgd       x -= r g
    momentum  m = 0.9 m - r g;                     x += m                     (Polyak 1964)
    nesterov  the same;                            x += 0.9 m - r g           (Nesterov 1983; Sutskever et al. 2013)
    adagrad   a += g²;                             x -= r g / (√a + e)        (Duchi, Hazan and Singer 2011)
    rmsprop   a = 0.9 a + 0.1 g²;                  x -= r g / (√a + e)        (Tieleman and Hinton 2012)
    adam      m = 0.9 m + 0.1 g; a = 0.999 a + 0.001 g²;
              x -= r m √(1 - 0.999ᵗ) / (1 - 0.9ᵗ) / (√a + e)                  (Kingma and Ba 2015, arXiv:1412.6980)
    lion      x -= r sign(0.9 m + 0.1 g); m = 0.99 m + 0.01 g                 (Chen et al. 2023, arXiv:2302.06675)

with e = 1e-7, and m and a beginning at 0. A kernel makes one pass over the memory, where `keras.ops` takes up to twelve, and is
one operation of a graph instead of twenty.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
from keras import ops

from tlkit.training.shares import assign_here

EPSILON = 1e-7
MOMENTUM = 0.9
RHO = 0.9
ADAM_BETAS = 0.9, 0.999
LION_BETAS = 0.9, 0.99


@dataclass(frozen=True)
class Update:
    """One update of a variable.

    Attributes:
        variable: The Keras variable.
        state: Its state, one variable of its shape for each of the rule's.
        gradient: Tensor of its shape.
        rate: Scalar.
        step: Number of the step, from 1, a float32 tensor.
    """

    variable: Any
    state: Sequence[Any]
    gradient: Any
    rate: Any
    step: Any

    @property
    def handles(self) -> list[Any]:
        """The variable and its state, as kernels take them."""
        return [each.value.handle for each in (self.variable, *self.state)]


@dataclass(frozen=True)
class UpdateRule:
    """An optimizer.

    Attributes:
        state: Names of the variables that it keeps for each variable.
        apply: Changes a variable and its state.
    """

    state: tuple[str, ...]
    apply: Callable[[Update], None]


def _apply_sgd(update: Update) -> None:
    (variable,) = update.handles
    tf.raw_ops.ResourceApplyGradientDescent(var=variable, alpha=update.rate, delta=update.gradient)


def _apply_momentum(update: Update, *, nesterov: bool = False) -> None:
    variable, momentum = update.handles
    tf.raw_ops.ResourceApplyKerasMomentum(
        var=variable,
        accum=momentum,
        lr=update.rate,
        grad=update.gradient,
        momentum=MOMENTUM,
        use_nesterov=nesterov,
    )


def _apply_nesterov(update: Update) -> None:
    _apply_momentum(update, nesterov=True)


def _apply_adagrad(update: Update) -> None:
    (total,) = update.state
    grown = total + ops.square(update.gradient)
    assign_here(total, grown)
    assign_here(update.variable, update.variable - update.rate * update.gradient / (ops.sqrt(grown) + EPSILON))


def _apply_rmsprop(update: Update) -> None:
    (square,) = update.state
    found = RHO * square + (1.0 - RHO) * ops.square(update.gradient)
    assign_here(square, found)
    assign_here(update.variable, update.variable - update.rate * update.gradient / (ops.sqrt(found) + EPSILON))


def _apply_adam(update: Update) -> None:
    variable, mean, square = update.handles
    beta_1, beta_2 = ADAM_BETAS
    tf.raw_ops.ResourceApplyAdam(
        var=variable,
        m=mean,
        v=square,
        beta1_power=ops.power(beta_1, update.step),
        beta2_power=ops.power(beta_2, update.step),
        lr=update.rate,
        beta1=beta_1,
        beta2=beta_2,
        epsilon=EPSILON,
        grad=update.gradient,
    )


def _apply_lion(update: Update) -> None:
    (mean,) = update.state
    beta_1, beta_2 = LION_BETAS
    direction = ops.sign(beta_1 * mean + (1.0 - beta_1) * update.gradient)
    assign_here(update.variable, update.variable - update.rate * direction)
    assign_here(mean, beta_2 * mean + (1.0 - beta_2) * update.gradient)


_ADAM = UpdateRule(("mean", "square"), _apply_adam)
UPDATE_RULES: Mapping[str, UpdateRule] = {
    "sgd": UpdateRule((), _apply_sgd),
    "momentum": UpdateRule(("momentum",), _apply_momentum),
    "nesterov": UpdateRule(("momentum",), _apply_nesterov),
    "adagrad": UpdateRule(("total",), _apply_adagrad),
    "rmsprop": UpdateRule(("square",), _apply_rmsprop),
    "adam": _ADAM,
    "adamw": _ADAM,
    "lion": UpdateRule(("mean",), _apply_lion),
}
"""By name, `tlkit.recipes.optimizers.OPTIMIZERS`; adamw is adam after weight decay."""
