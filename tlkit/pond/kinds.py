"""The four kinds of fish in the pond, described by numbers, and the coats that they share.

Every kind comes in every coat, so the mean colour does not reveal the kind: a network has to use shape and pattern.
Lengths are in body lengths, from the nose (u = 0) to the root of the tail fin (u = 1); heights are measured from the
axis of the body, downward. A spot on the body is (u, part): the part of the way from the axis to the belly's edge, or
to the back's if it is negative.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tlkit.pond.fields import Field

Point = tuple[float, float]

COATS: Field = np.array(
    [  # back, flank, belly, marks on the skin, fins
        ((0.20, 0.26, 0.12), (0.47, 0.52, 0.25), (0.88, 0.87, 0.68), (0.13, 0.16, 0.07), (0.52, 0.46, 0.22)),
        ((0.30, 0.20, 0.10), (0.68, 0.48, 0.22), (0.94, 0.84, 0.62), (0.22, 0.12, 0.06), (0.72, 0.42, 0.18)),
        ((0.24, 0.31, 0.37), (0.66, 0.73, 0.77), (0.95, 0.96, 0.95), (0.16, 0.20, 0.26), (0.60, 0.63, 0.66)),
        ((0.15, 0.19, 0.24), (0.38, 0.44, 0.48), (0.80, 0.82, 0.80), (0.08, 0.10, 0.13), (0.34, 0.36, 0.40)),
        ((0.33, 0.16, 0.12), (0.74, 0.42, 0.30), (0.96, 0.82, 0.70), (0.24, 0.09, 0.08), (0.80, 0.34, 0.20)),
    ],
    np.float32,
)
STATIONS: Field = np.array([0.0, 0.03, 0.09, 0.15, 0.23, 0.32, 0.45, 0.61, 0.75, 0.87, 0.95, 1.0])
"""Positions along the body at which the heights of back and belly are given."""


@dataclass(frozen=True)
class Fin:
    """A fan of rays.

    Args:
        start: Spot of the first ray's root.
        end: Spot of the last ray's root.
        num_rays: Number of rays.
        edge: Lengths (u, v) of rays, evenly spaced from the first ray to the last.
    """

    start: Point
    end: Point
    num_rays: int
    edge: tuple[Point, ...]


@dataclass(frozen=True)
class Kind:
    """One kind of fish, at its mean proportions.

    Args:
        name: Its class name.
        skin: Its pattern; see `paint_skin`.
        back: Heights of the back at STATIONS.
        belly: Depths of the belly at STATIONS.
        fins: Tail, back and belly fins, which are drawn behind the body.
        side_fins: The fins on each flank.
        eye: Spot of the eye's centre.
        eye_radius: Radius of the eye.
        mouth: Points (u, v) of the mouth's line.
        gill: Position u of the end of the gill cover.
        scales: Length of a scale; 0 for none.
        lengths: Shortest and longest length, as fractions of the picture's shorter side.
        barbels: For each barbel, the spot of its root and the offsets (u, v) of its middle and its end from there; every
            second one is on the far side.
    """

    name: str
    skin: str
    back: tuple[float, ...]
    belly: tuple[float, ...]
    fins: tuple[Fin, ...]
    side_fins: tuple[Fin, ...]
    eye: Point
    eye_radius: float
    mouth: tuple[Point, ...]
    gill: float
    scales: float
    lengths: tuple[float, float]
    barbels: tuple[tuple[Point, Point, Point], ...] = ()


BREAM = Kind(
    name="bream",
    skin="bars",
    back=(0.020, 0.061, 0.147, 0.221, 0.295, 0.349, 0.372, 0.335, 0.240, 0.122, 0.076, 0.080),
    belly=(0.034, 0.066, 0.126, 0.186, 0.253, 0.306, 0.338, 0.308, 0.222, 0.116, 0.076, 0.080),
    fins=(
        Fin((0.97, -1), (0.97, 1), 19, ((0.27, -0.155), (0.2, -0.06), (0.185, 0), (0.2, 0.06), (0.27, 0.155))),
        Fin((0.33, -0.9), (0.9, -0.9), 21, ((0.02, -0.05), (0.03, -0.12), (0.05, -0.12), (0.06, -0.15), (0.07, -0.04))),
        Fin((0.56, 0.9), (0.9, 0.9), 12, ((0.02, 0.05), (0.03, 0.11), (0.05, 0.12), (0.06, 0.14), (0.07, 0.04))),
    ),
    side_fins=(
        Fin((0.34, 0.18), (0.36, 0.39), 8, ((0.22, 0.03), (0.16, 0.04), (0.12, 0.04), (0.08, 0.03))),
        Fin((0.36, 0.84), (0.38, 1.06), 8, ((0.16, 0.17), (0.11, 0.17), (0.07, 0.15), (0.04, 0.11))),
    ),
    eye=(0.135, -0.22),
    eye_radius=0.036,
    mouth=((0.0, 0.006), (0.03, 0.014), (0.056, 0.034)),
    gill=0.285,
    scales=0.034,
    lengths=(0.42, 0.62),
)
CATFISH = Kind(
    name="catfish",
    skin="marbling",
    back=(0.022, 0.050, 0.075, 0.092, 0.106, 0.109, 0.093, 0.073, 0.056, 0.041, 0.034, 0.030),
    belly=(0.032, 0.054, 0.077, 0.095, 0.121, 0.135, 0.112, 0.076, 0.056, 0.041, 0.034, 0.030),
    fins=(
        Fin((0.97, -1), (0.97, 1), 19, ((0.12, -0.083), (0.184, -0.042), (0.19, 0), (0.184, 0.042), (0.12, 0.083))),
        Fin((0.3, -0.9), (0.385, -0.9), 8, ((0.014, -0.02), (0.022, -0.1), (0.03, -0.09), (0.041, -0.02))),
        Fin((0.5, 0.9), (0.97, 0.9), 17, ((0.01, 0.02), (0.01, 0.07), (0.02, 0.075), (0.02, 0.07), (0.03, 0.02))),
    ),
    side_fins=(
        Fin((0.22, 0.56), (0.24, 0.96), 8, ((0.14, 0.05), (0.1, 0.06), (0.07, 0.06), (0.04, 0.04))),
        Fin((0.43, 0.81), (0.44, 1.08), 8, ((0.08, 0.06), (0.06, 0.06), (0.04, 0.05), (0.03, 0.04))),
    ),
    eye=(0.088, -0.34),
    eye_radius=0.0125,
    mouth=((0.0, 0.014), (0.03, 0.026), (0.058, 0.034), (0.075, 0.032)),
    gill=0.215,
    scales=0.0,
    lengths=(0.54, 0.78),
    barbels=(
        ((0.022, -0.35), (-0.07, -0.01), (-0.20, -0.14)),
        ((0.045, 0.10), (0.05, 0.14), (0.16, 0.26)),
        ((0.018, 0.10), (-0.08, 0.06), (-0.22, 0.06)),
        ((0.060, 0.80), (-0.02, 0.04), (-0.08, 0.17)),
        ((0.095, 0.90), (0.03, 0.07), (0.03, 0.15)),
    ),
)
PIKE = Kind(
    name="pike",
    skin="flecks",
    back=(0.012, 0.022, 0.028, 0.042, 0.064, 0.080, 0.088, 0.086, 0.066, 0.043, 0.036, 0.040),
    belly=(0.026, 0.038, 0.044, 0.052, 0.066, 0.078, 0.086, 0.083, 0.062, 0.042, 0.035, 0.040),
    fins=(
        Fin((0.97, -1), (0.97, 1), 19, ((0.24, -0.117), (0.19, -0.058), (0.14, 0), (0.19, 0.058), (0.24, 0.117))),
        Fin((0.72, -0.9), (0.88, -0.9), 8, ((0.02, -0.03), (0.02, -0.09), (0.03, -0.1), (0.04, -0.08), (0.05, -0.03))),
        Fin((0.74, 0.9), (0.88, 0.9), 8, ((0.02, 0.03), (0.02, 0.08), (0.03, 0.09), (0.04, 0.07), (0.05, 0.03))),
    ),
    side_fins=(
        Fin((0.26, 0.46), (0.28, 0.97), 8, ((0.1, 0.05), (0.07, 0.06), (0.05, 0.05), (0.03, 0.04))),
        Fin((0.53, 0.75), (0.54, 1.12), 8, ((0.08, 0.06), (0.06, 0.06), (0.04, 0.05), (0.03, 0.04))),
    ),
    eye=(0.135, -0.45),
    eye_radius=0.0165,
    mouth=((0.0, 0.008), (0.05, 0.010), (0.095, 0.016), (0.118, 0.028)),
    gill=0.235,
    scales=0.020,
    lengths=(0.60, 0.80),
)
TROUT = Kind(
    name="trout",
    skin="spots",
    back=(0.014, 0.038, 0.066, 0.086, 0.107, 0.124, 0.130, 0.111, 0.079, 0.054, 0.047, 0.055),
    belly=(0.022, 0.037, 0.061, 0.081, 0.104, 0.122, 0.130, 0.110, 0.077, 0.051, 0.047, 0.055),
    fins=(
        Fin((0.97, -1), (0.97, 1), 19, ((0.22, -0.132), (0.198, -0.066), (0.185, 0), (0.198, 0.066), (0.22, 0.132))),
        Fin((0.42, -0.9), (0.57, -0.9), 8, ((0.02, -0.02), (0.02, -0.11), (0.03, -0.09), (0.04, -0.06), (0.05, -0.03))),
        Fin((0.79, -0.9), (0.825, -0.9), 8, ((0.01, -0.01), (0.02, -0.035), (0.025, -0.05), (0.03, -0.02))),
        Fin((0.7, 0.9), (0.8, 0.9), 8, ((0.02, 0.02), (0.02, 0.09), (0.03, 0.07), (0.04, 0.05), (0.05, 0.02))),
    ),
    side_fins=(
        Fin((0.24, 0.41), (0.26, 0.94), 8, ((0.13, 0.05), (0.1, 0.06), (0.07, 0.05), (0.05, 0.04))),
        Fin((0.52, 0.82), (0.53, 1.1), 8, ((0.09, 0.06), (0.06, 0.06), (0.04, 0.05), (0.03, 0.04))),
    ),
    eye=(0.088, -0.30),
    eye_radius=0.0225,
    mouth=((0.0, 0.008), (0.045, 0.020), (0.088, 0.040), (0.105, 0.049)),
    gill=0.215,
    scales=0.013,
    lengths=(0.54, 0.78),
)
KINDS = (BREAM, CATFISH, PIKE, TROUT)
