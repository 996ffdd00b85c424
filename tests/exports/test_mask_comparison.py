"""How the masks that an export draws are compared with the bundle's."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tlkit.exports.asking import Question
from tlkit.exports.comparison import Comparison, Reference, compare
from tlkit.models.spec import BundleSpec
from tlkit.recipes import HeadSettings
from tlkit.tasks.mask_text import PLACES

SPEC = BundleSpec(
    "tiny", (64, 64), "squash", 2, "maps", HeadSettings("segmenter"), ("cat", "dog"), task="segmentation",
    map_sizes=((8, 8), (4, 4)),
)  # fmt: skip
NUM_IMAGES = 20
CELLS = np.full((8, 8, 3), 1 / 3, np.float32)


def draw_masks() -> NDArray[np.uint8]:
    """Return a cat in a quarter of each mask, and in every second one a dog in another quarter."""
    masks = np.zeros((NUM_IMAGES, PLACES, PLACES), np.uint8)
    masks[:, :128, :128] = 1
    masks[::2, 128:, 128:] = 2
    return masks


def ask(masks: NDArray[np.uint8], cells: NDArray[np.float32] = CELLS) -> list[dict[str, Any]]:
    """Return the rows of a reader; the first image has its cells."""
    rows: list[dict[str, Any]] = []
    for mask in masks:
        file = io.BytesIO()
        Image.fromarray(mask).save(file, format="PNG")
        rows.append({"image": "x", "seconds": 0.002, "mask": base64.b64encode(file.getvalue()).decode()})
    rows[0]["cells"] = cells.tolist()
    return rows


def compare_with(rows: list[dict[str, Any]], targets: NDArray[np.uint8] | None = None) -> Comparison:
    questions = [Question(Path(f"{number}.jpg")) for number in range(NUM_IMAGES)]
    reference = Reference("tests", questions, draw_masks(), [(64, 100)] * NUM_IMAGES, targets=targets)
    return compare(SPEC, reference, rows, [CELLS])


def test_the_same_masks_have_no_fault() -> None:
    found = compare_with(ask(draw_masks()), draw_masks())
    assert (found.largest_difference, found.same_answer, found.mask_iou) == (0.0, 1.0, 1.0)
    assert found.score is not None
    assert found.gain is not None
    assert (found.score.value, found.gain.value, found.is_worse, found.latency_ms) == (1.0, 0.0, False, 2.0)
    assert [found.find_fault(precision) for precision in ("float32", "float16", "int8")] == ["", "", ""]


def test_probabilities_may_differ_by_rounding_only() -> None:
    cells = CELLS.copy()
    cells[3, 4, 1] += 0.006
    found = compare_with(ask(draw_masks(), cells))
    assert found.find_fault("float32") == "a probability of a cell differs by 0.006, more than 0.005"
    assert found.find_fault("float16") == ""
    assert found.mean_difference == pytest.approx(0.006 / CELLS.size, rel=1e-3)


def test_masks_are_compared_by_their_places_and_by_iou() -> None:
    masks = draw_masks()
    masks[:, :64, :128] = 0  # half of the cat
    found = compare_with(ask(masks))
    assert found.same_answer == pytest.approx(1 - 1 / 8)
    assert found.mask_iou == pytest.approx((0.5 + 1) / 2)
    assert (found.score, found.gain, found.is_worse) == (None, None, False)


def test_a_quantised_export_with_worse_masks_is_worse_beyond_chance() -> None:
    masks = draw_masks()
    masks[:15, 128:, 128:] = 0
    found = compare_with(ask(masks), draw_masks())
    assert found.is_worse
    assert found.find_fault("int8").startswith("the score is worse beyond chance: by -")
    assert found.find_fault("int8", allowed_loss=0.5) == ""
    assert found.gain is not None
    assert found.bundle_score is not None
    assert found.bundle_score.value == 1
    assert found.gain.value == pytest.approx(-0.4)
    assert found.gain.low <= found.gain.value <= found.gain.high < 0


def test_masks_of_background_alone_give_no_score() -> None:
    rows = ask(np.zeros_like(draw_masks()))
    questions = [Question(Path("a.jpg"))] * NUM_IMAGES
    nothing = np.zeros_like(draw_masks())
    found = compare(SPEC, Reference("tests", questions, nothing, [], targets=nothing), rows, [CELLS])
    assert (found.score, found.same_answer, found.mask_iou) == (None, 1.0, 1.0)
