"""A step of AdamW by hand."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


@dataclass
class AdamW:
    """Adam with decoupled weight decay, one instance for each weight.

    With the gradient g of step t: m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2, and the weight moves by
    -rate m^ / (sqrt(v^) + epsilon), where m^ and v^ are m / (1 - b1^t) and v / (1 - b2^t), so that the first steps are not too
    small (Kingma and Ba 2015, https://arxiv.org/abs/1412.6980). epsilon is added before the correction, as in Keras. Before the
    step, the weight loses rate x decay of itself (Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101).

    Attributes:
        rate: Learning rate.
        decay: Weight decay; weights with fewer than two axes have none.
        beta_1: Share of the past in m.
        beta_2: Share of the past in v.
        epsilon: Smallest denominator.
    """

    rate: float
    decay: float = 0.0
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    _num_steps: int = 0
    _mean: Array = field(default_factory=lambda: np.zeros(()))
    _square: Array = field(default_factory=lambda: np.zeros(()))

    def step(self, weight: Array, gradient: Array) -> Array:
        """Return the weight after a step; gradient has its shape."""
        self._num_steps += 1
        if weight.ndim > 1:
            weight = weight * (1 - self.rate * self.decay)
        self._mean = self.beta_1 * self._mean + (1 - self.beta_1) * gradient
        self._square = self.beta_2 * self._square + (1 - self.beta_2) * gradient**2
        correction = np.sqrt(1 - self.beta_2**self._num_steps) / (1 - self.beta_1**self._num_steps)
        return np.asarray(weight - self.rate * correction * self._mean / (np.sqrt(self._square) + self.epsilon))
