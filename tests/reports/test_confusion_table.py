"""The confusion matrix as a table of links."""

from __future__ import annotations

import numpy as np
import pytest

from tlkit.reports.confusion_table import render_confusion
from tlkit.reports.markup import Link


def test_every_count_is_a_link_and_as_dark_as_its_part_of_the_row() -> None:
    section = render_confusion(
        np.array([[3, 1], [0, 5]]),
        ["cat", "<dog>"],
        lambda true, predicted, count: Link(str(count), f"{true}-{predicted}"),
    )
    assert section is not None
    assert '<td class="right shade8"><a href="#cat-cat">3</a></td>' in section.body
    assert '<td class="wrong shade3"><a href="#cat-&lt;dog&gt;">1</a></td>' in section.body
    assert "<td></td>" in section.body
    assert '<td class="right shade10"><a href="#&lt;dog&gt;-&lt;dog&gt;">5</a></td>' in section.body


@pytest.mark.parametrize("num_classes", [1, 31])
def test_a_matrix_that_says_nothing_or_fits_no_page_is_left_out(num_classes: int) -> None:
    counts = np.eye(num_classes, dtype=np.int64)
    assert render_confusion(counts, ["a"] * num_classes, lambda *_: "") is None
