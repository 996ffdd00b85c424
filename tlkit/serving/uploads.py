"""Read the images and metadata of a request from its body: multipart, the bytes of one image, or JSON with base64."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from tlkit.errors import BundleError
from tlkit.metadata.columns import IMAGE_FACTS
from tlkit.models.spec import BundleSpec
from tlkit.serving.multipart import read_parts
from tlkit.serving.refusals import RequestError
from tlkit.untrusted import parse_json, quote, shorten

MAX_NAME_LENGTH = 255
MAX_TEXT_LENGTH = 1000
JSON_LEVELS = 4
BODIES = "multipart/form-data with files, the bytes of one image (image/*), or JSON with base64"
JSON_FORM = '{"images": [{"image": BASE64, "name": TEXT, "metadata": {COLUMN: VALUE}}]}; only "image" is required'


@dataclass(frozen=True)
class Upload:
    """An image of a request.

    Attributes:
        name: What the client calls it; only repeated in the answer.
        content: Its bytes.
        metadata: The text of each metadata column that was given.
    """

    name: str
    content: bytes
    metadata: Mapping[str, str]


def read_uploads(
    body: bytes, content_type: str, query: Mapping[str, str], spec: BundleSpec, *, max_images: int
) -> list[Upload]:
    """Read the images of a request, at least one.

    Args:
        body: The body of the request.
        content_type: Its header.
        query: Metadata from the address, for a body without room for them.
        spec: The model's description.
        max_images: The most images.

    Raises:
        RequestError: The body is something else, has too many images, or has metadata that the model does not take.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        uploads = _read_multipart(body, content_type, max_images)
    elif kind == "application/json":
        uploads = _read_json(body)
    elif kind.startswith("image/") or kind == "application/octet-stream":
        uploads = [Upload("image", body, {})]
    else:
        raise RequestError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"The body has the type {quote(kind)}." if kind else "The body has no type.",
            expected=BODIES,
            fix="set the header Content-Type.",
        )
    if len(uploads) > max_images:
        raise RequestError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"The request has {len(uploads):,} images.",
            expected=f"at most {max_images:,}",
            fix="send several requests.",
        )
    known = {name for name in spec.metadata.names if name not in IMAGE_FACTS}
    complete = [Upload(each.name[:MAX_NAME_LENGTH], each.content, {**query, **each.metadata}) for each in uploads]
    for upload in complete:
        _check_metadata(upload, known)
    return complete


def _check_metadata(upload: Upload, known: set[str]) -> None:
    for name, text in upload.metadata.items():
        if name not in known:
            raise _bad_request(
                f"The request has a field {quote(name)}.",
                expected=f"metadata that the model takes: {', '.join(sorted(known))}" if known else "only images",
                fix="leave out the field, or check its name.",
            )
        if len(text) > MAX_TEXT_LENGTH:
            raise _bad_request(
                f"The value of {name} has {len(text):,} characters.",
                expected=f"at most {MAX_TEXT_LENGTH:,}",
                fix="check the field.",
            )


def _read_multipart(body: bytes, content_type: str, max_images: int) -> list[Upload]:
    files, fields = [], dict[str, list[str]]()
    for part in read_parts(body, content_type):
        if part.file_name is not None:
            files.append(part)
            continue
        try:
            fields.setdefault(part.name, []).append(part.content.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise _bad_request(
                f"The field {quote(part.name)} is not UTF-8 text.",
                expected="metadata as UTF-8 text, and images as parts with a file name",
                fix="encode the field as UTF-8, or give the part a file name.",
            ) from error
    if not files:
        raise _bad_request(
            "The form has no file.",
            expected="at least one part with a file name",
            fix="send an image, as `curl -F image=@photo.jpg` does.",
        )
    if len(files) <= max_images:
        for name, texts in fields.items():
            if len(texts) not in (1, len(files)):
                raise _bad_request(
                    f"The form has {len(texts):,} fields {quote(name)} and {len(files):,} files.",
                    expected="one field for all files, or one for each, in their order",
                    fix="repeat the field, or send it once.",
                )
    return [
        Upload(
            part.file_name or f"image {number}",
            part.content,
            {name: texts[min(number - 1, len(texts) - 1)] for name, texts in fields.items()},
        )
        for number, part in enumerate(files, start=1)
    ]


def _read_json(body: bytes) -> list[Upload]:
    try:
        document = parse_json(body, place="The body", levels=JSON_LEVELS)
    except BundleError as error:
        raise _bad_request(error.found, expected=JSON_FORM, fix="check the body.") from error
    entries = document["images"] if isinstance(document, dict) and document.keys() == {"images"} else [document]
    if not isinstance(entries, list) or not entries:
        raise _bad_request(f"images is {quote(entries)}.", expected=JSON_FORM, fix="check the body.")
    return [_read_entry(entry, number) for number, entry in enumerate(entries, start=1)]


def _read_entry(entry: Any, number: int) -> Upload:
    if isinstance(entry, str):
        entry = {"image": entry}
    name, metadata = (
        (entry.get("name", f"image {number}"), entry.get("metadata", {})) if isinstance(entry, dict) else ("", {})
    )
    is_valid = (
        isinstance(entry, dict)
        and isinstance(entry.get("image"), str)
        and entry.keys() <= {"image", "name", "metadata"}
        and isinstance(name, str)
        and isinstance(metadata, dict)
    )
    if not is_valid:
        raise _bad_request(f"Image {number} is {quote(entry)}.", expected=JSON_FORM, fix="check the body.")
    return Upload(
        _clean(name),
        _decode_base64(entry["image"], number),
        {key: _to_text(key, value) for key, value in metadata.items()},
    )


def _decode_base64(text: str, number: int) -> bytes:
    """Return the bytes of an image; `data:` addresses carry theirs, others are never opened."""
    encoded = text.partition(",")[2] if text.startswith("data:") else text
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _bad_request(
            f"Image {number} is not base64: {quote(shorten(text))}.",
            expected="the bytes of the image in base64; addresses are not opened",
            fix="encode the content of the file.",
        ) from error


def _to_text(name: str, value: Any) -> str:
    """Return a value of JSON as the text of a cell of a table."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, (bool, int, float)):
        return str(value)
    raise _bad_request(
        f"The metadata {quote(name)} are {quote(value)}.",
        expected="text, a number, true, false or null",
        fix="check the body.",
    )


def _clean(name: str) -> str:
    """Return a name without lone surrogates, which JSON may have and UTF-8 has not."""
    return name.encode("utf-8", "replace").decode("utf-8")


def _bad_request(found: str, *, expected: str, fix: str) -> RequestError:
    return RequestError(HTTPStatus.BAD_REQUEST, found, expected=expected, fix=fix)


def list_missing_columns(uploads: Sequence[Upload], spec: BundleSpec) -> list[str]:
    """Return the metadata columns that at least one image has no value for."""
    names = [name for name in spec.metadata.names if name not in IMAGE_FACTS]
    return [name for name in names if any(not upload.metadata.get(name, "").strip() for upload in uploads)]
