"""The README.md of an export: what is in the folder, and how to ask the model, for people who do not know tlkit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tlkit.exports.proof import Proof

README = "README.md"
_PROGRAM = """\
import sys
from pathlib import Path

sys.path.insert(0, "readers")
from predict_{format} import open_model
from tlkit_reader import ask, describe_answer

run = open_model(Path("{folder}"))
outputs, facts, seconds = ask(run, "photo.jpg", {row})
print(describe_answer(outputs, facts))
"""


def write_readme(document: Mapping[str, Any], proofs: Sequence[Proof], source: str) -> str:
    """Return the text of README.md.

    Args:
        document: The content of model.json.
        proofs: The exported models, all of which agree with the bundle.
        source: The images that they were proved on, in words.
    """
    lines = [f"# {_describe_task(document)}", ""]
    lines += [f"- input `{port['name']}` {_describe_shape(port)}: {port['meaning']}" for port in document["inputs"]]
    lines += [f"- output `{port['name']}` {_describe_shape(port)}: {port['meaning']}" for port in document["outputs"]]
    lines += ["", "`model.json` has the class names, thresholds and everything else in a form for programs.", ""]
    lines += ["## The models", "", "| folder | for | size | needs |", "|---|---|---|---|"]
    lines += [
        f"| `{proof.name}/` | {proof.export.use} | {proof.num_bytes / 1e6:.1f} MB | `{proof.export.runtime}` |"
        for proof in proofs
    ]
    lines += ["", f"Each answers as the trained model does; `proof.json` has the figures, measured on {source}.", ""]
    lines += [
        "## Ask a model",
        "",
        "`pip install numpy pillow` and what the table says. Then, for files and folders:",
        "",
    ]
    lines += ["```", *(f"python readers/{proof.export.runner} photos/" for proof in _one_per_format(proofs)), "```", ""]
    if document["metadata"]:
        names = ", ".join(column["name"] for column in document["metadata"]["columns"])
        lines += [f"The model also takes {names}: `--table FILE.csv` with a column `image` and these columns.", ""]
    lines += ["Or in a program of your own, beside this file:", "", "```python"]
    lines += [
        _PROGRAM.format(format=proofs[0].export.name, folder=proofs[0].name, row=_example_row(document)) + "```",
        "",
    ]
    lines += [
        "## Without these programs",
        "",
        "A model answers as it was trained only if images are read as follows:",
        "",
    ]
    lines += [f"{number}. {step}" for number, step in enumerate(document["reading"]["steps"], start=1)]
    height, width = document["image_size"]
    lines += [
        "",
        f"The input is {width} × {height} pixels. `readers/tlkit_reader.py` does this in a few lines. A resize",
    ]
    lines += ["without antialiasing, BGR in place of RGB, or pixels from 0 to 1 give other answers, and no error."]
    return "\n".join(lines) + "\n"


def _describe_task(document: Mapping[str, Any]) -> str:
    names = document["class_names"]
    if document["target"]:
        return f"A model that estimates {document['target']['name']} from an image"
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    kind = "labels an image with" if document["task"] == "multilabel" else "tells apart"
    return f"A model that {kind} {shown}"


def _describe_shape(port: Mapping[str, Any]) -> str:
    return f"({', '.join(map(str, port['shape']))})"


def _one_per_format(proofs: Sequence[Proof]) -> list[Proof]:
    return list({proof.export.name: proof for proof in reversed(proofs)}.values())[::-1]


def _example_row(document: Mapping[str, Any]) -> str:
    if not document["metadata"]:
        return "{}"
    facts = document["metadata"]["image_facts"]
    return repr({column["name"]: "" for column in document["metadata"]["columns"] if column["name"] not in facts})
