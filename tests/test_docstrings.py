"""The examples in docstrings, but for those of `tlkit.api`, which `test_api` runs: they need images and a model."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in sorted((ROOT / "tlkit").rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8") and path.parent.name != "api"
]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_in_docstrings_run(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert (result.failed, result.attempted > 0) == (0, True)
