r"""Measure which maps of evidence tell the truth about the objects that a detector finds.

    python -m benchmarks.object_explanations runs/detector

The photos are those of the run's validation split. For each method and object a table is printed of:

- deletion: mean score while the strongest evidence is covered first; while other places of the same shape are.
- true box, pointing: the share of the evidence in the true box; whether the strongest evidence lies in it.
- head: rank correlation with the map of a head with the same weights in random order.
- own half: of two photos side by side, the share of the evidence for an object that lies in its own half.

`box` is a map that knows the found box alone, `centre` one that knows nothing. Means have their standard errors.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tlkit.data.box_views import place_objects
from tlkit.data.geometry import NEUTRAL_GREY
from tlkit.data.images import LOADER_VERSION
from tlkit.data.manifest import ImageRecord, read_manifest
from tlkit.data.views import View
from tlkit.explain.explainer import Explainer
from tlkit.explain.faithfulness import (
    correlate_ranks,
    make_centre_map,
    measure_energy_in_box,
    points_into_box,
    score_deletion,
)
from tlkit.explain.methods import explain_features
from tlkit.explain.photos import make_scorer
from tlkit.explain.subjects import Subject, choose_subjects
from tlkit.inference.scoring import load_record
from tlkit.models.opening import open_classifier
from tlkit.models.predictor import Predictor
from tlkit.models.saving import read_bundle
from tlkit.models.spec import BundleSpec
from tlkit.outputs import Box
from tlkit.runtime import start_keras
from tlkit.tasks.objects import make_object_rows

METHODS = ("gradcam", "hirescam", "occlusion", "rise")
GUESSES = ("box", "centre")
GUESS_CELLS = 14
MIN_SCORE = 0.1
"""Score from which an object counts in a picture of two photos, where both are small."""
Pixels = NDArray[np.uint8]
Figures = dict[str, dict[str, list[float]]]


@dataclass(frozen=True)
class Models:
    """The model by Keras, with a random head, and by the fastest engine."""

    explainer: Explainer
    randomised: Explainer
    predictor: Predictor

    @property
    def spec(self) -> BundleSpec:
        """The model's description."""
        return self.predictor.spec


def open_models(run: Path) -> Models:
    """Open a run's model, and once more with the weights of its head shuffled."""
    start_keras()
    randomised = read_bundle(run, loader_version=LOADER_VERSION)
    rng = np.random.default_rng(0)
    for name, variable in randomised.named_weights().items():
        if name.startswith("head/"):
            weight = np.asarray(variable)
            variable.assign(rng.permutation(weight.ravel()).reshape(weight.shape))
    model = read_bundle(run, loader_version=LOADER_VERSION)
    return Models(Explainer(model), Explainer(randomised), open_classifier(run, loader_version=LOADER_VERSION))


def find_subjects(models: Models, pixels: Pixels, spec: BundleSpec) -> tuple[NDArray[np.float32], list[Subject]]:
    """Return the features of a picture, (1, width), and the objects that are found at the thresholds of a description."""
    features = models.explainer.compute_features(pixels[np.newaxis])
    logits = models.explainer.compute_outputs(features)[0]
    subjects = choose_subjects(models.predictor.predict(pixels[np.newaxis])[0], logits, spec)
    return features, [subject for subject in subjects if subject.is_found]


def map_evidence(explainer: Explainer, features: NDArray[np.float32], subject: Subject, method: str) -> Any:
    """Return the map of an object, by a method or a guess, float (h, w)."""
    assert subject.box is not None, "of an object"
    if method == "centre":
        return make_centre_map((GUESS_CELLS, GUESS_CELLS))
    if method == "box":
        left, top, right, bottom = subject.box
        middles = (np.arange(GUESS_CELLS) + 0.5) / GUESS_CELLS
        across = (2 * middles - left - right) / (right - left)
        down = (2 * middles - top - bottom) / (bottom - top)
        return np.exp(-2 * (down[:, np.newaxis] ** 2 + across**2))
    return explain_features(explainer, features, subject.outputs, method=method)[0]


def find_true_box(record: ImageRecord, subject: Subject, spec: BundleSpec) -> Box | None:
    """Return the true box that a found object overlaps most, in fractions of the input; None if it overlaps none."""
    assert subject.box is not None, "of an object"
    rows = place_objects(
        make_object_rows(record.answer, spec.class_names),
        View(),
        picture_size=(record.height, record.width),
        image_size=spec.image_size,
        fit=spec.fit,
    )[:, :4]
    own = np.array(subject.box)
    shared = np.clip(np.minimum(rows[:, 2:], own[2:]) - np.maximum(rows[:, :2], own[:2]), 0, None).prod(axis=1)
    if not shared.any():
        return None
    left, top, right, bottom = np.clip(rows[shared.argmax()], 0, 1).tolist()
    return left, top, right, bottom


def measure_photo(models: Models, record: ImageRecord, pixels: Pixels, figures: Figures) -> None:
    """Add the figures of the objects of a photo, at most two."""
    features, subjects = find_subjects(models, pixels, models.spec)
    for subject in subjects[:2]:
        scorer = make_scorer(models.predictor, np.zeros(0, np.float32), subject)
        true = find_true_box(record, subject, models.spec)
        for method, of_method in figures.items():
            start = time.process_time()
            evidence = map_evidence(models.explainer, features, subject, method)
            of_method["ms"].append(1000 * (time.process_time() - start))
            deletion = score_deletion(pixels, evidence, scorer)
            of_method["deletion"].append(deletion.by_map)
            of_method["other places"].append(deletion.by_guess)
            if true is not None:
                of_method["true box"].append(measure_energy_in_box(evidence, true))
                of_method["pointing"].append(points_into_box(evidence, true))
            if method not in GUESSES:
                other = map_evidence(models.randomised, features, subject, method)
                of_method["head"].append(correlate_ranks(evidence, other))


def measure_pair(models: Models, first: Pixels, second: Pixels, figures: Figures) -> None:
    """Add where the evidence lies for an object in each half of a picture of two photos, if both are found."""
    height, width = first.shape[:2]
    pair = np.full(first.shape, np.array(NEUTRAL_GREY, np.uint8), np.uint8)
    for place, pixels in enumerate((first, second)):
        small = np.asarray(Image.fromarray(pixels).resize((width // 2, height // 2)))
        top, left = height // 4, place * (width // 2)
        pair[top : top + len(small), left : left + small.shape[1]] = small
    spec = dataclasses.replace(models.spec, thresholds=(MIN_SCORE,) * len(models.spec.class_names))
    features, subjects = find_subjects(models, pair, spec)
    halves: dict[bool, Subject] = {}
    for subject in subjects:
        assert subject.box is not None, "of an object"
        halves.setdefault(subject.box[0] + subject.box[2] > 1, subject)
    if len(halves) < 2:
        return
    for method, of_method in figures.items():
        for is_right, subject in halves.items():
            evidence = map_evidence(models.explainer, features, subject, method)
            own: Box = (0.5, 0, 1, 1) if is_right else (0, 0, 0.5, 1)
            of_method["own half"].append(measure_energy_in_box(evidence, own))


@click.command()
@click.argument("run", type=click.Path(path_type=Path, exists=True))
@click.option("--number", default=24, help="Photos of the validation split, at most.")
@click.option("--methods", default=",".join(METHODS), help="Methods, with commas between them.")
def main(run: Path, number: int, methods: str) -> None:
    """Print a table of figures for the objects of a detector."""
    models = open_models(run)
    records = read_manifest(run).in_split("validation")[:number]
    pictures = [load_record(record, models.spec) for record in records]
    figures: Figures = {method: defaultdict(list) for method in (*methods.split(","), *GUESSES)}
    for record, pixels in zip(records, pictures, strict=True):
        measure_photo(models, record, pixels, figures)
    for first, second in zip(pictures[::2], pictures[1::2], strict=False):
        measure_pair(models, first, second, figures)
    for method, of_method in figures.items():
        cells = [
            f"{name} {np.nanmean(values):.2f} ± {np.nanstd(values) / len(values) ** 0.5:.2f} ({len(values)})"
            for name, values in of_method.items()
        ]
        print(f"{method}: {', '.join(cells)}")


if __name__ == "__main__":
    main()
