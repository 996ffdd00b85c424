"""The columns of metadata that a user names: how a setting spells them."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tlkit.errors import SettingError

NUMBER, CATEGORY = "number", "category"
COLUMN_KINDS = (NUMBER, CATEGORY)
MAX_NAME_LENGTH = 200

IMAGE_FACTS = {
    "image-width": NUMBER,
    "image-height": NUMBER,
    "image-aspect": NUMBER,
    "image-bytes": NUMBER,
    "image-shape": CATEGORY,
    "image-format": CATEGORY,
    "image-mode": CATEGORY,
    "image-camera": CATEGORY,
}
"""Facts of an image file that can serve as metadata: edges of the upright picture in pixels, width by height, bytes,
"640x480", Pillow's names of format and mode, make and model of the camera by EXIF."""
ALL_IMAGE_FACTS = "image-size"

_PART = re.compile(r'\s*(?:"(?:[^"]|"")*"\s*(?::[^,"]*)?|[^,"]*),')


@dataclass(frozen=True)
class ColumnRequest:
    """A column that the user named; `kind` is one of COLUMN_KINDS, or empty where it is to be inferred."""

    name: str
    kind: str = ""


def parse_metadata(text: str | None) -> tuple[ColumnRequest, ...]:
    """Read the setting `metadata`: names with commas between them, each with `:number` or `:category` behind it if need be.

    A name that holds a comma, a colon or a quote stands in double quotes: `"area, m2":number,price`. `image-size` stands
    for all facts of the image file.

    Raises:
        SettingError: A name is empty or appears twice, a quote is not closed, or a kind is unknown.
    """
    requests: list[ColumnRequest] = []
    for part in _split_names(text) if text else ():
        name, kind = _parse_name(part.strip())
        if not name:
            raise SettingError(
                f"metadata is {text!r}: a name is empty.",
                expected="names of columns with commas between them",
                fix="remove the comma too many.",
            )
        names = tuple(IMAGE_FACTS) if name == ALL_IMAGE_FACTS else (name,)
        requests += [ColumnRequest(each, IMAGE_FACTS.get(each, kind)) for each in names]
    twice = [name for name, number in Counter(request.name for request in requests).items() if number > 1]
    if twice:
        raise SettingError(
            f"metadata is {text!r}: {twice[0]} appears twice.",
            expected="each column once",
            fix="leave one of them out.",
        )
    return tuple(requests)


def format_metadata(requests: Iterable[ColumnRequest]) -> str:
    """Return the setting `metadata` that `parse_metadata` reads as these requests."""
    return ",".join(
        quote_column_name(request.name) + (f":{request.kind}" if request.kind else "") for request in requests
    )


def quote_column_name(name: str) -> str:
    """Return a column's name as it stands in the setting `metadata`."""
    if name == name.strip() and not any(sign in name for sign in ',:"'):
        return name
    return '"' + name.replace('"', '""') + '"'


def _split_names(text: str) -> list[str]:
    """Return the parts between those commas that do not stand in quotes."""
    parts = _PART.findall(text + ",")
    if "".join(parts) != text + ",":
        raise SettingError(
            f"metadata is {text!r}: a double quote is not closed, or more follows it.",
            expected='names of columns with commas between them; a name with a comma or colon as "area, m2"',
            fix="close the quote, and write a quote in a name twice.",
        )
    return [part[:-1] for part in parts]


def _parse_name(part: str) -> tuple[str, str]:
    """Return the name and the kind, or an empty kind."""
    if part.startswith('"'):
        end = part.rindex('"')
        name, kind = part[1:end].replace('""', '"'), part[end + 1 :].strip().removeprefix(":")
        colon = len(part) > end + 1
    else:
        start, colon_sign, kind = part.rpartition(":")
        colon = bool(colon_sign)
        name, kind = (start.strip(), kind.strip()) if colon else (part, "")
    if colon and kind not in COLUMN_KINDS:
        raise SettingError(
            f"metadata: {part!r} ends in {kind!r}.",
            expected=f"NAME, NAME:{NUMBER} or NAME:{CATEGORY}",
            fix=f"correct the kind, or leave it out; a name with a colon stands in double quotes: "
            f"{quote_column_name(part)}",
        )
    return normalize_column_name(name), kind


def normalize_column_name(name: str) -> str:
    """Return the one spelling of a column's name: single spaces, composed letters."""
    return unicodedata.normalize("NFC", " ".join(name.split()))


def texts_of(values: Mapping[str, str], names: Sequence[str]) -> tuple[str, ...]:
    """Return the texts of the named columns; a column that is not there is missing."""
    return tuple(values.get(name, "") for name in names)
