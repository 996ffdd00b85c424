from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np

from tlkit.audit.box_pairs import Scene
from tlkit.audit.judging import BoxJudge, Subject, judge_scenes
from tlkit.data.manifest import ImageRecord, Manifest
from tlkit.outputs import DETECTION
from tlkit.reports.console import Console

BOX = (10.0, 10.0, 60.0, 60.0)


def make_records(number: int) -> list[ImageRecord]:
    text = '[["cat",10,10,60,60]]'
    return [ImageRecord(Path(f"/{place}.jpg"), f"{place:064}", 100, 100, "train", text) for place in range(number)]


def test_copies_are_too_few_images_to_learn_from() -> None:
    records = make_records(20)
    manifest = Manifest(Path("/"), ("cat",), tuple(records), task=DETECTION)
    groups = np.array([0] * 8 + [1] * 3 + [-1] * 9)
    subject = Subject(manifest, records, np.zeros((20, 2)), np.zeros((20, 1), np.int64), groups)
    judgement = BoxJudge(cast("Any", None), cast("Any", None)).judge(subject, Console(verbosity=-1))
    assert judgement.findings == ()
    assert judgement.notices == ["Boxes were not judged: that takes 12 different images, and there are 11."]


def test_detectors_say_how_much_they_find() -> None:
    records = make_records(4)
    boxes = np.array([[*BOX, 1, 0]], np.float32)
    found, nothing = np.array([[*BOX, 0.9, 0]], np.float32), np.zeros((0, 6), np.float32)
    good = [Scene(boxes, found)] * 3
    judgement = judge_scenes(records, [*good, Scene(boxes, nothing)], (0.5,), ("cat",))
    start = "Boxes were judged by 3 detectors, each trained on other images than those it judges. They find "
    assert judgement.notices == [f"{start}3 of the 4 boxes."]
    assert [(each.kind, each.path.name) for each in judgement.findings] == [("doubtful", "3.jpg")]
    assert judgement.judged == "classes of boxes"
    weak = judge_scenes(records, [*good[:1], *[Scene(boxes, nothing)] * 3], (0.5,), ("cat",))
    assert weak.notices == [f"{start}1 of the 4 boxes, so few that what they miss says little about the boxes."]
