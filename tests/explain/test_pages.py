from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.browser import NARROW_PX, OpenPage, find_barriers, find_overflow
from tests.explain.conftest import draw_pictures
from tlkit.data.image_file import ImageFile
from tlkit.data.images import LOADER_VERSION
from tlkit.data.manifest import ImageRecord
from tlkit.explain.channels import Patch
from tlkit.explain.faithfulness import DeletionScore
from tlkit.explain.neighbours import Neighbour
from tlkit.explain.pages import ExplainedPhoto, ExplanationFolder
from tlkit.explain.photos import Explanation
from tlkit.explain.subjects import Subject
from tlkit.models.spec import BundleSpec
from tlkit.recipes import HeadSettings
from tlkit.tasks.predictions import Prediction

ATTACK = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of two photos, a file that is none, filters and a channel; a class and a file have HTML as their name."""
    root = tmp_path_factory.mktemp("explanations")
    names = ("cat", ATTACK)
    spec = BundleSpec("tiny", (32, 32), "squash", LOADER_VERSION, "avg", HeadSettings(kind="linear"), names)
    folder = ExplanationFolder(root, spec, num_photos=3, num_neighbours=1)
    pictures = draw_pictures(3)
    for number, (picture, gain) in enumerate(zip(pictures[:2], (0.3, -0.1), strict=True)):
        path = root / f"photo {number}.png"
        Image.fromarray(picture).save(path)
        prediction = Prediction(str(path), ((names[number], 0.9), (names[1 - number], 0.1)))
        evidence = np.linspace(-1, 1, 49, dtype=np.float32).reshape(7, 7)
        subject = Subject(names[number], np.array([[number]]), lambda rows: rows[:, 0], number)
        explanation = Explanation(subject, evidence, DeletionScore(0.5, 0.5 + gain))
        record = ImageRecord(path, "0" * 64, 32, 32, "train", names[number])
        folder.add(ExplainedPhoto(prediction, ImageFile.read(path), [explanation], [Neighbour(record, 0.8)]))
    folder.add(ExplainedPhoto(Prediction(f"{ATTACK}.png", error="truncated")))
    folder.add_filters(pictures[2])
    folder.add_channel(3, "block2", [Patch(record, (0.5, 0.5), 1.5)], [pictures[2]])
    return folder.write_page("Explanations of first", {"data": "new/", "command": "tlkit explain runs/first new/"})


def test_the_page_shows_each_photo_with_its_map_and_what_the_map_tells(page: Path, open_page: OpenPage) -> None:
    shown: Any = open_page(page)
    assert shown.locator("h1").inner_text() == "Explanations of first"
    text = shown.locator("body").inner_text()
    assert "cat: 0.500 with its evidence covered, 0.800 by a guess; the map tells more than a guess" in text
    assert f"{ATTACK}: 0.500 with its evidence covered, 0.400 by a guess; no better than a guess" in text
    assert f"{ATTACK}.png: truncated" in text
    assert shown.locator("[data-layer]").count() == 4
    assert shown.get_by_label("Answer").locator("option").all_inner_texts() == ["all", ATTACK, "cat"]
    assert find_barriers(shown) == []


def test_the_page_fits_a_phone(page: Path, open_page: OpenPage) -> None:
    shown = open_page(page, width=NARROW_PX)
    assert find_overflow(shown) == 0
    assert find_barriers(shown) == []
