from __future__ import annotations

from pathlib import Path

import numpy as np

from tlkit.audit.events import find_events
from tlkit.data.looks import THUMBNAIL_EDGE, Looks
from tlkit.data.manifest import ImageRecord

NUM_OTHERS = 40


def make_records(names: list[str], splits: dict[str, str] | None = None) -> list[ImageRecord]:
    split_of = splits or {}
    return [
        ImageRecord(Path("/photos") / name, f"{number:064x}", 40, 30, split_of.get(name, "train"), "cat")
        for number, name in enumerate(names)
    ]


def make_looks(taken: list[str], cameras: list[str]) -> Looks:
    num = len(taken)
    flat, whole = np.zeros(num, np.float32), np.zeros(num, np.int64)
    grey = np.zeros((num, THUMBNAIL_EDGE, THUMBNAIL_EDGE), np.uint8)
    times = np.array(taken, "datetime64[s]")
    return Looks(
        np.ones(num, np.bool_),
        grey,
        whole,
        whole,
        flat,
        flat,
        flat,
        flat,
        whole.astype(np.uint64),
        times,
        tuple(cameras),
        (),
    )


def draw_features(num_rows: int, alike: list[int]) -> np.ndarray:
    features: np.ndarray = np.random.default_rng(0).normal(size=(num_rows, 32))
    features[alike] = features[alike[0]] + 0.1 * features[alike] if alike else features[alike]
    return features


def test_photos_of_one_camera_moments_apart_are_a_burst() -> None:
    records = make_records(["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg"], {"c.jpg": "validation"})
    at = "2026-05-01T12:00:"
    looks = make_looks([f"{at}09", f"{at}00", f"{at}05", f"{at}25", "NaT"], ["Pixel", "Pixel", "Pixel", "Pixel", ""])
    found = find_events(records, draw_features(5, []), looks)
    assert [(each.kind, each.path.name, each.group, each.score) for each in found] == [
        ("event", "b.jpg", 0, 1.0),
        ("event", "c.jpg", 0, 1.0),
        ("event", "a.jpg", 0, 1.0),
    ]
    assert {each.evidence for each in found} == {
        "It is one of 3 images taken within 9 s by Pixel; they lie in train and validation."
    }
    assert [path.name for path in found[0].others] == ["c.jpg", "a.jpg"]


def test_photos_of_two_cameras_are_no_burst() -> None:
    looks = make_looks(["2026-05-01T12:00:00", "2026-05-01T12:00:01"], ["Pixel", "Canon"])
    assert find_events(make_records(["a.jpg", "b.jpg"]), draw_features(2, []), looks) == []


def test_files_with_running_numbers_are_a_series_only_as_far_as_they_are_alike() -> None:
    names = [f"walk/frame_{number:03d}_left.jpg" for number in range(8)]
    names += [f"other/{number}.jpg" for number in range(NUM_OTHERS)]
    records = make_records(names)
    looks = make_looks(["NaT"] * len(names), [""] * len(names))
    found = find_events(records, draw_features(len(names), [2, 3, 4, 5]), looks)
    assert [each.path.name for each in found] == [f"frame_{number:03d}_left.jpg" for number in (2, 3, 4, 5)]
    assert found[0].evidence == (
        "It is one of 4 images numbered from frame_002_left.jpg to frame_005_left.jpg and alike."
    )
    assert (found[0].group, found[0].score) == (0, 0.5)


def test_alike_images_without_running_numbers_are_no_series() -> None:
    names = ["a-1.jpg", "b-2.jpg", "c-3.jpg", "x/4.jpg", *(f"other/{number * 7}.jpg" for number in range(NUM_OTHERS))]
    looks = make_looks(["NaT"] * len(names), [""] * len(names))
    assert find_events(make_records(names), draw_features(len(names), [0, 1, 2, 3]), looks) == []
