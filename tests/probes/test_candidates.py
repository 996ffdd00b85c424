"""What is compared: every combination of what was listed, and nothing that would be the same twice."""

from __future__ import annotations

import pytest

from tlkit.data.views import ViewPlan
from tlkit.errors import SettingError
from tlkit.metrics.whitenings import Whitening
from tlkit.probes.candidates import ComparisonRequest, check_task, list_candidates
from tlkit.recipes import BackboneSettings, DataSettings


def names(**requested: list[str]) -> list[str]:
    return [
        each.name for each in list_candidates(ComparisonRequest(**requested), BackboneSettings(name="tiny"), seed=0)
    ]


def test_backbones_multiply_with_boundaries_and_are_probed() -> None:
    candidates = list_candidates(
        ComparisonRequest(backbones=["tiny", "mnist_cnn:random"], boundaries=["top"]), BackboneSettings(), seed=0
    )
    assert [each.name for each in candidates] == ["tiny at top", "mnist_cnn at top"]
    assert all(each.head is None and each.views == ViewPlan() for each in candidates)


def test_heads_multiply_with_backbones_and_are_named_by_what_differs() -> None:
    assert names(heads=["linear", "dense"]) == ["linear", "dense"]
    assert names(heads=["conv:128", "dense:64"]) == ["conv:128", "dense:64"]
    assert names(heads=["linear"], backbones=["tiny", "mnist_cnn:random"]) == ["tiny: linear", "mnist_cnn: linear"]
    assert names(heads=["linear", "conv"], views=["4"]) == [
        "linear with 4 standard views",
        "conv with 4 standard views",
    ]


def test_whitenings_multiply_with_probes_and_heads() -> None:
    assert names(whiten=["none", "pca:0.3"], boundaries=["top"]) == ["tiny at top (none)", "tiny at top (pca:0.3)"]
    assert names(whiten=["none", "zca"], heads=["linear"]) == ["linear (none)", "linear (zca)"]
    requested = ComparisonRequest(whiten=["pca:0.3"])
    (probe,) = list_candidates(requested, BackboneSettings(name="tiny"), seed=0)
    assert probe.whitening == Whitening("pca", 0.3)
    assert probe.head is None


def test_one_view_stands_once_whatever_the_policies() -> None:
    assert names(views=["1", "4"], policies=["standard", "strong"]) == [
        "1 view",
        "4 standard views",
        "4 strong views",
    ]


def test_the_views_are_those_that_a_run_with_the_seed_would_make() -> None:
    (candidate,) = list_candidates(
        ComparisonRequest(views=["8"], policies=["strong"]), BackboneSettings(name="tiny"), seed=7
    )
    assert candidate.views == ViewPlan("strong", 8, 7)
    assert candidate.head is not None
    assert candidate.head.kind == "dense"


@pytest.mark.parametrize(
    ("requested", "message"),
    [
        (
            {"heads": ["linear"], "boundaries": ["block1"]},
            "--boundaries block1 together with --heads, --policies or --views.\n"
            "  Expected: boundaries, which are compared by a probe, or heads and views, which are trained at the top\n"
            "  Fix: remove one or the other.",
        ),
        (
            {"policies": ["strong"]},
            "--policies strong has no effect: a single view is the image itself.\n"
            "  Expected: --views with a number above 1\n"
            "  Fix: add --views 4.",
        ),
        (
            {"views": ["4"], "policies": ["standard", "mosaic"]},
            "--policies mosaic: a mosaic shows four images, and each is judged by itself.\n"
            "  Expected: a policy whose views show one image\n"
            "  Fix: use --policies scales.",
        ),
        (
            {"whiten": ["pca:low"]},
            "--whiten has 'pca:low'.\n  Expected: KIND, or KIND:FLOOR\n  Fix: --whiten none,pca:0.1",
        ),
        (
            {"views": ["four"]},
            "--views has 'four'.\n  Expected: whole numbers, 1 or more\n  Fix: --views 1,4,8",
        ),
        (
            {"views": ["4", "4"]},
            "4 standard views appears twice.\n  Expected: different candidates\n  Fix: remove one of them.",
        ),
        (
            {"heads": ["dens"]},
            "--heads: kind is 'dens'.\n  Expected: one of linear, dense, conv, flat, fisheries, vgg, detector, segmenter\n  Fix: did you mean 'dense'?",
        ),
        (
            {"heads": ["linear:64"]},
            "--heads linear:64: units = 64 has no effect: the linear head has no hidden layer.\n"
            "  Expected: only settings that this run uses\n  Fix: remove it, or set dense, conv, fisheries, vgg, detector or segmenter.",
        ),
        (
            {"heads": ["dense:wide"]},
            "--heads has 'wide'.\n  Expected: whole numbers, 1 or more\n  Fix: --heads conv:128",
        ),
        (
            {"policies": ["none"], "views": ["4"]},
            "--views 4 has no effect with --policy none.\n"
            "  Expected: a policy that makes different views of an image: standard or strong\n"
            "  Fix: add --policy standard, or remove --views.",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(requested: dict[str, list[str]], message: str) -> None:
    with pytest.raises(SettingError) as caught:
        names(**requested)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("requested", "data", "message"),
    [
        (
            {"views": ["1", "4"]},
            DataSettings(task="detection", boxes="boxes.json"),
            "--heads, --policies and --views are compared by trainings, which tlkit compare does not do for detection.\n"
            "  Expected: --backbones and --boundaries, which are compared by a probe\n"
            "  Fix: train with each of them by tlkit finetune, and compare the validation scores.",
        ),
        (
            {"whiten": ["pca"]},
            DataSettings(task="segmentation", masks="masks"),
            "--whiten pca has no effect: a probe of places takes the principal components of maps.\n"
            "  Expected: --whiten for another task than segmentation\n"
            "  Fix: leave out --whiten.",
        ),
        (
            {},
            DataSettings(boxes="boxes.json"),
            "--boxes boxes.json has no effect: candidates are compared by classification alone.\n"
            "  Expected: --boxes with --task detection\n"
            "  Fix: leave out --boxes, or add --task detection.",
        ),
    ],
)
def test_tasks_that_cannot_be_compared_so_are_refused(
    requested: dict[str, list[str]], data: DataSettings, message: str
) -> None:
    with pytest.raises(SettingError) as caught:
        check_task(ComparisonRequest(**requested), data)
    assert str(caught.value) == message
