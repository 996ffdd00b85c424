"""What became of each image, by task."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from tlkit.outputs import CLASSIFICATION, MULTILABEL, REGRESSION, Target
from tlkit.tasks import find_task
from tlkit.tasks.verdicts import CommonMistake, Verdict, Verdicts


@dataclass(frozen=True)
class Spec:
    class_names: tuple[str, ...] = ()
    thresholds: tuple[float, ...] = ()
    target: Target | None = None


def judge_classes() -> Verdicts:
    outputs = np.array([[0.9, 0.1, 0.0], [0.2, 0.3, 0.5], [0.7, 0.2, 0.1], [0.1, 0.6, 0.3]], np.float32)
    return find_task(CLASSIFICATION).judge(np.array([0, 0, 2, 1]), outputs, Spec(("cat", "cow", "dog")))


def judge_labels() -> Verdicts:
    targets = np.array([[1, 0], [1, 1], [0, 0]], np.float32)
    outputs = np.array([[0.9, 0.8], [0.35, 0.9], [0.1, 0.2]], np.float32)
    return find_task(MULTILABEL).judge(targets, outputs, Spec(("iron", "wood"), (0.4, 0.5)))


def judge_values() -> Verdicts:
    targets = np.array([[10.0], [20.0], [30.0], [40.0], [50.0]])
    outputs = np.array([[12.0], [20.5], [20.0], [40.0], [51.0]])
    return find_task(REGRESSION).judge(targets, outputs, Spec(target=Target("price", 0.0, 1.0, is_log=False)))


def test_a_class_is_judged_by_the_probability_of_the_true_one() -> None:
    verdicts = judge_classes()
    np.testing.assert_allclose(verdicts.losses, -np.log([0.9, 0.2, 0.1, 0.6]), rtol=1e-6)
    assert verdicts.is_right is not None
    assert verdicts.margins is not None
    assert verdicts.is_right.tolist() == [True, False, False, True]
    np.testing.assert_allclose(verdicts.margins, [0.9, 0.5, 0.7, 0.6], rtol=1e-6)
    assert verdicts.rank(np.arange(4)).tolist() == [2, 1, 3, 0]
    assert verdicts.describe(1) == Verdict(
        ("true: cat 20.0%", "predicted: dog 50.0%"), "50.0%", "true cat as dog", {"true": "cat", "predicted": "dog"}
    )
    assert verdicts.describe(0) == Verdict(("cat 90.0%",), "90.0%", "true cat", {"true": "cat", "predicted": "cat"})


def test_confused_classes_are_listed_by_frequency() -> None:
    assert judge_classes().list_common_mistakes() == [
        CommonMistake("cat predicted as dog", {"true": "cat", "predicted": "dog"}, [1]),
        CommonMistake("dog predicted as cat", {"true": "dog", "predicted": "cat"}, [2]),
    ]


def test_labels_are_judged_one_by_one() -> None:
    verdicts = judge_labels()
    assert verdicts.is_right is not None
    assert verdicts.margins is not None
    assert verdicts.is_right.tolist() == [False, False, True]
    np.testing.assert_allclose(verdicts.margins, [0.3, 0.05, 0.3], rtol=1e-6)
    assert verdicts.describe(0).lines == ("wrong: wood 80.0%", "right: iron 90.0%")
    assert verdicts.describe(1) == Verdict(
        ("missed: iron 35.0%", "right: wood 90.0%"),
        "1 wrong",
        "missed iron",
        {"missed": ["iron"], "added": [], "true": ["iron", "wood"], "predicted": ["wood"]},
    )
    assert verdicts.describe(2) == Verdict(
        ("no label, rightly",), "right", "", {"missed": [], "added": [], "true": ["none"], "predicted": ["none"]}
    )
    assert verdicts.list_common_mistakes() == [
        CommonMistake("iron missed", {"missed": "iron"}, [1]),
        CommonMistake("wood predicted wrongly", {"added": "wood"}, [0]),
    ]


def test_a_value_is_judged_by_its_error() -> None:
    verdicts = judge_values()
    assert verdicts.losses.tolist() == [2.0, 0.5, 10.0, 0.0, 1.0]
    assert verdicts.is_right is None
    assert verdicts.describe(2) == Verdict(
        ("true: 30", "predicted: 20"), "-10", "true 30 off by -10", {"quarter": "30 to 30", "error": "too low"}
    )
    assert verdicts.list_common_mistakes() == []


@pytest.mark.parametrize(
    ("verdicts", "row", "output"),
    [(judge_classes(), 1, 2), (judge_labels(), 0, 1), (judge_labels(), 1, 0), (judge_values(), 2, 0)],
)
def test_the_output_that_is_wrong_is_explained(verdicts: Verdicts, row: int, output: int) -> None:
    assert verdicts.find_output(row) == output


@pytest.mark.parametrize("judge", [judge_classes, judge_labels, judge_values])
def test_every_kind_can_tell_images_apart(judge: object) -> None:
    verdicts = judge() if callable(judge) else None
    assert isinstance(verdicts, Verdicts)
    assert len({verdicts.kind_of(row) for row in range(len(verdicts.losses))}) >= 3


@pytest.mark.parametrize(
    ("verdicts", "column", "row_name", "facets"),
    [
        (judge_classes(), "precision", "cat", {"predicted": "cat"}),
        (judge_classes(), "recall", "cat", {"true": "cat"}),
        (judge_classes(), "images", "mean of the classes", {}),
        (judge_labels(), "threshold", "iron", {"predicted": "iron"}),
        (judge_labels(), "AP", "iron", {"true": "iron"}),
        (judge_labels(), "AP", "mean of the labels", {}),
        (judge_values(), "images", "10 to 20", {"quarter": "10 to 20"}),
    ],
)
def test_a_number_of_the_score_table_has_images_behind_it(
    verdicts: Verdicts, column: str, row_name: str, facets: dict[str, str]
) -> None:
    assert verdicts.find_behind(column, row_name) == facets


def test_quarters_are_named_as_in_the_score_table() -> None:
    values = np.array([[10.0], [20.0], [30.0], [40.0], [50.0]])
    task, spec = find_task(REGRESSION), Spec(target=Target("price", 0.0, 1.0, is_log=False))
    names = [row[0] for row in task.compute_report(values, values + 1, spec).score_table()[1]]
    assert sorted({str(judge_values().describe(row).facets["quarter"]) for row in range(5)}) == sorted(names)
