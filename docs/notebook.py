"""Run the cells of a notebook in order, in this process, and keep what they give: a notebook without Jupyter.

`make notebook` runs docs/tour.ipynb and stores its outputs; a test runs it too, so that it stays true.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import io
import json
from pathlib import Path
from typing import Any

TOUR = Path(__file__).parent / "tour.ipynb"


def run_notebook(path: Path) -> dict[str, Any]:
    """Return the notebook as JSON has it, with the outputs of a run of its code cells.

    An output is what a cell prints, warnings included, or the value of its last expression: a picture of Pillow's as JPEG, else its text.
    """
    notebook: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    names: dict[str, Any] = {"__name__": "__main__"}
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for number, cell in enumerate(cells, start=1):
        cell["execution_count"] = number
        cell["outputs"] = _run_cell("".join(cell["source"]), names, number)
    return notebook


def _run_cell(source: str, names: dict[str, Any], number: int) -> list[dict[str, Any]]:
    module = ast.parse(source)
    last = module.body.pop() if module.body and isinstance(module.body[-1], ast.Expr) else None
    streams = {"stdout": io.StringIO(), "stderr": io.StringIO()}
    value = None
    with contextlib.redirect_stdout(streams["stdout"]), contextlib.redirect_stderr(streams["stderr"]):
        exec(compile(module, f"cell {number}", "exec"), names)  # noqa: S102 - our own cells
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), f"cell {number}", "eval"), names)  # noqa: S307
    outputs: list[dict[str, Any]] = [
        {"output_type": "stream", "name": name, "text": stream.getvalue().splitlines(keepends=True)}
        for name, stream in streams.items()
        if stream.getvalue()
    ]
    if value is not None:
        outputs.append(
            {"output_type": "execute_result", "execution_count": number, "metadata": {}, "data": _show(value)}
        )
    return outputs


def _show(value: Any) -> dict[str, Any]:
    if hasattr(value, "_repr_jpeg_"):
        return {"image/jpeg": base64.b64encode(value._repr_jpeg_()).decode("ascii")}
    return {"text/plain": repr(value).splitlines(keepends=True)}


def main() -> None:
    """Store the outputs of the tour."""
    text = json.dumps(run_notebook(TOUR), indent=1, ensure_ascii=False)
    TOUR.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
