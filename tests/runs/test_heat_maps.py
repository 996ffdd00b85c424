"""Heat maps of the images that a report shows."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.runs.test_mistakes import QUIET, draw, make_records, make_spec
from tlkit.data.manifest import ImageRecord
from tlkit.errors import BundleError
from tlkit.inference.scoring import Scores
from tlkit.reports.optional_steps import OptionalSteps
from tlkit.reports.thumbnails import PictureBudget
from tlkit.runs.heat_maps import HeatMaps
from tlkit.runs.mistake_sheets import show_mistakes

pytestmark = pytest.mark.usefixtures("drawn_figures")


def refuse() -> dict[str, NDArray[np.float32]]:
    raise BundleError("The bundle is damaged.", expected="a whole one", fix="train again.")


def make_heat_maps(steps: OptionalSteps) -> HeatMaps:
    return HeatMaps(SimpleNamespace(spec=make_spec(["cat", "dog"])), refuse, steps, QUIET)


def score(folder: Path) -> Scores:
    records = make_records(["cat", "dog", "dog"], folder / "photos")
    draw(records)
    return Scores(records, np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]], np.float32), None, ())


def test_the_predicted_class_is_explained_on_a_layer_of_each_tile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, int] = {}

    def explain(
        _: HeatMaps, records: Sequence[ImageRecord], outputs: NDArray[np.int64]
    ) -> dict[Path, NDArray[np.float32]]:
        asked.update({record.path.name: int(output) for record, output in zip(records, outputs, strict=True)})
        return {record.path: np.eye(7, dtype=np.float32) for record in records[:2]}

    monkeypatch.setattr(HeatMaps, "explain", explain)
    heat_maps = make_heat_maps(OptionalSteps(QUIET))
    sheets = show_mistakes(
        score(tmp_path), make_spec(["cat", "dog"]), tmp_path, budget=PictureBudget(), console=QUIET, heat_maps=heat_maps
    )
    assert asked == {"0.png": 0, "1.png": 0, "2.png": 1}
    images = next(section for section in sheets.sections if section.title == "Images behind the scores")
    assert images.body.count('data-layer="heat map"') == 2
    assert "Heat maps show what speaks for the predicted class" in images.note


def test_a_model_that_cannot_be_opened_costs_the_maps_alone(tmp_path: Path) -> None:
    steps = OptionalSteps(QUIET)
    sheets = show_mistakes(
        score(tmp_path),
        make_spec(["cat", "dog"]),
        tmp_path,
        budget=PictureBudget(),
        console=QUIET,
        heat_maps=make_heat_maps(steps),
    )
    assert steps.not_made == [{"what": "The heat maps of mistakes", "reason": "The bundle is damaged"}]
    assert len(sheets.sections) == 2
    assert "Heat maps" not in sheets.sections[1].note


def test_what_was_explained_while_images_were_scored_is_not_explained_again(tmp_path: Path) -> None:
    steps = OptionalSteps(QUIET)
    heat_maps = make_heat_maps(steps)  # which cannot explain anything itself
    scores = score(tmp_path)
    explained, evidence = np.array([0, 0, 1]), np.arange(12, dtype=np.float32).reshape(3, 2, 2)
    heat_maps.take(dataclasses.replace(scores, explained=explained, evidence=evidence))
    maps = heat_maps.explain(scores.records, explained)
    assert steps.not_made == []
    assert [maps[record.path].tolist() for record in scores.records] == evidence.tolist()
    assert heat_maps.explain(scores.records, 1 - explained) == {}
    assert steps.not_made == [{"what": "The heat maps of mistakes", "reason": "The bundle is damaged"}]


def test_weights_that_cannot_be_read_cost_the_evidence_alone() -> None:
    steps = OptionalSteps(QUIET)
    maps = np.zeros((2, 1, 1, 3), np.float32)
    assert make_heat_maps(steps).explain_maps(maps, np.zeros(2, np.int64)) is None
    assert steps.not_made == [{"what": "The heat maps of mistakes", "reason": "The bundle is damaged"}]


def test_a_model_of_one_class_has_nothing_to_explain(tmp_path: Path) -> None:
    steps = OptionalSteps(QUIET)
    scores = Scores(make_records(["cat"], box=(0.0, 0.0, 9.0, 9.0)), np.ones((1, 1), np.float32), ((0, 0, 9, 9),), ())
    spec = make_spec(["cat"], has_box=True)
    show_mistakes(scores, spec, tmp_path, budget=PictureBudget(), console=QUIET, heat_maps=make_heat_maps(steps))  # fmt: skip
    assert steps.not_made == []
