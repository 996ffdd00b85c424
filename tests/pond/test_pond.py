"""The drawn pond: the same on every run, worth learning from, and never over somebody's own files."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tlkit.errors import DataError
from tlkit.pond import draw_pond
from tlkit.pond.body import Pose
from tlkit.pond.fields import cloud, smooth_curve, wave
from tlkit.pond.fish import draw_fish
from tlkit.pond.kinds import BREAM, CATFISH, KINDS, PIKE
from tlkit.pond.picture import draw_picture
from tlkit.pond.plan import BOATS, PHOTOS_PER_KIND, plan_photos
from tlkit.pond.water import Scene

FEW = {"train": 2, "validation": 1, "test": 1}
SIZE = (208, 156)


def start_random(number: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(number))


def read_all(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module", autouse=True)
def coarse() -> Iterator[None]:
    """Let pictures have rough edges: it takes a third of the time to draw them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tlkit.pond.picture.SUPERSAMPLING", 1)
        yield


@pytest.fixture(scope="module")
def pond_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "pond"
    draw_pond(folder, photos_per_kind=FEW, num_new=2)
    return folder


@pytest.fixture(scope="module")
def drawn_pond(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small") / "pond"
    draw_pond(folder, photos_per_kind={"train": 1}, num_new=1)
    return folder


@pytest.fixture
def small_pond(drawn_pond: Path, tmp_path: Path) -> Path:
    """A pond of the test's own, which it may change."""
    return shutil.copytree(drawn_pond, tmp_path / "pond")


def test_a_second_pond_is_the_same_to_the_byte(pond_folder: Path, tmp_path: Path) -> None:
    draw_pond(tmp_path / "again", photos_per_kind=FEW, num_new=2)
    assert read_all(tmp_path / "again") == read_all(pond_folder)


def test_another_seed_gives_other_pictures(small_pond: Path, tmp_path: Path) -> None:
    draw_pond(tmp_path / "other", photos_per_kind={"train": 1}, num_new=1, seed=1)
    first = {content for name, content in read_all(small_pond).items() if name.endswith(".jpg")}
    assert not first & set(read_all(tmp_path / "other").values())


def test_a_picture_does_not_depend_on_those_drawn_before_it() -> None:
    draw_picture(PIKE, size=SIZE, hour=9, random=start_random(1))
    after_another, _ = draw_picture(BREAM, size=SIZE, hour=12, random=start_random(2))
    alone, _ = draw_picture(BREAM, size=SIZE, hour=12, random=start_random(2))
    assert after_another.tobytes() == alone.tobytes()


def test_every_split_has_every_kind_and_the_table_names_every_photo(pond_folder: Path) -> None:
    with (pond_folder / "photos.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert Counter((row["split"], row["class_name"]) for row in rows) == {
        (split, kind.name): count for split, count in FEW.items() for kind in KINDS
    }
    assert {row["image"] for row in rows} == {name for name in read_all(pond_folder) if name.startswith("photos/")}
    for row in rows:
        assert row["image"].startswith(f"photos/{row['split']}/{row['class_name']}/")
        with Image.open(pond_folder / row["image"]) as picture:
            assert picture.size == (int(row["camera_width"]), int(row["camera_height"]))
        assert {boat.name: boat.camera for boat in BOATS}[row["boat"]] == picture.size
        assert 0 <= int(row["x_min"]) < int(row["x_max"]) <= picture.size[0]
        assert 0 <= int(row["y_min"]) < int(row["y_max"]) <= picture.size[1]
        assert 5 <= int(row["hour"]) <= 22


def test_the_new_photos_have_no_labels_and_one_is_torn(pond_folder: Path) -> None:
    names = sorted(path.name for path in (pond_folder / "new-photos").iterdir())
    assert names == ["catch-0017.jpg", "catch-0018.jpg", "catch-9999-torn.jpg"]
    for name in names[:2]:
        with Image.open(pond_folder / "new-photos" / name) as picture:
            picture.load()
    with Image.open(pond_folder / "new-photos" / names[2]) as picture, pytest.raises(OSError, match="truncated"):
        picture.load()


def test_the_volunteers_folder_has_wrong_labels_and_changed_copies_of_training_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tlkit.pond.untidy.ONE_IN", 2)
    pond = draw_pond(tmp_path / "pond", photos_per_kind={"train": 2, "test": 1}, num_new=1)
    assert {path.relative_to(pond.folder).as_posix() for path in pond.volunteers.rglob("*.jpg")} == {
        str(each.path) for each in pond.untidy
    }
    assert sum(each.is_mislabelled for each in pond.untidy) == 4
    assert sorted(each.change for each in pond.untidy if each.change) == ["compressed", "mirrored", "small", "turned"]
    for each in pond.untidy:
        assert (each.path.parent.name != each.source.kind.name) == each.is_mislabelled
        content = (pond.folder / each.path).read_bytes()
        assert (content == (pond.folder / each.source.path).read_bytes()) == (not each.change)
        with Image.open(pond.folder / each.path) as picture, Image.open(pond.folder / each.source.path) as original:
            expected = {"turned": original.size[::-1], "small": (original.width // 2, original.height // 2)}
            assert picture.size == expected.get(each.change, original.size)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_box_holds_the_whole_fish_tightly(kind: object, monkeypatch: pytest.MonkeyPatch) -> None:
    layers = []

    def draw_and_keep(*arguments: object) -> Image.Image:
        layers.append(draw_fish(*arguments))  # type: ignore[arg-type]
        return layers[-1]

    monkeypatch.setattr("tlkit.pond.picture.SUPERSAMPLING", 3)
    monkeypatch.setattr("tlkit.pond.picture.draw_fish", draw_and_keep)
    _, box = draw_picture(kind, size=SIZE, hour=12, random=start_random(5))  # type: ignore[arg-type]
    alpha = np.asarray(layers[0].getchannel("A").reduce(3), dtype=np.float32) / 255
    assert alpha[box.y_min : box.y_max, box.x_min : box.x_max].sum() >= 0.99 * alpha.sum()
    assert alpha[box.y_min].max() > 0.02
    assert alpha[box.y_max - 1].max() > 0.02
    assert alpha[:, box.x_min].max() > 0.02
    assert alpha[:, box.x_max - 1].max() > 0.02


def test_kinds_differ_in_shape_and_not_in_colour() -> None:
    """Shape tells the kinds apart; the mean colour of a fish must not (0.25 is chance)."""
    water, white = np.array([0.2, 0.4, 0.4]), np.ones(3)
    scene = Scene((120, 80), water, water, sun=white, floor=white, floor_top=1.5, shafts=0.0, ripple=0.0, lamp=0.0)
    pose = Pose((180.0, 120.0), 200.0, 0.0, 1, 1.0, (0.0, 0.0))
    colors, shapes, labels = [], [], []
    for label, kind in enumerate(KINDS):
        for number in range(24):
            random = start_random(100 * label + number)
            rgba = np.asarray(draw_fish(kind, pose, scene, random, (360, 240)), np.float64)
            solid = rgba[..., 3] > 200
            rows, columns = np.nonzero(solid.any(axis=1))[0], np.nonzero(solid.any(axis=0))[0]
            colors.append(rgba[solid][:, :3].mean(axis=0))
            shapes.append([np.ptp(rows) / np.ptp(columns), solid.sum() / np.ptp(rows) / np.ptp(columns)])
            labels.append(label)
    assert nearest_centre_accuracy(np.array(colors), np.array(labels)) < 0.5
    assert nearest_centre_accuracy(np.array(shapes), np.array(labels)) > 0.85


def nearest_centre_accuracy(features: np.ndarray, labels: np.ndarray) -> float:
    """Fit class centres on the even rows, score the odd ones."""
    scaled = (features - features.mean(axis=0)) / features.std(axis=0)
    train = np.arange(len(labels)) % 2 == 0
    centres = np.stack([scaled[train & (labels == label)].mean(axis=0) for label in range(len(KINDS))])
    guesses = ((scaled[~train][:, None] - centres) ** 2).sum(axis=-1).argmin(axis=1)
    return float((guesses == labels[~train]).mean())


def test_boats_hint_at_the_kind_but_do_not_give_it_away() -> None:
    photos = plan_photos(dict(PHOTOS_PER_KIND), 0, seed=0)
    counts = Counter((photo.boat.name, photo.kind.name) for photo in photos)
    most = sum(max(counts[boat.name, kind.name] for kind in KINDS) for boat in BOATS)
    assert 0.5 < most / len(photos) < 0.75
    assert len({boat.camera for boat in BOATS}) == len(BOATS)


def test_numbers_of_photos_say_nothing_about_their_kind() -> None:
    photos = plan_photos(dict(PHOTOS_PER_KIND), 8, seed=0)
    assert [photo.number for photo in photos] == list(range(1, 369))
    first_tenth = Counter(photo.kind.name for photo in photos[:36])
    assert max(first_tenth.values()) < 18


def test_a_pond_that_is_there_is_left_as_it_is(small_pond: Path) -> None:
    times = {path: path.stat().st_mtime_ns for path in small_pond.rglob("*")}
    counted: list[int] = []
    pond = draw_pond(small_pond, photos_per_kind={"train": 1}, num_new=1, advance=counted.append)
    assert (pond.num_drawn, pond.num_reused, sum(counted)) == (0, 5, 5)
    assert {path: path.stat().st_mtime_ns for path in small_pond.rglob("*")} == times


def test_a_missing_picture_is_drawn_again(small_pond: Path) -> None:
    before = read_all(small_pond)
    next((small_pond / "photos").rglob("*.jpg")).unlink()
    pond = draw_pond(small_pond, photos_per_kind={"train": 1}, num_new=1)
    assert (pond.num_drawn, pond.num_reused) == (1, 4)
    assert read_all(small_pond) == before


def test_an_interrupted_drawing_goes_on(small_pond: Path) -> None:
    before = read_all(small_pond)
    marker = json.loads(before["pond.json"])
    (small_pond / "pond.json").write_text(json.dumps({**marker, "files": {}}), encoding="utf-8")
    lost = next((small_pond / "photos").rglob("*.jpg"))
    lost.rename(lost.with_name(".0123456789abcdef.partial"))
    assert draw_pond(small_pond, photos_per_kind={"train": 1}, num_new=1).num_drawn == 1
    after = read_all(small_pond)
    assert {name: content for name, content in after.items() if not name.endswith(".partial")} == before


def assert_refused(folder: Path, found: str) -> None:
    before = read_all(folder) if folder.is_dir() else folder.read_bytes()
    with pytest.raises(DataError) as caught:
        draw_pond(folder, photos_per_kind={"train": 1}, num_new=1)
    assert str(caught.value) == (
        f"{folder} {found}.\n"
        "  Expected: a new or empty folder, or one in which only `tlkit demo` has drawn its pictures\n"
        "  Fix: name another folder: tlkit demo OTHER-FOLDER"
    )
    assert (read_all(folder) if folder.is_dir() else folder.read_bytes()) == before


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"mine")
    assert_refused(tmp_path, "contains other files (holiday.jpg)")


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "demo").write_bytes(b"mine")
    assert_refused(tmp_path / "demo", "is a file")


def test_a_changed_picture_is_refused_and_kept(small_pond: Path) -> None:
    changed = next((small_pond / "photos").rglob("*.jpg"))
    changed.write_bytes(b"mine")
    assert_refused(small_pond, f"holds a picture or table that was changed ({changed.relative_to(small_pond)})")


def test_a_picture_in_the_place_of_one_not_yet_drawn_is_refused_and_kept(small_pond: Path) -> None:
    marker = json.loads((small_pond / "pond.json").read_text(encoding="utf-8"))
    (small_pond / "pond.json").write_text(json.dumps({**marker, "files": {}}), encoding="utf-8")
    changed = next((small_pond / "photos").rglob("*.jpg"))
    changed.write_bytes(b"mine")
    assert_refused(small_pond, f"holds a picture or table that was changed ({changed.relative_to(small_pond)})")


def test_an_added_picture_is_refused(small_pond: Path) -> None:
    (small_pond / "photos" / "train" / "pike" / "mine.jpg").write_bytes(b"mine")
    assert_refused(small_pond, "holds a file that the demo did not draw (photos/train/pike/mine.jpg)")


def test_another_pond_is_refused(small_pond: Path) -> None:
    marker = json.loads((small_pond / "pond.json").read_text(encoding="utf-8"))
    (small_pond / "pond.json").write_text(json.dumps({**marker, "seed": 7}), encoding="utf-8")
    assert_refused(small_pond, "holds a pond that was drawn otherwise (another tlkit, seed or number of pictures)")


@pytest.mark.parametrize("content", ["{}", "[]", "not JSON", '{"files": 3}'])
def test_a_strangers_marker_is_refused(small_pond: Path, content: str) -> None:
    (small_pond / "pond.json").write_text(content, encoding="utf-8")
    assert_refused(small_pond, "has a pond.json that is not this demo's")


def test_files_beside_the_pond_do_not_matter(small_pond: Path) -> None:
    (small_pond / "runs" / "first").mkdir(parents=True)
    (small_pond / "runs" / "first" / "recipe.toml").write_text("mine", encoding="utf-8")
    assert draw_pond(small_pond, photos_per_kind={"train": 1}, num_new=1).num_reused == 5


def test_pose_finds_the_point_that_it_placed() -> None:
    pose = Pose((200.0, 150.0), 300.0, 17.0, -1, 0.8, (0.25, -0.4))
    for u, v in ((0.0, 0.0), (0.3, -0.1), (0.9, 0.15), (1.1, 0.0)):
        x, y = pose.place(np.array([u, v]))
        found_u, found_v = pose.find(np.full((1, 1), x, np.float32), np.full((1, 1), y, np.float32))
        assert (float(found_u[0, 0]), float(found_v[0, 0])) == pytest.approx((u, v), abs=1e-4)


def test_waves_and_curves_are_what_they_say() -> None:
    turns = np.linspace(-2, 2, 801, dtype=np.float32)
    assert np.abs(wave(turns) - np.sin(2 * np.pi * turns)).max() < 0.01
    curve = smooth_curve(np.array([0.0, 1.0, 0.0]), 101)
    assert (float(curve[0]), float(curve[50]), float(curve[100])) == (0.0, 1.0, 0.0)
    assert np.allclose(curve, curve[::-1], atol=1e-6)


def test_noise_is_the_same_on_every_machine() -> None:
    """The one hash here: it changes only if Pillow's whole-number resize or numpy's PCG64 does."""
    pixels = (cloud(start_random(3), (40, 30), 3) * 255).astype(np.uint8)
    assert hashlib.sha256(pixels.tobytes()).hexdigest()[:16] == "8d98664ef3a3f332"


def test_a_catfish_has_barbels_longer_than_its_head() -> None:
    assert len(CATFISH.barbels) >= 4
    assert not any(kind.barbels for kind in KINDS if kind is not CATFISH)
    longest = max((reach[0] ** 2 + reach[1] ** 2) ** 0.5 for *_, reach in CATFISH.barbels)
    assert longest > CATFISH.gill


def test_two_that_draw_into_one_folder_at_once_both_find_the_whole_pond(
    tmp_path: Path, pond_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_step, replace = threading.Barrier(2, timeout=20), Path.replace

    def replace_in_step(path: Path, target: Path) -> Path:
        in_step.wait()
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", replace_in_step)
    with ThreadPoolExecutor(2) as pool:
        drawn = [pool.submit(draw_pond, tmp_path / "both", photos_per_kind=FEW, num_new=2) for _ in range(2)]
        assert [each.result().num_reused for each in drawn] == [0, 0]
    assert read_all(tmp_path / "both") == read_all(pond_folder)


def test_a_marker_that_another_is_writing_is_no_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / ".0123456789abcdef.partial").write_bytes(b"")
    assert draw_pond(tmp_path, photos_per_kind={"train": 1}, num_new=1).num_reused == 0
