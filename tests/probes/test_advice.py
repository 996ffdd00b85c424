"""The advice: deeper training only where a trial shows that it brings something."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tlkit.metrics.intervals import Interval, compute_mean_interval
from tlkit.outputs import CLASSIFICATION
from tlkit.probes.advice import (
    EVERYTHING,
    HEAD,
    LAST_GROUPS,
    Advice,
    Evidence,
    TrialResult,
    advise,
    advise_without_evidence,
)
from tlkit.probes.learning_curve import LearningCurve
from tlkit.tasks import find_task
from tlkit.tasks.scored_outputs import ScoredClasses, ScoredOutputs

NUM_IMAGES = 600
NO_FALL = Interval(0.0, -0.02, 0.02)
FALL = Interval(0.05, 0.01, 0.09)
NEEDS_MORE = " The trial used 400 images; with all 5,000 there may be a gain."


def make_probe(right: range, *more: range, num_images: int = NUM_IMAGES) -> ScoredOutputs:
    """A probe that is right on some ranges of images."""
    each = np.zeros(num_images)
    for part in (right, *more):
        each[part.start : part.stop] = 1.0
    return ScoredClasses(np.stack([each, 1 - each], axis=1), each)


def make_evidence(
    *,
    head: ScoredOutputs | None = None,
    deeper: ScoredOutputs | None = None,
    linear: ScoredOutputs | None = None,
    loss_fall: Interval = NO_FALL,
    linear_loss_fall: float = 0.0,
    probe: ScoredOutputs | None = None,
    num_images: int = 5000,
    has_trial: bool = True,
) -> Evidence:
    """Evidence about some classes: a head is right on 500 of 600 images, a majority on 150."""
    head = head or make_probe(range(500))
    probe = probe or make_probe(range(480))
    majority = make_probe(range(450, 600), num_images=len(head.each))
    losses = 1 - np.stack([np.stack([each.each]) for each in (make_probe(range(150)), probe, probe)])
    trial = TrialResult(
        num_trained=400,
        head_kind="dense",
        last_groups="group5",
        majority=majority,
        head=head,
        deeper=deeper or head,
        tried=np.arange(len(head.each)),
        linear=linear,
        loss_fall=loss_fall,
        linear_loss_fall=linear_loss_fall,
        num_parameters=(6_200_000, 5_122),
        seconds=50.0,
    )
    return Evidence(
        task=CLASSIFICATION,
        num_images=num_images,
        majority=make_probe(range(450, 600)),
        probe=probe,
        curve=LearningCurve(CLASSIFICATION, np.array([80.0, 160.0, 320.0]), losses, num_images),
        trial=trial if has_trial else None,
        why_no_trial="" if has_trial else "40 images are too few.",
    )


def test_the_last_groups_are_advised_where_they_bring_something_beyond_chance() -> None:
    assert advise(make_evidence(deeper=make_probe(range(526)))) == Advice(
        LAST_GROUPS,
        None,
        (
            "Training from group5 upwards gains +4.3 points (95% interval +2.6 to +6.0) in accuracy on 600 held-out "
            "images.",
        ),
    )


def test_an_equal_score_is_no_gain_to_be_expected() -> None:
    """A head is right on 500 of 600 images, with the last groups too on 500, four of them others."""
    advice = advise(make_evidence(deeper=make_probe(range(4, 504)), num_images=590))
    assert advice == Advice(
        HEAD,
        None,
        (
            "Training from group5 upwards is not expected to help: +0.0 points (95% interval -1.0 to +1.0) in accuracy "
            "on 600 held-out images.",
        ),
    )


def test_a_gain_that_chance_explains_is_none_to_be_expected_unless_the_loss_falls() -> None:
    deeper = make_probe(range(30, 535))
    gain = "+0.8 points (95% interval -1.8 to +3.5) in accuracy on 600 held-out images."
    for loss_fall, verdict in ((NO_FALL, "is not expected to help"), (FALL, "shows no clear gain")):
        advice = advise(make_evidence(deeper=deeper, loss_fall=loss_fall, num_images=590))
        assert (advice.depth, advice.reasons) == (HEAD, (f"Training from group5 upwards {verdict}: {gain}",))


def test_with_many_more_images_than_were_tried_it_is_said_what_may_yet_be() -> None:
    advice = advise(make_evidence(deeper=make_probe(range(30, 535))))
    assert advice.reasons == (
        "Training from group5 upwards shows no clear gain: +0.8 points (95% interval -1.8 to +3.5) in accuracy on 600 "
        f"held-out images.{NEEDS_MORE}",
    )


@pytest.mark.parametrize(("right", "depth"), [(512, LAST_GROUPS), (511, HEAD)])
def test_a_fall_of_the_loss_beyond_chance_backs_a_gain_of_two_points(right: int, depth: int) -> None:
    """Of 600 images 50 are lost and 62 won: +2.0 points, by itself within chance."""
    evidence = make_evidence(deeper=make_probe(range(50, 50 + right)), loss_fall=FALL, num_images=590)
    advice = advise(evidence)
    assert advice.depth == depth
    if depth == LAST_GROUPS:
        assert advice.reasons == (
            "Training from group5 upwards gains +2.0 points (95% interval -1.5 to +5.5) in accuracy on 600 held-out "
            "images; the loss falls significantly, by 0.050 (95% interval 0.010 to 0.090) per image.",
        )


@pytest.mark.parametrize(("shift", "fewest", "most"), [(0.0, 0, 4), (0.4, 36, 40)])
def test_a_planted_gain_is_found_and_none_is_not(shift: float, fewest: int, most: int) -> None:
    """1,200 images, 40 trials: two models agree but for noise, or one raises each image's logit, by some five points."""
    num_found = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        logits = rng.normal(1.0, 2.0, 1200)
        right = [1 / (1 + np.exp(-logits - each - rng.normal(0, 0.7, 1200))) for each in (0.0, shift)]
        outputs = [np.stack([each, 1 - each], axis=1) for each in right]
        targets = np.eye(2)[np.zeros(1200, int)]
        head, deeper = (find_task(CLASSIFICATION).score_outputs(targets, each, np.zeros((1200, 2))) for each in outputs)
        losses = [find_task(CLASSIFICATION).measure_losses(targets, each) for each in outputs]
        fall = compute_mean_interval(losses[0] - losses[1])
        advice = advise(make_evidence(head=head, deeper=deeper, loss_fall=fall, num_images=1200))
        num_found += advice.depth == LAST_GROUPS
    assert fewest <= num_found <= most


def test_a_trial_on_a_small_part_of_the_images_does_not_rule_a_gain_out() -> None:
    advice = advise(make_evidence(deeper=make_probe(range(4, 504))))
    assert advice.reasons[0].startswith("Training from group5 upwards shows no clear gain: ")
    assert advice.reasons[0].endswith(NEEDS_MORE)


def test_a_worse_score_is_no_gain() -> None:
    assert advise(make_evidence(deeper=make_probe(range(470)))).depth == HEAD


@pytest.mark.parametrize(("linear", "kind"), [(500, "linear"), (504, "linear"), (499, None)])
def test_a_linear_head_is_named_where_it_does_no_worse(linear: int, kind: str | None) -> None:
    advice = advise(make_evidence(linear=make_probe(range(linear))))
    assert (advice.depth, advice.head_kind) == (HEAD, kind)
    if kind:
        assert advice.reasons[1] == (
            f"A linear head does as well as the dense head, {linear / 600:.3f} and 0.833, with 1/1,210 of its weights."
        )


@pytest.mark.parametrize(("linear", "kind"), [(504, None), (530, "linear")])
def test_a_linear_head_with_a_higher_loss_is_named_only_if_it_is_better_beyond_chance(
    linear: int, kind: str | None
) -> None:
    assert advise(make_evidence(linear=make_probe(range(linear)), linear_loss_fall=-0.01)).head_kind == kind


def test_of_two_heads_that_are_nearly_perfect_the_smaller_one_is_named_whatever_its_loss() -> None:
    right = make_probe(range(600))
    assert advise(make_evidence(head=right, linear=right, linear_loss_fall=-0.01)).head_kind == "linear"


def test_the_head_that_was_tried_stays_where_the_last_groups_are_trained() -> None:
    advice = advise(make_evidence(deeper=make_probe(range(530)), linear=make_probe(range(510))))
    assert (advice.depth, advice.head_kind) == (LAST_GROUPS, None)


def test_a_linear_head_that_does_as_well_as_the_last_groups_is_named_beside_them() -> None:
    deeper = make_probe(range(530))
    advice = advise(make_evidence(deeper=deeper, linear=make_probe(range(530))))
    assert (advice.depth, advice.head_kind) == (LAST_GROUPS, None)
    assert advice.reasons[1] == (
        "In the trial, a linear head alone does as well (0.883, against 0.883 for the dense head and group5 upwards) "
        "in a fraction of the time: try it first (--head linear)."
    )
    assert len(advise(make_evidence(deeper=deeper, linear=make_probe(range(529)))).reasons) == 1


def test_of_few_images_that_all_agree_the_interval_stays_wide() -> None:
    head = make_probe(range(40), num_images=60)
    advice = advise(make_evidence(head=head, deeper=head, num_images=60))
    assert advice.reasons[0].startswith(
        "Training from group5 upwards is not expected to help: +0.0 points (95% interval -4.5 "
    )


def test_where_hardly_anything_is_left_to_gain_the_head_is_enough() -> None:
    head = make_probe(range(60), num_images=60)
    assert (
        advise(make_evidence(head=head, deeper=head))
        .reasons[0]
        .startswith("Training from group5 upwards is not expected to help: ")
    )


def test_what_nothing_tells_is_not_refined_unless_deeper_training_tells_it() -> None:
    weak = make_probe(range(150))
    advice = advise(make_evidence(probe=weak, head=weak))
    assert (advice.depth, advice.head_kind) == (HEAD, None)
    assert advice.reasons == (
        "A probe on the frozen features (0.25) is no better than the majority (0.25): the features do not predict the "
        "target. Check the labels first.",
    )
    assert advise(make_evidence(probe=weak, head=weak, deeper=make_probe(range(300)))).depth == LAST_GROUPS


def test_without_a_trial_the_head_is_advised_and_it_is_said_why() -> None:
    assert advise(make_evidence(has_trial=False)) == Advice(
        HEAD, None, ("Deeper training was not tried: 40 images are too few.",)
    )


def test_random_weights_are_trained_whole_and_too_few_images_train_a_head() -> None:
    assert advise_without_evidence(is_random=True).depth == EVERYTHING
    assert advise_without_evidence(is_random=False).depth == HEAD


def test_the_table_names_every_score_and_the_payload_is_fit_for_json() -> None:
    evidence = make_evidence(linear=make_probe(range(490)))
    names = [row[0] for row in evidence.table()[2]]
    assert names == [
        "majority",
        "linear probe",
        "linear head",
        "dense head",
        "dense head and group5 upwards",
    ]
    payload = json.loads(json.dumps(evidence.to_payload()))
    assert [score["name"] for score in payload["scores"]] == names
    assert payload["trial"]["images"] == NUM_IMAGES
    assert payload["trial"]["gain_of_last_groups"]["value"] == 0.0
