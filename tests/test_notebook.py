"""docs/tour.ipynb: its cells run in order, and show what is stored in it."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
TOUR = ROOT / "docs" / "tour.ipynb"
PICTURES, FEWER_PICTURES = (
    json.dumps(f'{{"train": {train}, "validation": {few}, "test": {few}}}')[1:-1] for train, few in ((24, 8), (4, 2))
)
EPOCHS, FEWER_EPOCHS = "epochs=12", "epochs=2"


def kinds_of_outputs(notebook: dict[str, Any]) -> list[list[str]]:
    """Return for each code cell what it gives: text that is printed, or a value's text or picture."""
    return [
        [kind for output in cell["outputs"] for kind in output.get("data", {output.get("name")})]
        for cell in notebook["cells"]
        if cell["cell_type"] == "code"
    ]


@pytest.mark.usefixtures("bundles_are_read_once")
def test_the_tour_runs_and_shows_what_is_stored_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("notebook", ROOT / "docs" / "notebook.py")
    assert spec is not None
    assert spec.loader is not None
    runner = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(runner)
    text = TOUR.read_text(encoding="utf-8")
    assert text.count(PICTURES) == text.count(EPOCHS) == 1
    short = tmp_path / "tour.ipynb"
    short.write_text(text.replace(PICTURES, FEWER_PICTURES).replace(EPOCHS, FEWER_EPOCHS), encoding="utf-8")
    monkeypatch.setattr("tempfile.mkdtemp", lambda: str(tmp_path))
    found = kinds_of_outputs(runner.run_notebook(short))
    assert [[kind for kind in kinds if kind != "stderr"] for kinds in found] == [
        [kind for kind in kinds if kind != "stderr"] for kinds in kinds_of_outputs(json.loads(text))
    ]
