"""`tlkit explain` from the words on the command line to the page and the pictures."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.origin import read_origin

RunCli = Callable[..., Any]

pytestmark = pytest.mark.usefixtures("bundles_are_read_once", "untraced")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, make_bundle: Callable[..., Path]) -> Path:
    """A model with random weights."""
    return make_bundle(tmp_path_factory.mktemp("model") / "bundle", ("cat", "dog"), backbone="tiny")


@pytest.fixture
def photos(tmp_path: Path, make_image_folder: Callable[..., Path]) -> Path:
    root = make_image_folder(tmp_path / "photos", {"striped red": 2})
    (root / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    return root


def test_explain_writes_a_page_and_a_picture_of_each_map(
    run_cli: RunCli, bundle: Path, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "explanations"
    result = run_cli("explain", bundle, photos, "--out", out, "--json")
    payload = result.json()
    assert result.exit_code == 0
    assert (payload["images"], payload["errors"], payload["maps"], payload["left_out"]) == (3, 1, 2, 0)
    assert "Warning: 1 of 3 photos could not be read; the page says why." in result.stderr
    assert "is a bundle without its run, so the nearest training photos are not known." in result.stderr
    page = (out / "explanations.html").read_text("utf-8")
    assert "striped red_000.png" in page
    assert "broken.jpg" in page
    origin = read_origin(out / "explanations.html")
    assert ", ".join(origin) == "data, backbone, boundary, command, date, versions, method, map"
    assert origin["command"] == f"tlkit explain {bundle} {photos} --out {out} --json"
    assert (origin["data"], origin["method"], origin["map"]) == (str(photos), "auto", "at top")
    for photo in payload["photos"]:
        for explanation in photo["explanations"]:
            with Image.open(explanation["map"]) as picture:
                assert picture.width > picture.height
            assert explanation["gain"] == pytest.approx(
                explanation["deletion_by_guess"] - explanation["deletion"], abs=2e-4
            )


def test_the_page_names_a_few_of_many_files() -> None:
    from tlkit.commands.explain import _name_sources

    assert _name_sources([]) == "the run's own images"
    assert _name_sources(["a.png", "b.png", "c.png"]) == "a.png, b.png, c.png"
    assert _name_sources(["a.png", "b.png", "c.png", "d.png", "e.png"]) == "a.png, b.png, c.png and 2 more"


def test_a_class_is_explained_by_name_and_the_rest_is_counted(
    run_cli: RunCli, bundle: Path, photos: Path, tmp_path: Path
) -> None:
    words = ("--class", "dog", "--method", "occlusion", "--boundary", "block3", "--number", 1)
    result = run_cli("explain", bundle, photos / "striped red", "--out", tmp_path / "out", *words)
    assert result.exit_code == 0
    assert "1 more photos are not explained; --number sets how many are." in result.stdout
    assert [path.name for path in (tmp_path / "out" / "maps").iterdir()] == ["striped red_000-dog.png"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("--class", "dgo"),
            "Error: --class dgo: the model has no such class.\n  Expected: one of cat, dog\n  Fix: did you mean 'dog'?",
        ),
        (("--method", "gradcan"), "Error: --method gradcan: there is no such method."),
        (
            ("--method", "saliency", "--boundary", "block2"),
            "Error: --boundary block2 has no effect: --method saliency starts from the pixels.\n"
            "  Expected: --boundary only with auto, exact, gradcam, hirescam, occlusion, rise\n"
            "  Fix: leave out --boundary.",
        ),
        (
            ("--boundary", "pixels"),
            "Error: --boundary pixels has no feature map.\n  Expected: one of stem, block1, block2, block3, top\n"
            "  Fix: choose a method that starts from the pixels, such as --method pixel-occlusion.",
        ),
    ],
)
def test_what_cannot_be_explained_is_refused_before_anything_is_written(
    run_cli: RunCli, bundle: Path, photos: Path, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    result = run_cli("explain", bundle, photos, "--out", tmp_path / "out", *words)
    assert result.exit_code == 1
    assert result.stderr.startswith(message)
    assert not (tmp_path / "out").exists()


def test_an_output_folder_inside_the_photos_is_refused(run_cli: RunCli, bundle: Path, photos: Path) -> None:
    result = run_cli("explain", bundle, photos, "--out", photos / "out")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: --out {photos / 'out'} is inside the data folder {photos}.")


def test_filters_are_shown_without_photos(run_cli: RunCli, bundle: Path, tmp_path: Path) -> None:
    payload = run_cli("explain", bundle, "--filters", "--out", tmp_path / "out", "--json").json()
    assert payload["images"] == 0
    assert "Filters of the first layer" in payload_page(payload)
    with Image.open(tmp_path / "out" / "filters.png") as picture:
        assert picture.mode == "RGB"


def payload_page(payload: dict[str, Any]) -> str:
    """Return the text of the page that a result names."""
    return Path(payload["page"]).read_text("utf-8")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "Error: There is nothing to explain.\n  Expected: photos, --filters or --channels\n"),
        (("--channels", "3,x"), "Error: --channels 3,x: not a list of channels.\n"),
        (("-",), "Error: -: paths on standard input are not read.\n"),
    ],
)
def test_what_is_not_asked_for_properly_is_refused(
    run_cli: RunCli, bundle: Path, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    result = run_cli("explain", bundle, *words, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert result.stderr.startswith(message)


def test_channels_need_the_training_photos_of_a_run(run_cli: RunCli, bundle: Path, tmp_path: Path) -> None:
    result = run_cli("explain", bundle, "--channels", "0", "--out", tmp_path / "out")
    assert result.stderr.startswith(
        f"Error: --channels: {bundle} is a bundle without its run, so its training photos are not known.\n"
    )


def test_a_run_shows_its_nearest_training_photos_and_the_patches_of_channels(
    run_cli: RunCli, tmp_path: Path, make_image_folder: Callable[..., Path]
) -> None:
    data = make_image_folder(tmp_path / "data", {"red": 8, "striped blue": 8})
    words = ("--backbone", "mnist_cnn", "--image-size", 32, "--head", "conv", "--epochs", 1, "--views", 1)
    run = tmp_path / "run"
    assert run_cli("finetune", data, "--out", run, *words).exit_code == 0
    out = tmp_path / "out"
    photo = data / "red" / "red_000.png"
    payload = run_cli("explain", run, photo, "--out", out, "--channels", "1", "--neighbours", 2, "--json").json()
    (shown,) = payload["photos"]
    assert len(shown["nearest"]) == 2
    assert shown["nearest"][0]["answer"] == "red"
    assert "Channel 1 at top" in payload_page(payload)
    result = run_cli("explain", run, "--out", out, "--channels", "99")
    assert result.stderr.startswith("Error: --channels 99: the map at top has 64 channels.\n")


def test_a_scan_shows_a_class_over_a_large_picture_from_windows_or_in_one_pass(
    run_cli: RunCli, make_bundle: Callable[..., Path], make_image: Callable[..., Image.Image], tmp_path: Path
) -> None:
    bundle = make_bundle(tmp_path / "bundle", ("cat", "dog"))
    make_image("striped red", 0, (100, 80)).save(tmp_path / "large.png")
    words = ("explain", bundle, tmp_path / "large.png", "--scan", "--class", "dog", "--json")
    cut = run_cli(*words, "--step", 4, "--out", tmp_path / "cut").json()
    whole = run_cli(*words, "--one-pass", "--out", tmp_path / "whole").json()
    assert (cut["in_one_pass"], whole["in_one_pass"], whole["is_exact"]) == (False, True, True)
    places = [(each["pictures"][0]["rows"], each["pictures"][0]["columns"]) for each in (cut, whole)]
    assert places == [(5, 10), (5, 10)]
    compared = whole["pictures"][0]["compared"]
    assert (compared["windows"], compared["same"]) == (50, 1.0)
    assert compared["mean_difference"] < 1e-5
    for payload in (cut, whole):
        with Image.open(payload["pictures"][0]["overlay"]) as overlay:
            assert overlay.width == 320


def test_one_pass_says_how_far_it_is_from_windows(run_cli: RunCli, bundle: Path, photos: Path, tmp_path: Path) -> None:
    result = run_cli(
        "explain",
        bundle,
        photos / "striped red" / "striped red_000.png",
        "--scan",
        "--one-pass",
        "--window",
        16,
        "--out",
        tmp_path / "scans",
    )
    assert result.exit_code == 0
    assert re.search(
        r"Warning: one pass is not the model's answer to each window: of \d+ windows that were cut out, \d+% have the same "
        r"answer, and the largest difference of a probability is 0\.\d\d on average\. Without --one-pass, all windows are cut",
        result.stderr,
    )


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("--scan --method rise", "--method has no effect with --scan."),
        ("--one-pass", "--one-pass has no effect without --scan."),
    ],
)
def test_options_of_scans_and_of_explanations_are_kept_apart(
    run_cli: RunCli, bundle: Path, photos: Path, tmp_path: Path, words: str, found: str
) -> None:
    result = run_cli("explain", bundle, photos, *words.split(), "--out", tmp_path / "scans")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[0] == f"Error: {found}"
