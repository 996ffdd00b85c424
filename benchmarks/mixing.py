r"""Measure what mixing, test-time views and the focal loss bring: test scores beside those of plain training, by seed.

    D=DATA W=mobilenet_v2_1.0_224_no_top.weights.h5
    python -m benchmarks.mixing houses $D/houses/houses.csv --out quarters.csv
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

import contextlib
import csv
import dataclasses
import itertools
import json
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.beside_the_image import write_quarters
from tlkit.bundle.answers import compute_answers
from tlkit.data.dataset import read_dataset
from tlkit.data.file_index import FileIndex
from tlkit.data.manifest import Manifest
from tlkit.data.views import ViewPlan
from tlkit.features.cache import default_cache_root
from tlkit.outputs import CLASSIFICATION, Outputs
from tlkit.recipes import BackboneSettings, DataSettings, HeadSettings, Recipe, Stage, TrainingSettings, resolve_recipe
from tlkit.reports.console import Console
from tlkit.runtime import graph_precision, read_free_memory, start_keras
from tlkit.workflows.evaluate import run_evaluate
from tlkit.workflows.finetune import run_finetune
from tlkit.workflows.precompute import build_backbone_for, ensure_features

QUIET = Console(verbosity=-1)
NUM_VIEWS = 8
TEST_VIEWS = (1, 4, 8)
SMALLEST_PART = 1 / 18
STUDENT_T = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}
"""The 97.5% point of Student's distribution by the number of seeds."""
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


def read_manifest(path: Path, seed: int) -> Manifest:
    """Return a set as a run with this seed divides it."""
    index = FileIndex(default_cache_root())
    manifest = read_dataset(path, DataSettings(), seed=seed, index=index)
    if any(record.split == "test" for record in manifest.records):
        return manifest
    return read_dataset(path, DataSettings(test_fraction=0.2), seed=seed, index=index)


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


class CachedViews:
    """The features of all images of a set in eight views each, computed where the cache lacks them."""

    def __init__(self, path: Path, weights: str) -> None:
        settings = BackboneSettings(name="mobilenet_v2", weights=weights)
        manifest = read_manifest(path, 0)
        records = tuple(dataclasses.replace(record, split="train") for record in manifest.records)
        features = ensure_features(
            dataclasses.replace(manifest, records=records),
            build_backbone_for(settings, "none", 0),
            boundary="top",
            views=ViewPlan("standard", NUM_VIEWS, 0),
            settings=settings,
            cache_root=default_cache_root(),
            console=Console(),
        )
        self.cache = features.cache
        self.positions = features.splits["train"].positions
        self.place_of = {record.sha256: place for place, record in enumerate(features.splits["train"].records)}

    def read(self, images: NDArray[np.int64], views: NDArray[np.int64]) -> NDArray[Any]:
        """Return maps, float16 (n, height, width, channels)."""
        return self.cache.read(self.positions[images, views])


def train_head(cached: CachedViews, manifest: Manifest, cell: Cell) -> dict[str, Any]:
    """Train a head and return its test scores by the number of views that are averaged."""
    import keras

    from tlkit.heads import build_head
    from tlkit.training.stages import StageListener, fit_stage
    from tlkit.training.steps import StageModel

    head = HeadSettings()
    training = TrainingSettings(seed=cell.seed, focal=cell.focal, class_weight=cell.class_weight)
    (stage,) = resolve_recipe(Recipe(stages=(Stage(name="head", views=cell.views, mixup=cell.mixup),))).stages
    outputs = Outputs(CLASSIFICATION, len(manifest.class_names))
    keras.utils.set_random_seed(cell.seed)
    shape = cached.cache.spec.feature_shape
    network = build_head(head.kind, feature_shape=shape, outputs=outputs, dropout=head.dropout, units=head.units)
    model = StageModel(tail=None, head=network, tail_trains=False)
    rates = [stage.head_rate] * len(model.trainable_variables)
    silent = StageListener(lambda rows: None, lambda text, total: contextlib.nullcontext(lambda count: None))
    data = make_data(cached, manifest, outputs, stage, training)
    with tempfile.TemporaryDirectory() as folder, graph_precision("auto"):
        progress = fit_stage(
            model,
            data,
            rates=rates,
            stage=stage,
            training=training,
            keeps_start=False,
            checkpoint=Path(folder) / "head.safetensors",
            listener=silent,
        )
    test = find_places(cached, manifest, "test")
    truth = manifest.targets(manifest.in_split("test"))
    probabilities = np.stack([predict(model, cached, test, view) for view in range(NUM_VIEWS)])
    scores = {count: compute_scores(probabilities[:count].mean(axis=0), truth) for count in TEST_VIEWS}
    return {"epochs": progress.epochs_done, "best_epoch": progress.best_epoch, "scores": scores}


def make_data(
    cached: CachedViews, manifest: Manifest, outputs: Outputs, stage: Stage, training: TrainingSettings
) -> Any:
    """Return the batches of a head, as `tlkit finetune` makes them."""
    from tlkit.training.batches import Batches, EpochPlan, FixedTruth, choose_inputs
    from tlkit.training.losses import compute_class_weights
    from tlkit.training.mixing import Mixing
    from tlkit.training.stages import StageData

    batches = {}
    for split, views, seed in (("train", stage.views, training.seed), ("validation", 1, None)):
        places = find_places(cached, manifest, split)
        answers = manifest.targets(manifest.in_split(split))
        mode = training.class_weight if split == "train" else "none"

        def read(images: Any, views: Any, places: NDArray[np.int64] = places) -> NDArray[Any]:
            return cached.read(places[images], views)

        batches[split] = Batches(
            EpochPlan(len(places), stage.batch_size, views, seed, Mixing(stage.mixup, stage.cutmix)),
            choose_inputs(
                read,
                num_images=len(places),
                num_views=views,
                batch_size=stage.batch_size,
                row_bytes=2 * int(np.prod(cached.cache.spec.feature_shape)),
                free_bytes=read_free_memory(),
            ),
            FixedTruth(answers),
            np.zeros((len(places), 0), np.float32),
            compute_class_weights(answers, num_classes=outputs.num_answers, mode=mode),
        )
    return StageData(batches["train"], batches["validation"], outputs)


def find_places(cached: CachedViews, manifest: Manifest, split: str) -> NDArray[np.int64]:
    """Return where the images of a split lie."""
    return np.array([cached.place_of[record.sha256] for record in manifest.in_split(split)], np.int64)


def predict(model: Any, cached: CachedViews, places: NDArray[np.int64], view: int) -> NDArray[np.float32]:
    """Return probabilities of one view of images."""
    features = cached.read(places, np.full(len(places), view))
    nothing = np.zeros((len(places), 0), np.float32)
    return compute_answers(CLASSIFICATION, np.asarray(model(features, nothing, training=False)["answer"]))


def compute_scores(probabilities: NDArray[np.floating[Any]], truth: NDArray[Any]) -> dict[str, float]:
    """Return accuracy, macro-F1 and log loss."""
    said = probabilities.argmax(axis=1)
    f1 = []
    for label in np.unique(truth):
        right = int(((said == label) & (truth == label)).sum())
        f1.append(2 * right / int((said == label).sum() + (truth == label).sum()))
    true = probabilities[np.arange(len(truth)), truth]
    return {
        "accuracy": float((said == truth).mean()),
        "macro_f1": float(np.mean(f1)),
        "log_loss": float(-np.log(np.maximum(true, 1e-9)).mean()),
    }


def train_pixels(path: Path, cell: Cell) -> dict[str, Any]:
    """Train a head and then everything, on pictures of 64 pixels, and return the test scores."""
    recipe = Recipe(
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
            payload = run_evaluate(run, None, console=QUIET, settings=DataSettings(), views=views, split="test")
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


@main.command()
@click.argument("table", type=click.Path(path_type=Path, exists=True))
@click.option("--out", type=click.Path(path_type=Path), required=True)
def houses(table: Path, out: Path) -> None:
    """Write the TABLE of houses with the quarter of the price as the class and nothing else beside the image."""
    write_quarters(table, out)
    with out.open(newline="", encoding="utf-8") as file:
        rows = [(row["image"], row["quarter"]) for row in csv.DictReader(file)]
    with out.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("image", "label"), *rows])


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
        path = Path(place)
        cached = CachedViews(path, weights)

        def measure(cell: Cell, path: Path = path, cached: CachedViews = cached) -> dict[str, Any]:
            manifest = read_manifest(path, cell.seed)
            return train_head(cached, make_rare(manifest, cell.seed) if cell.kind == "rare" else manifest, cell)

        cells = itertools.chain.from_iterable(list_cells(name, seed) for seed in range(seeds))
        measure_missing(out, cells, measure)


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
        measure_missing(out, cells, lambda cell, path=path: train_pixels(Path(path), cell))  # type: ignore[misc]


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
    differences = np.array([scores[seed] - others[seed] for seed in both])
    if len(both) < 2 or not differences.any():
        return ""
    half = STUDENT_T[len(both)] * differences.std(ddof=1) / len(both) ** 0.5
    mean = differences.mean()
    return f"{mean:+.3f} ({mean - half:+.3f} to {mean + half:+.3f})"


if __name__ == "__main__":
    main()
