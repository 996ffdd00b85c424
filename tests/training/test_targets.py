"""What is true of a view lies where the view shows it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tlkit.data.images import LOADER_VERSION
from tlkit.data.manifest import ImageRecord
from tlkit.data.views import draw_view
from tlkit.inference.scoring import load_record
from tlkit.models.spec import BundleSpec
from tlkit.outputs import DETECTION
from tlkit.recipes import HeadSettings
from tlkit.recipes.settings import FITS, POLICIES
from tlkit.tasks.objects import SceneObject, write_objects
from tlkit.training.targets import ObjectTargets, ViewDrawer

EDGE = 128
SIZE = (260, 180)
BOXES: dict[str, tuple[int, int, int, int]] = {"red": (30, 40, 90, 100), "blue": (150, 70, 240, 130)}
COLOURS = {"red": (255, 0, 0), "blue": (0, 0, 255)}
CHANNELS = {"red": 0, "blue": 2}


def draw_record(folder: Path) -> ImageRecord:
    """Draw a red and a blue rectangle on grey, and write them down."""
    picture = Image.new("RGB", SIZE, (128, 128, 128))
    for name, box in BOXES.items():
        picture.paste(COLOURS[name], box)
    path = folder / "scene.png"
    picture.save(path)
    answer = write_objects([SceneObject(name, *corners) for name, corners in BOXES.items()])
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return ImageRecord(path, sha256, SIZE[0], SIZE[1], "train", answer)


def find_rectangle(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], channel: int) -> list[float]:
    """Return left, top, right, bottom, as fractions, of what is more of one colour than of the others."""
    others = np.delete(pixels.astype(int), channel, axis=2).max(axis=2)
    rows, columns = np.nonzero(pixels[..., channel].astype(int) > others + 40)
    return [columns.min() / EDGE, rows.min() / EDGE, (columns.max() + 1) / EDGE, (rows.max() + 1) / EDGE]


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("policy", [policy for policy in POLICIES if policy not in ("none", "letters")])
def test_objects_lie_where_each_view_shows_them(fit: str, policy: str, tmp_path: Path) -> None:
    record = draw_record(tmp_path)
    spec = BundleSpec(
        "tiny", (EDGE, EDGE), fit, LOADER_VERSION, "maps", HeadSettings("detector"), ("blue", "red"), task=DETECTION
    )
    read = ObjectTargets(ViewDrawer((record,), spec, policy, seed=3), num_rows=4)
    num_seen = 0
    for index in range(6):
        view = draw_view(policy, seed=3, sha256=record.sha256, index=index)
        pixels = load_record(record, spec, view)
        targets = read(np.array([0]), np.array([index]))
        assert targets.answers.shape == (1, 4, 6)
        assert targets.answers.dtype == np.float32
        assert not targets.box_weights.any()
        for row in targets.answers[0]:
            if not row[4] or row[5] or not _has_colour(pixels):
                continue
            name = spec.class_names[int(row[4]) - 1]
            shown = find_rectangle(pixels, CHANNELS[name])
            # Of a rectangle that is turned and cut, the corner that the box goes by may lie outside.
            is_turned = view is not None and view.angle_degrees != 0
            assert np.abs(np.clip(row[:4], 0, 1) - shown).max() < (9 if is_turned else 2) / EDGE
            num_seen += 1
    assert num_seen >= 6


def _has_colour(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bool:
    """Return whether a view keeps colours, as most do."""
    return bool(np.ptp(pixels.astype(int), axis=2).max() > 100)
