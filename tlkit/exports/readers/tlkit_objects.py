"""Choose the objects among the boxes that a detector gives at every place. Needs NumPy only."""

import numpy as np


def find_objects(boxes, scores, rule, place_box):
    """Return a row for each object, the best first: left, top, right, bottom in pixels, score and class index.

    `rule` is `objects` in model.json; `place_box` returns a box in pixels of the image, given fractions of the input.
    """
    places, labels = np.nonzero(scores >= np.float32(rule["min_score"]))
    best = np.argsort(-scores[places, labels], kind="stable")[: rule["max_candidates"]]
    boxes, labels, scores = boxes[places[best]], labels[best], scores[places[best], labels[best]]
    overlaps = measure_overlaps(boxes) * (labels[:, np.newaxis] == labels)
    rows = []
    for place, score in suppress(overlaps, scores, rule)[: rule["max_objects"]]:
        weights = np.where(overlaps[place] >= np.float32(rule["vote_iou"]), scores, 0)
        mean = weights @ boxes / weights.sum()
        left, top, right, bottom = place_box([float(edge) for edge in mean])
        if right > left and bottom > top:  # a part of it is in the image
            rows.append([left, top, right, bottom, float(score), int(labels[place])])
    return rows


def suppress(overlaps, scores, rule):
    """Return the place and the score of each box that stays, the best first."""
    soft, hard = rule["soft_sigma"], rule["max_iou"]
    factors = np.exp(-np.square(overlaps) / soft) if soft else overlaps <= np.float32(hard)
    taken, live = [], scores.copy()
    while live.max(initial=-1) >= np.float32(rule["min_score"]):
        taken.append((int(live.argmax()), live.max()))
        live *= factors[taken[-1][0]]
        live[taken[-1][0]] = -1
    return taken


def measure_overlaps(boxes):
    """Return the area that each two boxes share as a fraction of what they cover together."""
    low, high = boxes[:, np.newaxis, :2], boxes[:, np.newaxis, 2:]
    shared = np.maximum(np.minimum(high, high.swapaxes(0, 1)) - np.maximum(low, low.swapaxes(0, 1)), 0).prod(axis=2)
    areas = np.maximum(boxes[:, 2:] - boxes[:, :2], 0).prod(axis=1)
    return shared / np.maximum(areas[:, np.newaxis] + areas - shared, 1e-12)
