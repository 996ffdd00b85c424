"""Columns that give the answer away are told from those that help, repeat the image, or know nothing."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from tlkit.metrics.intervals import Interval
from tlkit.outputs import CLASSIFICATION, MULTILABEL, REGRESSION
from tlkit.probes.leak_columns import LeakColumn
from tlkit.probes.leak_report import LeakReport, describe_groups
from tlkit.probes.leaks import compute_leak_report, exceeds_chance, find_leaks

PROBED = (CLASSIFICATION, MULTILABEL, REGRESSION)
NUM_IMAGES = 150


def make_targets(task: str, rng: np.random.Generator) -> np.ndarray:
    if task == CLASSIFICATION:
        return np.eye(3)[rng.choice(3, NUM_IMAGES, p=[0.5, 0.3, 0.2])]
    if task == MULTILABEL:
        return (rng.random((NUM_IMAGES, 4)) < 0.4).astype(float)
    return rng.normal(10.0, 4.0, (NUM_IMAGES, 1))


def make_features(targets: np.ndarray, rng: np.random.Generator, *, noise: float) -> np.ndarray:
    turned = targets @ rng.normal(size=(targets.shape[1], 12))
    return np.asarray(turned / turned.std() + rng.normal(0, noise, (len(targets), 12)))


def all_text(report: LeakReport) -> str:
    return " ".join([*report.sentences, str(report.tables()), json.dumps(report.to_payload()), str(report.chart())])


@pytest.mark.parametrize("task", PROBED)
def test_a_column_that_copies_the_answer_leaks(task: str) -> None:
    rng = np.random.default_rng(0)
    targets = make_targets(task, rng)
    columns = [LeakColumn("copy", targets), LeakColumn("noise", rng.normal(size=(NUM_IMAGES, 3)))]
    leaking = find_leaks(task, targets, columns)
    assert [column.name for column in leaking] == ["copy"]
    assert leaking[0].alone.value > 0.95
    report = compute_leak_report(task, targets, make_features(targets, rng, noise=2.0), columns)
    assert [column.verdict for column in report.columns] == ["leaks", "harmless"]
    assert report.leaking[0].sentence == leaking[0].sentence
    answer = {CLASSIFICATION: "the class", MULTILABEL: "the labels", REGRESSION: "the value"}[task]
    assert f"leaks: it alone predicts much of {answer}; decide whether the model may use it." in report.sentences


@pytest.mark.parametrize("task", PROBED)
def test_random_columns_do_not_leak(task: str) -> None:
    clean = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        targets = make_targets(task, rng)
        columns = [
            LeakColumn(f"{width}", rng.normal(size=(NUM_IMAGES, width)), is_image_fact=width < 25)
            for width in (1, 5, 20, 30)
        ]
        clean += not find_leaks(task, targets, columns, seed=seed)
    assert clean >= 9


def test_random_columns_are_harmless_beside_the_image() -> None:
    harmless = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        targets = make_targets(CLASSIFICATION, rng)
        columns = [LeakColumn("noise", rng.normal(size=(NUM_IMAGES, 6)))]
        report = compute_leak_report(CLASSIFICATION, targets, make_features(targets, rng, noise=1.0), columns)
        harmless += report.columns[0].verdict == "harmless"
    assert harmless >= 9


@pytest.mark.parametrize("num_images", [20, 100])
def test_of_many_random_columns_none_leaks_or_helps(num_images: int) -> None:
    """At 95% each, one of 40 would; of three such sets, one at most may have one."""
    alarms = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        targets = np.eye(2)[(rng.permutation(num_images) < max(3, num_images // 20)).astype(int)]
        columns = [LeakColumn(str(place), np.eye(4)[rng.integers(0, 4, num_images)]) for place in range(40)]
        features = targets @ rng.normal(size=(2, 6)) + rng.normal(size=(num_images, 6))
        report = compute_leak_report(CLASSIFICATION, targets, features, columns, seed=seed)
        alarms += [column.verdict for column in report.columns if column.verdict != "harmless"]
    assert len(alarms) <= 1


def draw_lesions(rng: np.random.Generator, num_images: int = 2001) -> np.ndarray:
    """Labels of skin lesions: 74% are moles, 11%, 9% and 6% something else."""
    return rng.choice(4, num_images, p=[0.74, 0.11, 0.09, 0.06])


def judge_alone(labels: np.ndarray, values: np.ndarray, *, is_image_fact: bool = False) -> str:
    """Return what is said of a column of categories where it leaks, or nothing."""
    column = LeakColumn("column", np.eye(values.max() + 1)[values], is_image_fact)
    return " ".join(leak.sentence for leak in find_leaks(CLASSIFICATION, np.eye(labels.max() + 1)[labels], [column]))


@pytest.mark.parametrize("seed", range(3))
def test_a_column_that_is_pure_for_half_of_the_images_leaks_where_one_class_dominates(seed: int) -> None:
    """Accuracy cannot tell: with or without the column the most frequent class is named for every image."""
    rng = np.random.default_rng(seed)
    labels = draw_lesions(rng)
    followed_up = (labels == 0) & (rng.random(len(labels)) < 0.5 / 0.74)
    assert re.fullmatch(
        r"column leaks: it alone explains 0\.\d\d \(0\.\d\d to 0\.\d\d\) of the class, and for 0\.(49|50|51|52) of the images "
        r"its accuracy is 1\.00 \(1\.00 to 1\.00\), against a base rate of 0\.7[2-6]\.",
        judge_alone(labels, followed_up.astype(int)),
    )


@pytest.mark.parametrize("seed", range(3))
def test_a_column_that_is_nearly_pure_for_half_of_the_images_leaks_too(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = draw_lesions(rng)
    source = rng.random(len(labels)) < np.where(labels == 0, 0.475 / 0.74, 0.025 / 0.26)
    assert "its accuracy is 0.9" in judge_alone(labels, source.astype(int))


@pytest.mark.parametrize(("num_images", "rare"), [(200, 0.5), (500, 0.5), (1000, 0.26), (2000, 0.05)])
def test_a_column_that_tells_the_class_of_a_tenth_of_the_images_leaks(num_images: int, rare: float) -> None:
    rng = np.random.default_rng(1)
    labels = (np.arange(num_images) < rare * num_images).astype(int)
    is_told = rng.random(num_images) < 0.12
    assert " of the images its accuracy is 1.00 (" in judge_alone(labels, np.where(is_told, 1 + labels, 0))


def test_a_column_that_is_pure_for_half_leaks_where_two_classes_are_95_to_5() -> None:
    rng = np.random.default_rng(0)
    labels = (np.arange(1000) < 50).astype(int)
    pure = (labels == 0) & (rng.random(1000) < 0.5)
    assert "column leaks" in judge_alone(labels, pure.astype(int))


def test_a_column_that_gives_a_rare_class_away_leaks() -> None:
    rng = np.random.default_rng(0)
    labels = np.searchsorted([1000, 1960], rng.permutation(2000), side="right")
    assert "for 0.02 of the images its accuracy is 1.00" in judge_alone(labels, (labels == 2).astype(int))


def test_a_legitimate_predictor_is_not_said_to_leak_where_one_class_dominates() -> None:
    """Age tells moles from other lesions a little."""
    for seed in range(5):
        rng = np.random.default_rng(seed)
        labels = draw_lesions(rng)
        age = np.clip(rng.normal(np.where(labels == 0, 50, 60), 17), 0, 89)
        assert judge_alone(labels, (age // 10).astype(int)) == ""


def test_a_value_that_stands_for_a_tenth_of_the_images_leaks() -> None:
    rng = np.random.default_rng(0)
    targets = rng.normal(10.0, 4.0, (300, 1))
    is_filled = np.arange(300) % 10 == 0
    matrix = np.where(is_filled[:, None], np.hstack([targets - 10.0, np.zeros((300, 1))]), [0.0, 1.0])
    (leak,) = find_leaks(REGRESSION, targets, [LeakColumn("price", matrix, is_filled=is_filled)])
    assert re.search(r"and for 0\.10 of the images, those that have a value, (1\.00|0\.9\d) \(", leak.sentence)
    noise = np.where(is_filled[:, None], rng.normal(size=(300, 1)), 0.0)
    assert not find_leaks(REGRESSION, targets, [LeakColumn("noise", noise, is_filled=is_filled)])


@pytest.mark.parametrize("task", [CLASSIFICATION, MULTILABEL, REGRESSION])
def test_a_copy_of_the_answer_leaks_among_200_columns_of_few_images(task: str) -> None:
    """Of values it takes twice as many: their squares differ more than those of classes."""
    rng = np.random.default_rng(0)
    targets = {
        CLASSIFICATION: np.eye(2)[np.arange(20) % 2],
        MULTILABEL: (rng.random((20, 3)) < 0.5).astype(float),
        REGRESSION: rng.normal(size=(40, 1)),
    }[task]
    noise = rng.normal(size=(199, len(targets), 1))
    columns = [LeakColumn("copy", targets), *(LeakColumn(str(place), each) for place, each in enumerate(noise))]
    assert [leak.name for leak in find_leaks(task, targets, columns)] == ["copy"]


def test_gains_exceed_chance_as_a_table_of_students_t_says() -> None:
    """For 4 gains of mean 1 and spread s, t = 2 / s; the two-sided 5% point for 3 degrees of freedom is 3.182."""
    gains = np.array([-1.5, -0.5, 0.5, 1.5]) / np.std([-1.5, -0.5, 0.5, 1.5], ddof=1)
    assert exceeds_chance(1.0 + 0.62 * gains)
    assert not exceeds_chance(1.0 + 0.67 * gains)
    assert not exceeds_chance(1.0 + 0.62 * gains, num_comparisons=2)
    assert exceeds_chance(np.ones(20), num_comparisons=200)
    assert not exceeds_chance(np.zeros(20))


@pytest.mark.parametrize("task", PROBED)
def test_a_number_that_adds_to_weak_features_helps(task: str) -> None:
    rng = np.random.default_rng(1)
    targets = make_targets(task, rng)
    weak = make_features(targets, rng, noise=8.0)
    answer = targets.argmax(axis=1)[:, None] if task == CLASSIFICATION else targets[:, :1]
    number = answer / answer.std() + rng.normal(0, 2.0, (NUM_IMAGES, 1))
    report = compute_leak_report(task, targets, weak, [LeakColumn("age", number)])
    assert report.columns[0].verdict == "helps"
    assert report.image_and_metadata
    assert report.columns[0].sentence == (
        f"age helps: it adds to what the image explains ({report.image.explained.value:.3f} without it, "
        f"{report.image_and_metadata.explained.value:.3f} with it)."
    )


@pytest.mark.parametrize("task", PROBED)
def test_a_column_that_repeats_what_the_image_shows_is_redundant(task: str) -> None:
    rng = np.random.default_rng(2)
    targets = make_targets(task, rng)
    strong = make_features(targets, rng, noise=0.5)
    column = LeakColumn("size", strong[:, :2] + rng.normal(0, 1.0 if task == REGRESSION else 1.8, (NUM_IMAGES, 2)))
    report = compute_leak_report(task, targets, strong, [column])
    assert report.columns[0].verdict == "redundant"
    assert "adds nothing to the image" in report.columns[0].sentence


@pytest.mark.parametrize("task", PROBED)
def test_the_word_stands_nowhere_where_nothing_gives_the_answer_away(task: str) -> None:
    rng = np.random.default_rng(3)
    targets = make_targets(task, rng)
    columns = [LeakColumn(str(place), rng.normal(size=(NUM_IMAGES, 2)), place < 2) for place in range(4)]
    groups = [("boat", rng.integers(0, 4, NUM_IMAGES).tolist())]
    features = make_features(targets, rng, noise=1.0)
    report = compute_leak_report(task, targets, features, columns, groups=groups)
    assert report.leaking == ()
    assert "leak" not in all_text(report).lower()
    columns.append(LeakColumn("copy", targets))
    other = compute_leak_report(task, targets, features, columns, groups=groups)
    assert [row[0] for row in other.tables()[0][2] if "leaks" in row] == ["copy"]


def test_a_fact_of_the_file_may_know_less_than_a_column_of_a_table() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 400)
    known = np.where(rng.random(400) < 0.5, labels, rng.integers(0, 2, 400))
    matrix = np.eye(2)[known]
    targets = np.eye(2)[labels]
    assert find_leaks(CLASSIFICATION, targets, [LeakColumn("boat", matrix)]) == ()
    leaking = find_leaks(CLASSIFICATION, targets, [LeakColumn("image-width", matrix, is_image_fact=True)])
    assert [column.name for column in leaking] == ["image-width"]


def test_facts_that_leak_only_together_are_named_together() -> None:
    rng = np.random.default_rng(0)
    parts = rng.normal(size=(300, 60))
    targets = np.eye(2)[(parts.sum(axis=1) > 0).astype(int)]
    facts = [LeakColumn(f"image-{place}", parts[:, place : place + 1], is_image_fact=True) for place in range(60)]
    (leaking,) = find_leaks(CLASSIFICATION, targets, facts)
    assert leaking.sentence.startswith("image-size leaks: all facts about the image file together explain ")
    assert find_leaks(CLASSIFICATION, targets, facts[:1]) == ()


def test_all_facts_together_are_not_named_again_where_one_of_them_leaks() -> None:
    rng = np.random.default_rng(0)
    targets = make_targets(CLASSIFICATION, rng)
    facts = [
        LeakColumn("image-width", targets, is_image_fact=True),
        LeakColumn("image-bytes", rng.normal(size=(NUM_IMAGES, 2)), is_image_fact=True),
    ]
    assert [column.name for column in find_leaks(CLASSIFICATION, targets, facts)] == ["image-width"]
    report = compute_leak_report(CLASSIFICATION, targets, make_features(targets, rng, noise=1.0), facts)
    assert [column.name for column in report.columns] == ["image-width", "image-bytes", "image-size"]
    assert [column.name for column in report.leaking] == ["image-width"]


def test_a_verdict_is_told_with_its_figures() -> None:
    labels = np.array([0] * 61 + [1] * 39)
    camera = np.array([0] * 58 + [1] * 3 + [1] * 39)
    (leaking,) = find_leaks(CLASSIFICATION, np.eye(2)[labels], [LeakColumn("camera", np.eye(2)[camera])])
    assert leaking.sentence == (
        "camera leaks: it alone explains 0.88 (0.74 to 0.99) of the class, and for 1.00 of the images its accuracy is "
        "0.97 (0.92 to 0.99), against a base rate of 0.52."
    )


def test_what_is_learnt_of_a_group_is_lost_when_it_is_held_out() -> None:
    rng = np.random.default_rng(0)
    boats = rng.integers(0, 6, 240)
    labels = rng.integers(0, 2, 240)
    marks = rng.normal(size=(6, 2, 20))
    features = marks[boats, labels] + 0.3 * rng.normal(size=(240, 20))
    names = [f"boat {boat}" for boat in boats]
    report = compute_leak_report(CLASSIFICATION, np.eye(2)[labels], features, [], groups=[("boat", names)])
    (verdict,) = report.groups
    assert verdict.falls
    assert verdict.sentence == (
        f"With a whole boat held out, accuracy falls from {verdict.mixed.value:.2f} to {verdict.held_out.value:.2f}: "
        "the model partly learns the boat."
    )
    assert [score.score for score in verdict.scores] == sorted(score.score or 0.0 for score in verdict.scores)
    assert sum(score.num_images for score in verdict.scores) == 240
    weighted = sum((score.score or 0.0) * score.num_images for score in verdict.scores) / 240
    assert weighted == pytest.approx(verdict.held_out.value)


def test_a_group_that_means_nothing_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    targets = make_targets(CLASSIFICATION, rng)
    features = make_features(targets, rng, noise=1.0)
    report = compute_leak_report(
        CLASSIFICATION, targets, features, [], groups=[("day", rng.integers(0, 8, NUM_IMAGES).tolist())]
    )
    (verdict,) = report.groups
    assert not verdict.falls
    mixed, held_out = verdict.mixed.value, verdict.held_out.value
    assert (
        verdict.sentence
        == f"With a whole day held out, accuracy does not change significantly: {mixed:.2f} and {held_out:.2f}."
    )


def test_classes_that_one_group_has_alone_are_pointed_out() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 90)
    places = np.where(labels == 2, "south", np.where(rng.random(90) < 0.5, "north", "east"))
    report = compute_leak_report(
        CLASSIFICATION, np.eye(3)[labels], rng.normal(size=(90, 5)), [], groups=[("area", places.tolist())]
    )
    assert report.groups[0].sentence.endswith(
        " 1 of 3 classes occurs only in a held-out group, and cannot be predicted there."
    )


def test_twins_do_not_tell_the_answer() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(rng.integers(0, 2, 60), 3)
    column = LeakColumn("shape", np.repeat(np.eye(60), 3, axis=0), is_image_fact=True)
    duplicates = [f"sha{place // 3}" for place in range(180)]
    assert find_leaks(CLASSIFICATION, np.eye(2)[labels], [column])
    assert not find_leaks(CLASSIFICATION, np.eye(2)[labels], [column], duplicates=duplicates)


def test_tables_and_chart_have_a_row_for_each_column_and_the_rest() -> None:
    rng = np.random.default_rng(0)
    targets = make_targets(REGRESSION, rng)
    names = (("image-width", True), ("image-bytes", True), ("age", False), ("depth", False))
    columns = [LeakColumn(name, rng.normal(size=(NUM_IMAGES, 2)), is_fact, not is_fact) for name, is_fact in names]
    groups = [("boat", rng.integers(0, 20, NUM_IMAGES).tolist())]
    features = make_features(targets, rng, noise=1.0)
    report = compute_leak_report(REGRESSION, targets, features, columns, groups=groups)
    by_title = {title: rows for title, _, rows in report.tables()}
    listed = ["image-width", "image-bytes", "age", "depth", "image-size"]
    assert [row[0] for row in by_title["Columns"]] == listed
    assert [row[0] for row in by_title["In all"]] == [
        "the mean value",
        "all columns of the table",
        "all metadata",
        "the image",
        "the image and all metadata",
    ]
    assert len(by_title["Held-out groups: boat"]) == 13
    assert by_title["Held-out groups: boat"][-1][0] == "… 8 more"
    assert all(len(columns) == len(row) for _, columns, rows in report.tables() for row in rows)
    chart = report.chart()
    assert [row[0] for row in chart["alone"]] == listed
    assert [row[0] for row in chart["image"]] == [
        "image",
        *(f"image + {name}" for name in listed),
        "image + all metadata",
    ]
    assert len(json.loads(json.dumps(report.to_payload(), allow_nan=False))["groups"][0]["scores"]) == 20


def test_a_report_without_columns_tells_of_the_image_alone() -> None:
    rng = np.random.default_rng(0)
    targets = make_targets(CLASSIFICATION, rng)
    report = compute_leak_report(CLASSIFICATION, targets, make_features(targets, rng, noise=1.0), [])
    assert (report.columns, report.table, report.metadata, report.image_and_metadata) == ((), None, None, None)
    assert [title for title, _, _ in report.tables()] == ["In all"]
    assert [row[0] for row in report.chart()["image"]] == ["image"]


def test_groups_with_a_vowel_take_an() -> None:
    score = Interval(0.8, 0.7, 0.9)
    text = describe_groups(MULTILABEL, "area", mixed=score, held_out=score, falls=False, num_unknown=0, num_classes=4)
    assert text == "With an whole area held out, label accuracy does not change significantly: 0.80 and 0.80."
