"""What a fish is made of: outline, fins, eye, skin and coat, as numbers.

Lengths are in body lengths, from the nose (u = 0) to the root of the tail fin (u = 1); heights are measured from the
axis of the body.
"""

from __future__ import annotations

from dataclasses import dataclass

from tlkit.pond.fields import Color, Point


@dataclass(frozen=True)
class Fin:
    """A fin along the back or the belly.

    Args:
        edge: Points (t, height) of the outer edge, t = 0 at the front of the base and 1 at its end.
        start: Where the base begins.
        end: Where the base ends.
        sweep: How far the outer edge leans back.
        spines: The front part of the rays, 0..1, that stand out of the skin as spines.
        on_back: Whether the fin stands on the back, or hangs below the belly.
    """

    edge: tuple[Point, ...]
    start: float
    end: float
    sweep: float
    spines: float = 0.0
    on_back: bool = True


@dataclass(frozen=True)
class SideFin:
    """A fin on the flank: a fan of rays that grows from one spot.

    Args:
        root: Where it grows, as (u, height as a part of the body's half height, downward).
        length: Length of the longest ray.
        upper_slope: Fall of the uppermost ray, downward per unit backward.
        lower_slope: Fall of the lowest ray.
    """

    root: Point
    length: float
    upper_slope: float
    lower_slope: float


@dataclass(frozen=True)
class Tail:
    """The tail fin.

    Args:
        lengths: Points (t, length), t = 0 in the middle and 1 at the outermost rays.
        spread: Half the height of the fin at its end.
    """

    lengths: tuple[Point, ...]
    spread: float


@dataclass(frozen=True)
class Barbel:
    """A whisker: it leaves the head at `root`, and ends `reach` away after bending by `droop`."""

    root: Point
    reach: Point
    droop: float


@dataclass(frozen=True)
class Coat:
    """The colours of one fish: back, flank and belly, the marks on its skin and its fins."""

    name: str
    back: Color
    flank: Color
    belly: Color
    mark: Color
    fin: Color


@dataclass(frozen=True)
class Kind:
    """One kind of fish, at its mean proportions."""

    name: str
    back: tuple[Point, ...]
    belly: tuple[Point, ...]
    fins: tuple[Fin, ...]
    side_fins: tuple[SideFin, ...]
    tail: Tail
    eye: Point
    eye_radius: float
    mouth: tuple[Point, ...]
    gill: float
    skin: str
    scales: float
    barbels: tuple[Barbel, ...] = ()
    lengths: tuple[float, float] = (0.5, 0.75)
    coats: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0, 1.0)
