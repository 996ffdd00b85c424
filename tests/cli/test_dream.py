"""`tlkit dream` from the words on the command line to the page and the pictures."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.origin import read_origin
from tlkit.data.manifest import ImageRecord, Manifest, write_manifest
from tlkit.dreaming import attacks
from tlkit.files import read_json

RunCli = Callable[..., Any]

pytestmark = pytest.mark.usefixtures("bundles_are_read_once", "untraced")


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attacks, "NUM_STEPS", 2)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, make_bundle: Callable[..., Path]) -> Path:
    """A model with random weights."""
    return make_bundle(tmp_path_factory.mktemp("model") / "bundle", ("cat", "dog"))


@pytest.fixture
def photos(tmp_path: Path, make_image_folder: Callable[..., Path]) -> Path:
    return make_image_folder(tmp_path / "photos", {"red": 1, "blue": 1})


def test_a_class_is_painted_and_the_page_says_where_it_comes_from(
    run_cli: RunCli, bundle: Path, tmp_path: Path
) -> None:
    out = tmp_path / "dreams"
    result = run_cli("dream", bundle, "--class", "cat", "--class", "dog", "--steps", 2, "--out", out, "--json")
    payload = result.json()
    assert payload["kind"] == "class"
    assert [Path(each["path"]).name for each in payload["pictures"]] == ["class-cat.png", "class-dog.png"]
    assert [len(each["losses"]) for each in payload["pictures"]] == [2, 2]
    with Image.open(out / "class-cat.png") as first, Image.open(out / "class-dog.png") as second:
        assert first.size == (64, 64)
        assert np.any(np.asarray(first) != np.asarray(second))
    assert "Class cat" in (out / "dreams.html").read_text("utf-8")
    assert read_origin(out / "dreams.html")["data"] == str(bundle)


def test_a_backbone_dreams_on_a_picture(run_cli: RunCli, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "dreams"
    words = ("dream", "mnist_cnn", photos / "red" / "red_000.png", "--amplify", "conv1", "--size", 32, "--steps", 1)
    result = run_cli(*words, "--out", out)
    assert result.exit_code == 0
    assert (out / "red_000-amplified-conv1.png").is_file()
    assert read_origin(out / "dreams.html")["backbone"] == "mnist_cnn, random weights"


def test_pictures_are_taken_for_another_class_by_the_saved_file(
    run_cli: RunCli, bundle: Path, photos: Path, tmp_path: Path
) -> None:
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    result = run_cli("dream", bundle, photos, "--fool", "cat", "--out", tmp_path / "fooled", "--json")
    payload = result.json()
    assert payload["target"] == "cat"
    assert "Warning: " in result.stderr
    rows = {Path(row["path"]).name: row for row in payload["pictures"]}
    assert rows["broken.jpg"]["error"]
    changed = [row["changed"] for row in payload["pictures"] if row["changed"]]
    assert len(changed) == payload["fooled"]
    if changed:
        predicted = run_cli("predict", bundle, *changed, "--json").json()["predictions"]
        assert {row["classes"][0]["class_name"] for row in predicted} == {"cat"}


def test_the_report_attacks_what_the_run_held_out(run_cli: RunCli, bundle: Path, photos: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(bundle, run / "bundle")
    records = [
        ImageRecord(path, sha256(path.read_bytes()).hexdigest(), 40, 32, "test", name)
        for name, path in (("cat", photos / "red" / "red_000.png"), ("dog", photos / "blue" / "blue_000.png"))
    ]
    write_manifest(Manifest(photos, ("cat", "dog"), tuple(records)), run)
    out = tmp_path / "robustness"
    result = run_cli("dream", run, "--report", "--out", out, "--json")
    payload = result.json()
    assert payload["images"] == 2
    assert len(payload["changes"]) == 12
    assert "Images: 2 of 2, the run's own test split." in result.stderr
    assert (out / "robustness.png").is_file()
    assert "Robustness" in (out / "dreams.html").read_text("utf-8")
    assert read_json(run / "bundle" / "bundle.json")["class_names"] == ["cat", "dog"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nothing", "--channel", "conv1:0"), "Error: nothing: neither a run nor a backbone."),
        (("mnist_cnn", "--channel", "conv7:0"), "Error: mnist_cnn has no boundary 'conv7'."),
        (("mnist_cnn", "-", "--texture"), "Error: -: paths on standard input are not read."),
        (("mnist_cnn", "--report"), "Error: --report: mnist_cnn is a backbone alone, which has no classes."),
    ],
)
def test_bad_wishes_are_refused_before_anything_is_written(
    run_cli: RunCli, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    result = run_cli("dream", *words, "--out", tmp_path / "dreams")
    assert result.exit_code == 1
    assert result.stderr.startswith(message)
    assert not (tmp_path / "dreams").exists()


def test_an_unknown_class_is_refused_with_the_known_ones(run_cli: RunCli, bundle: Path, tmp_path: Path) -> None:
    result = run_cli("dream", bundle, "--class", "cart", "--out", tmp_path / "dreams")
    assert result.stderr == (
        "Error: --class cart: the model has no such class.\n  Expected: one of cat, dog\n  Fix: did you mean 'cat'?\n"
    )
