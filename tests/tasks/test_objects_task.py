"""What tasks with a list of objects share."""

from __future__ import annotations

import pytest

from tlkit.tasks.objects import BACKGROUND, SceneObject, write_objects
from tlkit.tasks.objects_task import ObjectsTask

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
