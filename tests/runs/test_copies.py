"""What a run says of near copies on both sides of its split."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tests.runs.test_mistakes import make_records, make_spec
from tlkit.data.manifest import Manifest
from tlkit.data.near_copies import SplitCopies
from tlkit.inference.scoring import Scores
from tlkit.runs.copies import note_split_copies, score_without_copies

RECORDS = make_records(["cat", "cat", "dog", "dog", "dog"])
TRAINING = dataclasses.replace(RECORDS[0], path=Path("/photos/train.png"), sha256="f" * 64, split="train")
SCORES = Scores(RECORDS, np.array([[0.9, 0.1], [0.2, 0.8], [0.1, 0.9], [0.7, 0.3], [0.3, 0.7]], np.float32), None, ())


def test_the_score_without_copies_is_that_of_the_other_images() -> None:
    copies = SplitCopies(((RECORDS[0], TRAINING), (RECORDS[2], TRAINING)), 5)
    found = score_without_copies(make_spec(["cat", "dog"]), SCORES, copies)
    assert found is not None
    payload = found.to_payload()
    assert (payload["validation"], payload["without"]["images"]) == (2, 3)
    assert payload["without"]["accuracy"]["value"] == pytest.approx(1 / 3)
    assert found.sentence().startswith(
        "Without the 2 images that have a near copy among the training images: Accuracy 0.333"
    )


def test_without_copies_or_without_other_images_there_is_no_second_score() -> None:
    spec = make_spec(["cat", "dog"])
    assert score_without_copies(spec, SCORES, SplitCopies((), 5)) is None
    assert score_without_copies(spec, None, SplitCopies(((RECORDS[0], TRAINING),), 5)) is None
    most = tuple((record, TRAINING) for record in RECORDS[:4])
    assert score_without_copies(spec, SCORES, SplitCopies(most, 5)) is None


def test_copies_are_a_notice_and_a_finding_each() -> None:
    manifest = Manifest(Path("/photos"), ("cat", "dog"), (*RECORDS, TRAINING), (), ("Before.",))
    copies = SplitCopies(((RECORDS[1], TRAINING),), 5)
    noted = note_split_copies(manifest, copies)
    assert noted.notices == (
        "Before.",
        "Of 5 images compared, 1 validation image has a near copy among the training images, so scores are too optimistic; "
        "a run lists them in findings.csv; where tlkit makes the split, --group-by similarity keeps copies together.",
    )
    assert [(each.path, each.finding) for each in noted.findings] == [
        (RECORDS[1].path, "near copy of a training image: /photos/train.png")
    ]
    assert note_split_copies(manifest, SplitCopies((), 5)) is manifest
