"""Write the report of a run as one self-contained HTML page, without network, scripts or other files.

All text is escaped and images are inlined. A content security policy forbids everything else, so that HTML in a class
or file name has no effect.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from tlkit.files import written_aside

Table = tuple[Sequence[str], Sequence[Sequence[str]]]

REPORT_NAME = "report.html"
SWEEP_NAME = "learning-rate-{}.png"
"""File name of a stage's sweep figure, by the stage number."""
MAX_FILES_LISTED = 500
PICTURES = {
    "curves.png": (
        "Training history",
        "Score, loss and learning rate by epoch. The ring marks the epoch whose weights were kept. "
        "A validation line that falls behind the training line shows overfitting.",
    ),
    "confusion.png": (
        "Confusion matrix",
        "Each row is a true class, each column a predicted class. Blue is right, orange is wrong; "
        "the darker, the larger the fraction of the row.",
    ),
    "reliability.png": (
        "Calibration",
        "Each dot is an equal number of images. Below the line the model is overconfident, above it underconfident.",
    ),
    "labels.png": (
        "Scores by label",
        "The best label is at the top. Average precision measures how well a label's probabilities rank the images, "
        "independent of the threshold; precision and recall are measured at the label's threshold.",
    ),
    "predicted.png": (
        "Predicted against true values",
        "Each point is an image. On the dashed line the prediction is exact; within the band it is off by at most the "
        "mean absolute error. A cloud flatter than the line shows a bias towards the mean.",
    ),
    "views.png": (
        "What the network sees",
        "Training images as the network receives them. Check that the object is still visible and recognizable.",
    ),
}
SCORES = {
    "precision": "the fraction of predictions of this name that are right",
    "recall": "the fraction of images with this name that were found",
    "F1": "the harmonic mean of precision and recall",
    "AP": "how well the probabilities rank the images, independent of the threshold",
    "IoU": "the overlap of predicted and true boxes; 1 is perfect",
    "threshold": "the probability from which on the label is predicted",
    "mean absolute error": "the average error of the predictions",
    "mean of predicted - true": "positive if the predictions are too high, negative if they are too low",
}
"""Meaning of the columns of a score table."""

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
STYLE = """
:root { --ink: #1f2933; --faint: #616e7c; --line: #dde3e9; --accent: #1a5e9e; --ground: #f5f7fa; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 1040px; margin: 0 auto; padding: 40px 24px 64px; }
h1 { font-size: 30px; line-height: 1.2; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 19px; margin: 0 0 4px; }
p { margin: 0 0 14px; color: var(--faint); max-width: 75ch; overflow-wrap: anywhere; }
section { background: white; border: 1px solid var(--line); border-radius: 10px; padding: 22px 24px; margin-top: 20px; }
dl { display: flex; flex-wrap: wrap; gap: 12px; margin: 22px 0 0; }
dl div { flex: 1 1 170px; background: white; border: 1px solid var(--line); border-radius: 10px; padding: 14px 18px; }
dt { color: var(--faint); font-size: 14px; }
dd { margin: 2px 0 0; font-size: 21px; font-weight: 600; color: var(--accent); overflow-wrap: anywhere; }
.caution { margin: 12px 0 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 15px; min-width: 45%; }
th { text-align: left; color: var(--faint); font-weight: 600; border-bottom: 2px solid var(--line); }
th, td { padding: 5px 22px 5px 0; vertical-align: top; overflow-wrap: anywhere; }
td { border-bottom: 1px solid var(--line); }
tr:last-child td { border-bottom: 0; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
img { max-width: 100%; height: auto; display: block; }
pre { margin: 0; overflow-x: auto; font: 14px/1.5 ui-monospace, "DejaVu Sans Mono", monospace; }
summary { cursor: pointer; color: var(--accent); margin-bottom: 8px; }
li { overflow-wrap: anywhere; }
footer { color: var(--faint); font-size: 14px; margin-top: 24px; }
@media print { body { background: white; } section, dl div { break-inside: avoid; } }
"""


@dataclass(frozen=True)
class RunPage:
    """The content of a run's report. Tables without rows are left out.

    Attributes:
        title: Name of the run.
        facts: The key figures by name: "validation accuracy": "0.861 (0.82 to 0.89)".
        class_table: Column titles and rows of strings: images per class and split.
        stage_table: The same, for the training stages and their scores.
        score_table: The same, for the scores per class, label or range of values.
        recipe: The resolved recipe, as TOML.
        skipped: (path, reason) of each file that could not be used.
        notices: Notices about the data, one sentence each.
        caution: A caveat about the figures.
    """

    title: str
    facts: Mapping[str, str]
    class_table: Table
    stage_table: Table
    score_table: Table
    recipe: str
    skipped: Sequence[tuple[str, str]] = ()
    notices: Sequence[str] = ()
    caution: str = ""


def write_report(folder: Path, page: RunPage) -> Path:
    """Write `report.html` into a run's folder and return its path.

    Existing figures named in PICTURES are included.
    """
    blocks = [
        _render_facts(page.facts),
        _render_caution(page.caution),
        _render_table("Stages", "Each stage starts from the best weights of the previous one.", page.stage_table),
        _render_picture(folder, "curves.png"),
        *_render_sweeps(folder),
        _render_scores(page.score_table),
        _render_picture(folder, "confusion.png"),
        _render_picture(folder, "reliability.png"),
        _render_picture(folder, "labels.png"),
        _render_picture(folder, "predicted.png"),
        _render_table("Images", "Number of images per class and split.", page.class_table),
        _render_notices(page.notices),
        _render_picture(folder, "views.png"),
        _render_skipped(page.skipped),
        _render_recipe(page.recipe),
    ]  # fmt: skip
    html = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(page.title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{_text(page.title)}</h1>\n<p>Report of a tlkit run.</p>\n"
        + "\n".join(block for block in blocks if block)
        + "\n<footer>Made by tlkit. This page is self-contained and can be shared as a single file.</footer>\n"
        "</main>\n</body>\n</html>\n"
    )
    path = folder / REPORT_NAME
    with written_aside(path) as file:
        file.write(html.encode("utf-8"))
    return path


def _text(text: str) -> str:
    """Escape data as HTML text; invalid UTF-8 in file names becomes a replacement character."""
    return escape(text.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))


def _render_section(title: str, note: str, body: str) -> str:
    return f"<section>\n<h2>{_text(title)}</h2>\n<p>{_text(note)}</p>\n{body}\n</section>"


def _render_facts(facts: Mapping[str, str]) -> str:
    cells = "\n".join(f"<div><dt>{_text(name)}</dt><dd>{_text(value)}</dd></div>" for name, value in facts.items())
    return f"<dl>\n{cells}\n</dl>" if facts else ""


def _render_caution(caution: str) -> str:
    return f'<p class="caution">{_text(caution)}</p>' if caution else ""


def _render_table(title: str, note: str, table: Table) -> str:
    columns, rows = table
    if not rows:
        return ""
    classes = [' class="number"' if _is_numeric([row[place] for row in rows]) else "" for place in range(len(columns))]
    head = "".join(f"<th{kind}>{_text(name)}</th>" for name, kind in zip(columns, classes, strict=True))
    body = "\n".join(
        "<tr>" + "".join(f"<td{kind}>{_text(cell)}</td>" for cell, kind in zip(row, classes, strict=True)) + "</tr>"
        for row in rows
    )
    return _render_section(title, note, f'<div class="scroll"><table>\n<tr>{head}</tr>\n{body}\n</table></div>')


def _render_scores(table: Table) -> str:
    columns, _ = table
    notes = [f"{name[0].upper()}{name[1:]}: {SCORES[name]}." for name in columns if name in SCORES]
    return _render_table(f"Scores by {columns[0]}" if columns else "", " ".join(notes), table)


def _is_numeric(cells: Sequence[str]) -> bool:
    """Return whether a column has only numbers, dashes and empty cells, and at least one number."""
    written = [cell.strip("+-%s ").replace(",", "").replace(".", "") for cell in cells]
    return any(written) and all(not cell or cell[0].isdigit() for cell in written)


def _render_picture(folder: Path, name: str) -> str:
    path = folder / name
    if not path.is_file():
        return ""
    title, note = PICTURES[name]
    return _render_section(title, note, _embed(path, title))


def _render_sweeps(folder: Path) -> list[str]:
    """Return a section for each stage with a learning rate sweep."""
    first, last = SWEEP_NAME.split("{}")
    found = folder.glob(SWEEP_NAME.format("*"))
    numbers = sorted(int(path.name.removeprefix(first).removesuffix(last)) for path in found)
    note = (
        "Training loss while the learning rate grows from step to step, before the stage starts. "
        "Where the loss is flat the rate is too small; where it rises again it is too large."
    )
    titles = {number: f"Learning rate sweep of stage {number}" for number in numbers}
    return [
        _render_section(title, note, _embed(folder / SWEEP_NAME.format(number), title))
        for number, title in titles.items()
    ]


def _embed(path: Path, alternative: str) -> str:
    content = base64.b64encode(path.read_bytes()).decode("ascii")
    return f'<img alt="{_text(alternative)}" src="data:image/png;base64,{content}">'


def _render_notices(notices: Sequence[str]) -> str:
    if not notices:
        return ""
    items = "\n".join(f"<li>{_text(notice)}</li>" for notice in notices)
    return _render_section("Notices about the data", "Found while reading it.", f"<ul>\n{items}\n</ul>")


def _render_skipped(skipped: Sequence[tuple[str, str]]) -> str:
    if not skipped:
        return ""
    rows = "\n".join(
        f"<tr><td>{_text(path)}</td><td>{_text(reason)}</td></tr>" for path, reason in skipped[:MAX_FILES_LISTED]
    )
    note = "These files were not used, for the reasons given."
    if len(skipped) > MAX_FILES_LISTED:
        note += f" The first {MAX_FILES_LISTED} are listed here, all of them in skipped.csv."
    body = (
        f"<details><summary>show the files</summary>\n"
        f'<div class="scroll"><table>\n<tr><th>file</th><th>reason</th></tr>\n{rows}\n</table></div></details>'
    )
    return _render_section(f"Files skipped: {len(skipped):,}", note, body)


def _render_recipe(recipe: str) -> str:
    return _render_section(
        "Recipe", "All settings of this run. `tlkit run` repeats it from recipe.toml.", f"<pre>{_text(recipe)}</pre>"
    )
