"""Folders of class folders, with and without splits."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from tlkit.data.formats.candidates import Candidate
from tlkit.data.formats.folder import read_folder
from tlkit.data.manifest import SkippedFile
from tlkit.data.sources import OUTPUT_MARKER
from tlkit.errors import DataError


def make_files(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def found(root: Path) -> list[tuple[str | None, str | None, str]]:
    return [(item.split, item.answer, item.path.relative_to(root).as_posix()) for item in read_folder(root).items]


def test_class_folders_give_every_file_at_any_depth(tmp_path: Path) -> None:
    make_files(tmp_path, "dog/b.jpg", "dog/more/deep/a.xyz", "cat/c", "cat/.hidden.jpg")
    assert found(tmp_path) == [
        (None, "cat", "cat/c"),
        (None, "dog", "dog/b.jpg"),
        (None, "dog", "dog/more/deep/a.xyz"),
    ]
    assert read_folder(tmp_path).notices == ()
    assert read_folder(tmp_path).root == tmp_path


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [("train", "validation", "test"), ("Training", "valid", "TEST"), ("TRAIN", "Val", "Test")],
)
def test_split_folders_are_known_by_their_usual_names(tmp_path: Path, train: str, validation: str, test: str) -> None:
    make_files(tmp_path, f"{train}/cat/1", f"{validation}/cat/2", f"{test}/cat/3")
    assert found(tmp_path) == [
        ("train", "cat", f"{train}/cat/1"),
        ("validation", "cat", f"{validation}/cat/2"),
        ("test", "cat", f"{test}/cat/3"),
    ]


def test_a_relative_root_gives_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_files(tmp_path, "data/cat/1", "other/2")
    monkeypatch.chdir(tmp_path / "other")
    assert read_folder(Path("../data")).items == (Candidate(tmp_path / "data/cat/1", "cat", None),)


def test_test_can_be_a_class(tmp_path: Path) -> None:
    make_files(tmp_path, "exam/1", "test/2")
    assert [item[1] for item in found(tmp_path)] == ["exam", "test"]


def test_a_test_folder_with_class_folders_is_a_split_even_alone(tmp_path: Path) -> None:
    make_files(tmp_path, "test/cat/2")
    assert found(tmp_path) == [("test", "cat", "test/cat/2")]


@pytest.mark.parametrize(
    ("layout", "train"),
    [
        ("{split}/images/{name}/1.jpg", "train"),
        ("images/{split}/{name}/1.jpg", "TRAIN"),
        ("data/images/{split}/{name}/1.jpg", "train"),
        ("{split}/{split}/{name}/1.jpg", "training_set"),
        ("{split}/{name}/1.jpg", "train2017"),
        ("{name}/{split}/1.jpg", "train"),
        ("{name}/{split}/more/1.jpg", "train_images"),
    ],
)
def test_splits_lie_above_or_below_the_classes_and_neutral_folders_between(
    tmp_path: Path, layout: str, train: str
) -> None:
    names = [layout.format(split=split, name=name) for split in (train, "dev") for name in ("cat", "dog")]
    make_files(tmp_path, *names)
    splits = {train: "train", "dev": "validation"}
    assert {(split, name) for split, name, _ in found(tmp_path)} == {
        (split, name) for split in splits.values() for name in ("cat", "dog")
    }
    assert all(
        split == splits[next(part for part in path.split("/") if part in splits)] for split, _, path in found(tmp_path)
    )


def test_one_folder_called_images_holds_the_classes(tmp_path: Path) -> None:
    make_files(tmp_path, "images/cat/1.jpg", "images/dog/1.jpg", "labels.csv", "docs/readme.txt")
    assert found(tmp_path) == [(None, "cat", "images/cat/1.jpg"), (None, "dog", "images/dog/1.jpg")]
    assert read_folder(tmp_path).notices == (
        "Ignored beside the images: docs.",
        "Not used: labels.csv, beside the folders; pass the table instead of the folder to use it.",
    )


def test_train_may_be_a_class_among_others(tmp_path: Path) -> None:
    make_files(tmp_path, "train/1.jpg", "bus/1.jpg", "car/1.jpg")
    assert [item[:2] for item in found(tmp_path)] == [(None, "bus"), (None, "car"), (None, "train")]


def test_classes_that_are_split_in_part_are_an_error(tmp_path: Path) -> None:
    make_files(tmp_path, "cat/train/1.jpg", "cat/test/2.jpg", "dog/1.jpg", "dog/train/2.jpg")
    with pytest.raises(DataError) as caught:
        read_folder(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}/cat has split folders, but some images of dog are not in split folders.\n"
        "  Expected: folders named train, validation and test in every class folder, or in none\n"
        "  Fix: move the other images into split folders, or put the split folders above the classes."
    )


def test_a_folder_below_a_class_that_is_named_for_a_split_is_told_of(tmp_path: Path) -> None:
    make_files(tmp_path, "vehicles/train/1.jpg", "vehicles/car/1.jpg", "people/1.jpg")
    assert {item[0] for item in found(tmp_path)} == {None}
    assert read_folder(tmp_path).notices == (
        "1 × file in a folder named like a split, but inside a class folder; not used as a split, e.g. "
        f"{tmp_path}/vehicles/train/1.jpg.",
    )


def test_annotations_and_masks_are_skipped_with_a_hint(tmp_path: Path) -> None:
    make_files(tmp_path, *(f"{name}/{n}.jpg" for name in ("cat", "dog") for n in (1, 2)), "cat/1_mask.png")
    for path in (tmp_path / "cat/1.xml", tmp_path / "dog/2.xml", tmp_path / "xml/3.xml"):
        path.parent.mkdir(exist_ok=True)
        path.write_text("<annotation/>")
    candidates = read_folder(tmp_path)
    assert [item.path.name for item in candidates.items] == ["1.jpg", "2.jpg", "1.jpg", "2.jpg"]
    assert [(item.path.name, item.reason) for item in candidates.skipped] == [
        ("1.xml", "PASCAL VOC annotation"),
        ("1_mask.png", "mask of an image"),
        ("2.xml", "PASCAL VOC annotation"),
        ("3.xml", "PASCAL VOC annotation"),
    ]
    assert candidates.notices == (
        "Not a class, because it has no readable image: xml.",
        f"3 × PASCAL VOC annotation, skipped, e.g. {tmp_path}/cat/1.xml; add --boxes {tmp_path} to train on the boxes.",
        f"1 × mask of an image, skipped, e.g. {tmp_path}/cat/1_mask.png.",
    )
    used = read_folder(
        tmp_path, annotation_files=[tmp_path / "cat/1.xml", tmp_path / "dog/2.xml", tmp_path / "xml/3.xml"]
    )
    assert [item.path.name for item in used.skipped] == ["1_mask.png"]


def test_masks_and_annotations_in_folders_beside_the_images_are_skipped(tmp_path: Path) -> None:
    make_files(tmp_path, "images/cat/1.jpg", "images/dog/2.jpg", "masks/1.png", "masks/2.png")
    candidates = read_folder(tmp_path)
    assert [item.answer for item in candidates.items] == ["cat", "dog"]
    assert [item.path.name for item in candidates.skipped] == ["1.png", "2.png"]
    assert candidates.notices == (f"2 × mask of an image, skipped, e.g. {tmp_path}/masks/1.png.",)


def test_annotations_in_place_of_class_folders_are_an_error_that_names_boxes(tmp_path: Path) -> None:
    make_files(tmp_path, "train/1.jpg", "valid/2.jpg")
    (tmp_path / "train/_annotations.coco.json").write_text('{"images": [], "annotations": []}')
    with pytest.raises(DataError) as caught:
        read_folder(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: no class folders, but a COCO annotation: {tmp_path}/train/_annotations.coco.json.\n"
        "  Expected: one folder per class, a table, or annotations given with --boxes\n"
        f"  Fix: add --boxes {tmp_path} to train on the classes and boxes of the annotations."
    )


def test_class_names_are_spelled_one_way(tmp_path: Path) -> None:
    make_files(tmp_path, unicodedata.normalize("NFD", "train/café/1"), "val/café/2")
    assert {item[1] for item in found(tmp_path)} == {"café"}


def test_folders_that_look_the_same_are_one_class_and_it_is_said(tmp_path: Path) -> None:
    make_files(tmp_path, "cat/1.jpg", "cat /2.jpg", "caf\u00e9/1.jpg", "cafe\u0301/2.jpg")
    assert [item[1] for item in found(tmp_path)] == ["café", "café", "cat", "cat"]
    assert read_folder(tmp_path).notices == (
        "Merged into one class, 'café': the folders 'cafe\\u0301' and 'caf\\xe9'.",
        "Merged into one class, 'cat': the folders 'cat' and 'cat '.",
    )


def test_hidden_folders_and_own_output_are_no_classes(tmp_path: Path) -> None:
    make_files(tmp_path, "cat/1", "dog/2", ".ipynb_checkpoints/3", f"run/{OUTPUT_MARKER}", "run/4.png")
    assert [item[1] for item in found(tmp_path)] == ["cat", "dog"]


def test_what_systems_leave_behind_is_no_class_and_is_counted(tmp_path: Path) -> None:
    make_files(
        tmp_path, "cat/1", "cat/@eaDir/1/a.jpg", "dog/1", "dog/@eaDir/1/a.jpg", "#recycle/1.jpg", "dog/Thumbs.db"
    )
    assert [item[1] for item in found(tmp_path)] == ["cat", "dog"]
    assert read_folder(tmp_path).notices == (
        "Skipped files of the operating system: 1 × #recycle, 2 × @eaDir, 1 × Thumbs.db.",
    )


def test_a_folder_of_thumbnails_is_no_class_if_its_files_are_small(tmp_path: Path) -> None:
    for name in ("cat/1.png", "dog/1.png", "thumbnails/1.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"x" * (100 if name.startswith("t") else 300))
    candidates = read_folder(tmp_path)
    assert [item.answer for item in candidates.items] == ["cat", "dog"]
    assert candidates.skipped == (SkippedFile(tmp_path / "thumbnails/1.png", "thumbnail of another file"),)
    assert candidates.notices == (f"1 × thumbnail of another file, skipped, e.g. {tmp_path}/thumbnails/1.png.",)
    (tmp_path / "thumbnails/1.png").write_bytes(b"x" * 200)
    assert [item[1] for item in found(tmp_path)] == ["cat", "dog", "thumbnails"]


def test_empty_folders_and_loose_images_are_told_of(tmp_path: Path) -> None:
    make_files(tmp_path, "cat/1", "loose.jpg", "README.md")
    for name in ("empty", "hollow/.keep", "none", "void"):
        (tmp_path / name).mkdir(parents=True)
    candidates = read_folder(tmp_path)
    assert candidates.notices == (
        "Not a class, because it has no readable image: empty, hollow, none and 1 more.",
        "Skipped images outside the class folders: loose.jpg.",
    )
    assert candidates.skipped == (SkippedFile(tmp_path / "loose.jpg", "not in a class folder"),)


def test_what_lies_beside_the_split_folders_is_told_of(tmp_path: Path) -> None:
    make_files(tmp_path, "train/cat/1", "train/loose.png", "extra/cat/2", "cover.jpg")
    candidates = read_folder(tmp_path)
    assert len(candidates.items) == 1
    assert candidates.notices == (
        "Skipped images outside the class folders: train/loose.png.",
        "Ignored beside the split folders: extra.",
        "Skipped images outside the class folders: cover.jpg.",
    )
    assert [item.path.name for item in candidates.skipped] == ["loose.png", "cover.jpg"]


def test_broken_links_and_pipes_are_skipped(tmp_path: Path) -> None:
    make_files(tmp_path, "cat/1")
    (tmp_path / "cat" / "2").symlink_to(tmp_path / "gone")
    os.mkfifo(tmp_path / "cat" / "3")
    assert read_folder(tmp_path).skipped == (
        SkippedFile(tmp_path / "cat" / "2", "a broken link"),
        SkippedFile(tmp_path / "cat" / "3", "not a regular file"),
    )


def test_links_to_folders_and_files_are_followed(tmp_path: Path) -> None:
    make_files(tmp_path, "store/1", "data/cat/2")
    (tmp_path / "data" / "dog").symlink_to(tmp_path / "store")
    (tmp_path / "data" / "cat" / "3").symlink_to(tmp_path / "store" / "1")
    (tmp_path / "data" / "cat" / "round").symlink_to(tmp_path / "data" / "cat")
    assert [item[2] for item in found(tmp_path / "data")] == ["cat/2", "cat/3", "dog/1"]


def test_two_folders_for_one_split_are_an_error(tmp_path: Path) -> None:
    make_files(tmp_path, "train/cat/1", "val/cat/2", "valid/cat/3")
    with pytest.raises(DataError) as caught:
        read_folder(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: val and valid both name the validation split.\n"
        "  Expected: one folder per split, named train or training, validation, valid, val or dev, test or testing\n"
        "  Fix: merge the two folders, or move one of them away."
    )


def test_a_split_folder_without_class_folders_is_an_error(tmp_path: Path) -> None:
    make_files(tmp_path, "train/1.jpg", "test/2.jpg")
    with pytest.raises(DataError) as caught:
        read_folder(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}/train: no class folders.\n"
        "  Expected: train/CLASS/images, one folder per class\n"
        "  Fix: sort the images into one folder per class, or list their classes in a table."
    )


def test_an_empty_split_folder_is_told_of(tmp_path: Path) -> None:
    make_files(tmp_path, "train/cat/1", "test/.keep")
    assert found(tmp_path) == [("train", "cat", "train/cat/1")]
    assert read_folder(tmp_path).notices == ("Skipped an empty folder: test.",)


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError) as caught:
        read_folder(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: the folder cannot be read (Permission denied).\n"
        "  Expected: a readable folder\n"
        "  Fix: change its permissions, or use another folder."
    )
