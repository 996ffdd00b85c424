"""Demonstrate all steps on a small data set that is drawn on the spot, with the small network that ships with tlkit.

The steps: draw fish in a pond, compute features, train a head, unfreeze the highest layers, evaluate the model on test
images, show where it looks, test the metadata for leaks, train a second model that takes metadata and predicts a box, train a
third that finds any number of fish, predict new images, export the model, audit an untidy folder, and print what to do next. Nothing is downloaded.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import itertools
import shlex
from pathlib import Path
from typing import Any

from tlkit.audit.findings import FINDINGS_FILE
from tlkit.commands.audit import AuditRequest, run_audit
from tlkit.commands.demo_results import (
    AUDIT,
    EVALUATION,
    EXPLANATIONS,
    EXPORT,
    FISHERIES_EVALUATION,
    FISHERIES_RUN,
    HEAD,
    METADATA,
    PREDICTIONS,
    PREVIEWS,
    SHOALS_EVALUATION,
    SHOALS_RUN,
    UNFROZEN,
    print_next_steps,
    print_step,
)
from tlkit.commands.evaluate import EvaluateOptions, run_evaluate
from tlkit.commands.explain import ExplainOptions, run_explain
from tlkit.commands.export import ExportRequest, run_export
from tlkit.commands.finetune import run_finetune
from tlkit.commands.leak import run_leak
from tlkit.commands.precompute import PrecomputeOptions, run_precompute
from tlkit.commands.predict import run_predict
from tlkit.data.views import ViewPlan
from tlkit.exports.choice import choose_installed
from tlkit.inference.destinations import PredictOutputs
from tlkit.metadata.columns import ALL_IMAGE_FACTS
from tlkit.outputs import DETECTION
from tlkit.pond import KINDS, NUM_NEW_PHOTOS, NUM_SHOALS, PHOTOS_PER_KIND, Pond, draw_pond
from tlkit.recipes import BackboneSettings, DataSettings, HeadSettings, Recipe, Stage, TrainingSettings, make_sections
from tlkit.reports.console import Console

NUM_VIEWS = 4
POLICY = "standard"
TINY = BackboneSettings(name="tiny")
SEED = TrainingSettings().seed
UNFREEZE = "block4"
HEAD_STAGE = Stage(name="head", epochs=20, views=NUM_VIEWS, policy=POLICY)
UNFROZEN_STAGE = Stage(
    name=f"unfreeze-{UNFREEZE}", unfreeze=UNFREEZE, epochs=8, views=NUM_VIEWS, policy=POLICY, lr=1e-3, lr_ratio=3
)
DETECTOR_BACKBONE = dataclasses.replace(TINY, image_size=224, fit="pad")
DETECTOR_STAGE = Stage(name="detector", epochs=16, views=NUM_VIEWS, policy=POLICY)
FISHERIES = Recipe(
    data=DataSettings(metadata=ALL_IMAGE_FACTS, boxes="photos.csv"),
    backbone=TINY,
    stages=(dataclasses.replace(HEAD_STAGE, epochs=30), UNFROZEN_STAGE),
)
"""recipes/fisheries.toml, which an installed tlkit does not have at hand."""

EXPORT_FORMATS = ("onnx", "openvino", "keras")
"""Of these, the first that is installed is exported."""


def run_demo(folder: Path, *, console: Console) -> dict[str, Any]:
    """Draw the data set and run all steps on it.

    Args:
        folder: Folder for images and results. A second run reuses the images, and writes results to a new subfolder.
        console: Prints progress and results.

    Returns:
        The JSON result: `folder`, `photos` (drawn and reused), `run` (the first model), `validation` (before and after
        each of its stages), `test` (accuracy with its interval, and macro-F1), `verdicts` (on each column of metadata),
        `fisheries` (the second model's `run`, `accuracy` and `boxes`), `predictions`, `previews`, `explanations`,
        `export` (its `out` and the proofs of its `files`), and `audit` (its `page`, and of the planted wrong labels and copies how many there are and how many it found).

    Raises:
        DataError: The folder contains other files.
    """
    console.say(f"tlkit's demo: a fictional pond, its fish, and a network that learns to tell them apart, in {folder}.")
    pond = _draw(folder, console)
    results = _make_results_folder(folder)
    _precompute(pond, console)
    head = _train_head(pond, results, console)
    unfrozen = _unfreeze(pond, results, console)
    scores = _evaluate(results, console)
    _explain(pond, results, console)
    leaks = _find_leaks(pond, results, console)
    fisheries = _train_fisheries(pond, results, console)
    shoals = _train_detector(pond, results, console)
    _predict(pond, results, console)
    export = _export(results, console)
    audit = _audit(pond, results, console)
    print_next_steps(pond, results, console)
    return {
        "folder": folder,
        "photos": {"drawn": pond.num_drawn, "reused": pond.num_reused},
        "run": results / UNFROZEN,
        "validation": [*head["validation"], *unfrozen["validation"]],
        "test": {"accuracy": scores["accuracy"], "macro_f1": scores["macro_f1"]},
        "verdicts": {column["name"]: column["verdict"] for column in leaks["columns"]},
        "fisheries": {"run": results / FISHERIES_RUN, "accuracy": fisheries["accuracy"], "boxes": fisheries["boxes"]},
        "shoals": {"run": results / SHOALS_RUN, "map_50": shoals["map_50"]},
        "predictions": results / PREDICTIONS,
        "previews": results / PREVIEWS,
        "explanations": results / EXPLANATIONS,
        "export": {"out": results / EXPORT, "files": export["files"]},
        "audit": audit,
    }


def _draw(folder: Path, console: Console) -> Pond:
    print_step(
        console,
        "1. Pictures",
        f"Cameras under six boats see four kinds of fish: {', '.join(kind.name for kind in KINDS)}.",
        "Every kind comes in every colour, so a network must look at shape and pattern.",
        "Everything is drawn here, the same each time.",
    )
    num_photos = len(KINDS) * sum(PHOTOS_PER_KIND.values()) + NUM_NEW_PHOTOS + NUM_SHOALS
    with console.progress("Pictures", num_photos, "pictures") as advance:
        pond = draw_pond(folder, photos_per_kind=PHOTOS_PER_KIND, num_shoals=NUM_SHOALS, advance=advance)
    if pond.num_reused:
        console.say(f"{pond.num_reused:,} pictures were reused, {pond.num_drawn:,} were drawn.")
    return pond


def _make_recipe(stage: Stage) -> Recipe:
    return Recipe(backbone=TINY, stages=(stage,))


def _make_results_folder(folder: Path) -> Path:
    for number in itertools.count(1):
        with contextlib.suppress(FileExistsError):  # another process may have created it
            (folder / f"round-{number}").mkdir()
            break
    return folder / f"round-{number}"


def _precompute(pond: Pond, console: Console) -> None:
    print_step(
        console,
        "2. Features (tlkit precompute)",
        "A frozen network, the backbone, turns every picture into numbers, once; training then only reads those.",
        f"Each training picture has {NUM_VIEWS} views: the picture itself, and cropped, mirrored, brighter or paler copies.",
        "This backbone, tiny, ships with tlkit. It was trained on 66,000 small photographs of 200 kinds of things.",
    )
    run_precompute(
        pond.photos,
        PrecomputeOptions(head=HeadSettings(), views=ViewPlan(POLICY, NUM_VIEWS, SEED)),
        data_settings=DataSettings(),
        backbone_settings=TINY,
        console=console,
    )


def _train_head(pond: Pond, results: Path, console: Console) -> dict[str, Any]:
    print_step(
        console,
        "3. A head (tlkit finetune)",
        "Only new last layers, the head, are trained; the backbone does not change.",
        "Every epoch reads one view of each picture from the cache; nothing is computed again.",
    )
    return run_finetune(_make_recipe(HEAD_STAGE), pond.photos, results / HEAD, console=console)


def _unfreeze(pond: Pond, results: Path, console: Console) -> dict[str, Any]:
    print_step(
        console,
        f"4. Unfreezing (tlkit finetune --start-from {HEAD} --unfreeze {UNFREEZE})",
        "The backbone has never seen a drawn fish. Now its highest layers are trained, too, more slowly than the head;",
        "the layers below stay frozen and run once. If validation gets worse, only the head is kept.",
    )
    recipe = _make_recipe(UNFROZEN_STAGE)
    return run_finetune(recipe, pond.photos, results / UNFROZEN, console=console, start_from=results / HEAD)


def _evaluate(results: Path, console: Console) -> dict[str, Any]:
    print_step(
        console,
        "5. The test (tlkit evaluate)",
        f"Pictures that training has not seen. Guessing gets {1 / len(KINDS):.0%} of them right.",
        "The interval shows how far to trust an accuracy on so few pictures.",
    )
    options = EvaluateOptions(out=results / EVALUATION)
    return run_evaluate(results / UNFROZEN, None, options, console=console, settings=DataSettings())


def _explain(pond: Pond, results: Path, console: Console) -> None:
    print_step(
        console,
        "6. Where it looks (tlkit explain)",
        "Heat maps over test pictures: what speaks for the predicted kind, and the training pictures most like each.",
    )
    some = [str(path) for path in sorted(pond.photos.glob("test/*/*.jpg"))[::5]]
    run_explain(results / UNFROZEN, some, results / EXPLANATIONS, ExplainOptions(), console=console)


def _find_leaks(pond: Pond, results: Path, console: Console) -> dict[str, Any]:
    print_step(
        console,
        "7. Metadata (tlkit leak)",
        "A table has the boat and the hour of each picture, its file the image size of the camera. Each boat fishes its own",
        "waters: the size of a picture alone predicts far better than chance, and misleads on a new boat.",
    )
    return run_leak(
        pond.table,
        data_settings=DataSettings(),
        backbone_settings=TINY,
        group_by="boat",
        seed=SEED,
        out=results / METADATA,
        console=console,
    )


def _train_fisheries(pond: Pond, results: Path, console: Console) -> dict[str, Any]:
    print_step(
        console,
        "8. Image and metadata in, class and box out (tlkit run recipes/fisheries.toml)",
        "The course notes' model for the Fisheries contest: the size of the picture joins the features,",
        "and the head predicts a box around the fish in addition to its kind.",
    )
    run_finetune(FISHERIES, pond.table, results / FISHERIES_RUN, console=console)
    options = EvaluateOptions(out=results / FISHERIES_EVALUATION)
    return run_evaluate(results / FISHERIES_RUN, None, options, console=console, settings=DataSettings())


def _train_detector(pond: Pond, results: Path, console: Console) -> dict[str, Any]:
    print_step(
        console,
        "9. Several fish in one picture (tlkit finetune --task detection)",
        f"{NUM_SHOALS} pictures with none to six fish, some of which hide others, and a box around each.",
        "The backbone's maps of two resolutions are cached; a new head answers at every cell of them.",
        "How well it finds fish of all sizes is told by the mean average precision on pictures that it has not seen.",
    )
    data = dataclasses.replace(
        make_sections(DETECTION)["data"], task=DETECTION, boxes=str(pond.boxes), test_fraction=0.2
    )
    sections = make_sections(DETECTION) | {
        "data": data,
        "backbone": DETECTOR_BACKBONE,
    }
    run_finetune(Recipe(**sections, stages=(DETECTOR_STAGE,)), pond.shoals, results / SHOALS_RUN, console=console)
    options = EvaluateOptions(out=results / SHOALS_EVALUATION)
    return run_evaluate(results / SHOALS_RUN, None, options, console=console, settings=DataSettings())


def _predict(pond: Pond, results: Path, console: Console) -> None:
    print_step(
        console,
        "10. New pictures (tlkit predict)",
        f"{NUM_NEW_PHOTOS} pictures without labels, and a truncated file, as most folders have one.",
        "The truncated file gets a row with the reason, and does not stop the others.",
    )
    run_predict(
        results / FISHERIES_RUN,
        [str(pond.new_photos)],
        PredictOutputs(out=results / PREDICTIONS, overlay=results / PREVIEWS),
        console=console,
        stdin=None,
        stdout=io.BytesIO(),
    )


def _export(results: Path, console: Console) -> dict[str, Any]:
    print_step(
        console,
        "11. A model for others (tlkit export)",
        "A file that runs without tlkit. A fresh process is asked about the test pictures: it must answer as the run does.",
        f"The same run answers over HTTP, with a page to drop pictures on: tlkit serve {shlex.quote(str(results / UNFROZEN))}",
    )
    request = ExportRequest(results / UNFROZEN, (choose_installed(EXPORT_FORMATS),), out=results / EXPORT)
    return run_export(request, console=console)


def _audit(pond: Pond, results: Path, console: Console) -> dict[str, Any]:
    wrong, copies = pond.list_mislabelled(), pond.list_copies()
    print_step(
        console,
        "12. A folder that is not tidy (tlkit audit)",
        f"Volunteers sorted the training pictures again: {len(wrong)} are in a wrong folder, and {len(copies)} are there twice,",
        "the second time mirrored, turned, smaller or compressed. The audit does not know which.",
    )
    request = AuditRequest(pond.volunteers, None, DataSettings(), TINY, SEED, results / AUDIT)
    page = run_audit(request, console=console)["page"]
    with (results / AUDIT / FINDINGS_FILE).open(encoding="utf-8", newline="") as file:
        findings = [(row["kind"], row["path"]) for row in csv.DictReader(file)]
    labels, twice = ({path for kind, path in findings if kind == name} for name in ("label", "copy"))
    found = {"labels": len(wrong & labels), "copies": len(copies & twice)}
    console.say(
        f"Found: {found['labels']} wrong labels of {len(wrong)}, among {len(labels)} suspects; {found['copies']} copies of {len(copies)}."
    )
    return {"page": page, "planted": {"labels": len(wrong), "copies": len(copies)}, "found": found}
