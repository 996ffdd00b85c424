"""`tlkit predict --watch`: a folder is predicted as files arrive, and a second process goes on where the first ended."""

from __future__ import annotations

import csv
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.data.test_hot_folder import age
from tests.serving.conftest import SPEC, ColourModel, encode_image
from tlkit.commands import predict as command
from tlkit.data import hot_folder
from tlkit.data.hot_folder import HotFolder

RunCli = Callable[..., Any]


@pytest.fixture
def arrive(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`arrive(step, …)`: run the steps one by one while the command waits, then press Ctrl-C."""
    monkeypatch.setattr(command, "read_spec", lambda *_, **__: SPEC)
    monkeypatch.setattr(command, "open_classifier", lambda *_, **__: ColourModel())

    def plan(*steps: Callable[[], object]) -> None:
        waiting: Iterator[Callable[[], object]] = iter(steps)

        def wait(seconds: float) -> None:
            step = next(waiting, None)
            if step is None:
                raise KeyboardInterrupt
            step()

        monkeypatch.setattr(command, "HotFolder", functools.partial(HotFolder, wait=wait))

    return plan


def put(folder: Path, name: str, content: bytes) -> Path:
    """Move a whole file into a folder."""
    path = folder / name
    path.write_bytes(content)
    return age(path)


def read_rows(path: Path) -> list[tuple[str, str, str]]:
    """Return name, class and error of each row."""
    with path.open(newline="", encoding="utf-8") as file:
        return [(Path(row["path"]).name, row["class_name"], row["error"]) for row in csv.DictReader(file)]


def test_files_are_predicted_as_they_arrive_and_never_twice(
    arrive: Callable[..., None], run_cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hot_folder, "PATIENCE_SECONDS", 0.0)
    folder, out = tmp_path / "hot", tmp_path / "rows.csv"
    folder.mkdir()
    put(folder, "first.png", encode_image("red"))
    arrive(
        lambda: put(folder, "broken.png", b"no image"),
        lambda: put(folder, "second.png", encode_image("blue")),
    )
    result = run_cli("predict", "run", "--watch", folder, "--out", out)
    assert result.exit_code == 0
    first = [("first.png", "red", ""), ("broken.png", "", "not an image"), ("second.png", "blue", "")]
    assert read_rows(out) == first
    assert f"Watching {folder} until Ctrl-C." in result.stdout
    assert "1 of 3 files could not be read; the rows say why." in result.stderr

    arrive(lambda: put(folder, "third.png", encode_image("green")))
    result = run_cli("predict", "run", "--watch", folder, "--out", out, "--json")
    assert result.json()["images"] == 1
    assert read_rows(out) == [*first, ("third.png", "green", "")]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--watch", "FOLDER"], "--watch FOLDER: there is no --out."),
        (["FOLDER", "--watch", "FOLDER", "--out", "rows.csv"], "--watch FOLDER: there are other sources, such as FOLDER."),
        (["--watch", "FOLDER/none", "--out", "rows.csv"], "--watch FOLDER/none: no such folder."),
        (["--watch", "FOLDER", "--out", "rows.parquet"], "--out rows.parquet: a file of this format cannot grow."),
    ],
)  # fmt: skip
def test_what_does_not_go_with_watching_is_refused_before_the_model_is_opened(
    arrive: Callable[..., None],
    run_cli: RunCli,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    found: str,
) -> None:
    arrive()
    monkeypatch.setattr(command, "open_classifier", lambda *_, **__: pytest.fail("opened"))
    result = run_cli("predict", "run", *(word.replace("FOLDER", str(tmp_path)) for word in words))
    assert result.exit_code == 1
    assert result.stderr.splitlines()[0] == f"Error: {found.replace('FOLDER', str(tmp_path))}"
