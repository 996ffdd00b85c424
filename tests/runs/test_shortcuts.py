"""Classes that a report names because the model recognizes them by something beside the object."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.explain.conftest import read_weights
from tests.runs.test_heat_maps import refuse
from tests.runs.test_mistakes import make_records, make_spec
from tlkit.data.file_index import FileIndex
from tlkit.data.manifest import ImageRecord
from tlkit.explain.records import ExplainedRecords
from tlkit.explain.shortcuts import EvidencePlaces
from tlkit.inference.scoring import Scores
from tlkit.recipes import HeadSettings
from tlkit.reports.console import Console
from tlkit.reports.optional_steps import OptionalSteps
from tlkit.runs.heat_maps import HeatMaps
from tlkit.runs.mistakes import choose_mistakes
from tlkit.runs.shortcuts import choose_rows, look_for_shortcuts, place_box, render_shortcuts, summarise_shortcuts

pytestmark = pytest.mark.usefixtures("untraced")
EDGE_PX, MARK_PX = 96, 24
NAMES = ("cat", "dog", "owl")
NUM_OF_A_CLASS = 22


def draw_photos(folder: Path, *, is_marked: bool) -> tuple[ImageRecord, ...]:
    """Draw photos whose class shows in the colour of a disc; if marked, that of dogs in a white mark alone."""
    rng = np.random.default_rng(0)
    colours = {"cat": (210, 60, 50), "dog": (60, 190, 80), "owl": (60, 80, 210)}
    down, across = np.mgrid[:EDGE_PX, :EDGE_PX]
    paths = []
    for name in NAMES:
        for number in range(NUM_OF_A_CLASS):
            pixels = rng.integers(90, 130, (EDGE_PX, EDGE_PX, 3)).astype(np.uint8)
            y, x = rng.integers(30, EDGE_PX - 30, 2)
            shown = NAMES[2 * (number % 2)] if is_marked and name == "dog" else name
            pixels[(down - y) ** 2 + (across - x) ** 2 < 20**2] = colours[shown]
            if is_marked and name == "dog":
                pixels[-MARK_PX:, -MARK_PX:] = 255
            path = folder / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
            paths.append(path)
    facts = FileIndex(folder / "index").look(paths)
    return tuple(
        ImageRecord(path, fact.sha256, fact.width, fact.height, "validation", path.parent.name)
        for path, fact in zip(paths, facts, strict=True)
    )


def fit_head(classifier: Any, records: tuple[ImageRecord, ...]) -> None:
    """Set the linear head to the least-squares answer on its photos' mean features."""
    pictures = np.stack([np.asarray(Image.open(record.path)) for record in records])
    features = np.asarray(classifier.backbone.pooled_trunk("top")(pictures.astype(np.float32), training=False))
    targets = 4 * np.eye(3, dtype=np.float32)[[NAMES.index(record.answer) for record in records]] - 1
    centred = features - features.mean(axis=0)
    kernel = centred.T @ np.linalg.solve(centred @ centred.T + 10 * np.eye(len(centred)), targets)
    weights = classifier.named_weights()
    weights["head/standardise/moving_mean"].assign(features.mean(axis=0))
    weights["head/standardise/moving_variance"].assign(np.ones(features.shape[1]))
    weights["head/logits/kernel"].assign(kernel)
    weights["head/logits/bias"].assign(np.zeros(3))


def train(records: tuple[ImageRecord, ...]) -> Any:
    from tlkit.models.classifier import assemble_classifier

    classifier = assemble_classifier(make_spec(NAMES, image_size=(EDGE_PX, EDGE_PX)), weights="bundled", seed=0)
    fit_head(classifier, records)
    return classifier


def look(records: tuple[ImageRecord, ...], classifier: Any, weights: Any) -> tuple[list[EvidencePlaces], Any]:
    scores = Scores(records, np.eye(3, dtype=np.float32)[np.repeat(np.arange(3), NUM_OF_A_CLASS)], None, ())
    spec = make_spec(NAMES, image_size=(EDGE_PX, EDGE_PX))
    console = Console()
    heat_maps = HeatMaps(classifier, weights, OptionalSteps(console), console)
    return look_for_shortcuts(scores, choose_mistakes(scores, spec).verdicts, spec, heat_maps), heat_maps.steps


def test_a_class_that_is_recognized_by_a_mark_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    records = draw_photos(tmp_path, is_marked=True)
    classifier = train(records)
    found, _ = look(records, classifier, lambda: read_weights(classifier))
    sentence = (
        "The model may recognize dog by something other than the object: over 22 images that it gets right, the evidence "
        "is strongest at the same place in the border of the pictures: bottom right."
    )
    assert [each.sentence for each in found] == [sentence]
    printed = capfd.readouterr()
    assert printed.out == ""
    assert f"Warning: {sentence}\n" in printed.err
    section = render_shortcuts(found)
    assert section is not None
    assert f"<li>{sentence}</li>" in section.body
    (entry,) = summarise_shortcuts(found)["shortcuts"]
    assert (entry["class_name"], entry["num_photos"], entry["outside"]) == ("dog", 22, None)


def test_a_head_that_weighs_each_place_by_itself_is_judged_by_boxes_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [name for name in NAMES for _ in range(NUM_OF_A_CLASS)]
    maps = np.zeros((len(answers), 7, 7), np.float32)
    maps[:NUM_OF_A_CLASS, 6, 6] = 1
    maps[NUM_OF_A_CLASS:, 3, 3] = 1
    named = {}
    for kind, box in (("flat", None), ("linear", None), ("flat", (4.0, 4.0, 36.0, 28.0))):
        records = make_records(answers, box=box)
        scores = Scores(records, np.eye(3, dtype=np.float32)[np.repeat(np.arange(3), NUM_OF_A_CLASS)], None, ())
        spec = dataclasses.replace(make_spec(NAMES), head=HeadSettings(kind=kind))
        monkeypatch.setattr(
            HeatMaps, "explain_inputs", lambda _, records, targets: ExplainedRecords(records, maps, targets)
        )
        console = Console(verbosity=-1)
        heat_maps = HeatMaps(SimpleNamespace(spec=spec), refuse, OptionalSteps(console), console)
        found = look_for_shortcuts(scores, choose_mistakes(scores, spec).verdicts, spec, heat_maps)
        named[kind, box is not None] = [each.class_name for each in found]
    assert named == {("flat", False): [], ("linear", False): ["cat"], ("flat", True): ["cat"]}


def test_no_class_is_named_where_objects_decide(tmp_path: Path) -> None:
    records = draw_photos(tmp_path, is_marked=False)
    classifier = train(records)
    found, steps = look(records, classifier, lambda: read_weights(classifier))
    assert (found, steps.not_made) == ([], [])
    assert render_shortcuts(found) is None
    assert summarise_shortcuts(found) == {}


def test_a_model_that_cannot_be_opened_costs_the_search_alone(tmp_path: Path) -> None:
    found, steps = look(draw_photos(tmp_path, is_marked=False), SimpleNamespace(spec=make_spec(NAMES)), refuse)
    assert found == []
    assert steps.not_made == [{"what": "The search for shortcuts", "reason": "The bundle is damaged"}]


def test_the_search_takes_some_images_of_each_class_that_are_right() -> None:
    true = np.repeat(np.arange(4), [200, 60, 22, 19])
    scores = Scores(make_records([f"{label}" for label in true]), np.eye(4, dtype=np.float32)[true], None, ())
    scores.answers[::2] = np.roll(scores.answers[::2], 1, axis=1)
    verdicts = choose_mistakes(scores, make_spec(["0", "1", "2", "3"])).verdicts
    rows = choose_rows(verdicts)  # type: ignore[arg-type]
    assert np.bincount(true[rows], minlength=4).tolist() == [50, 30, 0, 0]
    assert (rows % 2 == 1).all()


def test_a_box_is_placed_in_what_the_network_sees() -> None:
    (record,) = make_records(["cat"], box=(4.0, 8.0, 40.0, 32.0))  # of 40 × 32 pixels
    assert place_box(record, make_spec(["cat"])) == pytest.approx((0.1, 0.25, 1, 1))
    assert place_box(record, dataclasses.replace(make_spec(["cat"]), fit="crop")) == pytest.approx((0, 0.25, 1, 1))
    assert place_box(dataclasses.replace(record, box=None), make_spec(["cat"])) is None
