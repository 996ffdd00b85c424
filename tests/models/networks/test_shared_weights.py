"""Constants of a network that are made from the bundle's weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tlkit.models.networks.shared_weights import SharedConstants, read_constants, share_constants
from tlkit.models.tensors import TensorEntry, write_tensors

RNG = np.random.default_rng(0)
WEIGHTS = {
    "backbone/conv/kernel": RNG.normal(size=(3, 3, 8, 16)).astype(np.float32),
    "backbone/depthwise/kernel": RNG.normal(size=(3, 3, 64, 1)).astype(np.float32),
    "head/dense/kernel": RNG.normal(size=(32, 20)).astype(np.float32),
    "head/dense/bias": RNG.normal(size=300).astype(np.float32),
    "head/zeros/kernel": np.linspace([0, -1, 2], [0, 4, 3], 512, dtype=np.float32).T.copy(),
}
FACTORS = RNG.normal(size=16).astype(np.float32)
ENTRIES = {name: TensorEntry(name, ("F32", weight.shape), 0, weight.nbytes) for name, weight in WEIGHTS.items()}


def make_block(*arrays: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], list[tuple[int, tuple[int, ...]]]]:
    """Return arrays as one block of bytes, and the place and shape of each."""
    places = np.cumsum([0, *(array.nbytes for array in arrays)])
    block = np.frombuffer(b"".join(array.tobytes() for array in arrays), np.uint8)
    return block, [(int(begin), array.shape) for begin, array in zip(places, arrays, strict=False)]


def share(*arrays: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], SharedConstants]:
    block, constants = make_block(*arrays)
    return block, share_constants(block, constants, WEIGHTS)


def reread(path: Path, shared: SharedConstants) -> np.ndarray[Any, Any]:
    """Write and read constants, and return the block."""
    constants, num_bytes = read_constants(path, shared.write(path), ENTRIES, max_bytes=2**20)
    block = np.full(num_bytes, 255, np.uint8)
    constants.rebuild(block, reversed(WEIGHTS.items()))
    return block


KERNEL = WEIGHTS["backbone/conv/kernel"].transpose(3, 2, 0, 1)
FOLDED = KERNEL * FACTORS[:, None, None, None]
CASES = {
    "as it is": (WEIGHTS["head/dense/kernel"],),
    "axes in another order": (np.ascontiguousarray(KERNEL),),
    "axes of length one": (np.ascontiguousarray(WEIGHTS["backbone/depthwise/kernel"].transpose(2, 3, 0, 1))[:, None],),
    "a vector": (WEIGHTS["head/dense/bias"].reshape(1, 300),),
    "a factor per channel": (np.ascontiguousarray(FOLDED),),
    "factors of inputs": (WEIGHTS["head/dense/kernel"] * RNG.normal(size=(32, 1)).astype(np.float32),),
    "a channel of zeros": (WEIGHTS["head/zeros/kernel"] * RNG.normal(size=(3, 1)).astype(np.float32),),
    "twice, and something between": (WEIGHTS["head/dense/kernel"], np.arange(7, dtype=np.int64), FOLDED, FOLDED * 2),
}


@pytest.mark.parametrize("name", CASES)
def test_constants_made_from_weights_are_rebuilt_to_the_last_bit(tmp_path: Path, name: str) -> None:
    block, shared = share(*CASES[name])
    assert shared.rest.size <= 7 * 8
    np.testing.assert_array_equal(reread(tmp_path / "constants.safetensors", shared), block)


def test_what_comes_from_no_weight_is_stored_as_it_is(tmp_path: Path) -> None:
    nearly = FOLDED.copy()
    nearly[5, 3, 1, 1] = np.nextafter(nearly[5, 3, 1, 1], np.float32(9))
    block, shared = share(nearly, RNG.normal(size=(16, 8, 3, 3)).astype(np.float32), np.ones(2, np.float32))
    assert shared.places == ()
    np.testing.assert_array_equal(shared.rest, block)
    np.testing.assert_array_equal(reread(tmp_path / "constants.safetensors", shared), block)


PLACE = [0, "head/dense/kernel", [0, 1], None]
FOUR = "a first byte, a weight of this bundle, an order of its axes, and an axis or none"


@pytest.mark.parametrize(
    ("places", "found", "expected"),
    [
        ({}, "its places are {}", "a list"),
        ([1], "a constant is 1", "four values"),
        ([[-1, *PLACE[1:]]], "a constant is [-1, 'head/dense/kernel', [0, 1], None]", FOUR),
        ([[True, *PLACE[1:]]], "a constant is [True, 'head/dense/kernel', [0, 1], None]", FOUR),
        ([[0, "head/other", [0, 1], None]], "a constant is [0, 'head/other', [0, 1], None]", FOUR),
        ([[0, [], [0, 1], None]], "a constant is [0, [], [0, 1], None]", FOUR),
        ([[0, "head/dense/kernel", [0, 0], None]], "a constant is [0, 'head/dense/kernel', [0, 0], None]", FOUR),
        ([[0, "head/dense/kernel", [0], None]], "a constant is [0, 'head/dense/kernel', [0], None]", FOUR),
        ([[0, "head/dense/kernel", [0, 1], 2]], "a constant is [0, 'head/dense/kernel', [0, 1], 2]", FOUR),
        ([PLACE, [1280, *PLACE[1:]]], "a constant begins at byte 1,280", "2,560 or more"),
    ],
)
def test_places_that_no_network_has_are_refused(
    refuses: Any, tmp_path: Path, places: Any, found: str, expected: str
) -> None:
    path = tmp_path / "constants.safetensors"
    sha256 = write_tensors(path, {"places": np.frombuffer(json.dumps(places).encode(), np.uint8)})
    with refuses(f"{path}: {found}.", expected):
        read_constants(path, sha256, ENTRIES, max_bytes=2**20)


@pytest.mark.parametrize(
    ("places", "num_factors", "max_bytes", "found", "expected"),
    [
        ([[4, *PLACE[1:]]], 0, 2**20, "2,560 bytes, of which a constant ends at 2,564, and 0 factors", "1,048,576 bytes, and 0"),
        ([PLACE], 1, 2**20, "2,560 bytes, of which a constant ends at 2,560, and 1 factors", "1,048,576 bytes, and 0"),
        ([[0, "head/dense/kernel", [1, 0], 0]], 32, 2**20, "2,560 bytes, of which a constant ends at 2,560, and 32 factors", "1,048,576 bytes, and 20"),
        ([PLACE], 0, 100, "2,560 bytes, of which a constant ends at 2,560, and 0 factors", "100 bytes, and 0"),
    ],
)  # fmt: skip
def test_a_block_that_does_not_add_up_is_refused(
    refuses: Any, tmp_path: Path, places: Any, num_factors: int, max_bytes: int, found: str, expected: str
) -> None:
    path = tmp_path / "constants.safetensors"
    arrays = {"places": np.frombuffer(json.dumps(places).encode(), np.uint8)}
    if num_factors:
        arrays["factors"] = np.ones(num_factors, np.float32)
    sha256 = write_tensors(path, arrays)
    with refuses(f"{path} describes {found}.", f"at most {expected} factors"):
        read_constants(path, sha256, ENTRIES, max_bytes=max_bytes)


def test_an_unknown_array_or_a_cut_file_is_refused(refuses: Any, tmp_path: Path) -> None:
    path = tmp_path / "constants.safetensors"
    sha256 = write_tensors(path, {"code": np.zeros(3, np.uint8)})
    with refuses(f"{path}: 'code' is U8 3.", "missing, as bundle.json describes the model"):
        read_constants(path, sha256, ENTRIES, max_bytes=2**20)
