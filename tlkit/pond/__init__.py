"""A fictional pond and its fish, drawn on the spot: a data set for trying tlkit without a network.

    draw_pond         the whole set in a folder: photos/, photos.csv, new-photos/

`plan` decides what is drawn, `picture` composes one picture out of `water`, `scenery` and `fish`, `album` writes the
files. The pictures are the same to the pixel on every machine with the same Pillow and numpy.
"""

from __future__ import annotations

from tlkit.pond.album import Pond, draw_pond
from tlkit.pond.kinds import KINDS
from tlkit.pond.plan import NUM_NEW_PHOTOS, PHOTOS_PER_KIND

__all__ = ["KINDS", "NUM_NEW_PHOTOS", "PHOTOS_PER_KIND", "Pond", "draw_pond"]
