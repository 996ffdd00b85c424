r"""Measure which maps of evidence tell the truth, on runs with different heads on the same frozen backbone and images.

    python -m benchmarks.explanations runs/linear runs/dense runs/conv runs/flat [--boxes raccoon_labels.csv]

The runs have the same test split. Four tables are printed, a row for each method and a column for each run; a figure is
followed by half the width of its 95% interval over the pictures:

- both, own half: two photos of different classes side by side. Whether the strongest evidence for each class lies in its
  own half; the share of the evidence for a class that does.
- head, network: rank correlation (absolute) with the map of the same network whose head, or all of whose weights, are
  random: the values of each weight shuffled.
- ins - del: insertion minus deletion of the probability.
- pointing: the strongest evidence lies in the box of the object (only with --boxes).

The runs share what lies below the head, so that masked pictures go through it once for all of them.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

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
from tlkit.models.opening import open_classifier
from tlkit.models.predictor import Predictor
from tlkit.models.saving import read_bundle
from tlkit.outputs import Box
from tlkit.runtime import start_keras

Features = NDArray[np.float32]
BASELINES = ("(activation norm)", "(centre)", "(random)")
TABLES = (("both", "own half"), ("head", "network"), ("ins - del",), ("pointing",))
MAX_KEPT_BATCHES = 400


@dataclasses.dataclass(eq=False)
class Network:
    """A run's model as it is, with a random head and with random weights everywhere."""

    name: str
    explainer: Explainer
    randomised: dict[str, Explainer]
    predictor: Predictor

    def list_methods(self, names: Sequence[str]) -> list[str]:
        """Return those of the methods that go with its head."""
        return [name for name in names if name != "exact" or has_exact(self.explainer, np.zeros(1, np.int64))]


class SharedTrunk:
    """Computes feature maps for several explainers with the same weights below the cut, each batch once."""

    def __init__(self, explainer: Explainer) -> None:
        self._compute = explainer.compute_features
        self._kept: dict[str, Features] = {}

    def __call__(self, images: NDArray[np.uint8]) -> Features:
        """Return the maps of images, as `Explainer.compute_features` does."""
        key = hashlib.sha1(np.ascontiguousarray(images).tobytes()).hexdigest()
        if key not in self._kept:
            if len(self._kept) >= MAX_KEPT_BATCHES:
                self._kept.clear()
            self._kept[key] = self._compute(images)
        return self._kept[key]

    def forget(self) -> None:
        """Forget the maps of one picture, for the next."""
        self._kept.clear()


def compute_map(name: str, explainer: Explainer, picture: NDArray[np.uint8], target: int, seed: int) -> Features:
    """Return the map of one picture, float32 (rows, columns), by a method or a baseline."""
    size = explainer.feature_shape[:2]
    targets = np.array([target], np.int64)
    if name == "(centre)":
        return make_centre_map((size[0], size[1]))
    if name == "(random)":
        return np.random.default_rng(seed).random(size).astype(np.float32)
    if name == "(activation norm)":
        features = explainer.compute_features(picture[np.newaxis])
        maps = compute_activation_norm(explainer, features, targets)
    else:
        maps = explain_pictures(explainer, picture[np.newaxis], targets, method=name)
    found: Features = maps[0]
    return found


def open_networks(runs: Sequence[Path]) -> tuple[list[Network], list[SharedTrunk]]:
    """Open all runs; those below one trunk share what it computes."""
    networks = []
    for run in runs:
        explainer = Explainer(read_bundle(run, loader_version=LOADER_VERSION))
        randomised = {"head": randomise(run, all_weights=False), "network": randomise(run, all_weights=True)}
        networks.append(Network(run.name, explainer, randomised, open_classifier(run, loader_version=LOADER_VERSION)))
    own, random = SharedTrunk(networks[0].explainer), SharedTrunk(networks[0].randomised["network"])
    for each in networks:
        for explainer, trunk in (
            (each.explainer, own),
            (each.randomised["head"], own),
            (each.randomised["network"], random),
        ):
            explainer.compute_features = trunk  # type: ignore[method-assign]
    return networks, [own, random]


def randomise(run: Path, *, all_weights: bool) -> Explainer:
    """Return the explainer of a run with a head of random weights, or a network of them: values of each weight shuffled."""
    classifier = read_bundle(run, loader_version=LOADER_VERSION)
    rng = np.random.default_rng(0)
    for name, variable in classifier.named_weights().items():
        if all_weights or name.startswith("head/"):
            values = np.asarray(variable)
            variable.assign(rng.permutation(values.ravel()).reshape(values.shape))
    return Explainer(classifier)


@dataclasses.dataclass(frozen=True, eq=False)
class Sample:
    """A test photo that all models get right, another of a different class, and the box of the first, if it has one."""

    picture: NDArray[np.uint8]
    target: int
    other: NDArray[np.uint8]
    other_target: int
    box: Box | None


def draw_samples(
    networks: Sequence[Network], records: list[ImageRecord], boxes: dict[str, Box], num: int
) -> list[Sample]:
    """Draw pairs of test photos of different classes that every model gets right; with boxes, the first has one."""
    rng = np.random.default_rng(0)
    spec = networks[0].predictor.spec
    chosen = [records[place] for place in rng.permutation(len(records))[: 8 * num]]
    pictures = np.stack([load_record(record, spec) for record in chosen])
    truth = np.array([spec.class_names.index(record.answer) for record in chosen])
    is_right = np.ones(len(chosen), bool)
    for each in networks:
        is_right &= each.predictor.predict(pictures)[:, : len(spec.class_names)].argmax(axis=1) == truth
    right = np.flatnonzero(is_right)
    firsts = [place for place in right if not boxes or chosen[place].path.name in boxes][:num]
    samples = []
    for first in firsts:
        other = int(rng.choice(right[truth[right] != truth[first]]))
        box = boxes.get(chosen[first].path.name)
        samples.append(Sample(pictures[first], int(truth[first]), pictures[other], int(truth[other]), box))
    return samples


def measure(network: Network, name: str, sample: Sample, number: int) -> Iterator[tuple[str, float]]:
    """Yield the figures of a method on one sample, by the names in `TABLES`."""
    evidence = compute_map(name, network.explainer, sample.picture, sample.target, 3 * number)
    mosaic, *halves = make_mosaic(sample.picture, sample.other, is_upright=bool(number % 2))
    hits: list[bool] = []
    for half, target in zip(halves, (sample.target, sample.other_target), strict=True):
        found = compute_map(name, network.explainer, mosaic, target, 3 * number + 1 + len(hits))
        hits.append(points_into_box(found, half))
        yield "own half", measure_energy_in_box(found, half)
    yield "both", float(all(hits))
    for weights, other in network.randomised.items():
        changed = compute_map(name, other, sample.picture, sample.target, 3 * number + 5000)
        yield weights, abs(correlate_ranks(evidence, changed))

    def score(rows: NDArray[np.uint8]) -> NDArray[np.float32]:
        probabilities: NDArray[np.float32] = network.predictor.predict(rows)[:, sample.target]
        return probabilities

    yield "ins - del", score_insertion_minus_deletion(sample.picture, evidence, score)
    if sample.box is not None:
        yield "pointing", float(points_into_box(evidence, sample.box))


def write_figure(values: Sequence[float]) -> str:
    """Return a mean and half the width of its 95% interval: ".82 ± .12"."""
    known = np.array(values)[np.isfinite(values)]
    if not len(known):
        return "-"
    half = 1.96 * known.std(ddof=1) / np.sqrt(len(known)) if len(known) > 1 else float("nan")
    return f"{known.mean():.2f} ± {half:.2f}".replace("0.", ".")


def print_tables(networks: Sequence[Network], figures: dict[tuple[str, str, str], list[float]]) -> None:
    """Print a table for each of `TABLES`, as far as it was measured."""
    names = list(dict.fromkeys(method for _, method, _ in figures))
    for columns in TABLES:
        if not any(column == columns[0] for *_, column in figures):
            continue
        click.echo(f"\n| {' / '.join(columns)} | {' | '.join(each.name for each in networks)} |")
        click.echo("|---|" + "---|" * len(networks))
        for name in names:
            cells = []
            for each in networks:
                known = [figures.get((each.name, name, column), []) for column in columns]
                cells.append(", ".join(map(write_figure, known)) if known[0] else "")
            click.echo(f"| {name} | {' | '.join(cells)} |")


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
@click.argument("runs", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--boxes", type=click.Path(exists=True, path_type=Path), help="Table of boxes of test images, in pixels.")
@click.option("--method", "methods", multiple=True, help="A method (default: all, and the baselines).")
@click.option("--number", default=40, show_default=True, help="Photos and mosaics for methods that start from the map.")
@click.option("--slow", default=8, show_default=True, help="The same for methods that start from the pixels.")
def main(runs: tuple[Path, ...], boxes: Path | None, methods: tuple[str, ...], number: int, slow: int) -> None:
    """Print the tables."""
    start_keras()
    networks, trunks = open_networks(runs)
    manifest = read_manifest(runs[0])
    records = list(manifest.in_split("test") or manifest.in_split("validation"))
    samples = draw_samples(networks, records, read_boxes(boxes) if boxes else {}, max(number, slow))
    chosen = methods or (*FEATURE_METHODS, *PIXEL_METHODS, *BASELINES)
    figures: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for place, sample in enumerate(samples):
        names = [name for name in chosen if place < (slow if name in PIXEL_METHODS else number)]
        for name in names:
            for each in networks:
                if name in each.list_methods(names):
                    for column, value in measure(each, name, sample, place):
                        figures[each.name, name, column].append(value)
            for trunk in trunks:
                trunk.forget()
        click.echo(f"{place + 1} of {len(samples)}", err=True)
    counts = f"{min(number, len(samples))} samples, {min(slow, len(samples))} for methods that start from the pixels"
    click.echo(f"\n{counts}")
    print_tables(networks, figures)


if __name__ == "__main__":
    main()
