r"""Measure what mixing, test-time views and the focal loss bring: test scores beside those of plain training, by seed.

    D=DATA W=mobilenet_v2_1.0_224_no_top.weights.h5
    python -m benchmarks.views houses $D/houses/houses.csv --out quarters.csv
    python -m benchmarks.mixing heads --data clothing=$D/clothing --data brain=$D/brain_tumor --data houses=quarters.csv \
        --weights $W --out mixing.jsonl
    python -m benchmarks.mixing rare --data clothing=$D/clothing --weights $W --out mixing.jsonl
    python -m benchmarks.mixing pixels --data clothing=$D/clothing --out mixing.jsonl
    python -m benchmarks.mixing report mixing.jsonl

`heads` trains the dense head as `tlkit finetune` does, on features of the picture itself and on four cached views, and
scores the test images by one, four and eight views. `rare` cuts the training and validation images of the classes down
to sizes that fall geometrically, the largest all of them, the smallest one in eighteen; which class is which is drawn by
the seed; the test is left as it is. `pixels` trains all of `tiny` at 64 pixels. A data set without a test split of its
own gives a fifth to the test and a fifth to validation, another one for each seed.

Lines are added to the file as they are measured; those that it has are not measured again. Features take `TLKIT_CACHE`:
about 2.5 GB for the three sets.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.division import compute_t_interval, divide_for_test
from benchmarks.views.cells import TOP
from benchmarks.views.features import CachedViews, read_divided
from tlkit.commands.evaluate import EvaluateOptions, run_evaluate
from tlkit.commands.finetune import run_finetune
from tlkit.data.manifest import Manifest
from tlkit.data.views import ViewPlan
from tlkit.features.ensure import ensure_features
from tlkit.features.request import FeatureRequest
from tlkit.features.trunk_notes import TrunkRequest
from tlkit.features.trunks import open_trunk
from tlkit.outputs import CLASSIFICATION
from tlkit.places.cache_root import default_cache_root
from tlkit.recipes import (
    BackboneSettings,
    DataSettings,
    HeadSettings,
    Recipe,
    Stage,
    TrainingSettings,
    resolve_backbone,
    resolve_stages,
)
from tlkit.reports.console import Console
from tlkit.runtime import graph_precision, start_keras
from tlkit.tasks import find_task

QUIET = Console(verbosity=-1)
NUM_VIEWS = 8
TEST_VIEWS = (1, 4, 8)
SMALLEST_PART = 1 / 18
UNFROZEN = Stage(unfreeze="all", epochs=20, lr=1e-3, lr_ratio=3, patience=0)


@dataclass(frozen=True)
class Cell:
    """One training.

    Attributes:
        data: Name of the set.
        kind: heads, rare or pixels.
        seed: Of split, weights, order, mixing and, for `rare`, of the classes that are rare.
        views: Cached views that are trained on.
        mixup: The stage's setting, and so with `cutmix`.
        cutmix: 0 but for `pixels`.
        focal: The training's setting, and so with `class_weight`.
        class_weight: none or balanced.
    """

    data: str
    kind: str
    seed: int
    views: int = 1
    mixup: float = 0.0
    cutmix: float = 0.0
    focal: float = 0.0
    class_weight: str = "none"


PLAIN = {"views": 1, "mixup": 0.0, "cutmix": 0.0, "focal": 0.0, "class_weight": "none"}


def list_heads(data: str, seed: int) -> Iterator[Cell]:
    """Yield the heads of a set."""
    for views, mixup in itertools.product((1, 4), (0.0, 0.2, 0.4)):
        yield Cell(data, "heads", seed, views, mixup)


def list_rare(data: str, seed: int) -> Iterator[Cell]:
    """Yield the heads that are trained on rare classes."""
    for focal, class_weight in itertools.product((0.0, 2.0), ("none", "balanced")):
        yield Cell(data, "rare", seed, focal=focal, class_weight=class_weight)
    yield Cell(data, "rare", seed, mixup=0.4)


def list_pixels(data: str, seed: int) -> Iterator[Cell]:
    """Yield the trainings of all layers."""
    for mixup, cutmix in ((0.0, 0.0), (0.2, 0.0), (0.0, 1.0), (0.2, 1.0)):
        yield Cell(data, "pixels", seed, mixup=mixup, cutmix=cutmix)


def make_rare(manifest: Manifest, seed: int) -> Manifest:
    """Return a set of whose classes a part of the training and validation images is left, another of each."""
    generator = np.random.default_rng(seed)
    names = generator.permutation(manifest.class_names)
    parts = dict(zip(names, SMALLEST_PART ** np.linspace(0, 1, len(names)), strict=True))
    records = [record for record in manifest.records if record.split == "test"]
    for split, name in itertools.product(("train", "validation"), manifest.class_names):
        found = [record for record in manifest.in_split(split) if record.answer == name]
        kept = generator.permutation(len(found))[: max(1, round(parts[name] * len(found)))]
        records += [found[place] for place in sorted(kept)]
    return dataclasses.replace(manifest, records=tuple(records))


def open_views(path: Path, weights: str, num_views: int = NUM_VIEWS) -> CachedViews:
    """Return the features of all images of a set in their views, computed where the cache lacks them."""
    backbone = resolve_backbone(BackboneSettings(name="mobilenet_v2", weights=weights))
    manifest = read_divided(path, 0)
    records = tuple(dataclasses.replace(record, split="train") for record in manifest.records)
    features = ensure_features(
        dataclasses.replace(manifest, records=records),
        open_trunk(TrunkRequest(backbone, "none", TOP, 0), default_cache_root(), Console()),
        FeatureRequest(backbone, TOP, ViewPlan("standard", num_views, 0)),
        cache_root=default_cache_root(),
        console=Console(),
    )
    return CachedViews(features)


def train_head(cached: CachedViews, manifest: Manifest, cell: Cell) -> dict[str, Any]:
    """Train a head and return its test scores by the number of views that are averaged."""
    import keras

    from benchmarks.views.trainings import make_parts, make_source
    from tlkit.heads import build_head
    from tlkit.training.held_out import compute_logits, fit_unwatched, make_stage_data
    from tlkit.training.steps import StageModel

    head = HeadSettings()
    training = TrainingSettings(seed=cell.seed, focal=cell.focal, class_weight=cell.class_weight)
    (stage,) = resolve_stages(Recipe(stages=(Stage(name="head", views=cell.views, mixup=cell.mixup),)))
    answers, parts, outputs = make_parts(manifest, cached)
    source = make_source(cached, cell.views, head)
    keras.utils.set_random_seed(cell.seed)
    network = build_head(head.kind, feature_shape=source.shape, outputs=outputs, dropout=head.dropout, units=head.units)
    model = StageModel(tail=None, head=network, tail_trains=False)
    data = make_stage_data(source, answers, parts, outputs=outputs, stage=stage, training=training)
    with graph_precision("auto"):
        progress = fit_unwatched(model, data, [stage.head_rate] * len(model.trainable_variables), stage, training)
    predicted = [compute_logits(model, source.read, parts.test, view=view) for view in range(NUM_VIEWS)]
    probabilities = np.stack([find_task(CLASSIFICATION).activate(logits) for logits in predicted])
    scores = {count: compute_scores(probabilities[:count].mean(axis=0), answers[parts.test]) for count in TEST_VIEWS}
    return {"epochs": progress.epochs_done, "best_epoch": progress.best_epoch, "scores": scores}


def compute_scores(probabilities: NDArray[np.floating[Any]], truth: NDArray[Any]) -> dict[str, float]:
    """Return accuracy, macro-F1 and log loss."""
    predicted = probabilities.argmax(axis=1)
    f1 = []
    for label in np.unique(truth):
        right = int(((predicted == label) & (truth == label)).sum())
        f1.append(2 * right / int((predicted == label).sum() + (truth == label).sum()))
    true = probabilities[np.arange(len(truth)), truth]
    return {
        "accuracy": float((predicted == truth).mean()),
        "macro_f1": float(np.mean(f1)),
        "log_loss": float(-np.log(np.maximum(true, 1e-9)).mean()),
    }


def train_pixels(path: Path, cell: Cell) -> dict[str, Any]:
    """Train a head and then everything, on pictures of 64 pixels, and return the test scores."""
    recipe = Recipe(
        data=divide_for_test(path),
        backbone=BackboneSettings(name="tiny", image_size=64),
        training=TrainingSettings(seed=cell.seed),
        stages=(Stage(), dataclasses.replace(UNFROZEN, mixup=cell.mixup, cutmix=cell.cutmix)),
    )
    scores = {}
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        summary = run_finetune(recipe, path, run, console=QUIET)
        for count in TEST_VIEWS:
            views = ViewPlan("standard", count)
            payload = run_evaluate(
                run, None, EvaluateOptions(views=views, split="test"), console=QUIET, settings=DataSettings()
            )
            scores[count] = {"accuracy": payload["accuracy"]["value"], "macro_f1": payload["macro_f1"]}
    last = summary["validation"][-1]
    return {"epochs": last["epochs"], "best_epoch": last["best_epoch"], "scores": scores}


def measure_missing(out: Path, cells: Iterable[Cell], measure: Callable[[Cell], dict[str, Any]]) -> None:
    """Add a line for each cell that the file lacks."""
    known = [{name: line[name] for name in Cell.__dataclass_fields__} for line in read_lines(out)]
    for cell in cells:
        if dataclasses.asdict(cell) in known:
            continue
        processor = time.process_time()
        measured = measure(cell)
        seconds = round(time.process_time() - processor, 1)
        line = json.dumps({**dataclasses.asdict(cell), **measured, "processor_seconds": seconds})
        with out.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        click.echo(line)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return what was measured."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


@click.group()
def main() -> None:
    """Choose what to measure."""


def study_options(function: Any) -> Any:
    """Add what every study takes."""
    for option in (
        click.option("--data", "sets", multiple=True, required=True, help="NAME=PATH of a folder or a table."),
        click.option("--seeds", default=5, show_default=True),
        click.option("--out", type=click.Path(path_type=Path), required=True, help="File of results, added to."),
    ):
        function = option(function)
    return function


def measure_heads(
    sets: Sequence[str], weights: str, seeds: int, out: Path, list_cells: Callable[[str, int], Iterator[Cell]]
) -> None:
    """Measure the heads of each set, all seeds of one before the next."""
    start_keras()
    for name, _, place in (item.partition("=") for item in sets):
        cells = itertools.chain.from_iterable(list_cells(name, seed) for seed in range(seeds))
        measure_missing(out, cells, partial(train_on_set, Path(place), open_views(Path(place), weights)))


def train_on_set(path: Path, cached: CachedViews, cell: Cell) -> dict[str, Any]:
    """Train a head on a set as the seed divides it and, for `rare`, makes its classes rare."""
    manifest = read_divided(path, cell.seed)
    return train_head(cached, make_rare(manifest, cell.seed) if cell.kind == "rare" else manifest, cell)


@main.command()
@study_options
@click.option("--weights", required=True, help="Of MobileNetV2: a file, or imagenet.")
def heads(sets: tuple[str, ...], weights: str, seeds: int, out: Path) -> None:
    """Train heads, mixed and plain, and score them by one view and by several."""
    measure_heads(sets, weights, seeds, out, list_heads)


@main.command()
@study_options
@click.option("--weights", required=True, help="Of MobileNetV2: a file, or imagenet.")
def rare(sets: tuple[str, ...], weights: str, seeds: int, out: Path) -> None:
    """Train heads where some classes are rare, by different losses."""
    measure_heads(sets, weights, seeds, out, list_rare)


@main.command()
@study_options
def pixels(sets: tuple[str, ...], seeds: int, out: Path) -> None:
    """Train all of `tiny`, mixed and plain."""
    for name, _, path in (item.partition("=") for item in sets):
        cells = itertools.chain.from_iterable(list_pixels(name, seed) for seed in range(seeds))
        measure_missing(out, cells, partial(train_pixels, Path(path)))


@main.command()
@click.argument("results", type=click.Path(path_type=Path, exists=True))
def report(results: Path) -> None:
    """Print the tables of the page: means over the seeds, and paired differences with their 95% intervals."""
    lines = read_lines(results)
    for kind, data in dict.fromkeys((line["kind"], line["data"]) for line in lines):
        chosen = [line for line in lines if (line["kind"], line["data"]) == (kind, data)]
        variants = list({json.dumps(describe(line)): describe(line) for line in chosen}.values())
        rows = [(name_variant(it), it, "1", {**PLAIN, "views": it["views"]}) for it in variants]
        tell_table(f"{kind}, {data}", chosen, rows)
        plain = [it for it in variants if it == {**PLAIN, "views": it["views"]}]
        rows = [(f"{name_variant(it)}, tested on {count}", it, str(count), it) for it in plain for count in TEST_VIEWS]
        tell_table(f"{kind}, {data}: test-time views", chosen, rows)


def tell_table(
    title: str, lines: Sequence[dict[str, Any]], rows: Iterable[tuple[str, dict[str, Any], str, dict[str, Any]]]
) -> None:
    """Print rows of a name, what was trained, the number of test-time views, and what is held against on one view."""
    quantities = [name for name in ("accuracy", "macro_f1", "log_loss") if name in lines[0]["scores"]["1"]]
    columns = ["", *(cell for name in quantities for cell in (name, "difference"))]
    click.echo(f"\n{title}, {len({line['seed'] for line in lines})} seeds\n\n| {' | '.join(columns)} |")
    click.echo("|" + "---|" * len(columns))
    for name, variant, views, other in rows:
        cells = [name]
        for quantity in quantities:
            scores, others = find_scores(lines, variant, views, quantity), find_scores(lines, other, "1", quantity)
            cells += [f"{np.mean(list(scores.values())):.3f}", describe_difference(scores, others)]
        click.echo(f"| {' | '.join(cells)} |")


def describe(line: dict[str, Any]) -> dict[str, Any]:
    """Return in what a training differs from others of its kind."""
    return {name: line[name] for name in PLAIN}


def name_variant(variant: dict[str, Any]) -> str:
    """Return a training's settings that are not plain, in words."""
    changed = [f"{name} {value}" for name, value in variant.items() if name != "views" and value != PLAIN[name]]
    return ", ".join([*(changed or ["plain"]), *([f"{variant['views']} views"] if variant["views"] > 1 else [])])


def find_scores(
    lines: Sequence[dict[str, Any]], variant: dict[str, Any], views: str, quantity: str
) -> dict[int, float]:
    """Return the scores of a training by seed."""
    return {line["seed"]: line["scores"][views][quantity] for line in lines if describe(line) == variant}


def describe_difference(scores: dict[int, float], others: dict[int, float]) -> str:
    """Return the mean paired difference with its 95% interval by Student's t; nothing where there is none."""
    both = sorted(scores.keys() & others.keys())
    differences = [scores[seed] - others[seed] for seed in both]
    if len(both) < 2 or not any(differences):
        return ""
    low, high = compute_t_interval(differences)
    return f"{np.mean(differences):+.3f} ({low:+.3f} to {high:+.3f})"


if __name__ == "__main__":
    main()
