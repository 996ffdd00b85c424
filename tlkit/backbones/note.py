"""What is known of the part of a backbone below a boundary, so that not every question needs it built."""

from __future__ import annotations

from dataclasses import dataclass

from tlkit.backbones.maps import MapLayout


@dataclass(frozen=True)
class TrunkNote:
    """What is known of a trunk without building it.

    Attributes:
        weights_sha256: Hash of the weights below the boundary, as hex.
        feature_shape: Shape of an image's feature, (h, w, channels), (channels,), or (width,) of several maps.
        group_sizes: Number of weights of each layer group below the boundary, from the pixels upwards.
        map_shapes: (height, width, channels) of each map in a feature of several; empty for others.
    """

    weights_sha256: str
    feature_shape: tuple[int, ...]
    group_sizes: tuple[int, ...]
    map_shapes: tuple[tuple[int, int, int], ...] = ()

    @property
    def num_parameters(self) -> int:
        """Number of weights below the boundary."""
        return sum(self.group_sizes)

    @property
    def layout(self) -> MapLayout | None:
        """How several maps lie in a feature; None of a single map or none."""
        return MapLayout(self.map_shapes) if self.map_shapes else None
