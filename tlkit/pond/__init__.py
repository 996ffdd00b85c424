"""A fictional pond and its fish, drawn on the spot: a data set for trying tlkit offline.

`draw_pond` draws it into a folder: photos/, photos.csv, volunteers/, new-photos/ and shoals/. `plan` chooses the images, `picture`
composes one from `water`, `scenery` and `fish`, `untidy` mislabels and copies some, `shoal` draws any number of fish in a picture, and `album` writes the files. Pixels are the same on every machine with the same Pillow
and numpy.
"""

from __future__ import annotations

from tlkit.pond.album import Pond, draw_pond
from tlkit.pond.kinds import KINDS
from tlkit.pond.plan import NUM_NEW_PHOTOS, NUM_SHOALS, PHOTOS_PER_KIND

__all__ = ["KINDS", "NUM_NEW_PHOTOS", "NUM_SHOALS", "PHOTOS_PER_KIND", "Pond", "draw_pond"]
