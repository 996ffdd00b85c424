"""`tlkit leak` from the words on the command line to what a shell sees."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

RunCli = Callable[..., Any]
SMALLEST = ("--backbone", "mnist_cnn", "--weights", "random", "--image-size", "32")


def draw_catches(root: Path, widths: tuple[int, int]) -> Path:
    """Draw 60 flat pictures, the classes by turns, and a table of them; of 50 or 40 pixels by turns or by chance."""
    rng = np.random.default_rng(0)
    rows = ["path,label,boat,xmin,ymin,xmax,ymax"]
    root.mkdir()
    for number in range(60):
        name = ("carp", "eel")[number % 2]
        colour = tuple(map(int, rng.integers(0, 256, 3)))
        Image.new("RGB", (widths[number % 2] or int(rng.choice([40, 50])), 40), colour).save(root / f"{number:02}.png")
        rows.append(f"{number:02}.png,{name},boat {rng.integers(4)},1,2,3,4")
    (root / "catches.csv").write_text("\n".join(rows) + "\n")
    return root / "catches.csv"


@pytest.fixture(scope="module")
def even(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table about which nothing gives the answer away."""
    return draw_catches(tmp_path_factory.mktemp("drawn") / "even", (0, 0))


@pytest.fixture(scope="module")
def telling(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of pictures whose width tells the class."""
    return draw_catches(tmp_path_factory.mktemp("drawn") / "telling", (40, 50))


def test_what_is_harmless_is_told_without_the_word(
    run_cli: RunCli, even: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("work")
    monkeypatch.chdir(folder)
    result = run_cli("leak", even, *SMALLEST, "--json", "-v")
    assert result.exit_code == 0
    assert "leak" not in (result.stdout + result.stderr).lower()
    payload = result.json()
    assert payload["picture"] == "runs/catches-metadata.png"
    assert [path.name for path in (folder / "runs").iterdir()] == ["catches-metadata.png"]
    assert [column["name"] for column in payload["columns"]][:2] == ["boat", "image-width"]
    assert payload["num_images"] == 60
    assert f"Picture: {payload['picture']}" in result.stderr


def test_what_gives_the_answer_away_is_told_with_the_word(run_cli: RunCli, telling: Path, tmp_path: Path) -> None:
    picture = tmp_path / "new" / "picture.png"
    result = run_cli("leak", telling, *SMALLEST, "--group-by", "boat", "--out", picture)
    assert result.exit_code == 0
    assert re.search(r"image-width +leaks +1\.000 +1\.000 to 1\.000 +1\.000", result.stdout)
    assert re.search(r"boat +harmless", result.stdout)
    assert "Held-out groups: boat" in result.stdout
    with Image.open(picture) as opened:
        assert opened.format == "PNG"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("--group-by", "boot", "--metadata", "image-width"),
            "Error: --group-by boot: no such column.\n"
            "  Expected: one of boat, image-width, image-height, image-aspect, image-bytes, image-shape, image-format, "
            "image-mode, image-camera\n"
            "  Fix: did you mean 'boat'?\n",
        ),
        (
            ("--out", "metadata.pdf"),
            "Error: --out metadata.pdf is not a PNG file.\n"
            "  Expected: a file that ends in .png\n"
            "  Fix: --out metadata.png\n",
        ),
        (
            ("--target", "boat"),
            "Error: settings: target = boat has no effect: the task is classification.\n"
            "  Expected: only settings that this run uses\n"
            "  Fix: remove it, or set task = regression.\n",
        ),
        (
            ("--metadata", "boat:colour"),
            "Error: metadata: 'boat:colour' ends in 'colour'.\n"
            "  Expected: NAME, NAME:number or NAME:category\n"
            '  Fix: correct or remove the kind; a name with a colon needs double quotes: "boat:colour"\n',
        ),
    ],
)
def test_what_cannot_be_judged_is_refused_before_tensorflow_is_loaded(
    run_cli: RunCli, even: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], message: str
) -> None:
    monkeypatch.setattr("tlkit.commands.leak.open_trunk", lambda *words: pytest.fail("TensorFlow was started"))
    result = run_cli("leak", even, *SMALLEST, *words)
    assert (result.exit_code, result.stderr) == (1, message)


def test_leak_learns_no_boxes(run_cli: RunCli, even: Path) -> None:
    result = run_cli("leak", even, "--boxes", even)
    assert result.exit_code == 2
    assert "No such option '--boxes'" in result.stderr


def test_the_help_has_an_example(run_cli: RunCli) -> None:
    assert "Example: tlkit leak photos.csv --group-by patient --out metadata.png" in run_cli("leak", "--help").stdout
