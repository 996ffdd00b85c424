"""What a repository with a model of tlkit may hold, checked before anything of it is downloaded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

from tlkit.models.about import README_FILE, format_size
from tlkit.models.networks import NETWORK_FORMATS, find_network_format
from tlkit.models.storage import BUNDLE_FOLDER, GOLDEN_FILE, MAX_SPEC_BYTES, NOVELTY_FILE, SPEC_FILE, WEIGHTS_FILE
from tlkit.runs.card import CARD_FILE, PICTURES
from tlkit.untrusted import quote, refusal

MAX_CARD_BYTES = 4 * 1024**2
MAX_LISTED = 1000
FIX = "ask its owner to upload it with `tlkit push`."


def list_bundle_names() -> tuple[str, ...]:
    """Return the names of all files that a bundle can have."""
    networks = [name for each in NETWORK_FORMATS for name in find_network_format(each).files]
    return (SPEC_FILE, WEIGHTS_FILE, GOLDEN_FILE, NOVELTY_FILE, *networks, README_FILE)


def choose_files(
    repository: str, listing: Mapping[str, int | None], *, max_bytes: int
) -> tuple[dict[str, int], list[str]]:
    """Choose what to download, the description of the model first.

    Args:
        repository: Name of the repository.
        listing: Its files with their sizes in bytes.
        max_bytes: The most that may be downloaded.

    Returns:
        The files to download with their sizes, and the names of others outside the bundle, which are left there.

    Raises:
        BundleError: There is no bundle, it has files that no bundle has, or it is too large.
    """
    if len(listing) > MAX_LISTED:
        raise refusal(f"{repository} holds {len(listing):,} files.", expected=f"at most {MAX_LISTED:,}", fix=FIX)
    known = {
        f"{BUNDLE_FOLDER}/{name}": MAX_SPEC_BYTES if name in (SPEC_FILE, README_FILE) else max_bytes
        for name in list_bundle_names()
    }
    known |= dict.fromkeys((CARD_FILE, *PICTURES), MAX_CARD_BYTES)
    if f"{BUNDLE_FOLDER}/{SPEC_FILE}" not in listing:
        raise refusal(
            f"{repository} has no {BUNDLE_FOLDER}/{SPEC_FILE}.", expected="a model that `tlkit push` uploaded", fix=FIX
        )
    strange = [name for name in listing if PurePosixPath(name).parts[:1] == (BUNDLE_FOLDER,) and name not in known]
    if strange:
        raise refusal(
            f"{repository} has {quote(strange[0])} in the folder of the model.",
            expected=f"only {', '.join(list_bundle_names())}",
            fix=FIX,
        )
    chosen = {}
    for name in (name for name in known if name in listing):
        size = listing[name]
        if size is None or not 0 <= size <= known[name]:
            raise refusal(
                f"{repository}: {name} has {'an unknown size' if size is None else format_size(size)}.",
                expected=f"at most {format_size(known[name])}",
                fix="raise --max-size, if you trust its owner." if known[name] == max_bytes else FIX,
            )
        chosen[name] = size
    total = sum(chosen.values())
    if total > max_bytes:
        raise refusal(
            f"{repository} has {format_size(total)} to download.",
            expected=f"at most {format_size(max_bytes)}",
            fix="raise --max-size, if you trust its owner.",
        )
    return chosen, sorted(set(listing) - set(chosen) - {".gitattributes"})
