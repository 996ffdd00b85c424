"""Stock Keras: the script that says what is on one picture: load the saved model, load the picture, predict."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from benchmarks.side_by_side.job import run_job


def predict(model: str, picture: str) -> dict[str, Any]:
    """Return the class of the picture and its probability."""
    image = keras.utils.load_img(picture, target_size=(224, 224))
    classifier = keras.models.load_model(model, compile=False)
    logits = classifier.predict(keras.utils.img_to_array(image)[np.newaxis], verbose=0)
    probabilities = keras.ops.softmax(logits)[0]
    best = int(np.argmax(probabilities))
    return {"class": best, "probability": float(probabilities[best])}


if __name__ == "__main__":
    run_job(predict)
