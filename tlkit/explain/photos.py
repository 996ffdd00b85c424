"""Explain what a model says of a photo: which outputs, their maps, and how much each map tells beyond a guess."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.explain.explainer import Explainer
from tlkit.explain.faithfulness import DeletionScore, PictureScorer, score_deletion
from tlkit.explain.methods import AUTO, DEFAULT, explain_pictures
from tlkit.explain.outputs import box_output, name_output
from tlkit.models.predictor import Predictor, to_values
from tlkit.tasks.box_report import measure_iou


@dataclass(frozen=True, eq=False)
class Explanation:
    """What speaks for one output of a photo.

    Attributes:
        output: Number of the output; `box_output` stands for the box as a whole.
        name: The class, label, value or box in words.
        evidence: float32 (rows, columns) over the network's input. Signed; for a box, how much each place matters.
        deletion: What covering the evidence does to the output, in probability, IoU or the value's unit.
    """

    output: int
    name: str
    evidence: NDArray[np.float32]
    deletion: DeletionScore


def explain_photo(
    explainer: Explainer,
    predictor: Predictor,
    pixels: NDArray[np.uint8],
    metadata: NDArray[np.float32],
    outputs: list[int],
    *,
    method: str = AUTO,
) -> list[Explanation]:
    """Return the evidence for some outputs of a photo, each with its own deletion score.

    Args:
        explainer: The model, whose gradients are used.
        predictor: The same model, by whichever engine is fastest; it judges the maps.
        pixels: The network's input, uint8 (height, width, 3), RGB, 0..255.
        metadata: float32 (width,).
        outputs: As `tlkit.explain.outputs.choose_outputs` gives them.
        method: As for `explain_pictures`.
    """
    spec = explainer.classifier.spec
    explanations = []
    for output in outputs:
        evidence = _compute_evidence(explainer, pixels, metadata, output, method)
        scorer = make_scorer(predictor, pixels, metadata, output)
        explanations.append(
            Explanation(output, name_output(output, spec), evidence, score_deletion(pixels, evidence, scorer))
        )
    return explanations


def make_scorer(
    predictor: Predictor, pixels: NDArray[np.uint8], metadata: NDArray[np.float32], output: int
) -> PictureScorer:
    """Return what measures an output: the probability, the value, or the IoU with the box of the whole photo."""
    spec = predictor.spec
    first = spec.outputs.num_answers

    def ask(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        rows = np.repeat(metadata[np.newaxis], len(pictures), axis=0)
        parts = np.array_split(np.arange(len(pictures)), min(len(pictures), predictor.num_parallel))
        with ThreadPoolExecutor(predictor.num_parallel) as pool:
            return np.concatenate(list(pool.map(lambda part: predictor.predict(pictures[part], rows[part]), parts)))

    if output == box_output(spec):
        own = _to_corners(ask(pixels[np.newaxis])[:, first : first + 4])
        return lambda pictures: measure_iou(_to_corners(ask(pictures)[:, first : first + 4]), own)

    def score(pictures: NDArray[np.uint8]) -> NDArray[np.floating[Any]]:
        answers = ask(pictures)[:, output]
        return answers if spec.target is None else to_values(spec.target, answers)

    return score


def _compute_evidence(
    explainer: Explainer, pixels: NDArray[np.uint8], metadata: NDArray[np.float32], output: int, method: str
) -> NDArray[np.float32]:
    """Return the map of an output; of a box, the length of the maps of its four coordinates at each place."""
    spec = explainer.classifier.spec
    is_box = output == box_output(spec)
    targets = np.arange(output - 4, output) if is_box else np.array([output])
    if is_box and method in (AUTO, "exact"):
        method = DEFAULT
    maps = explain_pictures(
        explainer,
        np.repeat(pixels[np.newaxis], len(targets), axis=0),
        targets,
        np.repeat(metadata[np.newaxis], len(targets), axis=0),
        method=method,
    )
    evidence: NDArray[np.float32] = np.sqrt((maps**2).sum(axis=0)) if is_box else maps[0]
    return evidence


def _to_corners(boxes: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return boxes cx, cy, w, h, float (n, 4), as left, top, right, bottom: float64."""
    centres, sizes = boxes[:, :2].astype(np.float64), boxes[:, 2:].astype(np.float64)
    return np.concatenate([centres - sizes / 2, centres + sizes / 2], axis=1)
