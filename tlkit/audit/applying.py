"""Carry out a list of moves, so that it can be undone: everything is checked first, then each file moves in one step.

Before a file moves, a line in the journal beside the list says from where to where, and is flushed to the disk. So after
an interruption at any place the same command goes on, and `undo_moves` finds everything that has moved.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from tlkit.audit.moves import MOVE, Move, find_obstacle
from tlkit.errors import DataError, RunError, name_fix
from tlkit.files import flush_folder, open_regular_file, read_regular_file
from tlkit.outputs import normalize_name

JOURNAL_SUFFIX = ".journal"
_MAX_BYTES = 2**28
_CHUNK = 2**20
_MAX_NUMBER = 10_000


@dataclass(frozen=True, slots=True)
class Step:
    """A file's way: both paths are absolute, and `sha256` is the hash of its bytes."""

    source: Path
    target: Path
    sha256: str

    def turn_round(self) -> Step:
        """Return the way back."""
        return Step(self.target, self.source, self.sha256)

    def to_line(self) -> bytes:
        """Return its line in the journal."""
        return json.dumps([str(self.source), str(self.target), self.sha256]).encode() + b"\n"


def find_journal(moves: Path) -> Path:
    """Return the path of the journal of a list."""
    return moves.with_name(moves.name + JOURNAL_SUFFIX)


def plan_steps(moves: Sequence[Move], data: Path, removed: Path, done: Sequence[Step]) -> list[Step]:
    """Check a list against the files, and say where each goes. Nothing is changed.

    Args:
        moves: The list.
        data: The data folder.
        removed: Folder of removed files, outside the data.
        done: Steps of the journal. Files that have moved already are left out.

    Returns:
        The steps. A file whose name is taken in its new folder gets a number.

    Raises:
        DataError: A file is missing, changed or outside the data, or a class has no folder.
    """
    root = data.resolve()
    moved = {step.source for step in done if not step.source.exists() and step.target.exists()}
    halfway = {step.source: step.target for step in done if _has_both_names(step)}
    taken: set[Path] = set()
    steps = []
    for move in moves:
        source = root.joinpath(*PurePosixPath(move.path).parts)
        if source in moved:
            continue
        _check_file(move, source, root)
        target = halfway.get(source) or _choose_target(move, source, root, removed.resolve(), taken)
        taken.add(target)
        steps.append(Step(source, target, move.sha256))
    return steps


def carry_out(steps: Iterable[Step], journal: Path, advance: Callable[[int], None]) -> None:
    """Move the files; the journal has a line for each before it moves.

    Raises:
        RunError: A target exists by now, or the disk does not allow a move. What has moved can be undone.
    """
    with journal.open("ab") as file:
        _cut_off_partial_line(journal, file)
        for step in steps:
            file.write(step.to_line())
            file.flush()
            os.fsync(file.fileno())
            _move(step.source, step.target)
            advance(1)
    flush_folder(journal.parent)


def _cut_off_partial_line(journal: Path, file: BinaryIO) -> None:
    """Remove what a crash has left of a last line, so that the next line does not become part of it."""
    content = read_regular_file(journal, max_bytes=_MAX_BYTES)
    file.truncate(content.rfind(b"\n") + 1)


def read_journal(journal: Path) -> list[Step]:
    """Return the steps of a journal, in order; none if there is no journal. A line cut off by a crash has no effect.

    Raises:
        RunError: It is damaged.
    """
    if not journal.exists():
        return []
    try:
        lines = read_regular_file(journal, max_bytes=_MAX_BYTES).split(b"\n")
        rows = [json.loads(line) for line in lines[:-1]]
        return [Step(Path(source), Path(target), str(sha256)) for source, target, sha256 in rows]
    except (OSError, ValueError, TypeError) as error:
        raise RunError(
            f"{journal} cannot be read ({error}).",
            expected="the journal as `tlkit apply` wrote it",
            fix="restore it; each of its lines says from where to where a file was moved.",
        ) from error


def undo_steps(steps: Sequence[Step], data: Path, advance: Callable[[int], None]) -> int:
    """Move files back, the last first, and return how many moved. What never moved, or is back already, is left alone.

    Raises:
        RunError: A file is gone or has changed since it was moved, or its old place is taken.
    """
    check_undo(steps, data)
    number = 0
    for step in reversed(steps):
        if step.target.exists():
            if _has_both_names(step):
                step.target.unlink()
            else:
                _move(step.target, step.source)
            number += 1
        advance(1)
    return number


def _check_file(move: Move, source: Path, root: Path) -> None:
    parts = PurePosixPath(move.path).parts
    if PurePosixPath(move.path).is_absolute() or Path(move.path).is_absolute() or ".." in parts or not parts:
        raise DataError(
            f"{move.path} is not a path inside the data folder.",
            expected=f"a path relative to {root}",
            fix="remove the row.",
        )
    if found := find_obstacle(source, root) or ("" if source.is_file() else "is missing"):
        raise DataError(
            f"{move.path} {found} in {root}.",
            expected="the files that were audited, not links",
            fix="give the folder that was audited, or remove the row.",
        )
    if hash_file(source) != move.sha256:
        raise DataError(
            f"{move.path} has changed since it was audited.",
            expected="the same bytes",
            fix="run `tlkit audit` again, or remove the row.",
        )


def _choose_target(move: Move, source: Path, root: Path, removed: Path, taken: set[Path]) -> Path:
    inside = source.relative_to(root)
    if move.action != MOVE:
        return _find_free_name(removed / inside, taken)
    names = [normalize_name(part) for part in inside.parts[:-1]]
    if normalize_name(move.given) not in names:
        raise DataError(
            f"{move.path} does not lie in a folder of its class {move.given}.",
            expected="a data set of class folders",
            fix="correct the answer where it comes from, such as a table, and remove the row.",
        )
    place = len(names) - 1 - names[::-1].index(normalize_name(move.given))
    parent = root.joinpath(*inside.parts[:place])
    siblings = {normalize_name(path.name): path for path in parent.iterdir() if path.is_dir()}
    folder = siblings.get(normalize_name(move.to))
    if folder is None or folder.is_symlink() or not folder.resolve().is_relative_to(root):
        raise DataError(
            f"{move.path}: the class {move.to} has no folder in {parent}.",
            expected=f"one of {', '.join(sorted(siblings))}",
            fix=name_fix(move.to, siblings),
        )
    target = folder.joinpath(*inside.parts[place + 1 :])
    if target == source:
        raise DataError(
            f"{move.path} is in the folder of {move.to} already.",
            expected="another class in `to`",
            fix="remove the row.",
        )
    if not target.parent.resolve().is_relative_to(root):
        raise DataError(
            f"{move.path} would leave the data folder through a link.",
            expected="class folders without links",
            fix="remove the row.",
        )
    return _find_free_name(target, taken)


def _find_free_name(target: Path, taken: set[Path]) -> Path:
    """Return the path, or with a number after its stem if a file or another step has it."""
    numbered = (target.with_name(f"{target.stem}-{number}{target.suffix}") for number in range(2, _MAX_NUMBER))
    for path in (target, *numbered):
        if path not in taken and not os.path.lexists(path):
            return path
    raise DataError(
        f"{target} and {_MAX_NUMBER:,} names like it are taken.", expected="a free name", fix="move the file by hand."
    )


def _move(source: Path, target: Path) -> None:
    """Give a file another name without ever replacing a file."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, target, follow_symlinks=False)
        except FileExistsError:
            if not _has_both_names(Step(source, target, "")):
                raise
            source.unlink()
        except (OSError, NotImplementedError):  # a file system without hard links
            if os.path.lexists(target):
                raise FileExistsError(17, "File exists", str(target)) from None
            source.rename(target)
        else:
            source.unlink()
        flush_folder(target.parent)
        flush_folder(source.parent)
    except OSError as error:
        raise RunError(
            f"{source} cannot be moved to {target} ({error.strerror or error}).",
            expected="a folder on the same disk that can be written to, and a free name",
            fix="fix this and run the same command again, or undo what has moved with --undo.",
        ) from error


def check_undo(steps: Sequence[Step], data: Path) -> None:
    """Check that all steps can be undone; see `undo_steps`."""
    root = data.resolve()
    found = {step.source for step in steps if os.path.lexists(step.source) or step.target.exists()}
    for step in steps:
        _check_way_back(step, root)
        if step.source not in found:
            raise RunError(
                f"{step.target} is gone, so it cannot move back to {step.source}.",
                expected="the files where they were moved",
                fix="put it back. If it is not wanted any more, delete its lines in the journal beside the list.",
            )


def _has_both_names(step: Step) -> bool:
    """Return whether the process died between the two names that a file has while it moves."""
    try:
        source, target = step.source.lstat(), step.target.lstat()
    except OSError:
        return False
    # Links and mounted folders lead to the same file, too, but have no second name that could be removed.
    return os.path.samestat(source, target) and source.st_nlink > 1


def _check_way_back(step: Step, root: Path) -> None:
    if not step.source.parent.resolve().is_relative_to(root):
        raise RunError(
            f"{step.source} was not moved in {root}.",
            expected="the data folder that the moves were applied to",
            fix="give that folder.",
        )
    if not step.target.exists():
        return
    if os.path.lexists(step.source) and not _has_both_names(step):
        raise RunError(
            f"{step.source} exists, so {step.target} cannot move back.",
            expected="a free place",
            fix="rename one of the files, and run the command again.",
        )
    if hash_file(step.target) != step.sha256:
        raise RunError(
            f"{step.target} has changed since it was moved.",
            expected="the same bytes",
            fix="move it back by hand, or restore it.",
        )


def hash_file(path: Path) -> str:
    """Return the sha256 of a file's bytes."""
    digest = hashlib.sha256()
    with open_regular_file(path) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
