"""What goes wrong at a place: what may pass, what concerns one object, and what ends a command."""

from __future__ import annotations

import re

from tlkit.errors import PlaceError
from tlkit.places.credentials import describe_credentials
from tlkit.places.place import BUCKETS, Place, without_secrets
from tlkit.places.retries import PassingError

_STATUS = re.compile(r"status(?: code)?:? (\d{3})", re.IGNORECASE)
_BAD_KEY = re.compile(r'path: "((?:[^"\\]|\\.)*)"')
_MAX_REASON = 300
_DENIES = " denies access."


class ObjectError(Exception):
    """One object cannot be read or written, and trying again does not help; the text is the reason."""


def shorten(error: BaseException) -> str:
    """Return the first line of what a library says, without secrets."""
    text = without_secrets(" ".join(str(error).split("\n\nDebug source", 1)[0].split()))
    return text if len(text) <= _MAX_REASON else text[: _MAX_REASON - 1] + "…"


def explain(error: Exception, place: Place, key: str) -> Exception:
    """Return what an exception of obstore means."""
    name = type(error).__name__
    status = _STATUS.search(str(error))
    code = int(status[1]) if status else 0
    if isinstance(error, FileNotFoundError) or (code == 404 and not key):
        return ObjectError("no such object") if key else _no_bucket(place)
    if name in {"PermissionDeniedError", "UnauthenticatedError"} or code in {401, 403}:
        return ObjectError("access denied") if key else _denied(place, error)
    if "169.254.169.254" in str(error) or "metadata.google" in str(error) or "InstanceMetadata" in str(error):
        return _no_credentials(place)
    if name in {"PreconditionError", "NotModifiedError"}:
        return ObjectError("changed while it was being read")
    if name == "InvalidPathError" and not key:
        return _unlistable(place, error)
    if isinstance(error, ValueError) or name in {"InvalidPathError", "NotSupportedError", "AlreadyExistsError"}:
        return ObjectError(shorten(error)) if key else _refused(place, error)
    if 400 <= code < 500 and code not in {408, 425, 429}:
        return ObjectError(shorten(error)) if key else _refused(place, error)
    return PassingError(shorten(error))


def _no_bucket(place: Place) -> PlaceError:
    return PlaceError(
        f"{place}: there is no bucket {place.bucket}.",
        expected="a bucket that exists, at the endpoint and in the region that the environment names",
        fix="check the name, and AWS_ENDPOINT_URL and AWS_REGION or their like.",
    )


def _denied(place: Place, error: Exception) -> PlaceError:
    return PlaceError(
        f"{place}: {BUCKETS[place.scheme]}{_DENIES}",
        expected=describe_credentials(place.scheme),
        fix="check the credentials, and that they may list and read the bucket.",
    )


def is_denied(error: PlaceError) -> bool:
    """Return whether a place exists, as far as one can tell, but does not let itself be listed."""
    return error.found.endswith(_DENIES)


def _no_credentials(place: Place) -> PlaceError:
    return PlaceError(
        f"{place}: there are no credentials for {BUCKETS[place.scheme]}.",
        expected=describe_credentials(place.scheme),
        fix="set them; for a public bucket, set AWS_SKIP_SIGNATURE=true."
        if place.scheme == "s3"
        else "set them, as the guide's section on object storage says.",
    )


def _unlistable(place: Place, error: Exception) -> PlaceError:
    found = _BAD_KEY.search(str(error))
    key = found[1] if found else "…"
    return PlaceError(
        f"{place}: an object there has a name that obstore cannot list: {key}.",
        expected="keys without empty parts, . or .. between slashes, and without control characters",
        fix="rename or remove that object, or name a folder beside it.",
    )


def _refused(place: Place, error: Exception) -> PlaceError:
    return PlaceError(
        f"{place}: the request is refused: {shorten(error)}.",
        expected="a bucket at the endpoint and in the region that the environment names",
        fix="check the URL, and AWS_ENDPOINT_URL and AWS_REGION or their like.",
    )


def unreachable(place: Place, failure: PassingError) -> PlaceError:
    """Return the error for a place that does not answer, however often it is asked."""
    return PlaceError(
        f"{place} does not answer: {failure}.",
        expected="a server that can be reached",
        fix="check the network and the endpoint, then run the command again; what is copied is kept.",
    )
