"""Measure how well `tlkit audit` ranks wrong labels, beside cleanlab on the same features: labels are swapped on purpose.

    python -c 'import numpy as np, tlkit; features, paths = tlkit.compute_features("photos", backbone="mobilenet_v2");
        np.savez("photos.npz", features=features, paths=[str(path) for path in paths])'
    .venv-peers/bin/python -m benchmarks.audit_labels photos.npz scans.npz

For each set, 5% of the labels are swapped, to a random class or to the class that the image looks like most, with several
seeds. Average precision counts images that were mislabelled before as false alarms, for both. cleanlab gets the
probabilities of five-fold logistic regression, as its documentation does; the best of its three scores counts, for
features as they are and standardised.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.audit.applying import hash_file
from tlkit.audit.held_out import predict_held_out
from tlkit.audit.noise import measure_label_noise

FRACTION = 0.05
SCORES = ("self_confidence", "normalized_margin", "confidence_weighted_entropy")


def swap_labels(
    labels: NDArray[np.int64], nearest: NDArray[np.int64], *, to: str, fraction: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return labels of which a fraction is wrong, int64 (n,), and which, bool (n,)."""
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(labels), round(fraction * len(labels)), replace=False)
    num_classes = int(labels.max()) + 1
    swapped = labels.copy()
    others = (labels[chosen] + rng.integers(1, num_classes, len(chosen))) % num_classes
    swapped[chosen] = others if to == "random" else nearest[chosen]
    is_wrong = np.zeros(len(labels), np.bool_)
    is_wrong[chosen] = True
    return swapped, is_wrong


def rank_by_cleanlab(features: NDArray[np.float32], labels: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Return how doubtful each label is, by each of cleanlab's scores."""
    from cleanlab.rank import get_label_quality_scores
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    logistic = LogisticRegression(max_iter=1000)
    ranked = {}
    for name, model in (("", logistic), (", standardised", make_pipeline(StandardScaler(), logistic))):
        probabilities = cross_val_predict(model, features, labels, cv=5, method="predict_proba")
        for score in SCORES:
            ranked[f"cleanlab {score}{name}"] = -get_label_quality_scores(labels, probabilities, method=score)
    return ranked


def measure(path: Path, num_seeds: int) -> None:
    """Print a set's average precisions and estimates."""
    from sklearn.metrics import average_precision_score

    arrays = np.load(path)
    features = arrays["features"].astype(np.float32)
    files = [Path(name) for name in arrays["paths"].tolist()]
    labels = np.unique([file.parent.name for file in files], return_inverse=True)[1]
    copies = np.unique([hash_file(file) for file in files], return_inverse=True)[1]
    num_classes = int(labels.max()) + 1
    scores = np.mean(predict_held_out(features, np.eye(num_classes)[labels], copies), axis=0)
    scores[np.arange(len(labels)), labels] = -np.inf
    nearest = scores.argmax(axis=1)
    for to, fraction in (("random", 0.0), ("random", FRACTION), ("nearest", FRACTION)):
        precisions: dict[str, list[float]] = defaultdict(list)
        estimates: list[Any] = []
        for seed in range(num_seeds):
            swapped, is_wrong = swap_labels(labels, nearest, to=to, fraction=fraction, seed=seed)
            noise = measure_label_noise(predict_held_out(features, np.eye(num_classes)[swapped], copies), swapped)
            estimates.append((noise.estimate.number, noise.estimate.low, noise.estimate.high))
            if not fraction:
                break
            for name, doubt in {"tlkit": noise.wrong, **rank_by_cleanlab(features, swapped)}.items():
                precisions[name].append(float(average_precision_score(is_wrong, doubt)))
        number, low, high = np.mean(estimates, axis=0)
        print(f"{path.stem}, {fraction:.0%} to {to}: estimated {number:.0f} ({low:.0f} to {high:.0f}) of {len(labels)}")
        for name, values in sorted(precisions.items(), key=lambda item: -np.mean(item[1])):
            print(f"  {np.mean(values):.3f} ± {np.std(values):.3f}  {name}")


def main() -> None:
    """Measure every set that is given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "sets", nargs="+", type=Path, help="NumPy files with features and paths, whose folders are the classes"
    )
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    for path in given.sets:
        measure(path, given.seeds)


if __name__ == "__main__":
    main()
