"""Parse CSV files as common programs save them, with any usual encoding, separator and line ending.

The format is detected from the content. An unclosed quote, a row with too many cells and invalid bytes are errors that
give the line.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NoReturn

from tlkit.data.formats.column_names import IMAGE_COLUMNS
from tlkit.errors import DataError

MAX_ROWS = 1_000_000
MAX_LINES = 4 * MAX_ROWS
MAX_CELL_LENGTH = 131_072
SEPARATORS = ",;\t|"

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose BOM is a prefix of it
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
_FILE_NAME = re.compile(r"[^\s.][^\r\n]*\.[A-Za-z][A-Za-z0-9]{1,4}\s*")
_NUM_SAMPLED_ROWS = 30
# In Western text these signs never occur inside a word: "40°C" is fine, but "Wroc³aw" is misread Polish.
_SIGNS_OF_NUMBERS = "€£½¼¾"
_SIGNS = "°²³µ€£§·±×½¼¾©®–—‘’“”…«»¡¿´"


@dataclass(frozen=True)
class CsvText:
    """The cells of a CSV file.

    Attributes:
        header: The column names in the first line, unchanged.
        rows: Each with as many cells as the header; blank rows are left out.
        lines: The line on which each row begins, from 1.
        separator: The character between cells.
        notices: What was detected or skipped, one sentence each.
    """

    header: list[str]
    rows: list[list[str]]
    lines: list[int]
    separator: str
    notices: tuple[str, ...]


def parse_csv(path: Path, content: bytes) -> CsvText:
    """Parse a CSV file.

    Raises:
        DataError: The file is not text, has too many rows, an unclosed quote, or a row that does not fit the header.
    """
    text, notices = _decode(path, content)
    num_lines = text.count("\n") + text.count("\r") - text.count("\r\n")
    if num_lines > MAX_LINES:
        raise DataError(
            f"{path}: the table has {num_lines:,} lines.",
            expected=f"at most {MAX_LINES:,} lines, including blank ones, and {MAX_ROWS:,} rows",
            fix="remove the blank lines, or split the table.",
        )
    lines = list(io.StringIO(text, newline=""))  # unlike str.splitlines, splits only at \n, \r and \r\n
    skipped, separator, num_comments = _skip_preamble(lines)
    separator = separator or _find_separator(lines[skipped:])
    rows, numbers = _parse_rows(path, lines, skipped, separator)
    if not rows:
        return CsvText([], [], [], separator, ())
    header, *rows = rows
    _refuse_swallowed_rows(path, header, rows, numbers[1:], separator)
    if header[0].startswith("#") and header[0].lstrip("# ").lower() in IMAGE_COLUMNS:
        header[0] = header[0].lstrip("# ")

    kept, kept_lines, num_headers = [], [], 0
    for row, line in zip(rows, numbers[1:], strict=True):
        if row == header:
            num_headers += 1
        elif row[0].startswith("#") and len(row) != len(header):
            num_comments += 1
        else:
            kept.append(_fit_row(path, row, line, header))
            kept_lines.append(line)
    width = len(header)
    while width and not header[width - 1].strip() and not any(row[width - 1].strip() for row in kept):
        width -= 1
    header, kept = header[:width], [row[:width] for row in kept]
    for number, what in ((num_comments, "start with #"), (num_headers, "repeat the header")):
        if number:
            start = "1 line" if number == 1 else f"{number:,} lines"
            verb = what.replace("start", "starts").replace("repeat", "repeats") if number == 1 else what
            notices.append(f"{path.name}: {start} that {verb} {'is' if number == 1 else 'are'} skipped.")
    return CsvText(header, kept, kept_lines, separator, tuple(notices))


def _decode(path: Path, content: bytes) -> tuple[str, list[str]]:
    """Return the text without a byte order mark, and notices about its encoding."""
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS if content.startswith(mark)), _guess_encoding(content))
    notices = []
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        western = _decode_western(content) if encoding == "utf-8" else None
        if western is None:
            _refuse_encoding(path, content, error)
        text, example = western
        notices.append(
            f"{path.name} is not UTF-8; it is read as Windows-1252, with words such as {example!r}. If that is wrong, "
            "save the table as UTF-8."
        )
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataError(
            f"{path}: line {line:,} contains a NUL character.",
            expected="a text file with the column names in its first line",
            fix="save the table again as CSV in UTF-8.",
        )
    return text.replace("\ufeff", ""), notices


def _guess_encoding(content: bytes) -> str:
    """Guess the encoding of a file without byte order mark: UTF-16 if every other byte is mostly 0, else UTF-8."""
    start = content[:2000]
    even, odd = start[0::2].count(0), start[1::2].count(0)
    if odd > len(start) / 4 and not even:
        return "utf-16-le"
    return "utf-16-be" if even > len(start) / 4 and not odd else "utf-8"


def _decode_western(content: bytes) -> tuple[str, str] | None:
    """Decode Windows-1252 and return the text with an example word, if the result looks Western European."""
    try:
        text = content.decode("cp1252")
    except UnicodeDecodeError:
        return None
    words = [word for word in re.split(r"[\s,;|\"]+", text) if not word.isascii()]
    return (text, words[0][:40]) if all(map(_looks_western, words)) else None


def _looks_western(word: str) -> bool:
    """Return whether a word has accents among plain letters, and symbols only at its edges or next to digits.

    Cyrillic, Greek or Chinese misread as Windows-1252 is all accented letters; Polish has symbols inside words.
    """
    runs = re.findall(r"[^\x00-\x7f]+", re.sub(f"[{_SIGNS}]", " ", word))
    letters = "".join(runs)
    is_plain = all("À" <= letter <= "ÿ" and letter not in "×÷Þþ" for letter in letters)
    letter = "[^\\W\\d_]"
    numbers = f"[{_SIGNS_OF_NUMBERS}]"
    is_torn = re.search(f"{letter}[{_SIGNS}]{letter}|{numbers}{letter}|{letter}{numbers}", word)
    return is_plain and all(len(run) <= 2 for run in runs) and not is_torn


def _refuse_encoding(path: Path, content: bytes, error: UnicodeDecodeError) -> NoReturn:
    line = content.count(b"\n", 0, error.start) + 1
    raise DataError(
        f"{path}: line {line:,} is not UTF-8 text (byte 0x{content[error.start]:02x}).",
        expected="a CSV file in UTF-8, UTF-16 or, for Western European text, Windows-1252",
        fix="save the table again as CSV in UTF-8.",
    ) from error


def _skip_preamble(lines: Sequence[str]) -> tuple[int, str, int]:
    """Return the number of lines before the header, the separator if one declares it, and the number of comments."""
    number, separator, num_comments = 0, "", 0
    for line in lines:
        statement = _SEPARATOR_LINE.fullmatch(line)
        if statement and not separator:
            separator = statement[1]
        elif line.startswith("#") and not _names_image_column(line):
            num_comments += 1
        elif line.strip():
            break
        number += 1
    return number, separator, num_comments


def _names_image_column(line: str) -> bool:
    cells = re.split(f"[{SEPARATORS}]", line.lstrip("#"))
    return len(cells) > 1 and any(cell.strip(' "\r\n').lower() in IMAGE_COLUMNS for cell in cells)


def _find_separator(lines: Sequence[str]) -> str:
    """Return the separator with which most rows match the header's width; if tied, the one with the wider header."""

    def score(separator: str) -> tuple[float, int]:
        try:
            reader = csv.reader(lines, delimiter=separator, skipinitialspace=True)
            rows = [row for row in islice(reader, _NUM_SAMPLED_ROWS) if any(row)]
        except csv.Error:
            return 0.0, 0
        width = len(rows[0]) if rows else 0
        if width < 2:
            return 0.0, 0
        return sum(len(row) == width for row in rows) / len(rows), width

    return max(SEPARATORS, key=score)


def _parse_rows(path: Path, lines: Sequence[str], start: int, separator: str) -> tuple[list[list[str]], list[int]]:
    """Return the rows that are not blank, and the line on which each begins."""
    rows, numbers = [], []
    csv.field_size_limit(MAX_CELL_LENGTH)  # of the whole process: a manifest, with its objects, has another
    reader = csv.reader(lines[start:], delimiter=separator, skipinitialspace=True, strict=True)
    begin = start + 1
    try:
        for row in reader:
            if any(cell and not cell.isspace() for cell in row):
                rows.append(row)
                numbers.append(begin)
            begin = start + reader.line_num + 1
            if len(rows) > MAX_ROWS + 1:
                refuse_rows(path, f"more than {MAX_ROWS:,}")
    except csv.Error as error:
        if "field limit" in str(error):
            what = f"a cell has more than {MAX_CELL_LENGTH:,} characters, so a quote may be open"
        elif "unexpected end" in str(error):
            what = "a quote is not closed"
        else:
            what = 'a closing quote (") is followed by more text'
        raise DataError(
            f"{path}: line {begin:,}: {what}.",
            expected="double quotes only around a whole cell, and doubled inside one",
            fix=f'fix line {begin:,}: write "" for a quote inside a quoted cell, or remove the quote.',
        ) from error
    return rows, numbers


def refuse_rows(path: Path, number: str) -> NoReturn:
    """Raise DataError for a table with too many rows."""
    raise DataError(
        f"{path}: the table has {number} rows.",
        expected=f"at most {MAX_ROWS:,} rows",
        fix="split the table.",
    )


def _refuse_swallowed_rows(
    path: Path, header: Sequence[str], rows: Sequence[Sequence[str]], lines: Sequence[int], separator: str
) -> None:
    """Raise DataError if a quoted cell seems to contain table rows, because a quote is missing."""
    model = next((row for row in rows if not any("\n" in cell or "\r" in cell for cell in row)), ())
    places = {place for place, cell in enumerate(model) if _FILE_NAME.fullmatch(cell)}
    for row, line in zip(rows, lines, strict=True):
        for place, cell in enumerate(row):
            if ("\n" in cell or "\r" in cell) and _swallows_rows(cell, place, places, len(header), separator):
                raise DataError(
                    f"{path}: line {line:,}: a quoted cell seems to contain further rows of the table.",
                    expected="double quotes only around a whole cell, and doubled inside one",
                    fix=f'close or remove the quote in line {line:,}; write "" for a quote inside a quoted cell.',
                )


def _swallows_rows(cell: str, place: int, file_places: Iterable[int], width: int, separator: str) -> bool:
    """Return whether lines of a cell look like rows: a file name in the same column, or else the same width."""
    pieces = [next(csv.reader([piece], delimiter=separator), []) for piece in re.split(r"\r\n|\n|\r", cell)]
    first, *others = pieces
    if not file_places:
        return any(len(piece) == width and not any(part.startswith(" ") for part in piece[1:]) for piece in others)
    begins = any(
        place < at < place + len(first) and _FILE_NAME.fullmatch(first[at - place]) is not None for at in file_places
    )
    return begins or any(
        len(piece) > max(at, 1) and _FILE_NAME.fullmatch(piece[at]) is not None
        for piece in others
        for at in file_places
    )


def _fit_row(path: Path, row: list[str], line: int, header: Sequence[str]) -> list[str]:
    """Drop empty cells after the last column."""
    width = len(header)
    if len(row) != width and (len(row) < width or any(cell.strip() for cell in row[width:])):
        raise DataError(
            f"{path}: line {line:,} has {len(row):,} cell{'s' if len(row) > 1 else ''}.",
            expected=f"{width:,}, as in the first line",
            fix="fix the line; put a cell that contains the separator in double quotes.",
        )
    return row[:width]
