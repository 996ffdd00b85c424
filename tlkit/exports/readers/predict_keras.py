"""Ask the Keras model: `python predict_keras.py PHOTOS`. Needs keras and one of its backends."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
from tlkit_reader import main


def open_model(folder):
    """Return a function from inputs to outputs, both by name."""
    return keras.saving.load_model(folder / "model.keras").predict_on_batch


if __name__ == "__main__":
    main(open_model, "keras")
