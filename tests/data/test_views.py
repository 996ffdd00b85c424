"""Views: the same draw everywhere, within the policy's ranges, and a matrix that follows the pixels."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from tlkit.data.views import POLICIES, View, draw_view, view_key
from tlkit.errors import SettingError
from tlkit.recipes import settings

SHA256 = "5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9"


GOLDEN_VIEW = View(
    crop=(0.09143600885449696, 0.2235781434276863, 0.9645185144135672, 0.879839382313361),
    flip=True,
    angle_degrees=-6.731833917446925,
    brightness=1.398042019623905,
    contrast=0.9743351938428131,
    saturation=0.7278830903767032,
    erase=(0.015700067762409772, 0.3784760734742551, 0.28555371400205404, 0.618505110890464),
)


def draw_many(policy: str, number: int = 400) -> list[View]:
    views = [draw_view(policy, seed=3, sha256=f"{image:064x}", index=1 + image % 3) for image in range(number)]
    return [view for view in views if view is not None]


def keep_geometry(view: View) -> View:
    """Return the view without its colours and its grey rectangle."""
    return dataclasses.replace(view, brightness=1.0, contrast=1.0, saturation=1.0, erase=None)


def find_dot(pixels: NDArray[np.uint8], near: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return the centre (x, y) of what is red within 12 pixels of `near`, or None if that is cut off by an edge."""
    height, width = pixels.shape[:2]
    reach = 12
    if not (reach < near[0] < width - reach and reach < near[1] < height - reach):
        return None
    left, top = int(near[0]) - reach, int(near[1]) - reach
    part = pixels[top : top + 2 * reach, left : left + 2 * reach].astype(float)
    redness = np.clip(part[..., 0] - part[..., 2], 0, None)
    rows, columns = np.indices(redness.shape) + 0.5
    total = redness.sum()
    return np.array([left + (columns * redness).sum() / total, top + (rows * redness).sum() / total])


def test_policies_are_those_of_the_recipe() -> None:
    assert ("none", *POLICIES) == settings.POLICIES


def test_view_0_and_the_policy_none_are_the_image_itself() -> None:
    assert draw_view("strong", seed=0, sha256=SHA256, index=0) is None
    assert draw_view("none", seed=0, sha256=SHA256, index=5) is None


def test_a_view_is_the_same_in_every_version_of_everything() -> None:
    view = draw_view("strong", seed=7, sha256=SHA256, index=11)
    assert view == GOLDEN_VIEW, "the draw has changed: raise POLICY_VERSION, and then this test's view"


def test_a_view_is_the_same_in_another_process() -> None:
    code = f"from tlkit.data.views import draw_view; print(draw_view('strong', seed=7, sha256={SHA256!r}, index=3))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == repr(draw_view("strong", seed=7, sha256=SHA256, index=3))


def test_policy_seed_image_and_index_each_change_the_view() -> None:
    views = [
        draw_view("standard", seed=0, sha256=SHA256, index=1),
        draw_view("strong", seed=0, sha256=SHA256, index=1),
        draw_view("standard", seed=1, sha256=SHA256, index=1),
        draw_view("standard", seed=0, sha256=SHA256[::-1], index=1),
        draw_view("standard", seed=0, sha256=SHA256, index=2),
    ]
    assert len(set(views)) == 5


@pytest.mark.parametrize("policy", POLICIES)
def test_views_stay_within_their_ranges_and_fill_them(policy: str) -> None:
    ranges = POLICIES[policy]
    views = draw_many(policy)
    crops = np.array([view.crop for view in views])
    reach = (
        max(0.0, np.sqrt(ranges.crop_area_fraction[1] * ranges.crop_aspect) - 1)
        if ranges.crop_area_fraction[1] > 1
        else 0
    )
    assert crops.min() >= -reach
    assert crops.max() <= 1 + reach + 1e-12
    widths, heights = crops[:, 2] - crops[:, 0], crops[:, 3] - crops[:, 1]
    areas = widths * heights
    low, high = ranges.crop_area_fraction
    assert low - 1e-9 <= areas.min() < low + 0.03
    assert high - 0.05 * max(1, high) < areas.max() <= high + 1e-9
    assert (widths / heights).max() <= ranges.crop_aspect + 1e-9
    assert (heights / widths).max() <= ranges.crop_aspect + 1e-9
    assert abs(np.mean([view.flip for view in views]) - ranges.flip_chance) < 0.1
    angles = [view.angle_degrees for view in views]
    assert max(map(abs, angles)) <= ranges.angle_degrees
    assert abs(np.mean(angles)) < 1.5
    for name in ("brightness", "contrast"):
        factors = [getattr(view, name) for view in views]
        assert 1 - ranges.colour <= min(factors) <= 1 - 0.9 * ranges.colour
        assert 1 + 0.9 * ranges.colour <= max(factors) <= 1 + ranges.colour
    assert abs(np.mean([view.saturation == 0 for view in views]) - ranges.grey_chance) < 0.05
    assert abs(np.mean([view.erase is not None for view in views]) - ranges.erase_chance) < 0.07


def test_view_keys_name_policy_version_seed_and_index() -> None:
    assert view_key("standard", seed=5, index=2) == "standard.1/5/2"
    assert view_key("strong", seed=2**63, index=999) == "strong.1/9223372036854775808/999"
    assert view_key("strong", seed=5, index=0) == "0"
    assert view_key("none", seed=5, index=3) == "0"
    with pytest.raises(ValueError, match="at most 34 characters"):
        view_key("standard", seed=10**30, index=1)


@pytest.mark.parametrize(
    "call", [lambda name: draw_view(name, seed=0, sha256="", index=1), lambda name: view_key(name, seed=0, index=1)]
)
def test_an_unknown_policy_is_an_error_that_lists_the_valid_ones(call: object) -> None:
    assert callable(call)
    with pytest.raises(SettingError) as caught:
        call("srong")
    assert str(caught.value) == (
        "policy is 'srong'.\n  Expected: one of none, standard, letters, crops, scales, mosaic, strong\n  Fix: did you mean 'strong'?"
    )


def test_scales_zoom_in_as_often_as_out_by_the_same_factor() -> None:
    areas = np.array([(view.crop[2] - view.crop[0]) * (view.crop[3] - view.crop[1]) for view in draw_many("scales")])
    assert abs(np.mean(areas < np.sqrt(0.2 * 2.0)) - 0.5) < 0.08


def test_a_picture_that_becomes_smaller_lies_on_grey_without_mirror_images() -> None:
    view = View(crop=(-0.5, -0.25, 1.5, 1.75))
    for fit in settings.FITS:
        picture = Image.new("RGB", (64, 64), (250, 10, 10))
        pixels = np.asarray(view.render(picture, image_size=(64, 64), fit=fit))
        red = np.nonzero((pixels[..., 0] > 200).any(axis=0))[0], np.nonzero((pixels[..., 0] > 200).any(axis=1))[0]
        assert [(axis.min(), axis.max()) for axis in red] == [(16, 47), (8, 39)]
        assert pixels[0, 0].tolist() == [128, 128, 128]


@pytest.mark.parametrize("size", [(1000, 30), (30, 1000)])
def test_every_view_of_a_long_picture_shows_some_of_it(size: tuple[int, int]) -> None:
    picture = Image.new("RGB", size, (250, 10, 10))
    for index in range(1, 60):
        view = keep_geometry(draw_view("scales", seed=0, sha256=SHA256, index=index) or View())
        pixels = np.asarray(view.render(picture, image_size=(64, 64), fit="pad"))
        assert (pixels[..., 0] > 150).any(), index


@pytest.mark.parametrize("fit", settings.FITS)
@pytest.mark.parametrize("policy", settings.POLICIES)
def test_the_matrix_follows_the_pixels(policy: str, fit: str) -> None:
    picture_size, image_size = (400, 600), (192, 160)
    rng = np.random.default_rng(0)
    distances, num_seen = [], 0
    for index in range(1, 41):
        view = keep_geometry(draw_view(policy, seed=0, sha256=SHA256, index=index) or View())
        x, y = rng.integers((60, 60), (540, 340)).tolist()
        picture = Image.new("RGB", (600, 400), (90, 90, 90))
        ImageDraw.Draw(picture).ellipse((x - 9, y - 9, x + 9, y + 9), fill=(255, 90, 90))
        expected = (view.matrix(picture_size=picture_size, image_size=image_size, fit=fit) @ (x + 0.5, y + 0.5, 1))[:2]
        found = find_dot(np.asarray(view.render(picture, image_size=image_size, fit=fit)), expected)
        if found is not None:
            num_seen += 1
            distances.append(np.abs(found - expected).max())
    assert num_seen >= 10
    assert max(distances) < 0.2


def test_a_turned_view_has_no_empty_corners() -> None:
    picture = Image.new("RGB", (60, 40), (200, 180, 160))
    for angle in (-15, 15, 45, 90):
        for crop in ((0.0, 0.0, 1.0, 1.0), (0.5, 0.0, 1.0, 0.4)):
            view = View(crop=crop, angle_degrees=angle)
            pixels = np.asarray(view.render(picture, image_size=(30, 50), fit="squash"))
            assert np.unique(pixels.reshape(-1, 3), axis=0).tolist() == [[200, 180, 160]]


def test_padding_stays_neutral_grey_whatever_the_colours() -> None:
    picture = Image.new("RGB", (100, 50), (250, 250, 250))
    view = View(brightness=0.6, contrast=1.4, saturation=0.0)
    pixels = np.asarray(view.render(picture, image_size=(40, 40), fit="pad"))
    assert pixels[0, 0].tolist() == [128, 128, 128]
    assert pixels[20, 20].tolist() == [150, 150, 150]


def test_colours_change_as_the_factors_say() -> None:
    picture = Image.new("RGB", (8, 8), (200, 100, 50))

    def color(view: View) -> list[int]:
        values: list[int] = np.asarray(view.render(picture, image_size=(8, 8), fit="squash"))[4, 4].tolist()
        return values

    assert color(View(brightness=0.5)) == [100, 50, 25]
    assert color(View(saturation=0.0)) == [124, 124, 124]
    assert color(View(contrast=0.5)) == [162, 112, 87]
    assert color(View()) == [200, 100, 50]


def test_the_erased_rectangle_is_grey_and_nothing_else_is() -> None:
    picture = Image.new("RGB", (40, 40), (200, 100, 50))
    pixels = np.asarray(View(erase=(0.25, 0.5, 0.75, 1.0)).render(picture, image_size=(20, 20), fit="squash"))
    assert (pixels[10:, 5:15] == 128).all()
    assert (pixels == 128).all(axis=2).sum() == 100


def test_a_flip_exchanges_left_and_right(quarters: Image.Image) -> None:
    plain = np.asarray(View().render(quarters, image_size=(48, 64), fit="squash"))
    flipped = np.asarray(View(flip=True).render(quarters, image_size=(48, 64), fit="squash"))
    np.testing.assert_array_equal(flipped, plain[:, ::-1])
