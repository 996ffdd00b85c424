"""Frames and labels of objects in pictures."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tlkit.reports import frames
from tlkit.reports.frames import DARK, MAX_NAMED, Mark, choose_colour, draw_box, draw_marks

RED, GREEN = (250, 30, 30), (30, 230, 30)


def find(picture: Image.Image, colour: tuple[int, int, int]) -> NDArray[np.bool_]:
    """Return where a picture has a colour, bool (height, width)."""
    found: NDArray[np.bool_] = (np.asarray(picture) == colour).all(axis=2)
    return found


def span(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom of what a mask covers; the last pixels are outside."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


@pytest.mark.parametrize("background", ["black", "white", "red"])
def test_a_frame_is_where_the_object_is_on_any_background(background: str) -> None:
    picture = Image.new("RGB", (800, 400), background)
    drawn = draw_marks(picture, [Mark((0.25, 0.25, 0.5, 0.75), GREEN)])
    left, top, right, bottom = span(find(drawn, GREEN) | find(drawn, DARK))
    assert (left, top) == (200, 100)
    assert abs(right - 400) <= 1
    assert abs(bottom - 300) <= 1
    assert find(drawn, GREEN).sum() > 1000
    assert find(drawn, DARK).sum() > 1000
    assert np.asarray(picture).reshape(-1, 3).std(axis=0).max() == 0


def test_a_small_object_has_a_thin_line_and_a_large_picture_a_broad_one() -> None:
    def measure_line(box: tuple[float, float, float, float], size: tuple[int, int]) -> int:
        row = find(draw_marks(Image.new("RGB", size), [Mark(box, GREEN)]), GREEN)[
            round(size[1] * (box[1] + box[3]) / 2)
        ]
        return int(np.diff(np.flatnonzero(np.diff(row.astype(int))))[0])

    assert measure_line((0.1, 0.1, 0.9, 0.9), (1280, 1280)) > measure_line((0.1, 0.1, 0.9, 0.9), (320, 320)) >= 1
    assert measure_line((0.1, 0.1, 0.115, 0.115), (1280, 1280)) == 1


def test_the_most_important_object_lies_on_top() -> None:
    marks = [Mark((0.2, 0.2, 0.8, 0.8), RED), Mark((0.2, 0.2, 0.8, 0.8), GREEN)]
    assert find(draw_marks(Image.new("RGB", (400, 400)), marks), RED).any()
    assert not find(draw_marks(Image.new("RGB", (400, 400)), marks), GREEN).any()


def read_plates(
    monkeypatch: pytest.MonkeyPatch, marks: list[Mark], size: tuple[int, int]
) -> list[tuple[str, list[float]]]:
    """Return the text and the plate of each label."""
    plates: list[tuple[str, list[float]]] = []
    find_place = frames._Labels._find_place
    draw_text = frames._Labels._draw_text

    def note_place(self: frames._Labels, index: int, width: float, height: float) -> NDArray[np.float64] | None:
        plate = find_place(self, index, width, height)
        if plate is not None:
            plates.append(("", plate.tolist()))
        return plate

    def note_text(self: frames._Labels, index: int, text: str, colour: frames.Colour) -> bool:
        is_drawn = draw_text(self, index, text, colour)
        if is_drawn:
            plates[-1] = (text, plates[-1][1])
        return is_drawn

    monkeypatch.setattr(frames._Labels, "_find_place", note_place)
    monkeypatch.setattr(frames._Labels, "_draw_text", note_text)
    draw_marks(Image.new("RGB", size), marks)
    return plates


def scatter(number: int) -> list[Mark]:
    rng = np.random.default_rng(0)
    starts, sizes = rng.uniform(0, 0.85, (number, 2)), rng.uniform(0.02, 0.15, (number, 2))
    return [
        Mark((x, y, x + width, y + height), choose_colour(index % 30), f"class {index % 30}", f"{index}%")
        for index, ((x, y), (width, height)) in enumerate(zip(starts.tolist(), sizes.tolist(), strict=True))
    ]


@pytest.mark.parametrize("number", [1, MAX_NAMED, 100])
def test_labels_stay_in_the_picture_and_cover_no_other_label(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    plates = read_plates(monkeypatch, scatter(number), (640, 480))
    assert len(plates) > 0.6 * number
    for _, (left, top, right, bottom) in plates:
        assert min(left, top) >= 0
        assert right <= 640
        assert bottom <= 480
    for (_, one), (_, other) in itertools.combinations(plates, 2):
        assert min(one[2], other[2]) <= max(one[0], other[0]) or min(one[3], other[3]) <= max(one[1], other[1])


def test_names_are_left_out_where_there_are_many_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    assert any("class" in text for text, _ in read_plates(monkeypatch, scatter(MAX_NAMED), (640, 480)))
    assert not any("class" in text for text, _ in read_plates(monkeypatch, scatter(MAX_NAMED + 1), (640, 480)))


def test_a_label_that_has_no_room_is_reduced_to_its_figure_and_then_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    marks = [Mark((0.0, 0.0, 1.0, 1.0), RED, "golden retriever", "97%")] * 9
    texts = [text for text, _ in read_plates(monkeypatch, marks, (200, 30))]
    assert 0 < len(texts) < 9
    assert set(texts) == {"golden retriever 97%", "97%"}


def test_a_label_keeps_clear_of_other_objects_if_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    above = Mark((0.2, 0.1, 0.6, 0.39), GREEN)
    ((_, (_, top, _, _)),) = read_plates(
        monkeypatch, [Mark((0.2, 0.4, 0.6, 0.7), RED, "cat", "97%"), above], (640, 480)
    )
    assert top >= 0.69 * 480
    ((_, (_, _, _, bottom)),) = read_plates(monkeypatch, [Mark((0.2, 0.4, 0.6, 0.7), RED, "cat", "97%")], (640, 480))
    assert bottom <= 0.41 * 480


def test_colours_are_stable_distinct_and_visible_on_the_dark_panel() -> None:
    colours = [choose_colour(index) for index in range(100)]
    assert colours == [choose_colour(index) for index in range(100)]
    assert len(set(colours)) == 100
    gaps = [np.abs(np.subtract(one, other)).sum() for one, other in itertools.combinations(colours[:20], 2)]
    assert min(gaps) > 30
    assert min(np.abs(np.subtract(colour, DARK)).sum() for colour in colours) > 150


def test_a_single_box_has_a_broad_frame_between_dark_lines() -> None:
    row = np.asarray(draw_box(Image.new("RGB", (400, 400), "white"), (0.25, 0.25, 0.75, 0.75), RED, line_px=3))[200]
    assert [tuple(pixel) for pixel in row[99:110:3]] == [(255, 255, 255), DARK, RED, DARK]


def test_a_dashed_frame_lies_where_a_solid_one_does_and_has_gaps_on_every_side() -> None:
    picture = Image.new("RGB", (800, 400), "white")
    solid, dashed = (
        draw_marks(picture, [Mark((0.25, 0.25, 0.5, 0.75), GREEN, is_dashed=is_dashed)]) for is_dashed in (False, True)
    )
    for colours in (GREEN, DARK):
        assert 0.3 < find(dashed, colours).sum() / find(solid, colours).sum() < 1.4
    covered = find(dashed, GREEN) | find(dashed, DARK)
    assert np.abs(np.subtract(span(covered), (200, 100, 400, 300))).max() <= 1
    for side in (covered[102, 200:400], covered[298, 200:400], covered[100:300, 202], covered[100:300, 398]):
        edges = np.abs(np.diff(side.astype(int))).sum()
        assert edges >= 6


@pytest.mark.parametrize("box", [(0.5, 0.5, 0.5, 0.5), (0.0, 0.0, 1.0, 1.0), (0.998, 0.2, 1.0, 0.21)])
def test_a_dashed_frame_of_any_size_is_drawn(box: tuple[float, float, float, float]) -> None:
    drawn = draw_marks(Image.new("RGB", (300, 200), "white"), [Mark(box, GREEN, is_dashed=True)])
    assert find(drawn, GREEN).any() or find(drawn, DARK).any()
