"""scikit-learn: a logistic regression on standardised features."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.side_by_side.job import run_job


def fit(features: str) -> dict[str, Any]:
    """Fit on a file with `x` and `y`, judge by its `test_x` and `test_y`; return the `seconds` and the `accuracy`."""
    arrays = np.load(features)
    train_x, train_y = arrays["x"], arrays["y"]
    start = time.perf_counter()
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(train_x, train_y)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "accuracy": float(model.score(arrays["test_x"], arrays["test_y"]))}


if __name__ == "__main__":
    run_job(fit)
