from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from tests.commands.watched_run import ColourModel, draw, install, write_run
from tlkit.commands.suggest import SuggestOptions, describe_replay, run_suggest
from tlkit.errors import DataError, RunError, SettingError
from tlkit.metrics.intervals import Interval
from tlkit.outputs import CLASSIFICATION, MULTILABEL, REGRESSION
from tlkit.probes import suggestions
from tlkit.probes.suggestions import Replay
from tlkit.reports.console import Console


@pytest.fixture(autouse=True)
def few_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suggestions, "NUM_REPEATS", 3)


@pytest.fixture
def new_photos(tmp_path: Path) -> Path:
    """Ten sure pictures of each class, two doubtful ones and an unknown one."""
    for number in range(10):
        draw(tmp_path / "new" / f"red-{number}.png", (200, 10 + number, 5))
        draw(tmp_path / "new" / f"blue-{number}.png", (5, 10 + number, 200))
    draw(tmp_path / "new" / "doubtful-1.png", (110, 20, 100))
    draw(tmp_path / "new" / "doubtful-2.png", (30, 20, 33))
    draw(tmp_path / "new" / "unknown.png", (99, 240, 101))
    return tmp_path / "new"


def suggest(run: Path, data: Path, **options: Any) -> dict[str, Any]:
    return run_suggest(run, [str(data)], SuggestOptions(**options), console=Console())


def test_doubtful_and_unknown_images_are_suggested_with_reasons(
    tmp_path: Path, new_photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ColourModel()
    install(monkeypatch, model)
    out = tmp_path / "out"
    payload = suggest(write_run(tmp_path / "run", model), new_photos, number=3, out=out)
    reasons = {Path(each["path"]).name: each["reason"] for each in payload["suggestions"]}
    assert reasons == {
        "doubtful-1.png": "unsure: red or blue (0.48)",
        "doubtful-2.png": "unsure: blue or red (0.48)",
        "unknown.png": "unlike the training images; unsure: blue or red (0.49)",
    }
    with (out / "suggestions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["rank"] for row in rows] == ["1", "2", "3"]
    assert [row["path"] for row in rows] == [str(each["path"]) for each in payload["suggestions"]]
    page = (out / "suggestions.html").read_text()
    assert all(name in page for name in reasons)
    assert payload["replay"]["verdict"] in ("gain", "no gain", "loss", "unclear")
    assert "replays on the run's labelled images, 3 chosen images brought" in capsys.readouterr().out


@pytest.mark.parametrize("task", [MULTILABEL, REGRESSION])
def test_labels_and_values_have_suggestions_too(
    task: str, tmp_path: Path, new_photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ColourModel(task, (0.5, 0.5) if task == MULTILABEL else ())
    install(monkeypatch, model)
    payload = suggest(write_run(tmp_path / "run", model), new_photos, number=5, out=tmp_path / "out")
    assert len(payload["suggestions"]) == 5
    assert payload["replay"]["added"] == 5
    assert all(each["probability"] is None for each in payload["suggestions"])


def test_images_of_the_run_are_left_out_and_files_that_are_none_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ColourModel()
    install(monkeypatch, model)
    run = write_run(tmp_path / "run", model, num_each=4)
    (tmp_path / "photos" / "broken.png").write_bytes(b"no image")
    draw(tmp_path / "photos" / "new.png", (1, 2, 3))
    payload = suggest(run, tmp_path / "photos", out=tmp_path / "out")
    assert (payload["images"], payload["already_seen"], payload["skipped"]) == (1, 8, 1)
    assert payload["replay"] is None
    shown = capsys.readouterr()
    assert "8 of the images are the run's own and left out." in shown.out
    assert "The run has fewer than 40 labelled images: too few to tell whether choosing beats chance." in shown.out
    assert "1 file cannot be used, such as" in shown.err


def test_only_images_of_the_run_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = ColourModel()
    install(monkeypatch, model)
    run = write_run(tmp_path / "run", model, num_each=3)
    with pytest.raises(DataError) as error:
        suggest(run, tmp_path / "photos", out=tmp_path / "out")
    assert str(error.value) == (
        f"{tmp_path / 'photos'}: all 6 images are the run's own.\n  Expected: images that the run has not seen\n"
        "  Fix: name a folder with new images."
    )
    assert not (tmp_path / "out").exists()


def test_paths_from_standard_input_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = ColourModel()
    install(monkeypatch, model)
    with pytest.raises(SettingError) as error:
        run_suggest(write_run(tmp_path / "run", model, num_each=3), ["-"], console=Console())
    assert str(error.value) == (
        "-: paths are not read from standard input here.\n  Expected: folders, patterns or image files\n"
        "  Fix: name the folder with the images."
    )


def test_a_bundle_without_its_run_is_an_error(
    tmp_path: Path, new_photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, ColourModel())
    with pytest.raises(RunError) as error:
        suggest(tmp_path / "bundle", new_photos)
    assert str(error.value) == (
        f"{tmp_path / 'bundle'} is a bundle without its run, so there are no images to replay the choice on.\n"
        "  Expected: a run folder with its manifest.csv\n  Fix: name the folder that `tlkit finetune` wrote."
    )


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.01, 0.03, "Choosing pays here. "),
        (-0.05, 0.07, "The run has too few labelled images to tell whether choosing beats chance. "),
        (-0.01, 0.02, "No gain over random images could be measured here. "),
        (-0.03, -0.01, "Random images did better here: label a random sample instead. "),
    ],
)
def test_the_replay_is_told_in_words(low: float, high: float, words: str) -> None:
    gain = Interval((low + high) / 2, low, high)
    sentence = describe_replay(CLASSIFICATION, Replay(50, 20, 50, 50, 20, 0.6, 0.7, 0.72, gain))
    assert sentence == (
        f"{words}In 20 replays on the run's labelled images, 20 chosen images brought {100 * gain.value:+.1f} points (95% "
        f"interval {100 * low:+.1f} to {100 * high:+.1f}) over as many random ones, from 50 labelled images on."
    )
