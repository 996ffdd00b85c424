"""PASCAL VOC: a folder of XML files, hostile ones among them."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from tlkit.data.boxes import DIFFICULT, Annotation, BoxLabel
from tlkit.data.formats.boxes import FoundBoxes, read_boxes
from tlkit.data.formats.voc import MAX_XML_BYTES
from tlkit.errors import DataError

CAT = "<object><name>cat</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>30.5</xmax><ymax>40</ymax></bndbox></object>"
CAT_BOX = BoxLabel(1, 2, 30.5, 40, "cat")


def voc(*objects: str, filename: str = "1.jpg", size: str = "<width>64</width><height>48</height>") -> str:
    return f"<annotation><filename>{filename}</filename><size>{size}</size>{''.join(objects)}</annotation>"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with the images 1.jpg and sound.jpg, and a sound annotation of the latter."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("1.jpg", "sound.jpg"):
        (folder / name).touch()
    write(tmp_path, voc(CAT, filename="sound.jpg"), "sound.xml")
    return folder


def write(root: Path, content: str | bytes, name: str = "1.xml") -> Path:
    path = root / "xml" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(images: Path) -> FoundBoxes:
    return read_boxes(images.parent / "xml", image_folder=images)


def complaint_about(images: Path, content: str | bytes) -> str:
    """Return the kind of the only complaint about a file that gives no annotation beside the sound one."""
    path = write(images.parent, content)
    found = read(images)
    assert [item.image.name for item in found.annotations] == ["sound.jpg"]
    (complaint,) = found.complaints
    assert complaint.path == path
    return complaint.kind


def test_boxes_are_read_as_written_nothing_subtracted(images: Path) -> None:
    write(images.parent, "\ufeff" + voc(CAT, CAT.replace("cat", "dog"), CAT))
    found = read(images)
    assert found.format_name == "PASCAL VOC"
    assert found.annotations[0] == Annotation(images / "1.jpg", (64, 48), (CAT_BOX, BoxLabel(1, 2, 30.5, 40, "dog")))
    assert [item.kind for item in found.complaints] == ["box identical to an earlier one; skipped"]


@pytest.mark.parametrize(("text", "mark"), [("1", DIFFICULT), (" true ", DIFFICULT), ("0", ""), ("", "")])
def test_a_difficult_object_is_marked_and_a_truncated_one_is_not(images: Path, text: str, mark: str) -> None:
    element = CAT.replace("<name>", f"<truncated>1</truncated><difficult>{text}</difficult><name>")
    write(images.parent, voc(element))
    assert [box.mark for box in read(images).annotations[0].boxes] == [mark]


@pytest.mark.parametrize("size", ["", "<width>0</width><height>0</height>", "<width>a</width><height>1</height>"])
def test_a_size_may_lack(images: Path, size: str) -> None:
    write(images.parent, voc(size=size))
    assert read(images).annotations[0] == Annotation(images / "1.jpg", None, ())


@pytest.mark.parametrize(
    "filename", ["other.jpg", "", "%s", "1", "C:\\photos\\1.jpg", "/far/1.jpg", "x" * 5000, "a\tb"]
)
def test_the_image_is_found_by_the_names_that_there_are(images: Path, filename: str) -> None:
    write(images.parent, voc(CAT, filename=filename))
    assert read(images).annotations[0].image == images / "1.jpg"


@pytest.mark.parametrize(
    ("filename", "complaints"),
    [
        ("2.png", ["XML file whose <filename> names another image; the XML file's name is used"]),
        ("C:\\old\\2.png", ["XML file whose <filename> names another image; the XML file's name is used"]),
        ("gone.png", ["XML file whose <filename> names no image; the XML file's name is used"]),
        *((name, []) for name in ("1.jpg", "1", "1.png", "", "C:\\old\\1.jpg")),
    ],
)
def test_the_name_of_the_xml_comes_before_a_filename_from_before_a_renaming(
    images: Path, filename: str, complaints: list[str]
) -> None:
    (images / "2.png").touch()
    write(images.parent, voc(CAT, filename=filename))
    found = read(images)
    assert found.annotations[0].image == images / "1.jpg"
    assert [item.kind for item in found.complaints] == complaints


def test_the_filename_finds_the_image_of_an_xml_whose_own_name_is_none(images: Path) -> None:
    write(images.parent, voc(CAT, filename="1.jpg"), "annotation_1.xml")
    found = read(images)
    assert [item.image.name for item in found.annotations] == ["sound.jpg", "1.jpg"]
    assert found.complaints == ()


def test_the_filename_tells_images_of_one_name_apart(images: Path) -> None:
    for name in ("1.png", "a/7.jpg", "b/7.jpg"):
        (images / name).parent.mkdir(exist_ok=True)
        (images / name).touch()
    write(images.parent, voc(CAT, filename="1.png"))
    write(images.parent, voc(CAT, filename="7.jpg").replace("<size>", "<folder>b</folder><size>"), "7.xml")
    assert {item.image for item in read(images).annotations} >= {images / "1.png", images / "b/7.jpg"}


def test_a_filename_that_several_files_share_is_no_image_of_theirs(images: Path) -> None:
    """A converter has written one name into all of them; their own images are not there."""
    for name in ("7.xml", "8.xml"):
        write(images.parent, voc(CAT, filename="1.jpg"), name)
    found = read(images)
    assert [item.image.name for item in found.annotations] == ["sound.jpg"]
    shared = "XML file without an image of the same name, whose <filename> is also in other XML files; skipped"
    assert [item.kind for item in found.complaints] == [shared] * 2
    write(images.parent, voc(CAT, filename="1.jpg"))
    found = read(images)
    assert [item.image.name for item in found.annotations] == ["1.jpg", "sound.jpg"]
    borrowed = (
        "XML file without an image of the same name, whose <filename> names the image of another XML file; skipped"
    )
    assert [item.kind for item in found.complaints] == [borrowed] * 2


def test_image_sets_give_the_splits(images: Path) -> None:
    for name in ("2.jpg", "3.jpg"):
        (images / name).touch()
        write(images.parent, voc(CAT, filename=name), f"{Path(name).stem}.xml")
    write(images.parent, voc(CAT))
    lists = {"train": "1\n", "val": "2\n", "trainval": "1\n2\nsound\n", "test": "3\n", "cat_val": "1 -1\n3 1\n"}
    for name, text in lists.items():
        path = images.parent / f"ImageSets/Main/{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert {item.image.stem: item.split for item in read(images).annotations} == {
        "1": "train",
        "2": "validation",
        "3": "test",
        "sound": "train",
    }


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("a 1", "a 1"),
        ("a 1", "a 1 -1"),
        ("a.b", "a.b"),
        ("a b", "a b.JPG"),
        ("sub/1", "sub/1"),
        ("sub/1", "sub\\1"),
        ("sub/1", "1"),
    ],
)
def test_a_list_of_a_split_may_name_images_with_spaces_suffixes_and_folders(images: Path, name: str, line: str) -> None:
    flag = " 1" if line.endswith("-1") else ""
    path = images.parent / "ImageSets/Main/test.txt"
    path.parent.mkdir(parents=True)
    path.write_text(f"{line}\nsound{flag}\n")
    (images / f"{name}.jpg").parent.mkdir(exist_ok=True)
    (images / f"{name}.jpg").touch()
    (images.parent / f"{name}.xml").parent.mkdir(exist_ok=True)
    write(images.parent, voc(CAT), f"{name}.xml")
    assert {item.image: item.split for item in read(images).annotations}[images / f"{name}.jpg"] == "test"


def test_the_image_may_lie_beside_the_xml(images: Path) -> None:
    beside = write(images.parent, voc(CAT, filename="3.jpg"), "3.xml").with_name("3.jpg")
    beside.touch()
    assert beside in [item.image for item in read(images).annotations]


@pytest.mark.parametrize("filename", ["7.jpg", "stale.jpg"])
def test_folders_tell_images_of_one_name_apart(images: Path, filename: str) -> None:
    for folder in ("cat", "dog"):
        (images / "train" / folder).mkdir(parents=True)
        (images / "train" / folder / "7.jpg").touch()
    write(images.parent, voc(CAT, filename=filename), "dog/7.xml")
    assert images / "train/dog/7.jpg" in [item.image for item in read(images).annotations]


def test_an_image_that_cannot_be_told_from_another_is_a_complaint(images: Path) -> None:
    (images / "1.jpg").unlink()
    for folder in ("cat", "dog"):
        (images / folder).mkdir()
        (images / folder / "7.jpg").touch()
    assert complaint_about(images, voc(CAT, filename="7.jpg")) == "XML file whose image is ambiguous; skipped"


def test_an_image_that_is_not_there_is_a_complaint(images: Path) -> None:
    (images / "1.jpg").unlink()
    assert complaint_about(images, voc(CAT)) == "XML file whose image is missing; skipped"


@pytest.mark.parametrize(
    ("element", "kind"),
    [
        ("<object><name>cat</name></object>", "object without a box; skipped"),
        (CAT.replace("30.5", "wide"), "box whose corners are not numbers; skipped"),
        (CAT.replace("30.5", "nan"), "box whose corners are not numbers; skipped"),
        (CAT.replace("<xmin>1</xmin>", ""), "box whose corners are not numbers; skipped"),
    ],
)
def test_a_bad_object_is_a_complaint_and_the_others_are_read(images: Path, element: str, kind: str) -> None:
    write(images.parent, voc(element, CAT))
    found = read(images)
    assert found.annotations[0].boxes == (CAT_BOX,)
    assert [item.kind for item in found.complaints] == [kind]


def test_boxes_of_parts_are_not_boxes_of_objects(images: Path) -> None:
    write(images.parent, voc(CAT.replace("</object>", CAT.replace("object", "part") + "</object>")))
    assert read(images).annotations[0].boxes == (CAT_BOX,)


def test_two_files_of_one_image_are_joined(images: Path) -> None:
    write(images.parent, voc(CAT))
    write(images.parent, voc(CAT.replace("cat", "dog")), "second/1.xml")
    found = read(images)
    assert [box.class_name for box in found.annotations[0].boxes] == ["cat", "dog"]
    assert [item.kind for item in found.complaints] == ["image annotated more than once; boxes merged"]


def test_of_two_files_that_differ_in_the_size_the_first_holds(images: Path) -> None:
    write(images.parent, voc(CAT))
    write(images.parent, voc(CAT.replace("cat", "dog"), size=""), "second/1.xml")
    found = read(images)
    assert found.annotations[0].boxes == (CAT_BOX,)
    assert [item.kind for item in found.complaints] == [
        "image annotated again with another size; the later boxes are skipped"
    ]


LAUGHS = "".join(f'<!ENTITY l{n + 1} "{f"&l{n};" * 10}">' for n in range(9))
BOMB = f'<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY l0 "lol">{LAUGHS}]><annotation>&l9;</annotation>'
READER = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation><filename>&x;</filename></annotation>'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("text", [BOMB, READER])
def test_entities_are_refused(images: Path, text: str, encoding: str) -> None:
    assert complaint_about(images, text.encode(encoding)) == "XML file that has a DOCTYPE; skipped"


def test_no_encoding_hides_a_doctype(images: Path) -> None:
    hidden = b'<?xml version="1.0" encoding="cp037"?>' + READER.encode("cp037")
    assert complaint_about(images, hidden) == "XML file that is not in UTF-8; skipped"
    seven = b'<?xml version="1.0" encoding="utf-7"?>' + READER.replace("<", "+ADw-").encode()
    assert complaint_about(images, seven) == "XML file that is damaged; skipped"


def test_utf_16_is_read(images: Path) -> None:
    write(
        images.parent, ('<?xml version="1.0" encoding="utf-16"?>' + voc(CAT.replace("cat", "château"))).encode("utf-16")
    )
    assert read(images).annotations[0].boxes[0].class_name == "château"


@pytest.mark.parametrize("encoding", ["iso-8859-1", "windows-1252", "GBK", "Shift_JIS", "us-ascii"])
def test_the_encoding_that_a_file_declares_is_heeded(images: Path, encoding: str) -> None:
    name = {"GBK": "猫", "Shift_JIS": "ネコ", "us-ascii": "cat"}.get(encoding, "château")
    text = f'<?xml version="1.0" encoding="{encoding}"?>' + voc(CAT.replace("cat", name))
    write(images.parent, text.encode(encoding))
    assert read(images).annotations[0].boxes[0].class_name == name


def test_an_encoding_that_does_not_fit_is_a_complaint(images: Path) -> None:
    declared = b'<?xml version="1.0" encoding="%s"?>' + voc(CAT).encode() + b"\xff"
    assert complaint_about(images, declared.replace(b"%s", b"us-ascii")) == "XML file that is not in US-ASCII; skipped"
    assert (
        complaint_about(images, declared.replace(b"%s", b"iso-8859-99"))
        == "XML file that is not in ISO-8859-99; skipped"
    )


def test_a_large_file_is_refused(images: Path) -> None:
    padding = "<!--" + " " * MAX_XML_BYTES + "-->"
    assert complaint_about(images, voc(CAT, padding)) == "XML file that is larger than 4 MiB; skipped"


def test_a_deep_file_does_no_harm(images: Path) -> None:
    depth = 300_000
    write(images.parent, voc("<a>" * depth + "</a>" * depth, CAT))
    assert read(images).annotations[0].boxes == (CAT_BOX,)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (voc(CAT)[:-5], "XML file that is damaged; skipped"),
        ("", "XML file that is damaged; skipped"),
        (voc(CAT, "&undeclared;"), "XML file that is damaged; skipped"),
        ("a\0b", "XML file that is damaged; skipped"),
        ("<html/>", "XML file that is not a PASCAL VOC annotation; skipped"),
        (voc(CAT).encode() + b"\xff", "XML file that is not in UTF-8; skipped"),
    ],
)
def test_a_broken_file_is_a_complaint(images: Path, content: str | bytes, kind: str) -> None:
    assert complaint_about(images, content) == kind


def test_what_is_no_file_is_a_complaint(images: Path) -> None:
    (images.parent / "xml" / "1.xml").symlink_to("nowhere")
    os.mkfifo(images.parent / "xml" / "2.xml")
    assert [item.kind for item in read(images).complaints] == [
        "a broken link; skipped",
        "not a regular file; skipped",
    ]


def test_what_cannot_be_read_is_a_complaint(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(images.parent, voc(CAT))
    open_path = Path.open

    def open_or_fail(self: Path, *arguments: Any, **options: Any) -> Any:
        if self == path:
            raise PermissionError(errno.EACCES, "Permission denied")
        return open_path(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", open_or_fail)
    (complaint,) = read(images).complaints
    assert complaint.kind == "XML file that cannot be read (Permission denied); skipped"


def test_a_list_of_a_split_that_is_too_large_is_refused_and_not_cut(
    images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tlkit.data.formats.voc.MAX_LIST_BYTES", 10)
    path = images.parent / "ImageSets" / "train.txt"
    path.parent.mkdir()
    path.write_text("sound.jpg\n1.jpg\n")
    with pytest.raises(DataError) as caught:
        read(images)
    assert str(caught.value) == (
        f"{path}: the split list cannot be read: larger than 10 bytes.\n"
        "  Expected: a text file of at most 10 bytes, with one image per line\n"
        "  Fix: fix the file, or move it out of ImageSets."
    )
