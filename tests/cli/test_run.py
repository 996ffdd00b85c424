"""`tlkit run`, and every recipe that ships."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tlkit.backbones.catalogue import find_backbone
from tlkit.errors import SettingError
from tlkit.outputs import DETECTION, SEGMENTATION
from tlkit.recipes import (
    HeadSettings,
    Recipe,
    ResolvedStage,
    Stage,
    expand_gradual,
    read_given_recipe,
    read_recipe,
    resolve_stages,
    write_recipe,
)

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.toml"))
SMALLEST = ("--backbone", "mnist_cnn", "--weights", "random", "--image-size", "32")


@pytest.fixture
def photos(tmp_path: Path, make_image_folder: Callable[..., Path]) -> Path:
    """Two classes, not split yet, and a table of boxes and a folder of masks beside them."""
    folder = make_image_folder(tmp_path / "photos", {"red": 8, "striped": 8})
    rows = [f"{path.relative_to(folder)},4,4,30,20" for path in sorted(folder.rglob("*.png"))]
    for path in sorted(folder.rglob("*.png")):
        with Image.open(path) as picture:
            mask = Image.new("L", picture.size)
        mask.paste(1 + (path.parent.name == "red"), (4, 4, 30, 20))
        target = tmp_path / "masks" / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        mask.save(target)
    (folder / "photos.csv").write_text("\n".join(["path,xmin,ymin,xmax,ymax", *rows]) + "\n", encoding="utf-8")
    return folder


@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_that_ships_runs_whole(
    path: Path, photos: Path, tmp_path: Path, run_cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the smallest backbone, its layer groups in the place of the recipe's own, no wider head than the default, few epochs."""
    recipe = read_recipe(path)
    monkeypatch.setattr("tlkit.training.rate_finder.NUM_STEPS", 12)
    monkeypatch.setattr("tlkit.training.stage_inputs.count_passes", lambda *_: 1)
    stages = [
        dataclasses.replace(_shorten(stage), unfreeze=_translate(stage.unfreeze, recipe))
        for stage in resolve_stages(recipe)
    ]
    head = dataclasses.replace(recipe.head, units=min(recipe.head.units, HeadSettings().units))
    recipe = dataclasses.replace(recipe, stages=tuple(stages), head=head)
    short = tmp_path / path.name
    write_recipe(recipe, short)
    places = {DETECTION: ("--boxes", photos / "photos.csv"), SEGMENTATION: ("--masks", tmp_path / "masks")}
    annotations = places.get(recipe.data.task, ())
    result = run_cli("run", short, photos, *SMALLEST, *annotations, "--out", tmp_path / "run", "--json")
    assert result.exit_code == 0, result.stderr
    expected = expand_gradual(recipe, find_backbone(SMALLEST[1]).groups).stages
    assert [stage["stage"] for stage in result.json()["validation"]] == [stage.name for stage in expected]


def _shorten(stage: ResolvedStage) -> ResolvedStage:
    epochs = stage.cycle_len if stage.schedule == "restarts" else 2
    return dataclasses.replace(stage, epochs=min(stage.epochs, epochs))


def _translate(group: str, recipe: Recipe) -> str:
    """Return the layer group of the smallest backbone that is as far from its top, or its lowest one."""
    theirs, ours = (find_backbone(name).groups for name in (recipe.backbone.name, SMALLEST[1]))
    if group not in theirs:
        return group
    return ours[max(0, len(ours) - len(theirs) + theirs.index(group))]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_that_ships_gives_its_own_command(path: Path) -> None:
    header = path.read_text(encoding="utf-8").split("\n[", maxsplit=1)[0]
    assert f"tlkit run recipes/{path.name} " in header
    assert "Measured" in header


@pytest.mark.usefixtures("untraced")
def test_an_option_replaces_the_recipe_s_setting(photos: Path, tmp_path: Path, run_cli: Callable[..., Any]) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('[backbone]\nname = "vgg16"\n[training]\nseed = 4\n[[stage]]\nepochs = 1\n', encoding="utf-8")
    out = tmp_path / "run"
    assert run_cli("run", recipe, photos, *SMALLEST, "--out", out, "-q").exit_code == 0
    ran = read_recipe(out / "recipe.toml")
    assert (ran.backbone.name, ran.backbone.image_size, ran.training.seed) == ("mnist_cnn", 32, 4)
    assert ran.stages == (Stage(name="1-head", epochs=1, batch_size=64, lr=1e-3, lr_ratio=1.0, patience=8),)


def test_a_setting_of_the_recipe_may_need_an_option(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('[training]\nbox_loss = "huber"\n[[stage]]\n', encoding="utf-8")
    with pytest.raises(SettingError, match="box_loss = huber has no effect: there are no boxes"):
        read_given_recipe(recipe)
    given = read_given_recipe(recipe, is_whole=False)
    assert given.sections == {"training": {"box_loss": "huber"}}
    recipe.write_text("data = 3\n[[stage]]\n", encoding="utf-8")
    with pytest.raises(SettingError, match="data"):
        read_given_recipe(recipe, is_whole=False)


def test_a_recipe_with_an_unknown_key_is_refused(photos: Path, tmp_path: Path, run_cli: Callable[..., Any]) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text("[[stage]]\nepoch = 1\n", encoding="utf-8")
    result = run_cli("run", recipe, photos)
    assert (result.exit_code, result.stderr.splitlines()) == (
        1,
        [
            f"Error: {recipe}: [[stage]] 1: unknown key 'epoch'.",
            "  Expected: one of name, unfreeze, gradual, epochs, batch_size, lr, lr_ratio, group_lr, views, policy, mixup, cutmix, resize_to, schedule, warmup, cycle_len, cycle_mult, average, patience",
            "  Fix: did you mean 'epochs'?",
        ],
    )
