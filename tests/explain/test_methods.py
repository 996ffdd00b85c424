from __future__ import annotations

import pytest

from tlkit.errors import SettingError
from tlkit.explain.methods import check_method
from tlkit.models.spec import BundleSpec
from tlkit.outputs import CLASSIFICATION, DETECTION, SEGMENTATION
from tlkit.recipes import HeadSettings

OTHERS = (
    "one of auto, gradcam, hirescam, occlusion, rise, pixel-occlusion, pixel-rise, integrated-gradients, smoothgrad, "
    "guided-backprop, saliency"
)


def make_spec(head: str, task: str = CLASSIFICATION) -> BundleSpec:
    return BundleSpec("tiny", (32, 32), "squash", 1, "maps", HeadSettings(head), ("cat", "dog"), task=task)


@pytest.mark.parametrize(
    ("head", "task", "found"),
    [
        ("detector", DETECTION, "--method exact: the score of an object of a detector head is no sum over places."),
        ("dense", CLASSIFICATION, "--method exact: an answer of a dense head is no sum over places."),
    ],
)
def test_the_exact_map_is_refused_where_the_answer_is_no_sum(head: str, task: str, found: str) -> None:
    with pytest.raises(SettingError) as caught:
        check_method("exact", None, make_spec(head, task))
    assert str(caught.value) == (
        f"{found}\n  Expected: {OTHERS}\n  Fix: leave out --method, or use --method occlusion."
    )


def test_the_exact_map_is_that_of_the_top() -> None:
    with pytest.raises(SettingError) as caught:
        check_method("exact", "block1", make_spec("linear"))
    assert str(caught.value) == (
        "--method exact: at --boundary block1 an answer is no sum over places.\n"
        f"  Expected: --method exact at the top, or {OTHERS}\n  Fix: leave out --boundary."
    )
    check_method("exact", "top", make_spec("linear"))
    check_method("exact", "block1", make_spec("segmenter", SEGMENTATION))
