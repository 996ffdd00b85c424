"""Bursts and series: images taken moments apart by one camera, or numbered one after the other and alike.

They are no copies, but what one of them shows the next one shows, too: split apart, they make scores too optimistic.
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tlkit.audit.findings import Finding
from tlkit.data.looks import Looks
from tlkit.data.manifest import ImageRecord
from tlkit.similarity.groups import join_pairs
from tlkit.similarity.search import measure_lengths, scale_rows

MAX_GAP_SECONDS = 10
"""Photos of one camera that are not further apart in time belong together."""
MIN_SERIES = 3
"""Two neighbouring numbers may be alike by chance."""
_NUM_PAIRS, _RARE = 5000, 0.99
_ACROSS, _WITHIN = 1.0, 0.5
_NUMBER = re.compile(r"\d+(?=\D*$)")


def find_events(records: Sequence[ImageRecord], features: NDArray[np.floating[Any]], looks: Looks) -> list[Finding]:
    """Return a finding for each image of a burst or a series.

    A burst are photos of one camera, by their EXIF data, at most 10 s apart. A series are three or more files of one folder
    whose last numbers follow one another, each more similar to the one before than 99% of random pairs of the data set.

    Args:
        records: The images.
        features: One row for each, float (n, channels).
        looks: What each looks like.
    """
    bursts = _join(len(records), _pair_by_time(records, looks))
    series = _join(len(records), _pair_by_number(records, features))
    findings: list[Finding] = []
    for number, places in enumerate(bursts):
        taken = looks.taken[places]
        seconds = int((taken.max() - taken.min()).astype(np.int64))
        camera = looks.cameras[places[0]] or "one camera"
        findings += _describe(records, places, number, f"taken within {seconds} s by {camera}")
    known = {frozenset(places) for places in bursts}
    found = [places for places in series if len(places) >= MIN_SERIES and frozenset(places) not in known]
    for number, places in enumerate(found, len(bursts)):
        first, last = (records[place].path.name for place in (places[0], places[-1]))
        findings += _describe(records, places, number, f"numbered from {first} to {last} and alike")
    return findings


def _join(num_rows: int, pairs: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Return the places of each group that pairs join, in the order of the first pair's first place."""
    first, second = np.array(pairs, np.int64).reshape(-1, 2).T
    groups = join_pairs(num_rows, first, second)
    order = {place: rank for rank, place in enumerate(dict.fromkeys(place for pair in pairs for place in pair))}
    members: dict[int, list[int]] = defaultdict(list)
    for place in order:
        members[int(groups[place])].append(place)
    return list(members.values())


def _pair_by_time(records: Sequence[ImageRecord], looks: Looks) -> list[tuple[int, int]]:
    """Return pairs of photos of one camera that follow one another in time within the gap."""
    known = np.flatnonzero(~np.isnat(looks.taken)).tolist()
    known.sort(key=lambda place: (looks.cameras[place], looks.taken[place], str(records[place].path)))
    return [
        (one, other)
        for one, other in itertools.pairwise(known)
        if looks.cameras[one] == looks.cameras[other]
        and looks.taken[other] - looks.taken[one] <= np.timedelta64(MAX_GAP_SECONDS, "s")
        and records[one].sha256 != records[other].sha256
    ]


def _pair_by_number(records: Sequence[ImageRecord], features: NDArray[np.floating[Any]]) -> list[tuple[int, int]]:
    """Return pairs of files whose numbers follow one another, and whose features are more alike than most."""
    pairs = list(_follow_numbers(records))
    if not pairs:
        return []
    limit = np.quantile(_compare(features, *_draw_pairs(len(records))), _RARE)
    similar = _compare(features, *np.array(pairs, np.int64).T) > limit
    return [pair for pair, is_similar in zip(pairs, similar.tolist(), strict=True) if is_similar]


def _follow_numbers(records: Sequence[ImageRecord]) -> Iterator[tuple[int, int]]:
    series: dict[tuple[str, ...], dict[int, int]] = defaultdict(dict)
    for place, record in enumerate(records):
        found = _NUMBER.search(record.path.stem)
        if found and len(found[0]) <= 18:
            stem = record.path.stem
            key = (str(record.path.parent), stem[: found.start()], stem[found.end() :])
            series[key].setdefault(int(found[0]), place)
    for numbered in series.values():
        for number in sorted(numbered):
            if number + 1 in numbered:
                yield numbered[number], numbered[number + 1]


def _draw_pairs(num_rows: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return random pairs of different rows, two int64 (n,); the same in every call."""
    rng = np.random.default_rng(0)
    first = rng.integers(num_rows, size=_NUM_PAIRS)
    return first, (first + rng.integers(1, num_rows, size=_NUM_PAIRS)) % num_rows


def _compare(
    features: NDArray[np.floating[Any]], first: NDArray[np.int64], second: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return the cosines of pairs of rows, float32 (n,)."""
    one, other = (scale_rows(rows, measure_lengths(rows)) for rows in (features[first], features[second]))
    cosines: NDArray[np.float32] = np.einsum("nc,nc->n", one, other)
    return cosines


def _describe(records: Sequence[ImageRecord], places: Sequence[int], number: int, why: str) -> Iterator[Finding]:
    members = [records[place] for place in places]
    splits = sorted({record.split for record in members})
    evidence = f"It is one of {len(members)} images {why}"
    evidence += f"; they lie in {' and '.join(splits)}." if len(splits) > 1 else "."
    score = _ACROSS if len(splits) > 1 else _WITHIN
    for record in members:
        others = tuple(each.path for each in members if each is not record)
        yield Finding("event", record.path, record.split, record.answer, "", score, number, evidence, others)
