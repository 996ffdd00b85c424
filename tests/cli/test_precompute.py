from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SMALLEST = ("--backbone", "mnist_cnn", "--weights", "random", "--image-size", 32)


@pytest.fixture
def photos(tmp_path: Path, make_image_folder: Callable[..., Path]) -> Path:
    return make_image_folder(tmp_path / "photos", {"red": 5, "blue": 5})


def test_precompute_prints_what_a_script_wants(run_cli: Callable[..., Any], photos: Path, cache_root: Path) -> None:
    before = sorted(photos.rglob("*"))
    result = run_cli("precompute", photos, *SMALLEST, "--views", 2, "--json")
    assert result.exit_code == 0
    payload = result.json()
    assert {name: payload[name] for name in ("images", "hits", "misses", "skipped")} == {
        "images": 10,
        "hits": 0,
        "misses": 18,
        "skipped": 0,
    }
    assert payload["seconds"] > 0
    assert payload["images_per_second"] > 0
    assert Path(payload["cache"]).is_relative_to(cache_root)
    assert sorted(photos.rglob("*")) == before, "nothing is written into the user's data folder"
    assert run_cli("precompute", photos, *SMALLEST, "--views", 2, "--json").json()["hits"] == 18


@pytest.mark.parametrize(
    ("options", "hits"),
    [
        (("--boundary", "conv2"), 10),
        (("--fit", "crop"), 0),
        (("--seed", 1), 0),
        (("--sample", 0.6), 6),
    ],
)
def test_what_changes_a_feature_is_computed_anew_and_nothing_else(
    run_cli: Callable[..., Any], photos: Path, options: tuple[object, ...], hits: int
) -> None:
    run_cli("precompute", photos, *SMALLEST, "-q")
    assert run_cli("precompute", photos, *SMALLEST, *options, "--json").json()["hits"] == hits


def test_precompute_refuses_a_policy_without_views(run_cli: Callable[..., Any], photos: Path) -> None:
    result = run_cli("precompute", photos, *SMALLEST, "--policy", "strong")
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: --policy strong has no effect without --views: the only view is the image itself.\n"
        "  Expected: --policy only with --views of 2 or more\n"
        "  Fix: add --views 4, or leave out --policy.\n"
    )


def test_precompute_checks_names_before_it_looks_at_the_images(run_cli: Callable[..., Any], tmp_path: Path) -> None:
    result = run_cli("precompute", tmp_path / "nowhere", "--backbone", "tini", "--json")
    assert result.exit_code == 1
    assert "tini" in result.json()["error"]["found"]


def test_parts_share_the_work(run_cli: Callable[..., Any], photos: Path) -> None:
    parts = [run_cli("precompute", photos, *SMALLEST, "--part", f"{number}/2", "--json").json() for number in (1, 2)]
    assert [sum(part[name] for part in parts) for name in ("images", "hits", "misses")] == [10, 0, 10]
    assert [part["part"] for part in parts] == ["1/2", "2/2"]
    assert run_cli("precompute", photos, *SMALLEST, "--json").json()["hits"] == 10


def test_a_part_that_does_not_exist_is_refused(run_cli: Callable[..., Any], tmp_path: Path) -> None:
    result = run_cli("precompute", tmp_path / "nowhere", *SMALLEST, "--part", "9/8")
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: --part is '9/8'.\n"
        "  Expected: number/count, from 1/COUNT to COUNT/COUNT\n"
        "  Fix: use --part 1/8 for the first of eight parts, and --part 8/8 for the last.\n"
    )
