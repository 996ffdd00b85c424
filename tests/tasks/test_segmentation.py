"""Segmentation as a task: its targets, scores, report and verdicts, in numpy alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from tlkit.errors import SettingError
from tlkit.outputs import SEGMENTATION, Target
from tlkit.tasks import find_task
from tlkit.tasks.mask_text import PLACES, write_mask
from tlkit.tasks.objects_task import refuse_masks
from tlkit.tasks.segmentation import Segmentation
from tlkit.tasks.segmentation_report import compute_segmentation_report
from tlkit.tasks.segmentation_verdicts import judge_masks

TASK = find_task(SEGMENTATION)
NAMES = ("bream", "pike")


@dataclass
class Spec:
    class_names: tuple[str, ...] = NAMES
    thresholds: tuple[float, ...] = ()
    target: Target | None = None


def draw(*classes: int, shift: int = 0) -> np.ndarray:
    """Return a mask with a square of each class; they do not overlap."""
    mask = np.zeros((PLACES, PLACES), np.uint8)
    for place, number in enumerate(classes):
        mask[10 + shift : 60 + shift, 70 * place + 5 : 70 * place + 55] = number
    return mask


def test_targets_are_the_masks_by_the_numbers_of_the_names() -> None:
    answers = [write_mask(draw(1, 2), NAMES), write_mask(draw(), NAMES), write_mask(draw(2), NAMES)]
    assert TASK.find_names(answers) == ["bream", "pike"]
    assert TASK.find_strata(answers) == ["bream", "", "pike"]
    assert TASK.describe_answer(answers[0]) == "bream, pike"
    assert TASK.describe_answer(answers[1]) == "background"
    targets = TASK.make_targets(answers, NAMES)
    assert (targets == np.stack([draw(1, 2), draw(), draw(2)])).all()
    assert TASK.make_targets([], NAMES).shape == (0, PLACES, PLACES)


def test_the_network_answers_with_probabilities_at_the_finest_map() -> None:
    task = TASK.on_maps(((4, 5), (2, 3)))
    assert task.shape_answer(3) == (4, 5, 3)
    assert task.count_row_values(3) == 60
    logits = np.random.default_rng(0).normal(size=(2, 4, 5, 3)).astype(np.float32)
    shares = task.activate(logits).reshape(2, 4, 5, 3)
    assert shares.sum(axis=-1) == pytest.approx(np.ones((2, 4, 5)))
    assert (shares.argmax(axis=-1) == logits.argmax(axis=-1)).all()
    assert np.ptp(task.activate(logits, temperature=10.0)) < np.ptp(shares)


def test_the_score_is_that_of_all_cells_together_and_of_each_image() -> None:
    task = Segmentation(((2, 2),))
    true = np.array([[[0, 1], [1, 255]], [[0, 0], [0, 0]], [[2, 2], [0, 0]]], np.uint8)
    found = np.array([[0, 1, 0, 1], [0, 0, 0, 0], [2, 1, 0, 0]], np.float32)
    score, each = task.score_found({"classes": found}, true)
    assert score == pytest.approx((1 / 3 + 1 / 2) / 2)
    assert each == pytest.approx([1 / 2, 1.0, (0 + 1 / 2) / 2])
    assert task.score_found({"classes": found[1:2]}, true[1:2])[0] == 1.0


def test_a_report_says_what_is_taken_for_what() -> None:
    true = np.stack([draw(1, 2), draw(1), draw()])
    found = np.stack([draw(1, 1), draw(1, shift=25), draw()])
    report = compute_segmentation_report(true, found, NAMES)
    columns, rows = report.score_table()
    assert columns == ("class", "IoU", "Dice", "precision", "recall", "images")
    assert [row[0] for row in rows] == ["bream", "pike", "background"]
    assert rows[1] == ("pike", "0.000", "0.000", "-", "0.000", "1")
    assert rows[0][4:] == ("0.750", "2")
    assert report.mistakes_table() == (
        ("class", "predicted as", "share of its area"),
        [("pike", "bream", "100.0%"), ("bream", "background", "25.0%"), ("background", "bream", "0.7%")],
    )
    name, file_columns, file_rows = report.score_file()
    assert name == "per_class.csv"
    assert len(file_columns) == len(file_rows[0])
    assert report.to_payload()["classes"][2]["class_name"] == "pike"
    assert report.headline().startswith("mIoU 0.2")
    assert report.headline().endswith("of the area right, on 3 images.")
    alone = compute_segmentation_report(true[1:], true[1:], NAMES)
    assert alone.headline().endswith(" Means leave out 1 of 2 classes, which no mask has.")


def test_verdicts_name_what_agrees_by_less_than_half() -> None:
    true = np.stack([draw(1, 2), draw(1), draw(), draw()])
    found = np.stack([draw(1), draw(1, shift=25), draw(), draw(2)])
    verdicts = judge_masks(true, found, NAMES)
    assert verdicts.is_right is not None
    assert verdicts.is_right.tolist() == [False, False, True, False]
    assert verdicts.losses == pytest.approx([0.5, 2 / 3, 0.0, 1.0])
    assert verdicts.describe(0).lines == ("pike IoU 0.00", "bream IoU 1.00")
    assert verdicts.describe(0).facets == {
        "mistake": ["pike missed"],
        "true": ["bream", "pike"],
        "predicted": ["bream"],
    }
    assert verdicts.describe(1).name == "bream poor"
    assert verdicts.describe(2).lines == ("background, rightly",)
    assert verdicts.describe(3).name == "pike where it is not"
    assert [each.title for each in verdicts.list_common_mistakes()] == [
        "bream poor", "pike missed", "pike where it is not",
    ]  # fmt: skip
    assert [verdicts.find_output(row) for row in range(4)] == [1, 0, 0, 1]
    assert verdicts.find_behind("precision", "pike") == {"predicted": "pike"}
    assert verdicts.find_behind("IoU", "pike") == {"true": "pike"}
    assert verdicts.find_behind("IoU", "background") == {}


def test_a_prediction_has_the_share_of_each_class() -> None:
    fields = TASK.predict(draw(1), Spec(), top_k=1, answer=write_mask(draw(2), NAMES))
    share = pytest.approx(2500 / PLACES**2)
    assert fields["areas"] == {"bream": share, "pike": 0.0}
    assert fields["true_areas"] == {"bream": 0.0, "pike": share}


def test_folds_are_stratified_by_the_rarest_class_of_a_mask() -> None:
    masks = np.zeros((4, 6, 6), np.float32)
    masks[0, 0], masks[1, 0], masks[1, 1], masks[2] = 1, 1, 2, 255
    assert TASK.stratify(masks) == [1, 2, 0, 0]


def test_linear_models_and_commands_that_need_one_answer_refuse_masks() -> None:
    for method, arguments in (
        (TASK.score_outputs, (draw(),) * 3), (TASK.measure_losses, (draw(),) * 2),
    ):  # fmt: skip
        with pytest.raises(TypeError) as refused:
            method(*arguments)
        assert str(refused.value) == "masks are not predicted by linear models"
    with pytest.raises(SettingError) as wrong:
        refuse_masks(SEGMENTATION, "tlkit explain")
    assert str(wrong.value) == (
        "tlkit explain does not apply to segmentation yet.\n"
        "  Expected: a model of another task\n"
        "  Fix: use tlkit evaluate, and tlkit predict with --masks-out or --overlay."
    )
    refuse_masks("detection", "tlkit explain")
