"""The list of moves: what `tlkit apply` may do to the files of a data set, one row per file.

An audit proposes few: a file goes to another class folder if its label is wrong with a probability of at least
SURE_FROM, and copies with the same bytes, split and answer are removed but for one. Everybody may edit the list.
"""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tlkit.audit.findings import Finding, shorten_path
from tlkit.data.manifest import ImageRecord, Manifest
from tlkit.errors import DataError
from tlkit.files import read_regular_file
from tlkit.outputs import normalize_name
from tlkit.reports.printed_table import write_csv
from tlkit.tasks import find_task

MOVES_FILE = "moves.csv"
MOVE, REMOVE = "move", "remove"
SURE_FROM = 0.9
COLUMNS = ("path", "action", "from", "to", "sha256", "reason")
_MAX_BYTES = 2**28
_MOVABLE = ("label", "copy", "conflict")


@dataclass(frozen=True, slots=True)
class Move:
    """One row of the list.

    Attributes:
        path: The file, relative to the data folder, with slashes.
        action: MOVE, to the folder of another class, or REMOVE, to the folder of removed files.
        given: The class whose folder it is in.
        to: The class whose folder it goes to; empty for REMOVE.
        sha256: Hash of its bytes.
        reason: In words.
    """

    path: str
    action: str
    given: str
    to: str
    sha256: str
    reason: str = ""

    def to_row(self) -> tuple[str, ...]:
        """Return the cells, in the order of COLUMNS."""
        return self.path, self.action, self.given, self.to, self.sha256, self.reason


def make_move(finding: Finding, record: ImageRecord, root: Path, *, action: str) -> Move:
    """Return the row that acts on a finding's image."""
    to = finding.suggested if action == MOVE else ""
    return Move(shorten_path(record.path, root), action, record.answer, to, record.sha256, finding.evidence)


def has_class_folders(records: Sequence[ImageRecord], manifest: Manifest) -> bool:
    """Return whether each image lies in a folder of its class, so that another folder is another answer."""
    is_exclusive = find_task(manifest.task).is_exclusive
    return is_exclusive and all(record.answer in map(normalize_name, record.path.parent.parts) for record in records)


def find_obstacle(path: Path, root: Path) -> str:
    """Return why a file of a data set cannot be moved, in words that follow its name; empty if it can."""
    if path.is_symlink():
        return "is a link"
    return "" if path.parent.resolve().is_relative_to(root.resolve()) else "leads out of the data folder"


def note_obstacles(findings: Iterable[Finding], root: Path) -> list[Finding]:
    """Return the findings, with a sentence in the evidence of those whose file would move if it could."""
    noted = []
    for finding in findings:
        obstacle = find_obstacle(finding.path, root) if finding.kind in _MOVABLE else ""
        sentence = f" The file {obstacle}, so `tlkit apply` cannot move it." if obstacle else ""
        noted.append(dataclasses.replace(finding, evidence=f"{finding.evidence}{sentence}"))
    return noted


def propose_moves(findings: Iterable[Finding], records: Sequence[ImageRecord], manifest: Manifest) -> list[Move]:
    """Return what an audit proposes: sure label errors, and copies with the same bytes, answer and split but one.

    Args:
        findings: What was found. A file that cannot be moved is left alone, and is no copy that would be enough to keep.
        records: The images.
        manifest: The data set, whose classes are folders: see `has_class_folders`.
    """
    root = manifest.root
    by_path = {record.path: record for record in records}
    moves: dict[Path, Move] = {}
    kept: set[tuple[str, str, str]] = set()
    for finding in findings:
        record = by_path[finding.path]
        if find_obstacle(record.path, root):
            continue
        if finding.kind == "label" and finding.score >= SURE_FROM and finding.suggested:
            moves[record.path] = make_move(finding, record, root, action=MOVE)
        elif finding.kind == "copy":
            key = record.sha256, record.answer, record.split
            if key in kept:
                moves[record.path] = make_move(finding, record, root, action=REMOVE)
            kept.add(key)
    return sorted(moves.values(), key=lambda move: move.path)


def write_moves(path: Path, moves: Iterable[Move]) -> None:
    """Write the list as CSV."""
    write_csv(path, COLUMNS, [move.to_row() for move in moves])


def read_moves(path: Path) -> list[Move]:
    """Read a list that an audit or its page wrote, and that may have been edited.

    Raises:
        DataError: It cannot be read, a row is not as it must be, or two rows contradict each other.
    """
    try:
        text = read_regular_file(path, max_bytes=_MAX_BYTES).decode("utf-8-sig", "surrogateescape")
        # Spreadsheets in many languages save with semicolons.
        separator = next((each for each in ";\t" if text.startswith(f"{COLUMNS[0]}{each}")), ",")
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error
    except csv.Error as error:
        raise _unreadable(path, f"not a table: {error}") from error
    if not rows or tuple(rows[0]) != COLUMNS:
        found = ",".join(rows[0])[:200] if rows else "nothing"
        raise DataError(
            f"{path} begins with {found!r}.",
            expected=f"the line {','.join(COLUMNS)}",
            fix="use the moves.csv of `tlkit audit`, or the one that its page saves.",
        )
    moves: dict[PurePosixPath, Move] = {}
    for number, row in enumerate(rows[1:], 2):
        if row:
            _add(path, moves, _parse(path, number, row))
    return list(moves.values())


def _add(path: Path, moves: dict[PurePosixPath, Move], move: Move) -> None:
    """Add a row; the page writes one for each finding of a file, which may say the same for several reasons."""
    first = moves.setdefault(PurePosixPath(move.path), move)
    if (first.action, first.given, first.to, first.sha256) != (move.action, move.given, move.to, move.sha256):
        raise DataError(
            f"{path}: {move.path} stands in two rows that differ.",
            expected="one action per file",
            fix="remove one of the rows.",
        )


def _parse(path: Path, number: int, row: list[str]) -> Move:
    problem = None
    if len(row) != len(COLUMNS):
        problem = f"{len(row)} cells", f"{len(COLUMNS)} cells"
    elif row[1] not in (MOVE, REMOVE):
        problem = f"the action {row[1]!r}", f"{MOVE} or {REMOVE}"
    elif (row[1] == MOVE) != bool(row[3]):
        problem = f"the action {row[1]} with the class {row[3]!r}", f"a class in `to` for {MOVE} and none for {REMOVE}"
    if problem:
        raise DataError(
            f"{path}, row {number}: {problem[0]}.", expected=problem[1], fix="correct the row, or remove it."
        )
    return Move(*row)


def _unreadable(path: Path, why: str) -> DataError:
    return DataError(
        f"{path} cannot be read ({why}).",
        expected="a moves.csv of `tlkit audit`, or the one that its page saves",
        fix="check the path.",
    )
