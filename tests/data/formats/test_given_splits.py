"""Names of folders and files that mean a split, and those that merely look like it."""

from __future__ import annotations

from pathlib import PurePath

import pytest

from tlkit.data.formats.given_splits import find_split_in_name, find_splits_in_path, is_neutral


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *(
            (name, "train")
            for name in ("train", "Training", "TRAIN_images", "images-train", "train2017", "training_set")
        ),
        *((name, "train") for name in ("trainset", "train.images", "1_train", "trainval", "instances_train2017")),
        *((name, "validation") for name in ("val", "valid", "Validation", "dev", "val2017", "valset", "instances_val")),
        *((name, "test") for name in ("test", "testing", "test 2", "test_labels", "testdata", "Test-Set")),
        *(
            (name, None)
            for name in ("trains", "test_drive", "cat", "images", "2017", "", "contest", "train_test", "devil")
        ),
    ],
)
def test_a_name_means_a_split_alone_or_among_words_that_say_nothing(name: str, split: str | None) -> None:
    assert find_split_in_name(name) == split


def test_the_folders_of_a_path_mean_splits_and_its_own_name_does_not() -> None:
    assert find_splits_in_path(PurePath("data/train/images/test.jpg")) == ["train"]
    assert find_splits_in_path(PurePath("images/val2017/train/1.jpg")) == ["validation", "train"]
    assert find_splits_in_path(PurePath("test.jpg")) == []


def test_neutral_names_say_only_that_pictures_or_annotations_are_there() -> None:
    assert all(map(is_neutral, ("images", "JPEGImages", "labels_xml", "photos 2")))
    assert not any(map(is_neutral, ("cat", "train", "images_cat", "", "2")))
