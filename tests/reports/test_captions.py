"""The lines beneath a picture, for each task."""

from __future__ import annotations

import pytest

from tlkit.reports.captions import (
    CaptionLine,
    caption_classes,
    caption_flagged,
    caption_labels,
    caption_value,
    format_percent,
)


def test_of_classes_the_first_is_the_answer() -> None:
    assert caption_classes([("cat", 0.75), ("dog", 0.25)]) == [
        CaptionLine("cat", "75.0%", 0.75, is_bright=True),
        CaptionLine("dog", "25.0%", 0.25),
    ]


def test_labels_above_their_threshold_are_marked_wherever_they_rank() -> None:
    assert caption_labels([("cat", 0.75), ("dog", 0.25)], ("dog", "eel")) == [
        CaptionLine("cat", "75.0%", 0.75),
        CaptionLine("dog", "25.0%", 0.25, is_bright=True, has_dot=True),
        CaptionLine("eel", is_bright=True, has_dot=True),
    ]
    assert not any(line.is_bright for line in caption_labels([("cat", 0.4)], ()))


def test_a_flag_comes_first_and_no_answer_is_bright() -> None:
    assert caption_flagged("uncertain", "below 80%", caption_classes([("cat", 0.75)])) == [
        CaptionLine("uncertain", "below 80%", is_bright=True, has_dot=True),
        CaptionLine("cat", "75.0%", 0.75),
    ]


def test_a_value_is_one_line_with_its_name() -> None:
    assert caption_value("price_usd", 325_000.25) == [CaptionLine("price_usd", "325,000", is_bright=True)]


@pytest.mark.parametrize(
    ("probability", "text"),
    [(1, "100%"), (0.99999, "99.9%"), (0.999, "99.9%"), (0.83149, "83.1%"), (0.0004, "< 0.1%"), (0, "0%")],
)
def test_percentages_never_claim_more_certainty_than_there_is(probability: float, text: str) -> None:
    assert format_percent(probability) == text
