r"""Measure which maps of evidence tell the truth, on the runs of four heads.

    python -m benchmarks.explanations runs/linear runs/dense runs/conv runs/flat [--boxes raccoon_labels.csv]

Each run has a test split. For every method:

- both: two photos of different classes side by side; the strongest evidence for each class lies in its own half. A map
  that knows nothing of the class never gets both; a random one gets a fifth.
- own half: the share of the evidence for a class that lies in its own half; .5 by chance.
- head, network: rank correlation (absolute, mean) with the map of the same network whose head, or all of whose weights,
  are random; near 0 is good.
- ins - del: insertion minus deletion of the probability.
- pointing: the strongest evidence lies in the box of the object (only with --boxes); the table names those that have one.
"""

from __future__ import annotations

import csv
import dataclasses
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click
import numpy as np
from numpy.typing import NDArray

from tlkit.data.images import LOADER_VERSION
from tlkit.data.manifest import ImageRecord, read_manifest
from tlkit.explain.explainer import Explainer
from tlkit.explain.faithfulness import (
    correlate_ranks,
    make_centre_map,
    make_mosaic,
    measure_energy_in_box,
    points_into_box,
    score_insertion_minus_deletion,
)
from tlkit.explain.feature_maps import compute_activation_norm, has_exact
from tlkit.explain.methods import FEATURE_METHODS, PIXEL_METHODS, explain_pictures
from tlkit.inference.scoring import load_record
from tlkit.models.saving import read_bundle
from tlkit.outputs import Box
from tlkit.runtime import start_keras

Maps = Callable[[Explainer, NDArray[np.uint8], NDArray[np.int64]], NDArray[np.float32]]
COLUMNS = ("both", "own half", "head", "network", "ins - del", "pointing", "ms")


@dataclasses.dataclass(frozen=True, eq=False)
class Samples:
    """Test photos that the model gets right, mosaics of two of them, and photos with the box of their object."""

    pictures: NDArray[np.uint8]
    targets: NDArray[np.int64]
    mosaics: NDArray[np.uint8]
    pairs: NDArray[np.int64]
    halves: list[tuple[Box, Box]]
    boxed: NDArray[np.uint8]
    boxed_targets: NDArray[np.int64]
    boxes: list[Box]


def list_methods(explainer: Explainer, chosen: tuple[str, ...]) -> dict[str, Maps]:
    """Return the methods that go with a model and the baselines, by name."""
    rng = np.random.default_rng(0)
    height, width, _ = explainer.feature_shape
    names = [name for name in FEATURE_METHODS if name != "exact" or has_exact(explainer, np.zeros(1, np.int64))]
    names = [name for name in (*names, *PIXEL_METHODS) if name in chosen] if chosen else names

    def named(name: str) -> Maps:
        return lambda model, pictures, targets: explain_pictures(model, pictures, targets, method=name)

    return {
        **{name: named(name) for name in names},
        "(activation norm)": lambda model, pictures, targets: compute_activation_norm(
            model, model.compute_features(pictures), targets
        ),
        "(centre)": lambda model, pictures, targets: np.stack([make_centre_map((height, width))] * len(pictures)),
        "(random)": lambda model, pictures, targets: rng.random((len(pictures), height, width)).astype(np.float32),
    }


def draw_samples(classifier: Any, records: list[ImageRecord], boxes: dict[str, Box], num: int) -> Samples:
    """Draw photos, mosaics and boxed photos; only those that the model gets right."""
    rng = np.random.default_rng(0)
    names = classifier.spec.class_names
    chosen = [records[place] for place in rng.permutation(len(records))[: 6 * num]]
    pictures = np.stack([load_record(record, classifier.spec) for record in chosen])
    truth = np.array([names.index(record.answer) for record in chosen])
    right = np.flatnonzero(classifier.predict(pictures)[:, : len(names)].argmax(axis=1) == truth)
    mosaics, pairs, halves = [], [], []
    for number in range(num):
        while True:
            one, other = rng.choice(right, 2, replace=False)
            if truth[one] != truth[other]:
                break
        mosaic, *places = make_mosaic(pictures[one], pictures[other], is_upright=bool(number % 2))
        mosaics.append(mosaic)
        pairs.append((truth[one], truth[other]))
        halves.append((places[0], places[1]))
    boxed = [place for place in right if chosen[place].path.name in boxes]
    return Samples(
        pictures[right[:num]],
        truth[right[:num]],
        np.stack(mosaics),
        np.array(pairs, np.int64),
        halves,
        pictures[boxed],
        truth[boxed],
        [boxes[chosen[place].path.name] for place in boxed],
    )


def measure(method: Maps, explainer: Explainer, randomised: dict[str, Explainer], samples: Samples) -> dict[str, float]:
    """Return the figures of a method, by the names of `COLUMNS`."""
    started = time.process_time()
    maps = method(explainer, samples.pictures, samples.targets)
    figures = {"ms": 1000 * (time.process_time() - started) / len(maps)}
    of_pair = [method(explainer, samples.mosaics, samples.pairs[:, place]) for place in (0, 1)]
    hits, shares = [], []
    for number, places in enumerate(samples.halves):
        hits.append(all(points_into_box(of_pair[side][number], places[side]) for side in (0, 1)))
        shares += [measure_energy_in_box(of_pair[side][number], places[side]) for side in (0, 1)]
    figures["both"], figures["own half"] = float(np.mean(hits)), float(np.nanmean(shares))
    for name, other in randomised.items():
        others = method(other, samples.pictures, samples.targets)
        figures[name] = float(np.mean([abs(correlate_ranks(one, two)) for one, two in zip(maps, others, strict=True)]))
    differences = []
    for picture, target, evidence in zip(samples.pictures, samples.targets, maps, strict=True):

        def score(rows: NDArray[np.uint8], target: int = int(target)) -> NDArray[np.float32]:
            probabilities: NDArray[np.float32] = explainer.classifier.predict(rows)[:, target]
            return probabilities

        differences.append(score_insertion_minus_deletion(picture, evidence, score))
    figures["ins - del"] = float(np.mean(differences))
    if samples.boxes:
        boxed = method(explainer, samples.boxed, samples.boxed_targets)
        inside = [points_into_box(one, box) for one, box in zip(boxed, samples.boxes, strict=True)]
        figures["pointing"] = float(np.mean(inside))
    return figures


def randomise(run: Path, *, all_weights: bool) -> Explainer:
    """Return the explainer of a run with a head of random weights, or a network of them: values of each weight shuffled."""
    classifier = read_bundle(run, loader_version=LOADER_VERSION)
    rng = np.random.default_rng(0)
    for name, variable in classifier.named_weights().items():
        if all_weights or name.startswith("head/"):
            values = np.asarray(variable)
            variable.assign(rng.permutation(values.ravel()).reshape(values.shape))
    return Explainer(classifier)


def read_boxes(path: Path) -> dict[str, Box]:
    """Return the box of each image that has exactly one, in fractions, from a table with pixels."""
    rows: dict[str, list[Box]] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            width, height = float(row["width"]), float(row["height"])
            edges = [float(row[name]) for name in ("xmin", "ymin", "xmax", "ymax")]
            box = (edges[0] / width, edges[1] / height, edges[2] / width, edges[3] / height)
            rows.setdefault(row["filename"], []).append(box)
    return {name: boxes[0] for name, boxes in rows.items() if len(boxes) == 1}


@click.command()
@click.argument("runs", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--boxes", type=click.Path(exists=True, path_type=Path), help="Table of boxes of test images, in pixels.")
@click.option("--method", "methods", multiple=True, help="A method (default: all that start from the feature map).")
@click.option("--number", default=60, show_default=True, help="Photos and mosaics.")
def main(runs: tuple[Path, ...], boxes: Path | None, methods: tuple[str, ...], number: int) -> None:
    """Print a table for each run."""
    start_keras()
    for run in runs:
        classifier = read_bundle(run, loader_version=LOADER_VERSION)
        explainer = Explainer(classifier)
        manifest = read_manifest(run)
        records = list(manifest.in_split("test") or manifest.in_split("validation"))
        samples = draw_samples(classifier, records, read_boxes(boxes) if boxes else {}, number)
        randomised = {"head": randomise(run, all_weights=False), "network": randomise(run, all_weights=True)}
        click.echo(f"\n{run.name}: {len(samples.pictures)} photos and mosaics, {len(samples.boxes)} with a box\n")
        click.echo(f"| method | {' | '.join(COLUMNS)} |\n|---|{'---|' * len(COLUMNS)}")
        for name, method in list_methods(explainer, methods).items():
            figures = measure(method, explainer, randomised, samples)
            cells = [f"{figures[column]:.2f}".lstrip("0") if column in figures else "" for column in COLUMNS[:-1]]
            click.echo(f"| {name} | {' | '.join(cells)} | {figures['ms']:.0f} |")


if __name__ == "__main__":
    main()
