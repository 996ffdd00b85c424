"""Figures are drawn here, and blank elsewhere."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module", autouse=True)
def figures_as_users_get_them(drawn_figures: None) -> None:
    """Let every figure of these tests be drawn."""
