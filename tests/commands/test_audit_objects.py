"""`tlkit audit` of images with boxes, or with masks, on scenes of rectangles."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import tlkit
from tlkit.data.manifest import write_manifest
from tlkit.recipes import build_recipe, write_recipe

pytestmark = pytest.mark.usefixtures("untraced")

NUM_SCENES = 16
EDGE_PX = 48


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlkit.audit.detector.MAX_EPOCHS", 1)
    monkeypatch.setattr("tlkit.audit.detector.NUM_VIEWS", 2)
    monkeypatch.setattr("tlkit.audit.held_out_boxes.count_passes", lambda num_images, task: 1)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of a red rectangle each, their masks, and a COCO file, in which one has two boxes."""
    root = tmp_path_factory.mktemp("audited") / "scenes"
    root.mkdir()
    (root.parent / "masks").mkdir()
    rng = np.random.default_rng(0)
    images: list[dict[str, Any]] = []
    boxes: list[dict[str, Any]] = []
    for number in range(NUM_SCENES):
        pixels = rng.integers(90, 140, (EDGE_PX, EDGE_PX, 3), dtype=np.uint8)
        left, top = rng.integers(0, EDGE_PX - 24, 2).tolist()
        pixels[top : top + 20, left : left + 20] = (230, 40, 40)
        mask = np.zeros((EDGE_PX, EDGE_PX), np.uint8)
        mask[top : top + 20, left : left + 20] = 255
        Image.fromarray(pixels).save(root / f"{number:02}.png")
        Image.fromarray(mask).save(root.parent / "masks" / f"{number:02}.png")
        images.append({"id": number, "file_name": f"{number:02}.png", "width": EDGE_PX, "height": EDGE_PX})
        for shift in (0, 1) if number == 3 else (0,):
            box = [left + shift, top, 20, 20]
            boxes.append({"id": len(boxes), "image_id": number, "category_id": 1, "bbox": box, "iscrowd": 0})
    shutil.copy(root / "05.png", root / "06.png")  # whose box is another one
    document = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "red"}]}
    (root.parent / "boxes.json").write_text(json.dumps(document))
    return root


def list_findings(out: Path) -> list[dict[str, str]]:
    with (out / "findings.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def audit(*args: Any, out: Path, **settings: Any) -> dict[str, Any]:
    with contextlib.redirect_stderr(io.StringIO()):
        return tlkit.audit_images(*args, out=out, **settings)


def test_an_audit_of_boxes_names_them_and_proposes_no_moves(scenes: Path, tmp_path: Path) -> None:
    boxes = str(scenes.parent / "boxes.json")
    out = tmp_path / "audit"
    payload = audit(scenes, out=out, task="detection", boxes=boxes, backbone="tiny", image_size=48)
    names = {path.name for path in out.iterdir() if not path.name.startswith(".")}
    assert names == {"audit.html", "findings.csv", "skipped.csv", "summary.json"}
    findings = list_findings(out)
    (double,) = [row for row in findings if row["kind"] == "double"]
    assert (double["path"], double["given"][:4], double["suggested"]) == ("03.png", "red ", "")
    conflicts = [row for row in findings if row["kind"] == "conflict"]
    assert [(row["path"], row["given"]) for row in conflicts] == [("05.png", "1 × red"), ("06.png", "1 × red")]
    assert payload["images"] == NUM_SCENES
    assert payload["moves"] == 0
    assert payload["notices"][-1].startswith(
        "Boxes were judged by 3 detectors, each trained on other images than those it judges. They find "
    )
    page = (out / "audit.html").read_text("utf-8")
    assert "An object with two boxes" in page
    assert "Dashed frames are the boxes that are given" in page
    assert "moves.csv" not in page


def test_the_images_and_settings_of_a_run_are_audited(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def detect(rows: Any, groups: Any, settings: Any, spec: Any, console: Any) -> Any:
        assert (settings.head.units, settings.training.seed, spec.backbone, spec.image_size) == (8, 4, "tiny", (48, 48))
        return np.zeros((len(rows.records), 100, 6), np.float32)

    monkeypatch.setattr("tlkit.audit.held_out_boxes.detect_held_out", detect)
    run, boxes = tmp_path / "run", str(scenes.parent / "boxes.json")
    content = {
        "data": {"task": "detection", "boxes": boxes},
        "backbone": {"name": "tiny", "image_size": 48},
        "head": {"units": 8},
        "training": {"seed": 4},
        "inputs": {"data": str(scenes)},
        "stage": [{}],
    }
    recipe = build_recipe(content, source="a.toml")
    run.mkdir()
    write_recipe(recipe, run / "recipe.toml")
    write_manifest(tlkit.read_data(scenes, task="detection", boxes=boxes), run)
    payload = audit(run=run, out=tmp_path / "audit")
    assert payload["images"] == NUM_SCENES
    assert payload["findings"]["double"] == 1
    assert {row["split"] for row in list_findings(tmp_path / "audit")} <= {"train", "validation"}


def test_pictures_with_masks_are_audited_without_their_masks(scenes: Path, tmp_path: Path) -> None:
    masks = str(scenes.parent / "masks")
    out = tmp_path / "audit"
    payload = audit(scenes, out=out, task="segmentation", masks=masks, backbone="tiny", image_size=48)
    assert payload["notices"] == ["Masks were not judged, only the pictures: see tlkit evaluate for the worst ones."]
    assert payload["findings"]["conflict"] == 2
    assert not (out / "moves.csv").exists()
