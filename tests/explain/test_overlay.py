from __future__ import annotations

import numpy as np

from tlkit.explain.overlay import draw_legend, overlay_map, resize_map

GREY = np.full((40, 60, 3), 128, np.uint8)


def test_evidence_for_is_orange_evidence_against_blue_and_none_is_grey() -> None:
    evidence = np.zeros((4, 6))
    evidence[0, 0], evidence[3, 5] = 2.0, -2.0
    drawn = overlay_map(GREY, evidence).astype(int)
    assert drawn.shape == GREY.shape
    red, _, blue = drawn[3, 3]
    assert red > blue + 80
    red, _, blue = drawn[-3, -3]
    assert blue > red + 80
    assert np.ptp(drawn[20, 30]) <= 1


def test_a_common_scale_makes_weak_evidence_pale() -> None:
    evidence = np.full((2, 2), 0.1)
    alone, beside = (overlay_map(GREY, evidence, strongest=strongest) for strongest in (None, 1.0))
    assert np.ptp(alone[20, 30].astype(int)) > 2 * np.ptp(beside[20, 30].astype(int))


def test_places_that_the_network_did_not_see_are_dark() -> None:
    evidence = np.zeros((1, 2))
    evidence[0, 1] = np.nan
    drawn = overlay_map(GREY, evidence)
    assert drawn[20, 5].mean() > drawn[20, 55].mean() + 40


def test_a_map_of_zeros_changes_no_colour() -> None:
    assert np.ptp(overlay_map(GREY, np.zeros((7, 7))), axis=2).max() <= 1


def test_steps_of_evidence_are_steps_of_lightness() -> None:
    from tlkit.explain.overlay import _COLOURS

    luminance = (_COLOURS / 255) ** 2.2 @ np.array([0.2126, 0.7152, 0.0722])
    lightness = np.cbrt(luminance)
    for arm in (lightness[128:], lightness[127::-1]):
        steps = np.diff(arm)
        assert steps.min() > 0
        assert steps.max() < 2 * steps.mean()


def test_a_map_is_enlarged_smoothly_and_keeps_its_place() -> None:
    evidence = np.zeros((7, 7))
    evidence[2, 5] = 1
    large = resize_map(evidence, (70, 140))
    assert large.shape == (70, 140)
    assert np.unravel_index(large.argmax(), large.shape)[0] in range(20, 30)
    assert np.unravel_index(large.argmax(), large.shape)[1] in range(100, 120)


def test_the_legend_goes_from_blue_to_orange() -> None:
    bar = draw_legend(200).astype(int)
    assert bar.shape == (18, 200, 3)
    assert bar[1, 0, 2] > bar[1, 0, 0] + 50
    assert bar[1, -1, 0] > bar[1, -1, 2] + 50
