"""Found objects as a folder of PASCAL VOC annotations."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.inference.formats.test_coco import FOUND, draw_images, summarize
from tests.inference.formats.test_label_folder import list_files
from tlkit.data.formats.boxes import read_boxes
from tlkit.inference.formats.voc import open_voc
from tlkit.tasks.predictions import FoundObject, Prediction


def test_an_image_has_a_file_with_its_size_and_objects(tmp_path: Path) -> None:
    with open_voc(tmp_path, roots=["new"], warn=pytest.fail) as writer:
        writer.write(FOUND[-1])
    assert (tmp_path / "b" / "dog.xml").read_text("utf-8") == (
        "<?xml version='1.0' encoding='utf-8'?>\n"
        "<annotation>\n"
        "  <folder>b</folder>\n"
        "  <filename>dog.jpg</filename>\n"
        "  <size>\n"
        "    <width>20</width>\n"
        "    <height>30</height>\n"
        "    <depth>3</depth>\n"
        "  </size>\n"
        "  <object>\n"
        "    <name>cat</name>\n"
        "    <pose>Unspecified</pose>\n"
        "    <truncated>0</truncated>\n"
        "    <difficult>0</difficult>\n"
        "    <score>0.75</score>\n"
        "    <bndbox>\n"
        "      <xmin>1.0</xmin>\n"
        "      <ymin>2.0</ymin>\n"
        "      <xmax>3.0</xmax>\n"
        "      <ymax>4.0</ymax>\n"
        "    </bndbox>\n"
        "  </object>\n"
        "</annotation>\n"
    )


def test_the_reader_finds_every_box_and_the_images_without_any(tmp_path: Path) -> None:
    draw_images(tmp_path)
    with open_voc(tmp_path / "labels", roots=["new"], warn=pytest.fail) as writer:
        for prediction in FOUND:
            writer.write(prediction)
    assert list_files(tmp_path / "labels") == ["a/cat, the.xml", "b/cat.xml", "b/dog.xml", "errors.csv"]
    found = read_boxes(tmp_path / "labels", image_folder=tmp_path / "new")
    assert found.format_name == "PASCAL VOC"
    assert found.complaints == ()
    assert [summarize(annotation, tmp_path) for annotation in found.annotations] == [
        ("new/a/cat, the.jpg", (60, 40), [("dog's Größe", 1.23, 2.0, 30.12, 40.0), ("cat", 0.0, 0.0, 60.0, 40.0)]),
        ("new/b/cat.jpg", (20, 30), []),
        ("new/b/dog.jpg", (20, 30), [("cat", 1.0, 2.0, 3.0, 4.0)]),
    ]


@pytest.mark.parametrize("name", ["<a> & 'b'.jpg", "caf\udce9.jpg", "tab\tand\x01.jpg"])
def test_any_name_gives_valid_xml(tmp_path: Path, name: str) -> None:
    found = FoundObject("<cat> & \x02", 1.0, (0.0, 0.0, 1.0, 1.0))
    with open_voc(tmp_path, roots=["new"], warn=pytest.fail) as writer:
        writer.write(Prediction(f"new/{name}", objects=(found,), upright_size=(1, 1)))
    (path,) = tmp_path.glob("*.xml")
    root = ElementTree.parse(path).getroot()
    assert root.findtext("object/name") == "<cat> & \N{REPLACEMENT CHARACTER}"
