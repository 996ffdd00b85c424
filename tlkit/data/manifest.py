"""The manifest: every image of a run with its hash, class and split, and every skipped file with its reason.

A run stores it as `manifest.csv`, `skipped.csv` and `findings.csv`, for people and spreadsheets, and `manifest.json`,
with the root of the paths, the class names in label order and the notices. The same data, settings and seed give the
same CSV files, wherever the data is.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tlkit.errors import DataError, SettingError, describe_damage
from tlkit.files import format_csv_row, open_regular_file, read_json, write_text
from tlkit.outputs import CLASSIFICATION, Box, GreyRange, format_value
from tlkit.places.copies import show_path, show_text
from tlkit.places.roots import find_root
from tlkit.tasks import find_task
from tlkit.tasks.objects import tabulate_objects

if TYPE_CHECKING:
    from tlkit.data.file_index import FileFacts

MANIFEST_FILES = ("manifest.json", "manifest.csv", "skipped.csv")
FINDINGS_FILE = "findings.csv"
SPLITS = ("train", "validation", "test")
_RECORD_COLUMNS = ("split", "answer", "path", "sha256", "width", "height", "left", "top", "right", "bottom")
_SKIPPED_COLUMNS = ("path", "reason")
_FINDING_COLUMNS = ("path", "finding")
_FORMAT_VERSION = 3
_MAX_CELL_LENGTH = 2**20


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One usable image.

    Attributes:
        path: Absolute.
        sha256: Hash of the file's bytes.
        width: Upright width in pixels.
        height: Upright height in pixels.
        split: One of SPLITS.
        answer: The target as text: one of the manifest's classes, labels, or a value; see `tlkit.tasks`.
        box: The object's box, in pixels of the upright image; None if unknown.
        metadata: Metadata values, in the order of the manifest's `metadata_columns`.
        facts: Facts from the check of the file. Not stored.
    """

    path: Path
    sha256: str
    width: int
    height: int
    split: str
    answer: str
    box: Box | None = None
    metadata: tuple[str, ...] = ()
    facts: FileFacts | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class SkippedFile:
    """A file that is not used, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem with a file: it contradicts another file, was fixed, or is only partly used."""

    path: Path
    finding: str


@dataclass(frozen=True)
class Manifest:
    """The images of a run.

    Args:
        root: The user's folder, or the table's folder; absolute.
        class_names: The classes in label order, or the labels; empty for values.
        records: The usable images, in the order found.
        skipped: The files that are not used.
        notices: Notices about the data, one sentence each.
        task: One of `tlkit.outputs.TASKS`.
        metadata_columns: Names of the columns of the records' metadata.
        grey: The ranges for grey of more than 8 bits, one per kind.
        findings: Everything that the notices count, file by file. Written for people, not read back.
    """

    root: Path
    class_names: tuple[str, ...]
    records: tuple[ImageRecord, ...]
    skipped: tuple[SkippedFile, ...] = ()
    notices: tuple[str, ...] = ()
    task: str = CLASSIFICATION
    metadata_columns: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    grey: tuple[GreyRange, ...] = ()

    def in_split(self, name: str) -> tuple[ImageRecord, ...]:
        """Return the records of one of SPLITS."""
        if name not in SPLITS:
            raise ValueError(f"A split is one of {', '.join(SPLITS)}. Received: {name!r}")
        return tuple(record for record in self.records if record.split == name)

    def for_training(self) -> Manifest:
        """Return the manifest without its test images, which training never uses."""
        return replace(self, records=tuple(record for record in self.records if record.split != "test"))

    def targets(self, records: Sequence[ImageRecord]) -> NDArray[Any]:
        """Return the targets of records: int32 (n,) classes, float32 (n, labels), or float64 (n, 1) values."""
        return find_task(self.task).make_targets([record.answer for record in records], self.class_names)

    def columns(self) -> dict[str, list[Any]]:
        """Return the usable images as columns of equal length, named as in `manifest.csv`."""
        records = self.records
        columns: dict[str, list[Any]] = {
            name: [getattr(record, name) for record in records]
            for name in ("split", "answer", "sha256", "width", "height")
        }
        columns["path"] = [show_path(record.path) for record in records]
        for place, edge in enumerate(("left", "top", "right", "bottom")):
            columns[edge] = [None if record.box is None else record.box[place] for record in records]
        for place, name in enumerate(_record_columns(self.metadata_columns)[len(_RECORD_COLUMNS) :]):
            columns[name] = [record.metadata[place] for record in records]
        return {name: columns[name] for name in _record_columns(self.metadata_columns)}

    def to_arrow(self) -> Any:
        """Return the usable images as a pyarrow Table, one row each."""
        import pyarrow as pa

        return pa.table(self.columns())

    def to_pandas(self) -> Any:
        """Return the usable images as a pandas DataFrame, one row each.

        Raises:
            SettingError: pandas is not installed; tlkit does not depend on it.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise SettingError(
                "pandas is not installed.",
                expected="pandas, which tlkit itself does not need",
                fix="pip install pandas, or use to_arrow() or columns().",
            ) from error
        return pd.DataFrame(self.columns())

    def compute_hash(self) -> str:
        """Return the sha256 of everything training depends on: images, splits, targets, boxes, metadata; not paths."""
        rows = [(self.task, *self.class_names, *self.metadata_columns, *map(str, self.grey))]
        rows += [(each.split, each.answer, each.sha256, *_box_cells(each), *each.metadata) for each in self.records]
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()

    def class_table(self) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
        """Return (columns, rows) of text: the number of images per class or label and split, and a row of totals.

        Empty splits have no column. For values, there is one row per split, with their range; for objects, see
        `tabulate_objects`.
        """
        splits = [split for split in SPLITS if any(record.split == split for record in self.records)]
        task = find_task(self.task)
        if not task.has_names:
            return ("split", "images", "lowest", "median", "highest"), tuple(map(self._describe_values, splits))
        if task.has_objects and not task.has_masks:
            return tabulate_objects(
                {split: [record.answer for record in self.in_split(split)] for split in splits}, self.class_names
            )
        counts = Counter((name, record.split) for record in self.records for name in task.names_of(record.answer))
        rows = [[counts[name, split] for split in splits] for name in self.class_names]
        rows.append([len(self.in_split(split)) for split in splits])
        last = "total" if task.is_exclusive else "images"
        named_rows = zip((*self.class_names, last), rows, strict=True)
        return (
            (task.nouns[0], *splits, "total"),
            tuple((name, *(f"{number:,}" for number in (*row, sum(row)))) for name, row in named_rows),
        )

    def _describe_values(self, split: str) -> tuple[str, ...]:
        values = self.targets(self.in_split(split))
        return split, f"{len(values):,}", *(format_value(float(value)) for value in np.quantile(values, [0, 0.5, 1]))


def write_manifest(manifest: Manifest, folder: Path) -> None:
    """Write the files of a manifest into a folder, each one atomically."""
    common_file, records_file, skipped_file = MANIFEST_FILES
    common = {
        "format_version": _FORMAT_VERSION,
        "root": show_path(manifest.root),
        "task": manifest.task,
        "class_names": manifest.class_names,
        "metadata_columns": manifest.metadata_columns,
        "notices": manifest.notices,
        "grey": [asdict(item) for item in manifest.grey],
    }
    root = manifest.root
    findings = ((shorten_path(item.path, root), show_text(item.finding)) for item in manifest.findings)
    write_text(folder / FINDINGS_FILE, _format_csv(_FINDING_COLUMNS, findings))
    records = (
        (
            item.split,
            item.answer,
            shorten_path(item.path, root),
            item.sha256,
            item.width,
            item.height,
            *_box_cells(item),
            *item.metadata,
        )
        for item in manifest.records
    )
    skipped = ((shorten_path(item.path, root), item.reason) for item in manifest.skipped)
    tables = (
        _format_csv(_record_columns(manifest.metadata_columns), records),
        _format_csv(_SKIPPED_COLUMNS, skipped),
    )
    write_text(folder / common_file, json.dumps({**common, "sha256": hash_document(common, *tables)}, indent=2) + "\n")
    write_text(folder / records_file, tables[0])
    write_text(folder / skipped_file, tables[1])


def _format_csv(columns: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    return "".join(map(format_csv_row, (columns, *rows)))


def hash_document(document: Mapping[str, Any], *tables: str) -> str:
    """Return the hash of a JSON document without its own hash field, and of the tables beside it."""
    content = "\0".join((json.dumps(document, sort_keys=True), *tables))
    return hashlib.sha256(content.encode("utf-8", errors="surrogateescape")).hexdigest()


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest that `write_manifest` wrote into a folder.

    Raises:
        DataError: One of the files is missing or damaged.
    """
    common_file, records_file, skipped_file = MANIFEST_FILES
    try:
        common = read_json(folder / common_file)
        if common["format_version"] != _FORMAT_VERSION:
            raise ValueError(f"manifest.json has format version {common['format_version']}")
        tables = [_read_text(folder / name) for name in (records_file, skipped_file)]
        root = find_root(common["root"])
        task, metadata_columns = common["task"], tuple(common["metadata_columns"])
        records = tuple(
            ImageRecord(
                root / path, sha256, int(width), int(height), split, answer, _parse_box(cells[:4]), tuple(cells[4:])
            )
            for split, answer, path, sha256, width, height, *cells in _parse_csv(
                records_file, tables[0], _record_columns(metadata_columns)
            )
        )
        class_names = tuple(common["class_names"])
        answers = [find_task(task).parse_answer(record.answer) for record in records]
        if not {*find_task(task).find_names(answers)} <= {*class_names} or not {r.split for r in records} <= {*SPLITS}:
            raise ValueError("manifest.csv has an unknown class or split")
        skipped = tuple(
            SkippedFile(root / path, why) for path, why in _parse_csv(skipped_file, tables[1], _SKIPPED_COLUMNS)
        )
        if common.pop("sha256") != hash_document(common, *tables):
            raise ValueError("the checksum does not match")
        grey = tuple(GreyRange(**item) for item in common["grey"])
        notices = tuple(common["notices"])
        return Manifest(root, class_names, records, skipped, notices, task, metadata_columns, grey=grey)
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise DataError(
            f"{folder}: the manifest cannot be read ({describe_damage(error)}).",
            expected="unchanged manifest.json, manifest.csv and skipped.csv",
            fix="restore the three files, or repeat the run.",
        ) from error


def _record_columns(metadata_columns: Sequence[str]) -> tuple[str, ...]:
    return (*_RECORD_COLUMNS, *(f"metadata {name}" for name in metadata_columns))


def _box_cells(record: ImageRecord) -> tuple[str, ...]:
    """Return the cells of a record's box, exact to the last bit; empty without a box."""
    return ("",) * 4 if record.box is None else tuple(repr(float(edge)) for edge in record.box)


def _parse_box(cells: Sequence[str]) -> Box | None:
    if not any(cells):
        return None
    left, top, right, bottom = map(float, cells)
    return left, top, right, bottom


def shorten_path(path: Path, root: Path) -> str:
    """Return a path as written in the files: relative to the root if below it, with slashes."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else show_path(path)


def _read_text(path: Path) -> str:
    # File names that are not UTF-8 are stored as surrogates.
    with io.TextIOWrapper(open_regular_file(path), encoding="utf-8", errors="surrogateescape", newline="") as file:
        return file.read()


def _parse_csv(name: str, text: str, columns: Sequence[str]) -> Iterator[list[str]]:
    csv.field_size_limit(_MAX_CELL_LENGTH)  # many objects with long names
    rows = csv.reader(io.StringIO(text, newline=""))
    if tuple(next(rows, ())) != tuple(columns):
        raise ValueError(f"{name} must start with the line {','.join(columns)}")
    return rows
