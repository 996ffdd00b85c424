"""Evidence for a plan where objects or masks are wanted: what linear models find in the frozen maps, and what images add."""

from __future__ import annotations

import dataclasses
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tlkit.backbones.catalogue import TOP
from tlkit.data.splits import limit_records
from tlkit.features.ensure import ensure_features
from tlkit.features.trunks import take_trunk
from tlkit.metrics.intervals import Interval
from tlkit.models.classifier import Classifier
from tlkit.outputs import QUANTITIES
from tlkit.probes.advice import HEAD, Advice
from tlkit.probes.folds import Fold
from tlkit.probes.images import MAX_IMAGES_WITH_PLACES, make_questions
from tlkit.probes.place_scores import PlaceFeatures, find_layout, score_places
from tlkit.tasks import find_task
from tlkit.tasks.scored_outputs import ScoredOutputs
from tlkit.training.run import Run

MIN_IMAGES = 40
HARDLY_ANYTHING = 0.02
"""A probe whose interval reaches down to this score may have found what it has by chance."""


@dataclass(frozen=True, eq=False)
class PlaceEvidence:
    """The evidence from a sample of the images.

    Attributes:
        task: One of TASKS.
        probe: Linear models of the places of the maps at the top; each image is held out once.
        half: The same, each fitted to half as many images.
        num_fitted: Number of images that the models are fitted to: of `half`, and of `probe`.
    """

    task: str
    probe: ScoredOutputs
    half: ScoredOutputs
    num_fitted: tuple[int, int]

    @property
    def quantity(self) -> str:
        """The name of the scores, in words."""
        return QUANTITIES[find_task(self.task).score_name]

    @property
    def gain(self) -> Interval:
        """The gain of twice as many images."""
        return self.probe.compute_gain(self.half)

    def table(self) -> tuple[str, tuple[str, ...], list[tuple[str, ...]]]:
        """Return a title, column titles, and rows."""
        rows: list[tuple[str, ...]] = [
            (
                f"linear models, {number:,} images each",
                f"{len(scored.each):,}",
                f"{scored.value:z.3f}",
                f"{scored.score.low:z.3f} to {scored.score.high:z.3f}",
            )
            for number, scored in zip(self.num_fitted, (self.half, self.probe), strict=True)
        ]
        return "Held-out images", ("model", "images", self.quantity, "95% interval"), rows

    @property
    def sentences(self) -> list[str]:
        """What the scores are, and what more images would bring."""
        few, many = self.num_fitted
        gain = self.gain.in_words("{:+z.3f}".format)
        begin = f"From {few:,} to {many:,} images these models gain {gain} of {self.quantity}"
        return [
            "These are linear models of every place of the frozen maps, fitted in seconds. What a trained head reaches was not "
            "tried.",
            f"{begin}: more images of the same kind help." if self.gain.low > 0 else f"{begin}, which may be chance.",
        ]

    def advise(self) -> Advice:
        """Recommend to train the head first, and say what was not tried."""
        if self.probe.score.low <= HARDLY_ANYTHING:
            noun = find_task(self.task).answer_noun
            reason = (
                f"Linear models of the frozen maps find hardly anything ({self.quantity} {self.probe.value:z.3f}). Check the "
                f"{noun} first; if they are right, a larger --image-size or another backbone may help."
            )
            return Advice(HEAD, None, (reason,))
        return Advice(HEAD, None, (_UNTRIED,))

    def to_payload(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "task": self.task,
            "scores": [
                {
                    "name": name,
                    "images": len(scored.each),
                    "fitted_to": number,
                    "value": scored.value,
                    "low": scored.score.low,
                    "high": scored.score.high,
                }
                for name, number, scored in zip(
                    ("half", "linear probe"), self.num_fitted, (self.half, self.probe), strict=True
                )
            ],
            "trial": None,
            "gain_of_twice_the_images": asdict(self.gain),
        }


_UNTRIED = "No deeper training was tried. Train the head, then go on from that run with --unfreeze; what does not help is undone."


def gather_place_evidence(run: Run, classifier: Classifier) -> PlaceEvidence | None:
    """Fit linear models to the maps of at most 500 images outside the test split, whole and by halves.

    Args:
        run: The data set and the caches.
        classifier: The model to train; it is not changed.

    Returns:
        The evidence; None if there are fewer than 40 images.

    Raises:
        DataError: An image has changed in the meantime.
    """
    data, seed = run.recipe.data, run.recipe.training.seed
    everything = run.manifest.for_training()
    records = limit_records(list(everything.records), find_task(data.task), seed, at_most=MAX_IMAGES_WITH_PLACES)
    if len({record.sha256 for record in records}) < MIN_IMAGES:
        return None
    run.console.say(f"Evidence from {len(records):,} images:")
    questions = make_questions(dataclasses.replace(everything, records=tuple(records)), data, seed)
    request = run.request_features(TOP)
    trunk = take_trunk(classifier.backbone, request)
    features = ensure_features(questions.manifest, trunk, request, cache_root=run.cache_root, console=run.console)
    cache, positions = features.cache, features.locate(questions.manifest.records)[:, 0]
    maps = PlaceFeatures(
        lambda images: cache.read(positions[images]), find_layout(trunk.note), cache.spec.image_size, cache.spec.fit
    )
    kept = np.random.default_rng(seed).permutation(len(records))[: -(-len(records) // 2)]
    halves = [Fold(np.intersect1d(fold.train, kept), fold.test) for fold in questions.folds]
    few, many = (round(float(np.mean([len(fold.train) for fold in folds]))) for folds in (halves, questions.folds))
    half, probe = score_places(questions, maps, halves), score_places(questions, maps)
    return PlaceEvidence(data.task, probe, half, (few, many))
