"""The folder of an evaluation, with its page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.browser import OpenPage, find_barriers, find_overflow
from tests.runs.test_mistakes import QUIET, draw, make_records, make_spec
from tlkit.data.manifest import SkippedFile
from tlkit.inference.scoring import Scores
from tlkit.inference.task_report import compute_task_report
from tlkit.runs.evaluation_folder import Evaluation, write_evaluation
from tlkit.runs.origin import describe_origin
from tlkit.tasks.report import ScoreTable

pytestmark = pytest.mark.usefixtures("drawn_figures")


def make_evaluation(photos: Path, by_exposure: ScoreTable = ((), [])) -> Evaluation:
    records = make_records(["cat", "dog", "dog"], photos)
    draw(records)
    scores = Scores(records, np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]], np.float32), None, ())
    spec = make_spec(["cat", "dog"])
    return Evaluation(
        name="runs/first on the test images",
        measured_on="test",
        report=compute_task_report(spec, scores),
        scores=scores,
        by_exposure=by_exposure,
        skipped=(SkippedFile(Path("bad.png"), "empty file"),),
        payload={"images": 3},
        spec=spec,
        origin=describe_origin(spec, data="photos/test", command="tlkit evaluate runs/first"),
        caution="The run has seen none of them.",
        num_ranked=2,
    )


def test_the_page_has_the_test_score_its_origin_and_the_images(tmp_path: Path, open_page: OpenPage) -> None:
    write_evaluation(tmp_path / "out", make_evaluation(tmp_path / "photos"), QUIET)
    page = open_page(tmp_path / "out" / "report.html")
    head = page.locator("header").inner_text()
    for text in (
        "runs/first on the test images",
        "test accuracy",
        "0.667",
        "The run has seen none of them.",
        "photos/test",
        "tiny, unknown weights, 64 × 64 px",
        "top: only the head was trained",
        "tlkit evaluate runs/first",
    ):
        assert text in head
    assert page.locator("nav a").all_inner_texts() == [
        "Scores by class",
        "Confusion matrix",
        "Most frequent mistakes",
        "Images behind the scores",
        "Calibration",
        "Files skipped: 1",
    ]
    assert page.locator("#mistakes .tile strong").all_inner_texts() == ["1.png", "2.png", "0.png"]
    assert find_overflow(page) == 0
    assert find_barriers(page) == []


def test_images_that_the_model_has_seen_are_told_apart(tmp_path: Path) -> None:
    by_exposure: ScoreTable = ("exposure", "accuracy"), [("trained on", "1.000"), ("never seen", "0.500")]
    write_evaluation(tmp_path / "out", make_evaluation(tmp_path / "photos", by_exposure), QUIET)
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert '<td>never seen</td><td class="number">0.500</td>' in page


def test_nothing_of_an_earlier_evaluation_stays_in_the_folder_of_mistakes(tmp_path: Path) -> None:
    mistakes = tmp_path / "out" / "mistakes"
    mistakes.mkdir(parents=True)
    (mistakes / "007-true-cat-as-dog-9.jpg").touch()
    write_evaluation(tmp_path / "out", make_evaluation(tmp_path / "photos"), QUIET)
    assert [path.name for path in mistakes.iterdir()] == ["001-true-dog-as-cat-1.jpg"]


def test_a_page_that_cannot_be_made_does_not_cost_the_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tlkit.reports.console import Console

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "x.jpg")

    monkeypatch.setattr("tlkit.runs.evaluation_folder.show_mistakes", fail)
    write_evaluation(tmp_path / "out", make_evaluation(tmp_path / "photos"), Console())
    assert capsys.readouterr().err == "Warning: report.html could not be made: x.jpg: No space left on device.\n"
    assert json.loads((tmp_path / "out" / "report.json").read_text())["images"] == 3
