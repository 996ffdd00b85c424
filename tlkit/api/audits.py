"""Look at the data: `tlkit audit`, `tlkit apply`."""

from __future__ import annotations

from typing import Any

from tlkit.api.arguments import Place, Result, as_path, fetch_data, fetch_run, quiet_console, require_path
from tlkit.errors import SettingError
from tlkit.recipes.given import check_known, collect_sections
from tlkit.recipes.settings import BackboneSettings, DataSettings, TrainingSettings
from tlkit.reports.console import Console

__all__ = ["apply_moves", "audit_images"]


def audit_images(
    data: Place | None = None,
    *,
    run: Place | None = None,
    out: Place | None = None,
    ray: str | None = None,
    console: Console | None = None,
    **settings: Any,
) -> Result:
    """Find wrong labels and boxes, copies, outliers and poor pictures in a data set: `tlkit audit`.

    Args:
        data: As in `finetune`; None for the images of `run`.
        run: Folder of a run; its images, splits, backbone and seed are taken.
        out: Folder for the files; None: in `audits/`, after the data's name.
        ray: As in `precompute`.
        console: As in `finetune`.
        settings: Those of `[backbone]` and `[data]`, and `seed`; none with `run`.

    Returns:
        The number of `images`, `findings` by kind and proposed `moves`; the estimated number of `wrong_labels`, of boxes
        their classes, with a 95% interval; `confusable` classes; the `first` findings to look at; `out` and `page`.

    Raises:
        TlkitError: Any problem that the user can solve.
    """
    check_known(settings, BackboneSettings, DataSettings, TrainingSettings, of="audit_images")
    given = [name for name, value in settings.items() if value not in (None, ())]
    if run is not None and given:
        raise SettingError(
            f"run is given, and so is {given[0]}.",
            expected="no other settings: the run's own are taken",
            fix=f"leave out {given[0]}.",
        )
    from tlkit.commands.audit import AuditRequest, run_audit

    sections = collect_sections(settings)
    request = AuditRequest(
        fetch_data(data, console),
        fetch_run(run, console),
        sections["data"],
        sections["backbone"],
        sections["training"].seed,
        as_path(out),
        ray,
    )
    return run_audit(request, console=console or quiet_console())


def apply_moves(
    moves: Place,
    data: Place,
    *,
    undo: bool = False,
    dry_run: bool = False,
    removed: Place | None = None,
    console: Console | None = None,
) -> Result:
    """Carry out a list of moves, or undo it: `tlkit apply`.

    Args:
        moves: The `moves.csv` of an audit, or the one that its page saves.
        data: The folder that was audited.
        undo: Whether to move back what this list has moved.
        dry_run: Whether to change nothing.
        removed: Folder for removed files; None: beside the data, NAME.removed.
        console: As in `finetune`.

    Returns:
        The `steps`, each with paths `from` and `to`; how many files were `moved`; and the `journal`.

    Raises:
        TlkitError: Any problem that the user can solve.
    """
    from tlkit.commands.apply import run_apply

    return run_apply(
        require_path(moves),
        require_path(data),
        removed=as_path(removed),
        undo=undo,
        dry_run=dry_run,
        console=console or quiet_console(),
    )
