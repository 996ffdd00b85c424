"""Which images a report shows, and how: sheets, links from numbers to pictures, and files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.browser import NARROW_PX, OpenPage, find_barriers, find_overflow, wait_until
from tlkit.data.images import LOADER_VERSION
from tlkit.data.manifest import ImageRecord
from tlkit.inference.scoring import Scores
from tlkit.models.spec import BundleSpec
from tlkit.outputs import MULTILABEL, REGRESSION, Box, Target
from tlkit.recipes import HeadSettings
from tlkit.reports.console import Console
from tlkit.reports.markup import Link
from tlkit.reports.page import Page, Section, write_page
from tlkit.reports.run_page import render_score_section
from tlkit.reports.thumbnails import PictureBudget
from tlkit.runs.mistake_sheets import MistakeSheets, clear_mistakes, show_mistakes
from tlkit.runs.mistakes import MAX_UNKNOWN, MAX_UNSURE, MAX_WORST, choose_mistakes

QUIET = Console(verbosity=-1)
ATTACK = '<img src=x onerror="document.title=1">'


def make_spec(class_names: Sequence[str] = (), *, image_size: tuple[int, int] = (64, 64), **more: object) -> BundleSpec:
    head = HeadSettings(kind="linear")
    return BundleSpec("tiny", image_size, "squash", LOADER_VERSION, "avg", head, tuple(class_names), **more)  # type: ignore[arg-type]


def make_records(
    answers: Sequence[str], folder: Path = Path("/photos"), box: Box | None = None
) -> tuple[ImageRecord, ...]:
    return tuple(
        ImageRecord(folder / f"{number}.png", f"{number:064x}", 40, 32, "validation", answer, box)
        for number, answer in enumerate(answers)
    )


def draw(records: Sequence[ImageRecord]) -> None:
    for number, record in enumerate(records):
        record.path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (record.width, record.height), (number * 40 % 256, 90, 120)).save(record.path)


def score_randomly(num_images: int, num_classes: int) -> tuple[Scores, BundleSpec]:
    """Return the scores of a model that knows nothing, on images that are on no disk."""
    rng = np.random.default_rng(0)
    answers = rng.dirichlet(np.ones(num_classes), num_images).astype(np.float32)
    names = [f"class {number}" for number in range(num_classes)]
    records = make_records([names[label] for label in rng.integers(num_classes, size=num_images)])
    distances = rng.random(num_images).astype(np.float32)
    return Scores(records, answers, None, (), distances), make_spec(names, unknown_above=0.9)


@pytest.mark.parametrize(("num_images", "num_classes"), [(2_000, 10), (20_000, 300)])
def test_a_page_shows_a_few_hundred_images_of_any_number(num_images: int, num_classes: int) -> None:
    scores, spec = score_randomly(num_images, num_classes)
    mistakes = choose_mistakes(scores, spec)
    assert [len(group.rows) for group in mistakes.groups] == [MAX_WORST, MAX_UNSURE, MAX_UNKNOWN]
    num_right = int((scores.answers.argmax(axis=1) == mistakes.verdicts.true).sum())  # type: ignore[attr-defined]
    assert [group.num_images for group in mistakes.groups[:2]] == [num_images - num_right, num_right]
    shown = [row for group in mistakes.groups for row in group.rows]
    assert len(set(shown)) == len(shown)


def test_the_worst_come_first_and_every_frequent_mistake_is_there() -> None:
    scores, spec = score_randomly(2_000, 10)
    mistakes = choose_mistakes(scores, spec)
    worst, unsure, unknown = mistakes.groups
    losses = mistakes.verdicts.losses
    assert (np.diff(losses[list(worst.rows)]) <= 0).all()
    wrong = np.flatnonzero(~mistakes.verdicts.is_right)  # type: ignore[operator]
    assert mistakes.verdicts.rank(wrong)[: MAX_WORST // 2].tolist() == list(worst.rows[: MAX_WORST // 2])
    kinds = [mistakes.verdicts.kind_of(row) for row in worst.rows]
    common = [mistakes.verdicts.kind_of(each.rows[0]) for each in mistakes.common]
    assert len(set(kinds)) > 70
    assert set(common) <= set(kinds)
    assert {mistakes.verdicts.kind_of(row) for row in unsure.rows} == {(label, label) for label in range(10)}
    assert scores.distances is not None
    assert (np.diff(scores.distances[list(unknown.rows)]) <= 0).all()
    assert (scores.distances[list(unknown.rows)] > 0.9).all()


def test_few_images_are_all_shown() -> None:
    records = make_records(["cat", "dog", "dog"])
    answers = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]], np.float32)
    mistakes = choose_mistakes(Scores(records, answers, None, ()), make_spec(["cat", "dog"]))
    assert [list(group.rows) for group in mistakes.groups] == [[1], [2, 0], []]


@pytest.fixture
def cats(tmp_path: Path, drawn_figures: None) -> tuple[MistakeSheets, Path]:
    """A page and a folder of three images, of which one is wrong and one is gone."""
    records = make_records(["cat", ATTACK, ATTACK, "cat"], tmp_path / "photos")
    draw(records)
    records[3].path.unlink()
    answers = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]], np.float32)
    scores = Scores(records, answers, None, (), np.array([0.1, 0.2, 0.9, 0.1], np.float32))
    spec = make_spec(["cat", ATTACK], unknown_above=0.5)
    return show_mistakes(scores, spec, tmp_path, budget=PictureBudget(), console=QUIET), tmp_path


def test_numbers_with_images_behind_them_are_links(cats: tuple[MistakeSheets, Path]) -> None:
    sheets, _ = cats
    columns, rows = sheets.link_scores((("class", "precision", "recall"), [("cat", "0.7", "-"), ("mean", "0.5", "1")]))
    assert columns == ("class", "precision", "recall")
    precision = Link("0.7", "mistakes", {"predicted": "cat"}, "0.7: images, precision of cat")
    whole = [Link(text, "mistakes", {}, f"{text}: images, {name} of mean") for text, name in (("0.5", "precision"), ("1", "recall"))]  # fmt: skip
    assert rows == [("cat", precision, "-"), ("mean", *whole)]


def test_the_counts_of_the_scored_split_are_links(cats: tuple[MistakeSheets, Path]) -> None:
    sheets, _ = cats
    table = ("class", "train", "validation"), [("cat", "5", "2"), ("cow", "1", "0"), ("total", "6", "2")]
    link = Link("2", "mistakes", {"true": "cat"}, "2: images, validation images, cat")
    whole = Link("2", "mistakes", {}, "2: images, validation images, total")
    assert sheets.link_counts(table, "validation")[1] == [("cat", "5", link), ("cow", "1", "0"), ("total", "6", whole)]


@pytest.mark.usefixtures("drawn_figures")
def test_confusions_of_many_classes_are_listed(tmp_path: Path) -> None:
    names = [f"class {number}" for number in range(31)]
    records = make_records([names[0], names[0], names[5]], tmp_path / "photos")
    draw(records)
    answers = np.eye(31, dtype=np.float32)[[3, 3, 5]]
    sheets = show_mistakes(
        Scores(records, answers, None, ()), make_spec(names), tmp_path, budget=PictureBudget(), console=QUIET
    )
    first, *others = sheets.list_sections(tmp_path)
    assert (first.title, len(others)) == ("Mistakes by frequency", 2)
    assert "class 0 predicted as class 3" in first.body
    assert 'data-show="true=class+0&amp;predicted=class+3"' in first.body


def test_the_worst_images_are_files_that_sort(cats: tuple[MistakeSheets, Path]) -> None:
    _, folder = cats
    (folder / "mistakes" / "my notes.txt").touch()
    names = sorted(path.name for path in (folder / "mistakes").iterdir())
    assert names == ["001-true-_img-src=x-onerror=_document.title=1__-as-cat-1.jpg", "my notes.txt"]
    clear_mistakes(folder)
    assert [path.name for path in (folder / "mistakes").iterdir()] == ["my notes.txt"]


def test_the_page_leads_from_a_count_to_its_images(cats: tuple[MistakeSheets, Path], open_page: OpenPage) -> None:
    sheets, folder = cats
    page = open_page(write_page(folder / "page.html", Page(ATTACK, "", sheets.list_sections(folder))), width=NARROW_PX)
    assert page.locator("#mistakes .tile strong").all_inner_texts() == ["1.png", "2.png", "0.png"]
    assert page.locator("#mistakes .tile").nth(1).inner_text().splitlines()[-1] == "unlike the training images"
    page.get_by_role("link", name=f"1: images, {ATTACK} predicted as cat").click()
    wait_until(page, "document.querySelector('#mistakes .shown').textContent.startsWith('1 of')")
    assert page.locator("#mistakes .tile:visible strong").all_inner_texts() == ["1.png"]
    assert page.title() == ATTACK
    assert find_overflow(page) == 0
    assert find_barriers(page) == []


def read_text(sections: Sequence[Section]) -> str:
    return "\n".join(section.note + section.body for section in sections)


@pytest.mark.usefixtures("drawn_figures")
def test_values_and_labels_have_sheets_of_their_own(tmp_path: Path) -> None:
    values = make_records(["10", "20", "30", "40"], tmp_path / "photos")
    draw(values)
    spec = make_spec(task=REGRESSION, target=Target("price", 0.0, 1.0, is_log=False))
    scores = Scores(values, np.array([[12.0], [20.5], [20.0], [40.0]]), None, ())
    sheets = show_mistakes(scores, spec, tmp_path, budget=PictureBudget(), console=QUIET)
    assert "Largest errors" in read_text(sheets.sections)
    assert sheets.show_confusion() is None
    assert min(path.name for path in (tmp_path / "mistakes").iterdir()) == "001-true-30-off-by--10-2.jpg"
    clear_mistakes(tmp_path)

    labels = make_records(["iron", "iron|wood", ""], tmp_path / "photos")
    spec = make_spec(["iron", "wood"], task=MULTILABEL, thresholds=(0.5, 0.5))
    scores = Scores(labels, np.array([[0.9, 0.8], [0.3, 0.9], [0.1, 0.2]], np.float32), None, ())
    sheets = show_mistakes(scores, spec, tmp_path, budget=PictureBudget(), console=QUIET)
    assert [section.title for section in sheets.sections] == ["Most frequent mistakes", "Images behind the scores"]
    assert render_score_section(sheets.link_scores((("label", "AP"), [("wood", "0.9")]))).body.count("<a ") == 1  # type: ignore[union-attr]


@pytest.mark.usefixtures("drawn_figures")
def test_the_worst_boxes_are_drawn_with_the_true_ones(tmp_path: Path) -> None:
    records = make_records(["cat"] * 3, tmp_path / "photos", box=(0.0, 0.0, 20.0, 20.0))
    draw(records)
    boxes: tuple[Box, ...] = ((0.0, 0.0, 20.0, 20.0), (10.0, 0.0, 30.0, 20.0), (20.0, 0.0, 40.0, 20.0))
    scores = Scores(records, np.ones((3, 1), np.float32), boxes, ())
    sheets = show_mistakes(scores, make_spec(["cat"], has_box=True), tmp_path, budget=PictureBudget(), console=QUIET)
    (section,) = sheets.sections
    assert section.title == "Worst boxes"
    badges = [section.body.index(f'<span class="badge">IoU {iou}</span>') for iou in ("0.00", "0.33", "1.00")]
    assert badges == sorted(badges)
    _, rows = sheets.link_scores((("class", "IoU"), [("cat", "0.44")]))
    assert rows == [("cat", Link("0.44", "worst-boxes", {"true": "cat"}, "0.44: images, IoU of cat"))]


@pytest.mark.usefixtures("drawn_figures")
def test_a_page_of_many_noisy_photos_stays_within_its_budget(tmp_path: Path) -> None:
    scores, spec = score_randomly(120, 10)
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (300, 400, 3), dtype=np.uint8))
    noise.save(tmp_path / "noise.jpg")
    records = tuple(
        ImageRecord(tmp_path / "noise.jpg", each.sha256, 400, 300, "validation", each.answer) for each in scores.records
    )
    scores = Scores(records, scores.answers, None, (), scores.distances)
    sheets = show_mistakes(scores, spec, tmp_path, budget=PictureBudget(500_000), console=QUIET)
    assert 250_000 < len(read_text(sheets.sections)) < 500_000
