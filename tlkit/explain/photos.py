"""Explain what a model says of a photo: which outputs, their maps, and how much each map tells beyond a guess."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.explain.explainer import Explainer
from tlkit.explain.faithfulness import (
    DeletionScore,
    PictureScorer,
    measure_energy_in_box,
    points_into_box,
    score_deletion,
)
from tlkit.explain.methods import AUTO, DEFAULT, EXACT, FEATURE_METHODS, explain_features, explain_pictures
from tlkit.explain.objects import map_class_scores
from tlkit.explain.regions import map_uncertainty
from tlkit.explain.subjects import Subject, choose_subjects
from tlkit.inference.scoring import split_rows
from tlkit.models.predictor import Predictor
from tlkit.outputs import Box
from tlkit.tasks import find_task


@dataclass(frozen=True)
class BoxShare:
    """How much of the evidence for an object lies in its box.

    Attributes:
        inside: Share of the evidence for it that lies in the box, 0..1; NaN if there is none.
        area: Share of the network's input that the box takes, 0..1: what a map that knows nothing would have inside.
        points_inside: Whether the strongest evidence lies in the box.
    """

    inside: float
    area: float
    points_inside: bool


@dataclass(frozen=True, eq=False)
class Explanation:
    """What speaks for something that a model says of a photo.

    Attributes:
        subject: What is explained.
        evidence: float32 (rows, columns) over the network's input. Signed; for a box, how much each place matters.
        deletion: What covering the evidence does to the answer, in probability, score, IoU or the value's unit.
        box_share: Where the evidence lies, for an object.
    """

    subject: Subject
    evidence: NDArray[np.float32]
    deletion: DeletionScore
    box_share: BoxShare | None = None


@dataclass(frozen=True, eq=False)
class SceneMap:
    """What the model says at every place of a photo.

    Attributes:
        name: In words.
        values: float32 (rows, columns) over the network's input, 0..1.
    """

    name: str
    values: NDArray[np.float32]


def explain_photo(
    explainer: Explainer,
    predictor: Predictor,
    pixels: NDArray[np.uint8],
    metadata: NDArray[np.float32],
    row: NDArray[np.float32],
    *,
    asked: int | None = None,
    method: str = AUTO,
) -> tuple[list[Explanation], list[SceneMap]]:
    """Return the evidence for what a model says of a photo, each with its own deletion score, and what it says everywhere.

    Args:
        explainer: The model, whose gradients are used.
        predictor: The same model, by whichever engine is fastest; it judges the maps.
        pixels: The network's input, uint8 (height, width, 3), RGB, 0..255.
        metadata: float32 (width,).
        row: What `predictor` says of it, float32 (row_width,).
        asked: As for `choose_subjects`.
        method: As for `explain_pictures`.

    Returns:
        The explanations; and for a head that answers at places, the score of each class that is explained, or how
        uncertain a mask is.
    """
    spec = explainer.classifier.spec
    features = explainer.compute_features(pixels[np.newaxis])
    logits = explainer.compute_outputs(features, metadata[np.newaxis])[0]
    explanations = []
    for subject in choose_subjects(row, logits, spec, asked):
        evidence = _compute_evidence(explainer, pixels, features, metadata, subject, method)
        scorer = make_scorer(predictor, metadata, subject)
        explanations.append(
            Explanation(
                subject, evidence, score_deletion(pixels, evidence, scorer), _measure_box(evidence, subject.box)
            )
        )
    return explanations, _map_scene(row, logits, explainer, [each.subject for each in explanations], asked)


def make_scorer(predictor: Predictor, metadata: NDArray[np.float32], subject: Subject) -> PictureScorer:
    """Return what measures a subject in pictures."""

    def score(pictures: NDArray[np.uint8]) -> NDArray[np.floating[Any]]:
        rows = np.repeat(metadata[np.newaxis], len(pictures), axis=0)
        parts = np.array_split(np.arange(len(pictures)), min(len(pictures), predictor.num_parallel))
        with ThreadPoolExecutor(predictor.num_parallel) as pool:
            found = list(pool.map(lambda part: predictor.predict(pictures[part], rows[part]), parts))
        return subject.measure(np.concatenate(found))

    return score


def _compute_evidence(
    explainer: Explainer,
    pixels: NDArray[np.uint8],
    features: NDArray[np.float32],
    metadata: NDArray[np.float32],
    subject: Subject,
    method: str,
) -> NDArray[np.float32]:
    """Return the map of a subject; of one with several parts, the length of their maps at each place."""
    targets = subject.outputs
    has_parts = len(targets) > 1
    if has_parts and method in (AUTO, EXACT):
        method = DEFAULT
    given = np.repeat(metadata[np.newaxis], len(targets), axis=0)
    if method == AUTO or method in FEATURE_METHODS:
        maps = explain_features(explainer, features.repeat(len(targets), axis=0), targets, given, method=method)
    else:
        pictures = np.repeat(pixels[np.newaxis], len(targets), axis=0)
        maps = explain_pictures(explainer, pictures, targets, given, method=method)
    evidence: NDArray[np.float32] = np.sqrt((maps**2).sum(axis=0)) if has_parts else maps[0]
    return evidence


def _measure_box(evidence: NDArray[np.float32], box: Box | None) -> BoxShare | None:
    if box is None:
        return None
    left, top, right, bottom = (min(max(edge, 0.0), 1.0) for edge in box)
    seen = (left, top, right, bottom)
    area = max(0.0, right - left) * max(0.0, bottom - top)
    return BoxShare(measure_energy_in_box(evidence, seen), area, points_into_box(evidence, seen))


def _map_scene(
    row: NDArray[np.float32],
    logits: NDArray[np.float32],
    explainer: Explainer,
    subjects: Sequence[Subject],
    asked: int | None,
) -> list[SceneMap]:
    """Return what a head that answers at places says at each of them; nothing of other heads."""
    spec = explainer.classifier.spec
    task = find_task(spec.task)
    if task.has_masks:
        shares = split_rows(row[np.newaxis], spec).answers[0]
        return [SceneMap("uncertainty", map_uncertainty(shares, spec))]
    if not task.has_objects:
        return []
    labels = [subject.label for subject in subjects] if asked is None else [asked]
    return [
        SceneMap(f"scores of {spec.class_names[label]}", map_class_scores(logits, spec, label))
        for label in dict.fromkeys(labels)
        if label is not None
    ]
