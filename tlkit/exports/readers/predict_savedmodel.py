"""Ask the SavedModel: `python predict_savedmodel.py PHOTOS`. Needs tensorflow."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf
from tlkit_reader import main


def open_model(folder):
    """Return a function from inputs to outputs, both by name."""
    model = tf.saved_model.load(str(folder / "saved_model"))
    serve = model.signatures["serving_default"]

    def run(inputs):
        answers = serve(**{name: tf.constant(value, tf.float32) for name, value in inputs.items()})
        return {name: value.numpy() for name, value in answers.items()}

    return run


if __name__ == "__main__":
    main(open_model, "savedmodel")
