"""What became of each image with objects."""

from __future__ import annotations

import numpy as np

from tests.metrics.test_detection_errors import CAT, DOG, ONE_OF_EACH, make_box, make_object, stack
from tlkit.tasks.detection_verdicts import DetectionVerdicts, JudgedBox, judge_detections
from tlkit.tasks.verdicts import CommonMistake, Verdict

TARGETS = stack(
    ONE_OF_EACH[0][0].tolist(),
    [make_object(0, CAT), make_object(50, CAT), make_object(100, DOG)],
    [],
    [],
    [make_object(0, DOG), make_object(50, DOG, ignored=1)],
)
DETECTIONS = stack(
    ONE_OF_EACH[1][0].tolist(),
    [make_box(0, CAT, 0.9), make_box(50, CAT, 0.8), make_box(100, DOG, 0.55)],
    [make_box(0, DOG, 0.75)],
    [make_box(0, DOG, 0.1)],
    [make_box(50, DOG, 0.9)],
)


def judge() -> DetectionVerdicts:
    return judge_detections(TARGETS, DETECTIONS, ("cat", "dog"), (0.45, 0.35))


def test_the_loss_counts_missed_objects_and_the_scores_of_wrong_boxes() -> None:
    verdicts = judge()
    np.testing.assert_allclose(verdicts.losses, [3 + 0.8 + 0.7 + 0.6 + 0.5 + 0.4, 0, 0.75, 0, 1], rtol=1e-6)
    assert verdicts.is_right is not None
    assert verdicts.margins is not None
    assert verdicts.is_right.tolist() == [False, True, False, True, False]
    np.testing.assert_allclose(verdicts.margins, [0.05, 0.2, 0.4, 0.25, 0.55], rtol=1e-5)
    assert verdicts.rank(np.arange(5)).tolist() == [0, 4, 2, 1, 3]


def test_an_image_is_described_by_its_mistakes() -> None:
    verdicts = judge()
    assert verdicts.describe(0) == Verdict(
        (
            "missed: cat",
            "wrong class: cat 60.0% for dog",
            "wrong place: cat 70.0% IoU 0.43",
            "wrong class and place: dog 40.0% for cat IoU 0.43",
            "twice: cat 80.0%",
            "no object: cat 50.0%",
            "found: cat",
        ),
        "3 missed, 5 wrong",
        "cat missed cat twice cat misplaced dog as cat cat where no object is cat as dog, misplaced",
        {
            "mistake": [
                "cat as dog, misplaced",
                "cat misplaced",
                "cat missed",
                "cat twice",
                "cat where no object is",
                "dog as cat",
            ],
            "missed": ["cat", "dog"],
            "false": ["cat", "dog"],
            "true": ["cat", "dog"],
            "predicted": ["cat", "dog"],
        },
    )
    assert verdicts.describe(1).lines == ("found: 2 cat, dog",)
    assert verdicts.describe(1).badge == "right"
    assert verdicts.describe(3) == Verdict(
        ("no object, rightly",),
        "right",
        "",
        {"mistake": ["none"], "missed": [], "false": [], "true": ["none"], "predicted": ["none"]},
    )
    assert verdicts.describe(4).lines == ("missed: dog",)


def test_mistakes_are_listed_by_frequency() -> None:
    mistakes = judge().list_common_mistakes()
    assert [(mistake.title, list(mistake.rows)) for mistake in mistakes] == [
        ("cat as dog, misplaced", [0]),
        ("cat misplaced", [0]),
        ("cat missed", [0]),
        ("cat twice", [0]),
        ("cat where no object is", [0]),
        ("dog as cat", [0]),
        ("dog missed", [4]),
        ("dog where no object is", [2]),
    ]
    assert mistakes[-1] == CommonMistake("dog where no object is", {"mistake": "dog where no object is"}, [2])
    for mistake in mistakes:
        for row in mistake.rows:
            assert mistake.title in judge().describe(row).facets["mistake"]


def test_true_and_shown_boxes_say_what_became_of_them() -> None:
    verdicts = judge()
    assert verdicts.list_true(4) == [
        JudgedBox((0, 0, 10, 10), DOG, "missed"),
        JudgedBox((50, 0, 60, 10), DOG, "ignored"),
    ]
    assert [(box.label, box.kind) for box in verdicts.list_shown(4)] == [(DOG, "ignored")]
    assert [box.kind for box in verdicts.list_true(0)] == ["found", "missed", "missed", "missed"]
    assert [box.kind for box in verdicts.list_shown(0)] == [
        "found",
        "duplicate",
        "place",
        "class",
        "background",
        "both",
    ]
    assert verdicts.list_true(3) == verdicts.list_shown(3) == []


def test_numbers_lead_to_the_images_behind_them() -> None:
    verdicts = judge()
    assert verdicts.find_behind("precision", "cat") == {"predicted": "cat"}
    assert verdicts.find_behind("objects", "cat") == {"true": "cat"}
    assert verdicts.find_behind("objects", "mean of the classes") == {}
    assert [verdicts.find_output(row) for row in range(5)] == [CAT, CAT, DOG, 0, DOG]
    assert verdicts.kind_of(2) == ("dog where no object is",)
    assert verdicts.kind_of(1) == ("cat", "dog")
