from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from tlkit.audit import applying
from tlkit.audit.applying import Step, carry_out, plan_steps, read_journal, undo_steps
from tlkit.audit.moves import Move
from tlkit.errors import DataError, RunError


def no_advance(count: int) -> None:
    pass


def make_file(path: Path, content: str = "") -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content or path.name)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def list_files(root: Path) -> dict[str, str]:
    return {path.relative_to(root).as_posix(): path.read_text() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    for name in ("train/cat/1.png", "train/cat/2.png", "train/cat/3.png", "train/dog/1.png"):
        make_file(root / name, name)
    return root


def make_moves(data: Path) -> list[Move]:
    def make(name: str, action: str, to: str) -> Move:
        return Move(name, action, "cat", to, hashlib.sha256(name.encode()).hexdigest())

    return [
        make("train/cat/1.png", "move", "dog"),
        make("train/cat/2.png", "move", "dog"),
        make("train/cat/3.png", "remove", ""),
    ]


def plan(data: Path, moves: list[Move], done: list[Step] | None = None) -> list[Step]:
    return plan_steps(moves, data, data.with_name("removed"), done or [])


def test_files_move_without_replacing_any_and_move_back(data: Path, tmp_path: Path) -> None:
    before, journal = list_files(tmp_path), tmp_path / "journal"
    carry_out(plan(data, make_moves(data)), journal, no_advance)
    content = journal.read_text()
    journal.unlink()
    assert list_files(tmp_path) == {
        "photos/train/dog/1.png": "train/dog/1.png",
        "photos/train/dog/1-2.png": "train/cat/1.png",
        "photos/train/dog/2.png": "train/cat/2.png",
        "removed/train/cat/3.png": "train/cat/3.png",
    }
    journal.write_text(content)
    assert undo_steps(read_journal(journal), data, no_advance) == 3
    journal.unlink()
    assert list_files(tmp_path) == before


@pytest.mark.parametrize("goes_on", [False, True])
@pytest.mark.parametrize("place", ["before the link", "between link and unlink"])
def test_after_an_interruption_the_same_moves_go_on_or_back(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, goes_on: bool
) -> None:
    before, journal = list_files(data), tmp_path / "journal"
    calls = []

    def interrupt(source: Path, target: Path) -> None:
        calls.append(source)
        if len(calls) == 2:
            if place != "before the link":
                os.link(source, target)
            raise KeyboardInterrupt
        target.parent.mkdir(parents=True, exist_ok=True)
        source.rename(target)

    with monkeypatch.context() as patch:
        patch.setattr(applying, "_move", interrupt)
        with pytest.raises(KeyboardInterrupt):
            carry_out(plan(data, make_moves(data)), journal, no_advance)
    with journal.open("a") as file:
        file.write('["/cut off')
    if goes_on:
        carry_out(plan(data, make_moves(data), read_journal(journal)), journal, no_advance)
        assert sorted(list_files(data)) == ["train/dog/1-2.png", "train/dog/1.png", "train/dog/2.png"]
        undo_steps(read_journal(journal), data, no_advance)
        assert list_files(data) == before
        return
    assert undo_steps(read_journal(journal), data, no_advance) == (1 if place == "before the link" else 2)
    assert list_files(data) == before


def test_what_has_moved_already_is_left_out(data: Path, tmp_path: Path) -> None:
    moves, journal = make_moves(data), tmp_path / "journal"
    carry_out(plan(data, moves[:1]), journal, no_advance)
    rest = plan(data, moves, read_journal(journal))
    assert [step.source.name for step in rest] == ["2.png", "3.png"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../x.png", "../x.png is not a path inside the data folder."),
        ("/x.png", "/x.png is not a path inside the data folder."),
        ("train/cat/9.png", "train/cat/9.png is missing in {root}."),
        ("train/cat/link.png", "train/cat/link.png is a link in {root}."),
        ("out/cat/x.png", "out/cat/x.png leads out of the data folder in {root}."),
        ("train/cat/2.png", "train/cat/2.png has changed since it was audited."),
        ("train/dog/1.png", "train/dog/1.png is in the folder of dog already."),
        ("loose.png", "loose.png does not lie in a folder of its class cat."),
        ("away/cat/5.png", "away/cat/5.png: the class dog has no folder in {root}/away."),
    ],
)
def test_what_is_not_a_file_of_the_data_stops_everything(data: Path, tmp_path: Path, name: str, message: str) -> None:
    (data / "train/cat/link.png").symlink_to(data / "train/cat/1.png")
    outside = tmp_path / "outside"
    make_file(outside / "cat/x.png", "out/cat/x.png")
    (data / "out").symlink_to(outside)
    make_file(data / "loose.png", "loose.png")
    make_file(data / "away/cat/5.png", "away/cat/5.png")
    (data / "away/dog").symlink_to(outside)
    sha256 = "ff" if name.endswith("2.png") else hashlib.sha256(name.encode()).hexdigest()
    with pytest.raises(DataError) as error:
        plan(data, [Move(name, "move", "dog" if "/dog/" in name else "cat", "dog", sha256)])
    assert error.value.found == message.format(root=data.resolve())


def test_a_class_without_a_folder_names_the_nearest(data: Path) -> None:
    sha256 = hashlib.sha256(b"train/cat/1.png").hexdigest()
    with pytest.raises(DataError) as error:
        plan(data, [Move("train/cat/1.png", "move", "cat", "dgo", sha256)])
    assert str(error.value) == (
        f"train/cat/1.png: the class dgo has no folder in {data.resolve() / 'train'}.\n"
        "  Expected: one of cat, dog\n  Fix: did you mean 'dog'?"
    )


def test_undo_refuses_a_file_that_has_changed_and_a_place_that_is_taken(data: Path, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    (step, *_) = plan(data, make_moves(data)[1:2])
    carry_out([step], journal, no_advance)
    step.source.write_text("new")
    with pytest.raises(RunError) as error:
        undo_steps(read_journal(journal), data, no_advance)
    assert error.value.found == f"{step.source} exists, so {step.target} cannot move back."
    step.source.unlink()
    step.target.write_text("new")
    with pytest.raises(RunError) as error:
        undo_steps(read_journal(journal), data, no_advance)
    assert error.value.found == f"{step.target} has changed since it was moved."


def test_undo_names_a_file_that_is_gone(data: Path, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    first, second, _ = plan(data, make_moves(data))
    carry_out([first, second], journal, no_advance)
    second.target.unlink()
    with pytest.raises(RunError) as error:
        undo_steps(read_journal(journal), data, no_advance)
    assert error.value.found == f"{second.target} is gone, so it cannot move back to {second.source}."
    assert first.target.exists()


def test_undo_keeps_a_file_whose_old_place_has_a_link_to_it(data: Path, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    (step, *_) = plan(data, make_moves(data)[1:2])
    carry_out([step], journal, no_advance)
    step.source.symlink_to(step.target)
    with pytest.raises(RunError) as error:
        undo_steps(read_journal(journal), data, no_advance)
    assert error.value.found == f"{step.source} exists, so {step.target} cannot move back."
    assert step.target.read_text() == "train/cat/2.png"


def test_a_target_that_has_appeared_since_is_not_replaced(data: Path, tmp_path: Path) -> None:
    (step, *_) = plan(data, make_moves(data)[1:2])
    step.target.write_text("new")
    with pytest.raises(RunError) as error:
        carry_out([step], tmp_path / "journal", no_advance)
    assert error.value.found == f"{step.source} cannot be moved to {step.target} (File exists)."
    assert step.target.read_text() == "new"
    assert step.source.exists()


def test_a_damaged_journal_is_named(tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("[1]\n")
    with pytest.raises(RunError) as error:
        read_journal(tmp_path / "journal")
    assert str(error.value).endswith("Fix: restore it; each of its lines says from where to where a file was moved.")
