"""openTSNE: t-SNE with its defaults on 50 principal components of features of unit length."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from openTSNE import TSNE
from sklearn.decomposition import PCA

from benchmarks.side_by_side.job import run_job


def lay_out(features: str, out: str) -> dict[str, Any]:
    """Lay out a file of unit rows, write the points to `out`, and return processor `seconds`."""
    rows = np.load(features)
    start = time.process_time()
    points = np.asarray(TSNE(random_state=0, n_jobs=2).fit(PCA(50, random_state=0).fit_transform(rows)))
    seconds = time.process_time() - start
    np.save(out, points)
    return {"seconds": seconds}


if __name__ == "__main__":
    run_job(lay_out)
