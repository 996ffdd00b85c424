"""Choose the page of a file to read: the first, unless it is a thumbnail of another, as some scanners write."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

from PIL import Image

MAX_PAGES = 64
"""Maximum number of pages to check; a file of thousands has its image among the first."""
_NEW_SUBFILE_TYPE, _OLD_SUBFILE_TYPE, _SUB_IFDS = 254, 255, 330
_REDUCED, _MASK = 1, 4
_OLD_REDUCED = 2


class NoFullPageError(Exception):
    """The file contains only a thumbnail that Pillow can read, not the full image."""


def find_page(picture: Image.Image) -> int:
    """Return the number of the main page. This opens further pages, so reopen the file before reading.

    This is the first page, unless it is a mask or a thumbnail: it is marked as one, or has the aspect ratio of a later
    page that is at least twice as large. Animations are not checked, since all their frames have one size.

    Args:
        picture: The file, freshly opened.

    Raises:
        NoFullPageError: All pages are thumbnails.
    """
    pages = [_describe(picture)]
    with contextlib.suppress(
        Exception
    ):  # damage after the first page may raise any exception, but the first page is fine
        for number in range(1, MAX_PAGES):
            picture.seek(number)
            pages.append(_describe(picture))
    full = [page for page in pages if page.is_full]
    if not full and any(page.has_pages_inside for page in pages):
        raise NoFullPageError("a camera raw file, or another file with only a thumbnail; convert it to JPEG or TIFF")
    first = (full or pages)[0]
    return pages.index(max([first, *(page for page in full or pages if page.is_enlarged(first))], key=_Page.width))


@dataclass(frozen=True)
class _Page:
    """Facts from the header of a page."""

    size: tuple[int, int]
    is_full: bool
    has_pages_inside: bool

    def width(self) -> int:
        return self.size[0]

    def is_enlarged(self, other: _Page) -> bool:
        """Return whether a page is at least twice as large as another one, up to rounding."""
        factor = self.size[0] / other.size[0]
        return factor >= 2 and abs(self.size[1] - factor * other.size[1]) <= factor


def _describe(picture: Any) -> _Page:
    tags = getattr(picture, "tag_v2", {})
    kind = tags.get(_NEW_SUBFILE_TYPE, 0)
    is_part = (isinstance(kind, int) and bool(kind & (_REDUCED | _MASK))) or tags.get(_OLD_SUBFILE_TYPE) == _OLD_REDUCED
    return _Page(picture.size, not is_part, _SUB_IFDS in tags)
