"""The folder of an evaluation: figures, tables, predictions, and a page to look through."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlkit.data.manifest import SkippedFile
from tlkit.explain.shortcuts import EvidencePlaces
from tlkit.files import write_json
from tlkit.inference.object_sheet import draw_object_sheet
from tlkit.inference.predictions import write_scored
from tlkit.inference.scoring import Scores
from tlkit.inference.task_report import draw_box_sheet, draw_task_pictures
from tlkit.models.spec import BundleSpec
from tlkit.places.copies import show_path
from tlkit.reports.console import Console
from tlkit.reports.optional_steps import OptionalSteps
from tlkit.reports.page import Page, write_page
from tlkit.reports.printed_table import write_csv
from tlkit.reports.run_page import (
    REPORT_NAME,
    SCORE_PICTURES,
    render_picture_section,
    render_score_section,
    render_skipped_section,
    render_table_section,
)
from tlkit.runs.heat_maps import HeatMaps
from tlkit.runs.mistake_sheets import clear_mistakes, show_mistakes
from tlkit.runs.report import budget_pictures
from tlkit.runs.shortcuts import look_for_shortcuts, render_shortcuts, summarise_shortcuts
from tlkit.tasks.report import Report, ScoreTable

REPORT_FILE = "report.json"
OTHER_FILES = (
    REPORT_NAME,
    "confusion.png",
    *SCORE_PICTURES,
    "boxes.png",
    "per_class.csv",
    "per_label.csv",
    "predictions.csv",
)
"""What an evaluation may hold, depending on the task, beside the report that is written last."""


@dataclass(frozen=True)
class Evaluation:
    """What was measured.

    Attributes:
        name: What was evaluated, in words: "runs/first on the test images".
        measured_on: "test", "validation", or empty for other images.
        report: The scores.
        scores: What the model says of each image.
        by_exposure: The scores by whether the model has seen the images: column titles and rows.
        skipped: Files that could not be scored.
        payload: What `--json` prints.
        spec: The model's.
        origin: Where the figures come from, by name.
        caution: A caveat about the figures.
        num_ranked: Classes or labels that predictions.csv ranks.
        heat_maps: Makes heat maps; None for none.
    """

    name: str
    measured_on: str
    report: Report
    scores: Scores
    by_exposure: ScoreTable
    skipped: tuple[SkippedFile, ...]
    payload: dict[str, Any]
    spec: BundleSpec
    origin: dict[str, str]
    caution: str
    num_ranked: int
    heat_maps: HeatMaps | None = None


def write_evaluation(folder: Path, evaluation: Evaluation, console: Console) -> list[EvidencePlaces]:
    """Replace what an earlier evaluation has left; the report comes last.

    Returns:
        Classes that the model may recognize by something other than the object.
    """
    report, scores, spec, skipped = evaluation.report, evaluation.scores, evaluation.spec, evaluation.skipped
    for name in (REPORT_FILE, *OTHER_FILES):
        (folder / name).unlink(missing_ok=True)
    clear_mistakes(folder)
    draw_task_pictures(folder, report, spec, scores)
    draw_box_sheet(folder / "boxes.png", report, scores)
    draw_object_sheet(folder / "boxes.png", spec, scores)
    if score_file := report.score_file():
        name, titles, rows = score_file
        write_csv(folder / name, titles, rows)
    write_scored(folder / "predictions.csv", scores, spec, top_k=evaluation.num_ranked, skipped=skipped)
    shortcuts: list[EvidencePlaces] = []
    with OptionalSteps(console).step(REPORT_NAME):
        shortcuts = _write_page(folder, evaluation, console)
    document = {
        **evaluation.payload,
        **summarise_shortcuts(shortcuts),
        "class_names": spec.class_names,
        **report.details(),
        "skipped": [{"path": show_path(item.path), "reason": item.reason} for item in skipped],
    }
    write_json(folder / REPORT_FILE, document)
    return shortcuts


def _write_page(folder: Path, evaluation: Evaluation, console: Console) -> list[EvidencePlaces]:
    heat_maps = evaluation.heat_maps
    sheets = show_mistakes(
        evaluation.scores,
        evaluation.spec,
        folder,
        budget=budget_pictures(folder),
        console=console,
        heat_maps=heat_maps,
    )
    shortcuts: list[EvidencePlaces] = []
    if heat_maps:
        shortcuts = look_for_shortcuts(evaluation.scores, sheets.mistakes.verdicts, evaluation.spec, heat_maps)
    report = evaluation.report
    several = evaluation.by_exposure if len(evaluation.by_exposure[1]) > 1 else ((), [])
    sections = [
        render_table_section("Scores by whether the model has seen the images", "", several),
        render_score_section(sheets.link_scores(report.score_table())),
        *(render_table_section(title, "", table) for title, table in report.more_tables()),
        render_shortcuts(shortcuts),
        *sheets.list_sections(folder),
        *(render_picture_section(folder, name) for name in SCORE_PICTURES),
        render_skipped_section([(show_path(item.path), item.reason) for item in evaluation.skipped]),
    ]
    prefix = f"{evaluation.measured_on} " if evaluation.measured_on else ""
    write_page(
        folder / REPORT_NAME,
        Page(
            title=evaluation.name,
            subtitle="Evaluation by tlkit.",
            sections=[section for section in sections if section],
            facts={f"{prefix}{name}": value for name, value in report.facts().items()},
            origin=evaluation.origin,
            caution=evaluation.caution,
        ),
    )
    return shortcuts
