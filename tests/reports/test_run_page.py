"""The report of a run as one HTML page."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.reports.test_page import EVIL, Parsed
from tlkit.reports.markup import Html
from tlkit.reports.page import Section
from tlkit.reports.run_page import PICTURES, RunPage, write_report


def write(folder: Path, **replaced: Any) -> Parsed:
    arguments: dict[str, Any] = {
        "title": "runs/first",
        "facts": {"validation accuracy": "0.861 (0.82 to 0.89)"},
        "class_table": (("class", "train"), [("cat", "1,024"), ("total", "1,024")]),
        "stage_table": (("stage", "change"), [("head", "+0.73")]),
        "score_table": (("class", "precision"), [("cat", "-")]),
        "recipe": '[backbone]\nname = "tiny"\n',
        **replaced,
    }
    path = write_report(folder, RunPage(**arguments))
    assert path == folder / "report.html"
    return Parsed(path.read_text("utf-8"))


def test_the_caution_stands_below_the_figures(tmp_path: Path) -> None:
    text = write(tmp_path, caution=f"Quote {EVIL} instead.").text
    assert text.index("0.861") < text.index(f"Quote {EVIL} instead.") < text.index("Stages")


def test_the_page_tells_everything_it_was_given(tmp_path: Path) -> None:
    page = write(tmp_path, skipped=[("a/bad.jpg", "empty file")], notices=["2 images stand twice."])
    for text in (
        "runs/first",
        "0.861 (0.82 to 0.89)",
        "1,024",
        "+0.73",
        'name = "tiny"',
        "Files skipped: 1",
        "a/bad.jpg",
        "empty file",
        "2 images stand twice.",
    ):
        assert text in page.text


def test_the_pictures_of_the_run_are_inlined(tmp_path: Path) -> None:
    for name in PICTURES:
        Image.new("RGB", (3, 2), "red").save(tmp_path / name)
    sources = [value for name, value in write(tmp_path).attributes if name == "src"]
    content = base64.b64encode((tmp_path / "views.png").read_bytes()).decode()
    assert sources == [f"data:image/png;base64,{content}"] * (len(PICTURES) - 1), "all but the confusion matrix"


def test_a_run_without_pictures_has_a_page_without_pictures(tmp_path: Path) -> None:
    assert "img" not in write(tmp_path).tags


@pytest.mark.parametrize(
    "replaced",
    [
        {"title": EVIL},
        {"facts": {EVIL: EVIL}},
        {"class_table": ((EVIL,), [(EVIL,)])},
        {"stage_table": ((EVIL,), [(EVIL,)])},
        {"score_table": ((EVIL,), [(EVIL,)])},
        {"recipe": EVIL},
        {"skipped": [(EVIL, EVIL)]},
        {"notices": [EVIL]},
    ],
    ids=lambda replaced: next(iter(replaced)),
)
def test_names_that_look_like_html_stay_names(tmp_path: Path, replaced: dict[str, Any]) -> None:
    page = write(tmp_path, **replaced)
    assert "script" not in page.tags
    assert EVIL in page.text


@pytest.mark.parametrize(
    ("columns", "note"),
    [
        (
            ("class", "precision", "recall", "F1", "images"),
            "Precision: the fraction of predictions of this name that are right. Recall: the fraction of images with "
            "this name that were found. "
            "F1: the harmonic mean of precision and recall.",
        ),
        (
            ("true price_usd", "images", "mean absolute error"),
            "Mean absolute error: the average error of the predictions.",
        ),
    ],
)
def test_the_scores_say_what_their_columns_mean(tmp_path: Path, columns: tuple[str, ...], note: str) -> None:
    page = write(tmp_path, score_table=(columns, [("1",) * len(columns)]))
    assert f"Scores by {columns[0]}\n{note}\n" in page.text


def test_a_long_list_of_files_is_cut_and_says_so(tmp_path: Path) -> None:
    page = write(tmp_path, skipped=[(f"{index}.jpg", "empty file") for index in range(2000)])
    assert "Files skipped: 2,000" in page.text
    assert "The first 500 are listed here, all of them in skipped.csv." in page.text
    assert "499.jpg" in page.text
    assert "500.jpg" not in page.text


def test_the_images_behind_the_scores_follow_them(tmp_path: Path) -> None:
    text = write(tmp_path, seen=[Section("Worst boxes", Html("here"))]).text
    assert text.index("Scores by class\n") < text.index("Worst boxes\n") < text.index("Stages\n")


def test_the_page_says_where_its_figures_come_from(tmp_path: Path) -> None:
    assert "tlkit finetune photos/" in write(tmp_path, origin={"command": "tlkit finetune photos/"}).text


def test_tables_without_rows_are_left_out(tmp_path: Path) -> None:
    page = write(tmp_path, stage_table=((), []), score_table=((), []), facts={})
    assert "Stages" not in page.text
    assert "Images" in page.text


def test_scores_of_objects_say_so(tmp_path: Path) -> None:
    columns = ("class", "threshold", "AP50", "recall", "objects")
    page = write(tmp_path, score_table=(columns, [("cat", "0.4", "0.9", "0.8", "12")]))
    assert (
        "Threshold: the probability from which on the box is shown. AP50: the mean precision over all recalls, where a box "
        "is right from an IoU of 0.5 on. Recall: the fraction of objects with this name that were found.\n" in page.text
    )


def test_further_tables_follow_the_scores(tmp_path: Path) -> None:
    columns = ("class", "AP50")
    page = write(
        tmp_path,
        score_table=(columns, [("cat", "0.9")]),
        more_tables=[("Scores by size", (("size", "AP50"), [("small", "0.7")]))],
    )
    assert page.text.index("Scores by class") < page.text.index("Scores by size") < page.text.index("small")
