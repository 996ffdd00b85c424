"""Read boxes from a table with one row per box: the image's path, four columns for the box, optionally its class.

Several rows for one image are several boxes. Four empty cells mean that the image has no box.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Literal

from tlkit.data.boxes import Annotation, BoxLabel, Complaint, FindImage, parse_numbers, parse_size
from tlkit.data.formats.candidates import find_split
from tlkit.data.formats.column_names import IMAGE_COLUMNS, LABEL_COLUMNS, SPLIT_COLUMNS
from tlkit.data.formats.table_file import Table, open_table
from tlkit.data.sources import walk_files
from tlkit.errors import DataError
from tlkit.outputs import normalize_name

CORNER_COLUMNS = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("x_min", "y_min", "x_max", "y_max"),
    ("left", "top", "right", "bottom"),
    ("x1", "y1", "x2", "y2"),
)
EXTENT_COLUMNS = (
    ("x", "y", "width", "height"),
    ("x", "y", "w", "h"),
    ("bbox_x", "bbox_y", "bbox_width", "bbox_height"),
)
UNUSED_COLUMN = "unused column in a table of boxes: "
SIZE_COLUMNS = (("image_width", "image_height"), ("img_width", "img_height"), ("width", "height"))


@dataclass(frozen=True)
class _Columns:
    """The column names: image, the four of the box, and the optional ones."""

    image: str
    box: Sequence[str]
    has_extents: bool
    size: Sequence[str]
    label: str | None
    split: str | None


def read_box_tables(path: Path, find_image: FindImage) -> Iterator[Annotation | Complaint]:
    """Yield annotations from a table, or from all CSV and TSV files with boxes at any depth of a folder.

    Raises:
        DataError: A table cannot be read, or lacks a column.
    """
    if not path.is_dir():
        yield from read_box_columns(path, find_image)
        return
    for file in walk_files(path):
        if file.problem is None and file.path.suffix.lower() in (".csv", ".tsv"):
            yield from _read_if_boxes(file.path, find_image)


def _read_if_boxes(path: Path, find_image: FindImage) -> Iterator[Annotation | Complaint]:
    table = open_table(path)
    if find_box(table.header):
        yield from _read_table(table, find_image)
    else:
        yield Complaint("table without box columns; skipped", path)


def read_box_columns(path: Path, find_image: FindImage) -> Iterator[Annotation | Complaint]:
    """Yield one annotation per image of a table, in the order of first rows.

    Column names match whatever their case. With corner columns, `width` and `height` are the image size.

    Args:
        path: A `.csv`, `.tsv` or `.parquet` file, absolute.
        find_image: Called with the text of every image cell.

    Raises:
        DataError: The table cannot be read, or lacks a column.
    """
    yield from _read_table(open_table(path), find_image)


def _read_table(table: Table, find_image: FindImage) -> Iterator[Annotation | Complaint]:
    path = table.path
    columns = _find_columns(path, table.header)
    taken = {columns.image, *columns.box, *columns.size, columns.label, columns.split}
    yield from (Complaint(f"{UNUSED_COLUMN}{name}", path) for name in table.header if name not in taken)
    images = table.read_column(columns.image)
    places = zip(*map(table.read_column, columns.box), strict=True)
    sizes = zip(*map(table.read_column, columns.size), strict=True) if columns.size else repeat(("", ""), len(images))
    labels = table.read_column(columns.label) if columns.label else [""] * len(images)

    shape: Literal["corners", "extents"] = "extents" if columns.has_extents else "corners"
    splits = _read_splits(images, table.read_column(columns.split)) if columns.split else {}
    boxes: dict[tuple[str, tuple[int, int] | None], list[BoxLabel]] = {}
    for image, place, size, label in zip(images, places, sizes, labels, strict=True):
        boxes_of_image = boxes.setdefault((image, parse_size(*size)), [])
        if any(place):
            box = _parse_box(place, label, has_extents=columns.has_extents)
            if box is None:
                yield Complaint("row whose box is not four numbers; skipped", path.parent / image)
            else:
                boxes_of_image.append(box)
    for (image, stated), boxes_of_image in boxes.items():
        found = find_image(image, beside=[path.parent])
        if len(found) == 1:
            yield Annotation(found[0], stated, tuple(boxes_of_image), shape=shape, source=path, split=splits.get(image))
        else:
            what = "ambiguous" if found else "missing"
            yield Complaint(f"image name that is {what}; its rows are skipped", path.parent / image)


def _read_splits(images: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
    """Return the first split given for each image; unknown words mean none."""
    splits: dict[str, str] = {}
    for image, cell in zip(images, cells, strict=True):
        split = find_split(cell)
        if split:
            splits.setdefault(image, split)
    return splits


def _parse_box(place: Sequence[str], label: str, *, has_extents: bool) -> BoxLabel | None:
    numbers = parse_numbers(place)
    if numbers is None:
        return None
    left, top, right, bottom = numbers
    if has_extents:
        # A negative size means an empty box, not swapped edges.
        right, bottom = left + max(right, 0.0), top + max(bottom, 0.0)
    return BoxLabel(left, top, right, bottom, normalize_name(label))


def find_box(header: Sequence[str]) -> list[str]:
    """Return a table's four box columns; empty if it has none."""
    return next(filter(None, (_find(header, names) for names in (*CORNER_COLUMNS, *EXTENT_COLUMNS))), [])


def _find(header: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return the columns with these names, whatever their case; empty unless all exist."""
    by_lower_case = {name.lower(): name for name in header}
    return [by_lower_case[name] for name in names] if all(name in by_lower_case for name in names) else []


def _find_columns(path: Path, header: Sequence[str]) -> _Columns:
    box = find_box(header)
    if not box:
        raise DataError(
            f"{path}: no box columns among {', '.join(header)}.",
            expected=f"columns named {' or '.join(', '.join(names) for names in (*CORNER_COLUMNS, *EXTENT_COLUMNS))}",
            fix="rename the four columns in the first line.",
        )
    image = next(filter(None, (_find(header, [name]) for name in IMAGE_COLUMNS)), [])
    if not image:
        raise DataError(
            f"{path}: no image column among {', '.join(header)}.",
            expected=f"a column named {', '.join(IMAGE_COLUMNS[:-1])} or {IMAGE_COLUMNS[-1]}",
            fix="rename the image column in the first line.",
        )
    sizes = (_find(header, names) for names in SIZE_COLUMNS)
    size = next((names for names in sizes if names and names[0] not in box), [])
    label = next(filter(None, (_find(header, [name]) for name in LABEL_COLUMNS)), [])
    split = next(filter(None, (_find(header, [name]) for name in SPLIT_COLUMNS)), [])
    return _Columns(
        image[0],
        box,
        [name.lower() for name in box] in map(list, EXTENT_COLUMNS),
        size,
        label[0] if label else None,
        split[0] if split else None,
    )
