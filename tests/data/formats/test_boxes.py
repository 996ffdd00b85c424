"""Which format a path is in, and where the images are that annotations name."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from tlkit.data.formats.boxes import ImageFinder, read_boxes
from tlkit.errors import DataError

EXPECTED = (
    "  Expected: a folder of .xml files (PASCAL VOC), .json files (COCO) or .txt files (YOLO), a .json file, a "
    "data.yaml, or a table (.csv, .tsv, .parquet)\n"
    "  Fix: use the folder or the file with the boxes."
)


def make_files(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def error_of(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_boxes(path, image_folder=path.parent)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "path", "format_name"),
    [
        ("a/b/1.XML", "<annotation/>", "a", "PASCAL VOC"),
        ("a/1.txt", "", "a", "YOLO"),
        ("a/1.txt", "", "a/data.yaml", "YOLO"),
        ("b.JSON", '{"images": [{"id": 1, "file_name": "1.jpg"}], "annotations": []}', "b.JSON", "COCO"),
        ("b.tsv", "path\tx1\ty1\tx2\ty2\n1.jpg\t1\t2\t3\t4\n", "b.tsv", "table"),
    ],
)
def test_every_format_is_recognized(tmp_path: Path, name: str, content: str, path: str, format_name: str) -> None:
    make_files(tmp_path, "1.jpg", "a/data.yaml", name)
    (tmp_path / name).write_text(content)
    found = read_boxes(tmp_path / path, image_folder=tmp_path)
    assert found.format_name == format_name
    assert [item.image for item in found.annotations] == [tmp_path / "1.jpg"]


def test_xml_comes_before_text(tmp_path: Path) -> None:
    make_files(tmp_path, "1.jpg", "voc/ImageSets/train.txt", "voc/Annotations/1.xml")
    (tmp_path / "voc/Annotations/1.xml").write_text("<annotation/>")
    assert read_boxes(tmp_path / "voc", image_folder=tmp_path).format_name == "PASCAL VOC"


def test_relative_paths_give_absolute_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_files(tmp_path, "data/1.jpg", "data/1.txt", "other/x")
    monkeypatch.chdir(tmp_path / "other")
    found = read_boxes(Path("../data"), image_folder=Path("../data"))
    assert [item.image for item in found.annotations] == [tmp_path / "data/1.jpg"]


def test_what_is_in_no_known_format_is_an_error(tmp_path: Path) -> None:
    make_files(tmp_path, "1.jpg", "boxes.xlsx", "1.xml", "a/readme.txt")
    assert error_of(tmp_path / "gone") == f"{tmp_path}/gone: no such file or folder.\n{EXPECTED}"
    assert error_of(tmp_path / "gone.csv") == f"{tmp_path}/gone.csv: no such file or folder.\n{EXPECTED}"
    for name in ("boxes.xlsx", "1.xml"):
        assert error_of(tmp_path / name) == f"{tmp_path}/{name}: not in a box format that tlkit reads.\n{EXPECTED}"
    found = "the folder has no annotations as XML, JSON, text files or tables"
    assert error_of(tmp_path / "a") == f"{tmp_path}/a: {found}.\n{EXPECTED}"


def test_annotations_of_other_images_are_an_error(tmp_path: Path) -> None:
    make_files(tmp_path, "labels/1.txt")
    assert error_of(tmp_path / "labels") == (
        f"{tmp_path}/labels: read as YOLO, it has no annotations of images in {tmp_path} "
        f"(1 × text file whose image is missing; skipped; e.g. {tmp_path}/labels/1.txt).\n"
        "  Expected: annotations of images in that folder\n"
        "  Fix: check that the annotations and the images belong together."
    )


def test_an_image_in_the_folder_comes_before_one_beside(tmp_path: Path) -> None:
    make_files(tmp_path, "beside/1.jpg", "beside/2.jpg", "images/deep/1.jpg")
    find = ImageFinder(tmp_path / "images").find
    assert find("1.jpg", beside=[tmp_path / "beside"]) == [tmp_path / "images/deep/1.jpg"]
    assert find("2.jpg", beside=[tmp_path / "beside"]) == [tmp_path / "beside/2.jpg"]
    assert find("1.jpg", beside=[tmp_path / "images/deep"]) == [tmp_path / "images/deep/1.jpg"]


def test_an_image_beside_comes_before_others_in_the_folder(tmp_path: Path) -> None:
    make_files(tmp_path, "1.jpg", "a/1.jpg", "b/1.jpg")
    assert ImageFinder(tmp_path).find("1.jpg", beside=[tmp_path / "b"]) == [tmp_path / "b/1.jpg"]


def test_the_last_folders_of_a_foreign_path_tell_images_apart(tmp_path: Path) -> None:
    make_files(tmp_path, "x/a/1.jpg", "x/b/1.jpg", "y/b/1.jpg")
    find = ImageFinder(tmp_path).find
    assert find("/home/me/x/b/1.jpg", beside=[]) == [tmp_path / "x/b/1.jpg"]
    assert find("C:\\me\\b\\1.jpg", beside=[]) == [tmp_path / "x/b/1.jpg", tmp_path / "y/b/1.jpg"]
    make_files(tmp_path, "b/1.jpg")
    assert find("1.jpg", beside=[], under="b") == [tmp_path / "b/1.jpg"]
    assert find("1.jpg", beside=[], under="x/a") == [tmp_path / "x/a/1.jpg"]
    assert find("/home/me/c/2.jpg", beside=[]) == []


def test_a_name_without_its_suffix_means_images_only(tmp_path: Path) -> None:
    make_files(tmp_path, "v1.2.jpg", "v1.2.xml", "3.png", "3.JPG")
    find = ImageFinder(tmp_path).find
    assert find("v1.2", beside=[tmp_path], any_suffix=True) == [tmp_path / "v1.2.jpg"]
    assert find("v1.2", beside=[tmp_path]) == []
    assert find("3", beside=[], any_suffix=True) == [tmp_path / "3.JPG", tmp_path / "3.png"]


def test_names_spelled_on_a_mac_are_found(tmp_path: Path) -> None:
    name = unicodedata.normalize("NFD", "château.jpg")
    make_files(tmp_path, f"a/{name}")
    find = ImageFinder(tmp_path).find
    assert find("château.jpg", beside=[tmp_path / "a"]) == find("château.jpg", beside=[]) == [tmp_path / "a" / name]


def test_names_whose_case_windows_did_not_heed_are_found(tmp_path: Path) -> None:
    make_files(tmp_path, "Photos/IMG_1.JPG", "Photos/a.jpg", "Photos/A.jpg")
    find = ImageFinder(tmp_path).find
    assert find("photos\\img_1.jpg", beside=[]) == find("Img_1.jpg", beside=[tmp_path / "Photos"])
    assert find("photos/img_1.jpg", beside=[]) == [tmp_path / "Photos/IMG_1.JPG"]
    assert find("img_1", beside=[tmp_path / "Photos"], any_suffix=True) == [tmp_path / "Photos/IMG_1.JPG"]
    assert find("A.jpg", beside=[]) == [tmp_path / "Photos/A.jpg"]
    assert find("a", beside=[tmp_path / "Photos"], any_suffix=True) == [tmp_path / "Photos/a.jpg"]


@pytest.mark.parametrize("name", ["", ".", "/", "..", "../..", "a\0b", "a\0b/c", "x" * 5000])
def test_strange_names_find_nothing(tmp_path: Path, name: str) -> None:
    make_files(tmp_path, "1.jpg")
    assert ImageFinder(tmp_path).find(name, beside=[tmp_path / "gone"]) == []
