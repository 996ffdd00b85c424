from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tlkit.data.manifest import ImageRecord, Manifest
from tlkit.outputs import CLASSIFICATION, REGRESSION
from tlkit.reports.console import Console
from tlkit.reports.map import Coloring
from tlkit.runs import image_map
from tlkit.runs.image_map import make_map
from tlkit.similarity import projection


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projection, "NUM_STEPS", 20)


def make_manifest(folder: Path, num_images: int, task: str = CLASSIFICATION) -> Manifest:
    records = []
    for number in range(num_images):
        path = folder / f"{number}.png"
        Image.new("RGB", (20, 10), (9 * number, 0, 0)).save(path)
        answer = str(number) if task == REGRESSION else ("cat", "dog")[number % 2]
        records.append(ImageRecord(path, "", 20, 10, ("train", "validation")[number % 3 == 0], answer))
    return Manifest(folder, ("cat", "dog"), tuple(records), task=task)


def draw_map(manifest: Manifest, **more: Any) -> dict[str, Any]:
    features = np.random.default_rng(0).normal(size=(len(manifest.records), 8)).astype(np.float16)
    section = make_map(features, manifest, console=Console(verbosity=-1), **more)
    assert section is not None
    found = re.search(r'<script type="application/json" id="map-data">(.*?)</script>', section.body)
    assert found
    return {"note": section.note, **json.loads(found[1])}


def test_a_map_has_a_point_a_name_and_a_picture_for_each_image(tmp_path: Path) -> None:
    manifest = make_manifest(tmp_path, 6)
    (tmp_path / "4.png").unlink()
    drawn = draw_map(manifest, colorings=[Coloring("finding", ["", "copy", "", "", "", "copy"])])
    assert drawn["names"] == [f"{number}.png" for number in range(6)]
    assert [each["title"] for each in drawn["colorings"]] == ["class", "split", "finding"]
    assert drawn["pictured"] == [0, 1, 2, 3, 5]
    assert drawn["neighboursEach"] == 5


def test_neighbours_that_are_known_are_taken_and_not_looked_for(tmp_path: Path) -> None:
    manifest = make_manifest(tmp_path, 12)
    looked_for = draw_map(manifest)["neighbours"]
    known = (np.arange(12)[:, None] + np.arange(1, 11)) % 12
    taken = draw_map(manifest, nearest=known)["neighbours"]
    assert taken == draw_map(manifest, nearest=known[:, :8])["neighbours"] != looked_for


def test_values_are_coloured_by_ranges_in_their_order(tmp_path: Path) -> None:
    coloring = draw_map(make_manifest(tmp_path, 14, REGRESSION))["colorings"][0]
    assert coloring["ordered"]
    assert coloring["values"][0] == "0 to 1.85714"
    assert np.bincount(coloring["of"]).tolist() == [2] * 7


def test_of_too_many_images_a_sample_is_shown_with_all_that_have_findings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_map, "MAX_POINTS", 5)
    monkeypatch.setattr(image_map, "MAX_PICTURES", 2)
    drawn = draw_map(make_manifest(tmp_path, 12), first=[11, 3])
    assert {"11.png", "3.png"} <= set(drawn["names"])
    assert [drawn["names"][place] for place in drawn["pictured"]] == ["3.png", "11.png"]
    assert drawn["note"].endswith("A sample of 5 of the 12 images.")
