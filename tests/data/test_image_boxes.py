"""Which box an image teaches, and which class: one choice among sound, named boxes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tlkit.data.dataset import read_dataset, read_evaluation_set
from tlkit.data.file_index import FileIndex
from tlkit.data.manifest import Manifest
from tlkit.errors import DataError
from tlkit.outputs import DETECTION, TASKS, Box
from tlkit.recipes.settings import DataSettings

HINT = ("To find all objects of an image, add --task detection.",) if DETECTION in TASKS else ()
SIZE = (40, 30)
Row = tuple[str, Any, Any, Any, Any, str]


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Manifest]:
    """`read(rows)`: draw the images that rows (path, left, top, right, bottom, class) name, and read them with their boxes."""

    def read(
        rows: list[Row], *, data: str = "data", header: str = "path,xmin,ymin,xmax,ymax,class", **options: Any
    ) -> Manifest:
        for number, name in enumerate(dict.fromkeys(row[0] for row in rows)):
            path = tmp_path / "data" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", SIZE, (7 * number, 90, 200)).save(path)
        lines = [",".join(map(str, row)) for row in rows if row[1] != ""]
        (tmp_path / "boxes.csv").write_text("\n".join([header, *lines]))
        settings = DataSettings(boxes=str(tmp_path / "boxes.csv"), **options)
        return read_dataset(tmp_path / data, settings, seed=0, index=FileIndex(tmp_path / "cache"))

    return read


def make_rows(folder: str, box: Box, class_name: str, *, number: int = 4) -> list[Row]:
    return [(f"{folder}/{each}.png", *box, class_name) for each in range(number)]


def chosen(manifest: Manifest) -> dict[str, tuple[str, Box | None]]:
    return {item.path.relative_to(manifest.root).as_posix(): (item.answer, item.box) for item in manifest.records}


def test_an_image_gets_a_box_of_its_own_class_though_another_is_larger(read: Callable[..., Manifest]) -> None:
    rows = [
        *make_rows("cat", (1, 1, 9, 9), "Cat"),
        *make_rows("dog", (2, 2, 8, 8), "dog"),
        *make_rows("dog", (0, 0, 40, 30), "person"),
        *make_rows("dog", (3, 3, 4, 4), "dog"),
        *make_rows("dog", (3, 3, 30, 30), ""),
    ]
    manifest = read(rows)
    assert set(chosen(manifest).values()) == {("cat", (1, 1, 9, 9)), ("dog", (2, 2, 8, 8))}
    dog = manifest.root / "dog/0.png"
    assert manifest.notices == (
        "20 boxes on 8 images; 4 images have more than one; the largest of the image's own class is used.",
        *HINT,
        f"4 × box without a class although others have one; skipped, e.g. {dog}.",
        f"4 × box of another class than its image; skipped, e.g. {dog}.",
    )


def test_names_that_are_merely_alike_are_other_classes(read: Callable[..., Manifest]) -> None:
    rows = [
        *make_rows("C", (1, 1, 9, 9), "c"),
        *make_rows("go kart", (2, 2, 8, 8), "Go_Kart"),
        *make_rows("C", (0, 0, 40, 30), "C++"),
    ]
    assert set(chosen(read(rows)).values()) == {("C", (1, 1, 9, 9)), ("go kart", (2, 2, 8, 8))}


def test_an_image_whose_boxes_are_all_of_other_classes_has_none_and_is_counted(read: Callable[..., Manifest]) -> None:
    rows = [*make_rows("cat", (1, 1, 9, 9), "cat"), *make_rows("dog", (2, 2, 8, 8), "dog")]
    rows[0] = ("cat/0.png", 1, 1, 9, 9, "dog")
    manifest = read(rows)
    assert chosen(manifest)["cat/0.png"] == ("cat", None)
    assert manifest.notices == (
        "8 boxes on 8 images.",
        f"1 × image without a box of its own class; its boxes are skipped, e.g. {manifest.root}/cat/0.png.",
    )


def test_boxes_of_one_class_that_is_none_of_the_images_are_used_and_it_is_said(read: Callable[..., Manifest]) -> None:
    manifest = read([*make_rows("day", (1, 1, 9, 9), "raccoon"), *make_rows("night", (2, 2, 8, 8), "raccoon")])
    assert set(chosen(manifest).values()) == {("day", (1, 1, 9, 9)), ("night", (2, 2, 8, 8))}
    assert (
        manifest.notices[1] == "No box has a class of the images: the boxes have raccoon; the images have day, night."
    )


def test_folders_and_boxes_of_other_classes_are_an_error(tmp_path: Path, read: Callable[..., Manifest]) -> None:
    rows = [*make_rows("batch 1", (1, 1, 9, 9), "cat"), *make_rows("batch 2", (2, 2, 8, 8), "dog")]
    with pytest.raises(DataError) as caught:
        read(rows)
    assert str(caught.value) == (
        f"{tmp_path}/boxes.csv: the boxes have cat, dog, the image folders are batch 1, batch 2.\n"
        "  Expected: folders named after the classes of the boxes, or one folder called images\n"
        "  Fix: put the images into one folder called images to use the boxes' classes, or list the images' classes in "
        "a table."
    )


def test_folders_below_images_are_no_classes_where_the_boxes_name_others(read: Callable[..., Manifest]) -> None:
    rows = [*make_rows("images/2021", (1, 1, 9, 9), "cat"), *make_rows("images/2022", (2, 2, 8, 8), "dog")]
    manifest = read(rows)
    assert set(chosen(manifest).values()) == {("cat", (1, 1, 9, 9)), ("dog", (2, 2, 8, 8))}
    assert manifest.notices == (
        "8 boxes on 8 images.",
        "The boxes give the classes: the boxes have cat, dog, the image folders are 2021, 2022.",
    )


def test_class_folders_take_the_splits_of_lists_among_the_annotations(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for number in range(8):
        name = f"{('cat', 'dog')[number % 2]}/{number}"
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", SIZE, (20 * number, 90, 200)).save(root / f"{name}.png")
        (root / f"{name}.txt").write_text(f"{number % 2} 0.5 0.5 0.5 0.5")
        with (root / ("train.txt" if number < 4 else "val.txt")).open("a") as file:
            file.write(f"/content/{name}.png\n")
    (root / "classes.txt").write_text("cat\ndog\n")
    manifest = read_dataset(root, DataSettings(boxes=str(root)), seed=0, index=FileIndex(tmp_path / "cache"))
    assert {item.path.stem: item.split for item in manifest.records} == {
        str(number): "train" if number < 4 else "validation" for number in range(8)
    }
    assert manifest.notices == (
        "The splits come from the data: 4 train, 4 validation.",
        "8 boxes on 8 images.",
    )
    assert manifest.skipped == ()


def test_one_folder_and_boxes_of_another_name_are_an_error(read: Callable[..., Manifest]) -> None:
    with pytest.raises(DataError, match="the boxes have raccoon, the image folders are garden"):
        read(make_rows("garden", (1, 1, 9, 9), "raccoon"))


def test_class_and_box_come_from_the_same_sound_box(read: Callable[..., Manifest]) -> None:
    """Of the cats' larger boxes one lies outside the picture, one is 4 pixels wide in it, and one has no name."""
    rows = [*make_rows("images", (5, 5, 20, 20), "cat"), *[(f"images/d{n}.png", 2, 2, 8, 8, "dog") for n in range(4)]]
    rows += [
        ("images/0.png", 500, 500, 900, 900, "dog"),
        ("images/1.png", 36, 0, 400, 30, "dog"),
        ("images/2.png", 0, 0, 40, 30, ""),
    ]
    manifest = read(rows)
    assert set(chosen(manifest).values()) == {("cat", (5, 5, 20, 20)), ("dog", (2, 2, 8, 8))}
    images = manifest.root / "images"
    assert manifest.notices == (
        "10 boxes on 8 images; 2 images have more than one; the largest is used.",
        *HINT,
        f"1 × box entirely outside the image; skipped, e.g. {images}/0.png.",
        f"1 × box that extends beyond the image; clipped, e.g. {images}/1.png.",
        f"1 × image with boxes of several classes; the class of its largest box is used, e.g. {images}/1.png.",
        f"1 × box without a class although others have one; skipped, e.g. {images}/2.png.",
    )


def test_an_image_without_a_sound_named_box_is_skipped(read: Callable[..., Manifest]) -> None:
    rows = [
        *make_rows("images", (5, 5, 20, 20), "cat"),
        ("images/x.png", 50, 50, 60, 60, "dog"),
        ("images/y.png", 1, 1, 9, 9, ""),
    ]
    manifest = read(rows)
    assert manifest.class_names == ("cat",)
    assert [(item.path.name, item.reason) for item in manifest.skipped] == [
        ("x.png", "no valid box with a class"),
        ("y.png", "no valid box with a class"),
    ]


def test_boxes_in_fractions_are_recognized(read: Callable[..., Manifest]) -> None:
    rows = [*make_rows("photos/cat", (0.25, 0.5, 0.75, 1), "cat"), *make_rows("photos/dog", (0, 0, 0.5, 0.5), "dog")]
    manifest = read(rows)
    assert {box for _, box in chosen(manifest).values()} == {(10, 15, 30, 30), (0, 0, 20, 15)}
    assert manifest.class_names == ("cat", "dog")
    assert manifest.notices == (
        "8 boxes on 8 images.",
        "boxes.csv: the boxes are read as fractions of the image size, because no number is above 1.",
    )


def test_without_any_usable_box_nothing_is_trained(tmp_path: Path, read: Callable[..., Manifest]) -> None:
    rows = [*make_rows("cat", (50, 50, 60, 60), "cat"), *make_rows("dog", (5, 5, 5, 9), "dog")]
    with pytest.raises(DataError) as caught:
        read(rows)
    assert str(caught.value) == (
        f"{tmp_path}/boxes.csv: no image has a usable box. 4 × box entirely outside the image; skipped, e.g. "
        f"{tmp_path}/data/cat/0.png. 4 × box without width or height; skipped, e.g. {tmp_path}/data/dog/0.png.\n"
        "  Expected: boxes within the images, in pixels or in fractions of the image size\n"
        "  Fix: fix the boxes, or remove --boxes to train on classes only."
    )


def test_splits_of_annotated_folders_are_kept_in_training_and_evaluation(
    tmp_path: Path, read: Callable[..., Manifest]
) -> None:
    rows = [
        row
        for split in ("train", "valid", "test")
        for name in ("cat", "dog")
        for row in [(f"{split}/images/{name}{n}.png", 1, 1, 20 + n, 20, name) for n in range(3)]
    ]
    manifest = read(rows)
    assert {item.path.parts[-3]: item.split for item in manifest.records} == {
        "train": "train",
        "valid": "validation",
        "test": "test",
    }
    settings = DataSettings(boxes=str(tmp_path / "boxes.csv"))
    index = FileIndex(tmp_path / "cache")
    tested = read_evaluation_set(tmp_path / "data", settings, class_names=("cat", "dog"), index=index)
    assert {item.path.parts[-3] for item in tested.records} == {"test"}
    with pytest.raises(DataError, match="the model has no class 'dog'"):
        read_evaluation_set(tmp_path / "data", settings, class_names=("cat",), index=index)


def test_the_box_of_a_crowd_is_no_target_of_one_object(tmp_path: Path) -> None:
    for number in range(4):
        Image.new("RGB", SIZE, (7 * number, 90, 200)).save(tmp_path / f"{number}.png")
    images = [{"id": number, "file_name": f"{number}.png", "width": 40, "height": 30} for number in range(4)]
    boxes = [{"image_id": number, "category_id": 1, "bbox": [1, 1, 8, 8]} for number in range(4)]
    crowd = {"image_id": 0, "category_id": 1, "bbox": [0, 0, 40, 30], "iscrowd": 1}
    content = {"images": images, "annotations": [crowd, *boxes], "categories": [{"id": 1, "name": "cat"}]}
    (tmp_path / "boxes.json").write_text(json.dumps(content))
    settings = DataSettings(boxes=str(tmp_path / "boxes.json"))
    manifest = read_dataset(tmp_path, settings, seed=0, index=FileIndex(tmp_path / "cache"))
    assert set(chosen(manifest).values()) == {("cat", (1, 1, 9, 9))}
    assert manifest.notices[:2] == (
        "4 boxes on 4 images.",
        f"1 × annotation of a crowd; skipped, e.g. {tmp_path / 'boxes.json'}.",
    )
