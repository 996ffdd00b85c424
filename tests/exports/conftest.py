"""A model and a runtime of a few lines, so that proofs of exports need neither TensorFlow nor another runtime."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tlkit.data.images import LOADER_VERSION
from tlkit.exports import find_export
from tlkit.exports.base import CalibrationImages, Export
from tlkit.exports.folder import _PROGRAMS
from tlkit.exports.model_json import build_document
from tlkit.exports.proof import Proof
from tlkit.models.novelty import fit_novelty
from tlkit.models.spec import BundleSpec
from tlkit.recipes import HeadSettings

if TYPE_CHECKING:
    from tlkit.models.classifier import Classifier

SPEC = BundleSpec("tiny", (32, 32), "squash", LOADER_VERSION, "avg", HeadSettings("linear"), ("dark", "bright", "red"))
"""What a `ToyModel` says that it is."""
FORMULA = """\
    def run(inputs):
        pixels = inputs["image"].astype(np.float64)
        edges = np.abs(np.diff(pixels, axis=2)).mean(axis=(1, 2))
        mean = pixels.mean(axis=(1, 2))
        logits = np.stack([-edges[:, 0], edges[:, 1] / 3, (mean[:, 0] - mean[:, 2]) / 20], axis=1) / TEMPERATURE
        scores = np.exp(logits - logits.max(axis=1, keepdims=True))
        return {"probabilities": scores / scores.sum(axis=1, keepdims=True)}

    return run
"""
PROGRAM = f"""\
import numpy as np
from tlkit_reader import main

TEMPERATURE = 2.0


def open_model(folder):
    assert (folder / "model.toy").read_text() == "toy"
{FORMULA}

main(open_model, "toy")
"""


def draw_images(count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), np.uint8)


CALIBRATION = CalibrationImages(draw_images(3), np.zeros((3, 0), np.float32))
"""Always the same images, from which a model is quantized only once."""


def make_classifier(spec: BundleSpec) -> Classifier:
    """Return a model with opinions, also of what only inference sees, that measures distances."""
    from tlkit.models.classifier import assemble_classifier

    classifier = assemble_classifier(spec, weights="random", seed=5)
    rng = np.random.default_rng(5)
    for variable in classifier.head.weights:
        noise = rng.normal(size=variable.shape, scale=0.05)
        variable.assign(np.asarray(variable) + (np.abs(noise) if "variance" in variable.path else noise))
    classifier.novelty = fit_novelty(rng.normal(size=(40, classifier.compute_features(draw_images(1)).shape[1])))
    classifier.spec = dataclasses.replace(classifier.spec, unknown_above=0.75)
    return classifier


def make_proof(name: str) -> Proof:
    """Return the proof of a format's float32 model, without its figures."""
    return Proof(f"{name}-float32", find_export(name), "float32", 4, None, "")  # type: ignore[arg-type]


class ToyModel:
    """A predictor that looks at edges and at how red an image is, so that it minds how images are read."""

    spec = SPEC
    batch_size = 4
    num_parallel = 1
    engine = "toy"

    def predict(self, images: NDArray[np.uint8], metadata: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        place: dict[str, Any] = {"np": np, "TEMPERATURE": 2.0}
        exec(f"def open_model():\n{FORMULA}", place)
        rows: NDArray[np.float32] = place["open_model"]()({"image": images})["probabilities"].astype(np.float32)
        return rows


@pytest.fixture
def toy() -> Export:
    """A format of which a model is written by writing "toy" into a file."""

    def write(model: Any, folder: Path, precision: str, calibration: Any) -> list[Path]:
        (folder / "model.toy").write_text("toy")
        return [folder / "model.toy"]

    return dataclasses.replace(find_export("keras"), name="toy", title="Toy", packages=("numpy",), write=write)


@pytest.fixture
def ship(tmp_path: Path) -> Callable[..., Path]:
    """`ship(*changes)`: a folder with a proved toy, whose programs have pairs of texts exchanged."""

    def make(*changes: tuple[str, str]) -> Path:
        out = tmp_path / "ship"
        shutil.copytree(_PROGRAMS, out / "readers", ignore=shutil.ignore_patterns("__pycache__"))
        (out / "readers" / "predict_toy.py").write_text(PROGRAM)
        for path in (out / "readers").glob("*.py"):
            text = path.read_text("utf-8")
            for old, new in changes:
                text = text.replace(old, new)
            path.write_text(text, "utf-8")
        (out / "model.json").write_text(json.dumps(build_document(SPEC, bundle_sha256="0")), "utf-8")
        (out / "toy-float32").mkdir()
        (out / "toy-float32" / "model.toy").write_text("toy")
        return out

    return make
