"""Answers as text and as arrays, by task."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tlkit.outputs import CLASSIFICATION, MULTILABEL, REGRESSION
from tlkit.tasks import find_task


@pytest.mark.parametrize(
    ("task", "text", "answer"),
    [
        (CLASSIFICATION, "cafe\u0301", "café"),
        (CLASSIFICATION, "a|b", "a|b"),
        (CLASSIFICATION, "n/a", "n/a"),
        (MULTILABEL, " wood | iron|wood||", "iron|wood"),
        (MULTILABEL, "cafe\u0301|café", "café"),
        (MULTILABEL, "", ""),
        (MULTILABEL, " | ", ""),
        (REGRESSION, "-1.50e3", "-1.50e3"),
        (REGRESSION, "0", "0"),
    ],
)
def test_an_answer_has_one_spelling(task: str, text: str, answer: str) -> None:
    assert find_task(task).parse_answer(text) == answer
    assert find_task(task).parse_answer(answer) == answer


@pytest.mark.parametrize(
    ("task", "text", "reason"),
    [
        (CLASSIFICATION, "", "no label"),
        (REGRESSION, "", "no value"),
        (REGRESSION, "dear", "the value 'dear' is not a number"),
        (REGRESSION, "1,5", "the value '1,5' is not a number"),
        (REGRESSION, "inf", "the value 'inf' means no data"),
        (REGRESSION, "n/a", "no value"),
        (REGRESSION, "x" * 50, f"the value '{'x' * 40}' is not a number"),
    ],
)
def test_a_cell_without_an_answer_says_why(task: str, text: str, reason: str) -> None:
    with pytest.raises(ValueError) as caught:
        find_task(task).parse_answer(text)
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("task", "answer", "names"),
    [
        (CLASSIFICATION, "a|b", ("a|b",)),
        (MULTILABEL, "a|b", ("a", "b")),
        (MULTILABEL, "", ()),
        (REGRESSION, "12", ()),
    ],
)
def test_an_answer_names_classes_or_labels_but_a_value_names_none(
    task: str, answer: str, names: tuple[str, ...]
) -> None:
    assert find_task(task).names_of(answer) == names


@pytest.mark.parametrize(
    ("task", "answers", "names"),
    [
        (CLASSIFICATION, ["b", "a", "b"], ["a", "b"]),
        (MULTILABEL, ["c|b", "", "a|b"], ["a", "b", "c"]),
        (REGRESSION, ["1", "2"], []),
    ],
)
def test_all_names_are_sorted_and_stand_once(task: str, answers: Sequence[str], names: Sequence[str]) -> None:
    assert find_task(task).find_names(answers) == names


@pytest.mark.parametrize(
    ("task", "answers", "dtype", "targets", "empty_shape"),
    [
        (CLASSIFICATION, ["b", "a", "b"], np.int32, [0, 1, 0], (0,)),
        (MULTILABEL, ["a|b", "", "c"], np.float32, [[1, 1, 0], [0, 0, 0], [0, 0, 1]], (0, 3)),
        (REGRESSION, ["12", "-1.5e1", "16777217"], np.float64, [[12], [-15], [16777217]], (0, 1)),
    ],
)
def test_targets_have_the_shape_and_type_of_their_task(
    task: str, answers: Sequence[str], dtype: type, targets: object, empty_shape: tuple[int, ...]
) -> None:
    names = () if task == REGRESSION else ("b", "a", "c")
    found = find_task(task).make_targets(answers, names)
    assert (found.dtype, found.tolist()) == (np.dtype(dtype), targets)
    empty = find_task(task).make_targets([], names)
    assert (empty.dtype, empty.shape) == (np.dtype(dtype), empty_shape)


def test_strata_of_classes_are_the_classes() -> None:
    assert find_task(CLASSIFICATION).find_strata(["b", "a", "b"]) == ["b", "a", "b"]


def test_strata_of_labels_are_the_rarest_of_each_image() -> None:
    answers = ["sea|ship", "sea", "sea|whale", "", "ship|whale", "sea|ship"]
    assert find_task(MULTILABEL).find_strata(answers) == ["ship", "sea", "whale", "", "whale", "ship"]


def test_strata_of_values_are_the_fifths_of_all_values() -> None:
    values = [str(2**number) for number in range(20)]
    backwards = find_task(REGRESSION).find_strata(values[::-1])
    assert backwards == [str(number // 4) for number in range(20)][::-1]


@pytest.mark.parametrize("task", [CLASSIFICATION, MULTILABEL, REGRESSION])
def test_no_answers_have_no_strata(task: str) -> None:
    assert find_task(task).find_strata([]) == []


def test_values_that_are_all_equal_are_one_stratum() -> None:
    assert len(set(find_task(REGRESSION).find_strata(["3", "3.0", "3e0"]))) == 1
