from __future__ import annotations

import numpy as np
import pytest

from tlkit.similarity.groups import join_pairs


def join(num_rows: int, pairs: list[tuple[int, int]]) -> list[int]:
    first, second = np.array(pairs, np.int64).reshape(-1, 2).T
    return [int(group) for group in join_pairs(num_rows, first, second)]


@pytest.mark.parametrize(
    ("pairs", "groups"),
    [
        ([], [-1, -1, -1, -1, -1, -1]),
        ([(5, 4)], [-1, -1, -1, -1, 0, 0]),
        ([(1, 2), (4, 1), (0, 3)], [0, 1, 1, 0, 1, -1]),
        ([(2, 2), (3, 5)], [-1, -1, -1, 0, -1, 0]),
        ([(0, 5), (5, 1), (1, 4), (4, 2), (2, 3)], [0, 0, 0, 0, 0, 0]),
    ],
)
def test_rows_that_pairs_join_share_a_group(pairs: list[tuple[int, int]], groups: list[int]) -> None:
    assert join(6, pairs) == groups


def test_a_long_chain_in_random_order_is_one_group() -> None:
    order = np.random.default_rng(0).permutation(5000)
    assert set(join_pairs(5001, order, order + 1).tolist()) == {0}
