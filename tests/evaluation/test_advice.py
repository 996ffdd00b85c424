"""The advice: four fields by measured numbers, and the cases that the rule is not asked about."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tlkit.evaluation.advice import (
    EVERYTHING,
    FEW,
    HEAD,
    LAST_GROUPS,
    MANY,
    SOME,
    Evidence,
    advise,
    advise_without_evidence,
)
from tlkit.evaluation.learning_curve import LearningCurve
from tlkit.evaluation.probes import Probe
from tlkit.outputs import CLASSIFICATION

NUM_PROBED = 400


def make_probe(num_right: int) -> Probe:
    """A probe that is right on the first images."""
    each = (np.arange(NUM_PROBED) < num_right).astype(np.float64)
    return Probe(CLASSIFICATION, np.stack([each, 1 - each], axis=1), each, np.zeros(NUM_PROBED))


def make_evidence(
    *,
    top: int = 340,
    below: int = 280,
    neighbours: int = 320,
    majority: int = 100,
    num_images: int = 5000,
    num_groups: int = 4,
) -> Evidence:
    """Evidence about some classes, each score given by how many of 400 images are right."""
    losses = 1 - np.stack([np.stack([make_probe(each).each]) for each in (majority, below, top)])
    return Evidence(
        task=CLASSIFICATION,
        num_images=num_images,
        num_groups=num_groups,
        probes={"block2": make_probe(below), "block3": make_probe(below + 5), "top": make_probe(top)},
        neighbours=make_probe(neighbours),
        majority=make_probe(majority),
        curve=LearningCurve(CLASSIFICATION, np.array([80.0, 160.0, 320.0]), losses, num_images),
    )


@pytest.mark.parametrize(
    ("changes", "depth", "is_near", "amount"),
    [
        ({}, LAST_GROUPS, True, MANY),
        ({"num_images": 500}, LAST_GROUPS, True, SOME),
        ({"num_images": 200}, HEAD, True, FEW),
        ({"below": 335}, EVERYTHING, False, MANY),
        ({"below": 335, "num_images": 500}, LAST_GROUPS, False, SOME),
        ({"below": 335, "num_images": 200}, HEAD, False, FEW),
        ({"neighbours": 200}, EVERYTHING, False, MANY),
        ({"num_groups": 400}, HEAD, True, FEW),
    ],
    ids=[
        "many, near",
        "some, near",
        "few, near",
        "many, far",
        "some, far",
        "few, far",
        "far by its neighbours",
        "few a class",
    ],
)
def test_few_or_many_and_near_or_far_decide(changes: dict[str, int], depth: int, is_near: bool, amount: str) -> None:
    advice = advise(make_evidence(**changes))
    assert (advice.depth, advice.is_near, advice.amount) == (depth, is_near, amount)


def test_the_reasons_give_the_numbers() -> None:
    near, amount = advise(make_evidence()).reasons
    assert near == (
        "Near to what the backbone has learnt: nearest neighbours reach 0.80, the probe 0.85 at the top and 0.71 at most "
        "below it (block3)."
    )
    assert amount == "5,000 training images, 1,250 a class: many: enough for any depth."
    _, amount = advise(make_evidence(num_images=327, num_groups=11)).reasons
    assert amount.startswith("327 training images, 29 a class: few"), "29.7, which is less than 30"


def test_what_no_feature_tells_is_not_refined() -> None:
    advice = advise(make_evidence(top=105, below=90))
    assert advice.depth == HEAD
    assert "does no better than the majority (0.25)" in advice.reasons[0]


def test_where_hardly_anything_is_left_to_gain_the_head_is_enough() -> None:
    advice = advise(make_evidence(top=398))
    assert (advice.depth, advice.is_near) == (HEAD, None)
    assert advice.reasons == ("A probe at the top reaches 0.995: hardly anything is left to gain.",)


def test_random_weights_are_trained_whole_and_too_few_images_train_a_head() -> None:
    assert advise_without_evidence(is_random=True).depth == EVERYTHING
    assert advise_without_evidence(is_random=False).depth == HEAD


def test_the_table_names_every_score_and_the_payload_is_fit_for_json() -> None:
    evidence = make_evidence()
    names = [row[0] for row in evidence.table()[2]]
    assert names == ["majority", "nearest neighbours at top", "probe at block2", "probe at block3", "probe at top"]
    payload = json.loads(json.dumps({**evidence.to_payload(), **advise(evidence).to_payload()}))
    assert payload["images"] == NUM_PROBED
    assert payload["train"] == "the head and the last groups"
