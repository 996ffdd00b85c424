"""Facts about an image file that can be used as metadata; see `tlkit.metadata.columns.IMAGE_FACTS` for their names."""

from __future__ import annotations

from typing import Protocol

from tlkit.metadata.columns import IMAGE_FACTS


class HasFacts(Protocol):
    """What is known about a valid image file."""

    @property
    def width(self) -> int:
        """Upright width in pixels, 1 or more."""

    @property
    def height(self) -> int:
        """Upright height in pixels, 1 or more."""

    @property
    def format(self) -> str:
        """Pillow's name of the format."""

    @property
    def mode(self) -> str:
        """Pillow's name of the mode."""

    @property
    def camera(self) -> str:
        """Make and model of the camera; empty if there are none."""


def describe_facts(facts: HasFacts, *, num_bytes: int) -> dict[str, str]:
    """Return all IMAGE_FACTS of a file as text."""
    width, height = facts.width, facts.height
    texts = {
        "image-width": str(width),
        "image-height": str(height),
        "image-aspect": f"{width / height:.4f}",
        "image-bytes": str(num_bytes),
        "image-shape": f"{width}x{height}",
        "image-format": facts.format,
        "image-mode": facts.mode,
        "image-camera": facts.camera,
    }
    return {name: texts[name] for name in IMAGE_FACTS}
