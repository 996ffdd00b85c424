"""Results at a place: whole or not at all, the main file last, and kept here if they cannot be put there."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tlkit
from tests.drawn_objects import SPEC, Detector, draw_objects
from tests.places.conftest import Heard
from tests.s3_server import Faults, S3Server
from tlkit.errors import PlaceError, SettingError
from tlkit.places.results import put_results


@pytest.fixture
def photos(tmp_path: Path, make_image_folder: Callable[..., Path]) -> Path:
    return make_image_folder(tmp_path / "photos", {"red": 2, "blue": 2})


@pytest.fixture
def bundle(tmp_path: Path, make_bundle: Callable[..., Path]) -> Path:
    return make_bundle(tmp_path / "bundle", ("red", "blue"))


def test_predictions_are_put_at_a_place(
    s3: S3Server, bundle: Path, photos: Path, run_cli: Callable[..., Any], cache_root: Path
) -> None:
    s3.fail(Faults(errors=0.1, cuts=0.1, seed=1))
    words = ("predict", bundle, photos, "--out", "s3://bucket/answers/", "--overlay", "s3://bucket/drawn")
    result = run_cli(*words, "--sort-into", "s3://bucket/sorted/")
    assert result.exit_code == 0
    assert "Predictions: s3://bucket/answers/predictions.csv" in result.stdout
    assert "Overlays: s3://bucket/drawn\n" in result.stdout
    objects = s3.buckets["bucket"]
    rows = list(csv.DictReader(io.StringIO(objects["answers/predictions.csv"].decode())))
    assert len(rows) == 4
    assert sum(key.startswith("drawn/") for key in objects) == 4
    assert sum(key.startswith("sorted/") for key in objects) == 4
    assert list(objects)[-1] == "answers/predictions.csv", "the main file is the last"
    assert not list((cache_root / "places" / "results").iterdir())
    run_cli("predict", bundle, photos, "--out", "s3://bucket/answers/rows.jsonl")
    assert objects["answers/rows.jsonl"].count(b"\n") == 4


@pytest.mark.parametrize(("name", "settings"), [("labels/", {"format": "voc"}), ("found/", {"format": "coco"})])
def test_found_objects_are_put_at_a_place(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, settings: dict[str, Any]
) -> None:
    monkeypatch.setattr("tlkit.commands.predict.read_spec", lambda *_, **__: SPEC)
    monkeypatch.setattr("tlkit.commands.predict.open_classifier", lambda *_, **__: Detector())
    draw_objects(tmp_path / "photos" / "a" / "both.png", {"red": (32, 32, 64, 48), "white": (80, 8, 120, 40)})
    tlkit.predict("run", tmp_path / "photos", out=f"s3://bucket/{name}", **settings)
    key = {"voc": "labels/a/both.xml", "coco": "found/boxes.json"}[settings["format"]]
    assert s3.buckets["bucket"][key].count(b"red") == 1
    assert [each for each in s3.buckets["bucket"] if each.startswith(name)] == [key]


def test_what_cannot_be_put_there_is_kept(s3: S3Server, cache_root: Path, heard: Heard) -> None:
    written: list[Path] = []

    def write() -> None:
        with put_results({"out": "s3://bucket/answers/"}, cache_root, heard, name="rows.csv") as paths:
            assert paths["out"] is not None
            written.append(paths["out"])
            paths["out"].write_text("path\n")
            s3.fail(Faults(broken={"answers/rows.csv": 403}))

    with pytest.raises(PlaceError) as caught:
        write()
    (path,) = written
    aside = path.parent.parent
    assert str(caught.value) == (
        f"--out s3://bucket/answers/rows.csv cannot be written: access denied. All results are kept in {aside}.\n"
        "  Expected: credentials that may write to the bucket, and a server that answers\n"
        "  Fix: put them there by other means, or run the command again."
    )
    assert path.read_text() == "path\n"


def test_a_bucket_that_does_not_exist_is_found_before_anything_is_computed(
    s3: S3Server, bundle: Path, photos: Path, cache_root: Path
) -> None:
    with pytest.raises(PlaceError, match=r"^s3://other/answers/predictions.csv/: there is no bucket other\."):
        tlkit.predict(bundle, photos, out="s3://other/answers/")
    assert not (cache_root / "places").exists()


def test_nothing_is_left_of_a_command_that_fails_before_it_writes(s3: S3Server, cache_root: Path, heard: Heard) -> None:
    with (
        pytest.raises(RuntimeError),
        put_results({"out": "s3://bucket/answers/"}, cache_root, heard, name="rows.csv"),
    ):
        raise RuntimeError
    assert not list((cache_root / "places" / "results").iterdir())
    assert s3.requests == {"GET": 1}


def test_results_cannot_be_put_at_a_web_server(bundle: Path, photos: Path) -> None:
    with pytest.raises(SettingError) as caught:
        tlkit.predict(bundle, photos, sort_into="https://example.org/sorted")
    assert str(caught.value) == (
        "--sort-into https://example.org/sorted: nothing can be written to a web server.\n"
        "  Expected: s3://, gs:// or az:// with a bucket, or a local path\n"
        "  Fix: choose one of them."
    )


def test_a_watched_folder_needs_a_local_file(bundle: Path, photos: Path) -> None:
    with pytest.raises(SettingError, match="only a path on this machine is taken here"):
        tlkit.predict(bundle, watch=photos, out="s3://bucket/rows.csv")
