"""Boxes follow every fit and every view to within a pixel of what is drawn."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tlkit.data.box_views import place_box, recover_box
from tlkit.data.views import POLICIES, View, draw_view
from tlkit.recipes.settings import FITS

PICTURE_SIZE = (420, 640)
IMAGE_SIZE = (224, 224)


def draw_rectangle(box: tuple[int, int, int, int]) -> Image.Image:
    """Return a grey picture with a red rectangle that fills the box exactly."""
    picture = Image.new("RGB", PICTURE_SIZE[::-1], (90, 90, 90))
    left, top, right, bottom = box
    ImageDraw.Draw(picture).rectangle((left, top, right - 1, bottom - 1), fill=(255, 40, 40))
    return picture


def find_red(pixels: np.ndarray) -> tuple[float, float, float, float]:
    """Return left, top, right, bottom of what is at least half red."""
    rows, columns = np.nonzero(pixels[..., 0].astype(int) - pixels[..., 2] > 100)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def to_pixels(fractions: np.ndarray) -> np.ndarray:
    cx, cy, w, h = fractions.astype(float)
    return np.array([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]) * 224


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("policy", POLICIES)
def test_a_box_encloses_what_it_did_in_every_view(policy: str, fit: str) -> None:
    rng = np.random.default_rng(1)
    differences = []
    for index in range(1, 41):
        view = draw_view(policy, seed=3, sha256="a" * 64, index=index)
        assert view is not None
        left, top = (int(value) for value in rng.integers((150, 60), (300, 160)))
        box = (left, top, left + int(rng.integers(40, 190)), top + int(rng.integers(40, 190)))
        fractions, is_seen = place_box(box, view, picture_size=PICTURE_SIZE, image_size=IMAGE_SIZE, fit=fit)
        geometry = View(view.crop, view.flip, view.angle_degrees)
        pixels = np.asarray(geometry.render(draw_rectangle(box), image_size=IMAGE_SIZE, fit=fit))
        edges = to_pixels(fractions)
        inside = edges[0] > 2 and edges[1] > 2 and edges[2] < 222 and edges[3] < 222
        if is_seen and inside:  # at the edges of a squash or crop the picture goes on mirrored, and so does the red
            differences.append(np.abs(edges - find_red(pixels)).max())
    assert len(differences) >= 10
    assert max(differences) <= 1.0 + 1e-6


def test_a_box_that_a_view_hardly_shows_does_not_count() -> None:
    corner = View(crop=(0.5, 0.5, 1.0, 1.0))
    for box, seen in (((0.0, 0.0, 340.0, 220.0), False), ((300.0, 200.0, 640.0, 420.0), True)):
        fractions, is_seen = place_box(box, corner, picture_size=PICTURE_SIZE, image_size=IMAGE_SIZE, fit="squash")
        assert is_seen == seen
        assert fractions.min() >= 0
        assert fractions.max() <= 1


@pytest.mark.parametrize("fit", FITS)
def test_a_box_comes_back_as_it_was(fit: str) -> None:
    box = (250.0, 100.0, 400.0, 300.5)
    fractions, _ = place_box(box, View(), picture_size=PICTURE_SIZE, image_size=IMAGE_SIZE, fit=fit)
    again = recover_box(fractions, picture_size=PICTURE_SIZE, image_size=IMAGE_SIZE, fit=fit)
    np.testing.assert_allclose(again, box, atol=1e-3)


def test_a_recovered_box_stays_within_the_picture() -> None:
    whole = np.array([0.5, 0.5, 1.0, 1.0], np.float32)
    assert recover_box(whole, picture_size=PICTURE_SIZE, image_size=IMAGE_SIZE, fit="pad") == (0.0, 0.0, 640.0, 420.0)
