"""Ask the ONNX model: `python predict_onnx.py PHOTOS`. Needs onnxruntime."""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # some releases report their use to Microsoft

import numpy as np
import onnxruntime
from tlkit_reader import main


def open_model(folder):
    """Return a function from inputs to outputs, both by name."""
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def run(inputs):
        return dict(zip(names, session.run(names, {name: array.astype(np.float32) for name, array in inputs.items()})))

    return run


if __name__ == "__main__":
    main(open_model, "onnx")
