"""Run a network backwards: pictures for classes, channels, features, textures and styles, and pictures that fool a run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tlkit.backbones.catalogue import BACKBONES, BackboneEntry, find_backbone
from tlkit.data.images import LOADER_VERSION
from tlkit.data.sources import OUTPUT_MARKER, find_images
from tlkit.dreaming.requests import DreamOptions, Wish, check_boundary, check_options, parse_channels
from tlkit.errors import DataError, SettingError
from tlkit.explain.outputs import find_output
from tlkit.models.spec import BundleSpec
from tlkit.models.storage import read_spec
from tlkit.outputs import CLASSIFICATION
from tlkit.places.copies import show_path
from tlkit.recipes import DataSettings
from tlkit.reports.console import Console
from tlkit.reports.output_folder import check_output_folder, held_output_folder
from tlkit.runs.evaluation_set import read_images_to_evaluate
from tlkit.runs.origin import describe_making, describe_origin
from tlkit.tasks import find_task

if TYPE_CHECKING:
    from tlkit.data.manifest import ImageRecord
    from tlkit.dreaming.attacks import Attack
    from tlkit.dreaming.network import DreamNetwork
    from tlkit.dreaming.pages import DreamFolder
    from tlkit.models.predictor import Predictor

DREAMS = "dreams"
Result = dict[str, Any]
Facts = dict[str, str]


@dataclass(frozen=True)
class _Dreamer:
    """What a dream is made of.

    Attributes:
        name: The run folder's or the backbone's.
        run: The run or bundle; None for a backbone alone.
        spec: The run's.
        entry: The backbone's.
        options: What is asked for.
        console: Tells the story.
    """

    name: str
    run: Path | None
    spec: BundleSpec | None
    entry: BackboneEntry
    options: DreamOptions
    console: Console


def run_dream(model: str, sources: Sequence[str], out: Path, options: DreamOptions, *, console: Console) -> Result:
    """Make pictures by running a network backwards, and return the result for scripts.

    Args:
        model: A run folder, a bundle folder, or the name of a backbone.
        sources: Pictures, as far as the wish needs them.
        out: Folder for the pictures and dreams.html.
        options: What is asked for.
        console: Tells the story.

    Raises:
        BackboneError: There is no such boundary, or the weights are missing.
        BundleError: The run is missing, damaged or foreign.
        DataError: A picture cannot be read.
        SettingError: The wish does not go with the model.
        RunError: `out` is in the way of something or in use, or a bundle without its run has no images.
    """
    dreamer = _find_dreamer(model, options, console)
    paths = _find_pictures(sources, model)
    check_options(options, paths, model=model, is_run=dreamer.run is not None)
    _check_wish(dreamer)
    if options.style:
        paths += _find_pictures([options.style], model)
    data_folders = [Path(source) for source in sources if Path(source).is_dir()]
    check_output_folder(out, option="--out", kind=DREAMS, marker=OUTPUT_MARKER, data_folders=data_folders)
    started = time.perf_counter()
    held_out = _read_held_out(dreamer) if options.wish is Wish.REPORT else ()

    from tlkit.runtime import start_keras

    start_keras()
    from tlkit.dreaming.pages import DreamFolder

    with held_output_folder(out, kind=DREAMS, marker=OUTPUT_MARKER):
        folder = DreamFolder(out)
        if options.wish is Wish.REPORT:
            result, facts = _report(dreamer, held_out, folder)
        else:
            result, facts = (_fool if options.wish is Wish.FOOL else _paint)(dreamer, paths, folder)
        page = folder.write_page(f"Dreams of {dreamer.name}", "Made by tlkit.", facts, _describe_origin(dreamer))
    payload = {"model": model, "out": out, "page": page, "kind": options.wish.removeprefix("--"), **result}
    console.say(f"Dreams: {page}")
    return {**payload, "seconds": round(time.perf_counter() - started, 2)}


def _find_dreamer(model: str, options: DreamOptions, console: Console) -> _Dreamer:
    """Return the backbone of a name, or the run at a path."""
    if model in BACKBONES:
        return _Dreamer(model, None, None, find_backbone(model), options, console)
    if not Path(model).exists() and Path(model).name == model:
        raise SettingError(
            f"{model}: neither a run nor a backbone.",
            expected="a run folder, or the name of a backbone",
            fix="`tlkit backbones` lists the backbones.",
        )
    spec = read_spec(Path(model), loader_version=LOADER_VERSION)
    return _Dreamer(Path(model).resolve().name, Path(model), spec, find_backbone(spec.backbone), options, console)


def _find_pictures(sources: Sequence[str], model: str) -> list[Path]:
    if "-" in sources:
        raise SettingError(
            "-: paths on standard input are not read.",
            expected="folders, patterns or files",
            fix=f"tlkit dream {model} PICTURE …",
        )
    return list(find_images(sources).files or []) if sources else []


def _check_wish(dreamer: _Dreamer) -> None:
    """Check what is asked for against the model, before TensorFlow is loaded."""
    options, spec = dreamer.options, dreamer.spec
    parse_channels(options.channels, dreamer.entry)
    places = [("--amplify", options.amplify), ("--boundary", options.boundary)]
    for option, name in [*places, *(("--invert", name) for name in options.invert)]:
        if name:
            check_boundary(name, dreamer.entry, option)
    if spec is None:
        return
    if options.wish is Wish.CLASS:
        task = find_task(spec.task)
        if task.has_objects or task.has_masks:
            raise SettingError(
                f"--class: {dreamer.run} is a run of {spec.task}, which answers at many places.",
                expected="a run that gives a picture a class, labels or a value",
                fix="use --channel, --amplify or --invert, which work with every run.",
            )
        for name in options.class_names:
            find_output(name, spec)
    elif options.wish in (Wish.FOOL, Wish.REPORT):
        _check_attack(dreamer, spec)


def _check_attack(dreamer: _Dreamer, spec: BundleSpec) -> None:
    if spec.task != CLASSIFICATION or spec.has_one_class:
        raise SettingError(
            f"{dreamer.options.wish}: {dreamer.run} is a run of {spec.task} with {len(spec.class_names)} class(es).",
            expected="a run of classification with two classes or more",
            fix="use --class, --channel, --amplify or --invert.",
        )
    if dreamer.options.wish is Wish.FOOL:
        find_output(dreamer.options.fool, spec)
        if spec.metadata.columns:
            raise SettingError(
                f"--fool: {dreamer.run} takes metadata beside the pictures.",
                expected="a run that answers from pictures alone",
                fix="use --report, which attacks the run's own images with their metadata.",
            )


def _read_held_out(dreamer: _Dreamer) -> tuple[ImageRecord, ...]:
    """Return the held-out images that are attacked, drawn at random if there are more than are asked for."""
    assert dreamer.run is not None, "checked by check_options"
    assert dreamer.spec is not None, "a run has one"
    options, console = dreamer.options, dreamer.console
    images = read_images_to_evaluate(
        dreamer.run, None, dreamer.spec, split=None, settings=DataSettings(), console=console
    )
    chosen = np.random.default_rng(options.seed).permutation(len(images.records))[: options.number]
    console.say(f"Images: {len(chosen):,} of {len(images.records):,}, {images.source}.")
    return tuple(images.records[place] for place in sorted(chosen))


def _paint(dreamer: _Dreamer, paths: Sequence[Path], folder: DreamFolder) -> tuple[Result, Facts]:
    """Make one picture after the other; each file grows while its picture does."""
    from tlkit.dreaming.studio import plan_works

    options, console = dreamer.options, dreamer.console
    outputs = {name: dreamer.spec.class_names.index(name) for name in options.class_names} if dreamer.spec else {}
    works = plan_works(_open_network(dreamer), options, paths, outputs)
    rows = []
    with console.progress("Dreaming", sum(work.num_steps for work in works), "steps") as advance:
        for work in works:
            path, frames = folder.choose_path(work.name), []
            for frame in work.begin():
                if frame is not None:
                    folder.save(path, frame.picture)
                    frames.append(frame)
                advance(1)
            folder.add_growth(work.title, path, frames, work.given)
            losses = [round(frame.loss, 6) for frame in frames]
            rows.append({"title": work.title, "path": path, "steps": work.num_steps, "losses": losses})
    for row in rows:
        console.say(f"{row['title']}: {row['path']}")
    return {"pictures": rows}, {"pictures": f"{len(rows):,}", "steps": f"{options.steps:,}"}


def _open_network(dreamer: _Dreamer) -> DreamNetwork:
    from tlkit.backbones.build import build_backbone
    from tlkit.dreaming.network import DreamNetwork

    if dreamer.run is None:
        size = dreamer.entry.choose_image_size(None)
        weights = dreamer.options.weights
        return DreamNetwork(build_backbone(dreamer.entry.name, image_size=size, pooling="none", weights=weights))
    from tlkit.models.saving import read_bundle

    classifier = read_bundle(dreamer.run, loader_version=LOADER_VERSION)
    return DreamNetwork(classifier.backbone, classifier)


def _open_attack(dreamer: _Dreamer) -> tuple[Attack, Predictor]:
    """Return the attack on a run's model, and the model by the engine that predicts."""
    from tlkit.dreaming.attacks import Attack
    from tlkit.models.classifier import Classifier
    from tlkit.models.opening import open_classifier
    from tlkit.models.saving import read_bundle

    assert dreamer.run is not None, "checked by check_options"
    predictor = open_classifier(dreamer.run, loader_version=LOADER_VERSION)
    if isinstance(predictor, Classifier):
        return Attack(predictor), predictor
    return Attack(read_bundle(dreamer.run, loader_version=LOADER_VERSION)), predictor


def _fool(dreamer: _Dreamer, paths: Sequence[Path], folder: DreamFolder) -> tuple[Result, Facts]:
    """Find the smallest change that makes the run take each picture for a class."""
    from tlkit.data.image_file import ImageFile
    from tlkit.data.images import UnusableImage
    from tlkit.dreaming.attacks import find_smallest_change, predict_classes

    attack, predictor = _open_attack(dreamer)
    spec, target_name = predictor.spec, dreamer.options.fool
    target, metadata = spec.class_names.index(target_name), np.zeros((1, 0), np.float32)
    rows: list[Result] = []
    with dreamer.console.progress("Fooling", len(paths)) as advance:
        for path in paths:
            row: Result = {"path": show_path(path), "error": None, "before": None, "change": None, "changed": None}
            rows.append(row)
            advance(1)
            try:
                picture = ImageFile.read(path, spec.grey).render(image_size=spec.image_size, fit=spec.fit)
            except UnusableImage as unusable:
                row["error"] = unusable.reason
                continue
            row["before"] = spec.class_names[predict_classes(predictor, picture[np.newaxis], metadata)[0]]
            found = find_smallest_change(attack, predictor, picture, target, seed=dreamer.options.seed)
            if found is not None:
                row["change"], changed = found
            if row["change"]:
                row["changed"] = folder.choose_path(f"{path.stem}-taken-for-{target_name}")
                folder.save(row["changed"], changed)
                captions = (f"predicted: {row['before']}", f"predicted: {target_name}")
                folder.add_comparison(path.name, picture, changed, captions, f"{row['change']}/255")
    return _summarise_fooling(rows, target_name, dreamer.console)


def _summarise_fooling(rows: Sequence[Result], target: str, console: Console) -> tuple[Result, Facts]:
    for row in rows:
        if row["error"]:
            console.warn(f"{row['path']}: {row['error']}.")
    if all(row["error"] for row in rows):
        raise DataError("None of the pictures can be read.", expected="at least one picture", fix="name other files.")
    others = [row for row in rows if row["before"] not in (None, target)]
    changes = sorted(row["change"] for row in others if row["change"])
    middle = f"{float(np.median(changes)):g}" if changes else "-"
    console.say(
        f"{len(changes):,} of {len(others):,} pictures are taken for {target} when no colour changes by more than 32 of 255; "
        f"the median of the smallest changes is {middle}."
    )
    if same := sum(row["before"] == target for row in rows):
        console.say(f"{same:,} were taken for {target} as they are.")
    facts = {f"taken for {target}": f"{len(changes):,} of {len(others):,}", "median change": f"{middle} of 255"}
    return {"target": target, "pictures": rows, "fooled": len(changes), "tried": len(others)}, facts


def _report(dreamer: _Dreamer, held_out: tuple[ImageRecord, ...], folder: DreamFolder) -> tuple[Result, Facts]:
    """Attack the run's held-out images."""
    from tlkit.dreaming.robustness import COLUMNS, MANY_STEPS, measure_robustness

    attack, predictor = _open_attack(dreamer)
    with dreamer.console.progress("Attacking", len(held_out)) as advance:
        study = measure_robustness(attack, predictor, held_out, seed=dreamer.options.seed, advance=advance)
    folder.add_robustness(study, predictor.spec.class_names)
    dreamer.console.table("Robustness", COLUMNS, study.list_rows())
    dreamer.console.say(f"Accuracy without a change: {study.clean.in_words()}.")
    facts = {"accuracy": study.clean.in_brief()}
    worst = [each for each in study.figures if each.change == MANY_STEPS]
    return study.as_document(), facts | {f"at {each.distance} of 255": each.accuracy.in_brief() for each in worst}


def _describe_origin(dreamer: _Dreamer) -> dict[str, str]:
    command = dreamer.console.command
    if dreamer.spec is not None:
        return describe_origin(dreamer.spec, data=str(dreamer.run), command=command)
    weights = dreamer.options.weights or dreamer.entry.default_weights
    return {"backbone": f"{dreamer.entry.name}, {Path(weights).name} weights", **describe_making(command)}
