from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import tlkit
from tests.s3_server import S3Server, s3  # noqa: F401 - a fixture
from tlkit.errors import SettingError
from tlkit.places.copies import forget_copies
from tlkit.runs.lost_data import find_lost_data


@pytest.fixture
def run(
    s3: S3Server,  # noqa: F811
    tmp_path: Path,
    make_image_folder: Callable[..., Path],
    untraced: None,
) -> Iterator[Path]:
    """A run on images in a bucket."""
    folder = make_image_folder(tmp_path / "photos", {"red": 8, "blue": 8})
    for path in folder.rglob("*.png"):
        s3.buckets["bucket"][f"photos/{path.relative_to(folder).as_posix()}"] = path.read_bytes()
    s3.buckets["bucket"]["photos/blue/again.png"] = s3.buckets["bucket"]["photos/red/red_000.png"]
    tlkit.finetune(
        "s3://bucket/photos", backbone="mnist_cnn", weights="random", image_size=32, epochs=1, out=tmp_path / "run"
    )
    yield tmp_path / "run"
    forget_copies()


def test_images_that_are_no_longer_here_are_copied_again_where_a_run_needs_them(
    s3: S3Server,  # noqa: F811
    run: Path,
    cache_root: Path,
    run_cli: Callable[..., Any],
) -> None:
    before = tlkit.evaluate(run)["accuracy"]
    assert find_lost_data(run) is None
    assert find_lost_data(run / "bundle") is None
    forget_copies()
    shutil.rmtree(cache_root / "places")
    assert find_lost_data(run) == "s3://bucket/photos"
    assert tlkit.evaluate(run)["accuracy"] == before
    shutil.rmtree(cache_root / "places")
    out = run.parent / "audit"
    result = run_cli("audit", "--run", run, "--out", out)
    assert result.exit_code == 0
    texts = [path.read_text() for path in out.iterdir() if path.suffix in {".csv", ".json", ".html"}]
    assert len(texts) > 3
    assert not any(str(cache_root) in text for text in texts)
    assert json.loads((out / "summary.json").read_text())["first"][0]["path"].startswith("s3://bucket/photos/")


def test_what_is_no_run_has_lost_nothing(tmp_path: Path) -> None:
    assert find_lost_data(tmp_path) is None
    (tmp_path / "manifest.csv").write_text("damaged")
    (tmp_path / "manifest.json").write_text('{"root": "s3://bucket/photos"}')
    assert find_lost_data(tmp_path) is None


def test_moves_are_applied_to_a_folder_only() -> None:
    with pytest.raises(SettingError, match=r"^s3://bucket/photos: only a path on this machine is taken here\."):
        tlkit.apply_moves("moves.csv", "s3://bucket/photos")
