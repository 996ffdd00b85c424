from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.browser import NARROW_PX, find_barriers, find_overflow
from tlkit.audit.judging import LabelJudge
from tlkit.audit.moves import propose_moves
from tlkit.audit.page import write_audit_page
from tlkit.audit.study import study_images
from tlkit.data.file_index import FileIndex
from tlkit.data.looks import read_looks
from tlkit.data.manifest import ImageRecord, Manifest
from tlkit.reports.console import Console

SWAPPED = 3


@contextmanager
def no_progress(total: int) -> Iterator[Any]:
    yield lambda count: None


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a set of two classes with one swapped label and a copy."""
    root = tmp_path_factory.mktemp("audit") / "photos <b>"
    rng = np.random.default_rng(0)
    true = np.arange(40) % 2
    features = rng.normal(size=(40, 16)) + 3.0 * true[:, None]
    answers = ["cat" if label == 0 else "dog" for label in true]
    answers[SWAPPED] = "cat"
    features[5] = features[1]
    paths = []
    for place, answer in enumerate(answers):
        path = root / answer / f"{place:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8)).save(path)
        paths.append(path)
    paths[5].write_bytes(paths[1].read_bytes())
    facts = FileIndex(root.parent / "index").look(paths)
    records = tuple(
        ImageRecord(path, fact.sha256, fact.width, fact.height, "train", answer)
        for path, fact, answer in zip(paths, facts, answers, strict=True)
    )
    manifest = Manifest(root, ("cat", "dog"), records)
    looks = read_looks(records, progress=no_progress)
    judge = LabelJudge(is_log=False, seed=0)
    study = study_images(manifest, records, features, looks, judge=judge, console=Console(verbosity=-1))
    moves = propose_moves(study.audit.findings, records, manifest)
    return write_audit_page(root.parent / "audit.html", study.audit, records, moves, manifest, {"data": str(root)})


def test_the_page_shows_the_wrong_label_first_and_saves_the_list(page: Path, open_page: Callable[..., Any]) -> None:
    shown = open_page(page)
    assert shown.locator("h1").inner_text() == "photos <b>"
    assert "suggested: dog" in shown.locator("figure, article, li.tile, .tile").first.inner_text()
    with shown.expect_download() as download:
        shown.get_by_role("button", name="Save moves.csv").click()
    saved = Path(download.value.path()).read_text().splitlines()
    assert saved[0] == "path,action,from,to,sha256,reason"
    assert [line.split(",")[:4] for line in saved[1:]] == [
        [f"cat/{SWAPPED:02}.png", "move", "cat", "dog"],
        ["dog/05.png", "remove", "dog", ""],
    ]


def test_the_page_is_accessible_and_fits_a_phone(page: Path, open_page: Callable[..., Any]) -> None:
    shown = open_page(page, width=NARROW_PX)
    assert find_overflow(shown) == 0
    assert find_barriers(shown) == []
