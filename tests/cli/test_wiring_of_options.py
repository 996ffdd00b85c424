"""Every option of a command reaches the function that does its work, none by its default in place of what was given."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tlkit.commands.evaluate import EvaluateOptions
from tlkit.commands.precompute import PrecomputeOptions
from tlkit.commands.predict import PredictOptions
from tlkit.data.images import LOADER_VERSION
from tlkit.data.parts import Part
from tlkit.data.views import ViewPlan
from tlkit.devices import ALL
from tlkit.inference.destinations import PredictOutputs
from tlkit.probes.candidates import ComparisonRequest
from tlkit.probes.fleet import Fleet
from tlkit.recipes import FIND, BackboneSettings, DataSettings, HeadSettings, Recipe, Stage, TrainingSettings

RunCli = Callable[..., Any]
Call = Callable[..., tuple[tuple[Any, ...], dict[str, Any]]]

DATA = DataSettings(
    sample=0.5,
    validation_fraction=0.3,
    test_fraction=0.1,
    task="multilabel",
    image_column="file",
    label_column="labels",
    label_separator="|",
    split_column="part",
    strict=True,
)
DATA_WORDS = (
    "--sample 0.5 --validation-fraction 0.3 --test-fraction 0.1 --task multilabel --image-column file --label-column labels "
    "--label-separator | --split-column part --strict"
)
BACKBONE = BackboneSettings("tiny", "random", 64, "crop", "float32", "keras", "float32", 3)
BACKBONE_WORDS = "--image-size 64 --fit crop --feature-dtype float32 --engine keras --precision float32 --devices 3"
NAME_WORDS = "--backbone tiny --weights random"
HEAD = HeadSettings("conv", 0.2, 8, whiten="pca", whiten_floor=0.2)
HEAD_WORDS = "--head conv --dropout 0.2 --units 8 --whiten pca --whiten-floor 0.2"
TRAINING = TrainingSettings(7, 0.01, 0.1, 2.0, "ciou", 3.0, 0.2, "balanced", "affine", "lion")
TRAINING_WORDS = (
    "--seed 7 --weight-decay 0.01 --label-smoothing 0.1 --focal 2 --box-loss ciou --box-weight 3 --class-weight balanced "
    "--bn affine --optimizer lion"
)


@pytest.fixture
def call(run_cli: RunCli, monkeypatch: pytest.MonkeyPatch) -> Call:
    """`call("tlkit.commands.leak.run_leak", "leak …")`: what the function is called with by a command line."""

    def call(function: str, *words: object) -> tuple[tuple[Any, ...], dict[str, Any]]:
        calls = []

        def note(*arguments: Any, **settings: Any) -> dict[str, Any]:
            calls.append((arguments, settings))
            return {}

        monkeypatch.setattr(function, note)
        for module in ("tlkit.recipes.defaults", "tlkit.api.several_devices"):
            monkeypatch.setattr(f"{module}.choose_devices", lambda requested: ())
        result = run_cli(*(part for word in words for part in str(word).split()))
        assert result.exit_code == 0, result.stderr
        ((arguments, settings),) = calls
        return arguments, {
            name: value for name, value in settings.items() if name not in ("console", "stdin", "stdout")
        }

    return call


def test_options_of_predict(call: Call) -> None:
    arguments, settings = call(
        "tlkit.commands.predict.run_predict",
        "predict run a b --out rows.csv --overlay o --sort-into s --top-k 2 --min-probability 0.4 --views 3 --policy crops",
        "--engine keras --precision bfloat16 --batch-size 5 --table t.csv --image-column file --ray auto",
    )
    options = PredictOptions(
        top_k=2,
        min_probability=0.4,
        views=ViewPlan("crops", 3),
        engine="keras",
        precision="bfloat16",
        batch_size=5,
        table=Path("t.csv"),
        image_column="file",
        ray="auto",
    )
    assert arguments == (Path("run"), ("a", "b"), PredictOutputs(Path("rows.csv"), Path("o"), Path("s")), options)
    assert settings == {}


def test_options_of_evaluate(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments, settings = call(
        "tlkit.api.model.run_evaluate",
        "evaluate run data --split train --top-k 2 --out e --image-column file --label-column labels --label-separator |",
        "--split-column part --boxes b.csv --strict --views 3 --policy crops --engine keras --precision bfloat16 --ray local",
    )
    columns = {
        name: getattr(DATA, name) for name in ("image_column", "label_column", "label_separator", "split_column")
    }
    options = EvaluateOptions("train", 2, Path("e"), ViewPlan("crops", 3), "keras", "bfloat16", "local")
    assert arguments == (Path("run"), Path("data"), options)
    monkeypatch.setattr("tlkit.api.model.open_classifier", lambda run, **engine: (run, engine))
    assert settings.pop("open_model")() == (
        Path("run"),
        {"loader_version": LOADER_VERSION, "engine": "keras", "precision": "bfloat16", "devices": 1},
    )
    assert settings == {"settings": DataSettings(**columns, boxes="b.csv", strict=True)}


def test_devices_of_predict_and_evaluate(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments, _ = call("tlkit.commands.predict.run_predict", "predict run a --devices all --out rows.csv")
    assert arguments[3].devices is ALL
    _, settings = call("tlkit.api.model.run_evaluate", "evaluate run --devices 2")
    monkeypatch.setattr("tlkit.api.model.open_classifier", lambda run, **engine: engine["devices"])
    assert settings["open_model"]() == 2


@pytest.mark.parametrize("words", ["predict run a", "evaluate run", "precompute data"])
def test_devices_and_ray_do_not_go_together(run_cli: RunCli, words: str) -> None:
    result = run_cli(*words.split(), "--devices", "2", "--ray", "auto")
    assert result.stderr == (
        "Error: --devices 2 has no effect with --ray: each node has one worker, which computes on one device.\n"
        "  Expected: only one of the two\n"
        "  Fix: leave out --devices, or --ray.\n"
    )


def test_options_of_compare(call: Call) -> None:
    arguments, settings = call(
        "tlkit.commands.compare.run_compare",
        "compare data --backbones tiny,vgg16 --boundaries top,block4 --heads conv,flat --policies crops --views 1,4 --whiten pca",
        f"--out c.png --seed 7 {DATA_WORDS} {BACKBONE_WORDS}",
    )
    assert arguments == (Path("data"),)
    assert settings == {
        "requested": ComparisonRequest(
            ["tiny", "vgg16"], ["top", "block4"], ["conv", "flat"], ["crops"], ["1", "4"], ["pca"]
        ),
        "data_settings": DATA,
        "backbone_settings": dataclasses.replace(BACKBONE, name=BackboneSettings().name, weights=None),
        "seed": 7,
        "out": Path("c.png"),
    }


def test_options_of_leak(call: Call) -> None:
    words = f"leak data --group-by boat --out l.png --seed 7 --metadata hour {DATA_WORDS} {NAME_WORDS} {BACKBONE_WORDS}"
    arguments, settings = call("tlkit.commands.leak.run_leak", words)
    assert arguments == (Path("data"),)
    assert settings == {
        "data_settings": dataclasses.replace(DATA, metadata="hour"),
        "backbone_settings": BACKBONE,
        "group_by": "boat",
        "seed": 7,
        "out": Path("l.png"),
    }


def test_options_of_precompute(call: Call) -> None:
    arguments, settings = call(
        "tlkit.commands.precompute.run_precompute",
        "precompute data --boundary block4 --head conv --views 3 --policy crops --seed 7 --ray local --part 3/8",
        f"{DATA_WORDS} {NAME_WORDS} {BACKBONE_WORDS}",
    )
    options = PrecomputeOptions("block4", HeadSettings(kind="conv"), ViewPlan("crops", 3, 7), "local", Part(3, 8))
    assert arguments == (Path("data"), options)
    assert settings == {"data_settings": DATA, "backbone_settings": BACKBONE}


def test_options_of_plan(call: Call) -> None:
    words = f"plan data --views 3 --policy crops --out p.png --seed 7 {DATA_WORDS} {NAME_WORDS} {BACKBONE_WORDS} {HEAD_WORDS}"
    arguments, settings = call("tlkit.commands.plan.run_plan", words, "--machines 4 --price 0.5")
    assert arguments == (Path("data"),)
    sections = settings.pop("sections")
    kinds = (DataSettings, BackboneSettings, HeadSettings, TrainingSettings)
    made = [kind(**given) for kind, given in zip(kinds, sections.values(), strict=True)]
    assert (list(sections), made) == (
        ["data", "backbone", "head", "training"],
        [DATA, BACKBONE, HEAD, TrainingSettings(seed=7)],
    )
    assert settings == {"views": {"views": 3, "policy": "crops"}, "out": Path("p.png"), "fleet": Fleet(4, 0.5)}


SECTION_WORDS = f"{DATA_WORDS} {NAME_WORDS} {BACKBONE_WORDS} {HEAD_WORDS} {TRAINING_WORDS}"


def check_sections(recipe: Recipe, training: TrainingSettings) -> None:
    assert (recipe.data, recipe.backbone, recipe.head, recipe.training) == (DATA, BACKBONE, HEAD, training)


def test_options_of_lr_find(call: Call) -> None:
    arguments, settings = call(
        "tlkit.commands.lr_find.run_lr_find",
        "lr-find data --unfreeze block4 --batch-size 5 --lr-ratio 3 --group-lr block4=0.1 --views 3 --policy crops",
        f"--resize-to 32 --out l.png {SECTION_WORDS}",
    )
    recipe, *others = arguments
    check_sections(recipe, dataclasses.replace(TRAINING, false_alarms=TrainingSettings().false_alarms))
    assert recipe.stages == (
        Stage(views=3, policy="crops"),
        Stage(
            unfreeze="block4",
            batch_size=5,
            lr=FIND,
            lr_ratio=3.0,
            group_lr={"block4": 0.1},
            views=3,
            policy="crops",
            resize_to=32,
        ),
    )
    assert (others, settings) == ([Path("data")], {"out": Path("l.png"), "start_from": None})


def test_options_of_finetune(call: Call) -> None:
    arguments, settings = call(
        "tlkit.commands.finetune.run_finetune",
        "finetune data --out run --resume --unfreeze all --gradual --epochs 4 --batch-size 5 --lr 0.1 --lr-ratio 3",
        "--group-lr block4=0.1 --views 3 --policy crops --mixup 0.1 --cutmix 0.2 --resize-to 32 --schedule restarts",
        "--warmup 0.5 --cycle-len 2 --cycle-mult 3 --average 2 --patience 6 --false-alarms 0.2",
        SECTION_WORDS,
    )
    recipe, *others = arguments
    check_sections(recipe, TRAINING)
    assert recipe.stages == (
        Stage(
            None, "all", True, 4, 5, 0.1, 3.0, {"block4": 0.1}, 3, "crops", 0.1, 0.2, 32, "restarts", 0.5, 2, 3, 2, 6
        ),
    )
    assert str(recipe.made_by.command).startswith("tlkit finetune data --out run --resume --unfreeze all --gradual ")
    assert (others, settings) == ([Path("data"), Path("run")], {"start_from": None, "resume": True})


def test_options_of_run(call: Call, tmp_path: Path) -> None:
    recipe_file = tmp_path / "recipe.toml"
    recipe_file.write_text("[training]\nseed = 4\nfocal = 1.0\n[[stage]]\nepochs = 3\n")
    arguments, settings = call(
        "tlkit.commands.finetune.run_finetune",
        f"run {recipe_file} data --out run --resume --false-alarms 0.2 {SECTION_WORDS}",
    )
    recipe, *others = arguments
    check_sections(recipe, TRAINING)
    assert recipe.stages == (Stage(epochs=3),)
    assert (others, settings) == ([Path("data"), Path("run")], {"start_from": None, "resume": True})
