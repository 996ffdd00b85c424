"""Write and print the history of a run after every epoch."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlkit.reports.console import Console
from tlkit.reports.optional_steps import OptionalSteps
from tlkit.training.history import SPLITS, TensorBoardLog, list_figures, write_history
from tlkit.training.stage_plan import StagePlan

if TYPE_CHECKING:
    from tlkit.training.stage import StageOutcome

Rows = Sequence[dict[str, Any]]

EPOCH_WIDTH = 7
TIME_WIDTH = 9
SPLIT_GAP = 2


class RunHistory:
    """Collects the epochs of all stages.

    Attributes:
        rows: Rows of the finished stages; see `tlkit.training.history`.
        outcomes: Results of the finished stages.
        steps: Collects failures of optional steps.
    """

    def __init__(self, folder: Path, steps: OptionalSteps, console: Console) -> None:
        self.rows: list[dict[str, Any]] = []
        self.outcomes: list[StageOutcome] = []
        self.steps = steps
        self._folder = folder
        self._console = console
        self._board: TensorBoardLog | None = None
        self._num_logged = 0

    def follow(self, plan: StagePlan) -> Callable[[Rows], None]:
        """Return the function to call with a stage's rows after each epoch."""
        is_first = True

        def on_epoch(rows: Rows) -> None:
            nonlocal is_first
            history = [*self.rows, *self._complete(plan, rows)]
            self._write(history)
            if is_first:
                self._console.say(format_head(history[-1]))
            is_first = False
            self._console.say(format_epoch(history[-1], plan.stage.epochs))

        return on_epoch

    def finish(self, outcome: StageOutcome) -> None:
        """Add the rows of a finished stage."""
        self.rows += self._complete(outcome.plan, outcome.progress.rows)
        self.outcomes.append(outcome)
        self._write(self.rows)

    def _write(self, history: Rows) -> None:
        with self.steps.step("history.csv"):
            write_history(history, self._folder / "history.csv")
        with self.steps.step("The log for TensorBoard"):
            self._log(history)

    def _log(self, history: Rows) -> None:
        """Log new rows; after a failure, and in a resumed run, log all rows again."""
        board, self._board = self._board, None
        if board is None:
            shutil.rmtree(self._folder / "tensorboard", ignore_errors=True)
            board, self._num_logged = TensorBoardLog(self._folder / "tensorboard"), 0
        for row in history[self._num_logged :]:
            board.write(row)
        self._board, self._num_logged = board, len(history)

    def _complete(self, plan: StagePlan, rows: Rows) -> Rows:
        """Return rows with the boundary, and the epoch counted over all stages."""
        num_before = len(self.rows)
        return [{**row, "boundary": plan.boundary, "epoch": num_before + row["stage_epoch"]} for row in rows]


def format_head(row: dict[str, Any]) -> str:
    """Return the two header lines above the epochs of a stage: splits, and names of figures."""
    splits, figures = "", []
    for split in SPLITS:
        names = [name.replace("_", " ") for name in list_figures(row, split)]
        splits += f"{split:<{sum(map(_column_width, names)) + SPLIT_GAP}}"
        figures.append("".join(f"{name:>{_column_width(name)}}" for name in names))
    titles = (" " * SPLIT_GAP).join(figures)
    return f"{'':{EPOCH_WIDTH + 2}}{splits}".rstrip() + f"\n{'epoch':>{EPOCH_WIDTH}}{titles}{'time':>{TIME_WIDTH}}"


def format_epoch(row: dict[str, Any], num_epochs: int) -> str:
    """Return the line of an epoch, below `format_head`; at most 80 characters for every task."""
    figures = (" " * SPLIT_GAP).join(
        "".join(
            f"{row[f'{split}_{name}']:>{_column_width(name.replace('_', ' '))}.{4 if name == 'loss' else 3}f}"
            for name in list_figures(row, split)
        )
        for split in SPLITS
    )
    epoch, time = f"{row['stage_epoch']}/{num_epochs}", f"{row['seconds']:.1f} s"
    return f"{epoch:>{EPOCH_WIDTH}}{figures}{time:>{TIME_WIDTH}}{'  best' if row['is_best'] else ''}"


def _column_width(name: str) -> int:
    return max(len(name), len("0.1234")) + 2
