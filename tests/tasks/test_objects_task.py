"""What tasks with a list of objects share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tlkit.commands.leak import run_leak
from tlkit.errors import SettingError
from tlkit.recipes.settings import BackboneSettings, DataSettings
from tlkit.reports.console import Console
from tlkit.tasks.objects import BACKGROUND, SceneObject, write_objects
from tlkit.tasks.objects_task import ObjectsTask, refuse_objects

APE = SceneObject("ape", 0, 0, 1, 1)
FISH = SceneObject("fish", 1, 2, 30, 40)


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> ObjectsTask:
    """The shared half alone, as an instance."""
    monkeypatch.setattr(ObjectsTask, "__abstractmethods__", frozenset())
    return ObjectsTask()  # type: ignore[abstract]


def test_an_answer_is_written_in_one_way(task: ObjectsTask) -> None:
    assert task.parse_answer(' [ ["ape", 0.0, 0, 1, 1.00001, 0] ]') == '[["ape",0,0,1,1]]'
    with pytest.raises(ValueError, match=r"^not a list of objects$"):
        task.parse_answer("ape")


def test_images_are_stratified_by_their_rarest_class_from_texts_and_from_targets(task: ObjectsTask) -> None:
    ignored = SceneObject("ape", 0, 0, 1, 1, is_ignored=True)
    answers = [write_objects(each) for each in ([FISH, FISH], [FISH, APE], [FISH, ignored], [])]
    assert task.find_names(answers) == ["ape", "fish"]
    assert task.find_strata(answers) == ["fish", "ape", "fish", ""]
    assert task.stratify(task.make_targets(answers, ["ape", "fish"])) == [2, 1, 2, 0]


def test_answers_are_described_in_words(task: ObjectsTask) -> None:
    assert task.describe_answer(write_objects([FISH, FISH])) == "2 × fish"
    assert task.describe_answer(BACKGROUND) == "no objects"
    assert (task.has_names, task.has_labels, task.has_objects, task.fewest_names(has_box=False)) == (
        True,
        False,
        True,
        1,
    )


@pytest.mark.usefixtures("detection")
def test_what_needs_one_answer_of_each_image_is_refused() -> None:
    refuse_objects("classification", "tlkit leak")
    with pytest.raises(SettingError) as caught:
        refuse_objects("detection", "tlkit leak")
    assert str(caught.value) == str(
        SettingError(
            "tlkit leak does not apply to detection yet.",
            expected="images with one answer each: a class, labels or a value",
            fix="use tlkit evaluate for how well objects are found, and tlkit predict with --overlay to look at them.",
        )
    )


@pytest.mark.parametrize("task", ["detection", "segmentation"])
def test_leaks_of_what_is_where_are_refused_with_the_reason(task: str, tmp_path: Path) -> None:
    data, backbone = DataSettings(task=task), BackboneSettings("tiny")
    with pytest.raises(SettingError) as caught:
        run_leak(
            tmp_path, data_settings=data, backbone_settings=backbone, group_by=None, seed=0, out=None, console=Console()
        )
    assert str(caught.value) == (
        f"tlkit leak does not apply to {task}: metadata may tell what is in an image, but not where.\n"
        "  Expected: one answer for each image: a class, labels or a value\n"
        "  Fix: to find columns that tell what is in an image, list its classes in a table and use --task multilabel."
    )
