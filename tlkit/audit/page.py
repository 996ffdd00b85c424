"""The page of an audit: photo, given and suggested label, evidence, and a list of moves to choose and save."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from PIL import Image

from tlkit.audit.findings import KINDS, Audit, Finding, shorten_path
from tlkit.audit.moves import COLUMNS, MOVE, MOVES_FILE, REMOVE, SURE_FROM, Move, find_obstacle, make_move
from tlkit.data.images import UnusableImage, read_content, read_picture
from tlkit.data.manifest import ImageRecord, Manifest
from tlkit.outputs import GreyRange
from tlkit.reports.frames import draw_marks
from tlkit.reports.markup import Html, Link, escape_text, render_list, render_table
from tlkit.reports.page import Page, Section, write_page
from tlkit.reports.run_page import render_skipped_section
from tlkit.reports.sheet import Choice, Export, Group, Sheet, Tile, render_sheet
from tlkit.reports.thumbnails import PAGE_BYTES, PictureBudget, make_thumbnail
from tlkit.tasks import find_task

PAGE_FILE = "audit.html"
MAX_PICTURES = 400
MAP_BYTES = 1_500_000
_SHEET_BYTES = PAGE_BYTES - MAP_BYTES
_EDGE_PX = 224
_SHEET = "findings"
_MARKED_EDGE_PX, _MARKED_BYTES = 352, 24_000
_SHARES = {"label": 0.45, "conflict": 0.15, "copy": 0.15}
"""Part of the pictures for the first kinds; the others share what is left."""
_TONES = {
    "label": "wrong",
    "missing": "wrong",
    "class": "wrong",
    "place": "wrong",
    "double": "wrong",
    "doubtful": "unsure",
    "conflict": "wrong",
    "copy": "unsure",
}
_BOX_NOTE = (
    " Dashed frames are the boxes that are given, a name with a question mark the one in question; what is found by a detector "
    "that never saw the picture has a solid frame and its score. Correct the annotations themselves: findings.csv names each "
    "box by its edges, left, top, right and bottom, in pixels."
)


def write_audit_page(
    path: Path,
    audit: Audit,
    records: Sequence[ImageRecord],
    moves: Sequence[Move] | None,
    manifest: Manifest,
    origin: Mapping[str, str],
    image_map: Section | None = None,
) -> Path:
    """Write the page and return its path.

    Args:
        path: The file.
        audit: What was found.
        records: The images.
        moves: What the audit proposes; chosen on the page at first. None where files cannot be moved.
        manifest: The data set.
        origin: Where the figures come from, for the head of the page.
        image_map: The map of the images.
    """
    root, grey, can_move = manifest.root, manifest.grey, moves is not None
    shown = choose_shown(audit.findings)
    by_path = {record.path: record for record in records}
    proposed, task = {move.path: move for move in moves or ()}, find_task(manifest.task)
    max_bytes = PictureBudget(_SHEET_BYTES).share(len(shown))

    def build_tile(finding: Finding) -> Tile:
        record = by_path[finding.path]
        choices = _list_choices(finding, record, root, proposed) if can_move else ()
        return Tile(
            _draw(finding, grey, max_bytes),
            finding.path.name,
            _describe(finding, root),
            badge=f"{finding.score:.0%}" if finding.kind == "label" or finding.marks else "",
            tone=_TONES.get(finding.kind, "plain"),
            facets={
                "kind": KINDS[finding.kind],
                "label": task.names_of(record.answer) if task.has_objects else finding.given,
                "split": finding.split,
            },
            search=f"{shorten_path(finding.path, root)} {finding.suggested}",
            choices=choices,
        )

    groups, totals = [], Counter(finding.kind for finding in audit.findings)
    for kind, found in groupby(shown, key=lambda finding: finding.kind):
        tiles = [build_tile(finding) for finding in found]
        total = totals[kind]
        note = f"{len(tiles):,} of {total:,} are shown; findings.csv lists all." if total > len(tiles) else ""
        groups.append(Group(KINDS[kind].capitalize(), tiles, note))
    sheet = render_sheet(
        Sheet(
            _SHEET,
            "Findings",
            groups,
            "The first of each kind is the one to look at first. Nothing has been moved. Choose below a picture what to "
            f"do with it, save the list, and run: {shlex.join(['tlkit', 'apply', MOVES_FILE, str(root)])}. With --undo "
            "the same command takes everything back. Only wrong "
            f"labels with a probability of at least {SURE_FROM:.0%} and surplus copies with the same bytes, label and "
            "split are chosen at first."
            if can_move
            else f"The first of each kind is the one to look at first.{_BOX_NOTE if task.lists_objects else ''}",
            {"kind": "Kind", "label": "Class" if task.has_objects else "Given label", "split": "Split"},
            export=Export(MOVES_FILE, COLUMNS, f"Save {MOVES_FILE}") if can_move else None,
        )
    )
    sections = [_render_counts(audit), sheet, _render_confusable(audit), image_map, _render_notices(audit)]
    sections.append(render_skipped_section([(shorten_path(item.path, root), item.reason) for item in manifest.skipped]))
    facts = {"images": f"{audit.num_images:,}"}
    if audit.wrong_labels:
        facts[f"wrong {audit.judged}, estimated"] = str(audit.wrong_labels)
    page = Page(root.name, "Audit of a data set.", [section for section in sections if section], facts, origin)
    return write_page(path, page)


def choose_shown(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings whose pictures fit on a page: the first of each kind."""
    by_kind = {kind: list(found) for kind, found in groupby(findings, key=lambda finding: finding.kind)}
    others = [kind for kind in by_kind if kind not in _SHARES]
    rest = (1 - sum(_SHARES.get(kind, 0.0) for kind in by_kind)) / max(1, len(others))
    shown: list[Finding] = []
    for kind, found in by_kind.items():
        shown += found[: int(MAX_PICTURES * _SHARES.get(kind, rest))]
    return shown


def _list_choices(finding: Finding, record: ImageRecord, root: Path, proposed: Mapping[str, Move]) -> Sequence[Choice]:
    keep = Choice("leave as it is")
    remove = Choice("remove", make_move(finding, record, root, action=REMOVE).to_row())
    if find_obstacle(record.path, root):
        return ()
    choices = [keep, remove]
    if finding.suggested:
        choices.insert(
            1, Choice(f"move to {finding.suggested}", make_move(finding, record, root, action=MOVE).to_row())
        )
    chosen = proposed.get(shorten_path(finding.path, root))
    if chosen:
        row = chosen.to_row()
        choices.sort(key=lambda choice: choice.row != row)
    return choices


def _describe(finding: Finding, root: Path) -> list[str]:
    lines = [
        shorten_path(finding.path, root),
        f"given: {finding.given}" if finding.given else ("no box" if finding.marks else "no label"),
    ]
    if finding.suggested:
        lines.append(f"suggested: {finding.suggested}")
    if finding.group is not None:
        lines.append(f"group {finding.group + 1}")
    return [*lines, finding.evidence]


def _draw(finding: Finding, grey: Sequence[GreyRange], max_bytes: int) -> bytes:
    edge = _MARKED_EDGE_PX if finding.marks else _EDGE_PX
    try:
        picture = read_picture(read_content(finding.path), target=(edge, edge), grey=grey)
    except UnusableImage:  # it was there when it was looked at
        return _draw_missing()
    if finding.marks:
        return make_thumbnail(
            draw_marks(_fit(picture, edge), finding.marks), edge_px=edge, max_bytes=min(_MARKED_BYTES, max_bytes)
        )
    return make_thumbnail(picture, edge_px=_EDGE_PX, max_bytes=min(12_000, max_bytes))


def _fit(picture: Image.Image, edge_px: int) -> Image.Image:
    """Return a picture whose longer edge is `edge_px`, so that frames and letters have the same width in all."""
    scale = edge_px / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC)


def _draw_missing() -> bytes:
    return make_thumbnail(Image.new("RGB", (_EDGE_PX, _EDGE_PX), (128, 128, 128)))


def _render_counts(audit: Audit) -> Section:
    counts = audit.counts()
    rows = [
        (Link(f"{number:,}", _SHEET, {"kind": KINDS[kind]}, f"{number:,} images: {KINDS[kind]}"), KINDS[kind])
        for kind, number in counts.items()
    ]
    if not rows:
        return Section("Summary", Html(f"<p>{escape_text('Nothing was found.')}</p>"))
    note = ""
    if audit.wrong_labels:
        note = (
            f"Estimated from held-out predictions: {audit.wrong_labels} of the {audit.num_judged:,} {audit.judged} are "
            "wrong, with a 95% interval. The estimate holds if they are wrong independently of how clear the picture is."
        )
    return Section("Summary", render_table((("images", "finding"), rows), label="Number of images per finding"), note)


def _render_confusable(audit: Audit) -> Section | None:
    if not audit.confusable:
        return None
    rows = [(pair.first, pair.second, f"{pair.accuracy:.0%}", f"{pair.num_images:,}") for pair in audit.confusable]
    table = render_table(
        (("class", "class", "told apart", "images"), rows), label="Classes that are hard to tell apart"
    )
    note = (
        "How often held-out predictions prefer the right one of two classes; 50% is chance. Such classes may need more "
        "images, a clearer definition, or a backbone that sees the difference."
    )
    return Section("Classes that features hardly tell apart", table, note)


def _render_notices(audit: Audit) -> Section | None:
    return Section("Notices", render_list(audit.notices)) if audit.notices else None
