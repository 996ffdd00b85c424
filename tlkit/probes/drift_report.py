"""What is different about new images in words, as a table, and as a page of pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tlkit.inference.predictions import make_prediction
from tlkit.models.spec import BundleSpec
from tlkit.outputs import format_value
from tlkit.places.copies import show_path
from tlkit.probes.drift import LOOKS, MIN_COMPARED, SIGNIFICANT, Drift, Sample
from tlkit.reports.markup import Table
from tlkit.reports.page import Page, Section, write_page
from tlkit.reports.printed_table import write_csv
from tlkit.reports.run_page import render_table_section
from tlkit.reports.sheet import Group, Sheet, Tile, render_sheet
from tlkit.reports.thumbnails import PictureBudget
from tlkit.runs.new_images import name_answer, read_thumbnail

CSV_FILE, PAGE_FILE = "drift.csv", "drift.html"
CSV_COLUMNS = (
    "rank", "path", "predicted", "probability", "distance", "novelty", "unknown", *LOOKS, "width", "height", "camera",
    "reason",
)  # fmt: skip
_MAX_TILES = 300
_MAX_SHARES = 12
_CLEARLY_APART = 0.75
_MANY_UNKNOWN = 0.2
ENOUGH_IMAGES = 30
"""With fewer new images, intervals are wide."""


def describe_drift(drift: Drift) -> list[str]:
    """Return what is different, a sentence each; the expected score first."""
    write = format_value if drift.quantity == "mean absolute error" else "{:.3f}".format
    shift, number = drift.features, len(drift.order)
    if shift is None or drift.expected is None:
        images = "One image is" if number == 1 else f"{number} images are"
        sentences = [
            f"{images} too few to tell whether such images differ from the run's, or what {drift.quantity} to expect on "
            f"them: that takes at least {MIN_COMPARED}, better {ENOUGH_IMAGES} or more."
        ]
        if cameras := drift.list_new_cameras():
            sentences.append(f"From cameras that the run's images do not have: {', '.join(cameras[:5])}.")
        return sentences
    sentences = [
        f"Expected {drift.quantity} on these images: {drift.expected.in_words(write)}; measured on the run's held-out "
        f"images: {drift.measured.in_words(write)}."
    ]
    if drift.is_vague:
        sentences.append(
            "This interval is too wide to rely on: label a few dozen of the images that are listed first, and evaluate them."
        )
    if shift.p_value > SIGNIFICANT:
        sentences.append(f"To the network they are not different from the run's images (p = {shift.p_value:.2g}).")
    else:
        how = "clearly" if shift.separability >= _CLEARLY_APART else "slightly"
        sentence = f"To the network they are {how} different (p = {shift.p_value:.2g})"
        if shift.separability > 0.5:
            sentence += (
                ": of a new and a known image, a linear classifier names the new one "
                f"{shift.separability:.0%} of the time"
            )
        sentences.append(f"{sentence}.")
    if drift.unknown is not None:
        share = _count_unknown(drift) or drift.unknown.in_words("{:.1%}".format)
        sentences.append(f"Unknown to the model: {share}.")
        if drift.unknown.value >= _MANY_UNKNOWN:
            sentences.append("If these show nothing that the model has learnt, no answer to them is right.")
    if looks := drift.describe_looks():
        sentences.append(f"They are {'; '.join(looks)}.")
    if cameras := drift.list_new_cameras():
        sentences.append(f"From cameras that the run's images do not have: {', '.join(cameras[:5])}.")
    return sentences


def write_drift(
    folder: Path, drift: Drift, new: Sample, spec: BundleSpec, *, title: str, origin: Mapping[str, str]
) -> None:
    """Write drift.csv, in the order to look at the images, and drift.html.

    Args:
        folder: Where they go.
        drift: What is different.
        new: The new images.
        spec: The model's.
        title: The page's.
        origin: Where the figures come from, by name.
    """
    rows = [_list_cells(rank, place, drift, new, spec) for rank, place in enumerate(drift.order, start=1)]
    write_csv(folder / CSV_FILE, CSV_COLUMNS, rows)
    write = format_value if drift.quantity == "mean absolute error" else "{:.3f}".format
    facts = {
        f"expected {drift.quantity}": "too few images" if drift.expected is None else drift.expected.in_brief(write),
        f"held-out {drift.quantity}": drift.measured.in_brief(write),
        "new images": f"{len(drift.order):,}",
    }
    if drift.unknown is not None:
        facts["unknown"] = _count_unknown(drift) or drift.unknown.in_brief("{:.1%}".format)
    sections = [
        render_table_section("What is different", _HOW_TO_READ, _tabulate_looks(drift)) if drift.looks else None,
        _render_tiles(drift, new, spec),
        render_table_section("Cameras", "The part of the images from each.", _tabulate_shares("camera", drift.cameras)),
        render_table_section(
            "Answers",
            "The part of the images that the model gives each answer.",
            _tabulate_shares("answer", drift.answers),
        ),
    ]
    page = Page(
        title,
        "Comparison by tlkit.",
        [section for section in sections if section],
        facts,
        origin,
        " ".join(describe_drift(drift)),
    )
    write_page(folder / PAGE_FILE, page)


def _count_unknown(drift: Drift) -> str:
    """Return the number of unknown images among a few, of which an interval would say nothing; nothing of many."""
    number = len(drift.order)
    if drift.unknown is None or number >= ENOUGH_IMAGES:
        return ""
    return f"{round(drift.unknown.value * number)} of {number}"


def describe_novelty(novelty: float) -> str:
    """Return how far an image is from the training images, in words."""
    return f"farther from the training images than {novelty:.0%} of the held-out ones"


_HOW_TO_READ = (
    "Medians of the new images beside those that the run held back. A new image has a higher value than a known one in "
    "so many of 100 pairs: 50 is no difference. p is the chance of such a difference between images of the same kind."
)


def _tabulate_looks(drift: Drift) -> Table:
    rows = [
        (name, f"{each.known:.3g}", f"{each.new:.3g}", f"{100 * each.above:.0f}", f"{each.p_value:.3f}")
        for name, each in drift.looks.items()
    ]
    return ("figure", "held-out images", "new images", "higher in 100 pairs", "p"), rows


def _tabulate_shares(title: str, shares: dict[str, tuple[float, float]]) -> Table:
    largest = sorted(shares.items(), key=lambda each: -abs(each[1][1] - each[1][0]))[:_MAX_SHARES]
    return (title, "held-out images", "new images"), [
        (name, f"{known:.1%}", f"{new:.1%}") for name, (known, new) in largest
    ]


def _list_cells(rank: int, place: int, drift: Drift, new: Sample, spec: BundleSpec) -> Sequence[object]:
    scores, looks = new.scores, new.looks
    distance = None if scores.distances is None else scores.distances[place]
    path = show_path(scores.records[place].path)
    prediction = make_prediction(path, scores.answers[place], None, distance, spec, top_k=1)
    figures = [f"{new.figure(name)[place]:.4g}" for name in LOOKS]
    size = (int(looks.width[place]), int(looks.height[place]))
    unknown = "yes" if prediction.is_unknown else "no"
    return (
        rank, path, *name_answer(prediction), prediction.distance, f"{drift.novelty[place]:.3f}", unknown, *figures, *size, looks.cameras[place],
        drift.reasons[place],
    )  # fmt: skip


def _render_tiles(drift: Drift, new: Sample, spec: BundleSpec) -> Section | None:
    first = drift.order[:_MAX_TILES]
    max_bytes = PictureBudget().share(len(first))
    tiles = []
    for rank, place in enumerate(first, start=1):
        scores = new.scores
        path = scores.records[place].path
        if picture := read_thumbnail(path, spec.grey, max_bytes):
            distance = None if scores.distances is None else scores.distances[place]
            prediction = make_prediction(show_path(path), scores.answers[place], None, distance, spec, top_k=1)
            predicted, probability = name_answer(prediction)
            sure = f" ({probability:.2f})" if probability is not None else ""
            reasons = [each for each in drift.reasons[place].split("; ") if each]
            tone = "unsure" if prediction.is_unknown else "plain"
            novelty = [describe_novelty(drift.novelty[place])] if drift.features is None else []
            lines = (f"{predicted}{sure}", *novelty, *reasons)
            facets = {"reason": reasons or "nothing in particular"}
            tiles.append(Tile(picture, path.name, lines, str(rank), tone, facets, show_path(path)))
    note = "Unknown pictures first, then those with an odd look or a doubtful answer."
    if len(first) < len(drift.order):
        note += f" The first {len(first):,} of {len(drift.order):,}; all are in {CSV_FILE}."
    return render_sheet(Sheet("first", "Look at these first", [Group("", tiles)], note, {"reason": "Reason"}))
