"""Compare tlkit's map of features with those of scikit-learn and openTSNE: neighbours kept, trustworthiness, processor time.

    python -m benchmarks.maps clothing/ --weights mobilenet_v2.weights.h5 --peers .venv-peers/bin/python

Each side lays out the same features of unit length in a process of its own. Of an image's 10 nearest neighbours by cosine,
`kept` counts those that are among its 10 nearest on the map; `trust` punishes neighbours on the map by how far they
really are (Venna and Kaski 2001). Both are 1 at best.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

import tlkit
from benchmarks.side_by_side.job import run_job
from tlkit.similarity.search import find_neighbours, measure_lengths, scale_rows

NUM_NEIGHBOURS = 10
MAX_TRUSTED = 3000
PEERS = ("sklearn_map", "opentsne_map")


def lay_out(features: str, out: str) -> dict[str, Any]:
    """Lay out a file of features, write the points to `out`, and return processor `seconds`."""
    import time

    from tlkit.similarity.projection import project_features

    rows = np.load(features)
    start = time.process_time()
    points = project_features(rows)
    seconds = time.process_time() - start
    np.save(out, points)
    return {"seconds": seconds}


def measure(rows: NDArray[np.float32], points: NDArray[Any]) -> tuple[float, float]:
    """Return the neighbours kept and the trustworthiness of a map, 0..1 each, the second on at most 3,000 images."""
    number, k = len(rows), NUM_NEIGHBOURS
    true, _ = find_neighbours(rows, rows, k, exclude_self=True)
    chosen = set(np.random.default_rng(0).permutation(number)[:MAX_TRUSTED].tolist())
    kept, penalty = 0, 0
    for image in range(number):
        distances = ((points - points[image]) ** 2).sum(axis=1)
        distances[image] = np.inf
        shown = np.argpartition(distances, k)[:k]
        kept += len(np.intersect1d(true[image], shown))
        if image in chosen:
            cosines = rows @ rows[image]
            cosines[image] = np.inf
            ranks = np.empty(number, int)
            ranks[np.argsort(-cosines, kind="stable")] = np.arange(number)
            penalty += int(np.maximum(ranks[shown] - k, 0).sum())
    trust = 1 - 2 * penalty / (len(chosen) * k * (2 * number - 3 * k - 1))
    return kept / (number * k), trust


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--weights", required=True, help="Weights of MobileNetV2.")
@click.option("--image-size", type=int, default=224)
@click.option("--peers", help="Python of an environment with scikit-learn and openTSNE.")
def main(data: Path, weights: str, image_size: int, peers: str | None) -> None:
    """Print a table with a row for each side."""
    features, _ = tlkit.compute_features(data, backbone="mobilenet_v2", weights=weights, image_size=image_size)
    rows = scale_rows(features, measure_lengths(features))
    sides = [("tlkit", [sys.executable, "-m", "benchmarks.maps", "--lay-out"])]
    if peers:
        sides += [(name, [peers, "-m", f"benchmarks.peers.{name}"]) for name in PEERS]
    print(f"{len(rows):,} images\n\n| | kept | trust | processor seconds |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        given = {"features": str(Path(folder) / "rows.npy"), "out": str(Path(folder) / "points.npy")}
        np.save(given["features"], rows)
        for name, command in sides:
            done = subprocess.run([*command, json.dumps(given)], capture_output=True, text=True, check=True)
            seconds = json.loads(done.stdout.splitlines()[-1])["seconds"]
            kept, trust = measure(rows, np.load(given["out"]))
            print(f"| {name} | {kept:.3f} | {trust:.4f} | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--lay-out"]:
        del sys.argv[1]
        run_job(lay_out)
    else:
        main()
