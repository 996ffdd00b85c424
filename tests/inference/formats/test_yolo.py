"""Found objects as a folder of YOLO labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.inference.formats.test_coco import FOUND, NAMES, draw_images
from tests.inference.formats.test_label_folder import list_files
from tlkit.data.formats.boxes import read_boxes
from tlkit.inference.formats.yolo import open_yolo
from tlkit.tasks.predictions import FoundObject, Prediction


def write(folder: Path) -> None:
    with open_yolo(folder, NAMES, roots=["new"], warn=pytest.fail) as writer:
        for prediction in FOUND:
            writer.write(prediction)


def test_a_line_has_class_number_fractions_and_score(tmp_path: Path) -> None:
    write(tmp_path / "labels")
    assert list_files(tmp_path / "labels") == ["a/cat, the.txt", "b/cat.txt", "b/dog.txt", "classes.txt", "errors.csv"]
    assert (tmp_path / "labels" / "a" / "cat, the.txt").read_text().splitlines() == [
        "1 0.261280 0.525000 0.481407 0.950000 0.83",
        "0 0.500000 0.500000 1.000000 1.000000 0.5",
    ]
    assert (tmp_path / "labels" / "b" / "cat.txt").read_text() == ""
    assert (tmp_path / "labels" / "classes.txt").read_text("utf-8").splitlines() == list(NAMES)


def test_the_reader_finds_every_box_and_the_images_without_any(tmp_path: Path) -> None:
    draw_images(tmp_path)
    write(tmp_path / "labels")
    found = read_boxes(tmp_path / "labels", image_folder=tmp_path / "new")
    assert found.format_name == "YOLO"
    assert {complaint.kind for complaint in found.complaints} == {
        "line with a sixth column, perhaps a confidence; the column is ignored"
    }
    written = {prediction.path: prediction for prediction in FOUND if prediction.upright_size}
    assert {annotation.image.relative_to(tmp_path).as_posix() for annotation in found.annotations} == set(written)
    for annotation in found.annotations:
        prediction = written[annotation.image.relative_to(tmp_path).as_posix()]
        height, width = prediction.upright_size or (0, 0)
        assert [box.class_name for box in annotation.boxes] == [each.class_name for each in prediction.objects or ()]
        for box, each in zip(annotation.boxes, prediction.objects or (), strict=True):
            in_pixels = [edge * size for edge, size in zip(box.corners, (width, height) * 2, strict=True)]
            assert in_pixels == pytest.approx(each.box, abs=1e-4)


def test_an_image_called_like_the_file_of_names_does_not_replace_it(tmp_path: Path) -> None:
    warnings: list[str] = []
    with open_yolo(tmp_path, NAMES, roots=["new"], warn=warnings.append) as writer:
        writer.write(
            Prediction("new/classes.jpg", objects=(FoundObject("cat", 1.0, (0, 0, 1, 1)),), upright_size=(1, 1))
        )
    assert list_files(tmp_path) == ["classes-2.txt", "classes.txt"]
    assert (tmp_path / "classes.txt").read_text("utf-8").splitlines() == list(NAMES)
    assert warnings == ["new/classes.jpg: classes.txt is taken, so its labels are in classes-2.txt."]
