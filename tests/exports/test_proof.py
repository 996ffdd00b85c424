"""The proof: an export is asked by its own program, in a fresh process, about raw files; one that errs is caught."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.exports.conftest import SPEC, ToyModel
from tlkit.data.manifest import ImageRecord
from tlkit.errors import RunError
from tlkit.exports.asking import Question, ask_export
from tlkit.exports.base import Export
from tlkit.exports.comparison import Comparison, Reference
from tlkit.exports.proof import decode_metadata, prove, read_reference
from tlkit.metadata.encoding import CategoryColumn, MetadataEncoding, NumberColumn
from tlkit.recipes import DataSettings
from tlkit.reports.console import Console
from tlkit.runs.evaluation_set import EvaluationSet

QUIET = Console(verbosity=-1)
Ship = Callable[..., Path]


@pytest.fixture
def photos(tmp_path: Path, make_image_folder: Callable[..., Path]) -> Path:
    layout = {"dark": 3, "bright": 2, "striped red": 3}
    root = make_image_folder(tmp_path / "photos", layout, size=(150, 110), suffix=".jpg")
    return (root / "striped red").rename(root / "red").parent


def prove_toy(ship: Path, toy: Export, photos: Path) -> tuple[Comparison, str]:
    model: Any = SimpleNamespace(spec=SPEC, output_names=("probabilities",))
    run: Any = photos.parent
    with read_reference(run, photos, ToyModel(), settings=DataSettings(), console=QUIET) as reference:  # type: ignore[arg-type]
        found, fault = prove(model, reference, ship, ship / "toy-float32", toy, "float32", console=QUIET)
    return found, fault or found.find_fault("float32")


def test_an_export_that_reads_images_as_tlkit_does_agrees(ship: Ship, toy: Export, photos: Path) -> None:
    found, fault = prove_toy(ship(), toy, photos)

    assert found.images == 8
    assert found.largest_difference < 1e-6
    assert found.same_answer == 1.0
    assert found.score is not None
    assert fault == ""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('return {"probabilities"', 'return {"probabilities" if True else ""'),
        ("Image.Resampling.BILINEAR", "Image.Resampling.NEAREST"),
        ("return np.asarray(resize(rgb, width, height)), facts", "return np.asarray(resize(rgb, width, height))[..., ::-1], facts"),
        ('inputs["image"].astype(np.float64)', 'inputs["image"].astype(np.float64) / 255'),
        ("TEMPERATURE = 2.0", "TEMPERATURE = 1.0"),
    ],
    ids=["unchanged", "without antialiasing", "BGR", "0..1", "without temperature"],
)  # fmt: skip
def test_a_broken_export_is_caught(ship: Ship, toy: Export, photos: Path, old: str, new: str) -> None:
    _, fault = prove_toy(ship((old, new)), toy, photos)

    assert bool(fault) == ("if True" not in new)


def test_a_program_that_fails_is_a_fault_with_its_last_words(ship: Ship, toy: Export, photos: Path) -> None:
    _, fault = prove_toy(ship(("TEMPERATURE = 2.0", "raise RuntimeError('no such kernel')")), toy, photos)

    assert fault.startswith("predict_toy.py answered 0 of 8 images and ended with code 1: Traceback")
    assert fault.endswith("RuntimeError: no such kernel")


def test_a_file_that_is_no_image_is_answered_with_the_reason(ship: Ship, toy: Export, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no image")
    out = ship()

    rows = ask_export(out, toy, out / "toy-float32", [Question(tmp_path / "text.jpg")])

    assert rows[0]["error"].startswith("UnidentifiedImageError: cannot identify image file")


def test_images_of_which_none_can_be_read_are_no_proof(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlkit.data.image_file.read_content", lambda _: b"")

    with (
        pytest.raises(RunError) as caught,
        read_reference(photos, photos, ToyModel(), settings=DataSettings(), console=QUIET),  # type: ignore[arg-type]
    ):
        pytest.fail("there is nothing to compare")

    assert caught.value.found == f"None of the 8 images of {photos} can be read."


def test_where_the_runs_images_are_gone_the_golden_samples_are_what_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record = ImageRecord(tmp_path / "gone.jpg", "0" * 64, 8, 8, "test", "dark")
    images = EvaluationSet("the run's own test split", tmp_path, "test", (record,), ())
    golden = Reference("2 golden samples of the bundle", [], np.zeros((0, 3)), [])
    monkeypatch.setattr("tlkit.exports.proof.find_run_folder", lambda run: run)
    monkeypatch.setattr("tlkit.exports.proof.read_images_to_evaluate", lambda *_, **__: images)
    monkeypatch.setattr("tlkit.exports.proof._read_golden", lambda *_: golden)

    with read_reference(tmp_path, None, ToyModel(), settings=DataSettings(), console=QUIET) as reference:  # type: ignore[arg-type]
        assert reference is golden

    warning = (
        "The run's own images are gone: only the golden samples of its bundle can be compared. --data gives others."
    )
    assert warning in " ".join(capsys.readouterr().err.split())


def test_metadata_of_golden_samples_become_texts_that_are_encoded_as_they_were() -> None:
    encoding = MetadataEncoding((NumberColumn("area", 3.0, 7.0, 0.0, 9.0), CategoryColumn("town", ("Delft", "Ede"))))
    rows = encoding.encode([("12.3", "ede"), ("", "Paris"), ("4", "")])

    texts = decode_metadata(encoding, rows)

    assert [row["town"] for row in texts] == ["Ede", "\ufffd", ""]
    np.testing.assert_allclose(encoding.encode([(row["area"], row["town"]) for row in texts]), rows, rtol=1e-6)
