from __future__ import annotations

import numpy as np
import pytest

from tlkit.dreaming.variation import measure_variation


def test_the_gradient_is_that_of_small_changes() -> None:
    picture = np.random.default_rng(0).uniform(0, 255, (4, 5, 3))
    value, slopes = measure_variation(picture)
    for place in [(0, 0, 0), (2, 3, 1), (3, 4, 2)]:
        changed = picture.copy()
        changed[place] += 1e-3
        assert (measure_variation(changed)[0] - value) / 1e-3 == pytest.approx(slopes[place], rel=1e-3, abs=1e-9)


def test_stripes_vary_as_much_as_they_differ() -> None:
    stripes = np.zeros((4, 4, 3))
    stripes[::2] = 255
    assert measure_variation(stripes)[0] == pytest.approx(1)
    assert measure_variation(np.full((4, 4, 3), 9.0))[0] == 0
