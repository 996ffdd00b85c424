"""Candidates are ranked by their scores, and those that chance may explain are not told apart."""

from __future__ import annotations

import json

import numpy as np

from tlkit.outputs import CLASSIFICATION
from tlkit.probes.comparison import PROBED, TRAINED, CandidateScore, Cost, Ranking, join_names, rank_candidates
from tlkit.tasks.scored_outputs import ScoredClasses

NUM_IMAGES = 400


def make_candidate(name: str, num_right: int, *, seconds: float, shift: int = 0) -> CandidateScore:
    """A candidate that is right on `num_right` neighbouring images, beginning at `shift`."""
    each = np.roll(np.arange(NUM_IMAGES) < num_right, shift).astype(np.float64)
    outputs = np.stack([each, 1 - each], axis=1)
    return CandidateScore(name, ScoredClasses(outputs, each), Cost(seconds, 100.0, 1_000_000))


def rank(*candidates: CandidateScore) -> Ranking:
    return rank_candidates(CLASSIFICATION, candidates, PROBED)


def test_the_highest_score_comes_first_and_what_is_clearly_lower_is_behind() -> None:
    ranking = rank(make_candidate("small", 280, seconds=1), make_candidate("large", 360, seconds=30))
    assert [(place.name, place.is_behind) for place in ranking.places] == [("large", False), ("small", True)]
    assert ranking.advised == "large"
    assert ranking.sentences[0].startswith("large is ahead of all others: accuracy 0.90")


def test_of_candidates_that_do_not_differ_the_cheapest_is_advised() -> None:
    ranking = rank(
        make_candidate("large", 346, seconds=30),
        make_candidate("small", 340, seconds=2, shift=10),
        make_candidate("poor", 100, seconds=1),
    )
    assert [place.is_behind for place in ranking.places] == [False, False, True]
    assert ranking.advised == "small"
    assert ranking.sentences[0] == "large and small do not differ significantly on 400 images."
    assert ranking.sentences[1].startswith("Use small: 0.85")


def test_a_small_difference_on_the_same_images_is_told_although_intervals_overlap() -> None:
    """The second is right wherever the first is, and on ten images more."""
    ranking = rank(make_candidate("first", 340, seconds=1), make_candidate("second", 350, seconds=1))
    best, other = ranking.places
    assert (best.name, other.is_behind) == ("second", True)
    assert other.score.high > best.score.low


def test_the_payload_is_fit_for_json_and_the_table_has_a_row_for_each() -> None:
    ranking = rank(make_candidate("only", 300, seconds=1.5))
    payload = json.loads(json.dumps(ranking.to_payload()))
    assert payload["candidates"][0]["seconds_per_1000_images"] == 1.5
    assert ranking.table()[2] == [("only", "0.750", "0.705 to 0.790", "first", "1.5 s", "100 MB", "1.0 M")]


def test_the_same_numbers_of_trainings_are_called_what_they_are() -> None:
    candidates = [make_candidate("dense", 346, seconds=30), make_candidate("linear", 344, seconds=2)]
    ranking = rank_candidates(CLASSIFICATION, candidates, TRAINED)
    assert ranking.table()[1][-3:] == ("whole run", "features", "head")
    assert (
        ranking.to_payload()["candidates"][1].items()
        >= {
            "seconds_of_a_run": 2,
            "feature_megabytes": 100.0,
            "head_parameters": 1_000_000,
        }.items()
    )
    assert "in 2.0 s for a whole run, against 0.86" in ranking.sentences[1]


def test_names_are_joined_as_one_writes_them() -> None:
    assert [join_names(["a"]), join_names(["a", "b"]), join_names(["a", "b", "c"])] == ["a", "a and b", "a, b and c"]


def test_the_score_of_a_probe_of_places_is_said_to_be_one() -> None:
    candidate = make_candidate("only", 300, seconds=1.5)
    assert rank_candidates("detection", [candidate], PROBED).sentences == [
        "only reaches 0.75 (0.71 to 0.79).",
        "This is the mAP50 of linear detectors fitted in seconds, to compare candidates by; a trained head reaches another.",
    ]
    assert rank_candidates("segmentation", [candidate], PROBED).quantity == "mIoU"
