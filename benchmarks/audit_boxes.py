"""Measure how well `tlkit audit` finds wrong boxes: mistakes are made on purpose in a copy of the annotations.

    python -m benchmarks.audit_boxes photos boxes.json --backbone mobilenet_v2
    python -m benchmarks.audit_boxes --pond 300 --backbone mobilenet_v2

Boxes are a COCO file. Of each kind so many mistakes are made: boxes are removed; moved and scaled, to an IoU of 0.3 to 0.6 with
where they were; given another class; drawn a second time; and drawn where there is no object. What was wrong before counts as
a false alarm. Found is what findings.csv lists with the right kind: a missing box with an IoU of at least 0.5, others with
the box that was changed.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import tlkit
from tlkit.detection.overlaps import compute_iou_matrix
from tlkit.pond.shoal import draw_shoals, encode_picture, write_coco

KINDS = ("missing", "class", "place", "double", "doubtful")
MOVED_IOU = (0.3, 0.6)
_FREE_IOU = 0.15
_TRIES = 10_000
_EDGES = re.compile(r"\((-?\d+), (-?\d+), (-?\d+), (-?\d+)\)$")


@dataclass(frozen=True)
class Mistake:
    """A mistake that was made.

    Attributes:
        kind: One of KINDS.
        file_name: The image.
        box: left, top, right, bottom of the box that an audit should name.
    """

    kind: str
    file_name: str
    box: tuple[float, ...]


def plant(document: dict[str, Any], num_each: int, seed: int) -> tuple[dict[str, Any], list[Mistake]]:
    """Return a COCO document with mistakes, and what they are."""
    rng = np.random.default_rng(seed)
    images = {image["id"]: image for image in document["images"]}
    boxes = [dict(each) for each in document["annotations"]]
    classes = [each["id"] for each in document["categories"]]
    kinds = [kind for kind in KINDS[:4] if kind != "class" or len(classes) > 1]
    usable = [place for place, box in enumerate(boxes) if not box.get("iscrowd")]
    drawn = iter(rng.permutation(usable).tolist())
    mistakes, removed = [], set()
    for kind in kinds * num_each:
        box = boxes[next(drawn)]
        image = images[box["image_id"]]
        named = box["bbox"]
        if kind == "missing":
            removed.add(box["id"])
        elif kind == "class":
            box["category_id"] = int(rng.choice([each for each in classes if each != box["category_id"]]))
        elif kind == "place":
            named = box["bbox"] = _move(box["bbox"], image, rng)
        else:
            left, top, width, height = box["bbox"]
            named = [left + rng.uniform(-0.04, 0.04) * width, top + rng.uniform(-0.04, 0.04) * height, width, height]
            boxes.append({**box, "id": max(each["id"] for each in boxes) + 1, "bbox": named})
        mistakes.append(Mistake(kind, image["file_name"], _to_corners(named)))
    for _ in range(num_each):
        image_id, named = _find_free_place(document, images, rng)
        boxes.append({**boxes[0], "id": max(each["id"] for each in boxes) + 1, "image_id": image_id, "bbox": named})
        boxes[-1] |= {"category_id": int(rng.choice(classes)), "iscrowd": 0}
        mistakes.append(Mistake("doubtful", images[image_id]["file_name"], _to_corners(named)))
    return {**document, "annotations": [box for box in boxes if box["id"] not in removed]}, mistakes


def _move(box: list[float], image: dict[str, Any], rng: np.random.Generator) -> list[float]:
    """Return a box moved and scaled within its image."""
    left, top, width, height = box
    for _ in range(_TRIES):
        shift, scale = rng.uniform(-0.5, 0.5, 2), np.exp(rng.uniform(-0.5, 0.5, 2))
        start = max(0.0, left + shift[0] * width), max(0.0, top + shift[1] * height)
        stop = min(image["width"], start[0] + scale[0] * width), min(image["height"], start[1] + scale[1] * height)
        moved = [*start, stop[0] - start[0], stop[1] - start[1]]
        if min(moved[2:]) > 2 and MOVED_IOU[0] <= _compare(moved, [box]) <= MOVED_IOU[1]:
            return moved
    raise SystemExit("a box cannot be moved")


def _find_free_place(
    document: dict[str, Any], images: dict[int, dict[str, Any]], rng: np.random.Generator
) -> tuple[int, list[float]]:
    """Return an image, and a box in it that overlaps with none, of the size of another box of the data set."""
    for _ in range(_TRIES):
        image = images[int(rng.choice(list(images)))]
        width, height = document["annotations"][rng.integers(len(document["annotations"]))]["bbox"][2:]
        if width >= image["width"] or height >= image["height"]:
            continue
        box = [rng.uniform(0, image["width"] - width), rng.uniform(0, image["height"] - height), width, height]
        others = [each["bbox"] for each in document["annotations"] if each["image_id"] == image["id"]]
        if _compare(box, others) < _FREE_IOU:
            return image["id"], box
    raise SystemExit("there is no room for a box without an object")


def _to_corners(box: list[float]) -> tuple[float, ...]:
    left, top, width, height = box
    return left, top, left + width, top + height


def _compare(box: list[float], others: list[list[float]]) -> float:
    """Return the highest IoU of a box with others."""
    corners = np.array([_to_corners(each) for each in others]).reshape(-1, 4)
    return float(compute_iou_matrix(np.array([_to_corners(box)]), corners).max(initial=0))


def judge(findings: list[dict[str, str]], mistakes: list[Mistake], kind: str) -> tuple[float, int, int, int]:
    """Return average precision, mistakes found among as many findings as were made, all that are found, and findings."""
    planted = [mistake for mistake in mistakes if mistake.kind == kind]
    listed = [row for row in findings if row["kind"] == kind]
    open_ones = set(range(len(planted)))
    hits = np.zeros(len(listed), bool)
    for number, row in enumerate(listed):
        edges = _EDGES.search(row["suggested"] if kind == "missing" else row["given"])
        assert edges
        corners = np.array([[float(edge) for edge in edges.groups()]])
        least = 0.5 if kind == "missing" else 0.8
        for place in sorted(open_ones):
            overlap = compute_iou_matrix(corners, np.array([planted[place].box]))[0, 0]
            if planted[place].file_name == row["path"] and overlap >= least:
                open_ones.remove(place)
                hits[number] = True
                break
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].sum() / len(planted)), int(hits[: len(planted)].sum()), int(hits.sum()), len(listed)


def measure(photos: Path, document: dict[str, Any], given: argparse.Namespace) -> None:
    """Print the figures of all seeds."""
    results: dict[str, list[tuple[float, int, int, int]]] = defaultdict(list)
    for seed in range(given.seeds):
        planted, mistakes = plant(document, given.each, seed)
        with tempfile.TemporaryDirectory() as folder:
            boxes, out = Path(folder) / "boxes.json", given.out or Path(folder) / "audit"
            boxes.write_text(json.dumps(planted))
            payload = tlkit.audit_images(
                photos, out=out, task="detection", boxes=str(boxes), backbone=given.backbone, weights=given.weights
            )
            with (out / "findings.csv").open(newline="") as file:
                findings = list(csv.DictReader(file))
        print(
            f"seed {seed}: {payload['seconds']:.0f} s; wrong classes {payload['wrong_labels']}; {payload['notices'][-1]}"
        )
        for kind in dict.fromkeys(mistake.kind for mistake in mistakes):
            results[kind].append(judge(findings, mistakes, kind))
    print(f"{'':10} planted    AP  among the first  found  listed")
    for kind, rows in results.items():
        precision, first, found, listed = np.mean(rows, axis=0)
        print(f"{kind:10} {given.each:7}  {precision:.2f}  {first:15.1f}  {found:5.1f}  {listed:6.1f}")


def main() -> None:
    """Measure a data set, or drawn ponds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="?", type=Path, help="folder of images")
    parser.add_argument("boxes", nargs="?", type=Path, help="COCO file of their boxes")
    parser.add_argument("--pond", type=int, default=0, help="number of pictures to draw instead")
    parser.add_argument("--each", type=int, default=12, help="mistakes of each kind")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--backbone", default="mobilenet_v2")
    parser.add_argument("--weights")
    parser.add_argument("--out", type=Path, help="keep the last audit here")
    given = parser.parse_args()
    if not given.pond:
        measure(given.photos, json.loads(given.boxes.read_text()), given)
        return
    with tempfile.TemporaryDirectory() as folder:
        shoals = []
        for name, shoal in draw_shoals(given.pond, seed=5):
            (Path(folder) / name).write_bytes(encode_picture(shoal.picture))
            shoals.append((name, shoal.picture.size, shoal.fish))
        measure(Path(folder), json.loads(write_coco(shoals)), given)


if __name__ == "__main__":
    main()
