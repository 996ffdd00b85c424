"""The message of a problem, and the nearest name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tlkit.errors import DataError, TlkitError, describe_damage, name_fix, nearest_name


def test_a_problem_reads_as_found_expected_fix() -> None:
    problem = DataError("photos/ is empty.", expected="images", fix="put some in.")
    assert isinstance(problem, TlkitError)
    assert str(problem) == "photos/ is empty.\n  Expected: images\n  Fix: put some in."


def test_an_unknown_name_is_answered_with_the_nearest_one_if_any_is_near() -> None:
    assert name_fix("resnet5", ["vgg16", "resnet50"]) == "did you mean 'resnet50'?"
    assert name_fix("zzz", ["vgg16", "resnet50"]) == "choose one of these."


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("MobileNetV2", "mobilenet_v2"),
        ("ResNet-50", "resnet50"),
        ("efficientnet", "efficientnet_b0"),
        ("resnet18", "resnet50"),
        ("resnet110", "resnet101"),
        ("vgg", "vgg16"),
        ("block", "block1"),
        ("vit", None),
    ],
)
def test_case_and_separators_do_not_count_and_numbers_are_near_by_their_value(name: str, nearest: str | None) -> None:
    valid = ["vgg16", "vgg19", "resnet50", "resnet101", "resnet50_v2", "mobilenet", "mobilenet_v2", "efficientnet_b0"]
    assert nearest_name(name, [*valid, "efficientnet_b1", "block1", "block2"]) == nearest


def test_what_is_wrong_with_a_file_is_told_without_words_of_python(tmp_path: Path) -> None:
    found = {}
    for content in (b"", b"\xff", b"[]", b"{}"):
        (tmp_path / "a.json").write_bytes(content)
        with pytest.raises((ValueError, TypeError, KeyError)) as caught:
            json.loads((tmp_path / "a.json").read_text("utf-8"))["splits"]
        found[content] = describe_damage(caught.value)
    assert found == {
        b"": "not JSON from line 1 on",
        b"\xff": "not UTF-8",
        b"[]": "unexpected content",
        b"{}": "splits is missing",
    }
    with pytest.raises(OSError) as problem:
        (tmp_path / "none.json").read_text()
    assert describe_damage(problem.value) == "none.json: No such file or directory"
