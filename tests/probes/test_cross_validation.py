"""In each fold, images that are learnt from, that choose the epoch and that are asked about are others."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tlkit.data.manifest import ImageRecord, Manifest
from tlkit.data.views import ViewPlan
from tlkit.errors import DataError
from tlkit.probes.cross_validation import cross_validate_head, divide_fold
from tlkit.probes.images import Questions, make_questions
from tlkit.recipes import DataSettings, HeadSettings, TrainingSettings
from tlkit.training.checkpoint import Progress
from tlkit.training.held_out import FeatureSource, HeadTraining, HeldOutAnswers, NewHead, Parts


def ask(num_images_of_a_class: int, *, seed: int = 0) -> Questions:
    names = ("day", "night")
    records = tuple(
        ImageRecord(Path(f"{name}-{number}"), f"{name}{number}", 8, 8, "validation", name)
        for name in names
        for number in range(num_images_of_a_class)
    )
    return make_questions(Manifest(Path(), names, records), DataSettings(), seed=seed)


def test_every_image_is_asked_about_once_and_a_fifth_of_the_others_choose_the_epoch() -> None:
    questions = ask(25)
    asked = []
    for fold in questions.folds:
        parts = divide_fold(questions, fold)
        assert sorted([*parts.train, *parts.validation, *parts.test]) == list(range(50))
        assert len(parts.validation) == 8
        assert questions.targets[parts.validation].sum(axis=0).tolist() == [4, 4]
        asked += parts.test.tolist()
    assert sorted(asked) == list(range(50))


def test_all_images_are_training_images_whatever_split_they_came_from() -> None:
    """So that each of them has the views that are trained on."""
    assert {record.split for record in ask(5).manifest.records} == {"train"}


def test_a_class_of_two_images_leaves_none_to_choose_the_epoch() -> None:
    questions = ask(2)
    (fold,) = [each for each in questions.folds if len(each.train) == 2]
    with pytest.raises(DataError) as caught:
        divide_fold(questions, fold)
    assert str(caught.value) == (
        "A fold trains on 2 images, one per class, so none is left to choose the epoch.\n"
        "  Expected: three or more images per class\n"
        "  Fix: add images, or remove --heads, --policies and --views: a probe needs no epochs."
    )
    assert np.array_equal(fold.train, np.unique(fold.train))


def test_each_fold_trains_the_head_with_the_seed_of_the_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    questions = ask(5, seed=7)
    trainings: list[HeadTraining] = []

    def answer(
        features: FeatureSource, answers: object, parts: Parts, training: HeadTraining, new_head: NewHead
    ) -> HeldOutAnswers:
        trainings.append(training)
        return HeldOutAnswers(np.full((len(parts.test), 2), 0.5), Progress(), 1.0, 3)

    monkeypatch.setattr("tlkit.probes.cross_validation.answer_held_out", answer)
    cache: Any = SimpleNamespace(spec=SimpleNamespace(feature_shape=(4,), row_bytes=8))
    head = HeadSettings(kind="linear")
    cross_validate_head(
        questions,
        cache,
        np.zeros((10, 1), np.int64),
        head=head,
        views=ViewPlan(),
        precision="float32",
        advance=lambda count: None,
    )
    assert len(trainings) == len(questions.folds)
    assert {(training.head, training.training) for training in trainings} == {(head, TrainingSettings(seed=7))}
