"""The tables of the benchmark of explanations."""

from __future__ import annotations

import numpy as np

from benchmarks.explanation_tables import BASELINES, CENTRE, Figures, find_values, write_tables


def test_a_gain_compares_the_same_photos() -> None:
    figures = {
        "saliency": {"insertion": [0.5, 0.75], "deletion": [0.25, 0.25]},
        CENTRE: {"insertion": [0.5, 0.5, 9.0], "deletion": [0.0, 0.25, 0.0]},
    }
    np.testing.assert_array_equal(find_values(figures, "saliency", f"gain over {CENTRE}"), [-0.25, 0.25])
    assert find_values(figures, "saliency", f"gain over {BASELINES[0]}").size == 0
    assert find_values(figures, "rise", "insertion").size == 0


def test_a_table_has_a_row_for_each_method_with_intervals_and_the_default_in_bold() -> None:
    figures: Figures = {
        "dense": {
            "gradcam": {"both": [1.0, 1.0, 0.0, 1.0]},
            "saliency": {"both": [0.0, 0.0], "own half": [float("nan")]},
        },
        "conv": {"exact": {"both": [1.0, 1.0], "own half": [0.75, 0.75]}},
    }
    assert write_tables(figures, {"dense": "gradcam", "conv": "exact"}).split("\n") == [
        "",
        "| both | photos | dense | conv |",
        "|---|---|---|---|",
        "| exact | 2 | – | **1.00 (.34 to 1.00)** |",
        "| gradcam | 4 | **.75 (.30 to .95)** | – |",
        "| saliency | 2 | .00 (.00 to .66) | – |",
        "",
        "| own half | photos | dense | conv |",
        "|---|---|---|---|",
        "| exact | 2 | – | **.75 (.75 to .75)** |",
        "| saliency | 1 | – | – |",
    ]
