"""What an audit leaves: the tables in its folder, and what is printed about them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tlkit.audit.findings import FINDINGS_FILE, KINDS, Audit, shorten_path, write_findings
from tlkit.audit.labels import LabelAudit
from tlkit.audit.moves import MOVES_FILE, Move, write_moves
from tlkit.audit.page import PAGE_FILE
from tlkit.audit.study import Study
from tlkit.data.manifest import ImageRecord, Manifest
from tlkit.files import write_json
from tlkit.places.copies import show_path
from tlkit.reports.console import Console
from tlkit.reports.printed_table import write_csv
from tlkit.tasks import find_task

LABELS_FILE = "labels.csv"
SKIPPED_FILE = "skipped.csv"
SUMMARY_FILE = "summary.json"
_NUM_FIRST = 5


def write_audit_tables(
    out: Path,
    study: Study,
    records: Sequence[ImageRecord],
    manifest: Manifest,
    moves: Sequence[Move] | None,
) -> dict[str, Any]:
    """Write the tables of an audit into its folder, and return what `--json` prints.

    Files of an earlier audit in the folder that do not apply to this one are removed: `labels.csv` where labels were not
    judged, `moves.csv` where images have boxes or masks, which no move to another folder corrects.

    Args:
        out: The folder.
        study: What was found.
        records: The images.
        manifest: The data set.
        moves: What is proposed; None where files cannot be moved.
    """
    audit = study.audit
    write_findings(out / FINDINGS_FILE, audit.findings, manifest.root)
    (out / LABELS_FILE).unlink(missing_ok=True)
    if study.labels and study.labels.estimate:
        _write_labels(out / LABELS_FILE, study.labels, records, manifest.root)
    (out / MOVES_FILE).unlink(missing_ok=True)
    if not find_task(manifest.task).has_objects:
        write_moves(out / MOVES_FILE, moves or ())
    skipped = [(shorten_path(item.path, manifest.root), item.reason) for item in manifest.skipped]
    write_csv(out / SKIPPED_FILE, ("path", "reason"), skipped)
    payload = {
        **audit.to_payload(),
        "skipped": len(manifest.skipped),
        "moves": len(moves or ()),
        "first": [
            {"kind": each.kind, "path": show_path(each.path), "given": each.given, "suggested": each.suggested}
            for each in audit.findings[:_NUM_FIRST]
        ],
        "out": out,
        "page": out / PAGE_FILE,
    }
    write_json(out / SUMMARY_FILE, payload)
    return payload


def _write_labels(path: Path, labels: LabelAudit, records: Sequence[ImageRecord], root: Path) -> None:
    """Write the judgement of every answer, the most doubtful first."""
    order = np.argsort(-labels.wrong, kind="stable")
    rows = (
        (
            shorten_path(records[place].path, root),
            records[place].split,
            records[place].answer,
            labels.suggested[place],
            f"{labels.wrong[place]:.6f}",
        )
        for place in order
    )
    write_csv(path, ("path", "split", "given", "suggested", "wrong"), rows)


def print_audit(audit: Audit, moves: Sequence[Move] | None, manifest: Manifest, out: Path, console: Console) -> None:
    """Print the counts, the first findings and the paths; arguments as for `write_audit_tables`."""
    counts, root = audit.counts(), manifest.root
    if counts:
        console.table("Findings", ("images", "finding"), [(f"{n:,}", KINDS[kind]) for kind, n in counts.items()])
        first = [
            (shorten_path(each.path, root), each.given or "-", each.suggested or "-", each.evidence)
            for each in audit.findings[:_NUM_FIRST]
        ]
        console.table("Look at these first", ("image", "label", "suggested", "evidence"), first)
    if audit.wrong_labels:
        console.say(
            f"Wrong {audit.judged}: {audit.wrong_labels} of {audit.num_judged:,}, estimated with a 95% interval."
        )
    for pair in audit.confusable:
        console.say(f"{pair.first} and {pair.second} are hard to tell apart: {pair.accuracy:.0%} right.")
    for notice in audit.notices:
        console.say(notice)
    if manifest.skipped:
        unusable = manifest.skipped[0]
        number = "1 file is" if len(manifest.skipped) == 1 else f"{len(manifest.skipped):,} files are"
        console.say(f"{number} not usable; the first: {shorten_path(unusable.path, root)} ({unusable.reason}).")
    console.say(f"Written: {out / PAGE_FILE}")
    if moves:
        number = "the move" if len(moves) == 1 else f"the {len(moves):,} moves"
        command = shlex.join(["tlkit", "apply", str(out / MOVES_FILE), str(root)])
        console.say(f"Nothing was moved. To carry out {number}: {command}")
