"""The metadata of images to predict: the rows of a table, found by the images' paths, and facts of the files."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Collection
from pathlib import Path

from tlkit.data.formats.table_columns import find_image_column, read_metadata_columns
from tlkit.data.formats.table_file import open_table
from tlkit.data.formats.table_paths import PathFinder, fold_name, split_path
from tlkit.data.image_facts import read_image_facts
from tlkit.data.images import read_content, read_upright_size
from tlkit.errors import DataError, SettingError
from tlkit.metadata.columns import IMAGE_FACTS, texts_of
from tlkit.metadata.encoding import MetadataEncoding
from tlkit.metadata.oddities import OddValues


class MetadataSource:
    """Tells the metadata of image files.

    A row of the table belongs to the file at its path, counted from the table's folder. Where there is no such file, it
    belongs to the one image of its name, if no other row and no other image has that name: cameras number the photos of
    every folder anew, so a name alone says little.

    Attributes:
        table_name: Name of the table's file, for messages.
        notices: What there is to say of the table, one sentence each.

    Args:
        encoding: The model's columns.
        table: A .csv, .tsv or .parquet file with a column of paths; needed just where the model takes more than facts of
            the image file.
        image_column: Its column of paths; empty: found by its name.
        images: All images that will be asked for; where they are not known beforehand, no row goes by its name.

    Raises:
        DataError: The table cannot be read, has no column of paths, or contradicts itself.
        SettingError: The table is missing, is not needed, or lacks a column of the model's.
    """

    def __init__(
        self,
        encoding: MetadataEncoding,
        table: Path | None,
        *,
        image_column: str = "",
        images: Collection[Path] = (),
    ) -> None:
        self.table_name = table.name if table else ""
        self.notices: tuple[str, ...] = ()
        self._encoding = encoding
        self._odd = OddValues(encoding)
        self._odd_lock = threading.Lock()
        columns = [name for name in encoding.names if name not in IMAGE_FACTS]
        _check_table(columns, table, image_column)
        self._takes_facts = len(columns) < len(encoding.columns)
        self._rows: dict[Path, dict[str, str]] | None = None
        self._by_name: dict[str, dict[str, str]] = {}
        if table is not None:
            self._read_table(table, image_column, images)

    def _read_table(self, path: Path, image_column: str, images: Collection[Path]) -> None:
        table = open_table(path)
        cells = table.read_column(find_image_column(table, image_column))
        requests = [request for request in self._encoding.requests if request.name not in IMAGE_FACTS]
        names = [request.name for request in requests]
        texts, told = read_metadata_columns(table, requests)
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
                    f"{table.path}: {table.locate(number)} contradicts an earlier one of {cell}.",
                    expected=f"rows of one image that agree in {', '.join(names)}",
                    fix="fix or remove one of them.",
                )
        asked = Counter(fold_name(image.name) for image in images)
        self._by_name = {name: row for name, row in elsewhere.items() if counts[name] == 1 and asked[name] == 1}
        self.notices = (*table.notices, *told, *finder.describe_readings())

    def find(self, path: Path, *, counts: bool = True) -> tuple[str, ...] | None:
        """Return the texts of an image's columns; None if the table has no row for it. Any thread may ask.

        Args:
            path: The image.
            counts: Whether its values count as odd ones, if they are; for each image once.

        Raises:
            UnusableImage: The file gives no picture.
        """
        values: dict[str, str] = {}
        if self._rows is not None:
            place = Path(os.path.abspath(path))  # noqa: PTH100 - takes ".." away, which Path.absolute does not
            row = self._rows.get(place, self._by_name.get(fold_name(place.name)))
            if row is None:
                return None
            values.update(row)
        if self._takes_facts:
            content = read_content(path)
            height, width = read_upright_size(content)
            values.update(read_image_facts(content, width=width, height=height))
        texts = texts_of(values, self._encoding.names)
        if counts:
            with self._odd_lock:
                self._odd.add(texts)
        return texts

    def describe_odd_values(self) -> list[str]:
        """Return what there is to say of the values found so far that training never saw, or that are no values."""
        return self._odd.describe()


def _check_table(columns: Collection[str], table: Path | None, image_column: str) -> None:
    if columns and table is None:
        raise SettingError(
            f"the model takes {', '.join(columns)} beside the image, and no table was given.",
            expected="a table with the images' paths and these columns",
            fix="add --table TABLE.",
        )
    if table is not None and not columns:
        raise SettingError(
            f"--table {table} has no effect: the model takes nothing from a table.",
            expected="a table only where the model was trained with --metadata and columns of a table",
            fix="leave out --table.",
        )
    if image_column and table is None:
        raise SettingError(
            f"--image-column {image_column} has no effect: there is no table.",
            expected="the name of a column only with a table",
            fix="leave out --image-column.",
        )
