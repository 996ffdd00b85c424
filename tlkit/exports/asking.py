"""Ask an exported model as its recipient does: by the program that the export ships, in a fresh process, from files."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tlkit.errors import NumericsError
from tlkit.exports.base import Export

READERS = "readers"
MAX_ERROR_CHARACTERS = 300


@dataclass(frozen=True)
class Question:
    """An image file, and the texts of its metadata by column, without those that the file itself gives."""

    path: Path
    texts: Mapping[str, str] = field(default_factory=dict)


def ask_export(
    out: Path,
    export: Export,
    folder: Path,
    questions: Sequence[Question],
    *,
    num_maps: int = 0,
    advance: Callable[[int], None] = lambda count: None,
) -> list[dict[str, Any]]:
    """Return what an exported model answers for images, as its program prints it: a row for each, in order.

    Args:
        out: Folder of the export, with `model.json` and `readers/`.
        export: The format.
        folder: Folder of the model in it.
        questions: The images, each once.
        num_maps: Number of images whose map, or boxes and scores at all places, are wanted, if the model has them.
        advance: Called with the number of images since the last call.

    Raises:
        NumericsError: The program fails.
    """
    with tempfile.TemporaryDirectory() as scratch:
        table, noise = Path(scratch) / "images.csv", Path(scratch) / "errors.txt"
        _write_table(table, questions)
        program = [str(out / READERS / export.runner), "--model", str(folder), "--table", str(table)]
        # Without PYTHONPATH and its like, as a recipient would; and without leaving compiled files in the folder.
        command = [sys.executable, "-E", "-B", "-X", "utf8", *program, "--maps", str(num_maps), "--all"]
        rows: list[dict[str, Any]] = []
        with (
            noise.open("wb") as errors,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, encoding="utf-8") as process,
        ):
            assert process.stdout is not None, "it is a pipe"
            try:
                for line in process.stdout:
                    if line.startswith("{"):
                        rows.append(json.loads(line))
                        advance(1)
                code = process.wait()
            finally:
                process.kill()
        if code or len(rows) != len(questions):
            said = " ".join(noise.read_text("utf-8", errors="replace").split())[-MAX_ERROR_CHARACTERS:]
            raise NumericsError(
                f"{export.runner} answered {len(rows):,} of {len(questions):,} images and ended with code {code}: {said}",
                expected=f"an answer for every image from {export.title} in a fresh process",
                fix="leave out this format, and please report this as a bug in tlkit.",
            )
        return rows


def _write_table(path: Path, questions: Sequence[Question]) -> None:
    columns = [*dict.fromkeys(name for question in questions for name in question.texts)]
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        writer = csv.DictWriter(file, ["image", *columns])
        writer.writeheader()
        writer.writerows({**question.texts, "image": str(question.path.absolute())} for question in questions)
