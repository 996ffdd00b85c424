"""Split images into training, validation and test, stratified by class.

The order of images depends only on the seed and the hash of their bytes, not on names, list order or the other images
of the class. Images with the same bytes stay together.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence

from tlkit.data.manifest import SPLITS


def assign_splits(
    sha256s: Sequence[str],
    class_names: Sequence[str],
    *,
    validation_fraction: float,
    test_fraction: float,
    seed: int,
    keep: Mapping[str, str] | None = None,
) -> list[str]:
    """Assign a split to every image.

    Each class is split separately. Its distinct images are allotted by the largest-remainder method; with two or more
    images, at least one goes to training and one to each other split with a fraction, validation first.

    Args:
        sha256s: Hash of each image's bytes.
        class_names: Class of each image. Identical images in two classes count for the alphabetically first class.
        validation_fraction: Fraction of the images for validation, 0 <= x < 1; 0 for no validation.
        test_fraction: Fraction of the images for test, likewise. The sum of both is below 1.
        seed: Seed of the split.
        keep: Splits by hash from an earlier run. They are kept, whatever the fractions; new images fill up the splits.

    Returns:
        One of SPLITS for each image.
    """
    if not 0 <= validation_fraction + test_fraction < 1:
        raise ValueError(f"Fractions must leave images for training. Received: {validation_fraction}, {test_fraction}")
    fractions = {
        "train": 1 - validation_fraction - test_fraction,
        "validation": validation_fraction,
        "test": test_fraction,
    }
    home = _find_home_classes(sha256s, class_names)
    split_of: dict[str, str] = {}
    for members in _group(home).values():
        split_of |= _divide(_rank(members, f"split/{seed}"), fractions, keep or {})
    return [split_of[sha256] for sha256 in sha256s]


def sample_stratified(
    sha256s: Sequence[str], strata: Sequence[Hashable], *, fraction: float, seed: int, least: int = 2
) -> list[int]:
    """Return the positions, ascending, of a stratified sample of the images.

    Args:
        sha256s: Hash of each image's bytes; images with the same bytes stay together.
        strata: Stratum of each image: its class, or its class and split.
        fraction: Fraction of each stratum's distinct images, 0 < x <= 1, rounded.
        seed: Seed of the sample. With the same seed, a larger fraction contains a smaller one.
        least: Minimum number of distinct images per stratum, if it has that many.
    """
    by_stratum: dict[Hashable, set[str]] = defaultdict(set)
    for sha256, stratum in zip(sha256s, strata, strict=True):
        by_stratum[stratum].add(sha256)
    taken = {
        stratum: set(_rank(members, f"sample/{seed}")[: max(least, math.floor(fraction * len(members) + 0.5))])
        for stratum, members in by_stratum.items()
    }
    pairs = enumerate(zip(sha256s, strata, strict=True))
    return [position for position, (sha256, stratum) in pairs if sha256 in taken[stratum]]


def _find_home_classes(sha256s: Sequence[str], class_names: Sequence[str]) -> dict[str, str]:
    home: dict[str, str] = {}
    for sha256, class_name in zip(sha256s, class_names, strict=True):
        home[sha256] = min(class_name, home.get(sha256, class_name))
    return home


def _group(home: Mapping[str, str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for sha256, class_name in home.items():
        groups[class_name].append(sha256)
    return groups


def _rank(sha256s: Iterable[str], salt: str) -> list[str]:
    """Return hashes in a random order given by the salt, consistent for every subset."""
    return sorted(sha256s, key=lambda sha256: hashlib.sha256(f"{salt}/{sha256}".encode()).digest())


def _divide(ranked: Sequence[str], fractions: Mapping[str, float], keep: Mapping[str, str]) -> dict[str, str]:
    """Return the split of each distinct image of one class."""
    split_of = {sha256: keep[sha256] for sha256 in ranked if sha256 in keep}
    kept = Counter(split_of.values())
    waiting = [sha256 for sha256 in ranked if sha256 not in keep]
    targets = _count_shares(len(ranked), fractions)
    for split in ("validation", "test"):
        num_missing = max(0, targets[split] - kept[split])
        split_of |= dict.fromkeys(waiting[:num_missing], split)
        waiting = waiting[num_missing:]
    return split_of | dict.fromkeys(waiting, "train")


def _count_shares(num_images: int, fractions: Mapping[str, float]) -> dict[str, int]:
    """Return the number of images for each split, by the largest-remainder method; ties go to the earlier of SPLITS."""
    shares = {split: math.floor(num_images * fractions[split]) for split in SPLITS}
    by_remainder = sorted(SPLITS, key=lambda split: shares[split] - num_images * fractions[split])
    for split in by_remainder[: num_images - sum(shares.values())]:
        shares[split] += 1
    needy = [split for split in SPLITS if fractions[split] > 0 and shares[split] == 0]
    for split in needy:
        richest = max(SPLITS, key=lambda name: shares[name])
        if shares[richest] > 1:
            shares[richest] -= 1
            shares[split] += 1
    return shares
