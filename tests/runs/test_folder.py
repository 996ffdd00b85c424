"""A run's folder: one process at a time, nothing trained is overwritten, and a start that fails is in nobody's way."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.injector import try_every_fault
from tlkit.data.sources import OUTPUT_MARKER
from tlkit.errors import RunError
from tlkit.recipes import Recipe, Stage, resolve_recipe, write_recipe
from tlkit.runs.folder import describe_unfinished, open_run_folder

RECIPE = resolve_recipe(Recipe(stages=(Stage(lr=0.01),)))


def begin(out: Path, *, recipe: Recipe = RECIPE, resume: bool = False, fails: bool = False) -> list[str]:
    """Open a run's folder, write what says that it has begun, and return what was there at first."""
    with open_run_folder(out, recipe, out.parent / "photos.csv", resume=resume) as folder:
        there = sorted(path.name for path in out.iterdir())
        if fails:
            raise ZeroDivisionError
        write_recipe(recipe, folder.recipe)
        return there


def refuse(out: Path, *, recipe: Recipe = RECIPE, resume: bool = False) -> str:
    with pytest.raises(RunError) as problem, open_run_folder(out, recipe, out.parent / "photos.csv", resume=resume):
        pass
    return str(problem.value)


def train(out: Path) -> None:
    """Leave what a stage leaves."""
    (out / "state").mkdir()
    (out / "state" / "stage-1.safetensors").write_bytes(b"state")


def test_a_run_begins_whatever_happened_to_the_disk_during_an_earlier_start(tmp_path: Path) -> None:
    runs, complaints = try_every_fault("tests.faults.scenarios.run_start", tmp_path / "disk")
    assert complaints == []
    assert runs > 100


def test_two_runs_in_one_folder_are_refused_at_once(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with open_run_folder(out, RECIPE, tmp_path / "photos.csv", resume=False):
        for resume in (False, True):
            assert refuse(out, resume=resume) == (
                f"{out}: another tlkit process is using this folder.\n"
                "  Expected: one process in a folder at a time\n"
                "  Fix: wait for it to finish, or use another folder."
            )
    begin(out)


@pytest.mark.parametrize("resume", [False, True])
def test_a_start_that_fails_leaves_nothing(tmp_path: Path, resume: bool) -> None:
    with pytest.raises(ZeroDivisionError):
        begin(tmp_path / "runs" / "first", fails=True, resume=resume)
    assert list((tmp_path / "runs").iterdir()) == []


def test_what_was_begun_and_not_trained_is_begun_anew_or_resumed(tmp_path: Path) -> None:
    begin(tmp_path / "run")
    (tmp_path / "run" / "views.png").touch()
    (tmp_path / "run" / "notes.txt").touch()
    there = [".lock", OUTPUT_MARKER, "notes.txt"]
    assert begin(tmp_path / "run", resume=True) == sorted([*there, "recipe.toml", "views.png"])
    assert begin(tmp_path / "run") == there


def test_a_failure_after_training_keeps_the_run(tmp_path: Path) -> None:
    out = tmp_path / "run"
    begin(out)
    train(out)
    with pytest.raises(ZeroDivisionError):
        begin(out, resume=True, fails=True)
    assert (out / "state" / "stage-1.safetensors").is_file()
    assert "recipe.toml" in begin(out, resume=True)


def test_what_was_trained_is_never_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "run"
    begin(out)
    train(out)
    assert refuse(out) == (
        f"--out {out} already contains an interrupted run.\n"
        "  Expected: a new folder, so that no earlier run is overwritten\n"
        "  Fix: use another --out, or add --resume to continue it."
    )
    (out / "summary.json").write_text("{}")
    assert refuse(out) == (
        f"--out {out} already contains a run.\n"
        "  Expected: a new folder, so that no earlier run is overwritten\n"
        "  Fix: use another --out."
    )


def test_a_folder_of_the_users_own_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    write_recipe(RECIPE, out / "recipe.toml")
    assert refuse(out) == (
        f"--out {out} already exists.\n"
        "  Expected: a new folder, so that nothing is overwritten\n"
        "  Fix: use another --out."
    )
    assert refuse(out, resume=True) == (
        f"--resume: {out} does not contain a run.\n"
        "  Expected: the folder of an interrupted run\n"
        "  Fix: set --out to the run's folder, or remove --resume to start a new run."
    )
    assert [path.name for path in out.iterdir()] == ["recipe.toml"]


def test_a_run_is_resumed_with_its_own_settings_only(tmp_path: Path) -> None:
    out = tmp_path / "run"
    begin(out)
    other = resolve_recipe(Recipe(stages=(Stage(lr=0.5),)))
    assert refuse(out, recipe=other, resume=True) == (
        f"--resume: {out} was started with other settings: stage 1.lr: 0.01 → 0.5.\n"
        "  Expected: the original settings, so that the result is the same as without interruption\n"
        "  Fix: use the same options, or start a new run with another --out."
    )
    train(out)
    (out / "recipe.toml").unlink()
    assert refuse(out, resume=True) == (
        f"--resume: {out} has a model but no recipe.toml.\n"
        "  Expected: the recipe.toml that the run wrote\n"
        "  Fix: restore the file, or start a new run with another --out."
    )


def test_a_model_of_a_run_that_has_not_finished_is_called_so(tmp_path: Path) -> None:
    out = tmp_path / "run"
    begin(out)
    notice = (
        f"{out} is unfinished: its model is that of the last finished stage, its probabilities are not calibrated, "
        "and it flags nothing as unknown."
    )
    assert describe_unfinished(out) == describe_unfinished(out / "bundle") == notice
    (out / "summary.json").write_text("{}")
    assert describe_unfinished(out) is None
    assert describe_unfinished(tmp_path / "bundle") is None
