"""Training on two devices gives what one gives: the processor, divided, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import make_once

ROUNDING = 1e-4
"""Of the largest number in an array; what rounding leaves is a hundredth of it."""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = make_once(tmp_path_factory, "two-devices", train_on_two_devices)
    found: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return found


def train_on_two_devices(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.training.on_two_devices"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (folder / "results.json").write_text(done.stdout)


@pytest.mark.parametrize("case", ["linear", "dense, mixed", "detector", "unfrozen"])
@pytest.mark.parametrize("what", ["weights", "measured", "state", "sums", "by_image", "afterwards"])
def test_weights_statistics_masks_and_sums_are_those_of_one_device(
    results: dict[str, Any], case: str, what: str
) -> None:
    """With dropout, batch norm, weight decay, smoothed labels, weighted images and batches that cannot be halved."""
    assert results[case][what] < ROUNDING


def test_a_batch_of_fewer_images_than_devices_counts_each_once(results: dict[str, Any]) -> None:
    assert set(results["a batch of one"].values()) == {0.0}


def test_a_stage_has_the_same_history_and_weights(results: dict[str, Any]) -> None:
    assert results["stages"]["weights"] < ROUNDING
    assert results["stages"]["history"] < ROUNDING


def test_a_stage_is_resumed_bitwise_on_as_many_devices_and_up_to_rounding_on_others(results: dict[str, Any]) -> None:
    assert results["stages"]["resumed on same"] == 0.0
    assert 0.0 < results["stages"]["resumed on fewer"] < ROUNDING
    assert 0.0 < results["stages"]["resumed on more"] < ROUNDING


def test_a_search_for_the_rate_sees_the_same_losses(results: dict[str, Any]) -> None:
    assert results["sweep"] < ROUNDING


def test_each_device_computes_its_share_and_updates_its_copy_of_the_weights(results: dict[str, Any]) -> None:
    places = results["places"]
    assert places["CPU:0"] == places["CPU:1"]
    assert places.keys() == {"CPU:0", "CPU:1"}
    assert places["CPU:0"]["ResourceApplyAdam"] == 8
    assert places["CPU:0"]["Conv2D"] >= 3


def test_features_are_bitwise_those_of_one_device_and_in_the_order_of_the_images(results: dict[str, Any]) -> None:
    assert results["engines"] == {"is_equal": True, "num_parallel": [1, 2], "devices": ["CPU:0", "CPU:1"]}


def test_devices_are_chosen_by_number_and_named(results: dict[str, Any]) -> None:
    both = ["/device:CPU:0", "/device:CPU:1"]
    assert results["found"] == [[], both, both]
    assert results["described"] == "CPU:0 and CPU:1"


def test_more_devices_than_there_are_are_refused(results: dict[str, Any]) -> None:
    assert results["refused"] == (
        "--devices 3: TensorFlow finds CPU:0 and CPU:1.\n"
        "  Expected: at most 2, or all\n"
        "  Fix: use --devices 2, or leave it out; CUDA_VISIBLE_DEVICES hides GPUs that it does not list."
    )
