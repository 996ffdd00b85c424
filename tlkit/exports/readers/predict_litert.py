"""Ask the LiteRT model: `python predict_litert.py PHOTOS`. Needs ai-edge-litert."""

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from tlkit_reader import main


def open_model(folder):
    """Return a function from inputs to outputs, both by name."""
    run_model = Interpreter(str(folder / "model.tflite")).get_signature_runner("serving_default")

    def run(inputs):
        return run_model(**{name: array.astype(np.float32) for name, array in inputs.items()})

    return run


if __name__ == "__main__":
    main(open_model, "litert")
