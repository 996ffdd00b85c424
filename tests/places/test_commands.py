"""Commands whose images, tables and models are at a place; what users read and runs store names it."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tlkit
from tests.s3_server import Faults, S3Server
from tlkit.data.manifest import read_manifest
from tlkit.errors import SettingError

SMALLEST = ("--backbone", "mnist_cnn", "--weights", "random", "--image-size", 32)


@pytest.fixture
def photos(s3: S3Server, tmp_path: Path, make_image_folder: Callable[..., Path]) -> Path:
    """Images at s3://bucket/photos, and the same in a local folder."""
    folder = make_image_folder(tmp_path / "photos", {"red": 6, "blue": 6})
    for path in folder.rglob("*.png"):
        s3.buckets["bucket"][f"photos/{path.relative_to(folder).as_posix()}"] = path.read_bytes()
    return folder


def test_features_of_a_place_are_those_of_a_folder(
    s3: S3Server, photos: Path, run_cli: Callable[..., Any], tmp_path: Path
) -> None:
    s3.buckets["bucket"]["photos/red/broken.png"] = b"no image"
    result = run_cli("precompute", "s3://bucket/photos", *SMALLEST, "-v", "--json")
    payload = result.json()
    assert (payload["images"], payload["misses"], payload["skipped"]) == (12, 12, 1)
    assert "Skipped: s3://bucket/photos/red/broken.png: " in result.stderr
    assert run_cli("precompute", photos, *SMALLEST, "--json").json()["hits"] == 12
    assert run_cli("cache", "list", "--json").json()["caches"][0]["data"] == [str(photos), "s3://bucket/photos"]


def test_a_part_copies_its_own_images_and_all_parts_give_the_rows_of_one_run(
    s3: S3Server, photos: Path, run_cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.buckets["bucket"]["photos/notes.txt"] = b"not an image"
    num_misses, copied = [], []
    for number in (1, 2, 3):
        monkeypatch.setenv("TLKIT_CACHE", str(tmp_path / f"cache{number}"))
        result = run_cli("precompute", "s3://bucket/photos", *SMALLEST, "--part", f"{number}/3", "-v", "--json")
        num_misses.append(result.json()["misses"])
        assert f"Part {number}/3: {num_misses[-1]} image" in result.stderr
        copied.append({path.name for path in (tmp_path / f"cache{number}" / "places").rglob("*.*g")})
        assert [path.name for path in (tmp_path / f"cache{number}" / "places").rglob("notes.txt")] == ["notes.txt"]
    assert sum(num_misses) == 12
    firsts = {"red_000.png", "blue_000.png"}
    assert [firsts <= names for names in copied] == [True] * 3
    assert all(len(names - firsts) <= number for names, number in zip(copied, num_misses, strict=True))
    assert len(set.union(*copied)) == 12
    monkeypatch.setenv("TLKIT_CACHE", str(tmp_path / "all"))
    run_cli("cache", "merge", *(tmp_path / f"cache{number}" for number in (1, 2, 3)))
    assert run_cli("precompute", photos, *SMALLEST, "--json").json()["hits"] == 12


def test_a_part_without_images_is_done_at_once(s3: S3Server, photos: Path, run_cli: Callable[..., Any]) -> None:
    sizes = [
        run_cli("precompute", "s3://bucket/photos", *SMALLEST, "--part", f"{number}/16", "--json").json()["images"]
        for number in range(1, 17)
    ]
    assert sum(sizes) == 12
    assert sizes.count(0) >= 4


def test_a_run_on_a_place_names_it_and_can_be_repeated(
    s3: S3Server, photos: Path, run_cli: Callable[..., Any], tmp_path: Path, cache_root: Path, untraced: None
) -> None:
    run = tmp_path / "run"
    words = (*SMALLEST, "--epochs", 1)
    assert run_cli("finetune", "s3://bucket/photos/", *words, "--out", run).exit_code == 0
    assert json.loads((run / "manifest.json").read_text())["root"] == "s3://bucket/photos"
    assert 'data = "s3://bucket/photos"' in (run / "recipe.toml").read_text()
    texts = [path for path in run.rglob("*") if path.suffix in {".json", ".csv", ".toml", ".md", ".html"}]
    assert not [path.name for path in texts if str(cache_root) in path.read_text()]
    local = tmp_path / "local"
    run_cli("finetune", photos, *words, "--out", local)
    assert (run / "manifest.csv").read_text() == (local / "manifest.csv").read_text()
    assert run_cli("run", run / "recipe.toml", "--out", tmp_path / "again").exit_code == 0
    manifest = read_manifest(run)
    assert all(record.path.is_file() for record in manifest.records)
    assert manifest.columns()["path"][0].startswith("s3://bucket/photos/")
    evaluated = run_cli("evaluate", run, "--out", tmp_path / "scores", "--json")
    assert evaluated.exit_code == 0
    assert str(cache_root) not in (tmp_path / "scores" / "predictions.csv").read_text()


def test_predictions_name_the_place_of_each_file(
    s3: S3Server, photos: Path, make_bundle: Callable[..., Path], run_cli: Callable[..., Any], tmp_path: Path
) -> None:
    bundle = make_bundle(tmp_path / "bundle", ("red", "blue"))
    s3.fail(Faults(broken={"photos/red/red_000.png": 403}))
    result = run_cli("predict", bundle, "s3://bucket/photos/red", "s3://bucket/photos/blue/blue_001.png")
    rows = {row["path"]: row for row in csv.DictReader(result.stdout.splitlines())}
    assert len(rows) == 7
    assert all(path.startswith("s3://bucket/photos/") for path in rows)
    assert rows["s3://bucket/photos/red/red_000.png"]["error"]
    assert rows["s3://bucket/photos/blue/blue_001.png"]["class_name"] in {"red", "blue"}
    assert "Warning: 1 of 6 files of s3://bucket/photos/red/ could not be copied" in result.stderr


def test_a_model_at_a_place_predicts_as_it_does_here(
    s3: S3Server, photos: Path, make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    bundle = make_bundle(tmp_path / "bundle", ("red", "blue"))
    for path in bundle.iterdir():
        s3.buckets["bucket"][f"runs/first/{path.name}"] = path.read_bytes()
    here = tlkit.predict(bundle, photos)["predictions"]
    there = tlkit.predict("s3://bucket/runs/first", photos)["predictions"]
    assert here == there


@pytest.mark.parametrize("cell", ["s3://bucket/photos/{}", "../photos/{}", "../photos/{} "])
def test_a_table_in_a_bucket_leads_to_the_images_that_its_rows_name(
    s3: S3Server, photos: Path, tmp_path: Path, cell: str
) -> None:
    names = sorted(path.relative_to(photos).as_posix() for path in photos.rglob("*.png"))
    rows = [f"{cell.format(name)},{name.partition('/')[0]}" for name in names if "005" not in name]
    s3.buckets["bucket"]["tables/list.csv"] = "\n".join(["path,label", *rows, "s3://bucket/none.png,red"]).encode()
    manifest = tlkit.read_data("s3://bucket/tables/list.csv")
    assert len(manifest.records) == 10
    assert {record.path.name for record in manifest.records} == {Path(name).name for name in names if "005" not in name}
    assert [item.path.name for item in manifest.skipped] == ["none.png"]
    assert not any("005" in key for key in s3.tries)


def test_a_local_table_may_name_images_in_a_bucket(s3: S3Server, photos: Path, tmp_path: Path) -> None:
    table = tmp_path / "list.csv"
    names = sorted(path.relative_to(photos).as_posix() for path in photos.rglob("*.png"))
    table.write_text("\n".join(["path,label", *(f"s3://bucket/photos/{name},{name[:3]}" for name in names)]))
    manifest = tlkit.read_data(table)
    assert len(manifest.records) == 12
    assert "s3://bucket/: 12 files, 12 copied now, 0 here already." in manifest.notices
    assert set(manifest.columns()["path"]) == {f"s3://bucket/photos/{name}" for name in names}


def test_a_url_where_only_a_path_is_taken_is_refused() -> None:
    with pytest.raises(SettingError) as caught:
        tlkit.finetune("photos", out="https://anna:geheim@example.org/run?sig=geheim")
    assert str(caught.value) == (
        "https://example.org/run: only a path on this machine is taken here.\n"
        "  Expected: a local path; images, tables and models may be at a URL, and so may --out of `tlkit predict`\n"
        "  Fix: use a local path."
    )


def test_local_work_imports_nothing_for_places(photos: Path, tmp_path: Path) -> None:
    program = (
        "import sys, tlkit\n"
        f"tlkit.read_data({str(photos)!r})\n"
        "print(sorted(name for name in sys.modules if name.split('.')[0] in {'obstore', 'urllib3', 'boto3'}\n"
        "      or name.startswith('tlkit.places')))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(
        [
            f"tlkit.places{name}"
            for name in ("", ".cache_root", ".copies", ".packed", ".packed.patterns", ".place", ".roots")
        ]
    )


def test_a_cache_in_a_bucket_is_merged_into_this_one(
    s3: S3Server, photos: Path, run_cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    monkeypatch.setenv("TLKIT_CACHE", str(other))
    run_cli("precompute", photos, *SMALLEST)
    for path in other.rglob("*"):
        if path.is_file():
            s3.buckets["bucket"][f"cache/{path.relative_to(other).as_posix()}"] = path.read_bytes()
    monkeypatch.setenv("TLKIT_CACHE", str(tmp_path / "here"))
    (merged,) = run_cli("cache", "merge", "s3://bucket/cache", "--json").json()["merged"]
    assert (merged["source"], merged["copied"]) == ("s3://bucket/cache", 12)
    assert run_cli("precompute", photos, *SMALLEST, "--json").json()["hits"] == 12
