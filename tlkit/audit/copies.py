"""Groups of copies: images that show the same picture, by their bytes, their pixels, or the detail of their pixels."""

from __future__ import annotations

import operator
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tlkit.audit.findings import Finding
from tlkit.data.looks import Looks
from tlkit.data.manifest import ImageRecord
from tlkit.similarity.copies import CopyPairs, Neighbours, Sides, find_copies
from tlkit.similarity.groups import join_pairs

SAME_FILE, SAME_PIXELS = "the same file as", "the same pixels as"
_CHANGES = (
    (),
    ("turned by 90° clockwise",),
    ("turned by 180°",),
    ("turned by 90° counterclockwise",),
    ("mirrored",),
    ("mirrored and turned by 90°",),
    ("flipped top to bottom",),
    ("mirrored and turned by 90°",),
)
"""What was done to a picture that must be turned by each of `ORIENTATIONS` to look like the other."""
_ROTATED_DEGREES, _LIGHT = 1.5, 0.04
_ACROSS, _WITHIN = 1.0, 0.9


@dataclass(frozen=True)
class Relation:
    """How an image is related to another of its group.

    Attributes:
        other: Place of the other image in the list of images.
        words: What it is to it, such as "a copy, mirrored and cut to 85%, of".
        agreement: Correlation of the detail of both, 0..1; 1 for the same pixels.
    """

    other: int
    words: str
    agreement: float


@dataclass(frozen=True, eq=False)
class Copies:
    """The copies among images.

    Attributes:
        groups: Group of each image, numbered from 0 by first appearance: int64 (n,); -1 for an image without copies.
        relations: Of each image to the largest one of its group, or to one that is related to it; None without a group.
    """

    groups: NDArray[np.int64]
    relations: tuple[Relation | None, ...]

    def list_groups(self) -> list[NDArray[np.int64]]:
        """Return the places of the images of each group, in the order of the groups."""
        return [np.flatnonzero(self.groups == number) for number in range(int(self.groups.max(initial=-1)) + 1)]


def group_copies(
    records: Sequence[ImageRecord],
    nearest: Neighbours | None,
    looks: Looks,
    *,
    advance: Callable[[int], None] = lambda count: None,
) -> Copies:
    """Find the groups of copies in a data set: equal, re-encoded, resized, brightened, turned, cut or slightly rotated.

    Takes about 2 ms of processor time an image in a data set of 10,000, and 10 kB of memory.

    Args:
        records: The images.
        nearest: The images that are nearest to each by their features, int64 (n, k), and the cosines, float32 (n, k); without
            them rotated copies are not found, nor those of which a third is missing.
        looks: What each looks like.
        advance: Called with the number of images compared since the last call, at most len(records) in all.
    """
    same_file = _pair_equals([record.sha256 for record in records])
    drawn = zip(looks.width.tolist(), looks.height.tolist(), looks.pixel_hash.tolist(), strict=True)
    usable = [each if ok else None for each, ok in zip(drawn, looks.is_usable.tolist(), strict=True)]
    same_pixels = _pair_equals(usable)
    distinct = np.ones(len(records), np.bool_)
    distinct[same_file[1]] = distinct[same_pixels[1]] = False
    distinct &= looks.is_usable
    rows = np.flatnonzero(distinct)
    similar = find_copies(looks.grey, nearest, lambda some: looks.grey[some], Sides(rows), advance=advance)
    first, second = (
        np.concatenate(parts) for parts in zip(same_file, same_pixels, (similar.first, similar.second), strict=True)
    )
    groups = join_pairs(len(records), first, second)
    exact = [(*pair, SAME_FILE) for pair in zip(*same_file, strict=True)]
    exact += [(*pair, SAME_PIXELS) for pair in zip(*same_pixels, strict=True)]
    return Copies(groups, _relate(records, looks, groups, exact, similar))


def make_copy_findings(
    records: Sequence[ImageRecord],
    copies: Copies,
    *,
    describe: Callable[[str], str] = str,
    agree: Callable[[str, str], bool] = operator.eq,
) -> list[Finding]:
    """Return a finding for each image of a group: a conflict if answers in it differ, otherwise a copy.

    Copies across splits score higher than those within one, since they spoil a measurement.

    Args:
        records: The images.
        copies: Their groups.
        describe: Returns an answer in words. Answers of which it says the same may differ where copies were resized, turned
            or cut, as boxes do.
        agree: Whether two answers for the same pixels are the same.
    """
    findings = []
    for number, places in enumerate(copies.list_groups()):
        members = [records[place] for place in places]
        answers, splits = {describe(each.answer) for each in members}, sorted({each.split for each in members})
        kind = "conflict" if len(answers) > 1 or _differ_in_detail(records, copies, places, agree) else "copy"
        for place in places:
            record, relation = records[place], copies.relations[place]
            assert relation is not None
            others = [each for each in members if each is not record]
            evidence = f"It is {relation.words} {_shorten(records[relation.other])}"
            if len(others) > 1:
                evidence += f", in a group of {len(members)}"
            if len(answers) > 1:
                evidence += f"; labels in the group: {', '.join(sorted(answers))}"
            elif kind == "conflict":
                evidence += "; they are not annotated alike"
            if len(splits) > 1:
                evidence += f"; the copies lie in {' and '.join(splits)}"
            score = (_ACROSS if len(splits) > 1 else _WITHIN) * min(1.0, relation.agreement)
            paths = tuple(each.path for each in others)
            given = describe(record.answer)
            findings.append(Finding(kind, record.path, record.split, given, "", score, number, f"{evidence}.", paths))
    return findings


def _differ_in_detail(
    records: Sequence[ImageRecord], copies: Copies, places: NDArray[np.int64], agree: Callable[[str, str], bool]
) -> bool:
    """Return whether images of a group that have the same bytes or pixels have different answers."""
    pairs = [(place, relation) for place in places if (relation := copies.relations[place])]
    return any(
        not agree(records[place].answer, records[relation.other].answer)
        for place, relation in pairs
        if relation.words in (SAME_FILE, SAME_PIXELS)
    )


def _shorten(record: ImageRecord) -> str:
    return "/".join(record.path.parts[-2:])


def _pair_equals(keys: Sequence[Hashable]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return pairs of the first place of each key and each later place of it; None equals nothing."""
    first_of: dict[Hashable, int] = {}
    pairs = [
        (first_of[key], place)
        for place, key in enumerate(keys)
        if key is not None and first_of.setdefault(key, place) != place
    ]
    first, second = np.array(pairs, np.int64).reshape(-1, 2).T
    return first, second


def _relate(
    records: Sequence[ImageRecord],
    looks: Looks,
    groups: NDArray[np.int64],
    exact: Sequence[tuple[np.int64, np.int64, str]],
    similar: CopyPairs,
) -> tuple[Relation | None, ...]:
    """Return the relation of each image, the closest to the largest image of its group."""
    area = looks.width * looks.height
    found: list[dict[int, Relation]] = [{} for _ in records]
    for number in range(len(similar)):
        first, second = int(similar.first[number]), int(similar.second[number])
        agreement = float(similar.agreement[number])
        found[second][first] = Relation(first, _describe(similar, number, looks, of_second=True), agreement)
        found[first][second] = Relation(second, _describe(similar, number, looks, of_second=False), agreement)
    for one, other, words in reversed(exact):
        found[int(one)][int(other)] = Relation(int(other), words, 1.0)
        found[int(other)][int(one)] = Relation(int(one), words, 1.0)
    return tuple(
        max(relations.values(), key=lambda each: (area[each.other], each.agreement, -each.other)) if relations else None
        for relations in found
    )


def _describe(pairs: CopyPairs, number: int, looks: Looks, *, of_second: bool) -> str:
    """Return what one image of a pair is to the other, in words."""
    first, second = pairs.first[number], pairs.second[number]
    own, other = (second, first) if of_second else (first, second)
    orientation = int(pairs.orientation[number])
    if not of_second and orientation in (1, 3):
        orientation = 4 - orientation
    changes = list(_CHANGES[orientation])
    scale, is_part = float(pairs.scale[number]), bool(pairs.part_is_first[number]) != of_second
    if scale < 1:
        changes.append(f"cut to {scale:.0%}" if is_part else f"of which the other is {scale:.0%}")
    if abs(pairs.angle[number]) >= _ROTATED_DEGREES:
        changes.append(f"rotated by {abs(float(pairs.angle[number])):.0f}°")
    if not changes and sorted((looks.width[own], looks.height[own])) != sorted(
        (looks.width[other], looks.height[other])
    ):
        changes.append("resized")
    change = float(looks.brightness[own] - looks.brightness[other])
    if abs(change) >= _LIGHT and scale == 1:
        changes.append("brighter" if change > 0 else "darker")
    return f"a copy, {' and '.join(changes or ['re-encoded'])}, of"
