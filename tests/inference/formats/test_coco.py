"""Found objects as a COCO file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.faults.injector import try_every_fault
from tlkit.data.boxes import Annotation
from tlkit.data.formats.boxes import read_boxes
from tlkit.errors import RunError
from tlkit.inference.formats.coco import open_coco
from tlkit.reports.row_file import partial_path
from tlkit.tasks.predictions import FoundObject, Prediction

NAMES = ("cat", "dog's Größe")
FOUND = [
    Prediction(
        "new/a/cat, the.jpg",
        objects=(
            FoundObject("dog's Größe", 0.83, (1.234567, 2.0, 30.119, 40.0)),
            FoundObject("cat", 0.5, (0.0, 0.0, 60.0, 40.0)),
        ),
        upright_size=(40, 60),
        distance=0.25,
        is_unknown=True,
    ),
    Prediction("new/broken.jpg", error="truncated JPEG file"),
    Prediction("new/b/cat.jpg", objects=(), upright_size=(30, 20)),
    Prediction("new/b/dog.jpg", objects=(FoundObject("cat", 0.75, (1.0, 2.0, 3.0, 4.0)),), upright_size=(30, 20)),
]


def write(path: Path, predictions: Sequence[Prediction]) -> dict[str, Any]:
    with open_coco(path, NAMES) as writer:
        for prediction in predictions:
            writer.write(prediction)
    content: dict[str, Any] = json.loads(path.read_bytes())
    return content


def draw_images(folder: Path) -> None:
    for prediction in FOUND:
        if prediction.upright_size:
            path = folder / prediction.path
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", prediction.upright_size[::-1]).save(path)


def test_images_annotations_and_categories_are_numbered_from_one(tmp_path: Path) -> None:
    content = write(tmp_path / "boxes.json", FOUND)
    assert content["categories"] == [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog's Größe"}]
    assert content["images"] == [
        {"id": 1, "file_name": "new/a/cat, the.jpg", "width": 60, "height": 40, "unknown": True, "distance": 0.25},
        {"id": 2, "file_name": "new/b/cat.jpg", "width": 20, "height": 30},
        {"id": 3, "file_name": "new/b/dog.jpg", "width": 20, "height": 30},
    ]
    assert content["annotations"][0] == {
        "id": 1,
        "image_id": 1,
        "category_id": 2,
        "bbox": [1.23, 2.0, 28.89, 38.0],
        "area": 1097.82,
        "iscrowd": 0,
        "score": 0.83,
    }
    assert [(each["id"], each["image_id"]) for each in content["annotations"]] == [(1, 1), (2, 1), (3, 3)]
    assert content["errors"] == [{"file_name": "new/broken.jpg", "error": "truncated JPEG file"}]
    assert [entry.name for entry in tmp_path.iterdir()] == ["boxes.json"]


def test_the_reader_finds_every_box_and_the_images_without_any(tmp_path: Path) -> None:
    draw_images(tmp_path)
    write(tmp_path / "boxes.json", FOUND)
    found = read_boxes(tmp_path / "boxes.json", image_folder=tmp_path / "new")
    assert found.format_name == "COCO"
    assert found.complaints == ()
    assert [summarize(annotation, tmp_path) for annotation in found.annotations] == [
        ("new/a/cat, the.jpg", (60, 40), [("dog's Größe", 1.23, 2.0, 30.12, 40.0), ("cat", 0.0, 0.0, 60.0, 40.0)]),
        ("new/b/cat.jpg", (20, 30), []),
        ("new/b/dog.jpg", (20, 30), [("cat", 1.0, 2.0, 3.0, 4.0)]),
    ]


def summarize(annotation: Annotation, root: Path) -> tuple[str, tuple[int, int] | None, list[tuple[Any, ...]]]:
    boxes = [(box.class_name, *(round(edge, 6) for edge in box.corners)) for box in annotation.boxes]
    return annotation.image.relative_to(root).as_posix(), annotation.size, boxes


def test_no_images_are_a_file_without_images(tmp_path: Path) -> None:
    content = write(tmp_path / "boxes.json", [])
    assert (content["images"], content["annotations"], content["errors"]) == ([], [], [])
    assert len(content["categories"]) == 2


def interrupt(path: Path, error: BaseException) -> None:
    with open_coco(path, NAMES) as writer:
        writer.write(FOUND[0])
        raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("in the middle")])
def test_an_interruption_leaves_coco_with_the_images_so_far(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "boxes.json"
    path.write_text("earlier")
    with pytest.raises(type(error)):
        interrupt(path, error)
    assert path.read_text() == "earlier"
    content = json.loads(partial_path(path).read_bytes())
    assert [len(content[name]) for name in ("categories", "images", "annotations")] == [2, 1, 2]
    assert len(write(path, FOUND)["images"]) == 3
    assert not partial_path(path).exists()


def test_a_file_that_grows_has_a_whole_line_for_each_image(tmp_path: Path) -> None:
    path = tmp_path / "boxes.json"
    with open_coco(path, NAMES) as writer:
        for number, prediction in enumerate(FOUND, start=1):
            writer.write(prediction)
            assert len(list(map(json.loads, partial_path(path).read_bytes().splitlines()))) == number


def test_images_outlive_every_fault(tmp_path: Path) -> None:
    runs, complaints = try_every_fault("tests.faults.scenarios.coco", tmp_path / "disk")
    assert complaints == []
    assert runs >= 50


def test_a_file_name_that_is_no_utf8_is_written(tmp_path: Path) -> None:
    content = write(tmp_path / "boxes.json", [Prediction("caf\udce9.jpg", objects=(), upright_size=(1, 1))])
    assert content["images"][0]["file_name"] == "caf\udce9.jpg"


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError) as caught:
        write(tmp_path / "file" / "boxes.json", FOUND)
    assert str(caught.value) == (
        f"{tmp_path / 'file'}: File exists.\n"
        "  Expected: free disk space and a writable folder\n"
        "  Fix: fix this, and run the same command again."
    )
