"""A sweep of the learning rate as a figure."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tlkit.reports.figures import draw_sweep
from tlkit.reports.rates import write_rate

RATES = np.geomspace(1e-7, 10, 80).tolist()
LOSSES = np.linspace(2, 1, 80).tolist()


@pytest.mark.parametrize(
    ("num_steps", "marks"),
    [(80, {"valley": 1e-3, "steepest descent": 1e-3, "a tenth of the lowest": 1e-2}), (40, {}), (1, {})],
    ids=["three rules", "none", "one step"],
)
def test_sweeps_are_drawn_without_a_warning(tmp_path: Path, num_steps: int, marks: Mapping[str, float]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        losses = LOSSES[:num_steps]
        draw_sweep(tmp_path / "lr.png", RATES[:num_steps], losses, losses, marks=marks, chosen="valley")
    pixels = np.asarray(Image.open(tmp_path / "lr.png").convert("RGB"))
    assert min(pixels.shape[:2]) > 400
    assert (pixels[:8] == 255).all()


def test_the_rate_that_is_taken_stands_out(tmp_path: Path) -> None:
    marks = {"valley": 1e-4, "steepest descent": 1e-3}
    for chosen in marks:
        draw_sweep(tmp_path / f"{chosen}.png", RATES, LOSSES, LOSSES, marks=marks, chosen=chosen)
    assert (tmp_path / "valley.png").read_bytes() != (tmp_path / "steepest descent.png").read_bytes()


@pytest.mark.parametrize(("rate", "written"), [(1.14e-3, "1.1e-3"), (1e-7, "1e-7"), (2.96, "3e0"), (0.0, "0e0")])
def test_rates_are_written_in_two_digits_that_the_command_line_takes(rate: float, written: str) -> None:
    assert write_rate(rate) == written
    assert float(written) == pytest.approx(rate, rel=0.05)
