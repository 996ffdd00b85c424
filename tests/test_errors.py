"""The message of a problem, and the nearest name."""

from __future__ import annotations

from tlkit.errors import DataError, TlkitError, name_fix


def test_a_problem_reads_as_found_expected_fix() -> None:
    problem = DataError("photos/ is empty.", expected="images", fix="put some in.")
    assert isinstance(problem, TlkitError)
    assert str(problem) == "photos/ is empty.\n  Expected: images\n  Fix: put some in."


def test_an_unknown_name_is_answered_with_the_nearest_one_if_any_is_near() -> None:
    assert name_fix("resnet5", ["vgg16", "resnet50"]) == "did you mean 'resnet50'?"
    assert name_fix("zzz", ["vgg16", "resnet50"]) == "choose one of these."
