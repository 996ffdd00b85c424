"""Ask the OpenVINO model: `python predict_openvino.py PHOTOS`. Needs openvino."""

import openvino
from tlkit_reader import MODEL, main


def open_model(folder):
    """Return a function from inputs to outputs, both by name."""
    # Processors with bfloat16 would otherwise compute in it: faster, but the second decimal of a probability changes.
    settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    model = openvino.Core().compile_model(folder / "model.xml", "CPU", settings)
    names = {output["name"] for output in MODEL["outputs"]}  # a port may have the name of an operation, too

    def run(inputs):
        answers = model(inputs)
        return {(port.get_names() & names).pop(): answers[port] for port in model.outputs}

    return run


if __name__ == "__main__":
    main(open_model, "openvino")
