"""Tables with one row a box."""

from __future__ import annotations

from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from tlkit.data.boxes import Annotation, BoxLabel
from tlkit.data.formats.box_columns import find_box
from tlkit.data.formats.boxes import FoundBoxes, read_boxes
from tlkit.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("1.jpg", "2.jpg"):
        (tmp_path / name).touch()
    return tmp_path


def read(folder: Path, text: str) -> FoundBoxes:
    (folder / "boxes.csv").write_text(text)
    return read_boxes(folder / "boxes.csv", image_folder=folder)


@pytest.mark.parametrize(
    "names", ["xmin,ymin,xmax,ymax", "x_min,Y_min,x_max,y_max", "Left,Top,Right,Bottom", "X1,Y1,X2,Y2"]
)
def test_corners_are_found_by_name_and_width_and_height_are_the_pictures(folder: Path, names: str) -> None:
    found = read(folder, f"Filename,Width,height,Class,{names}\n1.jpg,64,48,cat,1,2,30.5,40\n")
    assert found == FoundBoxes(
        "table", (Annotation(folder / "1.jpg", (64, 48), (BoxLabel(1, 2, 30.5, 40, "cat"),)),), ()
    )


def test_columns_without_a_part_are_named(folder: Path) -> None:
    found = read(folder, "path,x1,y1,x2,y2,class,pose\n1.jpg,1,2,3,4,cat,left\n")
    assert [item.kind for item in found.complaints] == ["unused column in a table of boxes: pose"]


def test_a_column_of_splits_gives_the_images_splits(folder: Path) -> None:
    found = read(folder, "path,x1,y1,x2,y2,Subset\n1.jpg,1,2,3,4,VALID\n2.jpg,1,2,3,4,TRAIN\n2.jpg,5,6,7,8,\n")
    assert [(item.image.name, item.split) for item in found.annotations] == [
        ("1.jpg", "validation"),
        ("2.jpg", "train"),
    ]


@pytest.mark.parametrize("names", ["x,y,width,height", "X,Y,W,H", "bbox_x,bbox_y,bbox_width,bbox_height"])
def test_extents_are_found_by_name(folder: Path, names: str) -> None:
    found = read(folder, f"path,{names}\n1.jpg,1,2,30,40\n")
    assert found.annotations == (Annotation(folder / "1.jpg", None, (BoxLabel(1, 2, 31, 42),)),)


@pytest.mark.parametrize(
    ("header", "box"),
    [
        ("path,hour,YMAX,ymin,xmax,Xmin", ["Xmin", "ymin", "xmax", "YMAX"]),
        ("width,height,x_min,y_min,x_max,y_max", ["x_min", "y_min", "x_max", "y_max"]),
        ("left,top,right,bottom,x,y,w,h", ["left", "top", "right", "bottom"]),
        ("width,y,x,height,hour", ["x", "y", "width", "height"]),
        ("x,y,w,hour,H", ["x", "y", "w", "H"]),
        ("xmin,ymin,xmax,bottom", []),
        ("width,height", []),
        ("", []),
    ],
)
def test_the_columns_of_boxes_are_all_four_or_none(header: str, box: list[str]) -> None:
    assert find_box(header.split(",")) == box


@pytest.mark.parametrize("names", ["image_width,image_height", "img_width,img_height"])
def test_beside_extents_the_pictures_size_has_other_names(folder: Path, names: str) -> None:
    found = read(folder, f"path,x,y,width,height,{names}\n1.jpg,1,2,30,40,64,48\n")
    assert found.annotations == (Annotation(folder / "1.jpg", (64, 48), (BoxLabel(1, 2, 31, 42),)),)


def test_a_negative_extent_is_an_empty_box(folder: Path) -> None:
    assert read(folder, "path,x,y,w,h\n1.jpg,1,2,-3,4\n").annotations[0].boxes == (BoxLabel(1, 2, 1, 6),)


def test_several_rows_are_several_boxes_and_empty_cells_are_none(folder: Path) -> None:
    found = read(
        folder, "path;xmin;ymin;xmax;ymax\n1.jpg;1;2;3;4\n2.jpg;;;;\n1.jpg;5;6;7;8\n1.jpg;1;2;3;4\n1.jpg;;;;\n"
    )
    assert found.annotations == (
        Annotation(folder / "1.jpg", None, (BoxLabel(1, 2, 3, 4), BoxLabel(5, 6, 7, 8))),
        Annotation(folder / "2.jpg", None, ()),
    )
    assert [item.kind for item in found.complaints] == ["box identical to an earlier one; skipped"]


@pytest.mark.parametrize("cells", ["1,2,3,wide", "1,2,3,nan", "1,2,3,"])
def test_what_is_not_a_number_is_a_complaint(folder: Path, cells: str) -> None:
    found = read(folder, f"path,xmin,ymin,xmax,ymax\n1.jpg,{cells}\n1.jpg,5,6,7,8\n")
    assert found.annotations[0].boxes == (BoxLabel(5, 6, 7, 8),)
    assert [(item.kind, item.path) for item in found.complaints] == [
        ("row whose box is not four numbers; skipped", folder / "1.jpg")
    ]


def test_rows_that_differ_in_the_size_are_a_complaint(folder: Path) -> None:
    found = read(folder, "path,width,height,xmin,ymin,xmax,ymax\n1.jpg,64,48,1,2,3,4\n1.jpg,32,24,1,2,3,4\n")
    assert found.annotations == (Annotation(folder / "1.jpg", (64, 48), (BoxLabel(1, 2, 3, 4),)),)
    assert [item.kind for item in found.complaints] == [
        "image annotated again with another size; the later boxes are skipped"
    ]


def test_an_image_that_is_not_there_is_one_complaint(folder: Path) -> None:
    found = read(folder, "path,xmin,ymin,xmax,ymax\n3.jpg,1,2,3,4\n3.jpg,5,6,7,8\n1.jpg,1,2,3,4\n,1,2,3,4\n")
    assert [item.image.name for item in found.annotations] == ["1.jpg"]
    assert [item.kind for item in found.complaints] == ["image name that is missing; its rows are skipped"] * 2


def test_an_image_that_cannot_be_told_from_another_is_a_complaint(folder: Path) -> None:
    for name in ("a", "b"):
        (folder / name).mkdir()
        (folder / name / "3.jpg").touch()
    found = read(folder, "path,xmin,ymin,xmax,ymax\n3.jpg,1,2,3,4\nb/3.jpg,1,2,3,4\n")
    assert [item.image for item in found.annotations] == [folder / "b/3.jpg"]
    assert [item.kind for item in found.complaints] == ["image name that is ambiguous; its rows are skipped"]


def test_parquet_is_read(folder: Path) -> None:
    columns = {"path": ["1.jpg", "2.jpg"], "x1": [1.5, None], "y1": [2, None], "x2": [3, None], "y2": [4, None]}
    pyarrow.parquet.write_table(pyarrow.table(columns), folder / "boxes.parquet")
    found = read_boxes(folder / "boxes.parquet", image_folder=folder)
    assert [item.boxes for item in found.annotations] == [(BoxLabel(1.5, 2, 3, 4),), ()]


def error_of(folder: Path, text: str) -> str:
    with pytest.raises(DataError) as caught:
        read(folder, text)
    return str(caught.value)


def test_missing_columns_are_an_error(folder: Path) -> None:
    assert error_of(folder, "path,xmin,ymin,xmax\n1.jpg,1,2,3\n") == (
        f"{folder}/boxes.csv: no box columns among path, xmin, ymin, xmax.\n"
        "  Expected: columns named xmin, ymin, xmax, ymax or x_min, y_min, x_max, y_max or left, top, right, bottom or "
        "x1, y1, x2, y2 or x, y, width, height or x, y, w, h or bbox_x, bbox_y, bbox_width, bbox_height\n"
        "  Fix: rename the four columns in the first line."
    )
    assert error_of(folder, "url,xmin,ymin,xmax,ymax\n1.jpg,1,2,3,4\n") == (
        f"{folder}/boxes.csv: no image column among url, xmin, ymin, xmax, ymax.\n"
        "  Expected: a column named path, image_path, image, filepath, file_path, filename, file_name, file or "
        "image_name\n"
        "  Fix: rename the image column in the first line."
    )


def test_a_table_that_cannot_be_read_is_an_error(folder: Path) -> None:
    assert "line 2 has 2 cells" in error_of(folder, "path,xmin,ymin,xmax,ymax\n1.jpg,1\n")


def test_a_table_of_make_sense_is_read(folder: Path) -> None:
    header = "label_name,bbox_x,bbox_y,bbox_width,bbox_height,image_name,image_width,image_height"
    assert read(folder, f"{header}\ncat,1,2,30,40,1.jpg,64,48\n") == FoundBoxes(
        "table", (Annotation(folder / "1.jpg", (64, 48), (BoxLabel(1, 2, 31, 42, "cat"),)),), ()
    )
