from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tlkit.features.row_keys import KeyArrays, RowIndex, RowKey, compute_fingerprints, encode_rows


def test_keys_of_the_wrong_length_are_refused_rather_than_cut_off() -> None:
    with pytest.raises(ValueError, match="must have 64 hexadecimal digits"):
        encode_rows([RowKey("ab" * 31, "0")])
    with pytest.raises(ValueError, match="at most 40 ASCII characters"):
        encode_rows([RowKey("ab" * 32, "v" * 41)])


def test_fingerprints_tell_images_and_views_apart() -> None:
    keys = [RowKey(f"{image:064x}", f"standard.1/0/{view}") for image in range(300) for view in range(300)]
    fingerprints = compute_fingerprints(encode_rows(keys))
    assert len(np.unique(fingerprints)) == len(keys)
    assert np.array_equal(fingerprints[::-1], compute_fingerprints(encode_rows(keys[::-1])))


def test_equal_fingerprints_of_different_keys_never_give_a_wrong_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "tlkit.features.row_keys.compute_fingerprints", lambda keys: np.zeros(len(keys.view), np.uint64)
    )
    stored = encode_rows([RowKey(f"{image:064x}", "0") for image in range(5)])
    index = RowIndex(np.zeros(5, dtype=np.uint64))

    def match(positions: NDArray[np.int64], keys: KeyArrays) -> NDArray[np.bool_]:
        same: NDArray[np.bool_] = stored.sha256[positions] == keys.sha256
        return same

    keys = encode_rows([RowKey(f"{image:064x}", "0") for image in (4, 9, 0, 3)])
    assert index.find(keys, match).tolist() == [4, -1, 0, 3]
