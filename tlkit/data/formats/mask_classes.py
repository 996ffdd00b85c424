"""Names of the values in masks, from a table beside them: a list of names, or rows of names with numbers or colours."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tlkit.errors import DataError
from tlkit.outputs import MAX_CLASS_NAME_LENGTH, normalize_name
from tlkit.untrusted import is_clean_text

TABLES = (
    "classes.txt",
    "class_names.txt",
    "labels.txt",
    "labelmap.txt",
    "classes.csv",
    "_classes.csv",
    "class_dict.csv",
)
MAX_TABLE_BYTES = 2**20
_BACKGROUND = frozenset({"background", "bg", "_background_", "backgrounds", "nothing"})
_IGNORED = frozenset(
    {
        "ignore",
        "ignored",
        "__ignore__",
        "_ignore_",
        "void",
        "unlabeled",
        "unlabelled",
        "unknown",
        "ambiguous",
        "dontcare",
    }
)
_NUMBERED = re.compile(r"(\d{1,3})\s*[:,;\t ]\s*(\S.*)")
_COLOURED = re.compile(r"([^:]+):(\d{1,3}),(\d{1,3}),(\d{1,3})(?::.*)?")
_VALUE_COLUMNS = frozenset({"value", "pixel value", "index", "id", "label", "class id", "class_id", "number"})
_NAME_COLUMNS = frozenset({"name", "class", "class name", "class_name", "classname"})


@dataclass(frozen=True)
class ClassTable:
    """The meanings of values.

    Args:
        source: The table's file.
        by_value: The class of each number or colour (`#ff0000`); an empty name is background, None pixels to ignore.
    """

    source: Path
    by_value: Mapping[str, str | None]

    @property
    def has_colours(self) -> bool:
        """Whether the table lists colours, not numbers."""
        return any(key.startswith("#") for key in self.by_value)


def find_class_table(folder: Path) -> ClassTable | None:
    """Return the table in the folder of the masks, or in the folder above it; None if there is none.

    Raises:
        DataError: There is one that cannot be read.
    """
    for place in (folder, folder.parent):
        for name in TABLES:
            if (place / name).is_file():
                return read_class_table(place / name)
    return None


def read_class_table(path: Path) -> ClassTable:
    """Read a table of class names.

    A text file lists one name per line. The first is number 0 if it is called background, else 1; lines may also begin
    with their number, or be `name:r,g,b` as CVAT writes them. A CSV file has a column `name` and either `r`, `g` and `b`
    or a column of numbers.

    Raises:
        DataError: The file cannot be read, or lists no names.
    """
    try:
        if path.stat().st_size > MAX_TABLE_BYTES:
            raise ValueError("larger than 1 MiB")
        text = path.read_bytes().decode("utf-8-sig")
        rows = _read_csv(text) if path.suffix.lower() == ".csv" else _read_lines(text)
        by_value = _check(rows)
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(
            f"{path}: the names of classes cannot be read ({error}).",
            expected="one name per line, or rows of name,r,g,b or name,value below such a header",
            fix="correct the file, or remove it to have classes named by number.",
        ) from error
    return ClassTable(path, by_value)


def find_role(name: str) -> str | None:
    """Return what a name in a table or a file means: itself, an empty text for background, or None for ignored."""
    folded = name.strip().casefold()
    if folded.replace("'", "").replace(" ", "") in _IGNORED:
        return None
    return "" if folded in _BACKGROUND else normalize_name(name.strip())


def write_colour(red: int, green: int, blue: int) -> str:
    """Return the name of a colour, 0..255 each.

    Examples:
        >>> write_colour(255, 0, 16)
        '#ff0010'
    """
    return f"#{red:02x}{green:02x}{blue:02x}"


def _check(rows: Iterable[tuple[str, str]]) -> dict[str, str | None]:
    by_value: dict[str, str | None] = {}
    for value, name in rows:
        role = find_role(name)
        if role and not is_clean_text(role, max_length=MAX_CLASS_NAME_LENGTH):
            raise ValueError(f"{name[:40]!r} cannot be a class name")
        if value in by_value:
            raise ValueError(f"{value} stands twice")
        by_value[value] = role
    if not by_value:
        raise ValueError("no names")
    return by_value


def _read_lines(text: str) -> list[tuple[str, str]]:
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    coloured = [_COLOURED.fullmatch(line) for line in lines]
    if lines and all(coloured):
        return [(_parse_colour(match.groups()[1:]), match[1]) for match in coloured if match]
    numbered = [_NUMBERED.fullmatch(line) for line in lines]
    if lines and all(numbered):
        return [(str(int(match[1])), match[2]) for match in numbered if match]
    if lines and find_role(lines[0]) is None:  # LabelMe's list begins with __ignore__, number -1
        lines = lines[1:]
    first = 0 if lines and find_role(lines[0]) == "" else 1
    return [(str(number), name) for number, name in enumerate(lines, first)]


def _read_csv(text: str) -> list[tuple[str, str]]:
    reader = csv.DictReader(text.splitlines(), skipinitialspace=True)
    columns = {name.strip().casefold(): name for name in reader.fieldnames or () if name}
    name_column = next((columns[name] for name in columns if name in _NAME_COLUMNS), None)
    value_column = next((columns[name] for name in columns if name in _VALUE_COLUMNS), None)
    if name_column is None:
        raise ValueError("no column name")
    if {"r", "g", "b"} <= columns.keys():
        return [(_parse_colour([row[columns[each]] for each in "rgb"]), row[name_column] or "") for row in reader]
    if value_column is None:
        raise ValueError("neither columns r, g and b nor a column value")
    return [(_parse_number(row[value_column]), row[name_column] or "") for row in reader]


def _parse_number(text: str | None) -> str:
    if not text or not text.strip().isascii() or not text.strip().isdigit() or int(text) > 65_535:
        raise ValueError(f"{text!r} is not a number of a class")
    return str(int(text))


def _parse_colour(texts: Iterable[str | None]) -> str:
    numbers = [int(_parse_number(text)) for text in texts]
    if max(numbers) > 255:
        raise ValueError(f"{max(numbers)} in a colour is above 255")
    return write_colour(*numbers)
