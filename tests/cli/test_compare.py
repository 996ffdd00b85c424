"""Which backbone or boundary suits the images, what each costs, and what cannot be told apart."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tlkit.cli.compare import split_names
from tlkit.recipes.task_defaults import HEAD_DEFAULTS, TaskDefaults

CANDIDATES = "tiny,tiny:random"
RunCli = Callable[..., Any]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, make_image_folder: Callable[..., Path]) -> Path:
    return make_image_folder(tmp_path_factory.mktemp("data") / "photos", {"green": 12, "red": 12})


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """One cache for all tests of this file."""
    monkeypatch.setenv("TLKIT_CACHE", str(tmp_path_factory.getbasetemp() / "compared"))


def compare(run_cli: RunCli, photos: Path, *words: object) -> Any:
    return run_cli("compare", photos, "--image-size", 32, "--engine", "keras", "-q", "--json", *words)


@pytest.mark.usefixtures("untraced")
def test_backbones_are_ranked_with_what_they_cost(run_cli: RunCli, photos: Path, tmp_path: Path) -> None:
    result = compare(run_cli, photos, "--backbones", CANDIDATES, "--out", tmp_path / "c.png")
    payload = result.json()
    assert payload["images"] == 24
    assert {each["name"] for each in payload["candidates"]} == {"tiny", "tiny (random)"}
    values = [each["value"] for each in payload["candidates"]]
    assert values == sorted(values, reverse=True)
    assert values[0] >= 0.9, "flat colours are easy"
    assert all(each["seconds_per_1000_images"] > 0 for each in payload["candidates"])
    assert payload["advised"] in {each["name"] for each in payload["candidates"]}
    assert payload["majority"] <= 0.5
    with Image.open(tmp_path / "c.png") as picture:
        assert min(picture.size) > 100


@pytest.mark.usefixtures("untraced")
def test_boundaries_of_one_backbone_are_ranked(run_cli: RunCli, photos: Path, tmp_path: Path) -> None:
    words = ("--backbones", "tiny", "--boundaries", "block1,top", "--out", tmp_path / "c.png")
    candidates = {each["name"]: each for each in compare(run_cli, photos, *words).json()["candidates"]}
    assert set(candidates) == {"tiny at block1", "tiny at top"}
    assert candidates["tiny at block1"]["parameters"] < candidates["tiny at top"]["parameters"] / 10


@pytest.mark.usefixtures("untraced")
def test_heads_and_views_are_ranked_by_trainings_with_what_a_run_costs(
    run_cli: RunCli, make_image_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tlkit.probes.folds.MAX_FOLDS", 2)
    usual = TaskDefaults(head=dataclasses.replace(HEAD_DEFAULTS, epochs=3))
    monkeypatch.setattr("tlkit.recipes.task_defaults.ONE_ANSWER", usual)
    few = make_image_folder(tmp_path / "photos", {"striped green": 3, "red": 4})
    words = ["--backbones", "mnist_cnn:random", "--engine", "keras", "--image-size", "32", "--heads", "linear"]
    words += ["--views", "1,2", "--out", str(tmp_path / "c.png"), "-q", "--json"]
    payload = run_cli("compare", few, *words).json()
    candidates = {each["name"]: each for each in payload["candidates"]}
    assert set(candidates) == {"1 view", "2 standard views"}
    assert payload["images"] == 7
    row_megabytes = 64 * 2 / 1e6  # the linear head takes 64 pooled channels, in float16
    assert candidates["1 view"]["feature_megabytes"] == pytest.approx(7 * row_megabytes, abs=0.05)
    assert all(each["seconds_of_a_run"] > 0 for each in candidates.values())
    assert all(each["head_parameters"] == 64 * 2 + 2 + 2 * 64 for each in candidates.values())
    with Image.open(tmp_path / "c.png") as picture:
        assert min(picture.size) > 100


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures with a red square somewhere, or none; COCO boxes, and masks, beside them."""
    root = tmp_path_factory.mktemp("scenes")
    (root / "photos").mkdir()
    (root / "masks").mkdir()
    rng = np.random.default_rng(0)
    images, boxes = [], []
    for number in range(24):
        pixels, mask = rng.integers(90, 140, (64, 64, 3), dtype=np.uint8), np.zeros((64, 64), np.uint8)
        images.append({"id": number, "file_name": f"{number:02}.png", "width": 64, "height": 64})
        if number % 6:
            left, top = rng.integers(0, 40, 2).tolist()
            pixels[top : top + 24, left : left + 24] = (230, 40, 40)
            mask[top : top + 24, left : left + 24] = 255
            boxes.append(
                {"id": number, "image_id": number, "category_id": 1, "bbox": [left, top, 24, 24], "iscrowd": 0}
            )
        Image.fromarray(pixels).save(root / "photos" / f"{number:02}.png")
        Image.fromarray(mask).save(root / "masks" / f"{number:02}.png")
    content = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "square"}]}
    (root / "boxes.json").write_text(json.dumps(content))
    return root


@pytest.mark.usefixtures("untraced")
def test_maps_are_ranked_by_the_objects_and_the_masks_that_a_probe_finds(
    run_cli: RunCli, scenes: Path, tmp_path: Path
) -> None:
    objects = ("--task", "detection", "--boxes", scenes / "boxes.json")
    masks = ("--task", "segmentation", "--masks", scenes / "masks", "--test-fraction", "0")
    for words in (objects, masks):
        words = (
            *words,
            "--backbones",
            "tiny",
            "--boundaries",
            "block2",
            "--image-size",
            64,
            "--out",
            tmp_path / "c.png",
        )
        payload = compare(run_cli, scenes / "photos", *words).json()
        values = {each["name"]: each["value"] for each in payload["candidates"]}
        assert max(values.values()) > 0.5
        assert payload["majority"] is None
        assert payload["images"] > 15
        first = payload["candidates"][0]
        assert first["low"] <= first["value"] <= first["high"]
        with Image.open(tmp_path / "c.png") as picture:
            assert min(picture.size) > 100


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("--backbones", "tiny,vgg99"), "There is no backbone 'vgg99'"),
        (("--backbones", "tiny,tiny"), "tiny appears twice."),
        (("--backbones", "tiny", "--boundaries", "conv5"), "tiny has no boundary 'conv5'."),
        (("--backbones", "tiny", "--out", "here.jpg"), "--out here.jpg is not a PNG file."),
        (("--backbones", "tiny", "--heads", "dense", "--boundaries", "top"), "--boundaries top together with --heads"),
        (("--backbones", "tiny", "--policies", "strong"), "--policies strong has no effect"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_is_computed(
    run_cli: RunCli, photos: Path, words: tuple[str, ...], found: str
) -> None:
    result = run_cli("compare", photos, *words)
    assert result.exit_code == 1
    assert found in result.stderr


def test_names_are_separated_by_commas() -> None:
    assert split_names(" tiny, vgg16 ,") == ["tiny", "vgg16"]
