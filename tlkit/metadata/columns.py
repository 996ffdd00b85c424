"""Parse and format the setting `metadata`, which lists columns."""

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
"""Facts about an image file that can be used as metadata: upright width and height in pixels, aspect ratio, bytes,
"640x480", Pillow's format and mode, and the camera's make and model from EXIF."""
ALL_IMAGE_FACTS = "image-size"

_PART = re.compile(r'\s*(?:"(?:[^"]|"")*"\s*(?::[^,"]*)?|[^,"]*),')


@dataclass(frozen=True)
class ColumnRequest:
    """A requested column; `kind` is one of COLUMN_KINDS, or empty to infer it."""

    name: str
    kind: str = ""


def parse_metadata(text: str | None) -> tuple[ColumnRequest, ...]:
    """Parse the setting `metadata`: comma-separated names, each optionally followed by `:number` or `:category`.

    A name with a comma, a colon or a quote needs double quotes: `"area, m2":number,price`. `image-size` stands for all
    facts about the image file.

    Raises:
        SettingError: A name is empty or appears twice, a quote is not closed, or a kind is unknown.
    """
    requests: list[ColumnRequest] = []
    for part in _split_names(text) if text else ():
        name, kind = _parse_name(part.strip())
        if not name:
            raise SettingError(
                f"metadata is {text!r}: a name is empty.",
                expected="column names separated by commas",
                fix="remove the extra comma.",
            )
        names = tuple(IMAGE_FACTS) if name == ALL_IMAGE_FACTS else (name,)
        requests += [ColumnRequest(each, IMAGE_FACTS.get(each, kind)) for each in names]
    twice = [name for name, number in Counter(request.name for request in requests).items() if number > 1]
    if twice:
        raise SettingError(
            f"metadata is {text!r}: {twice[0]} appears twice.",
            expected="each column once",
            fix="remove one of them.",
        )
    return tuple(requests)


def format_metadata(requests: Iterable[ColumnRequest]) -> str:
    """Format requests as the setting `metadata`; the inverse of `parse_metadata`."""
    return ",".join(
        quote_column_name(request.name) + (f":{request.kind}" if request.kind else "") for request in requests
    )


def quote_column_name(name: str) -> str:
    """Quote a column name for the setting `metadata`, if necessary."""
    if name == name.strip() and not any(sign in name for sign in ',:"'):
        return name
    return '"' + name.replace('"', '""') + '"'


def _split_names(text: str) -> list[str]:
    """Split at commas outside quotes."""
    parts = _PART.findall(text + ",")
    if "".join(parts) != text + ",":
        raise SettingError(
            f"metadata is {text!r}: a double quote is not closed, or is followed by more text.",
            expected='column names separated by commas; a name with a comma or colon as "area, m2"',
            fix="close the quote, and double a quote inside a name.",
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
            fix=f"correct or remove the kind; a name with a colon needs double quotes: {quote_column_name(part)}",
        )
    return normalize_column_name(name), kind


def normalize_column_name(name: str) -> str:
    """Normalize a column name: single spaces, composed characters."""
    return unicodedata.normalize("NFC", " ".join(name.split()))


def texts_of(values: Mapping[str, str], names: Sequence[str]) -> tuple[str, ...]:
    """Return the texts of the named columns; empty for a missing column."""
    return tuple(values.get(name, "") for name in names)
