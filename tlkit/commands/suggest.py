"""Suggest which unlabelled images to label next, and measure on labelled ones whether that beats random images.

The story: look at the unlabelled images with the run's model, choose unsure ones that are unlike each other, replay the
choice on the run's labelled images, and write the list with a page of pictures.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.data.manifest import Manifest
from tlkit.data.sources import OUTPUT_MARKER
from tlkit.errors import DataError
from tlkit.inference.predictions import make_prediction
from tlkit.inference.scoring import Scores, score_records
from tlkit.models.predictor import Predictor, to_deviations
from tlkit.models.spec import BundleSpec
from tlkit.outputs import format_value
from tlkit.places.copies import show_path
from tlkit.probes.probe import describe_gain
from tlkit.probes.suggestions import (
    MAX_REPLAYED,
    MIN_REPLAYED,
    NUM_REPEATS,
    Replay,
    compute_uncertainty,
    estimate_residuals,
    replay_batches,
    select_batch,
)
from tlkit.reports.console import Console
from tlkit.reports.output_folder import held_output_folder
from tlkit.reports.page import Page, write_page
from tlkit.reports.printed_table import write_csv
from tlkit.reports.sheet import Group, Sheet, Tile, render_sheet
from tlkit.reports.thumbnails import PictureBudget
from tlkit.runs.new_images import ComparisonOptions, draw_sample, name_answer, open_comparison, read_thumbnail
from tlkit.runs.origin import describe_origin
from tlkit.tasks import find_task
from tlkit.tasks.predictions import Prediction

SUGGESTIONS = "suggestions"
CSV_FILE, PAGE_FILE = "suggestions.csv", "suggestions.html"
CSV_COLUMNS = ("rank", "path", "predicted", "probability", "reason")
_UNSURE = 0.5
_MAX_TILES = 400


@dataclass(frozen=True)
class SuggestOptions(ComparisonOptions):
    """What is suggested.

    Attributes:
        number: Images to suggest, at least 1.
    """

    number: int = 20


DEFAULTS = SuggestOptions()


@dataclass(frozen=True)
class Suggestion:
    """An image to label.

    Attributes:
        rank: 1 for the first.
        path: The file.
        predicted: Class, labels or value in words.
        probability: That of the class, 0..1; None for labels and values.
        reason: Why it is suggested.
    """

    rank: int
    path: Path
    predicted: str
    probability: float | None
    reason: str


def run_suggest(
    run: Path, sources: Sequence[str], options: SuggestOptions = DEFAULTS, *, console: Console
) -> dict[str, Any]:
    """Suggest images to label and return the result for scripts.

    Args:
        run: A run folder, or the bundle in it.
        sources: Folders, globs or files of unlabelled images. Images that the run has are left out.
        options: What is suggested.
        console: Tells the story.

    Raises:
        BundleError: The model is missing, damaged or foreign.
        BackboneError: The engine asked for is not installed.
        DataError: There is no usable image that the run has not seen.
        RunError: The bundle is without its run, or `out` is in the way of something or in use.
        SettingError: The sources are those of standard input.
    """
    started = time.perf_counter()
    opened = open_comparison(run, sources, options, kind=SUGGESTIONS, purpose="replay the choice on", console=console)
    manifest, images, predictor, out = opened.manifest, opened.images, opened.predictor, opened.out
    spec = predictor.spec
    with held_output_folder(out, kind=SUGGESTIONS, marker=OUTPUT_MARKER, about=opened.about):
        known = _score_known(predictor, manifest, options.seed, console)
        with console.progress("Predicting", len(images.records)) as advance:
            scores = score_records(predictor, images.records, with_features=True, advance=advance)
        if scores.features is None:
            raise DataError(
                f"{', '.join(sources)}: none of {len(images.records):,} images can be read any more.",
                expected="images unchanged since they were checked",
                fix="run the command again.",
            )
        uncertainty = _measure_uncertainty(spec, scores, known)
        chosen = select_batch(uncertainty, scores.features, options.number, seed=options.seed)
        suggestions = [_describe(rank, place, scores, uncertainty, spec) for rank, place in enumerate(chosen, start=1)]
        replay = _replay(spec, manifest, known, len(chosen), options.seed, console)
        lesson = describe_replay(spec.task, replay)
        write_csv(out / CSV_FILE, CSV_COLUMNS, [[getattr(each, name) for name in CSV_COLUMNS] for each in suggestions])
        origin = describe_origin(spec, data=", ".join(sources), command=console.command)
        _write_page(out / PAGE_FILE, suggestions, lesson, replay, spec, origin)
    payload = {
        "run": run,
        "images": len(images.records),
        "skipped": len(images.skipped) + len(scores.failures),
        "already_seen": images.num_seen,
        "suggestions": [{name: getattr(each, name) for name in CSV_COLUMNS} for each in suggestions],
        "replay": None if replay is None else _describe_numbers(replay),
        "out": out,
        "seconds": round(time.perf_counter() - started, 2),
    }
    shown = [(str(each.rank), each.path.name, each.predicted, each.reason) for each in suggestions[:20]]
    console.table("Label these next", ("rank", "image", "predicted", "reason"), shown)
    console.say(f"{lesson}\nWritten: {out / CSV_FILE}, {out / PAGE_FILE}")
    return payload


def describe_replay(task: str, replay: Replay | None) -> str:
    """Return in words whether the choice beat random images on the run's labelled ones."""
    if replay is None:
        return f"The run has fewer than {MIN_REPLAYED} labelled images: too few to tell whether choosing beats chance."
    gain = describe_gain(task, replay.gain)
    unit = "" if find_task(task).has_names else " of R²"
    added = "one chosen image" if replay.num_added == 1 else f"{replay.num_added} chosen images"
    others = "a random one" if replay.num_added == 1 else "as many random ones"
    how = (
        f"In {replay.num_repeats} replays on the run's labelled images, {added} brought {gain}{unit} "
        f"over {others}, from {replay.num_start} labelled images on."
    )
    return {
        "gain": f"Choosing pays here. {how}",
        "unclear": f"The run has too few labelled images to tell whether choosing beats chance. {how}",
        "no gain": f"No gain over random images could be measured here. {how}",
        "loss": f"Random images did better here: label a random sample instead. {how}",
    }[replay.verdict]


def _score_known(predictor: Predictor, manifest: Manifest, seed: int, console: Console) -> Scores:
    """Return answers and features of labelled images: all, or those held out if the backbone has learnt the others."""
    has_learnt = predictor.spec.unfrozen != "none"
    records = [record for record in manifest.records if record.split != "train" or not has_learnt]
    sample = draw_sample(records, MAX_REPLAYED, seed)
    with console.progress("Labelled images", len(sample)) as advance:
        return score_records(predictor, sample, with_features=True, advance=advance)


def _measure_uncertainty(spec: BundleSpec, scores: Scores, known: Scores) -> NDArray[np.float64]:
    assert scores.features is not None
    if find_task(spec.task).has_names:
        return compute_uncertainty(spec.task, scores.answers)
    held_out = known.take([place for place, record in enumerate(known.records) if record.split != "train"])
    if held_out.features is None or not len(held_out.records):
        return np.ones(len(scores.records))
    values = find_task(spec.task).make_targets([record.answer for record in held_out.records], ())
    return estimate_residuals(scores.features, held_out.features, np.abs(held_out.answers - values)[:, 0])


def _replay(
    spec: BundleSpec, manifest: Manifest, known: Scores, number: int, seed: int, console: Console
) -> Replay | None:
    if known.features is None:
        return None
    task = find_task(spec.task)
    targets = task.encode_targets(manifest.targets(known.records), len(manifest.class_names))
    if spec.target is not None:
        targets = to_deviations(spec.target, targets)
    with console.progress("Replay", NUM_REPEATS, "repeats", closes=False) as advance:
        return replay_batches(spec.task, targets, known.features, number, seed=seed, advance=advance)


def _describe(rank: int, place: int, scores: Scores, uncertainty: NDArray[np.float64], spec: BundleSpec) -> Suggestion:
    distance = None if scores.distances is None else scores.distances[place]
    path = scores.records[place].path
    prediction = make_prediction(show_path(path), scores.answers[place], None, distance, spec, top_k=2)
    predicted, probability = name_answer(prediction)
    return Suggestion(rank, path, predicted, probability, _say_reason(prediction, float(uncertainty[place]), spec))


def _say_reason(prediction: Prediction, uncertainty: float, spec: BundleSpec) -> str:
    reasons = ["unlike the training images"] if prediction.is_unknown else []
    if prediction.value is not None:
        reasons.append(f"images like it are off by {format_value(uncertainty)}")
    elif uncertainty >= _UNSURE and prediction.labels is None and len(prediction.ranked) > 1:
        (first, _), (second, probability) = prediction.ranked[:2]
        reasons.append(f"unsure: {first} or {second} ({probability:.2f})")
    elif uncertainty >= _UNSURE:
        reasons.append("unsure of a label")
    return "; ".join(reasons) or "little doubt; unlike the images suggested before it"


def _describe_numbers(replay: Replay) -> dict[str, Any]:
    gain = {"value": replay.gain.value, "low": replay.gain.low, "high": replay.gain.high}
    names = ("num_start", "num_added", "num_pool", "num_test", "num_repeats", "before", "random", "chosen", "verdict")
    return {**{name.removeprefix("num_"): getattr(replay, name) for name in names}, "gain": gain}


def _write_page(
    path: Path,
    suggestions: Sequence[Suggestion],
    lesson: str,
    replay: Replay | None,
    spec: BundleSpec,
    origin: Mapping[str, str],
) -> None:
    shown = suggestions[:_MAX_TILES]
    max_bytes = PictureBudget().share(len(shown))
    has_names, tiles = find_task(spec.task).has_names, []
    for each in shown:
        if picture := read_thumbnail(each.path, spec.grey, max_bytes):
            lines = (f"predicted: {each.predicted}", each.reason)
            facets = {"predicted": each.predicted} if has_names else {}
            tiles.append(
                Tile(
                    picture,
                    each.path.name,
                    lines,
                    str(each.rank),
                    facets=facets,
                    search=show_path(each.path),
                    tone="unsure",
                )
            )
    note = "In the order to label them: unsure ones first, each unlike those before it."
    if len(shown) < len(suggestions):
        note += f" The first {len(shown):,} of {len(suggestions):,}; all are in {CSV_FILE}."
    sheet = render_sheet(
        Sheet(
            "suggestions", "Label these next", [Group("", tiles)], note, {"predicted": "Predicted"} if has_names else {}
        )
    )
    facts = {"suggested images": f"{len(suggestions):,}"}
    if replay is not None:
        facts["over random images"] = describe_gain(spec.task, replay.gain).replace(" (95% interval ", " (")
    write_page(
        path,
        Page(
            "What to label next",
            "Suggestions of tlkit.",
            [sheet] if sheet else [],
            facts,
            origin,
            lesson,
        ),
    )
