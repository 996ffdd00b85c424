"""The training images as volunteers sorted them, with wrong labels and copies for `tlkit audit` to find.

Every 20th image has the label of another kind, and every 20th has an altered copy; the kinds of alteration take turns.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from PIL import Image, ImageOps

from tlkit.pond.kinds import KINDS
from tlkit.pond.plan import POND_VERSION, PlannedPhoto

FOLDER = "volunteers"
ONE_IN = 20

_CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "mirrored": ImageOps.mirror,
    "turned": lambda picture: picture.transpose(Image.Transpose.ROTATE_90),
    "small": lambda picture: picture.reduce(2),
    "compressed": lambda picture: picture,
}
_QUALITY = {"compressed": 30}


@dataclass(frozen=True)
class UntidyPhoto:
    """One image of the folder.

    Attributes:
        path: Its path, relative to the demo's folder: `volunteers/CLASS/NAME`.
        source: The training image that it is made from.
        change: The alteration of a copy; "" for the image itself.
        is_mislabelled: Whether it is in the folder of another kind.
    """

    path: PurePosixPath
    source: PlannedPhoto
    change: str = ""
    is_mislabelled: bool = False

    @property
    def name(self) -> str:
        """Its path in the folder of volunteers: CLASS/NAME."""
        return self.path.relative_to(FOLDER).as_posix()

    def make(self, content: bytes) -> bytes:
        """Make this image's file from that of its source."""
        if not self.change:
            return content
        copy = io.BytesIO()
        with Image.open(io.BytesIO(content)) as picture:
            _CHANGES[self.change](picture).save(copy, format="JPEG", quality=_QUALITY.get(self.change, 85))
        return copy.getvalue()


def plan_untidy(photos: Sequence[PlannedPhoto], *, seed: int) -> tuple[UntidyPhoto, ...]:
    """Plan the folder from the training images among `photos`; the same seed gives the same plan."""
    train = [photo for photo in photos if photo.split == "train"]
    random = np.random.Generator(np.random.PCG64([POND_VERSION, seed, 1]))
    order = random.permutation(len(train))
    number = len(train) // ONE_IN
    mislabelled, copied = set(order[:number].tolist()), order[number : 2 * number].tolist()
    names = [kind.name for kind in KINDS]
    plan = []
    for place, photo in enumerate(train):
        name = photo.kind.name
        if place in mislabelled:
            name = str(random.choice([other for other in names if other != name]))
        path = PurePosixPath(FOLDER, name, photo.path.name)
        plan.append(UntidyPhoto(path, photo, is_mislabelled=place in mislabelled))
    for place, change in zip(copied, list(_CHANGES) * len(copied), strict=False):
        photo = train[place]
        path = PurePosixPath(FOLDER, photo.kind.name, f"{photo.path.stem}-{change}.jpg")
        plan.append(UntidyPhoto(path, photo, change))
    return tuple(plan)
