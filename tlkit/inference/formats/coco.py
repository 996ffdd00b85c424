"""Write found objects as COCO: one JSON file with images, annotations and categories.

While it grows, the file is a line of JSON for each image, since COCO lists all images before, or after, all annotations.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any, BinaryIO

from tlkit.files import written_aside
from tlkit.reports.row_file import format_json_line, growing_file, write_line
from tlkit.tasks.predictions import Prediction
from tlkit.version import __version__


@contextmanager
def open_coco(path: Path, class_names: Sequence[str]) -> Iterator[CocoWriter]:
    """Yield a writer for predictions; the file appears at the end.

    Categories, images and annotations are numbered from 1. An annotation has a `score` and its box as x, y, width and
    height in pixels of the upright image. Images that could not be read stand in the additional list `errors`.

    Args:
        path: The file.
        class_names: All classes, in the order of their numbers.

    Raises:
        RunError: The file cannot be written; the images so far are kept, as COCO unless the process was killed.
    """
    with growing_file(path, functools.partial(_convert, tuple(class_names))) as file:
        yield CocoWriter(file, class_names)


class CocoWriter:
    """Adds images with their objects as lines, each as COCO has it but for its numbers."""

    def __init__(self, file: BinaryIO, class_names: Sequence[str]) -> None:
        self._file = file
        self._numbers = {name: number for number, name in enumerate(class_names, start=1)}

    def write(self, prediction: Prediction) -> None:
        """Add one image."""
        line: dict[str, Any]
        name = PurePath(prediction.path).as_posix() if "://" not in prediction.path else prediction.path
        if prediction.error or prediction.upright_size is None:
            line = {"error": {"file_name": name, "error": prediction.error}}
        else:
            height, width = prediction.upright_size
            image: dict[str, Any] = {"file_name": name, "width": width, "height": height}
            if prediction.distance is not None:
                image |= {"unknown": prediction.is_unknown, "distance": prediction.distance}
            annotations = [
                {"category_id": self._numbers[each.class_name], **_describe_box(each.box), "score": each.score}
                for each in prediction.objects or ()
            ]
            line = {"image": image, "annotations": annotations}
        write_line(self._file, format_json_line(line))


def _describe_box(box: Sequence[float]) -> dict[str, Any]:
    left, top, right, bottom = (round(edge, 2) for edge in box)
    width, height = round(right - left, 2), round(bottom - top, 2)
    return {"bbox": [left, top, width, height], "area": round(width * height, 2), "iscrowd": 0}


def _convert(class_names: Sequence[str], lines: Path, path: Path) -> None:
    """Write COCO from the lines."""
    categories = ({"id": number, "name": name} for number, name in enumerate(class_names, start=1))
    with written_aside(path) as file:
        file.write(b'{"info": ' + _format({"description": f"Objects found by tlkit {__version__}"}))
        _write_list(file, "categories", categories)
        _write_list(file, "images", _list_images(lines))
        _write_list(file, "annotations", _list_annotations(lines))
        _write_list(file, "errors", (line["error"] for line in _read(lines) if "error" in line))
        file.write(b"}\n")


def _list_images(lines: Path) -> Iterator[dict[str, Any]]:
    images = (line["image"] for line in _read(lines) if "image" in line)
    return ({"id": number, **image} for number, image in enumerate(images, start=1))


def _list_annotations(lines: Path) -> Iterator[dict[str, Any]]:
    images = (line["annotations"] for line in _read(lines) if "image" in line)
    annotations = ((image, each) for image, found in enumerate(images, start=1) for each in found)
    return (
        {"id": number, "image_id": image, **annotation}
        for number, (image, annotation) in enumerate(annotations, start=1)
    )


def _read(lines: Path) -> Iterator[dict[str, Any]]:
    with lines.open("rb") as file:
        yield from map(json.loads, file)


def _write_list(file: BinaryIO, name: str, values: Iterable[Any]) -> None:
    """Write a key with its list, one value a line."""
    file.write(f',\n"{name}": ['.encode())
    file.writelines((b",\n" if number else b"\n") + _format(value) for number, value in enumerate(values))
    file.write(b"]")


def _format(value: Any) -> bytes:
    return format_json_line(value).rstrip(b"\n")
