"""Metadata for prediction: table rows looked up by image path, and facts about the files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Protocol

from tlkit.data.formats.table_columns import find_image_column, read_metadata_columns
from tlkit.data.formats.table_file import open_table
from tlkit.data.formats.table_paths import PathFinder, fold_name, split_path
from tlkit.data.image_file import ImageFile
from tlkit.errors import DataError, SettingError
from tlkit.metadata.columns import IMAGE_FACTS, texts_of
from tlkit.metadata.encoding import MetadataEncoding
from tlkit.metadata.oddities import OddValues


class HasFacts(Protocol):
    """What is known about a valid image file."""

    @property
    def width(self) -> int:
        """Upright width in pixels, 1 or more."""

    @property
    def height(self) -> int:
        """Upright height in pixels, 1 or more."""

    @property
    def format(self) -> str:
        """Pillow's name of the format."""

    @property
    def mode(self) -> str:
        """Pillow's name of the mode."""

    @property
    def camera(self) -> str:
        """Make and model of the camera; empty if there are none."""


def describe_facts(facts: HasFacts, *, num_bytes: int) -> dict[str, str]:
    """Return all IMAGE_FACTS of a file as text."""
    width, height = facts.width, facts.height
    texts = {
        "image-width": str(width),
        "image-height": str(height),
        "image-aspect": f"{width / height:.4f}",
        "image-bytes": str(num_bytes),
        "image-shape": f"{width}x{height}",
        "image-format": facts.format,
        "image-mode": facts.mode,
        "image-camera": facts.camera,
    }
    return {name: texts[name] for name in IMAGE_FACTS}


class MetadataSource:
    """Looks up the metadata of image files.

    A row belongs to the file at its path, relative to the table's folder. If that file does not exist, the row belongs
    to the image with the same file name, provided that no other row or image has this name: cameras reuse names in
    every folder, so a name alone is weak evidence.

    Attributes:
        table_name: File name of the table, for messages.
        notices: Notices about the table, one sentence each.

    Args:
        encoding: The model's columns.
        table: A .csv, .tsv or .parquet file with a column of paths; needed only if the model takes more than facts
            about the image file.
        image_column: Its column of paths; None to detect it by name.
        images: All images to predict; if unknown beforehand, rows are not matched by file name.

    Raises:
        DataError: The table cannot be read, has no column of paths, or contradicts itself.
        SettingError: The table is missing, is not needed, or lacks one of the model's columns.
    """

    def __init__(
        self,
        encoding: MetadataEncoding,
        table: Path | None,
        *,
        image_column: str | None = None,
        images: Collection[Path] = (),
    ) -> None:
        self.table_name = table.name if table else ""
        self.notices: tuple[str, ...] = ()
        self._encoding = encoding
        self._odd = OddValues(encoding)
        columns = [name for name in encoding.names if name not in IMAGE_FACTS]
        _check_table(columns, table, image_column)
        self._takes_facts = len(columns) < len(encoding.columns)
        self._rows: dict[Path, dict[str, str]] | None = None
        self._by_name: dict[str, dict[str, str]] = {}
        if table is not None:
            self._read_table(table, image_column, images)

    def _read_table(self, path: Path, image_column: str | None, images: Collection[Path]) -> None:
        table = open_table(path)
        cells = table.read_column(find_image_column(table, image_column))
        requests = [request for request in self._encoding.requests if request.name not in IMAGE_FACTS]
        names = [request.name for request in requests]
        texts, notices = read_metadata_columns(table, requests)
        finder = PathFinder(table.path)
        self._rows = {}
        elsewhere: dict[str, dict[str, str]] = {}
        counts: Counter[str] = Counter()
        for number, (cell, values) in enumerate(zip(cells, texts, strict=True)):
            if not cell:
                continue
            row = dict(zip(names, values, strict=True))
            place = finder.find(cell)
            if place not in self._rows:
                name = fold_name(next(reversed(split_path(cell)), ""))
                counts[name] += 1
                if not os.path.lexists(place):
                    elsewhere[name] = row
            if self._rows.setdefault(place, row) != row:
                raise DataError(
                    f"{table.path}: {table.locate(number)} contradicts an earlier row for {cell}.",
                    expected=f"the same {', '.join(names)} in all rows of an image",
                    fix="fix or remove one of the rows.",
                )
        asked = Counter(fold_name(image.name) for image in images)
        self._by_name = {name: row for name, row in elsewhere.items() if counts[name] == 1 and asked[name] == 1}
        self.notices = (*table.notices, *notices, *finder.describe_readings())

    def find(self, path: Path, image: ImageFile) -> tuple[str, ...] | None:
        """Return the metadata of an image that has been read: see `look_up`.

        Args:
            path: The image.
            image: Its content.

        Raises:
            UnusableImage: The file cannot be decoded.
        """
        return self.look_up(
            path, describe_facts(image.facts, num_bytes=len(image.content)) if self._takes_facts else {}
        )

    def look_up(self, path: Path, facts: Mapping[str, str]) -> tuple[str, ...] | None:
        """Return an image's metadata as texts; None if the table has no row for it. Thread-safe.

        Args:
            path: The image.
            facts: Its IMAGE_FACTS, if the model takes any of them.
        """
        values = dict(facts)
        if self._rows is not None:
            place = Path(os.path.abspath(path))  # noqa: PTH100 - takes ".." away, which Path.absolute does not
            row = self._rows.get(place, self._by_name.get(fold_name(place.name)))
            if row is None:
                return None
            values.update(row)
        return texts_of(values, self._encoding.names)

    def count(self, texts: tuple[str, ...]) -> None:
        """Count what is odd about an image's metadata; call it once per image, in one thread."""
        self._odd.add(texts)

    def describe_odd_values(self) -> list[str]:
        """Return notices about counted values that training never saw, or that are invalid."""
        return self._odd.describe()


def _check_table(columns: Collection[str], table: Path | None, image_column: str | None) -> None:
    if columns and table is None:
        raise SettingError(
            f"the model also takes {', '.join(columns)}, but no table was given.",
            expected="a table with image paths and these columns",
            fix="add --table TABLE.",
        )
    if table is not None and not columns:
        raise SettingError(
            f"--table {table} has no effect: the model uses no table columns.",
            expected="a table only if the model was trained with --metadata columns of a table",
            fix="remove --table.",
        )
    if image_column and table is None:
        raise SettingError(
            f"--image-column {image_column} has no effect: there is no table.",
            expected="--image-column only with --table",
            fix="remove --image-column.",
        )
