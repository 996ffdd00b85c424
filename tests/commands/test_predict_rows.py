"""What becomes of each file that is predicted, with a model that goes by the colour: no row is lost, whatever fails."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tlkit.commands.predict import PredictOptions, run_predict
from tlkit.data.images import LOADER_VERSION
from tlkit.errors import RunError, SettingError
from tlkit.inference.destinations import PredictOutputs
from tlkit.inference.previews import Previews
from tlkit.models.spec import BundleSpec
from tlkit.outputs import MULTILABEL
from tlkit.recipes import HeadSettings
from tlkit.reports.console import Console

SPEC = BundleSpec(
    "tiny", (8, 8), "squash", LOADER_VERSION, "avg", HeadSettings(kind="linear"), ("red", "unknown"), unknown_above=0.5
)


class ColourModel:
    """Says `red` by the red channel, and is far from pictures with blue in them."""

    spec = SPEC
    batch_size = 1
    num_parallel = 1

    def predict(self, images: NDArray[np.uint8], metadata: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        red, _, blue = images.mean(axis=(1, 2)).T / 255
        # Black is what this model has no answer for.
        red = np.where(images.any(axis=(1, 2, 3)), red, np.nan)
        return np.stack([red, 1 - red, blue], axis=1).astype(np.float32)


@pytest.fixture(autouse=True)
def model(monkeypatch: pytest.MonkeyPatch) -> ColourModel:
    model = ColourModel()
    monkeypatch.setattr("tlkit.commands.predict.read_spec", lambda *_, **__: model.spec)
    monkeypatch.setattr("tlkit.commands.predict.open_classifier", lambda *_, **__: model)
    return model


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of pictures: surely red, perhaps red, not red, far from all, and without an answer."""
    folder = tmp_path / "photos"
    folder.mkdir()
    colours = {"red": (250, 9, 0), "pink": (150, 9, 0), "dark": (20, 9, 0), "blue": (250, 9, 250), "black": (0, 0, 0)}
    for name, colour in colours.items():
        Image.new("RGB", (16, 16), colour).save(folder / f"{name}.png")
    return folder


def predict(*sources: object, **options: Any) -> tuple[list[dict[str, str]], dict[str, Any]]:
    outputs = PredictOutputs(**{key: options.pop(key) for key in ("out", "overlay", "sort_into") if key in options})
    console = options.pop("console", Console(verbosity=-1))
    stream = io.BytesIO()
    payload = run_predict(
        Path("run"),
        list(map(str, sources)),
        outputs,
        PredictOptions(**options),
        console=console,
        stdin=io.BytesIO(),
        stdout=stream,
    )
    return list(csv.DictReader(io.StringIO(stream.getvalue().decode()))), payload


def list_files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*") if path.name[0] != ".")


def test_unknown_and_uncertain_are_flagged_in_rows_counts_and_json(photos: Path) -> None:
    rows, payload = predict(photos, min_probability=0.8)
    flags = {Path(row["path"]).stem: (row["class_name"], row["uncertain"], row["unknown"]) for row in rows}
    assert flags == {
        "red": ("red", "no", "no"),
        "pink": ("red", "yes", "no"),
        "dark": ("unknown", "no", "no"),
        "blue": ("red", "no", "yes"),
        "black": ("", "", ""),
    }
    assert {key: payload[key] for key in ("images", "errors", "unknown", "uncertain", "classes")} == {
        "images": 5,
        "errors": 1,
        "unknown": 1,
        "uncertain": 1,
        "classes": {"red": 1, "unknown": 1},
    }
    _, payload = predict(photos, min_probability=0.8, console=Console(verbosity=-1, json=True))
    assert [row.get("uncertain") for row in payload["predictions"]] == [None, False, False, True, False]


def test_without_a_least_probability_nothing_is_uncertain(photos: Path) -> None:
    rows, payload = predict(photos)
    assert "uncertain" not in rows[0]
    assert "uncertain" not in payload
    assert payload["classes"] == {"red": 2, "unknown": 1}


def test_a_class_that_is_called_unknown_has_another_folder_than_pictures_that_are(photos: Path, tmp_path: Path) -> None:
    predict(photos, sort_into=tmp_path / "sorted", min_probability=0.8)
    assert list_files(tmp_path / "sorted") == [
        "red/red.png",
        "uncertain/pink.png",
        "unknown-2/blue.png",
        "unknown/dark.png",
    ]


def test_overlays_say_what_is_unknown_or_uncertain(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    captions = {}

    def write(self: object, source: Path, picture: Image.Image, caption: Any, box: Any) -> None:
        captions[source.stem] = [(line.text, line.figure, line.is_bright) for line in caption]

    monkeypatch.setattr("tlkit.reports.overlays.OverlayFolder.write", write)
    predict(photos, overlay=tmp_path / "overlays", min_probability=0.8, top_k=1)
    assert captions == {
        "red": [("red", "98.0%", True)],
        "pink": [("uncertain", "below 80.0%", True), ("red", "58.8%", False)],
        "dark": [("unknown", "92.2%", True)],
        "blue": [("unknown", "unlike the training images", True), ("red", "98.0%", False)],
    }


def test_the_end_says_how_many_to_look_at(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    predict(photos, out=tmp_path / "p.csv", min_probability=0.8, console=Console())
    story = capsys.readouterr()
    assert story.err.endswith(
        "Warning: 1 of 5 files could not be read; the rows say why.\n"
        "Warning: 1 of 5 files is unlike the training images (column `unknown`): check them before you rely on their "
        "predictions.\n"
    )
    assert [line.split() for line in story.out.splitlines() if line.endswith(" 1")] == [
        ["red", "1"],
        ["unknown", "1"],
        ["(uncertain)", "1"],
        ["(unknown)", "1"],
    ]


def test_an_answer_that_is_not_a_number_is_an_error(photos: Path) -> None:
    rows, _ = predict(photos / "black.png")
    assert [row["error"] for row in rows] == ["the model's output is not finite"]


def test_a_least_probability_needs_classes(photos: Path, model: ColourModel, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = BundleSpec(
        "tiny",
        (8, 8),
        "squash",
        LOADER_VERSION,
        "avg",
        HeadSettings(),
        ("a", "b"),
        task=MULTILABEL,
        thresholds=(0.5, 0.5),
    )
    monkeypatch.setattr(model, "spec", labels)
    with pytest.raises(SettingError) as caught:
        predict(photos, min_probability=0.8)
    assert str(caught.value) == (
        "--min-probability 0.8 has no effect: the model predicts labels.\n"
        "  Expected: --min-probability only with a model of two classes or more\n"
        "  Fix: leave out --min-probability."
    )


def test_a_model_of_one_class_says_what_it_cannot_tell(
    photos: Path, model: ColourModel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one = BundleSpec("tiny", (8, 8), "squash", LOADER_VERSION, "avg", HeadSettings(), ("raccoon",), has_box=True)
    monkeypatch.setattr(model, "spec", one)
    monkeypatch.setattr(model, "predict", lambda images, _: np.array([[1, 0.5, 0.5, 0.2, 0.2]], np.float32))
    predict(photos / "red.png")
    assert capsys.readouterr().err == (
        "Warning: the model has one class, so it predicts raccoon for every picture: its boxes show where one would be, not "
        "whether there is one.\n"
    )


@pytest.mark.parametrize("option", ["overlay", "sort_into"])
def test_a_copy_that_fails_costs_no_row(
    option: str,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "x")

    monkeypatch.setattr("tlkit.reports.overlays.draw_overlay", fail)
    monkeypatch.setattr("shutil.copyfile", fail)
    rows, payload = predict(photos, **{option: tmp_path / "copies"})
    assert [row["error"] for row in rows] == ["the model's output is not finite", "", "", "", ""]
    assert payload["not_copied"] == 4
    assert list_files(tmp_path / "copies") == []
    warnings = capsys.readouterr().err.splitlines()
    assert warnings[:2] == [
        f"Warning: {photos / 'blue.png'} has its row, but could not be copied: No space left on device.",
        "Warning: 4 files have their rows, but could not be copied.",
    ]


def test_long_names_are_copied_and_drawn(tmp_path: Path) -> None:
    names = ("写" * 83 + ".png", "x" * 251 + ".png", "y" * 255)
    for folder in "ab":
        (tmp_path / "photos" / folder).mkdir(parents=True)
        for name in names:
            Image.new("RGB", (16, 16), (250, 9, 0)).save(tmp_path / "photos" / folder / name, format="PNG")
    rows, payload = predict(tmp_path / "photos", overlay=tmp_path / "overlays", sort_into=tmp_path / "sorted")
    assert [row["error"] for row in rows] == [""] * 6
    assert payload["not_copied"] == 0
    assert len(list_files(tmp_path / "overlays")) == 6
    assert sum(path.is_file() for path in (tmp_path / "sorted" / "red").iterdir()) == 6


def test_names_of_all_kinds_have_rows_in_every_format(tmp_path: Path) -> None:
    names = [b"a\nb.png", b'"quoted", with a comma.png', b"caf\xe9.png", b"A.png", b"a.png", b"a\r.png", b" .png"]
    for name in names:
        path = tmp_path / "photos" / os.fsdecode(name)
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (16, 16), (250, 9, 0)).save(path, format="PNG")
    _, payload = predict(
        tmp_path / "photos", out=tmp_path / "p.jsonl", overlay=tmp_path / "overlays", sort_into=tmp_path / "sorted"
    )
    assert payload["not_copied"] == 0
    lines = (tmp_path / "p.jsonl").read_text("utf-8").split("\n")[:-1]
    assert sorted(os.fsencode(Path(json.loads(line)["path"]).name) for line in lines) == sorted(names)
    assert len(list((tmp_path / "overlays").glob("*.jpg"))) == len(names)
    assert len(list((tmp_path / "sorted" / "red").iterdir())) == len(names)


def test_a_file_that_vanishes_while_it_is_predicted_has_its_box_and_its_overlay(
    photos: Path,
    tmp_path: Path,
    model: ColourModel,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    boxes = BundleSpec("tiny", (8, 8), "squash", LOADER_VERSION, "avg", HeadSettings(), ("a", "b"), has_box=True)

    def predict_and_remove(images: NDArray[np.uint8], _: object) -> NDArray[np.float32]:
        (photos / "red.png").unlink()
        return np.array([[1, 0, 0.5, 0.5, 0.2, 0.2]], np.float32)

    monkeypatch.setattr(model, "spec", boxes)
    monkeypatch.setattr(model, "predict", predict_and_remove)
    path, overlays = photos / "red.png", tmp_path / "overlays"
    rows, payload = predict(path, overlay=overlays, sort_into=tmp_path / "sorted")
    found = [(row["error"], row["left"], row["top"], row["right"], row["bottom"]) for row in rows]
    assert found == [("", "6.4", "6.4", "9.6", "9.6")]
    assert list_files(overlays) == ["red.jpg"]
    assert payload["not_copied"] == 1
    warning = f"Warning: {path} has its row, but could not be copied: No such file or directory.\n"
    assert capsys.readouterr().err == warning


def test_overlays_are_the_same_where_no_preview_can_wait_for_its_prediction(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict(photos, overlay=tmp_path / "kept")
    monkeypatch.setattr(Previews, "make", lambda self, image: None)
    rows, payload = predict(photos, overlay=tmp_path / "read again")
    assert (len(rows), payload["not_copied"]) == (5, 0)
    for name in list_files(tmp_path / "kept"):
        assert (tmp_path / "read again" / name).read_bytes() == (tmp_path / "kept" / name).read_bytes()


def test_each_line_of_standard_input_is_answered_as_it_comes(photos: Path) -> None:
    """A worker: one path is written, one row read, and so on."""
    (to_read, to_write), (rows_to_read, rows_to_write) = os.pipe(), os.pipe()
    with (
        os.fdopen(to_write, "wb", buffering=0) as paths,
        os.fdopen(rows_to_read, encoding="utf-8", newline="") as rows,
    ):

        def work() -> None:
            with os.fdopen(to_read, "rb", buffering=0) as stdin, os.fdopen(rows_to_write, "wb") as stdout:
                run_predict(
                    Path("run"),
                    ["-"],
                    PredictOutputs(),
                    PredictOptions(top_k=1),
                    console=Console(verbosity=-1),
                    stdin=stdin,
                    stdout=stdout,
                )

        worker = threading.Thread(target=work)
        worker.start()
        assert rows.readline() == "path,class_name,probability,unknown,distance,error\n"
        for name, row in (
            ("red.png", "red,0.98039216,no,0.0,"),
            ("gone.png", ",,,,no such file"),
            ("red.png", "red,0.98039216,no,0.0,"),
            ("blue.png", "red,0.98039216,yes,0.98039216,"),
        ):
            paths.write(os.fsencode(photos / name) + b"\n")
            assert rows.readline() == f"{photos / name},{row}\n"
        paths.write(b"\n")
        assert rows.readline() == ",,,,,an empty line instead of a path\n"
        paths.close()
        worker.join(timeout=10)
        assert rows.read() == ""


def test_no_line_gives_no_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, payload = predict("-", out=tmp_path / "p.csv")
    assert payload["images"] == 0
    assert (
        tmp_path / "p.csv"
    ).read_text() == "path,class_name,probability,class_name_2,probability_2,unknown,distance,error\n"
    assert capsys.readouterr().err == "Warning: standard input had no paths, so there are no rows.\n"


@pytest.fixture
def interrupted(photos: Path, model: ColourModel, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function that predicts and is interrupted at the third picture."""
    calls = iter(range(100))
    original = model.predict

    def predict_twice(images: NDArray[np.uint8], metadata: NDArray[np.float32]) -> NDArray[np.float32]:
        if next(calls) == 2:
            raise KeyboardInterrupt
        return original(images, metadata)

    monkeypatch.setattr(model, "predict", predict_twice)

    def run(out: Path) -> None:
        with pytest.raises(KeyboardInterrupt):
            predict(photos, out=out)

    return run


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_an_interruption_leaves_the_rows_so_far(
    suffix: str, interrupted: Callable[..., None], photos: Path, tmp_path: Path
) -> None:
    interrupted(tmp_path / f"p{suffix}")
    partial = tmp_path / f"p{suffix}.partial"
    assert not (tmp_path / f"p{suffix}").exists()
    if suffix == ".parquet":
        import pyarrow.parquet as pq

        paths = pq.read_table(partial)["path"].to_pylist()
    elif suffix == ".csv":
        paths = [row["path"] for row in csv.DictReader(partial.read_text().splitlines())]
    else:
        paths = [json.loads(line)["path"] for line in partial.read_text().splitlines()]
    assert paths == [str(photos / "black.png"), str(photos / "blue.png")]


def test_a_full_disk_keeps_the_rows_and_names_the_file(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tlkit.reports.row_file import write_line

    calls = iter(range(100))

    def fill_disk(file: Any, line: bytes) -> None:
        if next(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        write_line(file, line)

    monkeypatch.setattr("tlkit.reports.row_file.write_line", fill_disk)
    out = tmp_path / "p.csv"
    with pytest.raises(RunError) as caught:
        predict(photos, out=out)
    assert str(caught.value) == (
        f"{out}.partial: No space left on device.\n"
        "  Expected: free disk space and a writable folder\n"
        f"  Fix: fix this, and run the same command again. The rows so far are in {out}.partial."
    )
    assert len((tmp_path / "p.csv.partial").read_text().splitlines()) == 3
