"""The metadata of images to predict: the rows of a table, found by the images' paths, and facts of the files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tlkit.data.formats.table import find_image_column, open_table, read_metadata_columns
from tlkit.data.image_facts import read_image_facts
from tlkit.data.images import read_content, read_upright_size
from tlkit.errors import DataError, SettingError
from tlkit.metadata.columns import IMAGE_FACTS, texts_of


class MetadataSource:
    """Tells the metadata of image files.

    A row of the table belongs to the file at its path, counted from the table's folder; or, where no row has that path,
    to the one of its name, if just one row has it.

    Attributes:
        table_name: Name of the table's file, for messages.

    Args:
        names: The model's columns, in order.
        table: A .csv, .tsv or .parquet file with a column of paths; needed just where the model takes more than facts of
            the image file.
        image_column: Its column of paths; empty: found by its name.

    Raises:
        DataError: The table cannot be read, has no column of paths, or contradicts itself.
        SettingError: The table is missing, is not needed, or lacks a column of the model's.
    """

    def __init__(self, names: Sequence[str], table: Path | None, *, image_column: str = "") -> None:
        self.table_name = table.name if table else ""
        self._names = tuple(names)
        columns = [name for name in names if name not in IMAGE_FACTS]
        _check_table(columns, table, image_column)
        self._takes_facts = len(columns) < len(self._names)
        self._rows: dict[Path, dict[str, str]] | None = None
        self._by_name: dict[str, dict[str, str]] = {}
        if table is not None:
            self._read_table(table, columns, image_column)

    def _read_table(self, table: Path, columns: Sequence[str], image_column: str) -> None:
        path, opened = open_table(table)
        images = opened.read_column(find_image_column(path, opened, image_column))
        rows = [dict(zip(columns, row, strict=True)) for row in read_metadata_columns(path, opened, columns)]
        self._rows = {}
        for number, (image, row) in enumerate(zip(images, rows, strict=True), start=1):
            if image and self._rows.setdefault(Path(os.path.normpath(path.parent / image)), row) != row:
                raise DataError(
                    f"{path}: row {number} contradicts an earlier one of {image}.",
                    expected=f"rows of one image that agree in {', '.join(columns)}",
                    fix="mend or remove one of them.",
                )
        counts = Counter(place.name for place in self._rows)
        self._by_name = {place.name: row for place, row in self._rows.items() if counts[place.name] == 1}

    def find(self, path: Path) -> tuple[str, ...] | None:
        """Return the texts of an image's columns; None if the table has no row for it.

        Raises:
            UnusableImage: The file gives no picture.
        """
        values: dict[str, str] = {}
        if self._rows is not None:
            place = Path(os.path.abspath(path))  # noqa: PTH100 - takes ".." away, which Path.absolute does not
            row = self._rows.get(place, self._by_name.get(place.name))
            if row is None:
                return None
            values.update(row)
        if self._takes_facts:
            content = read_content(path)
            height, width = read_upright_size(content)
            values.update(read_image_facts(content, width=width, height=height))
        return texts_of(values, self._names)


def _check_table(columns: Sequence[str], table: Path | None, image_column: str) -> None:
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
