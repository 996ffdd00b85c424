"""What linear models of places say about a training."""

from __future__ import annotations

import numpy as np

from tlkit.outputs import SEGMENTATION
from tlkit.probes.advice import HEAD
from tlkit.probes.plan_places import PlaceEvidence
from tlkit.tasks.scored_places import ScoredMasks

RIGHT, WRONG = [[50, 0], [0, 30]], [[50, 0], [30, 0]]


def score(num_right: int) -> ScoredMasks:
    return ScoredMasks.of(np.array([RIGHT] * num_right + [WRONG] * (60 - num_right)))


def test_a_gain_with_more_images_that_is_significant_is_called_one() -> None:
    evidence = PlaceEvidence(SEGMENTATION, score(48), score(30), (24, 48))
    assert evidence.sentences[1].startswith("From 24 to 48 images these models gain +0.300 (95% interval +0.1")
    assert evidence.sentences[1].endswith(" of mIoU: more images of the same kind help.")
    assert evidence.table()[2][1][:3] == ("linear models, 48 images each", "60", "0.800")
    assert evidence.advise().depth == HEAD
    same = PlaceEvidence(SEGMENTATION, score(30), score(30), (24, 48))
    assert same.sentences[1].endswith(" of mIoU, which may be chance.")


def test_maps_that_tell_nothing_send_one_to_the_masks() -> None:
    evidence = PlaceEvidence(SEGMENTATION, score(1), score(1), (24, 48))
    assert evidence.advise().reasons == (
        "Linear models of the frozen maps find hardly anything (mIoU 0.017). Check the mask first; if they are right, a "
        "larger --image-size or another backbone may help.",
    )
