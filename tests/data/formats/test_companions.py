"""Annotations, masks and thumbnails beside images."""

from __future__ import annotations

from pathlib import Path

import pytest

from tlkit.data.formats.companions import COCO, LABELME, MASK, TABLE, THUMBNAIL, VOC, YOLO, find_companions


def find(root: Path, files: dict[str, str | bytes]) -> dict[str, str]:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    kinds = find_companions(root / name for name in files)
    return {path.relative_to(root).as_posix(): kind for path, kind in kinds.items()}


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("1.xml", '<?xml version="1.0"?>\n<annotation verified="yes">', VOC),
        ("1.XML", "<annotation>".encode("utf-16"), VOC),
        ("other.xml", "<html/>", None),
        ("1.txt", "0 0.5 0.5 0.1 0.1\n", YOLO),
        ("1.txt", "", YOLO),
        ("2.txt", "", None),
        ("notes.txt", "taken on 3 5 2021 in the garden", None),
        ("_annotations.coco.json", '{"info": {}, "images": [], "annotations": []}', COCO),
        ("result.json", '{"images": [{"file_name": "1.jpg"}' + 70_000 * " " + '], "annotations": []}', COCO),
        ("lvis.json", '{"categories": [' + 70_000 * " " + '], "images": [], "annotations": []}', COCO),
        ("notes.json", '{"categories": [{"id": 0, "name": "cat"}], "info": {"contributor": "Label Studio"}}', None),
        ("_annotations.csv", '"filename","xmin","ymin","xmax","ymax"\n', TABLE),
        ("boxes.tsv", "path\tx\ty\tw\th\n", TABLE),
        ("notes.csv", "path,hour\n", None),
        ("1.json", '{"version": "5.0", "shapes": []}', LABELME),
        ("package.json", "{}", None),
        ("1.thm", b"\xff\xd8\xff", THUMBNAIL),
        ("gone/1.xml", b"\xff\xfe", None),
    ],
)
def test_files_are_known_by_their_content(tmp_path: Path, name: str, content: str | bytes, kind: str | None) -> None:
    assert find(tmp_path, {"1.jpg": "", name: content}) == ({name: kind} if kind else {})


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("1.jpg", "1_mask.png"),
        ("benign (1).png", "benign (1)_mask_1.png"),
        ("1.PNG", "1-seg.png"),
        ("images/1.png", "masks/1.png"),
        ("images/1.jpg", "Masks/1_mask.png"),
        ("1.jpg", "mask/1.png"),
    ],
)
def test_a_mask_is_known_by_its_name_and_its_image(tmp_path: Path, image: str, mask: str) -> None:
    assert find(tmp_path, {image: "", mask: ""}) == {mask: MASK}


@pytest.mark.parametrize("name", ["2_mask.png", "masks/2.png", "mask.png", "unmasked.png", "1_masked.png"])
def test_a_name_alone_makes_no_mask(tmp_path: Path, name: str) -> None:
    assert find(tmp_path, {"1.jpg": "", name: ""}) == {}
