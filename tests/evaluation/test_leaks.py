"""Columns that give the answer away are told from those that help, repeat the image, or know nothing."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tlkit.evaluation.intervals import Interval
from tlkit.evaluation.leak_report import LeakReport, tell_groups
from tlkit.evaluation.leaks import LeakColumn, compute_leak_report, find_leaks, make_leak_columns
from tlkit.metadata.columns import IMAGE_FACTS, ColumnRequest
from tlkit.metadata.encoding import fit_encoding
from tlkit.outputs import CLASSIFICATION, MULTILABEL, REGRESSION, TASKS

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


@pytest.mark.parametrize("task", TASKS)
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


@pytest.mark.parametrize("task", TASKS)
def test_random_columns_do_not_leak(task: str) -> None:
    clean = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        targets = make_targets(task, rng)
        columns = [
            LeakColumn(f"{width}", rng.normal(size=(NUM_IMAGES, width)), is_image_fact=width < 25)
            for width in (1, 5, 20, 30)
        ]
        clean += not find_leaks(task, targets, columns, seed=seed)
    assert clean >= 19


def test_random_columns_are_harmless_beside_the_image() -> None:
    harmless = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        targets = make_targets(CLASSIFICATION, rng)
        columns = [LeakColumn("noise", rng.normal(size=(NUM_IMAGES, 6)))]
        report = compute_leak_report(CLASSIFICATION, targets, make_features(targets, rng, noise=1.0), columns)
        harmless += report.columns[0].verdict == "harmless"
    assert harmless >= 18


@pytest.mark.parametrize("task", TASKS)
def test_a_number_that_adds_to_weak_features_helps(task: str) -> None:
    rng = np.random.default_rng(1)
    targets = make_targets(task, rng)
    weak = make_features(targets, rng, noise=8.0)
    answer = targets.argmax(axis=1)[:, None] if task == CLASSIFICATION else targets[:, :1]
    number = answer / answer.std() + rng.normal(0, 1.2, (NUM_IMAGES, 1))
    report = compute_leak_report(task, targets, weak, [LeakColumn("age", number)])
    assert report.columns[0].verdict == "helps"
    assert report.columns[0].sentence == (
        f"age helps: beside the image it raises {report.quantity} from {report.image.value:.2f} "
        f"to {report.image_and_metadata.value if report.image_and_metadata else 0:.2f}."
    )


@pytest.mark.parametrize("task", TASKS)
def test_a_column_that_repeats_what_the_image_shows_is_redundant(task: str) -> None:
    rng = np.random.default_rng(2)
    targets = make_targets(task, rng)
    strong = make_features(targets, rng, noise=0.5)
    column = LeakColumn("size", strong[:, :2] + rng.normal(0, 1.0, (NUM_IMAGES, 2)))
    report = compute_leak_report(task, targets, strong, [column])
    assert report.columns[0].verdict == "redundant"
    assert "adds nothing to the image" in report.columns[0].sentence


@pytest.mark.parametrize("task", TASKS)
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
    assert [sentence for sentence in other.sentences if "leak" in sentence] == [other.leaking[0].sentence]


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
    parts = rng.normal(size=(300, 20))
    targets = np.eye(2)[(parts.sum(axis=1) > 0).astype(int)]
    facts = [LeakColumn(f"image-{place}", parts[:, place : place + 1], is_image_fact=True) for place in range(20)]
    (leaking,) = find_leaks(CLASSIFICATION, targets, facts)
    assert leaking.sentence.startswith("image-size leaks: all facts of the image file together are right on ")
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
        "camera leaks: it alone is right on 0.97 (0.92 to 0.99) of the images, the majority class on 0.61."
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
        f"With a boat held out whole, accuracy falls from {verdict.mixed.value:.2f} to {verdict.held_out.value:.2f}: "
        "part of what is learnt is the boat."
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
    assert verdict.sentence == f"With a day held out whole, accuracy stays: {mixed:.2f} and {held_out:.2f}."


def test_classes_that_one_group_has_alone_are_pointed_out() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 90)
    places = np.where(labels == 2, "south", np.where(rng.random(90) < 0.5, "north", "east"))
    report = compute_leak_report(
        CLASSIFICATION, np.eye(3)[labels], rng.normal(size=(90, 5)), [], groups=[("area", places.tolist())]
    )
    assert report.groups[0].sentence.endswith(
        " 1 of 3 classes lie wholly in what is held out, and cannot be told then."
    )


def test_twins_do_not_tell_the_answer() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(rng.integers(0, 2, 60), 3)
    column = LeakColumn("shape", np.repeat(np.eye(60), 3, axis=0), is_image_fact=True)
    twins = [f"sha{place // 3}" for place in range(180)]
    assert find_leaks(CLASSIFICATION, np.eye(2)[labels], [column])
    assert not find_leaks(CLASSIFICATION, np.eye(2)[labels], [column], twins=twins)


def test_columns_come_from_texts_one_by_one() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 120)
    rows = [(["512", "640", "512"][label], ["a", "b", ""][label], str(rng.normal())) for label in labels]
    encoding = fit_encoding([ColumnRequest(name) for name in ("image-width", "site", "depth")], rows)
    columns = make_leak_columns(encoding, rows)
    assert [(column.name, column.is_image_fact) for column in columns] == [
        ("image-width", True),
        ("site", False),
        ("depth", False),
    ]
    assert "image-width" in IMAGE_FACTS
    assert [column.name for column in find_leaks(CLASSIFICATION, np.eye(3)[labels], columns)] == ["image-width", "site"]


def test_tables_and_chart_have_a_row_for_each_column_and_the_rest() -> None:
    rng = np.random.default_rng(0)
    targets = make_targets(REGRESSION, rng)
    names = (("image-width", True), ("image-bytes", True), ("age", False), ("depth", False))
    columns = [LeakColumn(name, rng.normal(size=(NUM_IMAGES, 2)), is_fact) for name, is_fact in names]
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
    assert len(by_title["Held out whole: boat"]) == 13
    assert by_title["Held out whole: boat"][-1][0] == "… 8 more"
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
    text = tell_groups(MULTILABEL, "area", mixed=score, held_out=score, falls=False, num_unknown=0, num_classes=4)
    assert text == "With an area held out whole, label accuracy stays: 0.80 and 0.80."
