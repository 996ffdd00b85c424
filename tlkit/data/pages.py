"""Which page of a file is the picture: the first, unless that is a reduced copy of another, as scanners write them."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

from PIL import Image

MAX_PAGES = 64
"""Pages that are looked at; a file of thousands has the picture among the first."""
_NEW_SUBFILE_TYPE, _OLD_SUBFILE_TYPE, _SUB_IFDS = 254, 255, 330
_REDUCED, _MASK = 1, 4
_OLD_REDUCED = 2


class NoFullPageError(Exception):
    """The file shows a thumbnail of a picture that it keeps where Pillow does not reach."""


def find_page(picture: Image.Image) -> int:
    """Return the number of the page that is the picture; opens further pages, so open the file anew to read it.

    That is the first page, unless it is a mask or a reduced copy: says so, or has the proportions of a later page that
    is at least twice as large. Frames of an animation are all of one size, and never asked for.

    Args:
        picture: The file, freshly opened.

    Raises:
        NoFullPageError: All pages are reduced copies of a picture that none of them is.
    """
    pages = [_describe(picture)]
    with contextlib.suppress(Exception):  # damage behind the first page raises anything, and does no harm to that one
        for number in range(1, MAX_PAGES):
            picture.seek(number)
            pages.append(_describe(picture))
    full = [page for page in pages if page.is_full]
    if not full and any(page.has_pages_inside for page in pages):
        raise NoFullPageError(
            "a camera's raw file, or another that shows only a thumbnail of its picture; convert it to JPEG or TIFF"
        )
    first = (full or pages)[0]
    return pages.index(max([first, *(page for page in full or pages if page.is_enlarged(first))], key=_Page.width))


@dataclass(frozen=True)
class _Page:
    """What the head of a page says of it."""

    size: tuple[int, int]
    is_full: bool
    has_pages_inside: bool

    def width(self) -> int:
        return self.size[0]

    def is_enlarged(self, other: _Page) -> bool:
        """Tell whether a page is at least twice another one, but for the rounding of its edges."""
        factor = self.size[0] / other.size[0]
        return factor >= 2 and abs(self.size[1] - factor * other.size[1]) <= factor


def _describe(picture: Any) -> _Page:
    tags = getattr(picture, "tag_v2", {})
    kind = tags.get(_NEW_SUBFILE_TYPE, 0)
    is_part = (isinstance(kind, int) and bool(kind & (_REDUCED | _MASK))) or tags.get(_OLD_SUBFILE_TYPE) == _OLD_REDUCED
    return _Page(picture.size, not is_part, _SUB_IFDS in tags)
