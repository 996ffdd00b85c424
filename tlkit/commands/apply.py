"""Carry out the moves of an audit, or undo them.

The story: read the list and the journal of what has moved already, check every file, then move one after the other.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tlkit.audit.applying import Step, carry_out, check_undo, find_journal, plan_steps, read_journal, undo_steps
from tlkit.audit.findings import shorten_path
from tlkit.audit.moves import MOVES_FILE, read_moves
from tlkit.data.sources import OUTPUT_MARKER
from tlkit.errors import DataError, RunError
from tlkit.files import held_lock
from tlkit.interruption import kept_if_interrupted
from tlkit.reports.console import Console
from tlkit.reports.output_folder import check_output_folder, make_output_folder

REMOVED = "removed files"
_MAX_SHOWN = 20


def run_apply(
    moves: Path, data: Path, *, removed: Path | None, undo: bool, dry_run: bool, console: Console
) -> dict[str, Any]:
    """Move files as a list says.

    Args:
        moves: The list, `moves.csv` of an audit, perhaps edited.
        data: The folder that was audited.
        removed: Folder for removed files; None: beside the data, NAME.removed.
        undo: Whether to move everything back that was moved by this list.
        dry_run: Whether only to show what would be done.
        console: Tells the story.

    Returns:
        What `--json` prints: `steps`, each with its paths `from` and `to`; `moved`, how many files were moved, 0 with
        `dry_run`; and the `journal`.

    Raises:
        DataError: The list or one of its files is not as it must be. Nothing has been moved.
        RunError: The journal is damaged or in use, or the disk does not allow a move.
    """
    if not data.is_dir():
        found = "is a table" if data.is_file() else "does not exist"
        raise DataError(
            f"{data} {found}.",
            expected="the folder of class folders that was audited",
            fix="correct the answers in the table itself, by the columns path and to of the list."
            if data.is_file()
            else "check the path.",
        )
    removed = (removed or data.resolve().with_name(f"{data.resolve().name}.removed")).resolve()
    check_output_folder(removed, option="--removed", kind=REMOVED, marker=OUTPUT_MARKER, data_folders=[data])
    if moves.is_dir():
        raise DataError(f"{moves} is a folder.", expected="a list of moves", fix=f"give {moves / MOVES_FILE}.")
    journal = find_journal(moves)
    with _held(journal):
        if undo:
            done = read_journal(journal)
            check_undo(done, data)
            steps = [step.turn_round() for step in reversed(done) if step.target.exists()]
        else:
            steps = plan_steps(read_moves(moves), data, removed, read_journal(journal))
        _print_steps(steps, data.resolve(), console)
        if undo and not dry_run:
            _undo(journal, data, console)
        elif not dry_run:
            _carry_out(steps, journal, removed, console)
    _print_result(len(steps), moves, data, undo=undo, dry_run=dry_run, console=console)
    return {
        "steps": [{"from": step.source, "to": step.target} for step in steps],
        "moved": 0 if dry_run else len(steps),
        "journal": journal,
    }


@contextmanager
def _held(journal: Path) -> Iterator[None]:
    """Keep other processes from moving files by the same list."""
    lock = journal.with_name(f"{journal.name}.lock")
    with ExitStack() as stack:
        try:
            stack.enter_context(held_lock(lock))
        except BlockingIOError as error:
            raise RunError(
                f"{journal} is in use by another process.",
                expected="one process per list",
                fix="wait for it to finish.",
            ) from error
        except FileNotFoundError as error:
            raise DataError(
                f"{journal.parent} does not exist.", expected="the folder of an audit", fix="check the path."
            ) from error
        except OSError as error:
            raise RunError(
                f"{lock} cannot be written ({error.strerror or error}).",
                expected="a list in a folder that can be written to, for the journal of what has moved",
                fix="copy the list to such a folder.",
            ) from error
        try:
            yield
        finally:
            lock.unlink()


def _carry_out(steps: list[Step], journal: Path, removed: Path, console: Console) -> None:
    if any(step.target.is_relative_to(removed) for step in steps):
        make_output_folder(removed, kind=REMOVED, marker=OUTPUT_MARKER)
    kept = "The files moved so far are in the journal: the same command goes on, and --undo takes them back."
    with kept_if_interrupted(kept), console.progress("Moving", len(steps), "files") as advance:
        carry_out(steps, journal, advance)


def _undo(journal: Path, data: Path, console: Console) -> None:
    steps = read_journal(journal)
    with kept_if_interrupted("The same command goes on."), console.progress("Undo", len(steps), "files") as advance:
        undo_steps(steps, data, advance)
    journal.unlink(missing_ok=True)


def _print_steps(steps: list[Step], root: Path, console: Console) -> None:
    rows = [tuple(shorten_path(path, root) for path in (step.source, step.target)) for step in steps[:_MAX_SHOWN]]
    if rows:
        console.table("Files", ("from", "to"), rows)
    if len(steps) > _MAX_SHOWN:
        console.say(f"… and {len(steps) - _MAX_SHOWN:,} more.")


def _print_result(number: int, moves: Path, data: Path, *, undo: bool, dry_run: bool, console: Console) -> None:
    files = "1 file" if number == 1 else f"{number:,} files"
    if dry_run:
        console.say(f"{files} would move{' back' if undo else ''}; nothing was changed.")
    elif undo:
        console.say(f"{files} moved back." if number else f"There is nothing to undo: {moves} has moved no file.")
    else:
        command = shlex.join(["tlkit", "apply", str(moves), str(data), "--undo"])
        console.say(f"{files} moved. To undo: {command}")
