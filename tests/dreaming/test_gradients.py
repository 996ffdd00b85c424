from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from importlib.util import find_spec

import numpy as np
import pytest
from keras import ops

from tlkit.dreaming.gradients import compile_gradient


def test_each_picture_has_its_own_loss_and_gradient() -> None:
    gradient = compile_gradient(lambda pictures, weights: ops.sum(weights * ops.square(pictures), axis=(1, 2, 3)))
    pictures = np.random.default_rng(0).normal(size=(2, 3, 4, 3)).astype(np.float32)
    weights = np.array([1, 3], np.float32).reshape(2, 1, 1, 1)
    losses, slopes = gradient(pictures, weights)
    assert np.allclose(losses, (weights * pictures**2).sum(axis=(1, 2, 3)), rtol=1e-5)
    assert np.allclose(slopes, 2 * weights * pictures, rtol=1e-5)
    assert slopes.flags.writeable


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_give_the_same_gradient(backend: str) -> None:
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    code = """
        import numpy as np
        from keras import ops
        from tlkit.dreaming.gradients import compile_gradient
        gradient = compile_gradient(lambda pictures, power: ops.sum(pictures**2 * power, axis=(1, 2, 3)))
        losses, slopes = gradient(np.full((2, 2, 2, 3), 3.0), np.float32(2))
        assert np.allclose(losses, 2 * 9 * 12) and np.allclose(slopes, 12), (losses, slopes)
    """
    environment = {**os.environ, "KERAS_BACKEND": backend}
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], env=environment, check=True, timeout=300)
