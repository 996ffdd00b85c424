r"""Measure which maps of evidence tell the truth, on runs with different heads on the same frozen backbone and images.

    python -m benchmarks.explanations runs/linear runs/dense runs/conv runs/flat [--boxes raccoon_labels.csv]

The runs have the same test split, of which photos are drawn that all of them get right. A table is printed for each of:

- both, own half: two photos of different classes side by side. Whether the strongest evidence for each class lies in its
  own half; the share of the evidence for a class that does.
- head, network: rank correlation (absolute) with the map of the same network whose head, or all of whose weights, are
  random: the values of each weight shuffled.
- insertion, deletion: mean probability with the strongest evidence shown first, and covered first; their difference
  against that of three guesses that know nothing of the class, on the same photos.
- pointing: the strongest evidence lies in the box of the object; with --boxes this alone is measured.

Shares have Wilson intervals, means bootstrap intervals, of 95%. What lies below the head is the same in all runs, so that
masked pictures go through it once, in OpenVINO, as in the commands.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.explanation_tables import BASELINES, CENTRE, NORM, RANDOM, STEPS, Figures, write_tables
from tlkit.data.images import LOADER_VERSION
from tlkit.data.manifest import ImageRecord, read_manifest
from tlkit.explain.explainer import Explainer
from tlkit.explain.faithfulness import (
    correlate_ranks,
    make_centre_map,
    make_mosaic,
    measure_energy_in_box,
    points_into_box,
    score_insertion_and_deletion,
)
from tlkit.explain.feature_maps import compute_activation_norm, has_exact
from tlkit.explain.methods import DEFAULT, FEATURE_METHODS, PIXEL_METHODS, explain_pictures
from tlkit.inference.scoring import load_record
from tlkit.models.classifier import Classifier
from tlkit.models.networks.classifier import NetworkClassifier
from tlkit.models.networks.openvino import NETWORK_FORMAT
from tlkit.models.saving import read_bundle
from tlkit.outputs import Box
from tlkit.runtime import start_keras
from tlkit.tasks import find_task

Features = NDArray[np.float32]
SHARED_MASKS = ("pixel-occlusion", "pixel-rise")
"""Methods whose masked pictures are the same for all heads and classes."""
SAMPLES_AT_ONCE = 8
"""Samples whose feature maps are kept for all heads, for methods that start from a feature map."""
PART_OF_SAMPLES = {
    "rise": 4,
    "saliency": 2,
    "guided-backprop": 2,
    "smoothgrad": 5,
    "pixel-occlusion": 5,
    "integrated-gradients": 6,
    "pixel-rise": 8,
}
"""Slow methods get a part of the samples: their number is divided by this."""


class Trunk:
    """Computes the feature maps of a classifier as it is now, each batch once."""

    def __init__(self, classifier: Classifier) -> None:
        self._network = NetworkClassifier(NETWORK_FORMAT, classifier.spec, NETWORK_FORMAT.convert(classifier), None)
        self._kept: dict[str, Features] = {}

    def __call__(self, images: NDArray[np.uint8]) -> Features:
        """Return the maps of images, as `Explainer.compute_features` does."""
        key = hashlib.sha1(np.ascontiguousarray(images).tobytes()).hexdigest()
        if key not in self._kept:
            parts = np.array_split(images, min(len(images), self._network.num_parallel))
            with ThreadPoolExecutor(len(parts)) as pool:
                self._kept[key] = np.concatenate(list(pool.map(self._network.compute_maps, parts)))
        return self._kept[key]

    def forget(self) -> None:
        """Forget what has been computed."""
        self._kept.clear()


class Network:
    """A run's model, whose weights are its own, or random in its head or everywhere.

    Args:
        run: The run's folder.
        trunks: What computes the maps with its own weights and with random ones; empty before the first run.
    """

    def __init__(self, run: Path, trunks: dict[str, Trunk]) -> None:
        self.name = run.name
        self._classifier = read_bundle(run, loader_version=LOADER_VERSION)
        self._variables = self._classifier.named_weights()
        self._own = {name: np.asarray(variable) for name, variable in self._variables.items()}
        self.explainer = Explainer(self._classifier)
        self._trunks = trunks
        for variant in ("own", "network"):
            if variant not in trunks:
                self._assign(variant)
                trunks[variant] = Trunk(self._classifier)
        self.use("own")

    @property
    def spec(self) -> Any:
        """The model's description."""
        return self._classifier.spec

    def hash_trunk(self) -> str:
        """Return a hash of the weights below the head."""
        below = [self._own[name].tobytes() for name in sorted(self._own) if not name.startswith("head/")]
        return hashlib.sha1(b"".join(below)).hexdigest()

    def use(self, variant: str) -> None:
        """Take its own weights (`own`), or shuffled ones in the `head` or in the whole `network`."""
        self._assign(variant)
        trunk = self._trunks["network" if variant == "network" else "own"]
        self.explainer.compute_features = trunk  # type: ignore[method-assign]

    def _assign(self, variant: str) -> None:
        for name, variable in self._variables.items():
            values = self._own[name]
            if variant == "network" or (variant == "head" and name.startswith("head/")):
                rng = np.random.default_rng(zlib.crc32(name.encode()))
                values = rng.permutation(values.ravel()).reshape(values.shape)
            variable.assign(values)

    def predict(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probabilities, float32 (n, classes)."""
        logits = self.explainer.compute_outputs(self.explainer.compute_features(pictures))
        logits = logits[:, : len(self.spec.class_names)]
        return find_task(self.spec.task).activate(logits, temperature=self.spec.temperature)

    def has(self, method: str) -> bool:
        """Return whether the method goes with the head."""
        return method != "exact" or has_exact(self.explainer, np.zeros(1, np.int64))

    @property
    def default(self) -> str:
        """The method that `auto` takes."""
        return "exact" if self.has("exact") else DEFAULT


@dataclass(frozen=True, eq=False)
class Sample:
    """A test photo that all models get right, another of a different class, and the box of the first, if it has one."""

    picture: NDArray[np.uint8]
    target: int
    other: NDArray[np.uint8]
    other_target: int
    box: Box | None
    is_upright: bool

    @property
    def mosaic(self) -> tuple[NDArray[np.uint8], Box, Box]:
        """Both photos, half of each, and where they lie."""
        return make_mosaic(self.picture, self.other, is_upright=self.is_upright)


def open_networks(runs: Sequence[Path]) -> tuple[list[Network], list[Trunk]]:
    """Open all runs, and return what they share, too.

    Raises:
        click.UsageError: Their backbones differ.
    """
    trunks: dict[str, Trunk] = {}
    networks = [Network(run, trunks) for run in runs]
    if len({each.hash_trunk() for each in networks}) > 1:
        raise click.UsageError("The runs' backbones have different weights; compare runs that train the head alone.")
    return networks, list(trunks.values())


def draw_samples(
    networks: Sequence[Network], records: Sequence[ImageRecord], boxes: Mapping[str, Box], num: int
) -> list[Sample]:
    """Draw pairs of test photos of different classes that every model gets right; with boxes, the first has one."""
    rng = np.random.default_rng(0)
    spec = networks[0].spec
    chosen = [records[place] for place in rng.permutation(len(records))[: 6 * num]]
    pictures = np.stack([load_record(record, spec) for record in chosen])
    truth = np.array([spec.class_names.index(record.answer) for record in chosen])
    answers = np.stack([each.predict(pictures).argmax(axis=1) for each in networks])
    right = np.flatnonzero((answers == truth).all(axis=0))
    firsts = [place for place in right if not boxes or chosen[place].path.name in boxes][:num]
    samples = []
    for number, first in enumerate(firsts):
        other = int(rng.choice(right[truth[right] != truth[first]]))
        box = boxes.get(chosen[first].path.name)
        samples.append(
            Sample(pictures[first], int(truth[first]), pictures[other], int(truth[other]), box, bool(number % 2))
        )
    return samples


def compute_maps(
    name: str, explainer: Explainer, pictures: NDArray[np.uint8], targets: Sequence[int], seed: Sequence[int]
) -> Features:
    """Return the maps of pictures, float32 (n, rows, columns), by a method or a baseline."""
    size, chosen = explainer.feature_shape[:2], np.array(targets, np.int64)
    if name == CENTRE:
        return np.repeat(make_centre_map((size[0], size[1]))[np.newaxis], len(pictures), axis=0)
    if name == RANDOM:
        return np.random.default_rng(seed).random((len(pictures), *size)).astype(np.float32)
    if name == NORM:
        return compute_activation_norm(explainer, explainer.compute_features(pictures), chosen)
    return explain_pictures(explainer, pictures, chosen, method=name)


def measure(name: str, network: Network, samples: Sequence[Sample], place: int) -> dict[str, list[float]]:
    """Return the figures of a method on samples, the first of which has this number, by the names in `TABLES`."""
    pictures, targets = np.stack([each.picture for each in samples]), [each.target for each in samples]
    own = compute_maps(name, network.explainer, pictures, targets, (place, 0))
    if samples[0].box is not None:
        pairs = zip(samples, own, strict=True)
        return {"pointing": [float(points_into_box(evidence, each.box)) for each, evidence in pairs if each.box]}
    figures = measure_specificity(name, network, samples, place)
    for number, variant in enumerate(("head", "network"), start=3):
        network.use(variant)
        changed = compute_maps(name, network.explainer, pictures, targets, (place, number))
        figures[variant] = [abs(correlate_ranks(one, other)) for one, other in zip(own, changed, strict=True)]
    network.use("own")
    for sample, evidence in zip(samples, own, strict=True):

        def score(rows: NDArray[np.uint8], target: int = sample.target) -> Features:
            return network.predict(rows)[:, target]

        for key, value in zip(STEPS, score_insertion_and_deletion(sample.picture, evidence, score), strict=True):
            figures.setdefault(key, []).append(value)
    return figures


def measure_specificity(name: str, network: Network, samples: Sequence[Sample], place: int) -> dict[str, list[float]]:
    """Return whether the evidence for each class of a mosaic lies in its own half, and the share that does."""
    mosaics = np.stack([each.mosaic[0] for each in samples])
    targets = [[each.target for each in samples], [each.other_target for each in samples]]
    maps = [compute_maps(name, network.explainer, mosaics, each, (place, 1 + n)) for n, each in enumerate(targets)]
    figures: dict[str, list[float]] = {"both": [], "own half": []}
    for sample, *evidence in zip(samples, *maps, strict=True):
        halves = list(zip(evidence, sample.mosaic[1:], strict=True))
        figures["both"].append(float(all(points_into_box(found, half) for found, half in halves)))
        figures["own half"].append(float(np.mean([measure_energy_in_box(found, half) for found, half in halves])))
    return figures


def measure_all(
    name: str, networks: Sequence[Network], samples: Sequence[Sample], forget: Callable[[], None], figures: Figures
) -> None:
    """Add a method's figures for all networks, a few samples at a time where heads share feature maps."""
    step = 1 if name in SHARED_MASKS else len(samples) if name in PIXEL_METHODS else SAMPLES_AT_ONCE
    found: dict[str, dict[str, list[float]]] = {each.name: {} for each in networks if each.has(name)}
    for place in range(0, len(samples), step):
        for each in networks:
            if each.has(name):
                for key, values in measure(name, each, samples[place : place + step], place).items():
                    found[each.name].setdefault(key, []).extend(values)
        forget()
    for run, by_measure in found.items():
        figures.setdefault(run, {})[name] = by_measure


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
@click.option("--method", "methods", multiple=True, help="A method or baseline (default: all).")
@click.option("--number", default=32, show_default=True, help="Photos and mosaics; fewer for slow methods.")
@click.option(
    "--figures", "file", type=click.Path(path_type=Path), help="A JSON file that keeps figures between calls."
)
def main(runs: tuple[Path, ...], boxes: Path | None, methods: tuple[str, ...], number: int, file: Path | None) -> None:
    """Print the tables."""
    start_keras()
    networks, trunks = open_networks(runs)
    manifest = read_manifest(runs[0])
    records = list(manifest.in_split("test") or manifest.in_split("validation"))
    samples = draw_samples(networks, records, read_boxes(boxes) if boxes else {}, number)

    def forget() -> None:
        for trunk in trunks:
            trunk.forget()

    figures: Figures = json.loads(file.read_text("utf-8")) if file and file.is_file() else {}
    for name in methods or (*FEATURE_METHODS, *PIXEL_METHODS, *BASELINES):
        start = time.process_time()
        measure_all(name, networks, samples[: -(-len(samples) // PART_OF_SAMPLES.get(name, 1))], forget, figures)
        if file:
            file.write_text(json.dumps(figures), "utf-8")
        click.echo(f"{name}: {time.process_time() - start:.0f} s of processor time", err=True)
    click.echo(write_tables(figures, {each.name: each.default for each in networks}))
    click.echo(f"\n{time.process_time():.0f} s of processor time")


if __name__ == "__main__":
    main()
