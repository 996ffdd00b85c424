"""Annotated images without class folders: the layouts that tools export, and the splits that they give."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tlkit.data.formats.annotated import read_annotated
from tlkit.data.formats.boxes import read_boxes
from tlkit.data.formats.candidates import Candidates
from tlkit.data.manifest import SkippedFile
from tlkit.errors import DataError

VOC = "<annotation><object><name>cat</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>9</xmax><ymax>8</ymax></bndbox></object></annotation>"
GIVEN = "The splits come from the data: 1 train, 1 validation, 1 test."


def write(root: Path, **files: str) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def coco(*names: str) -> str:
    images = [{"id": number, "file_name": name} for number, name in enumerate(names)]
    boxes = [{"image_id": number, "category_id": 7, "bbox": [1, 2, 3, 4]} for number in range(len(names))]
    return json.dumps({"images": images, "annotations": boxes, "categories": [{"id": 7, "name": "cat"}]})


def read(root: Path, source: str = ".") -> Candidates:
    found = read_boxes(root / source, image_folder=root)
    return read_annotated(root, {item.image: item for item in found.annotations}, source=root / source)


def splits_of(found: Candidates) -> dict[str, str | None]:
    return {item.path.relative_to(found.root).as_posix(): item.split for item in found.items}


@pytest.mark.parametrize("valid", ["valid", "val", "Validation", "dev"])
@pytest.mark.parametrize(
    "layout", ["{split}/images/{n}.jpg {split}/labels/{n}.txt", "images/{split}/{n}.jpg labels/{split}/{n}.txt"]
)
def test_both_layouts_of_yolo_give_their_splits(tmp_path: Path, layout: str, valid: str) -> None:
    image, label = layout.split()
    names = {"train": "train", valid: "validation", "testing": "test"}
    for n, split in enumerate(names):
        write(tmp_path, **{image.format(split=split, n=n): "", label.format(split=split, n=n): "0 0.5 0.5 0.5 0.5"})
    found = read(tmp_path)
    assert splits_of(found) == {image.format(split=split, n=n): names[split] for n, split in enumerate(names)}
    assert (found.skipped, found.notices) == ((), (GIVEN,))


def test_files_of_the_same_name_in_all_splits_are_told_apart(tmp_path: Path) -> None:
    for split in ("train", "val"):
        write(tmp_path, **{f"images/{split}/1.jpg": "", f"annotations/instances_{split}2017.json": coco("1.jpg")})
    assert splits_of(read(tmp_path, "annotations")) == {"images/train/1.jpg": "train", "images/val/1.jpg": "validation"}


def test_coco_voc_and_tables_beside_the_images_of_each_split_are_read(tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        write(tmp_path / "coco", **{f"{split}/1.jpg": "", f"{split}/_annotations.coco.json": coco("1.jpg")})
        write(tmp_path / "voc", **{f"{split}/1.jpg": "", f"{split}/1.xml": VOC})
        table = f"filename,width,height,class,xmin,ymin,xmax,ymax\n{split}.jpg,64,48,cat,1,2,9,8\n"
        write(
            tmp_path / "table",
            **{f"{split}/1.jpg": "", f"{split}/_annotations.csv": table.replace(f"{split}.jpg", "1.jpg")},
        )
    for root in (tmp_path / "coco", tmp_path / "voc", tmp_path / "table"):
        found = read(root)
        assert splits_of(found) == {"test/1.jpg": "test", "train/1.jpg": "train", "valid/1.jpg": "validation"}
        assert found.notices == (GIVEN,)


def test_tables_without_boxes_are_left_out_of_a_folder(tmp_path: Path) -> None:
    write(
        tmp_path,
        **{"1.jpg": "", "a/boxes.tsv": "path\tx\ty\tw\th\n1.jpg\t1\t2\t3\t4\n", "a/notes.csv": "path,hour\n1.jpg,7\n"},
    )
    found = read_boxes(tmp_path / "a", image_folder=tmp_path)
    assert [box.corners for box in found.annotations[0].boxes] == [(1, 2, 4, 6)]
    assert [(item.kind, item.path.name) for item in found.complaints] == [
        ("table without box columns; skipped", "notes.csv")
    ]


def test_masks_beside_annotated_images_are_skipped_as_such(tmp_path: Path) -> None:
    write(
        tmp_path,
        **{
            "JPEGImages/1.jpg": "",
            "SegmentationClass/1.png": "",
            "Annotations/1.xml": VOC.replace("<object>", "<filename>1.jpg</filename><object>", 1),
        },
    )
    found = read(tmp_path, "Annotations")
    assert splits_of(found) == {"JPEGImages/1.jpg": None}
    assert found.skipped == (SkippedFile(tmp_path / "SegmentationClass/1.png", "mask of an image"),)


@pytest.mark.parametrize("names", ["{}_annotations.json", "{}.json", "annotations/{}/boxes.json"])
def test_the_annotations_path_gives_the_split_where_the_images_path_gives_none(tmp_path: Path, names: str) -> None:
    files = {
        "images/1.jpg": "",
        "images/2.jpg": "",
        names.format("train"): coco("1.jpg"),
        names.format("val"): coco("2.jpg"),
    }
    write(tmp_path, **files)
    assert splits_of(read(tmp_path)) == {"images/1.jpg": "train", "images/2.jpg": "validation"}


def test_a_name_that_all_annotations_share_divides_nothing(tmp_path: Path) -> None:
    write(tmp_path, **{"images/1.jpg": "", "images/2.jpg": "", "test.json": coco("1.jpg", "2.jpg")})
    assert splits_of(read(tmp_path, "test.json")) == {"images/1.jpg": None, "images/2.jpg": None}


@pytest.mark.parametrize("lists", [False, True])
def test_data_yaml_gives_splits_that_no_folder_names(tmp_path: Path, lists: bool) -> None:
    for folder in ("a", "b", "c"):
        write(tmp_path, **{f"images/{folder}/1.jpg": "", f"labels/{folder}/1.txt": "0 0.5 0.5 0.5 0.5"})
    entries = {"train": "images/a", "val": "images/b", "test": "images/c"}
    if lists:
        write(tmp_path, **{f"{split}.txt": f"./{folder}/1.jpg\n" for split, folder in entries.items()})
        entries = {split: f"{split}.txt" for split in entries}
    write(
        tmp_path, **{"data.yaml": "".join(f"{split}: {entry}\n" for split, entry in entries.items()) + "names: [cat]\n"}
    )
    for source in (".", "data.yaml", "labels"):
        found = read(tmp_path, source)
        assert splits_of(found) == {"images/a/1.jpg": "train", "images/b/1.jpg": "validation", "images/c/1.jpg": "test"}
        assert found.notices == (GIVEN,)


def test_lists_beside_the_labels_give_splits_without_a_data_yaml(tmp_path: Path) -> None:
    """As CVAT exports them."""
    write(
        tmp_path,
        **{"train.txt": "data/obj_train_data/1.jpg\n", "valid.txt": "data/obj_train_data/2.jpg\n", "obj.names": "cat"},
    )
    write(tmp_path, **{f"obj_train_data/{n}.{suffix}": "0 0.5 0.5 1 1" for n in (1, 2) for suffix in ("jpg", "txt")})
    found = read_boxes(tmp_path, image_folder=tmp_path)
    assert {(item.image.name, item.split, item.boxes[0].class_name) for item in found.annotations} == {
        ("1.jpg", "train", "cat"),
        ("2.jpg", "validation", "cat"),
    }
    assert found.complaints == ()


def test_one_folder_named_for_two_splits_counts_for_the_first(tmp_path: Path) -> None:
    write(
        tmp_path,
        **{
            "images/1.jpg": "",
            "labels/1.txt": "0 0.5 0.5 1 1",
            "data.yaml": "train: images\nval: images\nnames: [cat]",
        },
    )
    found = read_boxes(tmp_path, image_folder=tmp_path)
    assert found.annotations[0].split == "train"
    assert [item.kind for item in found.complaints] == ["list of validation images identical to train; skipped"]


def test_an_image_in_two_lists_is_kept_out_of_training_with_a_complaint(tmp_path: Path) -> None:
    write(tmp_path, **{f"images/{name}.jpg": "" for name in ("1", "val/2")})
    write(tmp_path, **{f"labels/{name}.txt": "0 0.5 0.5 1 1" for name in ("1", "val/2")})
    write(tmp_path, **{"data.yaml": "train: images\nval: images/val\ntest: images/gone\nnames: [cat]"})
    found = read_boxes(tmp_path, image_folder=tmp_path)
    assert [(item.image.name, item.split) for item in found.annotations] == [
        ("1.jpg", "train"),
        ("2.jpg", "validation"),
    ]
    assert [(item.kind, item.path) for item in found.complaints] == [
        ("data.yaml entry that does not exist; skipped", tmp_path / "images/gone"),
        ("image listed for train and validation; used for validation", tmp_path / "images/val/2.jpg"),
    ]


def test_a_list_counts_more_than_a_folder_and_it_is_said(tmp_path: Path) -> None:
    write(tmp_path, **{f"images/{name}.jpg": "" for name in ("train/1", "train/2")})
    write(tmp_path, **{f"labels/{name}.txt": "0 0.5 0.5 1 1" for name in ("train/1", "train/2")})
    write(tmp_path, **{"data.yaml": "train: train.txt\ntest: test.txt", "train.txt": "1.jpg", "test.txt": "2.jpg"})
    found = read(tmp_path)
    assert splits_of(found) == {"images/train/1.jpg": "train", "images/train/2.jpg": "test"}
    assert found.notices == (
        "The splits come from the data: 1 train, 1 test.",
        "1 × image whose folder and list in the annotations give different splits; the list is used, e.g. "
        f"{tmp_path}/images/train/2.jpg (test).",
    )


def test_images_without_annotation_or_split_are_skipped(tmp_path: Path) -> None:
    write(tmp_path, **{f"{name}.jpg": "" for name in ("train/1", "extra/2", "train/3")})
    write(tmp_path, **{f"{name}.xml": VOC for name in ("train/1", "extra/2")})
    found = read(tmp_path)
    assert splits_of(found) == {"train/1.jpg": "train"}
    assert found.skipped == (
        SkippedFile(tmp_path / "extra/2.jpg", "not in any split"),
        SkippedFile(tmp_path / "train/3.jpg", "no annotation names it"),
    )


def test_annotated_images_outside_the_folder_are_counted(tmp_path: Path) -> None:
    write(tmp_path, **{"data/1.jpg": "", "elsewhere/2.jpg": "", "data/boxes.json": coco("1.jpg", "../elsewhere/2.jpg")})
    found = read(tmp_path / "data", "boxes.json")
    assert splits_of(found) == {"1.jpg": None}
    assert found.notices == (f"1 × annotated image outside {tmp_path}/data; skipped, e.g. {tmp_path}/elsewhere/2.jpg.",)


def test_folders_that_name_two_splits_are_an_error(tmp_path: Path) -> None:
    write(tmp_path, **{"train/test/1.jpg": "", "train/test/1.xml": VOC})
    with pytest.raises(DataError) as caught:
        read(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}/train/test/1.jpg: its folders name both the train and the test split.\n"
        "  Expected: folders that name at most one split\n"
        "  Fix: move the image, or rename one of the folders."
    )


def test_of_several_formats_one_is_read_and_it_is_said(tmp_path: Path) -> None:
    write(
        tmp_path,
        **{"1.jpg": "", "1.xml": VOC, "1.txt": "0 0.5 0.5 1 1", "coco.json": coco("1.jpg"), "notes.json": "{}"},
    )
    found = read_boxes(tmp_path, image_folder=tmp_path)
    assert found.format_name == "PASCAL VOC"
    assert found.remarks == (f"{tmp_path} has PASCAL VOC and COCO and YOLO annotations; only PASCAL VOC is read.",)
    write(tmp_path, **{"2.jpg": "", "2.txt": "0 0.5 0.5 1 1"})
    assert read_boxes(tmp_path, image_folder=tmp_path).format_name == "COCO"
