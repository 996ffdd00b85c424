"""The history of a run while it grows: files and lines after every epoch, stage after stage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tlkit.reports.console import Console
from tlkit.training.checkpoint import Progress
from tlkit.training.history import SPLITS, TensorBoardLog, list_figures, write_history
from tlkit.workflows.stage_plan import StagePlan

Rows = Sequence[dict[str, Any]]


class RunHistory:
    """Collects the epochs of all stages.

    Attributes:
        rows: Rows of the finished stages, as `tlkit.training.history` writes them.
    """

    def __init__(self, folder: Path, console: Console) -> None:
        self.rows: list[dict[str, Any]] = []
        self._folder = folder
        self._console = console
        self._board = TensorBoardLog(folder / "tensorboard")

    def follow(self, plan: StagePlan) -> Callable[[Rows], None]:
        """Return the function that takes a stage's rows after each of its epochs."""

        def on_epoch(rows: Rows) -> None:
            history = [*self.rows, *self._complete(plan, rows)]
            write_history(history, self._folder / "history.csv")
            self._board.write(history[-1])
            self._tell(history[-1], plan)

        return on_epoch

    def finish(self, plan: StagePlan, progress: Progress) -> None:
        """Take over the rows of a finished stage."""
        self.rows += self._complete(plan, progress.rows)
        write_history(self.rows, self._folder / "history.csv")

    def _complete(self, plan: StagePlan, rows: Rows) -> Rows:
        """Return rows with what only the run knows: the boundary, and the epoch counted over all stages."""
        num_before = len(self.rows)
        return [{**row, "boundary": plan.boundary, "epoch": num_before + row["stage_epoch"]} for row in rows]

    def _tell(self, row: dict[str, Any], plan: StagePlan) -> None:
        told = "  |  ".join(f"{split} {_tell_figures(row, split)}" for split in SPLITS)
        best = "  best" if row["is_best"] else ""
        self._console.say(f"  epoch {row['stage_epoch']:>3}/{plan.stage.epochs}  {told}  {row['seconds']:.1f} s{best}")


def _tell_figures(row: dict[str, Any], split: str) -> str:
    """Return "loss 0.1234 accuracy 0.567"."""
    return " ".join(
        f"{name.replace('_', ' ')} {row[f'{split}_{name}']:.{4 if name == 'loss' else 3}f}"
        for name in list_figures(row)
    )
