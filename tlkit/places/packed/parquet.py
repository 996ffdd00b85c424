"""Parquet files with image bytes: a column of binary values, or of {bytes, path} as Hugging Face's data sets have it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkit.errors import DataError
from tlkit.places.packed.part import MAX_IMAGE_BYTES, Part, RowWriter, open_rows

if TYPE_CHECKING:
    import pyarrow as pa

IMAGE_NAMES = ("image", "img", "picture", "photo", "jpg", "png", "bytes", "content")
_PATH_NAMES = ("path", "file", "filename", "file_name", "image", "image_path")
_ROWS_AT_ONCE = 64
_SIGNATURES = ((b"\xff\xd8\xff", ".jpg"), (b"\x89PNG", ".png"), (b"GIF8", ".gif"), (b"RIFF", ".webp"), (b"BM", ".bmp"),
               (b"II*\0", ".tif"), (b"MM\0*", ".tif"))  # fmt: skip


def find_image_bytes(path: Path) -> str | None:
    """Return the column of a Parquet file that holds image bytes; None if it has none, and so is a usual table.

    Bytes beside a column of paths are images only if their column's name says so.

    Raises:
        DataError: Several columns may be meant.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
    except (pa.ArrowException, OSError, EOFError):  # whoever reads the table says what is wrong
        return None
    found: list[str] = [field.name for field in schema if _holds_bytes(field.type)]
    named: list[str] = [name for name in found if name.lower() in IMAGE_NAMES]
    if len(named) == 1:
        return named[0]
    if any(field.name.lower() in _PATH_NAMES and not _holds_bytes(field.type) for field in schema):
        return None
    if len(found) > 1:
        raise DataError(
            f"{path}: several columns hold bytes: {', '.join(found)}.",
            expected="one column of images, or one that is named image",
            fix="leave out the other columns, or name the one with the images `image`.",
        )
    return found[0] if found else None


def _holds_bytes(kind: pa.DataType) -> bool:
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return any(field.name == "bytes" and _holds_bytes(field.type) for field in kind)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def unpack_parquet(path: Path, column: str, folder: Path, part: Part, *, advance: Callable[[int], None]) -> None:
    """Write the images of a Parquet file into a folder, and the rows of its table.

    Args:
        path: The file.
        column: The column of images.
        folder: The new folder.
        part: Takes the notes.
        advance: Called with the part of the file, in bytes, that is done.

    Raises:
        DataError: The file cannot be read.
        OSError: The disk refuses.
    """
    import pyarrow.parquet as pq

    with _explained(path), pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        names = _read_class_names(schema)
        others = [field.name for field in schema if field.name != column and _is_plain(field.type)]
        for field in schema:
            if field.name != column and field.name not in others:
                part.leave_out(field.name, f"the column {field.name}, which holds no texts or numbers")
        num_rows = max(1, file.metadata.num_rows)
        with open_rows(folder) as rows_file:
            rows = RowWriter(part, rows_file)
            number = 0
            for batch in file.iter_batches(_ROWS_AT_ONCE, columns=[column, *others]):
                for row in batch.to_pylist():
                    _write_row(row, number, column, names, rows, folder, part)
                    number += 1
                advance(path.stat().st_size * batch.num_rows // num_rows)


def _write_row(
    row: dict[str, Any],
    number: int,
    column: str,
    names: dict[str, list[str]],
    rows: RowWriter,
    folder: Path,
    part: Part,
) -> None:
    value = row.pop(column)
    content = value.get("bytes") if isinstance(value, dict) else value
    if not content or len(content) > MAX_IMAGE_BYTES:
        part.leave_out(f"row {number:,}", "a row without image bytes" if not content else "an image of more than 1 GiB")
        return
    suffix = next((suffix for start, suffix in _SIGNATURES if content.startswith(start)), "")
    name = f"{number // 1000:04d}/{number:07d}{suffix}"
    target = folder / name
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(content)
    cells = {key: _format(cell, names.get(key)) for key, cell in row.items()}
    rows.write(name, {key: cell for key, cell in cells.items() if key != "path"})


def _format(cell: Any, names: list[str] | None) -> str:
    if cell is None:
        return ""
    if names is not None and isinstance(cell, int):
        return names[cell] if 0 <= cell < len(names) else ""
    return str(cell)


def _is_plain(kind: pa.DataType) -> bool:
    import pyarrow as pa

    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind)
    return bool(is_text or pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def _read_class_names(schema: pa.Schema) -> dict[str, list[str]]:
    """Return the names of the classes by column, from the note that Hugging Face's library leaves in the schema."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {
            str(column): [str(name) for name in feature["names"]]
            for column, feature in features.items()
            if isinstance(feature, dict) and isinstance(feature.get("names"), list)
        }
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError):
        return {}


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno:  # the disk
            raise
        raise DataError(
            f"{path}: not a Parquet file that can be read: {str(error).splitlines()[0]}.",
            expected="a whole Parquet file",
            fix="check the file; it may be damaged or cut off.",
        ) from error
