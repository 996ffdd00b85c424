"""Strata of images that may have several names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import TypeVar

Name = TypeVar("Name", str, int)


def choose_rarest(of_images: Sequence[Collection[Name]], nothing: Name) -> list[Name]:
    """Return the name of each image that the fewest images have; `nothing` for an image without any.

    Args:
        of_images: The names of each image, each once.
        nothing: What stands for no name.
    """
    counts = Counter(name for names in of_images for name in names)
    return [min(names, key=lambda name: (counts[name], name), default=nothing) for names in of_images]
