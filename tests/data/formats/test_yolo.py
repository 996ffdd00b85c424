"""YOLO: text files of fractions, and the names of their classes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tlkit.data.boxes import Annotation, BoxLabel
from tlkit.data.formats import data_yaml
from tlkit.data.formats.boxes import FoundBoxes, read_boxes


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with images/1.jpg and a place for its labels."""
    root = tmp_path / "data"
    write(root / "images/1.jpg", "")
    return root


def write(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read_lines(root: Path, text: str | bytes) -> tuple[tuple[BoxLabel, ...], list[str]]:
    """Return the boxes and the kinds of complaint that a label file gives."""
    write(root / "labels/1.txt", text)
    found = read_boxes(root, image_folder=root)
    (annotation,) = found.annotations
    assert annotation.image == root / "images/1.jpg"
    return annotation.boxes, [complaint.kind for complaint in found.complaints]


def test_lines_are_boxes_in_fractions(root: Path) -> None:
    write(root / "labels/1.txt", "\ufeff0 0.5 0.5 0.5 0.25\r\n\n2\t0.25 0.25 0.5 0.5\n")
    assert read_boxes(root, image_folder=root) == FoundBoxes(
        "YOLO",
        (
            Annotation(
                root / "images/1.jpg",
                None,
                (BoxLabel(0.25, 0.375, 0.75, 0.625, "0"), BoxLabel(0, 0, 0.5, 0.5, "2")),
                in_fractions=True,
            ),
        ),
        (),
        ("data has no class names (data.yaml or classes.txt); classes are named by number.",),
    )


def test_an_empty_file_says_that_there_is_no_box(root: Path) -> None:
    assert read_lines(root, "") == ((), [])


@pytest.mark.parametrize("points", ["0.2 0.1 0.6 0.3 0.4 0.9", "0.2 0.1 0.6 0.1 0.6 0.9 0.2 0.9"])
def test_an_outline_gives_the_box_around_it(root: Path, points: str) -> None:
    assert read_lines(root, f"0 {points}") == ((BoxLabel(0.2, 0.1, 0.6, 0.9, "0"),), [])


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("0 0.5 0.5 0.5", "line that is neither a box nor a polygon; skipped"),
        ("0 0.5 0.5 0.5 0.5 0.5 0.5 0.5", "line that is neither a box nor a polygon; skipped"),
        ("0 0.5 0.5 0.5 wide", "line with a value that is not a number; skipped"),
        ("0 0.5 0.5 0.5 nan", "line with a value that is not a number; skipped"),
        ("cat 0.5 0.5 0.5 0.5", "line with a value that is not a number; skipped"),
        ("0.5 0.5 0.5 0.5 0.5", "line that does not start with a class number; skipped"),
        ("-1 0.5 0.5 0.5 0.5", "line that does not start with a class number; skipped"),
    ],
)
def test_a_bad_line_is_a_complaint_and_the_others_are_read(root: Path, line: str, kind: str) -> None:
    assert read_lines(root, f"{line}\n3 0.5 0.5 1 1\n") == ((BoxLabel(0, 0, 1, 1, "3"),), [kind])


def test_a_confidence_is_left_out_with_a_complaint(root: Path) -> None:
    assert read_lines(root, "0 0.5 0.5 1 1 0.97") == (
        (BoxLabel(0, 0, 1, 1, "0"),),
        ["line with a sixth column, perhaps a confidence; the column is ignored"],
    )


def test_a_negative_size_is_an_empty_box(root: Path) -> None:
    assert read_lines(root, "0 0.5 0.5 -1 1") == ((BoxLabel(0.5, 0, 0.5, 1, "0"),), [])


@pytest.mark.parametrize(
    "text",
    [
        "names: [cat, 'dog, big', \"bird\"]\n",
        "nc: 3\nnames: ['cat',\n  'dog, big',  # the second\n  bird,\n]\ntask: x\n",
        "names: {0: cat, 1: 'dog, big', '2': bird}",
        "names:\n- cat\n- 'dog, big'\n- bird\nnc: 3\n",
        "names:\n  - cat\n\n  # more\n  - dog, big\n  - bird\n",
        '"names":\n  0: cat\n  1: "dog, big"  # the second\n  2: bird\nsize: [1, 2]\n',
    ],
)
@pytest.mark.parametrize("place", ["data.yaml", "../data.yml", "labels/data.yaml"])
def test_class_names_are_read_from_data_yaml(root: Path, text: str, place: str) -> None:
    write(root / place, text)
    write(root / "labels/1.txt", "0 0.5 0.5 1 1\n1 0.5 0.5 1 1\n2 0.5 0.5 1 1\n")
    for path in (root / "labels", root):
        found = read_boxes(path, image_folder=root)
        assert [box.class_name for box in found.annotations[0].boxes] == ["cat", "dog, big", "bird"]
        assert found.complaints == ()


def test_an_apostrophe_within_a_name_is_a_letter(root: Path) -> None:
    write(root / "data.yaml", "names: [bird's nest, 'dog''s', x]")
    boxes, _ = read_lines(root, "0 0.5 0.5 1 1\n1 0.5 0.5 1 1\n2 0.5 0.5 1 1\n")
    assert [box.class_name for box in boxes] == ["bird's nest", "dog's", "x"]


def test_the_yaml_file_itself_may_be_named(root: Path) -> None:
    write(root / "labels/1.txt", "0 0.5 0.5 1 1")
    found = read_boxes(write(root / "coco8.yaml", "names: [cat]"), image_folder=root)
    assert found.annotations[0].boxes[0].class_name == "cat"


@pytest.mark.parametrize("place", ["classes.txt", "labels/classes.txt"])
def test_class_names_are_read_from_classes_txt(root: Path, place: str) -> None:
    write(root / place, "cat\n\ndog\n")
    labels = write(root / "labels/1.txt", "0 0.5 0.5 1 1\n2 0.5 0.5 1 1\n").parent
    for path in (labels, root):
        found = read_boxes(path, image_folder=root)
        assert [box.class_name for box in found.annotations[0].boxes] == ["cat", "dog"]
        assert found.complaints == ()


def test_an_unknown_class_is_a_complaint(root: Path) -> None:
    write(root / "data.yaml", "names: [cat]")
    assert read_lines(root, "1 0.5 0.5 1 1") == (
        (BoxLabel(0, 0, 1, 1),),
        ["line with an unknown class number; its box has no class"],
    )


@pytest.mark.parametrize(
    "text", ["nc: 3", "names:", "names: []", "names: x.txt", "names: [a", "names: {a: 0}", "names:\n  a:\n    b: c"]
)
def test_names_that_cannot_be_understood_are_a_complaint(root: Path, text: str) -> None:
    write(root / "data.yaml", text)
    assert read_lines(root, "1 0.5 0.5 1 1") == (
        (BoxLabel(0, 0, 1, 1, "1"),),
        ["file of class names without any; classes named by number"],
    )


def test_names_that_are_not_text_are_a_complaint(root: Path) -> None:
    write(root / "data.yaml", b"names: [\xff]")
    assert read_lines(root, "1 0.5 0.5 1 1")[1] == ["file of class names that is not UTF-8; classes named by number"]


@pytest.mark.parametrize(
    ("label", "image"),
    [
        ("labels/train/7.txt", "images/train/7.png"),
        ("train/labels/7.txt", "train/images/7.png"),
        ("labels/labels/7.txt", "labels/images/7.png"),
        ("train/7.txt", "train/7.png"),
        ("labels/train/7.txt", "elsewhere/train/7.png"),
        ("train/labels/7.txt", "elsewhere/train/7.png"),
    ],
)
def test_the_image_is_found_beside_its_labels(root: Path, label: str, image: str) -> None:
    write(root / image, "")
    write(root / "other/7.png", "")
    write(root / label, "0 0.5 0.5 1 1")
    assert [item.image for item in read_boxes(root, image_folder=root).annotations] == [root / image]


def test_what_is_no_file_is_a_complaint(root: Path) -> None:
    write(root / "labels/1.txt", "")
    os.mkfifo(root / "labels/2.txt")
    (complaint,) = read_boxes(root, image_folder=root).complaints
    assert (complaint.kind, complaint.path) == ("not a regular file; skipped", root / "labels/2.txt")


def test_other_text_files_are_no_labels(root: Path) -> None:
    write(root / "README.roboflow.txt", "hello")
    write(root / "classes.txt", "cat")
    assert read_lines(root, "0 0.5 0.5 1 1") == ((BoxLabel(0, 0, 1, 1, "cat"),), [])


def test_an_image_that_is_not_there_or_ambiguous_is_a_complaint(root: Path) -> None:
    write(root / "labels/gone.txt", "0 0.5 0.5 1 1")
    write(root / "images/1.png", "")
    write(root / "labels/1.txt", "0 0.5 0.5 1 1")
    write(root / "images/2.png", "")
    write(root / "labels/2.txt", "0 0.5 0.5 1 1")
    found = read_boxes(root, image_folder=root)
    assert [item.image.name for item in found.annotations] == ["2.png"]
    assert [(item.path.name, item.kind) for item in found.complaints] == [
        ("1.txt", "text file whose image is ambiguous; skipped"),
        ("gone.txt", "text file whose image is missing; skipped"),
    ]


def test_a_file_that_is_not_text_or_too_large_is_a_complaint(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_yaml, "MAX_TEXT_BYTES", 100)
    for name, content in (("2", b"\xff\xfe0"), ("3", b"0 0.5 0.5 1 1\n" * 10)):
        write(root / f"images/{name}.jpg", "")
        write(root / f"labels/{name}.txt", content)
    boxes, complaints = read_lines(root, "0 0.5 0.5 1 1")
    assert len(boxes) == 1
    assert complaints == ["text file that is not UTF-8; skipped"] * 2
