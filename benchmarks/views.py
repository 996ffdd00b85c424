r"""Measure what cached views bring: test accuracy of a head against their number, beside a fresh view in every epoch.

    D=DATA W=mobilenet_v2_1.0_224_no_top.weights.h5
    python -m benchmarks.views houses $D/houses/houses.csv --out quarters.csv
    python -m benchmarks.views train --data clothing=$D/clothing --data brain=$D/brain_tumor --data houses=quarters.csv \
        --weights $W --out views.jsonl
    python -m benchmarks.views deeper --data clothing=$D/clothing --weights $W --out views.jsonl
    python -m benchmarks.views report views.jsonl

A head is trained as `tlkit finetune` trains it, with its defaults: up to 30 epochs, the best chosen on validation
images. Training with K views draws one of them for each image in each epoch. As there are 30 epochs, 30 views after the
image itself, one for each epoch, are true online augmentation: `online`. A data set without a test split of its own
gives a fifth to the test and a fifth to validation, another one for each seed. The views are the same for all seeds.

`deeper` goes on with each trained head and unfreezes the last layer group. Lines are added to the file as they are
measured; those that it has are not measured again, so an interrupted study goes on, and `--part 0/2` and `--part 1/2`
share the work. Features take `TLKIT_CACHE`; about 17 GB for the three sets.
"""

from __future__ import annotations

import csv
import dataclasses
import itertools
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.beside_the_image import write_quarters
from tlkit.data.dataset import read_dataset
from tlkit.data.file_index import FileIndex
from tlkit.data.manifest import Manifest
from tlkit.features.cache import default_cache_root
from tlkit.outputs import CLASSIFICATION, Outputs
from tlkit.recipes import BackboneSettings, DataSettings, HeadSettings, Recipe, Stage, TrainingSettings, resolve_recipe
from tlkit.reports.console import Console
from tlkit.runtime import graph_precision, start_keras
from tlkit.workflows.precompute import build_backbone_for, ensure_features
from tlkit.workflows.wanted_rows import ViewPlan

HEAD = Stage(name="head")
USUAL_PATIENCE = 8
DEEPER = Stage(name="deeper", unfreeze="group5", epochs=8, lr=1e-4, lr_ratio=10)
ONLINE = 0
NUM_EPOCHS = 30
COUNTS = (1, 2, 4, 8, 16, ONLINE)
DEEPER_COUNTS = (1, 4, 16)
BOUNDARY_BELOW = "group4"
T_95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 10: 2.262, 15: 2.145}
"""Student's t, two-sided, by the number of pairs, or the next lower one."""


@dataclass(frozen=True)
class Cell:
    """One training.

    Attributes:
        data: Name of the set.
        boundary: top or group4.
        head: Kind of head.
        policy: Of the views; standard where there is only the image itself.
        views: Their number; 0: a fresh one in every epoch.
        patience: Epochs without a lower validation loss after which training ends; 0: it never does before its time.
        seed: Of split, weights and order.
    """

    data: str
    boundary: str
    head: str
    policy: str
    views: int
    patience: int
    seed: int


def list_cells(names: Sequence[str], seeds: int) -> Iterator[Cell]:
    """Yield the heads' cells, those that matter most first, all sets and counts of a seed before the next seed."""
    for head, policies, patience in (
        ("dense", ("standard",), USUAL_PATIENCE),
        ("dense", ("strong",), USUAL_PATIENCE),
        ("linear", ("standard", "strong"), USUAL_PATIENCE),
        ("dense", ("standard",), 0),
        ("dense", ("strong",), 0),
    ):
        for seed, policy, data, count in itertools.product(range(seeds), policies, names, COUNTS):
            # The image itself is the same under any policy; a fresh strong view in every epoch would take twice as many.
            if policy == "standard" or count not in (1, ONLINE):
                yield Cell(data, "top", head, policy, count, patience, seed)


class Study:
    """The sets with their features, and the file of results."""

    def __init__(self, data: Sequence[str], weights: str, out: Path) -> None:
        self.paths = {name: Path(path) for name, _, path in (item.partition("=") for item in data)}
        self.backbone = BackboneSettings(name="mobilenet_v2", weights=weights)
        self.out = out
        self._features: dict[Any, Any] = {}
        self._networks: dict[str, Any] = {}

    def is_done(self, cell: Cell) -> bool:
        """Whether the file has the cell; another process may have measured it meanwhile."""
        if not self.out.is_file():
            return False
        known = ({name: line[name] for name in cell.__dataclass_fields__} for line in read_lines(self.out))
        return dataclasses.asdict(cell) in list(known)

    def note(self, cell: Cell, **measured: Any) -> None:
        """Add a line to the file."""
        line = json.dumps({**dataclasses.asdict(cell), **measured})
        with self.out.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        click.echo(line)

    def read_manifest(self, name: str, seed: int) -> Manifest:
        """Return a set as a run with this seed divides it."""
        path = self.paths[name]
        index = FileIndex(default_cache_root())
        manifest = read_dataset(path, DataSettings(), seed=seed, index=index)
        if any(record.split == "test" for record in manifest.records):
            return manifest
        return read_dataset(path, DataSettings(test_fraction=0.2), seed=seed, index=index)

    def network(self, pooling: str) -> Any:
        """Return the backbone."""
        if pooling not in self._networks:
            self._networks[pooling] = build_backbone_for(self.backbone, pooling, 0)
        return self._networks[pooling]

    def features(self, name: str, policy: str, boundary: str) -> Any:
        """Return the features of a set, all images in all views, computing those that are missing."""
        key = (name, policy, boundary)
        if key not in self._features:
            manifest = self.read_manifest(name, 0)
            own_test = {record.sha256 for record in manifest.records if record.split != "train"}
            is_fixed = self.paths[name].is_dir() and (self.paths[name] / "test").is_dir()
            records = [
                record if is_fixed and record.sha256 in own_test else dataclasses.replace(record, split="train")
                for record in manifest.records
            ]
            num_views = 1 + NUM_EPOCHS if policy == "standard" and boundary == "top" else 16
            self._features[key] = CachedViews(
                dataclasses.replace(manifest, records=tuple(records)),
                ensure_features(
                    dataclasses.replace(manifest, records=tuple(records)),
                    self.network("none"),
                    boundary=boundary,
                    views=ViewPlan(policy, num_views, 0),
                    settings=self.backbone,
                    cache_root=default_cache_root(),
                    console=Console(verbosity=0),
                ),
            )
        return self._features[key]


class CachedViews:
    """Where the features of a set lie.

    Args:
        manifest: All images; those of which views are wanted are called training images.
        features: Of the manifest.
    """

    def __init__(self, manifest: Manifest, features: Any) -> None:
        self.cache = features.cache
        self.place_of: dict[str, int] = {}
        rows: list[NDArray[np.int64]] = []
        for split in features.splits.values():
            for record, positions in zip(split.records, split.positions, strict=True):
                self.place_of[record.sha256] = len(rows)
                rows.append(positions)
        width = max(map(len, rows))
        self.positions = np.stack([np.pad(row, (0, width - len(row)), constant_values=-1) for row in rows])
        self._pooled: NDArray[Any] | None = None

    def read(self, images: NDArray[np.int64], views: NDArray[np.int64]) -> NDArray[Any]:
        """Return maps, float16 (n, height, width, channels)."""
        return self.cache.read(self.positions[images, views])  # type: ignore[no-any-return]

    def read_pooled(self, images: NDArray[np.int64], views: NDArray[np.int64]) -> NDArray[Any]:
        """Return the means over places, float16 (n, channels): what the linear head takes."""
        if self._pooled is None:
            kept = self.cache.folder / f"pooled-{len(self.positions)}x{self.positions.shape[1]}.npy"
            if not kept.is_file():
                channels = self.cache.spec.feature_shape[-1]
                pooled = np.zeros((*self.positions.shape, channels), np.float16)
                for image, row in enumerate(self.positions):
                    known = row[row >= 0]
                    pooled[image, : len(known)] = self.cache.read(known).astype(np.float32).mean(axis=(1, 2))
                aside = kept.with_suffix(f".{os.getpid()}.npy")
                np.save(aside, pooled)
                aside.rename(kept)
            self._pooled = np.load(kept)
        return self._pooled[images, views]


def measure(study: Study, cell: Cell, *, is_deeper: bool = False) -> dict[str, Any]:
    """Train a head, and if asked the last layer group after it; return accuracy and cost."""
    import keras

    from tlkit.heads import build_head
    from tlkit.training.steps import StageModel
    from tlkit.training.trials import FeatureRows, Parts, compute_logits, fit_trial, make_stage_data
    from tlkit.training.unfreezing import build_stage_model, compute_stage_rates

    cached = study.features(cell.data, cell.policy, "top")
    manifest = study.read_manifest(cell.data, cell.seed)
    answers, order = order_answers(manifest, cached)
    parts = Parts(*(order[split] for split in ("train", "validation", "test")))
    head, training = HeadSettings(kind=cell.head), TrainingSettings(seed=cell.seed)
    head_stage, deeper_stage = resolve_recipe(
        Recipe(stages=(dataclasses.replace(HEAD, patience=cell.patience), DEEPER))
    ).stages
    outputs = Outputs(CLASSIFICATION, len(manifest.class_names))
    is_pooled = head.pooling == "avg"
    shape = cached.cache.spec.feature_shape[-1:] if is_pooled else cached.cache.spec.feature_shape
    read = cached.read_pooled if is_pooled else cached.read
    rows = FeatureRows(read, max(1, cell.views), shape, 2 * int(np.prod(shape)))
    wall, processor = time.perf_counter(), time.process_time()
    keras.utils.set_random_seed(cell.seed)
    network = build_head(head.kind, feature_shape=rows.shape, outputs=outputs, dropout=head.dropout, units=head.units)
    model = StageModel(tail=None, head=network, tail_trains=False)
    data = make_stage_data(rows, answers, parts, outputs=outputs, stage=head_stage, training=training)
    if cell.views == ONLINE:
        data = draw_afresh(data, read, parts.train)
    with graph_precision("auto"):
        progress = fit_trial(model, data, [head_stage.lr] * len(model.trainable_variables), head_stage, training)
        if is_deeper:
            below = study.features(cell.data, cell.policy, BOUNDARY_BELOW)
            backbone = build_backbone_for(study.backbone, "none", 0)
            model = build_stage_model(backbone, network, boundary=BOUNDARY_BELOW, bn="frozen")
            rates, _ = compute_stage_rates(model, backbone, deeper_stage, boundary=BOUNDARY_BELOW)
            places = np.array([below.place_of[sha256] for sha256 in cached.place_of])
            read = lambda images, views: below.read(places[images], views)  # noqa: E731
            shape = below.cache.spec.feature_shape
            rows = FeatureRows(read, max(1, cell.views), shape, 2 * int(np.prod(shape)))
            data = make_stage_data(rows, answers, parts, outputs=outputs, stage=deeper_stage, training=training)
            progress = fit_trial(model, data, rates, deeper_stage, training, keeps_start=True)
    right = compute_logits(model, read, parts.test).argmax(axis=1) == answers[parts.test]
    return {
        "accuracy": float(right.mean()),
        "images": len(parts.test),
        "epochs": progress.epochs_done,
        "best_epoch": progress.best_epoch,
        "validation": progress.best["accuracy"],
        "processor_seconds": round(time.process_time() - processor, 1),
        "wall_seconds": round(time.perf_counter() - wall, 1),
    }


def order_answers(manifest: Manifest, cached: CachedViews) -> tuple[NDArray[Any], dict[str, NDArray[np.int64]]]:
    """Return the answers by place of the image, and the places of each split."""
    answers = np.zeros(len(cached.positions), np.int32)
    order = {}
    for split in ("train", "validation", "test"):
        records = manifest.in_split(split)
        order[split] = np.array([cached.place_of[record.sha256] for record in records], np.int64)
        answers[order[split]] = manifest.targets(records)
    return answers, order


def draw_afresh(data: Any, read: Any, train: NDArray[np.int64]) -> Any:
    """Return the data of a stage with view number epoch + 1 of every image in every epoch."""
    from tlkit.training.batches import ReadInputs

    batches = data.train
    fresh = dataclasses.replace(
        batches,
        plan=dataclasses.replace(batches.plan, num_views=0),
        inputs=ReadInputs(lambda images, views: read(train[images], views), batches_at_once=8, blocks_ahead=1),
    )
    return dataclasses.replace(data, train=fresh)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return what was measured."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@click.group()
def main() -> None:
    """Choose what to do."""


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
    """Add what both kinds of training take."""
    for option in (
        click.option("--data", multiple=True, required=True, help="NAME=PATH of a folder or a table."),
        click.option("--weights", required=True, help="Of MobileNetV2: a file, or imagenet."),
        click.option("--seeds", default=5, show_default=True),
        click.option("--part", default="0/1", show_default=True, help="Which cells: NUMBER/OF."),
        click.option("--out", type=click.Path(path_type=Path), required=True, help="File of results, added to."),
    ):
        function = option(function)
    return function


@main.command()
@study_options
@click.option("--patience", type=int, help="Only cells with this patience.")
def train(data: tuple[str, ...], weights: str, seeds: int, part: str, out: Path, patience: int | None) -> None:
    """Train heads on the features of the top."""
    start_keras()
    study = Study(data, weights, out)
    number, parts = map(int, part.split("/"))
    cells = (cell for cell in list_cells(list(study.paths), seeds) if patience in (None, cell.patience))
    for place, cell in enumerate(cells):
        if place % parts == number and not study.is_done(cell):
            study.note(cell, **measure(study, cell))


@main.command()
@study_options
def deeper(data: tuple[str, ...], weights: str, seeds: int, part: str, out: Path) -> None:
    """Train dense heads and then the last layer group, on the same number of views."""
    start_keras()
    study = Study(data, weights, out)
    number, parts = map(int, part.split("/"))
    cells = itertools.product(range(seeds), study.paths, DEEPER_COUNTS)
    for place, (seed, name, count) in enumerate(cells):
        cell = Cell(name, BOUNDARY_BELOW, "dense", "standard", count, USUAL_PATIENCE, seed)
        if place % parts == number and not study.is_done(cell):
            study.note(cell, **measure(study, cell, is_deeper=True))


@main.command()
@click.argument("lines", type=click.Path(path_type=Path, exists=True))
def report(lines: Path) -> None:
    """Print the tables of views.md: accuracy and its difference from one view, then seconds of training."""
    measured = {tuple(line[name] for name in Cell.__dataclass_fields__): line for line in read_lines(lines)}
    cells = {Cell(*key): line for key, line in measured.items()}
    names = list(dict.fromkeys(cell.data for cell in cells))
    arms = list(dict.fromkeys((cell.boundary, cell.head, cell.policy, cell.patience) for cell in cells))
    for name in [*names, ""]:
        click.echo(f"\n{name or 'all sets'}\n\n| trained | " + " | ".join(map(name_count, COUNTS)) + " |")
        click.echo("|---|" + "---|" * len(COUNTS))
        for arm in arms:
            texts = [describe(cells, [name] if name else names, arm, count) for count in COUNTS]
            if any(texts):
                click.echo(f"| {name_arm(*arm)} | " + " | ".join(texts) + " |")
    click.echo("\nseconds of processor\n")
    for name, arm in itertools.product(names, arms):
        seconds = [[line["processor_seconds"] for _, line in pick(cells, [name], arm, count)] for count in COUNTS]
        if any(seconds):
            row = " | ".join(f"{np.mean(each):.1f}" if each else "" for each in seconds)
            click.echo(f"| {name}, {name_arm(*arm)} | {row} |")


def name_count(count: int) -> str:
    """Return what a number of views is called."""
    return "online" if count == ONLINE else f"K = {count}"


def name_arm(boundary: str, head: str, policy: str, patience: int) -> str:
    """Return what is trained and how, in words."""
    deeper = ", then group5" if boundary == BOUNDARY_BELOW else ""
    return f"{head}{deeper}, {policy}" + ("" if patience else ", all 30 epochs")


def pick(
    cells: dict[Cell, dict[str, Any]], names: Sequence[str], arm: tuple[str, str, str, int], count: int
) -> list[tuple[Cell, dict[str, Any]]]:
    """Return the lines of some sets, one arm and one number of views."""
    boundary, head, policy, patience = arm
    fields = {"boundary": boundary, "head": head, "policy": policy, "patience": patience, "views": count}
    return [
        (cell, line)
        for cell, line in cells.items()
        if cell.data in names and all(getattr(cell, name) == value for name, value in fields.items())
    ]


def describe(
    cells: dict[Cell, dict[str, Any]], names: Sequence[str], arm: tuple[str, str, str, int], count: int
) -> str:
    """Return the mean accuracy, and the mean paired difference from one view with its 95% interval."""
    lines = pick(cells, names, arm, count)
    pairs = []
    for cell, line in lines:
        alone = cells.get(dataclasses.replace(cell, views=1, policy="standard"))
        if alone:
            pairs.append(line["accuracy"] - alone["accuracy"])
    if not lines:
        return ""
    mean = f"{np.mean([line['accuracy'] for _, line in lines]):.3f}" if len(names) == 1 else ""
    if count == 1 or len(pairs) < 2:
        return mean
    half = (
        T_95[max(number for number in T_95 if number <= len(pairs))] * float(np.std(pairs, ddof=1)) / len(pairs) ** 0.5
    )
    return f"{mean} ({np.mean(pairs):+.3f} ± {half:.3f})" if mean else f"{np.mean(pairs):+.3f} ± {half:.3f}"


@main.command()
@study_options
@click.option("--policy", default="standard", show_default=True)
@click.option("--boundary", default="top", show_default=True)
def precompute(
    data: tuple[str, ...], weights: str, seeds: int, part: str, out: Path, policy: str, boundary: str
) -> None:
    """Compute the features that the trainings need, and say what a view costs."""
    start_keras()
    study = Study(data, weights, out)
    for name in study.paths:
        wall, processor = time.perf_counter(), time.process_time()
        cached = study.features(name, policy, boundary)
        click.echo(
            f"{name} {policy} {boundary}: {int((cached.positions >= 0).sum())} rows, "
            f"{time.process_time() - processor:.1f} s of processor, {time.perf_counter() - wall:.1f} s"
        )


if __name__ == "__main__":
    main()
