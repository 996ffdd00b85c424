"""COCO: one JSON file of images, annotations and categories."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tlkit.data.boxes import CROWD, Annotation, BoxLabel
from tlkit.data.formats import coco
from tlkit.data.formats.boxes import FoundBoxes, read_boxes
from tlkit.errors import DataError

CATEGORIES = [{"id": 1, "name": "cat"}, {"id": 7, "name": "dog"}]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    for name in ("1.jpg", "photos/2.jpg"):
        (tmp_path / name).touch()
    return tmp_path


def image(key: object, file_name: object, width: object = 64, height: object = 48) -> dict[str, Any]:
    return {"id": key, "file_name": file_name, "width": width, "height": height}


def annotation(image_id: object, bbox: object = (1, 2, 3.5, 4), **more: Any) -> dict[str, Any]:
    return {"id": 1, "image_id": image_id, "category_id": 1, "bbox": bbox, "iscrowd": 0, **more}


def read(folder: Path, images: list[Any], annotations: list[Any], categories: list[Any] | None = None) -> FoundBoxes:
    categories = CATEGORIES if categories is None else categories
    content: dict[str, Any] = {"info": {}, "images": images, "annotations": annotations, "categories": categories}
    (folder / "boxes.json").write_text(json.dumps(content))
    return read_boxes(folder / "boxes.json", image_folder=folder)


def kinds(found: FoundBoxes) -> list[str]:
    return [complaint.kind for complaint in found.complaints]


def test_boxes_go_to_their_images(folder: Path) -> None:
    images = [image(5, "1.jpg"), image("b", "photos/2.jpg", 10, 20), image(6, "photos/2.jpg", 10, 20)]
    found = read(folder, images[:2], [annotation(5), annotation("b", category_id=7), annotation(5, [0, 0, 2, 2])])
    assert found == FoundBoxes(
        "COCO",
        (
            Annotation(folder / "1.jpg", (64, 48), (BoxLabel(1, 2, 4.5, 6, "cat"), BoxLabel(0, 0, 2, 2, "cat"))),
            Annotation(folder / "photos/2.jpg", (10, 20), (BoxLabel(1, 2, 4.5, 6, "dog"),)),
        ),
        (),
    )


def test_an_image_without_annotations_has_no_box(folder: Path) -> None:
    assert read(folder, [image(5, "1.jpg", None, 0)], []).annotations == (Annotation(folder / "1.jpg", None, ()),)


def test_a_negative_size_is_an_empty_box(folder: Path) -> None:
    found = read(folder, [image(5, "1.jpg")], [annotation(5, [10, 20, -3, -4])])
    assert found.annotations[0].boxes == (BoxLabel(10, 20, 10, 20, "cat"),)


@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        (annotation(99), "annotation of an unknown image id; skipped"),
        (annotation(["a"]), "annotation of an unknown image id; skipped"),
        (annotation(5, None), "annotation whose bbox is not four numbers; skipped"),
        (annotation(5, [1, 2, 3]), "annotation whose bbox is not four numbers; skipped"),
        (annotation(5, [1, 2, 3, "wide"]), "annotation whose bbox is not four numbers; skipped"),
        (annotation(5, [1, 2, 3, float("nan")]), "annotation whose bbox is not four numbers; skipped"),
        ("text", "annotation that is not an object; skipped"),
    ],
)
def test_a_bad_annotation_is_a_complaint_and_the_others_are_read(folder: Path, entry: object, kind: str) -> None:
    found = read(folder, [image(5, "1.jpg")], [entry, annotation(5)])
    assert found.annotations[0].boxes == (BoxLabel(1, 2, 4.5, 6, "cat"),)
    assert kinds(found) == [kind]


@pytest.mark.parametrize("crowd", [1, "1"])
def test_the_box_of_a_crowd_is_marked_and_needs_no_outline(folder: Path, crowd: object) -> None:
    mask = {"counts": "abc", "size": [48, 64]}
    found = read(folder, [image(5, "1.jpg")], [annotation(5, iscrowd=crowd, segmentation=mask), annotation(5)])
    assert found.annotations[0].boxes == (BoxLabel(1, 2, 4.5, 6, "cat", CROWD), BoxLabel(1, 2, 4.5, 6, "cat"))
    assert kinds(found) == []
    found = read(folder, [image(5, "1.jpg")], [annotation(5, None, iscrowd=crowd, segmentation=mask)])
    assert kinds(found) == ["annotation whose bbox is not four numbers; skipped"]


@pytest.mark.parametrize("category", [99, None, {}])
def test_a_box_of_an_unknown_category_has_no_class(folder: Path, category: object) -> None:
    found = read(folder, [image(5, "1.jpg")], [annotation(5, category_id=category)])
    assert found.annotations[0].boxes == (BoxLabel(1, 2, 4.5, 6),)
    assert kinds(found) == ["annotation of an unknown category id; its box has no class"]


def test_repeated_boxes_ids_and_images_are_complaints(folder: Path) -> None:
    images = [image(5, "1.jpg"), image(5, "photos/2.jpg"), image(6, "1.jpg")]
    found = read(folder, images, [annotation(5), annotation(5), annotation(6)], [*CATEGORIES, {"id": 1, "name": "x"}])
    assert found.annotations == (Annotation(folder / "1.jpg", (64, 48), (BoxLabel(1, 2, 4.5, 6, "cat"),)),)
    assert kinds(found) == [
        "image with a duplicate id; skipped",
        "category with a duplicate id; skipped",
        "box identical to an earlier one; skipped",
        "image annotated more than once; boxes merged",
        "box identical to an earlier one; skipped",
    ]


def test_entries_without_an_id_are_complaints(folder: Path) -> None:
    found = read(folder, [image(5, "1.jpg"), 3, image(None, "1.jpg")], [], [{"name": "x"}])
    assert kinds(found) == ["image without an id; skipped"] * 2 + ["category without an id; skipped"]


@pytest.mark.parametrize("name", ["gone.jpg", 3, None, "", "../..", "a\0b", "x" * 5000])
def test_an_image_that_is_not_there_is_a_complaint(folder: Path, name: object) -> None:
    assert kinds(read(folder, [image(5, "1.jpg"), image(6, name)], [])) == [
        "image entry whose file is missing; skipped"
    ]


def error_of(folder: Path, content: bytes) -> str:
    (folder / "boxes.json").write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_boxes(folder / "boxes.json", image_folder=folder)
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "Expecting value: line 1 column 1 (char 0)"),
        (b'{"images": [', "Expecting value: line 1 column 13 (char 12)"),
        (b"[]", "not a JSON object"),
        (b"{}", "no list of images"),
        (b'{"images": [], "annotations": {}}', "no list of annotations"),
        (b'{"images": [], "annotations": [], "categories": 1}', "categories is not a list"),
    ],
)
def test_malformed_json_is_an_error(folder: Path, content: bytes, reason: str) -> None:
    assert error_of(folder, content) == (
        f"{folder}/boxes.json: the annotations cannot be read ({reason}).\n"
        '  Expected: a COCO file: a JSON object with the lists "images", "annotations" and "categories"\n'
        "  Fix: export the annotations again as COCO, or as PASCAL VOC, YOLO or a table."
    )


@pytest.mark.parametrize(
    "content",
    [b"[" * 200_000, b'{"images": ' + b"9" * 5000 + b"}", b'{"images": "\xff"}'],
    ids=["deep", "long", "bytes"],
)
def test_hostile_json_is_an_error(folder: Path, content: bytes) -> None:
    assert "the annotations cannot be read" in error_of(folder, content)


def test_a_gigantic_file_is_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coco, "MAX_JSON_BYTES", 10)
    assert "the annotations cannot be read (larger than 1 GiB)" in error_of(folder, b'{"images": []}')
