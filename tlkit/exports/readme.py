"""The README.md of an export: what is in the folder, and how to ask the model, for people who do not know tlkit."""

from __future__ import annotations

import json
import shlex
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
_BROWSER_PROGRAM = """\
import * as ort from "./readers/ort.wasm.min.mjs";
import {{ describeAnswer, readImage{metadata} }} from "./readers/tlkit_reader.js";

ort.env.wasm.numThreads = 1;
const model = await (await fetch("model.json")).json();
const session = await ort.InferenceSession.create("{folder}/model.onnx");
const {{ pixels, width, height }} = await readImage(await (await fetch("photo.jpg")).blob(), model);
const inputs = {{ image: new ort.Tensor("float32", pixels, [1, ...model.image_size, 3]) }};
{row}const outputs = await session.run(inputs);
const numbers = Object.fromEntries(Object.entries(outputs).map(([name, tensor]) => [name, tensor.data]));
window.answer = describeAnswer(numbers, width, height, model);
"""
_BROWSER_ROW = """\
const row = readMetadata({row}, model);
inputs.metadata = new ort.Tensor("float32", row, [1, row.length]);
"""
_NATIVE_PROGRAM = """\
pip install openvino
OPENVINO=$(python -c "import openvino, pathlib; print(pathlib.Path(openvino.__file__).parent / 'cmake')")
cmake -S readers/cpp -B build -DOpenVINO_DIR=$OPENVINO
cmake --build build
build/predict {folder} {metadata}photo.jpg
"""

_MADE_OF_OUTPUTS = {
    "objects": "Objects are made of `boxes` and `scores` as follows; `objects` in `model.json` has the numbers:",
    "mask": "A mask is made of `cells` as follows; `mask` in `model.json` has the numbers:",
}
"""What is made of the outputs outside the network, by the part of `model.json` that says how."""


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
    if document["mask"]:
        lines += [
            "`--masks found/` writes the mask of each image as a PNG file: 0 is background, 1 the first class.",
            "",
        ]
    if document["metadata"]:
        names = ", ".join(column["name"] for column in document["metadata"]["columns"])
        lines += [f"The model also takes {names}: `--table FILE.csv` with a column `image` and these columns.", ""]
    lines += ["Or in a program of your own, beside this file:", "", "```python"]
    lines += [
        _PROGRAM.format(format=proofs[0].export.name, folder=proofs[0].name, row=_example_row(document)) + "```",
        "",
    ]
    folders = {proof.export.name: proof.name for proof in reversed(proofs)}
    has_one_answer = not document["objects"] and not document["mask"]
    lines += _describe_browser(folders["onnx"], document) if "onnx" in folders else []
    lines += _describe_native(folders["openvino"], document) if has_one_answer and "openvino" in folders else []
    lines += [
        "## Without these programs",
        "",
        "A model answers as it was trained only if images are read as follows:",
        "",
    ]
    lines += [f"{number}. {step}" for number, step in enumerate(document["reading"]["steps"], start=1)]
    for part, sentence in _MADE_OF_OUTPUTS.items():
        if document[part]:
            lines += ["", sentence, ""]
            lines += [f"{number}. {step}" for number, step in enumerate(document[part]["steps"], start=1)]
    height, width = document["image_size"]
    lines += [
        "",
        f"The input is {width} × {height} pixels. `readers/tlkit_reader.py` does this in a few lines. A resize",
    ]
    lines += ["without antialiasing, BGR in place of RGB, or pixels from 0 to 1 give other answers, and no error."]
    return "\n".join(lines) + "\n"


def _describe_browser(folder: str, document: Mapping[str, Any]) -> list[str]:
    metadata, row = "", ""
    if document["metadata"]:
        texts = {column["name"]: "" for column in document["metadata"]["columns"]}
        metadata, row = ", readMetadata", _BROWSER_ROW.format(row=json.dumps(texts, ensure_ascii=False))
    return [
        "## In a browser",
        "",
        "Copy three files from the folder `dist/` of the npm package `onnxruntime-web` (tried with 1.22) into `readers/`:",
        "`ort.wasm.min.mjs`, `ort-wasm-simd-threaded.mjs` and `ort-wasm-simd-threaded.wasm`. Then",
        f"`python -m http.server 8000` in this folder, and open <http://localhost:8000/readers/?precision={folder.partition('-')[2]}>: a page that takes pictures and shows",
        "the answers. It asks no other host. In a page of your own, beside this file:",
        "",
        "```js",
        _BROWSER_PROGRAM.format(folder=folder, metadata=metadata, row=row) + "```",
        "",
    ]


def _describe_native(folder: str, document: Mapping[str, Any]) -> list[str]:
    columns = document["metadata"]["columns"] if document["metadata"] else ()
    metadata = "".join(f"--metadata {shlex.quote(column['name'] + '=')} " for column in columns)
    return [
        "## In C++",
        "",
        "`readers/cpp/` has a program of OpenVINO's C++ interface; it reads JPEG with libjpeg, PNG with libpng, and PPM.",
        *(["`--metadata` gives a value for the photos after it; an empty one is missing."] if metadata else []),
        "",
        "```sh",
        _NATIVE_PROGRAM.format(folder=folder, metadata=metadata) + "```",
        "",
    ]


def _describe_task(document: Mapping[str, Any]) -> str:
    names = document["class_names"]
    if document["target"]:
        return f"A model that estimates {document['target']['name']} from an image"
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    kinds = {
        "multilabel": "labels an image with",
        "detection": "finds in an image:",
        "segmentation": "outlines in an image:",
    }
    kind = kinds.get(document["task"], "tells apart")
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
